package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"invar/batch"
	"invar/plot"
	"invar/results"
)

func newPlot(stdout io.Writer) *cobra.Command {
	var to, axis string
	var at float64
	cmd := &cobra.Command{
		Use:   "plot RESULTS",
		Short: "Draw the pictures of a result folder, and its report",
		Long: `Draw the pictures of a result folder, each as PNG and SVG: paths over the contours of the
loss, loss landscapes with one update of each method, iterations and convergence
against a parameter, sorted final losses, and which minimum each start reached. And
report.html, one file with the same to explore in a browser; it needs no network.`,
		Example: `  sweep --alpha 0.01:100 --out results
  sweep plot results
  sweep plot results --at 10 --to pictures`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%d folders are given; one result folder is wanted; see %s --help", len(args), cmd.CommandPath())
			}
			o := plot.Options{Axis: axis}
			if cmd.Flags().Changed("at") {
				o.At = &at
			}
			if to == "" {
				to = filepath.Join(args[0], results.PicturesDir)
			}
			return plotFolder(cmd.Context(), stdout, args[0], to, o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&to, "to", "", "folder `DIR` for the pictures (default: plots in the result folder)")
	f.StringVar(&axis, "axis", "", "`PARAMETER` to draw against (default alpha, else that with the most values)")
	f.Float64Var(&at, "at", 0, "`VALUE` of that parameter for paths, losses and basins (default: nearest to alpha = 1 and the other defaults)")
	cmd.SetFlagErrorFunc(flagError)
	return cmd
}

// plotFolder draws a result folder.
func plotFolder(ctx context.Context, stdout io.Writer, dir, to string, o plot.Options) error {
	f, err := results.Open(dir)
	if err != nil {
		return usage(err)
	}
	d, err := plot.FromFolder(ctx, f, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return usage(err)
	}
	if err := writable(to); err != nil {
		return usagef("%s: %v; a folder that can be written to is needed", to, short1(err))
	}
	d.Command = "sweep --config " + quoted(filepath.Join(dir, "config.toml"))
	return drawAll(ctx, stdout, to, d, o)
}

func drawAll(ctx context.Context, stdout io.Writer, to string, d *plot.Data, o plot.Options) error {
	files, err := plot.Write(ctx, to, d, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d files in %s, report.html among them\n", len(files), to)
	return err
}

// writable says whether a folder can be made, unless it is there, and files in it. It leaves nothing behind.
func writable(dir string) error {
	at := filepath.Clean(dir)
	_, err := os.Stat(at)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		_, err = os.Stat(at)
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(at, ".sweep-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// pictures is --plot of a run.
type pictures struct {
	to       string
	command  string
	config   string
	recorder *plot.Recorder
}

func (p *pictures) flags(f *pflag.FlagSet) {
	f.StringVar(&p.to, "plot", "", "draw pictures and report.html into folder `DIR`; see sweep plot --help")
}

// prepare makes a sweep without a result folder keep what the pictures need. text
// is that of the problem.
func (p *pictures) prepare(cmd *cobra.Command, sw *batch.Sweep, text string, seed uint64) error {
	if p.to == "" {
		return nil
	}
	cfg, err := results.Resolve(sw, text, seed)
	if err != nil {
		return err
	}
	p.config, p.command = string(cfg.Encode()), commandLine(cmd)
	if p.recorder, err = plot.NewRecorder(sw, plot.Options{}); err != nil {
		return err
	}
	sw.Sink = p.recorder.Chunk
	return nil
}

// draw is called when the sweep is done; dir is its result folder, empty if there is none.
func (p *pictures) draw(ctx context.Context, stderr io.Writer, sw *batch.Sweep, rep *batch.Report, dir string) error {
	if p.to == "" {
		return nil
	}
	if dir != "" {
		return plotFolder(ctx, stderr, dir, p.to, plot.Options{})
	}
	paths, err := plot.Trace(ctx, sw, plot.Options{})
	if err != nil {
		return err
	}
	return drawAll(ctx, stderr, p.to, &plot.Data{Sweep: sw, Cells: rep.Cells, Paths: paths, Samples: p.recorder.Samples(),
		Config: p.config, Command: p.command}, plot.Options{})
}

// commandLine is the command with the flags that were given, but for those that say where results go.
func commandLine(cmd *cobra.Command) string {
	words := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"plot", "out", "force", "quiet"}, f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			switch {
			case f.Value.Type() == "bool" && v == "true":
				words = append(words, "--"+f.Name)
			case f.Value.Type() == "bool":
				words = append(words, "--"+f.Name+"="+v)
			default:
				words = append(words, "--"+f.Name, quoted(v))
			}
		}
	})
	return strings.Join(words, " ")
}

// quoted is a word of a shell command.
func quoted(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,+@%", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
