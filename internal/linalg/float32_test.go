package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"invar/program"
)

// eps32 is the distance from 1 to the next float32.
const eps32 = 0x1p-23

// build32 is build for float32s.
func build32(m, n, r int, write func(b *program.Builder, A [][]Value, g []Value) []Value) fn {
	b := program.NewBuilderOf(program.F32, "test")
	A := rowsOf(b.Inputs("a", m*n), n)
	g := b.Inputs("g", r)
	f := program.Optimize(b.Finish(write(b, A, g)...), true)
	if f.Has(program.F64) {
		panic("a float64 in a program of float32s")
	}
	return fn{f, m, n}
}

// zoo32 is the zoo rounded to float32, without the matrices that are too large for it.
func zoo32(rng *rand.Rand, m, n int) (all []named) {
	for _, z := range zoo(rng, m, n) {
		z.A.Apply(func(_, _ int, v float64) float64 { return float64(float32(v)) }, z.A)
		if !math.IsInf(mat.Max(z.A), 1) && !math.IsInf(mat.Min(z.A), -1) {
			all = append(all, z)
		}
	}
	return all
}

func vector32(rng *rand.Rand, n int) []float64 {
	g := vector(rng, n)
	for i := range g {
		g[i] = float64(float32(g[i]))
	}
	return g
}

// Solves leave residuals of rounding size, and what is exactly singular is found out.
func TestSolve32(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 32))
	for n := 1; n <= 16; n++ {
		lu := build32(n, n, n, func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, singular := SolveLU(b, A, g)
			return append(x, flag(b, singular))
		})
		cholesky := build32(n, n, n, func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, bad := SolveCholesky(b, A, g)
			return append(x, flag(b, bad))
		})
		for _, z := range zoo32(rng, n, n) {
			g := vector32(rng, n)
			out := lu.eval(z.A, g...)
			switch z.name {
			case "zero", "zero column":
				if out[n] == 0 {
					t.Errorf("n=%d %s: not singular", n, z.name)
				}
			case "rank 1": // but for rounding, which leaves pivots of its size
				if out[n] == 0 && n > 1 {
					t.Errorf("n=%d %s: not singular", n, z.name)
				}
			case "identity", "reversed", "cyclic", "upper", "tridiagonal", "equal values":
				if out[n] != 0 {
					t.Errorf("n=%d %s: singular", n, z.name)
				}
			}
			if out[n] != 0 {
				continue
			}
			bound := 4 * float64(n) * eps32 * (mat.Norm(z.A, 2)*norm(out[:n]) + norm(g))
			if r := norm(residual(z.A, out[:n], g)); !(r <= bound) {
				t.Errorf("n=%d %s: residual %.2e, bound %.2e", n, z.name, r, bound)
			}
		}
		half := random(rng, n, n)
		var G mat.Dense
		G.Mul(half.T(), half)
		G.Apply(func(i, j int, v float64) float64 { return float64(float32(v)) + float64(btoi(i == j)) }, &G)
		g := vector32(rng, n)
		out := cholesky.eval(&G, g...)
		bound := 4 * float64(n) * eps32 * (mat.Norm(&G, 2)*norm(out[:n]) + norm(g))
		if r := norm(residual(&G, out[:n], g)); out[n] != 0 || !(r <= bound) {
			t.Errorf("n=%d: Cholesky leaves %.2e, bound %.2e; not positive definite: %v", n, r, bound, out[n])
		}
	}
}

