package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/mat"

	"invar/program"
)

// eps is that of the float64s that most tests compute in.
const eps = 0x1p-52

func TestVectors(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 5, 16} {
		x, y := vector(rng, n), vector(rng, n)
		b := program.NewBuilder("vectors")
		vx, vy := b.Inputs("x", n), b.Inputs("y", n)
		c := b.Lt(vx[0], vy[0])
		var out []Value
		out = append(out, Dot(b, vx, vy), Norm2(b, vx), NormInf(b, vx))
		for _, v := range [][]Value{Scale(b, vy[0], vx), Add(b, vx, vy), Sub(b, vx, vy), Neg(b, vx), Select(b, c, vx, vy)} {
			out = append(out, v...)
		}
		got := b.Finish(out...).EvalF64(append(append([]float64(nil), x...), y...)...)
		var dot, inf float64
		elementwise := make([][]float64, 5)
		for i := range x {
			dot += float64(x[i] * y[i])
			inf = max(inf, math.Abs(x[i]))
			smaller := y[i]
			if x[0] < y[0] {
				smaller = x[i]
			}
			for k, v := range []float64{y[0] * x[i], x[i] + y[i], x[i] - y[i], -x[i], smaller} {
				elementwise[k] = append(elementwise[k], v)
			}
		}
		want := []float64{dot, got[1], inf}
		for _, v := range elementwise {
			want = append(want, v...)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("n=%d: (-want +got)\n%s", n, d)
		}
		if d := math.Abs(got[1] - norm(x)); !(d <= 4*eps*norm(x)) {
			t.Errorf("Norm2 of %v is %v, want %v", x, got[1], norm(x))
		}
	}
}

func TestNorms(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	b := program.NewBuilder("norms")
	x := b.Inputs("x", 2)
	f := b.Finish(Norm2(b, x), NormInf(b, x))
	for _, c := range []struct{ x, y, two, max float64 }{
		{3, -4, 5, 4},
		{0, 0, 0, 0},
		{3e300, 4e300, 5e300, 4e300},
		{0x3p-1074, 0x4p-1074, 0x5p-1074, 0x4p-1074},
		{0x1.8p1023, 0, 0x1.8p1023, 0x1.8p1023},
		{1e308, 1.7e308, math.Hypot(1, 1.7) * 1e308, 1.7e308},
		{math.MaxFloat64, math.MaxFloat64, inf, math.MaxFloat64},
		{-inf, 1, inf, inf},
		{inf, inf, inf, inf},
		{nan, inf, nan, nan},
		{1, nan, nan, nan},
		{nan, 1, nan, nan},
	} {
		got := f.EvalF64(c.x, c.y)
		same := func(a, b float64) bool {
			return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 2*eps*math.Abs(a)
		}
		if !same(got[0], c.two) || !same(got[1], c.max) {
			t.Errorf("norms of (%v, %v) are %v, want %v and %v", c.x, c.y, got, c.two, c.max)
		}
	}
}

func TestProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, s := range shapes {
		m, n := s[0], s[1]
		A, x, z := random(rng, m, n), vector(rng, n), vector(rng, m)
		half := random(rng, m, m)
		var W, WA, G, GW mat.Dense
		W.Add(half, half.T())
		diagonal := mat.NewDense(m, m, nil)
		for i := range m {
			diagonal.Set(i, i, z[i])
		}
		var DA, GD, Ax, Az mat.Dense
		Ax.Mul(A, mat.NewDense(n, 1, x))
		Az.Mul(A.T(), mat.NewDense(m, 1, z))
		WA.Mul(&W, A)
		DA.Mul(diagonal, A)
		G.Mul(A.T(), A)
		GW.Mul(A.T(), &WA)
		GD.Mul(A.T(), &DA)

		b := program.NewBuilder("products")
		vA := rowsOf(b.Inputs("a", m*n), n)
		vx, vz := b.Inputs("x", n), b.Inputs("z", m)
		vW := rowsOf(b.Inputs("w", m*m), m)
		vD, one := make([][]Value, m), make([][]Value, m)
		for i := range m {
			vD[i], one[i] = make([]Value, m), make([]Value, m)
			for j := range m {
				vD[i][j], one[i][j] = b.F(0), b.F(float64(btoi(i == j)))
			}
			vD[i][i] = vz[i]
		}
		grams := [][][]Value{Gram(b, vA), GramW(b, vA, vW), GramW(b, vA, vD), GramW(b, vA, one)}
		for _, g := range grams {
			for i := range g {
				for j := range g {
					if g[i][j] != g[j][i] {
						t.Fatalf("%dx%d: elements %d,%d and %d,%d of a Gram matrix are not one value", m, n, i, j, j, i)
					}
				}
			}
		}
		out := append(MatVec(b, vA, vx), MatTVec(b, vA, vz)...)
		for _, g := range grams {
			out = append(out, flatten(g)...)
		}
		f := program.Optimize(b.Finish(out...), true)
		var in []float64
		for _, v := range [][]float64{A.RawMatrix().Data, x, z, W.RawMatrix().Data} {
			in = append(in, v...)
		}
		got := f.EvalF64(in...)
		for i, want := range []*mat.Dense{&Ax, &Az, &G, &GW, &GD, &G} {
			w := want.RawMatrix().Data
			for k := range w {
				if d := math.Abs(got[k] - w[k]); !(d <= 1e-13*float64(m*m)) {
					t.Errorf("%dx%d product %d element %d is %v, want %v", m, n, i, k, got[k], w[k])
				}
			}
			got = got[len(w):]
		}
	}
}

