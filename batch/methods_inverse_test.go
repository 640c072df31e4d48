package batch_test

import (
	"testing"

	"gonum.org/v1/gonum/floats"

	"invar/batch"
	"invar/problem"
)

// The numerical inverse gives the path of the analytic one on every problem that
// has an inverse. The two may part only where another x has the same y (sine), or
// where the inner solve ran out of evaluations, which counts as a fallback (pendulum,
// whose far starts are many turns of a spiral away).
func TestNumericInverseFollowsAnalytic(t *testing.T) {
	const iterations = 15
	names := 0
	for _, name := range problem.Builtins() {
		m := model(t, name)
		if m.Problem().Inverse == nil {
			continue
		}
		names++
		alphas := []float64{0.3, 1, 3}
		if name == "heat" {
			alphas = alphas[:2] // at 3 the inverse magnifies rounding errors 1e12 times
		}
		apart, total := 0, 0
		for _, alpha := range alphas {
			for _, lr := range []string{":lr=0.3", ":lr=0.7"} {
				starts := startsIn(m, 5, 21)
				fallbacks := outcomes(t, m, "pg-numeric"+lr, batch.Limits{Iterations: iterations}, params(m, alpha), starts)
				for s, start := range starts {
					total++
					want := path(t, m, "pg"+lr, alpha, iterations, start...)
					got := path(t, m, "pg-numeric"+lr, alpha, iterations, start...)
					for k := range min(len(want.X), len(got.X)) {
						if floats.Distance(got.X[k], want.X[k], 2) <= 1e-9*(1+floats.Norm(want.X[k], 2)) {
							continue
						}
						apart++
						sameY := floats.Distance(got.Y[k], want.Y[k], 2) <= 1e-9*(1+floats.Norm(want.Y[k], 2))
						if name != "sine" && name != "pendulum" || !sameY && fallbacks[s].fallbacks == 0 {
							t.Errorf("%s, alpha %v, lr %s, from %v: iterate %d is %v, by the analytic inverse %v", name, alpha, lr, start, k, got.X[k], want.X[k])
						}
						break
					}
					if k := min(len(want.X), len(got.X)); k < 5 && name != "linear1d" {
						t.Errorf("%s, alpha %v, lr %s, from %v: only %d iterates", name, alpha, lr, start, k)
					}
				}
			}
		}
		t.Logf("%-11s %d of %d paths part", name, apart, total)
		if apart > total/4 {
			t.Errorf("%s: %d of %d paths part", name, apart, total)
		}
	}
	if names < 8 {
		t.Errorf("%d problems with an inverse, want 8 or more", names)
	}
}

// The inner solve keeps to its budget. Going back to its best point costs one evaluation.
func TestInnerBudget(t *testing.T) {
	for _, name := range []string{"square", "rosenbrock", "himmelblau", "beale", "powell", "pendulum", "sine"} {
		m := model(t, name)
		most := 0
		for _, inner := range []int{1, 3, 40} {
			spec := specs(t, "pg-numeric")[0]
			spec.Set = map[string]float64{"inner": float64(inner)}
			for s, o := range outcomes(t, m, spec.String(), batch.Limits{Iterations: 1}, params(m, 5), startsIn(m, 20, 13)) {
				most = max(most, o.evaluations)
				if o.evaluations > inner+2 {
					t.Errorf("%s, inner=%d, start %d: %d evaluations in one iteration", name, inner, s, o.evaluations)
				}
			}
		}
		t.Logf("%s: at most %d evaluations in one iteration", name, most)
	}
}

// Three outputs of two inputs reach only a surface: the inner solve ends at the
// nearest point of it, without spending its budget there and without a fallback.
func TestInnerLeastSquares(t *testing.T) {
	m := parsed(t, `
name = "surface"
inputs = ["x0", "x1"]
outputs = ["x0", "x1 + 0.1*x0^2", "0.2*x0*x1"]
target = [1, 2, -1]
box = [[-1, 1], [-1, 1]]`)
	for s, o := range outcomes(t, m, "pg-numeric:lr=0.5", batch.Limits{Iterations: 40, GTol: 1e-6}, nil, startsIn(m, 20, 17)) {
		if o.status != batch.Converged || o.fallbacks != 0 {
			t.Errorf("start %d: %v with %d fallbacks at %v", s, o.status, o.fallbacks, o.x)
		}
		if o.evaluations > 20*o.iterations {
			t.Errorf("start %d: %d evaluations for %d iterations", s, o.evaluations, o.iterations)
		}
	}
}
