package batch_test

import (
	"context"
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/program/progtest"
)

const eps32 = 0x1p-23

// path32 is path in float32.
func path32(t testing.TB, m *graph.Model, spec string, alpha float64, iterations int, start ...float64) batch.Path {
	t.Helper()
	sw := &batch.Sweep{
		Model: m, Grid: batch.Grid{{Name: "alpha", Values: []float64{alpha}}}, Starts: batch.Points{start}, DType: program.F32,
		Methods: specs(t, spec), Limits: batch.Limits{Iterations: iterations}, Engine: &cpu.Portable{},
	}
	p, err := sw.Trace(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// Every method on every problem: the portable engine gives in float32 the bits of the plain evaluator, and float64 occurs
// in the elementary functions alone, each of which ends in a narrowing.
func TestFloat32Programs(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 32))
	for _, name := range problem.Builtins() {
		m := model(t, name)
		p := m.Problem()
		elementary := map[string]bool{"exponential": true, "pendulum": true, "sine": true}[name]
		for _, spec := range supported(m) {
			limits := batch.DefaultLimits(len(p.Minima) > 0)
			limits.Iterations = 8
			prog, err := batch.Compile(m, spec, batch.Options{Limits: limits, DType: program.F32})
			if err != nil {
				t.Fatal(err)
			}
			if err := prog.Validate(); err != nil {
				t.Fatal(err)
			}
			for _, s := range prog.Slots {
				if s.Type == program.F64 && !elementary {
					t.Errorf("%s %s: slot %s is f64", name, spec.Method.Name, s.Name)
				}
			}
			if got := prog.Step.Has(program.F64); got != elementary {
				t.Errorf("%s %s: float64 in a step: %v, want %v", name, spec.Method.Name, got, elementary)
			}
			want := prog.NewBatch(24)
			want.In = inputs(p, want.N, true, rnd)
			slots := append([]int(nil), prog.Results...)
			want.Trace = program.NewTrace(want.N, 4, slots)
			progtest.Reference(prog, want)
			got := prog.NewBatch(want.N)
			got.In, got.Trace = want.In, program.NewTrace(want.N, 4, slots)
			exe, err := cpu.Portable{Block: 16}.Compile(prog)
			if err != nil {
				t.Fatal(err)
			}
			if err := exe.Run(context.Background(), got); err != nil {
				t.Fatal(err)
			}
			for c := range got.Out {
				for s, v := range got.Out[c] {
					if !sameBits(v, want.Out[c][s]) {
						t.Fatalf("%s %s: sample %d, %s = %v, want %v", name, spec.Method.Name, s, prog.Slots[prog.Results[c]].Name, v, want.Out[c][s])
					}
					if prog.Slots[prog.Results[c]].Type == program.F32 && !sameBits(v, float64(float32(v))) {
						t.Fatalf("%s %s: sample %d, %s = %v is no float32", name, spec.Method.Name, s, prog.Slots[prog.Results[c]].Name, v)
					}
				}
			}
			for s := range got.Trace.Data {
				for i, v := range got.Trace.Data[s] {
					if !sameBits(v, want.Trace.Data[s][i]) {
						t.Fatalf("%s %s: sample %d: trace differs: %v, want %v", name, spec.Method.Name, s, v, want.Trace.Data[s][i])
					}
				}
			}
		}
	}
}

// The book's iterates were computed in float32; ours are the same but for the order of operations.
func TestFloat32Book(t *testing.T) {
	f, err := os.Open("testdata/book_iterates.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, "square")
	same, all := 0, 0
	for _, r := range rows[1:] {
		if r[0] == "pg-numeric" {
			continue
		}
		p := path32(t, m, r[0]+":lr="+r[1], 1, 10, 3, 3)
		double := path(t, m, r[0]+":lr="+r[1], 1, 10, 3, 3)
		k, err := strconv.Atoi(r[2])
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			want, err := strconv.ParseFloat(r[3+i], 64)
			if err != nil {
				t.Fatal(err)
			}
			got := p.X[k][i]
			// Each iteration may add a rounding or two.
			if tol := float64(k) * eps32 * math.Abs(want); !(math.Abs(got-want) <= tol) || !(math.Abs(got-double.X[k][i]) <= tol) {
				t.Errorf("%s iteration %d: x%d = %v, published %v, in float64 %v", r[0], k, i, got, want, double.X[k][i])
			}
			all++
			if float32(got) == float32(want) {
				same++
			}
		}
	}
	t.Logf("%d of %d published numbers to the last digit", same, all)
}