// bothWays runs test without and with fused multiply-adds.
func bothWays(t *testing.T, test func(t *testing.T, fuse bool)) {
	for _, fuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("fuse=%v", fuse), func(t *testing.T) { test(t, fuse) })
	}
}

// unit divides A and multiplies x by the power of two that brings A's largest
// element near 1, so that checks need not care about overflow. x solves a system with A.
func unit(A *mat.Dense, x []float64) (*mat.Dense, []float64) {
	_, e := math.Frexp(max(mat.Max(A), -mat.Min(A)))
	y := make([]float64, len(x))
	for i := range x {
		y[i] = math.Ldexp(x[i], e)
	}
	m, n := A.Dims()
	B := mat.NewDense(m, n, nil)
	B.Apply(func(_, _ int, v float64) float64 { return math.Ldexp(v, -e) }, A)
	return B, y
}

// residual is A x - g.
func residual(A *mat.Dense, x, g []float64) []float64 {
	var r mat.VecDense
	r.MulVec(A, mat.NewVecDense(len(x), x))
	r.SubVec(&r, mat.NewVecDense(len(g), g))
	return r.RawVector().Data
}

func TestSolveLU(t *testing.T) {
	bothWays(t, func(t *testing.T, fuse bool) {
		rng := rand.New(rand.NewPCG(7, 8))
		for n := 1; n <= 16; n++ {
			f := build(n, n, n, fuse, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, singular := SolveLU(b, A, g)
				return append(x, flag(b, singular))
			})
			for _, z := range zoo(rng, n, n) {
				g := vector(rng, n)
				out := f.eval(z.A, g...)
				singular := out[n] != 0
				if want, sure := isSingular(z.name, n); sure && want != singular {
					t.Errorf("n=%d %s: singular=%v", n, z.name, singular)
				}
				if singular {
					continue
				}
				A, x := unit(z.A, out[:n])
				bound := 4 * float64(n) * eps * (mat.Norm(A, 2)*norm(x) + norm(g))
				if r := norm(residual(A, x, g)); !(r <= bound) {
					t.Errorf("n=%d %s: residual %.2e, bound %.2e", n, z.name, r, bound)
				}
			}
		}
	})
}

// isSingular tells what is to be found out about a square matrix of the zoo.
func isSingular(name string, n int) (singular, sure bool) {
	switch name {
	case "zero", "zero column":
		return true, true
	case "ones", "rank 1":
		return n > 1, true
	case "identity", "reversed", "cyclic", "kahan", "upper", "tridiagonal", "equal values", "clusters", "condition 1e8",
		"rows graded down", "rows graded up", "columns graded down", "columns graded up", "graded both":
		return false, true
	}
	return false, false
}

