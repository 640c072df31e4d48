package linalg

import (
	"math"

	"invar/program"
)

// LeastSquares writes the x of least length among those that minimise
// |A x - rhs|, for A of any shape m x n: x = A^+ rhs with the pseudo-inverse.
//
// A square A is solved by SolveLU and only where that finds it singular by its
// pseudo-inverse. Other shapes are solved by a QR factorisation of A or A^T and,
// where the condition of A may exceed 1/rcond, by the pseudo-inverse. In the
// pseudo-inverse singular values of at most rcond times the largest count as zero;
// rcond is between 0 and 1, 1e-12 for example.
//
// The Bool rankDeficient is true where a singular value was dropped or A is not
// finite; x is then of no or little use in some directions, but finite for a finite A.
func LeastSquares(b *program.Builder, A [][]Value, rhs []Value, rcond float64) (x []Value, rankDeficient Value) {
	m, n := shape(A)
	sameLength("right-hand side of LeastSquares", rhs, m)
	if m != n || n == 1 {
		return apply(b, A, rhs, -1, rcond, true)
	}
	x, singular := SolveLU(b, A, rhs)
	out := b.Guard(singular, append(x, b.B(false)), func() []Value {
		x, deficient := apply(b, A, rhs, -1, rcond, false)
		return append(x, deficient)
	})
	return out[:n], out[n]
}

// PowerApply writes V S^power U^T g for A = U S V^T of m rows and n columns, g of
// length m and power -1 (the pseudo-inverse) or -1/2, the half-inverse of Schnell,
// Holl & Thuerey, "Half-Inverse Gradients for Physical Deep Learning" (2022).
// Singular values of at most rcond times the largest are dropped, which the Bool
// rankDeficient shows; it is true too where A is not finite, and the result NaN.
func PowerApply(b *program.Builder, A [][]Value, g []Value, power, rcond float64) (x []Value, rankDeficient Value) {
	m, _ := shape(A)
	sameLength("vector of PowerApply", g, m)
	if power != -1 && power != -0.5 {
		fail("power %v of a matrix; -1 and -0.5 are known", power)
	}
	return apply(b, A, g, power, rcond, false)
}

// apply is PowerApply. With quick, and power -1, it looks for a way around the
// singular values.
func apply(b *program.Builder, A [][]Value, g []Value, power, rcond float64, quick bool) (x []Value, rankDeficient Value) {
	if !(rcond >= 0 && rcond < 1) {
		fail("rcond %v, want 0 <= rcond < 1", rcond)
	}
	m, n := shape(A)
	if m == 1 && n == 1 {
		return applyNumber(b, A[0][0], g[0], power)
	}
	if constant(b, A) {
		return applyConstant(b, A, g, power, rcond)
	}
	k := min(m, n)
	w := writer{b, k <= unrollSVD && m*n <= 36}
	scale := powerScale(b, NormInf(b, flatten(A)))
	p := pseudo{w: w, k: k, power: power, rcond: rcond, scale: scale}
	switch {
	case k == 1 && m == 1: // the transpose is a column: nothing to orthogonalise
		p.j = w.jacobi(n, 1)
		p.fill(Transpose(A))
		x, rankDeficient = p.apply(w.column(g), false)
	case k == 1 || m == n:
		p.j = w.jacobi(m, k)
		p.fill(A)
		p.j.run()
		x, rankDeficient = p.apply(w.column(g), true)
	case m > n: // A = Q R: V S^p U^T g = (R's power) (Q^T g)
		q := w.householder(A, scale, g)
		c := w.matrix(n, 1)
		w.each(at(0), at(n), func(i index) { c.set(i, at(0), q.m.at(i, at(n))) })
		if quick {
			return p.quick(q, c, false)
		}
		x, rankDeficient = p.triangle(q, c, false)
	default: // A^T = Q R, A = R^T Q^T: Q (R^T's power) g
		q := w.householder(Transpose(A), scale, nil)
		c := w.column(g)
		if quick {
			x, rankDeficient = p.quick(q, c, true)
		} else {
			x, rankDeficient = p.triangle(q, c, true)
		}
		x = q.apply(x)
	}
	return x, rankDeficient
}

// applyNumber is apply for a matrix of one element.
func applyNumber(b *program.Builder, a, g Value, power float64) ([]Value, Value) {
	zero := b.Eq(a, b.F(0))
	x := b.Div(g, a)
	if power != -1 {
		r := b.Div(g, b.Sqrt(b.Abs(a)))
		x = b.Select(b.Lt(a, b.F(0)), b.Neg(r), r)
	}
	return []Value{b.Select(zero, b.F(0), x)}, b.Or(zero, b.Not(b.IsFinite(a)))
}