// The derivatives of every problem are those of float64 to rounding, where rounding is not blown up by the problem itself.
func TestFloat32Derivatives(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 32))
	for _, name := range problem.Builtins() {
		m := model(t, name)
		p := m.Problem()
		want := graph.Y | graph.Loss | graph.Grad | graph.Hess | graph.Jac | graph.GradY | graph.HessY
		build := func(float program.Type) *program.Func {
			b := program.NewBuilderOf(float, name)
			q, err := m.Emit(b, b.Inputs("p", len(p.Params)), b.Inputs("x", p.N()), want)
			if err != nil {
				t.Fatal(err)
			}
			return program.Optimize(b.Finish(q.Flat(want)...), true)
		}
		single, double := build(program.F32), build(program.F64)
		names := want.Names(p.N(), p.M())
		for range 50 {
			var in []float64
			for _, q := range p.Params {
				in = append(in, float64(float32(q.Default*(0.5+rnd.Float64()))))
			}
			for i := range p.N() {
				in = append(in, float64(float32(p.Box[i][0]+rnd.Float64()*(p.Box[i][1]-p.Box[i][0]))))
			}
			got, ref := single.EvalF64(in...), double.EvalF64(in...)
			size := 0.0 // sums cancel: an error is measured by the largest derivative
			for _, v := range ref {
				size = max(size, math.Abs(v))
			}
			for i := range got {
				if d := math.Abs(got[i] - ref[i]); !(d <= 300*eps32*size) {
					t.Errorf("%s at %v: %s = %v, in float64 %v", name, in, names[i], got[i], ref[i])
				}
			}
		}
	}
}

// The steps that invert are scale-invariant in float32 too, to rounding.
func TestFloat32Invariance(t *testing.T) {
	for _, name := range []string{"scale", "square"} {
		m := model(t, name)
		for _, c := range []struct {
			spec      string
			invariant bool
		}{{"newton:lr=0.3", true}, {"gn:lr=0.3", true}, {"ig:lr=0.3", true}, {"pg", true}, {"pg:lr=0.3", true}, {"lm", true}, {"gd", false}} {
			rep := report(t, &batch.Sweep{Model: m, Grid: alphas(t, "0.01:100"), Starts: drawn(t, m, 64), Methods: specs(t, c.spec),
				Limits: batch.DefaultLimits(true), DType: program.F32})
			worst := 0.0
			for _, cell := range rep.Cells {
				if !(cell.PathDeviation <= worst) {
					worst = cell.PathDeviation
				}
				if n := cell.Status[batch.Converged]; n != rep.Cells[0].Status[batch.Converged] && c.invariant {
					t.Errorf("%s %s: %d samples converge at alpha %v, %d at %v", name, c.spec, n, cell.Params[0], rep.Cells[0].Status[batch.Converged], rep.Cells[0].Params[0])
				}
			}
			t.Logf("%s %s: path deviation %.3g", name, c.spec, worst)
			if c.invariant && !(worst < 16*eps32) {
				t.Errorf("%s %s: path deviation %g, want below %g", name, c.spec, worst, 16*eps32)
			}
			if !c.invariant && !(worst > 1e-2) {
				t.Errorf("%s %s: path deviation %g, want it to depend on alpha", name, c.spec, worst)
			}
		}
	}
}

// With the default tolerances nearly as many samples converge in float32 as in float64, except where the problem loses all
// digits of a float32: heat's inverse multiplies errors by 5e6, powell's Hessian is singular at the minimum.
func TestFloat32Converges(t *testing.T) {
	for _, name := range problem.Builtins() {
		if name == "heat" || name == "powell" {
			continue
		}
		m := model(t, name)
		for _, spec := range supported(m) {
			run := func(dtype program.Type) batch.Cell {
				return report(t, &batch.Sweep{Model: m, Starts: drawn(t, m, 40), Methods: []batch.Spec{spec},
					Limits: batch.DefaultLimits(len(m.Problem().Minima) > 0), DType: dtype}).Cells[0]
			}
			single, double := run(program.F32), run(program.F64)
			a, b := single.Status[batch.Converged], double.Status[batch.Converged]
			if a < b-4 {
				t.Errorf("%s %s: %d of 40 samples converge in float32, %d in float64", name, spec.Method.Name, a, b)
			}
			t.Logf("%-12s %-12s converged: %3d, in float64 %3d", name, spec.Method.Name, a, b)
		}
	}
}

