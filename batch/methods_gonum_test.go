package batch_test

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"invar/batch"
)

// arrival ends a run of gonum's at the first iterate within tol of a minimum.
type arrival struct {
	minima      [][]float64
	tol         float64
	evaluations int       // of the loss, so far
	x           []float64 // the iterate that arrived; nil: none did
}

var errArrived = errors.New("arrived")

func (a *arrival) Init() error { return nil }

func (a *arrival) Record(l *optimize.Location, op optimize.Operation, _ *optimize.Stats) error {
	if op != optimize.MajorIteration {
		return nil
	}
	for _, m := range a.minima {
		if floats.Distance(l.X, m, 2) <= a.tol {
			a.x = append([]float64(nil), l.X...)
			return errArrived
		}
	}
	return nil
}

// gonum runs a method of gonum's on a problem derived by hand until it is within tol of a minimum.
func gonum(d *derived, alpha float64, minima [][]float64, tol float64, method optimize.Method, iterations int, start []float64) *arrival {
	a := &arrival{minima: minima, tol: tol}
	p := optimize.Problem{
		Func: func(x []float64) float64 { a.evaluations++; return d.at(alpha, x).loss },
		Grad: func(g, x []float64) { copy(g, d.at(alpha, x).g) },
		Hess: func(h *mat.SymDense, x []float64) {
			H := d.at(alpha, x).H
			for i := range x {
				for j := range i + 1 {
					h.SetSym(i, j, H.At(i, j))
				}
			}
		},
	}
	// The error is errArrived, or says that the method gave up: then a.x is nil.
	_, _ = optimize.Minimize(p, start, &optimize.Settings{Converger: optimize.NeverTerminate{}, Recorder: a, MajorIterations: iterations}, method)
	return a
}

// minimaOf are a problem's known minima, of formulas without parameters.
func minimaOf(t testing.TB, name string) [][]float64 {
	t.Helper()
	var all [][]float64
	for _, q := range model(t, name).Problem().Minima {
		var x []float64
		for _, e := range q {
			v, err := e.Eval(nil)
			if err != nil {
				t.Fatal(err)
			}
			x = append(x, v)
		}
		all = append(all, x)
	}
	return all
}

// From the same random starts the line-search methods arrive about as often as
// gonum's, at the same minimum where there is one only, and with about as many evaluations.
func TestLineSearchMethodsAgainstGonum(t *testing.T) {
	never := math.NaN() // gonum's methods then do not stop by themselves
	methods := []struct {
		spec  string
		gonum func() optimize.Method
	}{
		{"newton-ls", func() optimize.Method { return &optimize.Newton{GradStopThreshold: never} }},
		{"bfgs", func() optimize.Method { return &optimize.BFGS{GradStopThreshold: never} }},
		{"lbfgs", func() optimize.Method { return &optimize.LBFGS{GradStopThreshold: never, Store: 5} }},
	}
	const n, tol, iterations = 40, 1e-6, 200
	for _, c := range []struct {
		name   string
		alphas []float64
	}{
		{"rosenbrock", []float64{1, 10, 100, 1000}}, {"beale", []float64{1, 10}}, {"himmelblau", []float64{1, 10}},
		{"powell", []float64{1, 3}}, {"exponential", []float64{0.1, 1, 10}}, {"square", []float64{1, 100}},
	} {
		m, d, minima := model(t, c.name), handDerived(c.name), minimaOf(t, c.name)
		starts := startsIn(m, n, 11)
		for _, alpha := range c.alphas {
			for _, method := range methods {
				spec := method.spec
				var ours, theirs []float64
				for s, o := range outcomes(t, m, spec, batch.Limits{Iterations: iterations, DTol: tol}, params(m, alpha), starts) {
					g := gonum(d, alpha, minima, tol, method.gonum(), iterations, starts[s])
					if o.status == batch.Converged {
						ours = append(ours, float64(o.evaluations))
					}
					if g.x != nil {
						theirs = append(theirs, float64(g.evaluations))
					}
					if len(minima) == 1 && o.status == batch.Converged && g.x != nil && !(floats.Distance(o.x, g.x, 2) <= 2*tol) {
						t.Errorf("%s on %s, alpha %v, from %v: %v, gonum %v", spec, c.name, alpha, starts[s], o.x, g.x)
					}
				}
				a, b := median(ours), median(theirs)
				t.Logf("%-11s alpha %-4v %-9s: %2d of %d converged with %3.0f evaluations, gonum %2d with %3.0f", c.name, alpha, spec, len(ours), n, a, len(theirs), b)
				if len(ours) < len(theirs)-2 {
					t.Errorf("%s on %s, alpha %v: %d of %d converged, gonum %d", spec, c.name, alpha, len(ours), n, len(theirs))
				}
				if len(ours) < n && c.name != "beale" && !(c.name == "exponential" && alpha == 10) {
					t.Errorf("%s on %s, alpha %v: only %d of %d converged", spec, c.name, alpha, len(ours), n)
				}
				if !(a <= 1.5*b+3) {
					t.Errorf("%s on %s, alpha %v: %v evaluations in the median, gonum %v", spec, c.name, alpha, a, b)
				}
			}
		}
	}
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return math.Inf(1)
	}
	y := append([]float64(nil), x...)
	floats.Argsort(y, make([]int, len(y)))
	return y[(len(y)-1)/2]
}