// Random matrices of rank n-1 must nearly always be found out; those of full rank
// never be suspected.
func TestRank(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{2, 3, 4, 8, 16} {
		f := build(n, n, n, true, func(b *program.Builder, A [][]Value, g []Value) []Value {
			_, singular := SolveLU(b, A, g)
			_, notPosDef := SolveCholesky(b, A, g)
			return []Value{flag(b, singular), flag(b, notPosDef)}
		})
		const count = 300
		var lu, cholesky, suspected int
		zero := make([]float64, n)
		for range count {
			var A, S, B mat.Dense
			A.Mul(random(rng, n, n-1), random(rng, n-1, n))
			half := random(rng, n-1, n)
			S.Mul(half.T(), half)
			full := random(rng, n+2, n)
			B.Mul(full.T(), full)
			lu += 1 - int(f.eval(&A, zero...)[0])
			cholesky += 1 - int(f.eval(&S, zero...)[1])
			suspected += int(f.eval(random(rng, n, n), zero...)[0] + f.eval(&B, zero...)[1])
		}
		t.Logf("n=%d: LU misses %d of %d singular matrices, Cholesky %d", n, lu, count, cholesky)
		if lu > count/20 || cholesky > count/6 || suspected > 0 {
			t.Errorf("n=%d: LU misses %d of %d singular matrices, Cholesky %d; %d regular ones are suspected", n, lu, count, cholesky, suspected)
		}
	}
}

func TestSolveCholesky(t *testing.T) {
	bothWays(t, func(t *testing.T, fuse bool) {
		rng := rand.New(rand.NewPCG(11, 12))
		for n := 1; n <= 16; n++ {
			f := build(n, n, n, fuse, func(b *program.Builder, A [][]Value, g []Value) []Value {
				for i := range A { // the upper half must not be read
					for j := i + 1; j < n; j++ {
						A[i][j] = b.F(math.NaN())
					}
				}
				x, bad := SolveCholesky(b, A, g)
				return append(x, flag(b, bad))
			})
			for _, z := range zoo(rng, 2*n, n) {
				J, _ := unit(z.A, nil)
				if z.name == "zero" {
					J = z.A
				}
				var G mat.Dense
				G.Mul(J.T(), J)
				g := vector(rng, n)
				out := f.eval(&G, g...)
				switch z.name {
				case "zero", "zero column":
					if out[n] == 0 {
						t.Errorf("n=%d %s: taken for positive definite", n, z.name)
					}
				case "random", "identity", "columns graded down", "columns graded up", "equal values", "clusters", "kahan":
					if out[n] != 0 {
						t.Errorf("n=%d %s: not taken for positive definite", n, z.name)
					}
				}
				if out[n] != 0 {
					continue
				}
				bound := 4 * float64(n) * eps * (mat.Norm(&G, 2)*norm(out[:n]) + norm(g))
				if r := norm(residual(&G, out[:n], g)); !(r <= bound) {
					t.Errorf("n=%d %s: residual %.2e, bound %.2e", n, z.name, r, bound)
				}
				// Indefinite: one pivot moved below zero.
				i := rng.IntN(n)
				G.Set(i, i, -G.At(i, i))
				if f.eval(&G, g...)[n] == 0 {
					t.Errorf("n=%d %s: a negative diagonal element was missed", n, z.name)
				}
			}
		}
	})
}

// TestSweeps counts how many sweeps the hardest matrices need: columns of more
// than rounding size must be orthogonal after sweeps(n), and not after a few less.
func TestSweeps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 2; n <= 16; n++ {
		worst := func(count int) (worst float64, name string) {
			b := program.NewBuilder("sweeps")
			A := rowsOf(b.Inputs("a", n*n), n)
			j := writer{b, false}.jacobi(n, n)
			pseudo{w: j.w, j: j, scale: b.F(1)}.fill(A)
			j.w.each(at(0), at(count), func(index) { j.sweep() })
			f := b.Finish(flatten(j.m.values()[:n])...)
			for range 1 + 4/n {
				for _, z := range zoo(rng, n, n) {
					if z.name == "huge" || z.name == "tiny" || z.name == "zero" {
						continue
					}
					W := mat.NewDense(n, n, f.EvalF64(z.A.RawMatrix().Data...))
					floor := eps * mat.Norm(W, 2)
					for p := range n {
						for q := range p {
							x, y := W.ColView(p), W.ColView(q)
							c := math.Abs(mat.Dot(x, y)) / (max(floor, mat.Norm(x, 2)) * max(floor, mat.Norm(y, 2)))
							if !(c <= worst) {
								worst, name = c, z.name
							}
						}
					}
				}
			}
			return worst, name
		}
		if c, name := worst(sweeps(n)); !(c <= 4*eps) {
			t.Errorf("n=%d: a cosine of %.1e after %d sweeps (%s)", n, c, sweeps(n), name)
		}
		fewer := sweeps(n) - 1 - btoi(n > 2) - 2*btoi(n > 5)
		if c, _ := worst(fewer); !(c > 4*eps) {
			t.Errorf("n=%d: %d sweeps are enough already", n, fewer)
		}
	}
}