// applyConstant multiplies by the matrix V S^power U^T, found here and now.
func applyConstant(b *program.Builder, A [][]Value, g []Value, power, rcond float64) ([]Value, Value) {
	columns := make([][]Value, len(g))
	var deficient Value
	for i := range g {
		unit := make([]float64, len(g))
		unit[i] = 1
		out := evaluate(b, A, unit, func(b *program.Builder, A [][]Value, g []Value) []Value {
			x, deficient := apply(b, A, g, power, rcond, false)
			return append(x, b.Select(deficient, b.F(1), b.F(0)))
		})
		n := len(out) - 1
		columns[i], deficient = out[:n], b.Eq(out[n], b.F(1))
	}
	return MatTVec(b, columns, g), deficient
}

// pseudo applies a power of a matrix whose columns, or whose transpose's, j
// makes orthogonal. The matrix is scaled by scale.
type pseudo struct {
	w            writer
	j            jacobi
	k            int // number of singular values
	power, rcond float64
	scale        Value
}

// fill puts A, scaled, in the place of W.
func (p pseudo) fill(A [][]Value) {
	for r := range A {
		for c := range A[r] {
			p.j.m.set(at(r), at(c), p.w.Mul(A[r][c], p.scale))
		}
	}
}

// apply is sum over the columns of (w/s).g s^power v where W = A V, and with
// direct false, for W = A^T V, of v.g s^power (w/s).
func (p pseudo) apply(g *matrix, direct bool) (x []Value, deficient Value) {
	w, b, j := p.w, p.w.Builder, p.j
	from, to := 0, j.rows // rows of the side that meets g, and of the side that x is made of
	if !direct {
		from, to = j.rows, 0
	}
	s := w.matrix(p.k, 1)
	extreme := w.fold(at(0), at(p.k), []Value{b.F(0), b.F(math.Inf(1))}, func(c index, e []Value) []Value {
		norm := j.norm(c)
		s.set(c, at(0), norm)
		return []Value{b.Max(norm, e[0]), b.Min(norm, e[1])}
	})
	tolerance := b.Mul(b.F(p.rcond), extreme[0])
	coef := w.matrix(p.k, 1)
	finite := w.fold(at(0), at(p.k), []Value{b.B(true)}, func(c index, finite []Value) []Value {
		norm := s.at(c, at(0))
		f := b.Div(w.sum(at(0), at(g.rows), func(i index) Value { return b.Mul(j.m.at(i.Plus(from), c), g.at(i, at(0))) }), norm)
		if p.power == -1 {
			f = b.Mul(b.Div(f, norm), p.scale)
		} else {
			f = b.Div(f, b.Sqrt(b.Div(norm, p.scale)))
		}
		coef.set(c, at(0), b.Select(b.Le(norm, tolerance), b.F(0), f))
		return []Value{b.And(finite[0], b.IsFinite(norm))}
	})
	y := w.matrix(j.m.rows-g.rows, 1)
	w.each(at(0), at(y.rows), func(i index) {
		y.set(i, at(0), w.sum(at(0), at(p.k), func(c index) Value { return b.Mul(j.m.at(i.Plus(to), c), coef.at(c, at(0))) }))
	})
	return y.flat(), b.Not(b.And(finite[0], b.Gt(extreme[1], tolerance)))
}

// triangle applies the power of R, or of R^T with transposed, to c. Jacobi's
// method is given R^T either way: it converges faster on it (Drmac & Veselic 2008).
func (p pseudo) triangle(q qr, c *matrix, transposed bool) ([]Value, Value) {
	w := p.w
	p.j = w.jacobi(p.k, p.k)
	w.each(at(0), at(p.k), func(i index) {
		w.each(at(0), i, func(j index) {
			p.j.m.set(i, j, q.m.at(j, i))
			p.j.m.set(j, i, w.F(0))
		})
		p.j.m.set(i, i, q.d.at(i, at(0)))
	})
	p.j.run()
	return p.apply(c, transposed)
}

// quick solves R x = c, or R^T x = c with transposed, and falls back on triangle
// where rcond could make a difference: where |R| |R^-1| >= 1/rcond in Frobenius'
// norm, which is the condition number or more, up to k times.
func (p pseudo) quick(q qr, c *matrix, transposed bool) ([]Value, Value) {
	w, b, k := p.w, p.w.Builder, p.k
	size := q.solveSize(k)
	y := w.matrix(k, 1)
	if transposed {
		w.each(at(0), at(k), func(i index) {
			s := w.less(c.at(i, at(0)), at(0), i, func(j index) Value { return b.Mul(q.m.at(j, i), y.at(j, at(0))) })
			y.set(i, at(0), b.Div(s, q.d.at(i, at(0))))
		})
	} else {
		w.down(0, k, func(i index) {
			s := w.less(c.at(i, at(0)), i.Plus(1), at(k), func(j index) Value { return b.Mul(q.m.at(i, j), y.at(j, at(0))) })
			y.set(i, at(0), b.Div(s, q.d.at(i, at(0))))
		})
	}
	x := Scale(b, p.scale, y.flat())
	unsafe := b.Not(b.Lt(b.Mul(b.F(p.rcond), size), b.F(1)))
	out := b.Guard(unsafe, append(x, b.B(false)), func() []Value {
		x, deficient := p.triangle(q, c, transposed)
		return append(x, deficient)
	})
	return out[:k], out[k]
}

