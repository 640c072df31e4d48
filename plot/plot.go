// Package plot draws the pictures of a sweep: paths over the contours of the loss, loss landscapes
// with one update of each method, iterations and convergence against a parameter, sorted final
// losses, basins of attraction, and one self-contained HTML report in which the same can be explored.
//
// A Data goes in: the sweep with its cells, some samples and some paths, from a run (Recorder,
// Trace) or from a result folder. Figures gives the pictures one by one, to be written as PNG or SVG;
// WriteReport writes the report; Write puts everything into a folder.
//
// Whatever happened to a sample can be drawn: what is not finite is left out of a path, or shown at a
// labelled edge of its scale, and lines end at the frame of their panel.
package plot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"invar/batch"
)

// Data is what is drawn.
type Data struct {
	Sweep   *batch.Sweep // its Engine is not used
	Cells   []batch.Cell // may lack some, as after an interruption
	Paths   []batch.Path // of a few starts at some grid points
	Samples []Sample     // in any order; may be a part of the sweep's samples

	Config  string // the resolved configuration, shown in the report as it is; may be empty
	Command string // the command that repeats the run; may be empty
}

// Sample is the outcome of one sample.
type Sample struct {
	Method                  int       // index into Sweep.Methods
	Params                  []float64 // all parameters, in the problem's order
	Start                   int       // index of the start
	X0, X                   []float64 // first and last point
	Loss                    float64   // at X
	Distance                float64   // from X to the nearest known minimum; NaN where none is known
	Iterations, Evaluations int64
	Status                  batch.Status
}

// Options choose what is drawn of a sweep with many grid points. The zero value is the reference
// point of the grid (batch.Grid.Reference) along alpha.
type Options struct {
	// Axis names the parameter that the sweep is drawn against; empty: alpha if it has several
	// values, else the axis with the most. The other parameters stay at the reference point.
	Axis string
	// At, if not nil, is the value on Axis at which paths, losses and basins are drawn; the nearest
	// grid point is taken.
	At *float64
}

// Write draws every figure into a folder, which it makes if it must: NAME.png, NAME.svg and
// report.html. Files of these names are replaced, each as a whole. It returns the files' names. When the
// context ends, it writes no further file and returns the context's error.
func Write(ctx context.Context, dir string, d *Data, o Options) ([]string, error) {
	figures, err := Figures(d, o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("plot: %w", err)
	}
	var names []string
	write := func(name string, to func(io.Writer) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, name), to); err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		names = append(names, name)
		return nil
	}
	for _, f := range figures {
		if err := write(f.Name+".png", f.WritePNG); err != nil {
			return names, err
		}
		if err := write(f.Name+".svg", f.WriteSVG); err != nil {
			return names, err
		}
	}
	return names, write("report.html", func(w io.Writer) error { return WriteReport(w, d, o) })
}

// writeFile writes a file that appears whole or not at all.
func writeFile(name string, to func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignore(os.Remove(f.Name()), fs.ErrNotExist))
		}
	}()
	var b bytes.Buffer
	if err = to(&b); err == nil {
		_, err = f.Write(b.Bytes())
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func ignore(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}

// Figures prepares every figure that the data allows, in the order in which they are best read.
// A sweep without paths has no paths to draw, and so on: that is not an error.
func Figures(d *Data, o Options) ([]*Figure, error) {
	s, err := newStudy(d, o)
	if err != nil {
		return nil, err
	}
	var all []*Figure
	for _, draw := range []func(*study) ([]*Figure, error){paths, landscapes, curves, waterfall, basins} {
		f, err := draw(s)
		if err != nil {
			return nil, err
		}
		all = append(all, f...)
	}
	return all, nil
}

func finite(xs ...float64) bool {
	for _, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}