func TestSVD(t *testing.T) {
	bothWays(t, func(t *testing.T, fuse bool) {
		rng := rand.New(rand.NewPCG(13, 14))
		for _, s := range shapes {
			m, n := s[0], s[1]
			k := min(m, n)
			f := build(m, n, 0, fuse, func(b *program.Builder, A [][]Value, _ []Value) []Value {
				U, S, V := SVD(b, A)
				return append(append(flatten(U), S...), flatten(V)...)
			})
			for _, z := range zoo(rng, m, n) {
				where := fmt.Sprintf("%dx%d %s", m, n, z.name)
				out := f.eval(z.A)
				U, V := mat.NewDense(m, k, out[:m*k]), mat.NewDense(n, k, out[m*k+k:])
				A, S := z.A, out[m*k:m*k+k]
				if z.name != "zero" {
					_, e := math.Frexp(max(mat.Max(A), -mat.Min(A)))
					A, _ = unit(A, nil)
					for i := range S {
						S[i] = math.Ldexp(S[i], -e)
					}
				}
				tol := 8 * math.Sqrt(float64(m*k)) * eps
				for i := 1; i < k; i++ {
					if !(S[i] <= S[i-1]+tol*S[0]) {
						t.Errorf("%s: singular values %v are not descending", where, S)
					}
				}
				var ref mat.SVD
				if !ref.Factorize(A, mat.SVDNone) {
					t.Fatalf("%s: no reference", where)
				}
				want := ref.Values(nil)
				for i := range S {
					if d := math.Abs(S[i] - want[i]); !(d <= tol*want[0]) {
						t.Errorf("%s: singular value %d is %v, want %v", where, i, S[i], want[i])
					}
				}
				var R mat.Dense
				R.Product(U, mat.NewDiagDense(k, S), V.T())
				R.Sub(&R, A)
				if d := mat.Norm(&R, 2); !(d <= tol*want[0]) {
					t.Errorf("%s: |A - U S V^T| is %.2e, bound %.2e", where, d, tol*want[0])
				}
				// The side of the rotations is orthogonal, the other where singular values are above rounding errors.
				rotations, columns := V, U
				if m < n {
					rotations, columns = U, V
				}
				if d := orthogonality(rotations, k); !(d <= tol) {
					t.Errorf("%s: |V^T V - 1| is %.2e, bound %.2e", where, d, tol)
				}
				above := 0
				for above < k && S[above] > 4*float64(k)*eps*S[0] {
					above++
				}
				if d := orthogonality(columns, above); !(d <= tol) {
					t.Errorf("%s: |U^T U - 1| is %.2e, bound %.2e", where, d, tol)
				}
			}
		}
	})
}

// orthogonality is how far the first k columns of X are from orthonormal ones.
func orthogonality(X *mat.Dense, k int) float64 {
	m, _ := X.Dims()
	if k == 0 {
		return 0
	}
	Y := X.Slice(0, m, 0, k)
	var G mat.Dense
	G.Mul(Y.T(), Y)
	for i := range k {
		G.Set(i, i, G.At(i, i)-1)
	}
	return max(mat.Max(&G), -mat.Min(&G))
}

// Jacobi's method finds the singular values of D B, B well-conditioned, each to a
// high relative accuracy (Demmel & Veselic 1992); a bidiagonal method does not.
func TestSVDGraded(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for _, n := range []int{2, 3, 5, 8} {
		f := build(n, n, 0, true, func(b *program.Builder, A [][]Value, _ []Value) []Value {
			_, S, _ := SVD(b, A)
			return S
		})
		B := random(rng, n, n)
		for i := range n {
			B.Set(i, i, B.At(i, i)+8)
		}
		A, last := mat.NewDense(n, n, nil), 0.0
		A.Apply(func(_, j int, v float64) float64 { return v * math.Ldexp(1, -30*j) }, B)
		got := f.eval(A)
		// |det A| is the product of the singular values; the powers of two are exact.
		product := 1.0
		for j := range n {
			product *= math.Ldexp(got[j], 30*j)
			last = got[j]
		}
		if d := math.Abs(product/math.Abs(mat.Det(B)) - 1); !(d <= 1e-13) {
			t.Errorf("n=%d: product of the singular values down to %.1e has a relative error of %.1e", n, last, d)
		}
	}
}

