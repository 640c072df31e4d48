package batch_test

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
)

// results runs prog for the samples in (by column) and returns the result columns.
func results(t testing.TB, e program.Engine, prog *program.Program, in [][]float64) [][]float64 {
	t.Helper()
	exe, err := e.Compile(prog)
	if err != nil {
		t.Fatal(err)
	}
	b := prog.NewBatch(len(in[0]))
	b.In = in
	if err := exe.Run(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return b.Out
}

// inputs are n samples of a problem: parameters about their defaults, starts in the box,
// and now and then something nasty.
func inputs(p *problem.Problem, n int, nasty bool, rnd *rand.Rand) [][]float64 {
	var in [][]float64
	for range len(p.Params) + p.N() {
		in = append(in, make([]float64, n))
	}
	for s := 0; s < n; s++ {
		for i, q := range p.Params {
			in[i][s] = q.Default * math.Exp(rnd.NormFloat64())
		}
		for i := 0; i < p.N(); i++ {
			x := p.Box[i][0] + rnd.Float64()*(p.Box[i][1]-p.Box[i][0])
			if nasty && rnd.IntN(5) == 0 {
				x = []float64{0, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324}[rnd.IntN(6)]
			}
			in[len(p.Params)+i][s] = x
		}
	}
	return in
}

func permuted(in [][]float64, order []int) [][]float64 {
	out := make([][]float64, len(in))
	for i := range in {
		out[i] = make([]float64, len(order))
		for k, s := range order {
			out[i][k] = in[i][s]
		}
	}
	return out
}

// A sample's result is the same alone, shuffled, in any block size, and whatever
// its neighbours do.
func TestSamplesAreIndependent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range problem.Builtins() {
		m := model(t, name)
		for _, spec := range supported(m) {
			limits := batch.DefaultLimits(len(m.Problem().Minima) > 0)
			limits.Iterations = 25
			prog, err := batch.Compile(m, spec, batch.Options{Limits: limits})
			if err != nil {
				t.Fatal(err)
			}
			const n = 33
			in := inputs(m.Problem(), n, true, rnd)
			want := results(t, &cpu.Portable{Block: 16}, prog, in)
			check := func(what string, got [][]float64, order []int) {
				t.Helper()
				for c := range got {
					for k, s := range order {
						if !sameBits(got[c][k], want[c][s]) {
							t.Fatalf("%s %s, %s: sample %d, %s = %v, want %v", name, spec.Method.Name, what, s,
								prog.Slots[prog.Results[c]].Name, got[c][k], want[c][s])
						}
					}
				}
			}
			order := rnd.Perm(n)
			check("shuffled", results(t, &cpu.Portable{Block: 16}, prog, permuted(in, order)), order)
			whole := make([]int, n)
			for i := range whole {
				whole[i] = i
			}
			for _, block := range []int{1, 7, 64} {
				check("other blocks", results(t, &cpu.Portable{Block: block}, prog, in), whole)
			}
			for _, s := range []int{0, 11, n - 1} {
				check("alone", results(t, &cpu.Portable{}, prog, permuted(in, []int{s})), []int{s})
			}
		}
	}
}

// The number of threads changes nothing but the time.
func TestThreads(t *testing.T) {
	m := model(t, "square")
	run := func(threads int) *batch.Report {
		return report(t, &batch.Sweep{Model: m, Grid: alphas(t, "0.1:10:5"), Starts: drawn(t, m, 777), Methods: specs(t, "gd,bfgs,pg"),
			Limits: batch.DefaultLimits(true), Threads: threads})
	}
	want := run(1)
	for _, threads := range []int{2, 7} {
		got := run(threads)
		for i := range want.Cells {
			a, b := want.Cells[i], got.Cells[i]
			if a.Status[batch.Converged] != b.Status[batch.Converged] || !sameBits(a.LossMedian, b.LossMedian) || !sameBits(a.DistanceMedian, b.DistanceMedian) ||
				!sameBits(a.IterationsP90, b.IterationsP90) || a.Evaluations != b.Evaluations || !sameBits(a.PathDeviation, b.PathDeviation) || !reflect.DeepEqual(a.Best, b.Best) {
				t.Errorf("%d threads: cell %d differs: %+v, want %+v", threads, i, b, a)
			}
		}
	}
}

// Sink gets the chunks in order, whatever the number of threads; its error ends the sweep.
func TestSink(t *testing.T) {
	m := model(t, "square")
	sw := &batch.Sweep{Model: m, Starts: drawn(t, m, 5*batch.ChunkSize+1), Methods: specs(t, "gn,pg"), Limits: batch.DefaultLimits(true), Engine: &cpu.Portable{}, Threads: 4}
	next := 0
	sw.Sink = func(c *batch.Chunk) error {
		if at := 6*c.Method + c.Index; at != next {
			t.Errorf("chunk %d came, want %d", at, next)
		}
		next++
		return nil
	}
	if _, err := sw.Run(context.Background()); err != nil || next != 12 {
		t.Errorf("%d chunks, error %v", next, err)
	}
	next = 0
	sw.Sink = func(c *batch.Chunk) error { next++; return io.ErrShortWrite }
	if _, err := sw.Run(context.Background()); err != io.ErrShortWrite || next != 1 {
		t.Errorf("%d chunks, error %v, want that of Sink at the first", next, err)
	}
}

