package batch_test

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/problem"
)

// parabola is L = (alpha (x - 0.5))^2, with no minima named.
const parabola = `
inputs = ["x"]
outputs = ["alpha*(x - 0.5)"]
loss = "y0^2"
box = [[1, 2]]
[params]
alpha = 1
`

// parse is a sweep of a problem file from 10 starts.
func parse(t *testing.T, text string, methods ...string) (*batch.Sweep, error) {
	t.Helper()
	p, err := problem.Parse("parabola.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sw, err := batch.New(p, cpu.Portable{Threads: 1}, methods...)
	if err == nil {
		sw.Starts, err = batch.Draw(p, "uniform", 1, 10)
	}
	return sw, err
}

// The gradient's test compares with the start, whatever the size of both: squares that overflow or vanish
// must not pass for convergence, nor hide it.
func TestGradientToleranceHasNoScale(t *testing.T) {
	sw, err := parse(t, parabola, "newton", "gd:lr=1e-300")
	if err != nil {
		t.Fatal(err)
	}
	sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{1e-150, 1e-100, 1e-60, 1, 1e60, 1e90, 1e150}}}
	rep, err := sw.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rep.Cells {
		n := c.Status[batch.Converged]
		if c.Method.Method.Name == "newton" && (n != 10 || c.IterationsMedian != 1) {
			t.Errorf("newton at alpha = %v: %d of 10 converged, after %v iterations; want all after 1", c.Params[0], n, c.IterationsMedian)
		}
		if c.Method.Method.Name == "gd" && n != 0 {
			t.Errorf("gd at alpha = %v: %d converged, where x does not move or jumps from side to side", c.Params[0], n)
		}
	}
	for s, err := range sw.Samples(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		want := 2 * s.Params[0] * s.Params[0] * math.Abs(s.X[0]-0.5)
		if math.IsInf(want, 0) || s.Status == batch.Diverged {
			continue
		}
		if !(math.Abs(s.GradNorm-want) <= 1e-6*want+1e-300) {
			t.Errorf("%v at alpha = %v: the gradient's norm is %v, want %v", s.Method, s.Params[0], s.GradNorm, want)
		}
	}
}

// TracePart needs no Run before it.
func TestTracePartAlone(t *testing.T) {
	sw := newSweep(t, "square", "pg")
	n := 0
	err := sw.TracePart(context.Background(), []int{0}, 3, 2, func(method int, p *batch.Path) error {
		if method != 0 || p.Start != n || len(p.X) != 2 {
			t.Errorf("path %d: method %d, start %d, %d rows", n, method, p.Start, len(p.X))
		}
		n++
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d paths, error %v; want 3", n, err)
	}
}

// The paths that TracePart shows are those that Trace keeps, which share no memory.
func TestTraceKeeps(t *testing.T) {
	sw := newSweep(t, "square", "pg")
	sw.Grid, sw.Starts = alphas(t, "0.5,1,4"), batch.Points{{3, 2}, {-1, 1}}
	paths, err := sw.Trace(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = sw.TracePart(context.Background(), []int{0, 1, 2}, sw.Starts.Len(), sw.Limits.Iterations+1, func(_ int, p *batch.Path) error {
		if n < len(paths) && !reflect.DeepEqual(*p, paths[n]) {
			t.Errorf("path %d: %v is kept, %v is shown", n, paths[n], *p)
		}
		n++
		return nil
	})
	if err != nil || n != 3*2 || len(paths) != n {
		t.Errorf("%d paths are shown, %d are kept, error %v", n, len(paths), err)
	}
}

// What would fail or mislead later is refused before anything runs.
func TestCheckRefuses(t *testing.T) {
	says := func(err error, words string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want one that says %q", err, words)
		}
	}
	sw := newSweep(t, "square", "gd")
	sw.Starts = batch.Points{{1, 2}, {3}}
	says(sw.Check(), "start 1 has 1 number;")
	_, err := sw.Trace(context.Background())
	says(err, "start 1 has 1 number;")

	p, err := problem.Builtin("square")
	if err != nil {
		t.Fatal(err)
	}
	_, err = batch.New(p, cpu.Portable{Threads: 1}, "gd", "gd:lr=0.01")
	says(err, "gd:lr=0.01 is given twice")

	_, err = parse(t, parabola+"[method.newtn]\nlr = 0.1\n", "gd")
	says(err, `[method.newtn]: unknown method "newtn" (did you mean "newton"?)`)
	_, err = parse(t, parabola+"[method.gd]\nlrr = 0.1\n", "newton")
	says(err, `[method.gd]: method gd has no setting "lrr"`)

	// A method of one's own may have settings in the file.
	sw, err = parse(t, parabola+"[method.mine]\nlr = 0.1\n")
	if err != nil {
		t.Fatal(err)
	}
	gd, err := batch.Lookup("gd")
	if err != nil {
		t.Fatal(err)
	}
	mine := *gd
	mine.Name = "mine"
	sw.Methods = []batch.Spec{{Method: &mine}}
	if err := sw.Check(); err != nil {
		t.Error(err)
	}
}
