package batch_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// The derivatives by hand are those of the problem files: central differences of
// problem.Eval agree with them.
func TestHandDerivatives(t *testing.T) {
	for _, d := range byHand {
		m := model(t, d.name)
		p := m.Problem()
		const a = 1.7
		eval := func(x []float64) (y []float64, loss float64) {
			y, loss, err := p.Eval(map[string]float64{"alpha": a}, x)
			if err != nil {
				t.Fatal(err)
			}
			return y, loss
		}
		for _, x := range startsIn(m, 10, 1) {
			at := d.at(a, x)
			y, loss := eval(x)
			if !floats.EqualApprox(y, at.y, 1e-13*(1+floats.Norm(at.y, 2))) || !(math.Abs(loss-at.loss) <= 1e-13*(1+loss)) {
				t.Errorf("%s at %v: y = %v, L = %v; by hand %v, %v", d.name, x, y, loss, at.y, at.loss)
			}
			const h = 1e-5
			moved := func(i int, by float64) []float64 {
				z := append([]float64(nil), x...)
				z[i] += by
				return z
			}
			for i := range x {
				up, lossUp := eval(moved(i, h))
				down, lossDown := eval(moved(i, -h))
				if e := (lossUp-lossDown)/(2*h) - at.g[i]; !(math.Abs(e) <= 1e-6*(1+loss+floats.Norm(at.g, 2))) {
					t.Errorf("%s at %v: dL/dx%d is off by %g", d.name, x, i, e)
				}
				for k := range y {
					if e := (up[k]-down[k])/(2*h) - at.J.At(k, i); !(math.Abs(e) <= 1e-6*(1+math.Abs(y[k])+math.Abs(at.J.At(k, i)))) {
						t.Errorf("%s at %v: dy%d/dx%d is off by %g", d.name, x, k, i, e)
					}
				}
				gUp, gDown := d.at(a, moved(i, h)).g, d.at(a, moved(i, -h)).g
				for j := range x {
					if e := (gUp[j]-gDown[j])/(2*h) - at.H.At(j, i); !(math.Abs(e) <= 1e-6*(1+mat.Norm(at.H, 2))) {
						t.Errorf("%s at %v: d2L/dx%ddx%d is off by %g", d.name, x, j, i, e)
					}
				}
			}
		}
	}
}

// An update is a method's rule as its paper states it: the next iterate from a
// point. It may keep state. cond bounds how much rounding errors grow in it.
type update func(p point) (next []float64, cond float64)

// gradientRule is a rule that needs only the gradient, one coordinate at a time;
// it returns dx. state is the coordinate's own.
func gradientRule(rule func(g float64, state *[2]float64, k int) float64) func(*derived, float64) update {
	return func(*derived, float64) update {
		var states [4][2]float64
		k := 0
		return func(p point) ([]float64, float64) {
			k++
			x := append([]float64(nil), p.x...)
			for i, g := range p.g {
				x[i] += rule(g, &states[i], k)
			}
			return x, 1
		}
	}
}

// solved is x - lr A^-1 g.
func solved(p point, A *mat.Dense, lr float64) ([]float64, float64) {
	d, cond := solve(A, p.g)
	if d == nil {
		return nil, cond
	}
	return minus(p.x, scaled(lr, d)), cond
}

// direct is a rule without state.
func direct(rule func(p point) ([]float64, float64)) func(*derived, float64) update {
	return func(*derived, float64) update { return rule }
}

