// Package linalg writes small dense linear algebra (up to about 16 unknowns and
// 64 residuals) into per-sample programs: solves, least squares and singular
// values for optimizer methods. Numbers enter and leave as values of a
// [program.Builder]; vectors are []Value, matrices [][]Value by rows. Nothing is
// computed here: the functions append instructions and return what to read. All numbers are of the Builder's
// type; eps stands for its [program.Builder.Eps].
//
// Small sizes are written as straight code, larger ones as loops over local
// arrays, so that a program stays short; matrices of constants fold away. No
// function branches on data: pivoting is by select and iterations are counted. A
// NaN in a matrix comes out as a NaN together with a raised flag, a NaN in a
// right-hand side as a NaN alone.
package linalg

import (
	"fmt"
	"math"

	"invar/program"
)

// Value is a value of a program.
type Value = program.Value

// fail is how a Builder reports what cannot be written; see program.Catch.
func fail(format string, args ...any) {
	panic(&program.Error{Msg: "linalg: " + fmt.Sprintf(format, args...)})
}

// shape returns the size of A and refuses empty and ragged matrices.
func shape(A [][]Value) (rows, cols int) {
	if len(A) == 0 || len(A[0]) == 0 {
		fail("a matrix of %d rows without elements; rows and columns must be at least 1", len(A))
	}
	for i := range A {
		if len(A[i]) != len(A[0]) {
			fail("row %d of a matrix has %d elements, row 0 has %d; they must be equal", i, len(A[i]), len(A[0]))
		}
	}
	return len(A), len(A[0])
}

func sameLength(what string, x []Value, n int) {
	if len(x) != n {
		fail("%s of length %d, want %d", what, len(x), n)
	}
}

// Dot is the scalar product of x and y, summed in order.
func Dot(b *program.Builder, x, y []Value) Value {
	sameLength("second vector of Dot", y, len(x))
	s := b.F(negZero)
	for i := range x {
		s = b.Add(s, b.Mul(x[i], y[i]))
	}
	return s
}

// negZero starts every sum: unlike +0 it is neutral for all numbers, so that the Builder drops it.
var negZero = math.Copysign(0, -1)

// Scale is a*x.
func Scale(b *program.Builder, a Value, x []Value) []Value {
	r := make([]Value, len(x))
	for i := range x {
		r[i] = b.Mul(a, x[i])
	}
	return r
}

// Add is x + y.
func Add(b *program.Builder, x, y []Value) []Value {
	sameLength("second vector of Add", y, len(x))
	r := make([]Value, len(x))
	for i := range x {
		r[i] = b.Add(x[i], y[i])
	}
	return r
}

// Sub is x - y.
func Sub(b *program.Builder, x, y []Value) []Value {
	sameLength("second vector of Sub", y, len(x))
	r := make([]Value, len(x))
	for i := range x {
		r[i] = b.Sub(x[i], y[i])
	}
	return r
}

// Neg is -x.
func Neg(b *program.Builder, x []Value) []Value {
	r := make([]Value, len(x))
	for i := range x {
		r[i] = b.Neg(x[i])
	}
	return r
}

// Select is cond ? x : y, element by element.
func Select(b *program.Builder, cond Value, x, y []Value) []Value {
	sameLength("second vector of Select", y, len(x))
	r := make([]Value, len(x))
	for i := range x {
		r[i] = b.Select(cond, x[i], y[i])
	}
	return r
}

// MatVec is A x for A of m rows and len(x) columns: m values.
func MatVec(b *program.Builder, A [][]Value, x []Value) []Value {
	r := make([]Value, len(A))
	for i := range A {
		r[i] = Dot(b, A[i], x)
	}
	return r
}

// MatTVec is A^T x for A of len(x) rows and n columns: n values.
func MatTVec(b *program.Builder, A [][]Value, x []Value) []Value { return MatVec(b, Transpose(A), x) }

// Transpose is A^T.
func Transpose(A [][]Value) [][]Value {
	m, n := shape(A)
	t := make([][]Value, n)
	for j := range t {
		t[j] = make([]Value, m)
		for i := range A {
			t[j][i] = A[i][j]
		}
	}
	return t
}

