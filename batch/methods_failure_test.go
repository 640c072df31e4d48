package batch_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
)

const inX1 = "\nbox = [[-3, 3], [-3, 3]]\n"

// failures are problems on which methods cannot go on, with what they must say.
// The same table reaches every status, see TestStatuses.
var failures = []struct {
	what    string
	problem string // a built-in name, or a problem file
	methods string // "all", or a list
	start   []float64
	limits  batch.Limits
	status  batch.Status
	// evaluations of the problem, and whether fallbacks must be counted
	evaluations int // 0: any number
	fallbacks   bool
}{
	{"at a minimum", "square", "all", []float64{0, 0}, batch.Limits{Iterations: 50, DTol: 1e-6}, batch.Converged, 1, false},
	{"at a minimum, no test", "square", "all", []float64{0, 0}, batch.Limits{Iterations: 50}, batch.StepTooSmall, 1, false},
	{"at a maximum", "name = \"hill\"\ninputs = [\"x0\", \"x1\"]\noutputs = [\"x0\", \"x1\"]\nloss = \"cos(y0) + cos(y1)\"" + inX1, "all",
		[]float64{0, 0}, batch.Limits{Iterations: 50, LTol: 1e-6}, batch.StepTooSmall, 0, false},
	{"a step below xtol", "square", "gd:lr=1e-9", []float64{1, 1}, batch.Limits{Iterations: 50, XTol: 1e-6}, batch.StepTooSmall, 1, false},
	{"a NaN", "rosenbrock", "all", []float64{math.NaN(), 0}, batch.Limits{Iterations: 50, DTol: 1e-6, GTol: 1e-6, LTol: 1e-6, XTol: 1e-6}, batch.Diverged, 1, false},
	{"an infinity", "rosenbrock", "all", []float64{1, math.Inf(-1)}, batch.Limits{Iterations: 50, DTol: 1e-6, GTol: 1e-6, LTol: 1e-6, XTol: 1e-6}, batch.Diverged, 1, false},
	{"overflow", "rosenbrock", "all", []float64{1e200, 0}, batch.Limits{Iterations: 50, DTol: 1e-6}, batch.Diverged, 1, false},
	{"a large rate", "rosenbrock", "gd:lr=1", []float64{2, 2}, batch.Limits{Iterations: 50, DTol: 1e-6}, batch.Diverged, 0, false},
	{"no iterations", "rosenbrock", "all", []float64{2, 2}, batch.Limits{DTol: 1e-6}, batch.IterationLimit, 1, false},
	{"one iteration", "himmelblau", "all", []float64{3.5, 2.5}, batch.Limits{Iterations: 1}, batch.IterationLimit, 0, false},
	{"a singular Hessian", "square", "newton:lr=0.1", []float64{3, 0}, batch.Limits{Iterations: 20}, batch.IterationLimit, 21, true},
	{"a singular Gauss-Newton matrix", "square", "gn:lr=0.1", []float64{3, 0}, batch.Limits{Iterations: 20}, batch.IterationLimit, 21, true},
	{"a singular Jacobian", "square", "ig:lr=0.1", []float64{3, 0}, batch.Limits{Iterations: 20}, batch.IterationLimit, 21, true},
	{"a singular Jacobian", "square", "hig:lr=0.1", []float64{3, 0}, batch.Limits{Iterations: 20}, batch.IterationLimit, 21, true},
	{"a singular Jacobian", "square", "pg-numeric:lr=0.1", []float64{3, 0}, batch.Limits{Iterations: 20}, batch.IterationLimit, 0, true},
	{"a linear loss", "linear1d", "newton;newton-ls;gn;ig;pg;pg-numeric", []float64{0.5}, batch.Limits{Iterations: 5}, batch.IterationLimit, 0, true},
	// The derivative of the second output is that of the side x lies on: downhill, but over a cliff.
	{"a cliff", "name = \"cliff\"\ninputs = [\"x0\", \"x1\"]\noutputs = [\"x0\", \"x1 + if(x1 < 1, 5, 0)\"]\nloss = \"y0^2 + y1^2\"" + inX1,
		"newton-ls;bfgs;lbfgs", []float64{0, 1}, batch.Limits{Iterations: 50}, batch.LineSearchFailed, 0, false},
	{"a wall of NaN", "name = \"wall\"\ninputs = [\"x0\", \"x1\"]\noutputs = [\"x0\", \"x1 + if(x1 < 1, 0/0, 0)\"]\nloss = \"y0^2 + y1^2\"" + inX1,
		"newton-ls;bfgs;lbfgs", []float64{0, 1}, batch.Limits{Iterations: 50}, batch.LineSearchFailed, 0, false},
	{"a wall of NaN", "name = \"wall\"\ninputs = [\"x0\", \"x1\"]\noutputs = [\"x0\", \"x1 + if(x1 < 1, 0/0, 0)\"]\nloss = \"y0^2 + y1^2\"" + inX1,
		"lm", []float64{0, 1}, batch.Limits{Iterations: 50}, batch.StepTooSmall, 0, false},
	{"a wall of NaN", "name = \"wall\"\ninputs = [\"x0\", \"x1\"]\noutputs = [\"x0\", \"x1 + if(x1 < 1, 0/0, 0)\"]\nloss = \"y0^2 + y1^2\"" + inX1,
		"pg-numeric", []float64{0, 1}, batch.Limits{Iterations: 50}, batch.LineSearchFailed, 0, false},
	// The second derivative of |y|^1.5 is infinite at 0, the first is 0.
	{"an infinite Hessian", "name = \"edge\"\ninputs = [\"x0\", \"x1\"]\noutputs = [\"x0\", \"x1\"]\nloss = \"y0^2 + y1^1.5\"" + inX1,
		"lm", []float64{1, 0}, batch.Limits{Iterations: 50}, batch.Singular, 1, false},
}