// reference is V S^power U^T g by gonum, with the rank found, the condition of the
// part kept, and whether the rank is beyond doubt.
func reference(t *testing.T, A *mat.Dense, g []float64, power, rcond float64) (x []float64, rank int, kept float64, sure bool) {
	var svd mat.SVD
	if !svd.Factorize(A, mat.SVDThin) {
		t.Fatal("no reference")
	}
	var U, V mat.Dense
	svd.UTo(&U)
	svd.VTo(&V)
	S := svd.Values(nil)
	n, _ := V.Dims()
	x, sure = make([]float64, n), true
	for k, s := range S {
		if s > rcond*S[0]/8 && s < rcond*S[0]*8 {
			sure = false
		}
		if s <= rcond*S[0] {
			continue
		}
		rank, kept = k+1, S[0]/s
		c := 0.0
		for i := range g {
			c += U.At(i, k) * g[i]
		}
		for i := range x {
			x[i] += V.At(i, k) * c * math.Pow(s, power)
		}
	}
	return x, rank, kept, sure
}

func TestLeastSquares(t *testing.T) {
	bothWays(t, func(t *testing.T, fuse bool) {
		rng := rand.New(rand.NewPCG(17, 18))
		for _, s := range shapes {
			m, n := s[0], s[1]
			rcond := 1e-11
			if rng.IntN(2) == 0 && m != n {
				rcond = 0.05 // a square matrix that LU solves has no use for it
			}
			f := build(m, n, m, fuse, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, deficient := LeastSquares(b, A, g, rcond)
				return append(x, flag(b, deficient))
			})
			for _, z := range zoo(rng, m, n) {
				where := fmt.Sprintf("%dx%d %s", m, n, z.name)
				g := vector(rng, m)
				out := f.eval(z.A, g...)
				if mat.Max(z.A) == 0 && mat.Min(z.A) == 0 {
					if norm(out[:n]) != 0 || out[n] != 1 {
						t.Errorf("%s: %v", where, out)
					}
					continue
				}
				A, x := unit(z.A, out[:n])
				want, rank, kept, sure := reference(t, A, g, -1, rcond)
				if m == n && rank < n && out[n] == 0 {
					// A square system that LU solved: as good as SolveLU is.
					bound := 4 * float64(n) * eps * (mat.Norm(A, 2)*norm(x) + norm(g))
					if r := norm(residual(A, x, g)); !(r <= bound) {
						t.Errorf("%s: residual %.2e, bound %.2e", where, r, bound)
					}
					continue
				}
				if !sure {
					continue
				}
				if (rank < min(m, n)) != (out[n] != 0) {
					t.Errorf("%s: rank %d, rankDeficient %v", where, rank, out[n] != 0)
				}
				var d []float64
				for i := range x {
					d = append(d, x[i]-want[i])
				}
				// First-order bound of the least-squares problem: kappa |x| + kappa^2 |r|/|A|.
				r := norm(residual(A, want, g))
				bound := 16 * float64(min(m, n)) * eps * (kept*norm(want) + kept*(norm(g)+kept*r)/mat.Norm(A, 2))
				if !(norm(d) <= bound) {
					t.Errorf("%s: error %.2e, bound %.2e, condition %.1e", where, norm(d), bound, kept)
				}
			}
		}
	})
}

// The bound that lets LeastSquares do without singular values is what it says.
func TestSolveSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(27, 28))
	for _, s := range shapes {
		m, n := s[0], s[1]
		if m <= n {
			continue
		}
		for _, unroll := range []bool{false, true} {
			f := build(m, n, 0, true, func(b *program.Builder, A [][]Value, _ []Value) []Value {
				return []Value{writer{b, unroll}.householder(A, b.F(1), nil).solveSize(n)}
			})
			A := random(rng, m, n)
			var svd mat.SVD
			svd.Factorize(A, mat.SVDNone)
			size, inverse := 0.0, 0.0
			for _, s := range svd.Values(nil) {
				size, inverse = math.Hypot(size, s), math.Hypot(inverse, 1/s)
			}
			if got, want := f.eval(A)[0], size*inverse; !(math.Abs(got-want) <= 1e-12*want) {
				t.Errorf("%dx%d: |R| |R^-1| is %v, want %v", m, n, got, want)
			}
		}
	}
}

