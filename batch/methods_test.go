package batch_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
)

// derived is a built-in problem differentiated by hand. The loss is |y|^2, or
// 1/2|y - 1|^2 where half is set.
type derived struct {
	name   string
	half   bool
	y      func(a float64, x []float64) []float64
	jac    func(a float64, x []float64) [][]float64   // [output][input]
	second func(a float64, x []float64) [][][]float64 // [output]: matrix of second derivatives
	invert func(a float64, y, x []float64) []float64  // nil if there is none
}

// point is all that a method may ask for at one x, computed by hand.
type point struct {
	x, y, gy, g []float64
	loss, w     float64 // the Hessian of the loss in y is w times the identity
	J, H        *mat.Dense
}

func (d *derived) at(a float64, x []float64) point {
	p := point{x: x, y: d.y(a, x), w: 2}
	n, m := len(x), len(p.y)
	target := 0.0
	if d.half {
		p.w, target = 1, 1
	}
	for _, v := range p.y {
		p.gy = append(p.gy, p.w*(v-target))
		p.loss += p.w / 2 * (v - target) * (v - target)
	}
	p.J = mat.NewDense(m, n, nil)
	for r, row := range d.jac(a, x) {
		p.J.SetRow(r, row)
	}
	p.g = times(p.J.T(), p.gy)
	p.H = gram(p.J, p.w)
	for k, s := range d.second(a, x) {
		for i := range n {
			for j := range n {
				p.H.Set(i, j, p.H.At(i, j)+p.gy[k]*s[i][j])
			}
		}
	}
	return p
}

func times(A mat.Matrix, x []float64) []float64 {
	var r mat.VecDense
	r.MulVec(A, mat.NewVecDense(len(x), x))
	return r.RawVector().Data
}

func gram(J mat.Matrix, w float64) *mat.Dense {
	var G mat.Dense
	G.Mul(J.T(), J)
	G.Scale(w, &G)
	return &G
}

// solve is A^-1 b by gonum, with the condition number of A: +Inf, and no x, where
// A is singular to working precision.
func solve(A *mat.Dense, b []float64) (x []float64, cond float64) {
	var lu mat.LU
	lu.Factorize(A)
	var r mat.VecDense
	if lu.SolveVecTo(&r, false, mat.NewVecDense(len(b), b)) != nil {
		return nil, math.Inf(1)
	}
	return r.RawVector().Data, lu.Cond()
}