// eachFailure runs the table.
func eachFailure(t *testing.T, check func(what string, row int, o outcome)) {
	for row, f := range failures {
		var m *graph.Model
		if strings.Contains(f.problem, "\n") {
			m = parsed(t, f.problem)
		} else {
			m = model(t, f.problem)
		}
		list := strings.Split(f.methods, ";")
		if f.methods == "all" {
			list = nil
			for _, s := range supported(m) {
				list = append(list, s.Method.Name)
			}
		}
		for _, spec := range list {
			o := outcomes(t, m, spec, f.limits, params(m, 1), [][]float64{f.start})[0]
			check(fmt.Sprintf("%s: %s on %s", f.what, spec, m.Problem().Name), row, o)
		}
	}
}

// What cannot go on ends, at once where that can be known, and says why.
func TestFailures(t *testing.T) {
	eachFailure(t, func(what string, row int, o outcome) {
		f := failures[row]
		if o.status != f.status {
			t.Errorf("%s: %v after %d iterations at %v, want %v", what, o.status, o.iterations, o.x, f.status)
		}
		if f.evaluations > 0 && o.evaluations != f.evaluations {
			t.Errorf("%s: %d evaluations, want %d", what, o.evaluations, f.evaluations)
		}
		if f.fallbacks != (o.fallbacks > 0) {
			t.Errorf("%s: %d fallbacks counted", what, o.fallbacks)
		}
		if o.status == batch.IterationLimit && o.iterations != f.limits.Iterations {
			t.Errorf("%s: %d iterations, the limit is %d", what, o.iterations, f.limits.Iterations)
		}
		if o.evaluations > 64*f.limits.Iterations+1 {
			t.Errorf("%s: %d evaluations in %d iterations", what, o.evaluations, f.limits.Iterations)
		}
	})
}

// Every status is reached by some sample.
func TestStatuses(t *testing.T) {
	seen := map[batch.Status]int{}
	eachFailure(t, func(_ string, _ int, o outcome) { seen[o.status]++ })
	for _, s := range batch.Statuses() {
		if seen[s] == 0 {
			t.Errorf("no sample ends with status %q", s)
		}
	}
	if seen[batch.Running] > 0 {
		t.Errorf("%d samples never ended", seen[batch.Running])
	}
}