func TestPowerApply(t *testing.T) {
	bothWays(t, func(t *testing.T, fuse bool) {
		rng := rand.New(rand.NewPCG(19, 20))
		for _, s := range shapes {
			m, n := s[0], s[1]
			for _, power := range []float64{-1, -0.5} {
				for _, rcond := range []float64{1e-11, 0.1} {
					if rcond == 0.1 && m*n > 64 {
						continue
					}
					f := build(m, n, m, fuse, func(b *program.Builder, A [][]Value, g []Value) []Value {
						x, deficient := PowerApply(b, A, g, power, rcond)
						return append(x, flag(b, deficient))
					})
					for _, z := range zoo(rng, m, n) {
						if z.name == "tiny" || z.name == "huge" {
							continue // TestScaling has them
						}
						where := fmt.Sprintf("%dx%d %s power %v", m, n, z.name, power)
						g := vector(rng, m)
						out := f.eval(z.A, g...)
						want, rank, kept, sure := reference(t, z.A, g, power, rcond)
						if !sure {
							continue
						}
						if (rank < min(m, n)) != (out[n] != 0) {
							t.Errorf("%s: rank %d, rankDeficient %v", where, rank, out[n] != 0)
						}
						var d []float64
						for i := range want {
							d = append(d, out[i]-want[i])
						}
						size := math.Pow(max(mat.Norm(z.A, 2), 1e-300)/max(kept, 1), power)
						bound := 32 * float64(min(m, n)) * eps * kept * size * norm(g)
						if z.name == "zero" {
							bound = 0
						}
						if !(norm(d) <= bound) {
							t.Errorf("%s: error %.2e, bound %.2e, condition %.1e", where, norm(d), bound, kept)
						}
					}
				}
			}
		}
	})
}

// Scaling a matrix by a power of two must scale results exactly: every decision
// and every rounding stays the same.
func TestScaling(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, s := range shapes {
		m, n := s[0], s[1]
		k := min(m, n)
		type result struct {
			name  string
			f     fn
			power func(i int) float64 // output i of 2^e A is that of A times 2^(e*power)
		}
		inverse := func(n int) func(int) float64 {
			return func(i int) float64 { return -float64(btoi(i < n)) }
		}
		results := []result{
			{"SVD", build(m, n, m, true, func(b *program.Builder, A [][]Value, _ []Value) []Value {
				U, S, V := SVD(b, A)
				return append(append(flatten(U), S...), flatten(V)...)
			}), func(i int) float64 { return float64(btoi(i >= m*k && i < m*k+k)) }},
			{"LeastSquares", build(m, n, m, true, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, deficient := LeastSquares(b, A, g, 1e-10)
				return append(x, flag(b, deficient))
			}), inverse(n)},
			{"PowerApply -1", build(m, n, m, true, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, deficient := PowerApply(b, A, g, -1, 1e-10)
				return append(x, flag(b, deficient))
			}), inverse(n)},
			{"PowerApply -1/2", build(m, n, m, true, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, deficient := PowerApply(b, A, g, -0.5, 1e-10)
				return append(x, flag(b, deficient))
			}), func(i int) float64 { return inverse(n)(i) / 2 }},
		}
		if m == n {
			results = append(results, result{"SolveLU", build(m, n, m, true, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, singular := SolveLU(b, A, g)
				return append(x, flag(b, singular))
			}), inverse(n)})
		}
		for i, z := range zoo(rng, m, n) {
			if z.name == "tiny" || z.name == "huge" || i%4 != 0 && m*n > 64 {
				continue // every fourth of the large ones will do
			}
			g := vector(rng, m)
			for _, r := range results {
				base := r.f.eval(z.A, g...)
				for _, e := range []int{-400, 300} {
					got := r.f.eval(times(z.A, math.Ldexp(1, e)), g...)
					for i := range got {
						if want := math.Ldexp(base[i], int(float64(e)*r.power(i))); math.Float64bits(got[i]) != math.Float64bits(want) && !(math.IsNaN(got[i]) && math.IsNaN(want)) {
							t.Fatalf("%s %dx%d %s times 2^%d: output %d is %v, want %v", r.name, m, n, z.name, e, i, got[i], want)
						}
					}
				}
			}
		}
	}
}