// qr holds Householder reflections: below and on the diagonal of m their
// vectors, above it R, whose diagonal is d (Golub & Van Loan, 4th ed., section 5.2).
type qr struct {
	w          writer
	m, d, beta *matrix
	k          int
}

// householder factors scale*A, of at least as many rows as columns. With a g it
// keeps Q^T g as one more column of m.
func (w writer) householder(A [][]Value, scale Value, g []Value) qr {
	rows, k := shape(A)
	cols := k
	if g != nil {
		cols++
	}
	q := qr{w, w.matrix(rows, cols), w.matrix(k, 1), w.matrix(k, 1), k}
	for i := range A {
		for j := range A[i] {
			q.m.set(at(i), at(j), w.Mul(A[i][j], scale))
		}
		if g != nil {
			q.m.set(at(i), at(k), g[i])
		}
	}
	b := w.Builder
	w.each(at(0), at(k), func(p index) {
		norm := b.Sqrt(w.sum(p, at(rows), func(i index) Value { x := q.m.at(i, p); return b.Mul(x, x) }))
		x := q.m.at(p, p)
		negative := b.Lt(x, b.F(0))
		v := b.Select(negative, b.Sub(x, norm), b.Add(x, norm)) // the sign without cancellation
		beta := b.Select(b.Eq(norm, b.F(0)), norm, b.Div(b.F(1), b.Mul(norm, b.Abs(v))))
		q.m.set(p, p, v)
		q.beta.set(p, at(0), beta)
		q.d.set(p, at(0), b.Select(negative, norm, b.Neg(norm)))
		w.each(p.Plus(1), at(cols), func(j index) {
			f := b.Mul(beta, w.sum(p, at(rows), func(i index) Value { return b.Mul(q.m.at(i, p), q.m.at(i, j)) }))
			w.each(p, at(rows), func(i index) {
				q.m.set(i, j, b.Sub(q.m.at(i, j), b.Mul(f, q.m.at(i, p))))
			})
		})
	})
	return q
}

// apply is Q times y, y being followed by zeros.
func (q qr) apply(y []Value) []Value {
	w, b, rows := q.w, q.w.Builder, q.m.rows
	x := w.matrix(rows, 1)
	for i := range y {
		x.set(at(i), at(0), y[i])
	}
	w.each(at(len(y)), at(rows), func(i index) { x.set(i, at(0), b.F(0)) })
	w.down(0, q.k, func(p index) {
		f := b.Mul(q.beta.at(p, at(0)), w.sum(p, at(rows), func(i index) Value { return b.Mul(q.m.at(i, p), x.at(i, at(0))) }))
		w.each(p, at(rows), func(i index) {
			x.set(i, at(0), b.Sub(x.at(i, at(0)), b.Mul(f, q.m.at(i, p))))
		})
	})
	return x.flat()
}

// solveSize is |R| |R^-1| in Frobenius' norm.
func (q qr) solveSize(k int) Value {
	w, b := q.w, q.w.Builder
	square := func(x Value) Value { return b.Mul(x, x) }
	z := w.matrix(k, 1)
	sums := w.fold(at(0), at(k), []Value{b.F(negZero), b.F(negZero)}, func(j index, s []Value) []Value {
		d := q.d.at(j, at(0))
		z.set(j, at(0), b.Div(b.F(1), d))
		r := b.Add(s[0], square(d))
		r = b.Add(r, w.sum(at(0), j, func(i index) Value { return square(q.m.at(i, j)) }))
		// Column j of the inverse, from the diagonal upward: i = j-1-t.
		w.each(at(0), j, func(t index) {
			i := j.Plus(-1).Add(t.Times(-1))
			y := w.less(b.F(0), i.Plus(1), j.Plus(1), func(l index) Value { return b.Mul(q.m.at(i, l), z.at(l, at(0))) })
			z.set(i, at(0), b.Div(y, q.d.at(i, at(0))))
		})
		inverse := b.Add(s[1], w.sum(at(0), j.Plus(1), func(i index) Value { return square(z.at(i, at(0))) }))
		return []Value{r, inverse}
	})
	return b.Sqrt(b.Mul(sums[0], sums[1]))
}