var referenceRules = []struct {
	spec  string
	rule  func(d *derived, alpha float64) update
	skips func(d *derived) bool // nil: none
}{
	{"gd:lr=0.0003", gradientRule(func(g float64, _ *[2]float64, _ int) float64 { return -0.0003 * g }), nil},
	{"momentum:lr=0.0003,beta=0.8", gradientRule(func(g float64, s *[2]float64, _ int) float64 {
		s[0] = 0.8*s[0] - 0.0003*g
		return s[0]
	}), nil},
	{"nesterov:lr=0.0003,beta=0.8", gradientRule(func(g float64, s *[2]float64, _ int) float64 {
		// Sutskever et al. keep theta and take the gradient at theta + beta v. The
		// iterates here are those look-ahead points: theta' + beta v' - (theta + beta v).
		before := s[0]
		s[0] = 0.8*before - 0.0003*g
		return s[0] + 0.8*s[0] - 0.8*before
	}), nil},
	{"adagrad:lr=0.2,eps=1e-4", gradientRule(func(g float64, s *[2]float64, _ int) float64 {
		s[0] += g * g
		return -0.2 * g / (math.Sqrt(s[0]) + 1e-4)
	}), nil},
	{"rmsprop:lr=0.02,rho=0.7,eps=1e-4", gradientRule(func(g float64, s *[2]float64, _ int) float64 {
		s[0] = 0.7*s[0] + (1-0.7)*g*g
		return -0.02 * g / (math.Sqrt(s[0]) + 1e-4)
	}), nil},
	{"adam:lr=0.05,beta1=0.8,beta2=0.99,eps=1e-4", gradientRule(func(g float64, s *[2]float64, k int) float64 {
		s[0] = 0.8*s[0] + (1-0.8)*g
		s[1] = 0.99*s[1] + (1-0.99)*g*g
		m, v := s[0]/(1-math.Pow(0.8, float64(k))), s[1]/(1-math.Pow(0.99, float64(k)))
		return -0.05 * m / (math.Sqrt(v) + 1e-4)
	}), nil},
	{"newton:lr=0.3", direct(func(p point) ([]float64, float64) {
		return solved(p, p.H, 0.3)
	}), nil},
	{"gn:lr=0.3", direct(func(p point) ([]float64, float64) {
		return solved(p, gram(p.J, p.w), 0.3)
	}), nil},
	{"ig:lr=0.3", direct(func(p point) ([]float64, float64) {
		d, cond := svdApply(p.J, scaled(-0.3/p.w, p.gy), -1)
		return sum(p.x, d), cond
	}), nil},
	{"hig:lr=0.1,rcond=1e-13", direct(func(p point) ([]float64, float64) {
		d, cond := svdApply(p.J, scaled(-0.1, p.gy), -0.5)
		return sum(p.x, d), cond
	}), nil},
	{"pg:lr=0.3", func(d *derived, alpha float64) update {
		return func(p point) ([]float64, float64) {
			_, cond := svdApply(p.J, p.y, -1)
			return d.invert(alpha, minus(p.y, scaled(0.3/p.w, p.gy)), p.x), cond
		}
	}, func(d *derived) bool { return d.invert == nil }},
}

// Each step of a traced path is the step that the method's paper prescribes there.
// State (velocities, moments) is the reference's own, from the first iterate on;
// the points are the path's, since rounding errors grow without bound along a
// path that diverges, and the rule is what is in question. On `square`, where paths
// are stable, the whole path is compared as well.
func TestUpdatesAgainstReference(t *testing.T) {
	for _, r := range referenceRules {
		worst, worstPath := 0.0, 0.0
		steps := 0
		for _, d := range byHand {
			if r.skips != nil && r.skips(d) {
				continue
			}
			m := model(t, d.name)
			for _, alpha := range []float64{0.3, 1, 7} {
				for _, start := range startsIn(m, 4, 7) {
					p := path(t, m, r.spec, alpha, 25, start...)
					next, free := r.rule(d, alpha), r.rule(d, alpha)
					x := start
					for k := 0; k+1 < len(p.X); k++ {
						want, cond := next(d.at(alpha, p.X[k]))
						if !(cond < 1e8) || !finite(want) || !finite(p.X[k+1]) {
							break
						}
						steps++
						size := 1 + floats.Norm(p.X[k], 2) + floats.Distance(want, p.X[k], 2)
						e := floats.Distance(p.X[k+1], want, 2) / (cond * size)
						worst = math.Max(worst, e)
						if !(e <= 2e-15) {
							t.Fatalf("%s on %s, alpha %v, step %d from %v: %v, want %v (condition %.2g)", r.spec, d.name, alpha, k, p.X[k], p.X[k+1], want, cond)
						}
						if d.name == "square" {
							x, _ = free(d.at(alpha, x))
							e := floats.Distance(p.X[k+1], x, 2)
							worstPath = math.Max(worstPath, e)
							if !(e <= 1e-14) {
								t.Fatalf("%s on square, alpha %v, iterate %d: %v, want %v", r.spec, alpha, k+1, p.X[k+1], x)
							}
						}
					}
				}
			}
		}
		t.Logf("%-45s %5d steps, largest error %.1e of cond |x|, along paths %.1e", r.spec, steps, worst, worstPath)
		if steps < 500 {
			t.Errorf("%s: %d steps compared, too few to mean anything", r.spec, steps)
		}
	}
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
