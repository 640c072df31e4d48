package batch_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/program"
)

// marquardt is Levenberg-Marquardt with Nielsen's damping and Moré's scaling as
// their papers state it, in loops: the accepted iterates with the damping after
// each, and the number of evaluations.
func marquardt(d *derived, alpha, lambda float64, iterations int, start []float64) (x [][]float64, damping []float64, evaluations int) {
	n := len(start)
	scale := make([]float64, n)
	p := d.at(alpha, start)
	evaluations = 1
	x, damping = [][]float64{start}, []float64{lambda}
	nu := 2.0
	for len(x) <= iterations && evaluations < 1000 {
		A := gram(p.J, p.w)
		M := mat.NewSymDense(n, nil)
		for i := range n {
			scale[i] = math.Max(scale[i], A.At(i, i))
			for j := range i + 1 {
				M.SetSym(i, j, A.At(i, j))
			}
			M.SetSym(i, i, A.At(i, i)+lambda*scale[i])
		}
		var c mat.Cholesky
		if !c.Factorize(M) {
			return x, damping, evaluations
		}
		var h mat.VecDense
		// Ill-conditioned is as good as it gets at a singular minimum.
		_ = c.SolveVecTo(&h, mat.NewVecDense(n, p.g))
		dx := scaled(-1, h.RawVector().Data)
		q := d.at(alpha, sum(p.x, dx))
		evaluations++
		predicted := -floats.Dot(p.g, dx) - floats.Dot(dx, times(A, dx))/2
		if ratio := (p.loss - q.loss) / predicted; ratio > 0 {
			lambda *= math.Max(1./3, 1-math.Pow(2*ratio-1, 3))
			nu = 2
			p = q
			x, damping = append(x, p.x), append(damping, lambda)
		} else {
			lambda *= nu
			nu *= 2
		}
	}
	return x, damping, evaluations
}

