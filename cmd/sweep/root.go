package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"invar/batch"
	"invar/internal/nearest"
	"invar/problem"
)

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Optimise an inverse problem from thousands of starts over a grid of parameters",
		Example: `  sweep --alpha 0.01:100 --starts 10000
  sweep --problem rosenbrock --param alpha=1,10,100 --method gd:lr=0.001 --method newton,bfgs,lm
  sweep --alpha 0.1:10:3 --start 3,3 --method newton:lr=0.5 --format csv`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := formatter(c.format)
			if err != nil {
				return usage(err)
			}
			sw, err := c.sweep(cmd)
			if err != nil {
				return err
			}
			bar := newBar(stderr)
			sw.Progress = bar.show
			rep, err := sw.Run(cmd.Context())
			bar.clear()
			if rep != nil && len(rep.Cells) > 0 {
				if werr := out(stdout, sw, rep); werr != nil {
					return werr
				}
			}
			return err
		},
	}
	c.flags(cmd.Flags(), 1000, 100)
	cmd.Flags().StringVar(&c.format, "format", "table", "output: table, csv, json")
	cmd.SetFlagErrorFunc(flagError)
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(newTrace(stdout), newProblems(stdout), newMethods(stdout))
	return cmd
}

// flagError names the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	msg := err.Error()
	if name, ok := strings.CutPrefix(msg, "unknown flag: --"); ok {
		msg = fmt.Sprintf("unknown flag --%s%s; see %s --help", name, nearest.Hint(name, flagNames(cmd)), cmd.CommandPath())
	}
	return usagef("%s", msg)
}

// noArgs refuses positional arguments, and names the command that was probably meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, s := range cmd.Commands() {
		names = append(names, s.Name())
	}
	return usagef("unknown argument %q%s; see %s --help", args[0], nearest.Hint(args[0], names), cmd.CommandPath())
}

func newProblems(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "problems",
		Short: "List the built-in problems",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := &table{header: []string{"problem", "inputs", "outputs", "inverse", "minima", "description"}, left: []int{0, 5}}
			for _, name := range problem.Builtins() {
				p, err := problem.Builtin(name)
				if err != nil {
					return err
				}
				inverse := "no"
				if p.Inverse != nil {
					inverse = "yes"
				}
				t.add(name, fmt.Sprint(p.N()), fmt.Sprint(p.M()), inverse, fmt.Sprint(len(p.Minima)), firstSentence(p.Description))
			}
			return t.write(stdout)
		},
	}
}

func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i+1]
	}
	return strings.TrimSuffix(s, ".")
}

func newMethods(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "methods",
		Short: "List the methods with their updates, settings and sources",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var b strings.Builder
			for _, m := range batch.Methods() {
				fmt.Fprintf(&b, "%s\n    %s\n", m.Name, m.Doc)
				for _, s := range m.Settings {
					fmt.Fprintf(&b, "    %-8s default %-8v %s\n", s.Name, s.Default, s.Doc)
				}
				if m.Inverse {
					b.WriteString("    needs the problem's local inverse\n")
				}
				fmt.Fprintf(&b, "    source: %s\n\n", m.Source)
			}
			_, err := io.WriteString(stdout, strings.TrimSuffix(b.String(), "\n"))
			return err
		},
	}
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