// Norm2 is the Euclidean length of x. It neither overflows nor underflows unless
// the length itself does: where a square would, x is scaled by a power of two first. It is +Inf where
// an element is infinite (and none is NaN), NaN where one is NaN.
func Norm2(b *program.Builder, x []Value) Value {
	if len(x) == 1 {
		return b.Abs(x[0])
	}
	sum := Dot(b, x, x)
	// Of a sum that large, what squares lose below the least normal number is less than a rounding error.
	ordinary := b.And(b.Ge(sum, b.F(b.MinNormal()/b.Eps())), b.IsFinite(sum))
	return b.Guard(b.Not(ordinary), []Value{b.Sqrt(sum)}, func() []Value {
		largest := NormInf(b, x)
		scale := powerScale(b, largest)
		y := Scale(b, scale, x)
		norm := b.Div(b.Sqrt(Dot(b, y, y)), scale)
		return []Value{b.Select(b.IsFinite(largest), norm, largest)}
	})[0]
}

// NormInf is the largest magnitude in x, NaN where an element is NaN.
func NormInf(b *program.Builder, x []Value) Value {
	if len(x) == 0 {
		return b.F(0)
	}
	// The bits of magnitudes are ordered as the magnitudes are, NaNs on top.
	r := b.Abs(x[0])
	for _, v := range x[1:] {
		a := b.Abs(v)
		r = b.Select(b.ILt(b.Bits(r), b.Bits(a)), a, r)
	}
	return r
}

// powerScale is the power of two that brings the magnitude a into [2,4), or below
// if a is subnormal. Where a is infinite or NaN it is 0, which turns infinities
// into NaN.
func powerScale(b *program.Builder, a Value) Value {
	least := b.F(b.MinNormal())
	exponent := b.I(int64(b.Float().Bits(math.Inf(1)))) // all its bits set
	e := b.IAnd(b.Bits(b.Select(b.Lt(a, least), least, a)), exponent)
	return b.FromBits(b.ISub(exponent, e))
}

// constant reports whether all elements of A are constants.
func constant(b *program.Builder, A [][]Value) bool {
	for i := range A {
		for _, v := range A[i] {
			if _, ok := b.ConstValue(v); !ok {
				return false
			}
		}
	}
	return true
}

// GramW is J^T W J for J of m rows and n columns and a symmetric W of m rows and
// columns, exactly symmetric. Elements of W that are the constant 0 count as
// absent: they cost nothing and stop no NaN.
func GramW(b *program.Builder, J, W [][]Value) [][]Value {
	m, n := shape(J)
	if rows, cols := shape(W); rows != m || cols != m {
		fail("weights of %d rows and %d columns for a Jacobian of %d rows", rows, cols, m)
	}
	terms := 0
	for i := range W {
		for k := range W[i] {
			if !isConst(b, W[i][k], 0) {
				terms++
			}
		}
	}
	WJ := make([][]Value, m)
	if terms > m && terms*n > unrollOps {
		w := writer{b, constant(b, J) && constant(b, W)}
		w1, j1, r := w.from(W), w.from(J), w.matrix(m, n)
		w.each(at(0), at(m), func(i index) {
			w.each(at(0), at(n), func(j index) {
				r.set(i, j, w.sum(at(0), at(m), func(k index) Value { return w.Mul(w1.at(i, k), j1.at(k, j)) }))
			})
		})
		return product(b, J, r.values())
	}
	for i := range WJ {
		WJ[i] = make([]Value, n)
		for j := range WJ[i] {
			s := b.F(negZero)
			for k := range W[i] {
				if !isConst(b, W[i][k], 0) {
					s = b.Add(s, b.Mul(W[i][k], J[k][j]))
				}
			}
			WJ[i][j] = s
		}
	}
	return product(b, J, WJ)
}

func isConst(b *program.Builder, v Value, x float64) bool {
	c, ok := b.ConstValue(v)
	return ok && c == x
}

// product is X^T Y, known to be symmetric, from its lower half.
func product(b *program.Builder, X, Y [][]Value) [][]Value {
	m, n := len(X), len(X[0])
	w := writer{b, m*n*(n+1)/2 <= unrollOps || constant(b, X) && constant(b, Y)}
	x, y, r := w.from(X), w.from(Y), w.matrix(n, n)
	w.each(at(0), at(n), func(i index) {
		w.each(at(0), i.Plus(1), func(j index) {
			r.set(i, j, w.sum(at(0), at(m), func(k index) Value { return mul(b, x.at(k, i), y.at(k, j)) }))
		})
	})
	G := make([][]Value, n)
	for i := range G {
		G[i] = make([]Value, n)
		for j := 0; j <= i; j++ {
			G[i][j] = r.at(at(i), at(j))
			G[j][i] = G[i][j]
		}
	}
	return G
}