// svdApply is V S^power U^T b for J = U S V^T.
func svdApply(J *mat.Dense, b []float64, power float64) (x []float64, cond float64) {
	var svd mat.SVD
	if !svd.Factorize(J, mat.SVDThin) {
		panic("no singular value decomposition")
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	s := svd.Values(nil)
	c := times(u.T(), b)
	for i := range c {
		c[i] *= math.Pow(s[i], power)
	}
	return times(&v, c), s[0] / s[len(s)-1]
}

func scaled(a float64, x []float64) []float64 { return floats.ScaleTo(make([]float64, len(x)), a, x) }
func sum(x, y []float64) []float64            { return floats.AddTo(make([]float64, len(x)), x, y) }
func minus(x, y []float64) []float64          { return floats.SubTo(make([]float64, len(x)), x, y) }

var byHand = []*derived{
	{
		name: "square",
		y:    func(a float64, x []float64) []float64 { return []float64{x[0], a * x[1] * x[1]} },
		jac:  func(a float64, x []float64) [][]float64 { return [][]float64{{1, 0}, {0, 2 * a * x[1]}} },
		second: func(a float64, x []float64) [][][]float64 {
			return [][][]float64{{{0, 0}, {0, 0}}, {{0, 0}, {0, 2 * a}}}
		},
		invert: func(a float64, y, x []float64) []float64 {
			return []float64{y[0], math.Copysign(math.Sqrt(y[1]/a), x[1])}
		},
	},
	{
		name: "rosenbrock",
		y: func(a float64, x []float64) []float64 {
			return []float64{1 - x[0], math.Sqrt(a) * (x[1] - x[0]*x[0])}
		},
		jac: func(a float64, x []float64) [][]float64 {
			s := math.Sqrt(a)
			return [][]float64{{-1, 0}, {-2 * s * x[0], s}}
		},
		second: func(a float64, x []float64) [][][]float64 {
			return [][][]float64{{{0, 0}, {0, 0}}, {{-2 * math.Sqrt(a), 0}, {0, 0}}}
		},
		invert: func(a float64, y, x []float64) []float64 {
			return []float64{1 - y[0], y[1]/math.Sqrt(a) + (1-y[0])*(1-y[0])}
		},
	},
	{
		name: "himmelblau",
		y: func(a float64, x []float64) []float64 {
			return []float64{x[0]*x[0] + x[1] - 11, a * (x[0] + x[1]*x[1] - 7)}
		},
		jac: func(a float64, x []float64) [][]float64 { return [][]float64{{2 * x[0], 1}, {a, 2 * a * x[1]}} },
		second: func(a float64, x []float64) [][][]float64 {
			return [][][]float64{{{2, 0}, {0, 0}}, {{0, 0}, {0, 2 * a}}}
		},
	},
	{
		name: "exponential", half: true,
		y: func(a float64, x []float64) []float64 {
			s, c := math.Sincos(0.5)
			return []float64{math.Exp(c*x[0] - s*x[1]), math.Exp(a * (s*x[0] + c*x[1]))}
		},
		jac: func(a float64, x []float64) [][]float64 {
			s, c := math.Sincos(0.5)
			y0, y1 := math.Exp(c*x[0]-s*x[1]), math.Exp(a*(s*x[0]+c*x[1]))
			return [][]float64{{y0 * c, -y0 * s}, {y1 * a * s, y1 * a * c}}
		},
		second: func(a float64, x []float64) [][][]float64 {
			s, c := math.Sincos(0.5)
			y0, y1 := math.Exp(c*x[0]-s*x[1]), math.Exp(a*(s*x[0]+c*x[1]))
			return [][][]float64{
				{{y0 * c * c, -y0 * s * c}, {-y0 * s * c, y0 * s * s}},
				{{y1 * a * a * s * s, y1 * a * a * s * c}, {y1 * a * a * s * c, y1 * a * a * c * c}},
			}
		},
		invert: func(a float64, y, x []float64) []float64 {
			s, c := math.Sincos(0.5)
			u0, u1 := math.Log(y[0]), math.Log(y[1])/a
			return []float64{c*u0 + s*u1, c*u1 - s*u0}
		},
	},
	{
		name: "beale",
		y: func(a float64, x []float64) []float64 {
			u, v := x[0], x[1]
			return []float64{1.5 - u*(1-v), 2.25 - u*(1-v*v), a * (2.625 - u*(1-v*v*v))}
		},
		jac: func(a float64, x []float64) [][]float64 {
			u, v := x[0], x[1]
			return [][]float64{{v - 1, u}, {v*v - 1, 2 * u * v}, {a * (v*v*v - 1), 3 * a * u * v * v}}
		},
		second: func(a float64, x []float64) [][][]float64 {
			u, v := x[0], x[1]
			return [][][]float64{{{0, 1}, {1, 0}}, {{0, 2 * v}, {2 * v, 2 * u}}, {{0, 3 * a * v * v}, {3 * a * v * v, 6 * a * u * v}}}
		},
	},
	{
		name: "powell",
		y: func(a float64, x []float64) []float64 {
			d, e := x[1]-2*x[2], x[0]-x[3]
			return []float64{x[0] + 10*x[1], a * math.Sqrt(5) * (x[2] - x[3]), d * d, math.Sqrt(10) * e * e}
		},
		jac: func(a float64, x []float64) [][]float64 {
			d, e, r := x[1]-2*x[2], x[0]-x[3], math.Sqrt(10)
			return [][]float64{{1, 10, 0, 0}, {0, 0, a * math.Sqrt(5), -a * math.Sqrt(5)}, {0, 2 * d, -4 * d, 0}, {2 * r * e, 0, 0, -2 * r * e}}
		},
		second: func(a float64, x []float64) [][][]float64 {
			r := math.Sqrt(10)
			zero := [][]float64{{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}
			return [][][]float64{zero, zero,
				{{0, 0, 0, 0}, {0, 2, -4, 0}, {0, -4, 8, 0}, {0, 0, 0, 0}},
				{{2 * r, 0, 0, -2 * r}, {0, 0, 0, 0}, {0, 0, 0, 0}, {-2 * r, 0, 0, 2 * r}}}
		},
	},
}

func handDerived(name string) *derived {
	for _, d := range byHand {
		if d.name == name {
			return d
		}
	}
	panic("no " + name)
}

// outcome is how one sample ended.
type outcome struct {
	x                                  []float64
	loss, grad, distance               float64
	iterations, evaluations, fallbacks int
	status                             batch.Status
}

// outcomes runs one method from each start; params are in the problem's order.
func outcomes(t testing.TB, m *graph.Model, spec string, limits batch.Limits, params []float64, starts [][]float64) []outcome {
	t.Helper()
	prog, err := batch.Compile(m, specs(t, spec)[0], batch.Options{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	n := m.Problem().N()
	in := make([][]float64, len(params)+n)
	for i := range in {
		for _, x := range starts {
			if i < len(params) {
				in[i] = append(in[i], params[i])
			} else {
				in[i] = append(in[i], x[i-len(params)])
			}
		}
	}
	out := results(t, &cpu.Portable{}, prog, in)
	column := func(name string, s int) float64 {
		if c := batch.Column(prog, name); c >= 0 {
			return out[c][s]
		}
		return math.NaN()
	}
	all := make([]outcome, len(starts))
	for s := range all {
		o := &all[s]
		for i := range n {
			o.x = append(o.x, column(fmt.Sprintf("x%d", i), s))
		}
		o.loss, o.grad, o.distance = column("loss", s), column("grad_norm", s), column("distance", s)
		o.iterations, o.evaluations, o.fallbacks = int(column("iteration", s)), int(column("evaluations", s)), int(column("fallbacks", s))
		o.status = batch.Status(column("status", s))
	}
	return all
}

// params are a problem's parameters at their defaults but for alpha.
func params(m *graph.Model, alpha float64) []float64 {
	var v []float64
	for _, q := range m.Problem().Params {
		if q.Name == "alpha" {
			v = append(v, alpha)
		} else {
			v = append(v, q.Default)
		}
	}
	return v
}

// startsIn are n starts drawn in the problem's box.
func startsIn(m *graph.Model, n int, seed uint64) [][]float64 {
	rnd := rand.New(rand.NewPCG(seed, 0))
	all := make([][]float64, n)
	for s := range all {
		for _, b := range m.Problem().Box {
			all[s] = append(all[s], b[0]+float64(rnd.Float64()*(b[1]-b[0]))) // not fused: the same starts on every machine
		}
	}
	return all
}

// parsed is a problem written in a test.
func parsed(t testing.TB, text string) *graph.Model {
	t.Helper()
	p, err := problem.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
