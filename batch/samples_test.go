package batch_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/problem"
)

// newSweep is New on a built-in problem.
func newSweep(t *testing.T, name string, methods ...string) *batch.Sweep {
	t.Helper()
	p, err := problem.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	sw, err := batch.New(p, cpu.Portable{Threads: 1}, methods...)
	if err != nil {
		t.Fatal(err)
	}
	return sw
}

// The samples that the loop gives are those that the report counts, in order.
func TestSamplesMatchReport(t *testing.T) {
	sw := newSweep(t, "sine", "gd:lr=0.3", "newton,ig")
	sw.Grid = append(alphas(t, "0.5,1,4"), batch.Axis{Name: "phi", Values: []float64{0, 1}})
	rep, err := sw.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	const cells, starts = 3 * 3 * 2, 1000
	if len(rep.Cells) != cells {
		t.Fatalf("%d cells, want %d", len(rep.Cells), cells)
	}
	tally := make([]batch.Cell, cells)
	n := 0
	for s, err := range sw.Samples(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		cell := rep.Cells[n/starts]
		if s.Start != n%starts || s.Method.String() != cell.Method.String() || !slices.Equal(s.Params, cell.Params) {
			t.Fatalf("sample %d is start %d of %v at %v, want start %d of %v at %v", n, s.Start, s.Method, s.Params, n%starts, cell.Method, cell.Params)
		}
		if n < starts { // the same starts for every cell, each in the box
			for i, b := range sw.Model.Problem().Box {
				if !(s.X0[i] >= b[0] && s.X0[i] <= b[1]) {
					t.Errorf("start %d: x%d = %v, box %v", n, i, s.X0[i], b)
				}
			}
		}
		if (s.Status == batch.Converged) != (s.Distance <= sw.Limits.DTol) {
			t.Errorf("sample %d: %v at the distance %v", n, s.Status, s.Distance)
		}
		c := &tally[n/starts]
		if c.Status == nil {
			c.Status = map[batch.Status]int{}
		}
		c.Status[s.Status]++
		c.Evaluations += int64(s.Evaluations)
		c.Fallbacks += int64(s.Fallbacks)
		if s.Status != batch.Diverged && (c.Best == nil || s.Loss < c.Best.Loss) {
			c.Best = &batch.Best{Start: s.Start, Loss: s.Loss, X: slices.Clone(s.X)}
		}
		n++
	}
	if n != cells*starts {
		t.Errorf("%d samples, want %d", n, cells*starts)
	}
	for i, c := range tally {
		for _, st := range batch.Statuses() {
			if c.Status[st] != rep.Cells[i].Status[st] {
				t.Errorf("cell %d: %d samples %v, the report has %d", i, c.Status[st], st, rep.Cells[i].Status[st])
			}
		}
		if !reflect.DeepEqual(c.Best, rep.Cells[i].Best) {
			t.Errorf("cell %d: the best sample is %+v, the report has %+v", i, c.Best, rep.Cells[i].Best)
		}
		if c.Evaluations != rep.Cells[i].Evaluations || c.Fallbacks != rep.Cells[i].Fallbacks {
			t.Errorf("cell %d: %d evaluations, %d fallbacks; the report has %d, %d", i, c.Evaluations, c.Fallbacks, rep.Cells[i].Evaluations, rep.Cells[i].Fallbacks)
		}
	}
}

// Leaving the loop ends the sweep; an ended context is the last thing the loop hears.
func TestSamplesEnd(t *testing.T) {
	sw := newSweep(t, "linear1d", "gd")
	sw.Grid = alphas(t, "1:10:100")
	sw.Threads = 4
	done := int64(0)
	sw.Progress = func(p batch.Progress) { done = p.Done }
	n := 0
	for s, err := range sw.Samples(context.Background()) {
		if err != nil || !math.IsNaN(s.Distance) {
			t.Fatalf("sample %+v, error %v", s, err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 || done >= 100_000 {
		t.Errorf("%d samples seen, want 3; %d of 100000 run", n, done)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	for _, err := range sw.Samples(ctx) {
		if last != nil {
			t.Fatal("something follows the error")
		}
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last error is %v, want %v", last, context.Canceled)
	}
}

func TestNewRefuses(t *testing.T) {
	p, err := problem.Builtin("beale")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"newtn", "gd:lr=-1", "gd:rate=1", "pg"} { // beale has no inverse
		if _, err := batch.New(p, cpu.Portable{}, method); err == nil {
			t.Errorf("method %s is taken", method)
		}
	}
	if _, err := batch.New(p, nil, "gd"); err == nil {
		t.Error("no engine is taken")
	}
	sw, err := batch.New(p, cpu.Portable{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sw.Run(context.Background()); err == nil {
		t.Error("no methods are run")
	}
	sw.Methods, sw.Engine = specs(t, "gd"), nil
	if _, err := sw.Run(context.Background()); err == nil {
		t.Error("no engine is run")
	}
	if _, err := sw.Trace(context.Background()); err == nil {
		t.Error("no engine is traced")
	}
	if _, err := batch.Draw(p, "unifrom", 1, 10); err == nil {
		t.Error("an unknown sampler is taken")
	}
}
