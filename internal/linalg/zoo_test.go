package linalg

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"invar/program"
)

// fn is a function of a matrix and a vector, ready to be evaluated.
type fn struct {
	f    *program.Func
	m, n int
}

// build writes a function of an m x n matrix and a vector of r elements; fuse
// asks for fused multiply-adds.
func build(m, n, r int, fuse bool, write func(b *program.Builder, A [][]Value, g []Value) []Value) fn {
	b := program.NewBuilder("test")
	A := rowsOf(b.Inputs("a", m*n), n)
	g := b.Inputs("g", r)
	return fn{program.Optimize(b.Finish(write(b, A, g)...), fuse), m, n}
}

func (f fn) eval(A *mat.Dense, g ...float64) []float64 {
	return f.f.EvalF64(append(append([]float64(nil), A.RawMatrix().Data...), g...)...)
}

// flag is a Bool as an output.
func flag(b *program.Builder, v Value) Value { return b.Select(v, b.F(1), b.F(0)) }

func random(rng *rand.Rand, m, n int) *mat.Dense {
	A := mat.NewDense(m, n, nil)
	for i := range A.RawMatrix().Data {
		A.RawMatrix().Data[i] = rng.NormFloat64()
	}
	return A
}

func vector(rng *rand.Rand, n int) []float64 { return random(rng, n, 1).RawMatrix().Data }

func times(A *mat.Dense, x float64) *mat.Dense {
	var r mat.Dense
	r.Scale(x, A)
	return &r
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s = math.Hypot(s, v)
	}
	return s
}

type named struct {
	name string
	A    *mat.Dense
}

// zoo is a set of matrices of one shape, easy and hard.
func zoo(rng *rand.Rand, m, n int) []named {
	k := min(m, n)
	fill := func(f func(i, j int) float64) *mat.Dense {
		A := mat.NewDense(m, n, nil)
		for i := range m {
			for j := range n {
				A.Set(i, j, f(i, j))
			}
		}
		return A
	}
	randomOf := func(f func(i, j int, r float64) float64) *mat.Dense {
		return fill(func(i, j int) float64 { return f(i, j, rng.NormFloat64()) })
	}
	rank := func(r int) *mat.Dense {
		var A mat.Dense
		A.Mul(random(rng, m, r), random(rng, r, n))
		return &A
	}
	// spectrum has given singular values.
	spectrum := func(s func(i int) float64) *mat.Dense {
		var u, v mat.QR
		u.Factorize(random(rng, m, m))
		v.Factorize(random(rng, n, n))
		var U, V, A mat.Dense
		u.QTo(&U)
		v.QTo(&V)
		S := mat.NewDense(m, n, nil)
		for i := range k {
			S.Set(i, i, s(i))
		}
		A.Product(&U, S, V.T())
		return &A
	}
	return []named{
		{"random", random(rng, m, n)},
		{"tiny", times(random(rng, m, n), 0x1p-1000)},
		{"huge", times(random(rng, m, n), 0x1p1018)},
		{"zero", mat.NewDense(m, n, nil)},
		{"identity", fill(func(i, j int) float64 { return float64(btoi(i == j)) })},
		{"reversed", fill(func(i, j int) float64 { return float64(btoi(i+j == k-1)) })},
		{"cyclic", fill(func(i, j int) float64 { return float64(btoi((i+1)%m == j)) })},
		{"ones", fill(func(i, j int) float64 { return 1 })},
		{"hilbert", fill(func(i, j int) float64 { return 1 / float64(i+j+1) })},
		{"vandermonde", fill(func(i, j int) float64 { return math.Pow(float64(i+1)/float64(m), float64(j)) })},
		{"kahan", fill(func(i, j int) float64 {
			const c, s = 0.6, 0.8
			switch {
			case i == j:
				return math.Pow(s, float64(i))
			case i < j:
				return -c * math.Pow(s, float64(i))
			}
			return 0
		})},
		{"upper", fill(func(i, j int) float64 { return float64(btoi(i <= j)) - 2*float64(btoi(i < j)) })},
		{"tridiagonal", fill(func(i, j int) float64 {
			return 2*float64(btoi(i == j)) - float64(btoi(i == j+1 || j == i+1))
		})},
		{"rows graded down", randomOf(func(i, j int, r float64) float64 { return r * math.Pow(10, -float64(i)) })},
		{"rows graded up", randomOf(func(i, j int, r float64) float64 { return r * math.Pow(10, float64(i)) })},
		{"columns graded down", randomOf(func(i, j int, r float64) float64 { return r * math.Pow(10, -2*float64(j)) })},
		{"columns graded up", randomOf(func(i, j int, r float64) float64 { return r * math.Pow(10, 2*float64(j)) })},
		{"graded both", randomOf(func(i, j int, r float64) float64 { return r * math.Pow(10, float64(i-j)) })},
		{"rank 1", rank(1)},
		{"half rank", rank((k + 1) / 2)},
		{"rank less 1", rank(max(k-1, 1))},
		{"zero column", randomOf(func(i, j int, r float64) float64 { return r * float64(btoi(j != n/2)) })},
		{"equal columns", randomOf(func(i, j int, r float64) float64 { return float64(i*i+1) + 1e-9*r })},
		{"equal values", spectrum(func(i int) float64 { return 1 })},
		{"clusters", spectrum(func(i int) float64 { return 1 + float64(i%2)*1e-8 })},
		{"condition 1e8", spectrum(func(i int) float64 { return math.Pow(1e-8, float64(i)/float64(max(k-1, 1))) })},
		{"condition 1e15", spectrum(func(i int) float64 { return math.Pow(1e-15, float64(i)/float64(max(k-1, 1))) })},
		{"one large", spectrum(func(i int) float64 { return 1e-14 + float64(btoi(i == 0)) })},
		{"one small", spectrum(func(i int) float64 { return 1 - float64(btoi(i == k-1))*(1-1e-13) })},
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shapes are m, n of the tests.
var shapes = [][2]int{{1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 5}, {5, 1}, {3, 2}, {2, 3}, {3, 3}, {4, 3}, {4, 4}, {3, 7}, {5, 5}, {6, 4}, {8, 8}, {20, 2}, {2, 20}, {20, 5}, {12, 12}, {16, 16}, {64, 16}, {16, 64}}