// A NaN or infinity anywhere must show in the flag, and a NaN in the result.
func TestNotFinite(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	for _, s := range shapes {
		m, n := s[0], s[1]
		f := build(m, n, m, true, func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, flag1 := LeastSquares(b, A, g, 1e-10)
			y, flag2 := PowerApply(b, A, g, -0.5, 1e-10)
			_, S, _ := SVD(b, A)
			out := append(append(append(x, y...), flag(b, flag1), flag(b, flag2)), S...)
			if m == n {
				_, flag3 := SolveLU(b, A, g)
				_, flag4 := SolveCholesky(b, A, g)
				out = append(out, flag(b, flag3), flag(b, flag4))
			}
			return out
		})
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for range 1 + 8/(m*n) {
				A := random(rng, m, n)
				i, j := rng.IntN(m), rng.IntN(n)
				A.Set(i, j, bad)
				out := f.eval(A, vector(rng, m)...)
				number := 0 // an infinite number has an inverse
				for k := range 2 * n {
					number += btoi(!math.IsNaN(out[k]))
				}
				if number > 0 && m*n > 1 {
					t.Errorf("%dx%d with %v at %d,%d: solutions %v", m, n, bad, i, j, out[:2*n])
				}
				if out[2*n] != 1 || out[2*n+1] != 1 {
					t.Errorf("%dx%d with %v at %d,%d: not flagged", m, n, bad, i, j)
				}
				if S := out[2*n+2 : 2*n+2+min(m, n)]; !math.IsNaN(S[0]) && !math.IsNaN(S[len(S)-1]) {
					t.Errorf("%dx%d with %v at %d,%d: singular values %v", m, n, bad, i, j, S)
				}
				if m == n && (out[len(out)-2] != 1 || j <= i && out[len(out)-1] != 1) {
					t.Errorf("%dx%d with %v at %d,%d: LU and Cholesky say %v", m, n, bad, i, j, out[len(out)-2:])
				}
			}
		}
	}
}

// Matrices of constants must fold away and give what others give.
func TestConstants(t *testing.T) {
	rng := rand.New(rand.NewPCG(25, 26))
	for _, s := range shapes {
		m, n := s[0], s[1]
		A, g := random(rng, m, n), vector(rng, m)
		variable := build(m, n, m, false, func(b *program.Builder, A [][]Value, g []Value) []Value { return everything(b, A, g) })
		b := program.NewBuilder("constant")
		C := make([][]Value, m)
		for i := range C {
			for j := range n {
				C[i] = append(C[i], b.F(A.At(i, j)))
			}
		}
		f := program.Optimize(b.Finish(everything(b, C, b.Inputs("g", m))...), false)
		work := 0
		for _, in := range f.Instrs {
			work += btoi(in.Op != program.OpInput && in.Op != program.OpConst)
		}
		// Three products of m*n with the vector, two triangular solves more where square.
		limit := 2*(3*m*n) + btoi(m == n)*(2*n*n+4*n)
		if work > limit {
			t.Errorf("%dx%d: %d operations with a constant matrix, limit %d", m, n, work, limit)
		}
		got, want := f.EvalF64(g...), variable.eval(A, g...)
		for i := range got {
			if d := math.Abs(got[i] - want[i]); !(d <= 1e-10*(1+math.Abs(want[i]))) {
				t.Errorf("%dx%d: output %d is %v with a constant matrix, else %v", m, n, i, got[i], want[i])
			}
		}
	}
}

// everything is one of each kind of result.
func everything(b *program.Builder, A [][]Value, g []Value) []Value {
	var out []Value
	x, deficient := LeastSquares(b, A, g, 1e-10)
	out = append(append(out, x...), flag(b, deficient))
	x, deficient = PowerApply(b, A, g, -0.5, 1e-10)
	out = append(append(out, x...), flag(b, deficient))
	U, S, V := SVD(b, A)
	out = append(append(append(out, flatten(U)...), S...), flatten(V)...)
	out = append(out, flatten(Gram(b, A))...)
	if len(A) == len(A[0]) {
		x, singular := SolveLU(b, A, g)
		out = append(append(out, x...), flag(b, singular))
	}
	return out
}

