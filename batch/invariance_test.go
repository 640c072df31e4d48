package batch_test

import (
	"fmt"
	"math"
	"testing"

	"invar/batch"
	"invar/graph"
	"invar/program"
)

// Steps that invert follow the same path whatever alpha is; gradient descent does not.
func TestScaleInvariance(t *testing.T) {
	for _, name := range []string{"scale", "square"} {
		m := model(t, name)
		for _, c := range []struct {
			spec      string
			invariant bool
		}{
			{"newton", true}, {"newton:lr=0.3", true}, {"gn", true}, {"gn:lr=0.3", true}, {"ig", true}, {"ig:lr=0.3", true},
			{"pg", true}, {"pg:lr=0.3", true}, {"lm", true},
			{"gd", false}, {"momentum", false}, {"hig:lr=0.1", false},
		} {
			rep := report(t, &batch.Sweep{
				Model: m, Grid: alphas(t, "0.01:100"), Starts: drawn(t, m, 64), Methods: specs(t, c.spec),
				Limits: batch.DefaultLimits(true),
			})
			worst := 0.0
			for _, cell := range rep.Cells {
				if cell.Params[0] == 1 && cell.PathDeviation != 0 {
					t.Errorf("%s %s: deviation %g from itself at the reference point", name, c.spec, cell.PathDeviation)
				}
				if !(cell.PathDeviation <= worst) {
					worst = cell.PathDeviation
				}
			}
			t.Logf("%s %s: path deviation %.3g", name, c.spec, worst)
			if c.invariant && !(worst < 1e-12) {
				t.Errorf("%s %s: path deviation %g, want below 1e-12", name, c.spec, worst)
			}
			if !c.invariant && !(worst > 1e-2) {
				t.Errorf("%s %s: path deviation %g, want it to depend on alpha", name, c.spec, worst)
			}
		}
	}
}

// On L = x0^2 + alpha^2 x1^2 gradient descent multiplies x0 by 1 - 2 lr and x1 by
// 1 - 2 lr alpha^2: it converges just where lr < 1/max(1, alpha^2).
func TestGradientDescentStability(t *testing.T) {
	m := model(t, "scale")
	for _, alpha := range []float64{0.5, 1, 2, 5, 10} {
		bound := 1 / math.Max(1, alpha*alpha)
		for _, factor := range []float64{0.9, 0.99, 1.01, 1.1} {
			rep := report(t, &batch.Sweep{
				Model: m, Grid: batch.Grid{{Name: "alpha", Values: []float64{alpha}}}, Starts: drawn(t, m, 20),
				Methods: specs(t, fmt.Sprintf("gd:lr=%v", factor*bound)), Limits: batch.Limits{Iterations: 20000, DTol: 1e-6},
			})
			got := rep.Cells[0].Status[batch.Converged]
			if want := map[bool]int{true: 20, false: 0}[factor < 1]; got != want {
				t.Errorf("alpha %v, lr %v x bound: %d of 20 converged, want %d", alpha, factor, got, want)
			}
		}
	}
}

// Half-inverse gradients keep the square root of the sensitivity: on `scale` x1 is
// multiplied by 1 - 2 lr sqrt(alpha): J = diag(1, alpha), dL/dy = 2y,
// dx1 = -lr alpha^(-1/2) 2 alpha x1 = -2 lr sqrt(alpha) x1.
func TestHalfInverseGradient(t *testing.T) {
	m := model(t, "scale")
	for _, alpha := range []float64{0.01, 0.1, 1, 10, 100} {
		const lr = 0.04
		p := path(t, m, fmt.Sprintf("hig:lr=%v", lr), alpha, 5, 2, -1.5)
		for k := 0; k < 5; k++ {
			want0, want1 := p.X[k][0]*(1-2*lr), p.X[k][1]*(1-2*lr*math.Sqrt(alpha))
			if d := math.Abs(p.X[k+1][0] - want0); !(d <= 1e-14) {
				t.Errorf("alpha %v: x0 %v, want %v", alpha, p.X[k+1][0], want0)
			}
			if d := math.Abs(p.X[k+1][1] - want1); !(d <= 1e-14) {
				t.Errorf("alpha %v: x1 %v, want %v", alpha, p.X[k+1][1], want1)
			}
		}
	}
}

// For L = alpha x, gradient descent changes L by -lr alpha^2, and the inverse
// Jacobian (with a gradient step in y, the loss being linear) changes x by -lr/alpha.
func TestLinearSensitivity(t *testing.T) {
	m := model(t, "linear1d")
	for _, alpha := range []float64{0.01, 1, 100} {
		gd := path(t, m, "gd:lr=0.1", alpha, 1, 0.5)
		if got, want := gd.Loss[1]-gd.Loss[0], -0.1*alpha*alpha; !(math.Abs(got-want) <= 1e-12*math.Max(1, alpha*alpha)) {
			t.Errorf("gd at alpha %v changes L by %v, want %v", alpha, got, want)
		}
		ig := path(t, m, "ig:lr=0.1", alpha, 1, 0.5)
		if got, want := ig.X[1][0]-ig.X[0][0], -0.1/alpha; !(math.Abs(got-want) <= 1e-12*math.Abs(want)+1e-15) {
			t.Errorf("ig at alpha %v changes x by %v, want %v", alpha, got, want)
		}
	}
}

// Diffusion destroys information: heat damps its zigzag mode by (1-4a)^30, so the
// reversed run blows an error in y, and the rounding of y itself, up by the inverse of
// that.
func TestHeatReversal(t *testing.T) {
	m := model(t, "heat")
	b := program.NewBuilder("round trip")
	alpha, x, dy := b.Input("alpha", program.F64), b.Inputs("x", 4), b.Inputs("dy", 4)
	q, err := m.Emit(b, []program.Value{alpha}, x, graph.Y)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]program.Value, 4)
	for i := range y {
		y[i] = b.Add(q.Y[i], dy[i])
	}
	back, err := m.EmitInverse(b, []program.Value{alpha}, x, y)
	if err != nil {
		t.Fatal(err)
	}
	f := b.Finish(back...)
	for _, alpha := range []float64{0.1, 1, 10} {
		a := 0.2 * alpha / (1 + alpha)
		factor := math.Pow(1-4*a, -30)
		start := []float64{0.8, -0.3, 0.45, 0.2}
		trip := func(d float64) []float64 {
			return f.EvalF64(append(append([]float64{alpha}, start...), d, -d, d, -d)...)
		}
		plain, moved := trip(0), trip(1e-3)
		for i := range start {
			// Rounding: at most some units in the last place of y, blown up.
			if err := math.Abs(plain[i] - start[i]); !(err <= 100*factor*0x1p-53) {
				t.Errorf("alpha %v: x%d comes back %g off, want at most about %g", alpha, i, err, factor*0x1p-53)
			}
			got := math.Abs(moved[i]-plain[i]) / 1e-3
			if !(math.Abs(got-factor) <= 1e-6*factor) {
				t.Errorf("alpha %v: an error of 1 in y becomes %v in x%d, want %v", alpha, got, i, factor)
			}
		}
		var worst float64
		for i := range start {
			worst = math.Max(worst, math.Abs(plain[i]-start[i]))
		}
		t.Logf("alpha %v: factor %.3g, round trip error %.3g", alpha, factor, worst)
	}
}