// Gorgonia's tape machine evaluates the same problem independently: the same
// iterates to rounding, and the same statuses. The samples are such that rounding is
// not blown up by the problem itself: at large alpha heat's Jacobian loses all digits, and Newton steps from the outer
// part of pendulum's box wander chaotically.
func TestGorgoniaAgrees(t *testing.T) {
	tame := map[string]struct{ alpha, box float64 }{"heat": {0.1, 1}, "pendulum": {1, 0.25}}
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, name := range problem.Builtins() {
		m := model(t, name)
		p := m.Problem()
		for _, spec := range supported(m) {
			t.Run(name+"/"+spec.Method.Name, func(t *testing.T) {
				limits := batch.DefaultLimits(len(p.Minima) > 0)
				limits.Iterations = 12
				prog, err := batch.Compile(m, spec, batch.Options{Limits: limits, Split: true})
				if err != nil {
					t.Fatal(err)
				}
				const n = 6
				in := inputs(p, n, false, rnd)
				if c, ok := tame[name]; ok {
					for s := 0; s < n; s++ {
						in[0][s] = c.alpha
						for i := len(p.Params); i < len(in); i++ {
							in[i][s] *= c.box
						}
					}
				}
				a := results(t, &cpu.Portable{}, prog, in)
				b := results(t, graph.NewTapeEngine(m, n), prog, in)
				status := batch.Column(prog, "status")
				for s := 0; s < n; s++ {
					sa, sb := batch.Status(a[status][s]), batch.Status(b[status][s])
					// A fixed point of the method may be met exactly or to the last bit.
					stuck := func(st batch.Status) bool { return st == batch.StepTooSmall || st == batch.IterationLimit }
					if sa != sb && !(stuck(sa) && stuck(sb)) {
						t.Errorf("sample %d: portable %v, gorgonia %v", s, sa, sb)
						continue
					}
					for i := 0; i < p.N(); i++ {
						x, y := a[i][s], b[i][s]
						if sameBits(x, y) || sa == batch.Diverged {
							continue
						}
						if d := math.Abs(x - y); !(d <= 1e-6*math.Max(1, math.Abs(x))) {
							t.Errorf("sample %d: x%d portable %v, gorgonia %v", s, i, x, y)
						}
					}
				}
			})
		}
	}
}

// The cells that were complete survive an interruption.
func TestInterrupted(t *testing.T) {
	m := model(t, "square")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sw := &batch.Sweep{Model: m, Grid: alphas(t, "0.01:100"), Starts: drawn(t, m, 20000), Methods: specs(t, "gd,adam"),
		Limits: batch.Limits{Iterations: 200}, Engine: &cpu.Portable{}, Threads: 1}
	sw.Progress = func(p batch.Progress) {
		if p.Done > p.Total/4 {
			cancel()
		}
	}
	rep, err := sw.Run(ctx)
	if err != context.Canceled {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	if n := len(rep.Cells); n == 0 || n >= 2*rep.Points {
		t.Errorf("%d complete cells of %d", n, 2*rep.Points)
	}
	for _, c := range rep.Cells {
		total := 0
		for st, n := range c.Status {
			if st == batch.Running {
				t.Errorf("a cell with running samples was reported")
			}
			total += n
		}
		if total != c.Samples {
			t.Errorf("a cell of %d samples reports %d", c.Samples, total)
		}
	}
}

// What is wrong with a sweep is said before anything runs.
func TestCheck(t *testing.T) {
	m := model(t, "himmelblau")
	ok := func() *batch.Sweep {
		return &batch.Sweep{Model: m, Starts: batch.Points{{1, 1}}, Methods: specs(t, "gd"), Engine: &cpu.Portable{}}
	}
	if err := ok().Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*batch.Sweep){
		"no methods":    func(s *batch.Sweep) { s.Methods = nil },
		"no starts":     func(s *batch.Sweep) { s.Starts = batch.Points{} },
		"no inverse":    func(s *batch.Sweep) { s.Methods = specs(t, "pg") },
		"unknown param": func(s *batch.Sweep) { s.Grid = batch.Grid{{Name: "beta", Values: []float64{1}}} },
		"param twice":   func(s *batch.Sweep) { s.Grid = append(alphas(t, "1"), alphas(t, "2")...) },
		"value twice":   func(s *batch.Sweep) { s.Grid = alphas(t, "1,2,1") },
		"value twice in float32": func(s *batch.Sweep) {
			s.DType, s.Grid = program.F32, alphas(t, "1,2,1.00000000001")
		},
		"empty axis":           func(s *batch.Sweep) { s.Grid = batch.Grid{{Name: "alpha"}} },
		"unknown setting":      func(s *batch.Sweep) { s.Methods[0].Set = map[string]float64{"rate": 1} },
		"setting not in range": func(s *batch.Sweep) { s.Methods[0].Set = map[string]float64{"lr": math.NaN()} },
	} {
		sw := ok()
		spoil(sw)
		if err := sw.Check(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
