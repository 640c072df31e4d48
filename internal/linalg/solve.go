package linalg

import "invar/program"

// SolveLU writes the solution x of A x = rhs, A square of any kind, by Gaussian
// elimination with partial pivoting (Golub & Van Loan, Matrix Computations, 4th
// ed., algorithm 3.4.1).
//
// The Bool singular is true where x is worthless: where a pivot is no larger than
// the rounding errors it may carry, |u_kk| <= 4 n eps (|L||U|)_kk (Higham, Accuracy
// and Stability of Numerical Algorithms, 2nd ed., theorem 9.3; the 4 is for errors
// of earlier pivots, which may be amplified), or is not finite. For n <= 2 this
// finds every singular matrix, for random larger ones of rank n-1 all but about
// 2 %. Unlike a test against the largest element of A it does not change when
// rows or columns are scaled: diag(1, 1e-200) is not singular.
func SolveLU(b *program.Builder, A [][]Value, rhs []Value) (x []Value, singular Value) {
	n := square("SolveLU", A, rhs)
	w := writer{b, n <= 4 || constant(b, A)}
	m := w.matrix(n, n+1) // A and rhs side by side
	for i := range A {
		for j := range A[i] {
			m.set(at(i), at(j), A[i][j])
		}
		m.set(at(i), at(n), rhs[i])
	}
	ok := w.fold(at(0), at(n), []Value{b.B(true)}, func(k index, ok []Value) []Value {
		next := k.Plus(1)
		w.each(next, at(n), func(i index) { // the first largest pivot ends up in row k
			swap := b.Gt(b.Abs(m.at(i, k)), b.Abs(m.at(k, k)))
			w.each(at(0), at(n+1), func(j index) {
				upper, lower := m.at(k, j), m.at(i, j)
				m.set(k, j, b.Select(swap, lower, upper))
				m.set(i, j, b.Select(swap, upper, lower))
			})
		})
		pivot := m.at(k, k)
		size := b.Add(b.Abs(pivot), w.sum(at(0), k, func(j index) Value { return b.Abs(b.Mul(m.at(k, j), m.at(j, k))) }))
		w.each(next, at(n), func(i index) {
			l := b.Div(m.at(i, k), pivot)
			m.set(i, k, l)
			w.each(next, at(n+1), func(j index) {
				m.set(i, j, b.Sub(m.at(i, j), mul(b, l, m.at(k, j))))
			})
		})
		return []Value{b.And(ok[0], b.Gt(b.Abs(pivot), b.Mul(b.F(4*float64(n)*b.Eps()), size)))}
	})
	w.down(0, n, func(i index) { // x takes the place of rhs
		s := w.less(m.at(i, at(n)), i.Plus(1), at(n), func(j index) Value { return mul(b, m.at(i, j), m.at(j, at(n))) })
		m.set(i, at(n), b.Div(s, m.at(i, i)))
	})
	x = make([]Value, n)
	for i := range x {
		x[i] = m.at(at(i), at(n))
	}
	return x, b.Not(ok[0])
}

// SolveCholesky writes the solution x of A x = rhs for a symmetric positive
// definite A, of which it reads the lower half, as A = L D L^T (Golub & Van Loan,
// 4th ed., section 4.1.2; it needs no square roots).
//
// The Bool notPosDef is true where x is worthless: where a pivot d_k is not above
// 4 n eps a_kk, about its rounding error (Demmel 1989, in Higham, theorem 10.7), or
// is not finite. Scaling A from both sides by one diagonal matrix does not change
// this test. Of random semidefinite matrices of rank n-1 about one in ten passes
// for definite when n > 2, with an x of no use: damp A where that can happen.
func SolveCholesky(b *program.Builder, A [][]Value, rhs []Value) (x []Value, notPosDef Value) {
	n := square("SolveCholesky", A, rhs)
	w := writer{b, n <= 6 || constant(b, A)}
	// The lower half holds A, then L D, with rhs as one more row; the upper half L^T.
	m := w.matrix(n+1, n+1)
	for i := range A {
		for j := 0; j <= i; j++ {
			m.set(at(i), at(j), A[i][j])
		}
		m.set(at(n), at(i), rhs[i])
	}
	m.set(at(n), at(n), b.F(0))
	diagonal := w.matrix(n, 1)
	for i := range A {
		diagonal.set(at(i), at(0), A[i][i])
	}
	ok := w.fold(at(0), at(n), []Value{b.B(true)}, func(k index, ok []Value) []Value {
		next := k.Plus(1)
		pivot := m.at(k, k)
		w.each(next, at(n+1), func(i index) {
			l := b.Div(m.at(i, k), pivot)
			m.set(k, i, l)
			w.each(next, i.Plus(1), func(j index) {
				m.set(i, j, b.Sub(m.at(i, j), mul(b, l, m.at(j, k))))
			})
		})
		good := b.Gt(pivot, b.Mul(b.F(4*float64(n)*b.Eps()), b.Abs(diagonal.at(k, at(0)))))
		return []Value{b.And(ok[0], good)} // +Inf is not above itself
	})
	v := w.matrix(n, 1)
	w.down(0, n, func(i index) {
		v.set(i, at(0), w.less(m.at(i, at(n)), i.Plus(1), at(n), func(j index) Value { return mul(b, m.at(i, j), v.at(j, at(0))) }))
	})
	return v.flat(), b.Not(ok[0])
}

// mul is x y, and 0 where a factor is the constant 0: zeros in the structure of a
// matrix cost nothing (and stop no NaN).
func mul(b *program.Builder, x, y Value) Value {
	if isConst(b, x, 0) || isConst(b, y, 0) {
		return b.F(0)
	}
	return b.Mul(x, y)
}

func square(who string, A [][]Value, rhs []Value) int {
	m, n := shape(A)
	if m != n {
		fail("%s of a matrix of %d rows and %d columns, want as many of both", who, m, n)
	}
	sameLength("right-hand side of "+who, rhs, n)
	return n
}
