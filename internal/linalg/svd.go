package linalg

import "invar/program"

// sweeps is how often Jacobi's method visits all pairs of n columns. Nearly all
// matrices are done after 3 to 6 sweeps; the last ones are for columns of rounding
// size in rank-deficient matrices, of which TestSweeps tries all kinds.
func sweeps(n int) int {
	switch {
	case n < 2:
		return 0
	case n == 2:
		return 2
	case n == 3:
		return 5
	case n <= 5:
		return 6
	case n <= 8:
		return 8
	}
	return 10
}

// SVD writes the thin singular value decomposition A = U diag(S) V^T of A of m
// rows and n columns: U of m rows, V of n rows, both with k = min(m, n)
// columns, and k singular values, descending but for rounding.
//
// The method is one-sided Jacobi (Hestenes 1958, with the pair order of de Rijk
// 1989), which finds small singular values of graded matrices to high relative
// accuracy (Demmel & Veselic 1992), with a fixed number of sweeps. A is scaled by
// a power of two first; singular values below about 1e-77 of the largest (1e-9 for F32) are not
// resolved. Where one is 0, its column of U is 0 too if m >= n, else its column
// of V. A NaN or infinity in A makes singular values NaN.
func SVD(b *program.Builder, A [][]Value) (U [][]Value, S []Value, V [][]Value) {
	m, n := shape(A)
	if m < n {
		V, S, U = SVD(b, Transpose(A))
		return U, S, V
	}
	if constant(b, A) {
		out := evaluate(b, A, nil, func(b *program.Builder, A [][]Value, _ []Value) []Value {
			U, S, V := SVD(b, A)
			return append(append(flatten(U), S...), flatten(V)...)
		})
		return rowsOf(out[:m*n], n), out[m*n : m*n+n], rowsOf(out[m*n+n:], n)
	}
	w := writer{b, n <= unrollSVD && m+n <= 12}
	scale := powerScale(b, NormInf(b, flatten(A)))
	j := w.jacobi(m, n)
	for r := range A {
		for c := range A[r] {
			j.m.set(at(r), at(c), b.Mul(A[r][c], scale))
		}
	}
	j.run()
	s, u := w.matrix(n, 1), w.matrix(m, n)
	w.each(at(0), at(n), func(c index) {
		norm := j.norm(c)
		s.set(c, at(0), b.Div(norm, scale))
		w.each(at(0), at(m), func(r index) {
			u.set(r, c, b.Select(b.Eq(norm, b.F(0)), norm, b.Div(j.m.at(r, c), norm)))
		})
	})
	V = make([][]Value, n)
	for r := range V {
		V[r] = make([]Value, n)
		for c := range V[r] {
			V[r][c] = j.m.at(at(m+r), at(c))
		}
	}
	return u.values(), s.flat(), V
}

// unrollSVD is the largest number of columns whose pairs are written one by one.
const unrollSVD = 3

// jacobi turns the columns of W, the first rows of m, orthogonal by rotations
// from the right, W V = U diag(S), and applies them to the rows below too, which
// become V.
type jacobi struct {
	w    writer
	m    *matrix
	rows int // of W
}

// jacobi makes room for W, which the caller fills in, and an identity under it.
func (w writer) jacobi(rows, cols int) jacobi {
	j := jacobi{w: w, m: w.matrix(rows+cols, cols), rows: rows}
	w.each(at(0), at(cols), func(r index) {
		w.each(at(0), at(cols), func(c index) { j.m.set(r.Plus(rows), c, w.F(0)) })
		j.m.set(r.Plus(rows), r, w.F(1))
	})
	return j
}

// run does all sweeps. Those of straight code are a loop that carries the matrix,
// unless there is a single pair.
func (j jacobi) run() {
	n := j.m.cols
	switch {
	case j.w.unroll && n > 2:
		j.m.v = j.w.Loop(at(0), at(sweeps(n)), j.m.v, func(_ index, m []Value) []Value {
			copy(j.m.v, m)
			j.sweep()
			return append([]Value(nil), j.m.v...)
		})
	default:
		j.w.each(at(0), at(sweeps(n)), func(index) { j.sweep() })
	}
}

func (j jacobi) sweep() {
	n := at(j.m.cols)
	j.w.each(at(0), n, func(p index) {
		j.w.each(p.Plus(1), n, func(q index) { j.rotate(p, q) })
	})
}

// rotate makes columns p and q of W orthogonal, the longer one first.
func (j jacobi) rotate(p, q index) {
	w, b := j.w, j.w.Builder
	dots := w.fold(at(0), at(j.rows), []Value{b.F(negZero), b.F(negZero), b.F(negZero)}, func(i index, s []Value) []Value {
		x, y := j.m.at(i, p), j.m.at(i, q)
		return []Value{b.Add(s[0], b.Mul(x, x)), b.Add(s[1], b.Mul(y, y)), b.Add(s[2], b.Mul(x, y))}
	})
	xx, yy, xy := dots[0], dots[1], dots[2]
	// tan of the smaller angle; none where the cosine between the columns is below eps.
	done := b.Le(b.Mul(xy, xy), b.Mul(b.F(b.Eps()*b.Eps()), b.Mul(xx, yy)))
	d, h := b.Sub(xx, yy), b.Add(xy, xy)
	r := b.Sqrt(b.Add(b.Mul(d, d), b.Mul(h, h)))
	t := b.Select(done, b.F(0), b.Div(h, b.Add(b.Abs(d), r)))
	c := b.Div(b.F(1), b.Sqrt(b.Add(b.F(1), b.Mul(t, t))))
	s := b.Mul(c, t)
	shorter := b.Lt(xx, yy)
	c, s = b.Select(shorter, s, c), b.Select(shorter, c, s)
	w.each(at(0), at(j.m.rows), func(i index) {
		x, y := j.m.at(i, p), j.m.at(i, q)
		j.m.set(i, p, b.Add(j.times(c, x), j.times(s, y)))
		j.m.set(i, q, b.Sub(j.times(c, y), j.times(s, x)))
	})
}

// times is a*x, 0 for the zeros of the identity.
func (j jacobi) times(a, x Value) Value {
	if isConst(j.w.Builder, x, 0) {
		return x
	}
	return j.w.Mul(a, x)
}

// norm is the length of column c of W: a singular value.
func (j jacobi) norm(c index) Value {
	return j.w.Sqrt(j.w.sum(at(0), at(j.rows), func(i index) Value { x := j.m.at(i, c); return j.w.Mul(x, x) }))
}

func flatten(A [][]Value) []Value {
	var x []Value
	for _, row := range A {
		x = append(x, row...)
	}
	return x
}

func rowsOf(x []Value, cols int) [][]Value {
	var A [][]Value
	for ; len(x) > 0; x = x[cols:] {
		A = append(A, x[:cols])
	}
	return A
}

// evaluate folds what write does with a constant matrix and a constant vector:
// loops over arrays, which a Builder does not fold.
func evaluate(b *program.Builder, A [][]Value, g []float64, write func(b *program.Builder, A [][]Value, g []Value) []Value) []Value {
	f := program.NewBuilderOf(b.Float(), "constant")
	in := f.Inputs("a", len(A)*len(A[0]))
	fn := f.Finish(write(f, rowsOf(in, len(A[0])), f.Inputs("g", len(g)))...)
	args := make([]float64, 0, len(in)+len(g))
	for _, v := range flatten(A) {
		c, _ := b.ConstValue(v)
		args = append(args, c)
	}
	var out []Value
	for _, v := range fn.EvalF64(append(args, g...)...) {
		out = append(out, b.F(v))
	}
	return out
}