// Whatever the start and the problem, a sample ends within its bound of evaluations.
func TestEvaluationBound(t *testing.T) {
	const iterations = 10
	nasty := []float64{0, 1e-300, 1e9, -1e100, 1e300, 0.5, -2}
	for _, name := range problem.Builtins() {
		m := model(t, name)
		n := m.Problem().N()
		starts := startsIn(m, 4, 19)
		for k := range nasty {
			x := make([]float64, n)
			for i := range x {
				x[i] = nasty[(k+3*i)%len(nasty)]
			}
			starts = append(starts, x)
		}
		for _, spec := range supported(m) {
			for s, o := range outcomes(t, m, spec.Method.Name, batch.Limits{Iterations: iterations}, params(m, 30), starts) {
				if o.status == batch.Running || o.evaluations > 64*iterations+1 || o.iterations > iterations || o.evaluations < o.iterations+1 {
					t.Errorf("%s on %s from %v: %v, %d evaluations, %d iterations", spec.Method.Name, name, starts[s], o.status, o.evaluations, o.iterations)
				}
			}
		}
	}
}

// A method that never accepts a trial ends at the bound as well.
func TestEndlessMethod(t *testing.T) {
	m := model(t, "square")
	stubborn := &batch.Method{Name: "stubborn", Step: func(s *batch.Step) {
		s.Accept(s.B(false))
		s.Move(s.Grad)
	}}
	prog, err := batch.Compile(m, batch.Spec{Method: stubborn}, batch.Options{Limits: batch.Limits{Iterations: 3}})
	if err != nil {
		t.Fatal(err)
	}
	out := results(t, &cpu.Portable{}, prog, [][]float64{{1e-3}, {1}, {1}})
	status, evaluations := batch.Status(out[batch.Column(prog, "status")][0]), out[batch.Column(prog, "evaluations")][0]
	if status != batch.IterationLimit || evaluations != 3*64+1 {
		t.Errorf("%v after %v evaluations, want %v after %d", status, evaluations, batch.IterationLimit, 3*64+1)
	}
}

// large is a problem of the largest size, with an inverse that is a mere guess from
// the first 16 outputs.
func large(t testing.TB) *graph.Model {
	var in, out, inv, box []string
	for i := range 16 {
		in = append(in, fmt.Sprintf(`"x%d"`, i))
		box = append(box, "[-1, 1]")
		inv = append(inv, fmt.Sprintf(`"x%d + 0.5*(y%d - x%d - 0.1*x%d^2)"`, i, i, i, (i+1)%16))
	}
	for k := range 64 {
		i, j := k%16, (k+1+k/16)%16
		out = append(out, fmt.Sprintf(`"x%d + alpha*%v*x%d^2"`, i, 0.1*float64(1+k/16), j))
	}
	return parsed(t, fmt.Sprintf("name = \"large\"\ninputs = [%s]\noutputs = [%s]\ntarget = [%s0]\ninverse = [%s]\nminima = [[%s0]]\nbox = [%s]\nparams = {alpha = 1}\n",
		strings.Join(in, ", "), strings.Join(out, ", "), strings.Repeat("0, ", 63), strings.Join(inv, ", "), strings.Repeat("0, ", 15), strings.Join(box, ", ")))
}

// The largest problems allowed compile to programs of a bearable size, and run.
func TestLargestProblem(t *testing.T) {
	m := large(t)
	starts := startsIn(m, 2, 23)
	for _, spec := range supported(m) {
		prog, err := batch.Compile(m, spec, batch.Options{Limits: batch.DefaultLimits(true)})
		if err != nil {
			t.Fatal(err)
		}
		var ended []string
		for _, o := range outcomes(t, m, spec.Method.Name, batch.Limits{Iterations: 8, DTol: 1e-6}, params(m, 1), starts) {
			ended = append(ended, fmt.Sprintf("%v (L = %.1e)", o.status, o.loss))
			if o.status == batch.Running || math.IsNaN(o.loss) {
				t.Errorf("%s: %v, loss %v", spec.Method.Name, o.status, o.loss)
			}
		}
		t.Logf("%-10s %6d instructions, %5d slots: %s", spec.Method.Name, len(prog.Step.Instrs), len(prog.Slots), strings.Join(ended, ", "))
		if len(prog.Step.Instrs) > 30000 {
			t.Errorf("%s: %d instructions", spec.Method.Name, len(prog.Step.Instrs))
		}
	}
}