// Singular values are those of float64 to rounding, and U S V^T is A.
func TestSVD32(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 32))
	for _, s := range shapes {
		m, n := s[0], s[1]
		k := min(m, n)
		f := build32(m, n, 0, func(b *program.Builder, A [][]Value, _ []Value) []Value {
			U, S, V := SVD(b, A)
			return append(append(flatten(U), S...), flatten(V)...)
		})
		for _, z := range zoo32(rng, m, n) {
			where := fmt.Sprintf("%dx%d %s", m, n, z.name)
			out := f.eval(z.A)
			U, V, S := mat.NewDense(m, k, out[:m*k]), mat.NewDense(n, k, out[m*k+k:]), out[m*k:m*k+k]
			var ref mat.SVD
			if !ref.Factorize(z.A, mat.SVDNone) {
				t.Fatalf("%s: no reference", where)
			}
			want := ref.Values(nil)
			tol := 8 * math.Sqrt(float64(m*k)) * eps32
			for i := range S {
				if d := math.Abs(S[i] - want[i]); !(d <= tol*want[0]) {
					t.Errorf("%s: singular value %d is %v, want %v", where, i, S[i], want[i])
				}
			}
			var R mat.Dense
			R.Product(U, mat.NewDiagDense(k, S), V.T())
			R.Sub(&R, z.A)
			if d := mat.Norm(&R, 2); !(d <= tol*want[0]) {
				t.Errorf("%s: |A - U S V^T| is %.2e, bound %.2e", where, d, tol*want[0])
			}
			rotations := V
			if m < n {
				rotations = U
			}
			if d := orthogonality(rotations, k); !(d <= tol) {
				t.Errorf("%s: |V^T V - 1| is %.2e, bound %.2e", where, d, tol)
			}
		}
	}
}

// A least-squares solution is that of float64 to within the condition of the matrix, and rank is found out.
func TestLeastSquares32(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 32))
	for _, s := range shapes {
		m, n := s[0], s[1]
		rcond := 4 * float64(max(m, n)) * eps32
		write := func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, deficient := LeastSquares(b, A, g, rcond)
			return append(x, flag(b, deficient))
		}
		single, double := build32(m, n, m, write), build(m, n, m, true, write)
		for range 5 {
			A := mat.NewDense(m, n, vector32(rng, m*n))
			g := vector32(rng, m)
			got, want := single.eval(A, g...), double.eval(A, g...)
			c := mat.Cond(A, 2)
			if c*rcond > 0.01 {
				continue
			}
			for i := range n {
				if d := math.Abs(got[i] - want[i]); !(d <= 16*float64(m+n)*eps32*c*c*norm(want[:n])) || got[n] != 0 {
					t.Errorf("%dx%d, condition %.3g: x%d = %v, in float64 %v; rank deficient: %v", m, n, c, i, got[i], want[i], got[n])
				}
			}
		}
		if min(m, n) < 2 {
			continue
		}
		A := mat.NewDense(m, n, nil) // of rank 1, exactly
		A.Apply(func(i, j int, _ float64) float64 { return float64((i + 1) * (j + 2)) }, A)
		if out := single.eval(A, vector32(rng, m)...); out[n] == 0 {
			t.Errorf("%dx%d: a matrix of rank 1 counts as one of full rank", m, n)
		}
	}
}

// Norms do not overflow or underflow before their time.
func TestNorms32(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	b := program.NewBuilderOf(program.F32, "norms")
	x := b.Inputs("x", 2)
	f := b.Finish(Norm2(b, x), NormInf(b, x))
	for _, c := range []struct{ x, y, two, max float64 }{
		{3, -4, 5, 4},
		{0, 0, 0, 0},
		{0x3p100, 0x4p100, 0x5p100, 0x4p100},
		{0x3p-149, 0x4p-149, 0x5p-149, 0x4p-149},
		{0x1.8p127, 0, 0x1.8p127, 0x1.8p127},
		{math.MaxFloat32, math.MaxFloat32, inf, math.MaxFloat32},
		{-inf, 1, inf, inf},
		{nan, inf, nan, nan},
		{1, nan, nan, nan},
	} {
		got := f.EvalF64(c.x, c.y)
		same := func(a, b float64) bool {
			return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 2*eps32*math.Abs(a)
		}
		if !same(got[0], c.two) || !same(got[1], c.max) {
			t.Errorf("norms of (%v, %v) are %v, want %v and %v", c.x, c.y, got, c.two, c.max)
		}
	}
}