// What is run is what is reported: starts and parameters rounded once.
func TestFloat32Starts(t *testing.T) {
	m := model(t, "square")
	sw := &batch.Sweep{Model: m, Grid: alphas(t, "0.1"), Starts: batch.Points{{0.1, 1.0 / 3}}, Methods: specs(t, "gd"), Limits: batch.Limits{Iterations: 1},
		DType: program.F32, Engine: cpu.Portable{}}
	sw.Sink = func(c *batch.Chunk) error {
		for i, want := range []float64{float64(float32(0.1)), float64(float32(0.1)), float64(float32(1.0 / 3))} {
			if got := c.Batch.In[i][0]; got != want {
				t.Errorf("input %d is %v, want %v", i, got, want)
			}
		}
		return nil
	}
	if _, err := sw.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	p := path32(t, m, "gd", 1, 1, 0.1, 1.0/3)
	if p.X[0][0] != float64(float32(0.1)) {
		t.Errorf("the path starts at %v", p.X[0])
	}
}

// What float32 cannot do is refused in one line.
func TestFloat32Refusals(t *testing.T) {
	m := model(t, "square")
	good := batch.Sweep{Model: m, Starts: drawn(t, m, 3), Methods: specs(t, "gd"), Limits: batch.DefaultLimits(true), DType: program.F32, Engine: cpu.Portable{}}
	for _, c := range []struct {
		want   string
		damage func(sw *batch.Sweep)
	}{
		{"alpha = 1e+39 is +Inf in float32", func(sw *batch.Sweep) { sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{1, 1e39}}} }},
		{"alpha = 1e-50 is 0 in float32", func(sw *batch.Sweep) { sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{1e-50}}} }},
		{"gorgonia engine computes in float64 only", func(sw *batch.Sweep) { sw.Split = true }},
		{"method lm: lambda = 1e+300 is +Inf in float32", func(sw *batch.Sweep) { sw.Methods = specs(t, "lm:lambda=1e300") }},
		{"method lm: lambda = 1e-60 is 0 in float32", func(sw *batch.Sweep) { sw.Methods = specs(t, "lm:lambda=1e-60") }},
		{"numbers of type bool", func(sw *batch.Sweep) { sw.DType = program.Bool }},
	} {
		sw := good
		c.damage(&sw)
		_, err := sw.Run(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	if _, err := batch.ParseDType("float23"); err == nil || !strings.Contains(err.Error(), `did you mean "float32"?`) {
		t.Errorf("error %v", err)
	}
	for _, name := range batch.DTypes {
		if d, err := batch.ParseDType(name); err != nil || batch.DTypeName(d) != name {
			t.Errorf("%s is read as %v: %v", name, d, err)
		}
	}
}

// A Jacobian that is singular but for the rounding of float32 counts as singular, and the least of the steps is taken.
func TestFloat32Rank(t *testing.T) {
	p, err := problem.Parse("plane.toml", []byte(`
inputs  = ["a", "b"]
outputs = ["alpha*(a + b/3)", "0.7*alpha*(a + b/3)"]
target  = [1, 0.7]
box     = [[-1, 1], [-1, 1]]
[params]
alpha = 1
`))
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		t.Fatal(err)
	}
	sw := &batch.Sweep{Model: m, Grid: alphas(t, "0.5:2:50"), Starts: drawn(t, m, 20), Methods: specs(t, "ig", "pg-numeric"), Limits: batch.Limits{Iterations: 3},
		DType: program.F32, Engine: cpu.Portable{}}
	for s, err := range sw.Samples(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		// a + b/3 must become 1/alpha: at most 2 along (3, 1)/sqrt(10) times 3/sqrt(10), from within 4/3 of 0.
		if d := math.Hypot(s.X[0]-s.X0[0], s.X[1]-s.X0[1]); !(d <= 3.6) || s.Fallbacks == 0 {
			t.Errorf("%s at alpha %v from %v ends at %v, with %d fallbacks", s.Method, s.Params, s.X0, s.X, s.Fallbacks)
		}
	}
}

// An inner solve ends when float32 has no digits left: it takes no more evaluations than in float64.
func TestFloat32InnerSolve(t *testing.T) {
	for _, name := range []string{"square", "rosenbrock", "exponential"} {
		m := model(t, name)
		evaluations := func(dtype program.Type) int64 {
			return report(t, &batch.Sweep{Model: m, Starts: drawn(t, m, 50), Methods: specs(t, "pg-numeric"), Limits: batch.DefaultLimits(true), DType: dtype}).Cells[0].Evaluations
		}
		single, double := evaluations(program.F32), evaluations(program.F64)
		t.Logf("%s: %d evaluations, in float64 %d", name, single, double)
		if single > double {
			t.Errorf("%s: %d evaluations in float32, %d in float64", name, single, double)
		}
	}
}