// traced runs one sample for some iterations without a convergence test and
// returns slots of its program row by row, with the evaluations it used.
func traced(t testing.TB, m *graph.Model, spec string, params []float64, start []float64, iterations int, slots ...string) (rows [][]float64, evaluations int) {
	t.Helper()
	prog, err := batch.Compile(m, specs(t, spec)[0], batch.Options{Limits: batch.Limits{Iterations: iterations}})
	if err != nil {
		t.Fatal(err)
	}
	exe, err := (&cpu.Portable{}).Compile(prog)
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for _, s := range slots {
		if k := prog.Slot(s); k >= 0 {
			at = append(at, k)
		} else {
			t.Fatalf("%s has no slot %s", spec, s)
		}
	}
	b := prog.NewBatch(1)
	for i, v := range append(append([]float64(nil), params...), start...) {
		b.In[i][0] = v
	}
	b.Trace = program.NewTrace(1, iterations+1, at)
	if err := exe.Run(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	for k := range b.Trace.Len[0] {
		rows = append(rows, b.Trace.Data[0][k*len(at):(k+1)*len(at)])
	}
	return rows, int(b.Out[batch.Column(prog, "evaluations")][0])
}

// Levenberg-Marquardt takes the steps of its papers, with the same damping and as
// many rejected trials.
func TestMarquardtAgainstReference(t *testing.T) {
	const iterations = 12
	rejections, steps := 0, 0
	for _, name := range []string{"rosenbrock", "beale", "powell", "himmelblau", "square", "exponential"} {
		m, d := model(t, name), handDerived(name)
		slots := []string{"method.lambda"}
		for i := range m.Problem().N() {
			slots = append(slots, fmt.Sprintf("x%d", i))
		}
		for _, alpha := range []float64{0.5, 10} {
			for _, lambda := range []float64{1e-3, 10} {
				for _, start := range startsIn(m, 12, 9) {
					x, damping, want := marquardt(d, alpha, lambda, iterations, start)
					rows, evaluations := traced(t, m, fmt.Sprintf("lm:lambda=%v", lambda), params(m, alpha), start, iterations, slots...)
					where := fmt.Sprintf("%s, alpha %v, lambda %v, from %v", name, alpha, lambda, start)
					// Up to where the loss is rounding error, which decides nothing about a method.
					k := 0
					for ; k < min(len(rows), len(x)); k++ {
						p := d.at(alpha, x[k])
						if p.loss < 1e-16 || floats.Norm(p.g, 2) < 1e-9 {
							break
						}
						steps++
						if e := math.Abs(rows[k][0]/damping[k] - 1); !(e <= 1e-4) {
							t.Errorf("%s: lambda %v after %d iterations, want %v", where, rows[k][0], k, damping[k])
						}
						if e := floats.Distance(rows[k][1:], x[k], 2); !(e <= 1e-7*(1+floats.Norm(x[k], 2))) {
							t.Errorf("%s: iterate %d is %v, want %v", where, k, rows[k][1:], x[k])
						}
					}
					if k > iterations {
						rejections += want - 1 - iterations
						if evaluations != want {
							t.Errorf("%s: %d evaluations, want %d", where, evaluations, want)
						}
					}
				}
			}
		}
	}
	t.Logf("%d steps, %d rejected trials", steps, rejections)
	if steps < 500 || rejections < 50 {
		t.Errorf("%d steps and %d rejected trials compared, too few to mean anything", steps, rejections)
	}
}

// The units of the inputs do not matter to Levenberg-Marquardt: with z = x/s for
// powers of two s, the path is the same.
func TestMarquardtScaleInvariance(t *testing.T) {
	const text = `
name = "scaled"
inputs = ["z0", "z1"]
let = ["x0 = %v*z0", "x1 = %v*z1"]
outputs = ["1 - x0", "alpha*(x1 - x0^2)", "sin(x0*x1)"]
loss = "y0^2 + y1^2 + y2^4"
box = [[-1, 1], [-1, 1]]
params = {alpha = 10}`
	plain := parsed(t, fmt.Sprintf(text, 1, 1))
	for _, s := range [][2]float64{{1024, 1}, {1, 0x1p-20}, {0x1p30, 0x1p-30}} {
		m := parsed(t, fmt.Sprintf(text, s[0], s[1]))
		for _, start := range startsIn(plain, 5, 4) {
			want := path(t, plain, "lm", 10, 20, start...)
			got := path(t, m, "lm", 10, 20, start[0]/s[0], start[1]/s[1])
			if len(want.X) < 5 || len(got.X) != len(want.X) {
				t.Fatalf("units %v: %d iterates, want %d", s, len(got.X), len(want.X))
			}
			for k := range want.X {
				for i := range 2 {
					if e := math.Abs(got.X[k][i]*s[i] - want.X[k][i]); !(e <= 1e-12) {
						t.Errorf("units %v from %v: iterate %d is off by %g in x%d", s, start, k, e, i)
					}
				}
			}
		}
	}
}

// Levenberg-Marquardt arrives from everywhere in the box; on Beale's function from
// everywhere on the near side of its ridge x1 = 1.
func TestMarquardtConverges(t *testing.T) {
	for _, c := range []struct {
		name   string
		box    [][2]float64 // nil: the problem's
		alphas []float64
	}{
		{"rosenbrock", nil, []float64{0.01, 1, 100, 1000}},
		{"powell", nil, []float64{0.1, 1, 10}},
		{"himmelblau", nil, []float64{0.1, 1, 10}},
		{"beale", [][2]float64{{1, 4.5}, {-1, 0.8}}, []float64{0.3, 1, 3}},
	} {
		m := model(t, c.name)
		starts := startsIn(m, 100, 6)
		if c.box != nil {
			for _, x := range starts {
				for i, b := range m.Problem().Box {
					x[i] = c.box[i][0] + (x[i]-b[0])/(b[1]-b[0])*(c.box[i][1]-c.box[i][0])
				}
			}
		}
		for _, alpha := range c.alphas {
			specs := []string{"lm", "lm:lambda=1"}
			if c.name != "powell" {
				specs = append(specs, "lm:lambda=0") // Gauss-Newton until a trial fails; powell's matrix is singular at the minimum
			}
			for _, spec := range specs {
				for s, o := range outcomes(t, m, spec, batch.Limits{Iterations: 200, DTol: 1e-6}, params(m, alpha), starts) {
					if o.status != batch.Converged {
						t.Errorf("%s on %s, alpha %v, from %v: %v at %v", spec, c.name, alpha, starts[s], o.status, o.x)
					}
				}
			}
		}
	}
}

// A loss that is not convex makes the damped matrix indefinite: the damping grows
// until it is not, and the sample comes to a minimum.
func TestMarquardtNonconvexLoss(t *testing.T) {
	m := parsed(t, `
name = "wells"
inputs = ["x0", "x1"]
outputs = ["x0 + 0.3*x1^2", "x1 - 0.2*x0"]
loss = "(y0^2 - 1)^2 + cos(y1) + 0.1*y1^2"
box = [[-2, 2], [-4, 4]]`)
	starts := startsIn(m, 200, 8)
	rejected := 0
	for s, o := range outcomes(t, m, "lm", batch.Limits{Iterations: 200, GTol: 1e-6}, nil, starts) {
		if o.status != batch.Converged || !(o.loss < 2) {
			t.Errorf("from %v: %v at %v, loss %v", starts[s], o.status, o.x, o.loss)
		}
		rejected += o.evaluations - 1 - o.iterations
	}
	if rejected < 200 {
		t.Errorf("%d rejected trials: the loss is too tame for this test", rejected)
	}
}