// TestLength keeps programs short, and with -v prints how short.
func TestLength(t *testing.T) {
	count := func(m, n, r int, write func(b *program.Builder, A [][]Value, g []Value) []Value) int {
		return len(build(m, n, r, true, write).f.Instrs) - m*n - r
	}
	t.Logf("%8s %8s %8s %8s %8s %8s %8s", "m x n", "LU", "Cholesky", "SVD", "lstsq", "power", "Gram")
	for _, s := range shapes {
		m, n := s[0], s[1]
		lu, cholesky := 0, 0
		if m == n {
			lu = count(m, n, m, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, f := SolveLU(b, A, g)
				return append(x, f)
			})
			cholesky = count(m, n, m, func(b *program.Builder, A [][]Value, g []Value) []Value {
				x, f := SolveCholesky(b, A, g)
				return append(x, f)
			})
		}
		svd := count(m, n, 0, func(b *program.Builder, A [][]Value, _ []Value) []Value {
			U, S, V := SVD(b, A)
			return append(append(flatten(U), S...), flatten(V)...)
		})
		lstsq := count(m, n, m, func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, f := LeastSquares(b, A, g, 1e-12)
			return append(x, f)
		})
		power := count(m, n, m, func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, f := PowerApply(b, A, g, -0.5, 1e-12)
			return append(x, f)
		})
		gram := count(m, n, 0, func(b *program.Builder, A [][]Value, _ []Value) []Value { return flatten(Gram(b, A)) })
		t.Logf("%8s %8d %8d %8d %8d %8d %8d", fmt.Sprintf("%dx%d", m, n), lu, cholesky, svd, lstsq, power, gram)
		for name, c := range map[string]int{"LU": lu, "Cholesky": cholesky, "SVD": svd, "lstsq": lstsq, "power": power, "Gram": gram} {
			if limit := 600 + 9*m*n; c > limit {
				t.Errorf("%dx%d %s: %d instructions, limit %d", m, n, name, c, limit)
			}
		}
	}
}

func TestMisuse(t *testing.T) {
	for _, c := range []struct {
		want  string
		write func(b *program.Builder, x []Value)
	}{
		{"SolveLU of a matrix of 1 rows and 2 columns", func(b *program.Builder, x []Value) { SolveLU(b, [][]Value{x}, x) }},
		{"right-hand side of SolveCholesky of length 2, want 1", func(b *program.Builder, x []Value) { SolveCholesky(b, [][]Value{x[:1]}, x) }},
		{"without elements", func(b *program.Builder, x []Value) { SVD(b, nil) }},
		{"row 1 of a matrix has 1 elements, row 0 has 2", func(b *program.Builder, x []Value) { Gram(b, [][]Value{x, x[:1]}) }},
		{"power 2 of a matrix", func(b *program.Builder, x []Value) { PowerApply(b, [][]Value{x}, x[:1], 2, 0) }},
		{"rcond 1, want", func(b *program.Builder, x []Value) { LeastSquares(b, [][]Value{x}, x[:1], 1) }},
		{"weights of 1 rows and 2 columns", func(b *program.Builder, x []Value) { GramW(b, [][]Value{x, x}, [][]Value{x}) }},
		{"second vector of Dot of length 1, want 2", func(b *program.Builder, x []Value) { Dot(b, x, x[:1]) }},
	} {
		err := func() (err error) {
			defer program.Catch(&err)
			b := program.NewBuilder("misuse")
			c.write(b, b.Inputs("x", 2))
			return nil
		}()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func ExampleSolveLU() {
	b := program.NewBuilder("example")
	a := b.Inputs("a", 4)
	x, singular := SolveLU(b, [][]Value{a[:2], a[2:]}, []Value{b.F(5), b.F(6)})
	f := b.Finish(append(x, b.Select(singular, b.F(1), b.F(0)))...)
	fmt.Println(f.EvalF64(0, 1, 2, 1))
	// Output: [0.5 5 0]
}

// Gram is J^T J for J of m rows and n columns: n rows and columns, exactly
// symmetric.
func Gram(b *program.Builder, J [][]Value) [][]Value {
	shape(J)
	return product(b, J, J)
}
