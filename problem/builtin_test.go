package problem

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// draw returns a point of p's box.
func draw(r *rand.Rand, p *Problem) []float64 {
	x := make([]float64, p.N())
	for i, b := range p.Box {
		x[i] = b[0] + r.Float64()*(b[1]-b[0])
	}
	return x
}

func mustBuiltin(t *testing.T, name string) *Problem {
	t.Helper()
	p, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustEval(t *testing.T, p *Problem, params map[string]float64, x []float64) ([]float64, float64) {
	t.Helper()
	y, loss, err := p.Eval(params, x)
	if err != nil {
		t.Fatal(err)
	}
	return y, loss
}

func mustInverse(t *testing.T, p *Problem, params map[string]float64, x, y []float64) []float64 {
	t.Helper()
	v, err := p.EvalInverse(params, x, y)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// largestDifference is the largest difference of two vectors.
func largestDifference(a, b []float64) float64 {
	d := 0.0
	for i := range a {
		d = math.Max(d, math.Abs(a[i]-b[i])) // Max keeps NaN
	}
	return d
}

// gradient of the loss by central differences.
func gradient(t *testing.T, p *Problem, params map[string]float64, x []float64, h float64) []float64 {
	t.Helper()
	g := make([]float64, len(x))
	for i := range x {
		at := slices.Clone(x)
		at[i] = x[i] + h
		_, above := mustEval(t, p, params, at)
		at[i] = x[i] - h
		_, below := mustEval(t, p, params, at)
		g[i] = (above - below) / (2 * h)
	}
	return g
}

func TestBuiltinsAreComplete(t *testing.T) {
	want := []string{"beale", "exponential", "heat", "himmelblau", "linear1d", "pendulum", "powell", "rosenbrock", "scale", "sine", "square"}
	if got := Builtins(); !slices.Equal(got, want) {
		t.Fatalf("Builtins() = %v, want %v", got, want)
	}
	withInverse := []string{"exponential", "heat", "linear1d", "pendulum", "rosenbrock", "scale", "sine", "square"}
	for _, name := range want {
		p, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if p.Name != name || p.Description == "" || p.Source == "" {
			t.Errorf("%s: name %q, description %q, source %q", name, p.Name, p.Description, p.Source)
		}
		alpha := 1.0
		if name == "rosenbrock" {
			alpha = 100
		}
		if got := p.Defaults()["alpha"]; got != alpha {
			t.Errorf("%s: alpha defaults to %v, want %v", name, got, alpha)
		}
		if got, want := p.Inverse != nil, slices.Contains(withInverse, name); got != want {
			t.Errorf("%s: has an inverse: %v, want %v", name, got, want)
		}
		if got, want := len(p.Minima) > 0, name != "linear1d"; got != want {
			t.Errorf("%s: has minima: %v, want %v", name, got, want)
		}
	}
}

// Every start in the box must have a finite loss, over all of alpha's useful range.
func TestBuiltinsAreFiniteInTheirBox(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range Builtins() {
		p := mustBuiltin(t, name)
		for _, alpha := range []float64{0.01, 1, 100} {
			for range 50 {
				x := draw(r, p)
				_, loss := mustEval(t, p, map[string]float64{"alpha": alpha}, x)
				if math.IsNaN(loss) || math.IsInf(loss, 0) {
					t.Errorf("%s, alpha = %g: L(%v) = %v", name, alpha, x, loss)
				}
			}
		}
	}
}

// A few values computed by hand from the published formulas.
func TestBuiltinValues(t *testing.T) {
	for _, c := range []struct {
		name  string
		alpha float64
		x, y  []float64
		loss  float64
	}{
		{"scale", 10, []float64{1, 2}, []float64{1, 20}, 401},
		{"square", 1, []float64{3, 3}, []float64{3, 9}, 90},
		{"square", 2, []float64{3, -3}, []float64{3, 18}, 333},
		{"rosenbrock", 100, []float64{-1.2, 1}, []float64{2.2, -4.4}, 24.2},
		{"exponential", 1, []float64{0, 0}, []float64{1, 1}, 0},
		{"sine", 4, []float64{0, 0}, []float64{0, 0}, 0},
		{"pendulum", 1, []float64{math.Pi, 0}, []float64{math.Pi, 0}, math.Pi * math.Pi / 2},
		{"himmelblau", 1, []float64{0, 0}, []float64{-11, -7}, 170},
		{"himmelblau", 2, []float64{0, 0}, []float64{-11, -14}, 317},
		{"beale", 1, []float64{1, 1}, []float64{1.5, 2.25, 2.625}, 14.203125},
		{"beale", 2, []float64{1, 1}, []float64{1.5, 2.25, 5.25}, 34.875},
		{"powell", 1, []float64{3, -1, 0, 1}, []float64{-7, -math.Sqrt(5), 1, 4 * math.Sqrt(10)}, 215},
		{"powell", 2, []float64{1, 2, 3, 4}, []float64{21, -2 * math.Sqrt(5), 16, 9 * math.Sqrt(10)}, 1527},
		{"linear1d", 3, []float64{2}, []float64{6}, 6},
	} {
		p := mustBuiltin(t, c.name)
		y, loss := mustEval(t, p, map[string]float64{"alpha": c.alpha}, c.x)
		if d := largestDifference(y, c.y); !(d <= 1e-13) {
			t.Errorf("%s: P(%v) = %v, want %v", c.name, c.x, y, c.y)
		}
		if d := math.Abs(loss - c.loss); !(d <= 1e-12) {
			t.Errorf("%s: L(%v) = %v, want %v", c.name, c.x, loss, c.loss)
		}
	}
}

// roundingGrowth is what the inverse makes of a relative rounding error in y at worst, in the box.
func roundingGrowth(name string, alpha float64) float64 {
	const eps = 0x1p-52
	switch name {
	case "sine": // the arc sine has infinite slope at 1: an error eps there becomes sqrt(2 eps)
		return 4 * math.Sqrt(eps) / eps
	case "square": // the square root at 0 keeps relative errors
		return 16
	case "exponential": // an error eps of y1 is one of eps/alpha in x, and one of u0 <= 3 stays
		return 64 + 64/alpha
	case "heat":
		a := 0.2 * alpha / (1 + alpha)
		return 100 * math.Pow(1-4*a, -30)
	case "pendulum": // at most exp(time) near the unstable equilibrium, from 100 roundings
		return 100 * 100 * math.Exp(5)
	}
	return 64
}

// The inverse at the current output is the current input, and P(P^-1(y; x)) = y for a y nearby,
// both up to rounding.
func TestBuiltinInverses(t *testing.T) {
	const eps = 0x1p-52
	r := rand.New(rand.NewPCG(3, 4))
	for _, name := range Builtins() {
		p := mustBuiltin(t, name)
		if p.Inverse == nil {
			continue
		}
		for _, alpha := range []float64{0.01, 0.3, 1, 7, 100} {
			if name == "heat" && alpha > 7 {
				continue // nothing is left to recover; see TestHeatDestroysInformation
			}
			params := map[string]float64{"alpha": alpha}
			for range 50 {
				x := draw(r, p)
				y, _ := mustEval(t, p, params, x)
				back := mustInverse(t, p, params, x, y)
				tol := 8 * eps * roundingGrowth(name, alpha)
				if d := largestDifference(back, x); !(d <= tol) {
					t.Errorf("%s, alpha = %g: inverse(P(%v)) = %v: off by %.2g, want <= %.2g", name, alpha, x, back, d, tol)
				}

				// Another output, reached from a point near x, so that it has an inverse.
				near := slices.Clone(x)
				for i := range near {
					near[i] += 0.01 * (r.Float64() - 0.5)
				}
				want, _ := mustEval(t, p, params, near)
				x2 := mustInverse(t, p, params, x, want)
				got, _ := mustEval(t, p, params, x2)
				for i := range got {
					// P amplifies the rounding error of x2 by its derivative, so y's own size counts,
					// and exp(alpha u) has the derivative alpha exp(alpha u).
					tol := 1e-12 * (1 + math.Abs(want[i])) * math.Max(1, alpha)
					if name == "sine" || name == "heat" || name == "pendulum" {
						tol = 1e-9 * (1 + math.Abs(want[i]))
					}
					if d := math.Abs(got[i] - want[i]); !(d <= tol) {
						t.Errorf("%s, alpha = %g: P(inverse(%v)) = %v: off by %.2g, want <= %.2g", name, alpha, want, got, d, tol)
					}
				}
			}
		}
	}
}

// The inverse must pick the branch of the current x, not the principal one.
func TestBuiltinInversesStayOnTheNearestBranch(t *testing.T) {
	square := mustBuiltin(t, "square")
	if got := mustInverse(t, square, nil, []float64{1, -2}, []float64{1, 9}); got[1] != -3 {
		t.Errorf("square: from x1 = -2 to y1 = 9: x1 = %v, want -3", got[1])
	}

	sine := mustBuiltin(t, "sine")
	const w = 0.3
	for k := -4; k <= 4; k++ {
		for _, off := range []float64{-1.5, -0.7, 0, 0.2, 1.5} {
			u0 := float64(k)*math.Pi + off
			params := map[string]float64{"phi": 0}
			got := mustInverse(t, sine, params, []float64{u0, 0}, []float64{w, 0})[0]
			// The nearest of all solutions, by search.
			nearest := math.Inf(1)
			for j := -6; j <= 6; j++ {
				turn := 2 * math.Pi * float64(j)
				for _, s := range []float64{math.Asin(w) + turn, math.Pi - math.Asin(w) + turn} {
					if math.Abs(s-u0) < math.Abs(nearest-u0) {
						nearest = s
					}
				}
			}
			if d := math.Abs(got - nearest); !(d <= 1e-12) {
				t.Errorf("sine: from u0 = %v to sin(u0) = %v: u0 = %v, want %v", u0, w, got, nearest)
			}
		}
	}
	if got := mustInverse(t, sine, map[string]float64{"phi": 0}, []float64{0.1, 0}, []float64{2, 0})[0]; got != math.Pi/2 {
		t.Errorf("sine: an output beyond 1/alpha gives u0 = %v, want pi/2", got)
	}
}

// At each listed minimum the gradient vanishes and L is no larger than around it.
func TestBuiltinMinimaAreStationary(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, name := range Builtins() {
		p := mustBuiltin(t, name)
		for _, alpha := range []float64{0.1, 1, 10} {
			params := map[string]float64{"alpha": alpha}
			minima, err := p.EvalMinima(params)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range minima {
				_, least := mustEval(t, p, params, x)
				if !(least <= 1e-20) {
					t.Errorf("%s, alpha = %g: L(%v) = %v, want 0", name, alpha, x, least)
				}
				for i, g := range gradient(t, p, params, x, 1e-6) {
					if !(math.Abs(g) <= 1e-6) {
						t.Errorf("%s, alpha = %g: dL/dx%d = %.2g at the minimum %v", name, alpha, i, g, x)
					}
				}
				for range 20 {
					around := slices.Clone(x)
					for i := range around {
						around[i] += 0.02 * (r.Float64() - 0.5)
					}
					if _, loss := mustEval(t, p, params, around); !(loss > least) {
						t.Errorf("%s, alpha = %g: L(%v) = %v is not above the minimum's %v", name, alpha, around, loss, least)
					}
				}
			}
		}
	}
}

// Gradient descent with the file's step size lowers the loss from all over the box, at the default
// parameters: that is what the setting promises.
func TestBuiltinStepSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, name := range Builtins() {
		p := mustBuiltin(t, name)
		lr, ok := p.Methods["gd"]["lr"]
		if !ok {
			continue
		}
		for range 10 {
			start := draw(r, p)
			x := slices.Clone(start)
			_, before := mustEval(t, p, nil, x)
			for range 40 {
				for i, g := range gradient(t, p, nil, x, 1e-5) {
					x[i] -= lr * g
				}
			}
			if _, after := mustEval(t, p, nil, x); !(after < before) {
				t.Errorf("%s, lr = %g: from %v the loss goes from %.3g to %.3g", name, lr, start, before, after)
			}
		}
	}
}

// The reversed zigzag grows by (1-4a)^-30, as the description says, and at alpha = 100 the inverse
// no longer finds it.
func TestHeatDestroysInformation(t *testing.T) {
	p := mustBuiltin(t, "heat")
	if p.Simulate.Steps != 30 {
		t.Fatalf("%d steps, the description says 30", p.Simulate.Steps)
	}
	x := []float64{0.3, -0.2, 0.9, 0.5}
	for _, c := range []struct{ alpha, factor float64 }{{1, 4.5e6}, {100, 2.9e20}} {
		params := map[string]float64{"alpha": c.alpha}
		y, _ := mustEval(t, p, params, x)
		before := mustInverse(t, p, params, x, y)
		// A disturbance as large as its reversal can show exactly.
		const delta = 1e-3
		for i, sign := range []float64{1, -1, 1, -1} {
			y[i] += sign * delta
		}
		after := mustInverse(t, p, params, x, y)
		if got := (after[0] - before[0]) / delta; !(math.Abs(got/c.factor-1) <= 0.02) {
			t.Errorf("alpha = %g: a zigzag grows by %.3g, want %.3g", c.alpha, got, c.factor)
		}
	}

	params := map[string]float64{"alpha": 100}
	y, _ := mustEval(t, p, params, x)
	// The zigzag, 0.225, is 8e-22 at the end: below the rounding of the temperatures.
	zigzag := func(v []float64) float64 { return (v[0] - v[1] + v[2] - v[3]) / 4 }
	if d := math.Abs(zigzag(mustInverse(t, p, params, x, y)) - zigzag(x)); !(d > 0.1) {
		t.Errorf("alpha = 100: the inverse recovers the zigzag to %.2g, the description says that it cannot", d)
	}
}

// A step and its reverse cancel but for the rounding of each of the few operations, and energy does
// not drift: the method is leapfrog.
func TestPendulumIsReversible(t *testing.T) {
	p := mustBuiltin(t, "pendulum")
	for _, alpha := range []float64{0.01, 1, 100} {
		params := map[string]float64{"alpha": alpha}
		x := []float64{0.7, -0.4}
		y, _ := mustEval(t, p, params, x)
		// 100 steps of about ten roundings each way, on values up to sqrt(alpha): no growth here,
		// away from the unstable equilibrium, but linear shear.
		tol := 2 * 1000 * 0x1p-52 * math.Max(1, math.Sqrt(alpha))
		if d := largestDifference(mustInverse(t, p, params, x, y), x); !(d <= tol) {
			t.Errorf("alpha = %g: back by %.2g, want <= %.2g", alpha, d, tol)
		}
		energy := func(q, p float64) float64 { return p*p/2 + alpha*(1-math.Cos(q)) }
		if d := math.Abs(energy(y[0], y[1])/energy(x[0], x[1]) - 1); !(d <= 0.1) {
			t.Errorf("alpha = %g: the energy changes by %.2g of itself", alpha, d)
		}
	}

	// The Jacobian's determinant is 1.
	const h = 1e-5
	x := []float64{1.1, 0.3}
	var J [2][2]float64
	for j := range x {
		at := slices.Clone(x)
		at[j] += h
		above, _ := mustEval(t, p, nil, at)
		at[j] -= 2 * h
		below, _ := mustEval(t, p, nil, at)
		for i := range above {
			J[i][j] = (above[i] - below[i]) / (2 * h)
		}
	}
	if det := J[0][0]*J[1][1] - J[0][1]*J[1][0]; !(math.Abs(det-1) <= 1e-7) {
		t.Errorf("the Jacobian's determinant is %v, want 1", det)
	}
}
