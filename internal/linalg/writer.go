package linalg

import "invar/program"

// index is an integer known when the program is written, but for the counters of
// the loops around it.
type index = program.Affine

func at(i int) index { return program.At(i) }

// writer lets an algorithm be written once for both kinds of code: with unroll
// its loops are written trip by trip and its matrices hold values, without they
// are loops over local arrays.
type writer struct {
	*program.Builder
	unroll bool
}

// unrollOps is about how many multiplications are written as straight code.
const unrollOps = 200

// fold runs body for i = lo..hi-1, handing values from trip to trip.
func (w writer) fold(lo, hi index, init []Value, body func(i index, carried []Value) []Value) []Value {
	if len(lo.Terms)+len(hi.Terms) == 0 && (w.unroll || hi.Const-lo.Const <= 1) {
		for i := lo.Const; i < hi.Const; i++ {
			init = body(at(i), init)
		}
		return init
	}
	return w.Loop(lo, hi, init, body)
}

// each runs body for i = lo..hi-1.
func (w writer) each(lo, hi index, body func(i index)) {
	w.fold(lo, hi, nil, func(i index, _ []Value) []Value {
		body(i)
		return nil
	})
}

// down runs body for i = hi-1..lo.
func (w writer) down(lo, hi int, body func(i index)) {
	w.each(at(lo), at(hi), func(i index) { body(i.Times(-1).Plus(lo + hi - 1)) })
}

// sum adds term(i) for i = lo..hi-1, in order, constant zeros left out; no terms
// give -0.
func (w writer) sum(lo, hi index, term func(i index) Value) Value {
	return w.fold(lo, hi, []Value{w.F(negZero)}, func(i index, s []Value) []Value {
		t := term(i)
		if isConst(w.Builder, t, 0) {
			return s
		}
		return []Value{w.Builder.Add(s[0], t)}
	})[0]
}

// less subtracts term(i) for i = lo..hi-1 from x, in order.
func (w writer) less(x Value, lo, hi index, term func(i index) Value) Value {
	return w.fold(lo, hi, []Value{x}, func(i index, s []Value) []Value {
		return []Value{w.Builder.Sub(s[0], term(i))}
	})[0]
}

// matrix is a matrix that can be written to.
type matrix struct {
	w          writer
	rows, cols int
	v          []Value // of straight code
	a          program.Array
}

func (w writer) matrix(rows, cols int) *matrix {
	m := &matrix{w: w, rows: rows, cols: cols}
	if w.unroll {
		m.v = make([]Value, rows*cols)
	} else {
		m.a = w.NewArray(rows * cols)
	}
	return m
}

// from is a copy of A.
func (w writer) from(A [][]Value) *matrix {
	m := w.matrix(len(A), len(A[0]))
	for i := range A {
		for j := range A[i] {
			m.set(at(i), at(j), A[i][j])
		}
	}
	return m
}

// column is a copy of x as a matrix of one column.
func (w writer) column(x []Value) *matrix {
	m := w.matrix(len(x), 1)
	for i := range x {
		m.set(at(i), at(0), x[i])
	}
	return m
}

func (m *matrix) at(i, j index) Value {
	p := i.Times(m.cols).Add(j)
	if m.v != nil {
		return m.v[p.Const]
	}
	return m.w.Load(m.a, p)
}

func (m *matrix) set(i, j index, x Value) {
	p := i.Times(m.cols).Add(j)
	if m.v != nil {
		m.v[p.Const] = x
		return
	}
	m.w.Store(m.a, p, x)
}

// values reads the whole matrix.
func (m *matrix) values() [][]Value {
	A := make([][]Value, m.rows)
	for i := range A {
		A[i] = make([]Value, m.cols)
		for j := range A[i] {
			A[i][j] = m.at(at(i), at(j))
		}
	}
	return A
}

// flat reads the whole matrix into one vector, row by row.
func (m *matrix) flat() []Value {
	var x []Value
	for _, row := range m.values() {
		x = append(x, row...)
	}
	return x
}
