package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/results"
)

// maxTracedSamples bounds what sweep trace prints.
const maxTracedSamples = 100_000

func newTrace(stdout io.Writer) *cobra.Command {
	var c config
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Print every iterate of a few samples",
		Long: `Print every iterate of a few samples: iteration, method, each parameter, start, x, y = P(x), loss.
Row 0 is the start. Convergence tests are off unless a tolerance is given.`,
		Example: `  sweep trace --start 3,3 --method gd:lr=0.01 --iterations 10
  sweep trace --start 3,3 --method pg:lr=0.3 --alpha 0.1,1,10 --format csv
  sweep trace --problem rosenbrock --starts 2 --method bfgs --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := map[string]func(io.Writer, *batch.Sweep, []batch.Path) error{"table": traceTable, "csv": traceCSV, "json": traceJSON}[c.format]
			if !ok {
				return usage(formatError(c.format, tableFormats))
			}
			sw, err := c.sweep(cmd)
			if err != nil {
				return err
			}
			f := cmd.Flags()
			if !f.Changed("dtol") && !f.Changed("gtol") && !f.Changed("ltol") {
				sw.Limits.DTol, sw.Limits.GTol = 0, 0
			}
			if n := int64(len(sw.Methods)) * int64(sw.Grid.Len()) * int64(sw.Starts.Len()); n > maxTracedSamples {
				return usagef("a trace of %d samples; at most %d are allowed: trace fewer starts, grid points or methods", n, maxTracedSamples)
			}
			if err := sw.CheckTrace(); err != nil {
				return usage(err)
			}
			paths, err := sw.Trace(cmd.Context())
			if err != nil {
				return err
			}
			return write(stdout, sw, paths)
		},
	}
	c.flags(cmd.Flags(), 1, 10)
	cmd.Flags().StringVar(&c.format, "format", "table", "output: "+strings.Join(tableFormats, ", "))
	return cmd
}

// traceRows calls row for the header and then for each iterate. The columns are
// iteration, method, each parameter, start, x0.., y0.., loss.
func traceRows(sw *batch.Sweep, paths []batch.Path, num func(float64) string, row func([]string) error) error {
	p := sw.Model.Problem()
	first, last := []string{"iteration", "method"}, []string{"start"}
	for i := 0; i < p.N(); i++ {
		last = append(last, fmt.Sprintf("x%d", i))
	}
	for i := 0; i < p.M(); i++ {
		last = append(last, fmt.Sprintf("y%d", i))
	}
	last = append(last, "loss")
	var params []string
	for _, q := range p.Params {
		params = append(params, q.Name)
	}
	if err := row(slices.Concat(first, results.ParamColumns(params, slices.Concat(first, last)), last)); err != nil {
		return err
	}
	label := batch.Labels(sw.Methods)
	for _, path := range paths {
		for k := range path.X {
			r := []string{fmt.Sprint(k), label(path.Method)}
			for _, v := range path.Params {
				r = append(r, num(v))
			}
			r = append(r, fmt.Sprint(path.Start))
			for _, v := range append(append([]float64(nil), path.X[k]...), path.Y[k]...) {
				r = append(r, num(v))
			}
			if err := row(append(r, num(path.Loss[k]))); err != nil {
				return err
			}
		}
	}
	return nil
}

func traceTable(w io.Writer, sw *batch.Sweep, paths []batch.Path) error {
	t := &table{left: []int{1}}
	err := traceRows(sw, paths, short, func(r []string) error {
		if t.header == nil {
			t.header = r
		} else {
			t.add(r...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.write(w)
}

func traceCSV(w io.Writer, sw *batch.Sweep, paths []batch.Path) error {
	c := csv.NewWriter(w)
	if err := traceRows(sw, paths, exact, c.Write); err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

func traceJSON(w io.Writer, sw *batch.Sweep, paths []batch.Path) error {
	type sample struct {
		Method string             `json:"method"`
		Params map[string]float64 `json:"params"`
		Start  int                `json:"start"`
		Status string             `json:"status"`
		X      [][]number         `json:"x"`
		Y      [][]number         `json:"y"`
		Loss   []number           `json:"loss"`
	}
	label := batch.Labels(sw.Methods)
	out := []sample{}
	for _, p := range paths {
		s := sample{Method: label(p.Method), Params: named(sw, p.Params), Start: p.Start, Status: p.Status.String(),
			X: numberRows(p.X), Y: numberRows(p.Y), Loss: numbers(p.Loss)}
		out = append(out, s)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
