// Package graph turns a problem's formulas into Gorgonia expression graphs, differentiates them
// symbolically, and writes value, gradient, Jacobian and Hessian as operations of a program.
//
// A [problem.Problem] enters through [New]. What leaves is code in a [program.Builder] ([Model.Emit],
// [Model.EmitInverse], [Model.EmitMinima]), or the same numbers from Gorgonia's own tape machine
// ([Model.NewTape], [NewTapeEngine]), which is slow and serves as an independent check.
//
// # From formulas to code
//
// A formula becomes a graph of vectors with one entry a sample: one vector an input, one a parameter,
// one a constant. Derivatives come from a reverse sweep over the rules that Gorgonia's operations carry
// (SymDiff), applied to its own results for second derivatives; G.Grad itself is wrong the second time.
// What Gorgonia lacks, or gets wrong, is an operation of our own with a rule of its own, see
// operations. The derivative of a select is that of the operand it chose and nothing else, so an Inf
// or NaN in the other one leaves no trace.
//
// A simulation is never unrolled: one step is differentiated by state and inputs, and the Jacobian of
// the state, for a Hessian its second derivatives too, are carried through the loop by the chain rule.
// Derivatives that are zero whatever the inputs cost nothing: they are left out of the code and of the
// loop.
//
// Graphs of the same problem are built once and kept. Their size is bounded by [MaxNodes].
package graph

import (
	"fmt"
	"sync"

	"invar/problem"
	"invar/program"
)

// Want says which quantities are asked for: bit flags.
type Want uint

// The quantities, for n inputs x and m outputs y.
const (
	Y     Want = 1 << iota // y
	Loss                   // L
	Grad                   // dL/dx of L(P(x))
	Hess                   // d2L/dx2 of L(P(x))
	Jac                    // dy/dx, m x n
	GradY                  // dL/dy
	HessY                  // d2L/dy2
)

const allWants = Y | Loss | Grad | Hess | Jac | GradY | HessY

// Quantities are the values of one evaluation; what was not wanted is unset.
type Quantities struct {
	Y     []program.Value
	Loss  program.Value
	Grad  []program.Value
	Hess  [][]program.Value // n x n; [i][j] and [j][i] are one value
	Jac   [][]program.Value // m x n
	GradY []program.Value
	HessY [][]program.Value // m x m, likewise
}

// Names lists the names of the wanted quantities in their flat order: y0.., loss, grad0.., hessI_J for
// J <= I, jacR_C row by row, grady0.., hessyI_J for J <= I. N and m count the inputs and outputs.
func (w Want) Names(n, m int) []string {
	var s []string
	vector := func(flag Want, name string, n int) {
		if w&flag != 0 {
			s = append(s, numbered(name, n)...)
		}
	}
	lower := func(flag Want, name string, n int) {
		if w&flag != 0 {
			for i := range n {
				s = append(s, numbered(fmt.Sprintf("%s%d_", name, i), i+1)...)
			}
		}
	}
	vector(Y, "y", m)
	if w&Loss != 0 {
		s = append(s, "loss")
	}
	vector(Grad, "grad", n)
	lower(Hess, "hess", n)
	if w&Jac != 0 {
		for r := range m {
			s = append(s, numbered(fmt.Sprintf("jac%d_", r), n)...)
		}
	}
	vector(GradY, "grady", m)
	lower(HessY, "hessy", m)
	return s
}

// Flat lists the wanted quantities in the order of [Want.Names].
func (q Quantities) Flat(w Want) []program.Value {
	var v []program.Value
	lower := func(h [][]program.Value) {
		for i, row := range h {
			v = append(v, row[:i+1]...)
		}
	}
	if w&Y != 0 {
		v = append(v, q.Y...)
	}
	if w&Loss != 0 {
		v = append(v, q.Loss)
	}
	if w&Grad != 0 {
		v = append(v, q.Grad...)
	}
	if w&Hess != 0 {
		lower(q.Hess)
	}
	if w&Jac != 0 {
		for _, row := range q.Jac {
			v = append(v, row...)
		}
	}
	if w&GradY != 0 {
		v = append(v, q.GradY...)
	}
	if w&HessY != 0 {
		lower(q.HessY)
	}
	return v
}

// Unflatten is the inverse of [Quantities.Flat]. It panics unless v has as many values as Names.
func Unflatten(w Want, n, m int, v []program.Value) Quantities {
	if want := len(w.Names(n, m)); len(v) != want {
		panic(fmt.Sprintf("graph: Unflatten: %d values, want %d", len(v), want))
	}
	take := func(n int) []program.Value {
		r := v[:n:n]
		v = v[n:]
		return r
	}
	var q Quantities
	if w&Y != 0 {
		q.Y = take(m)
	}
	if w&Loss != 0 {
		q.Loss = take(1)[0]
	}
	if w&Grad != 0 {
		q.Grad = take(n)
	}
	if w&Hess != 0 {
		q.Hess = symmetric(take(tri(n, 0)), n)
	}
	if w&Jac != 0 {
		for range m {
			q.Jac = append(q.Jac, take(n))
		}
	}
	if w&GradY != 0 {
		q.GradY = take(m)
	}
	if w&HessY != 0 {
		q.HessY = symmetric(take(tri(m, 0)), m)
	}
	return q
}

// symmetric makes an n x n matrix of its lower triangle.
func symmetric(v []program.Value, n int) [][]program.Value {
	h := make([][]program.Value, n)
	for i := range h {
		h[i] = make([]program.Value, n)
		for j := range i + 1 {
			h[i][j], h[j][i] = v[tri(i, j)], v[tri(i, j)]
		}
	}
	return h
}

// Model is a problem with its graphs. It may be used by several goroutines at once.
type Model struct {
	p       *problem.Problem
	mu      sync.Mutex
	systems map[systemKey]*system
}

// New makes a Model of p. It builds the graph of the values, so that formulas that are too large are
// an error here; graphs of derivatives are built when they are first asked for.
func New(p *problem.Problem) (*Model, error) {
	if p == nil || p.N() == 0 || p.M() == 0 || p.Loss == nil {
		return nil, fmt.Errorf("graph: a problem without inputs, outputs or loss: package problem makes complete ones")
	}
	m := &Model{p: p, systems: map[systemKey]*system{}}
	if _, err := m.system(final, value); err != nil {
		return nil, err
	}
	return m, nil
}

// Problem returns the problem. Treat it as read-only.
func (m *Model) Problem() *problem.Problem { return m.p }

// orders says how far the parts must be differentiated for w: y and L by (state, x), L by y, and the
// state by x.
func (w Want) orders(m int) (outputs []order, byY, state order) {
	y, loss := unwanted, unwanted
	byY, state = unwanted, value
	raise := func(o *order, to order) { *o = max(*o, to) }
	if w&Y != 0 {
		raise(&y, value)
	}
	if w&Loss != 0 {
		raise(&loss, value)
	}
	if w&Grad != 0 {
		raise(&loss, once)
		raise(&state, once)
	}
	if w&Hess != 0 {
		raise(&loss, twice)
		raise(&state, twice)
	}
	if w&Jac != 0 {
		raise(&y, once)
		raise(&state, once)
	}
	if w&GradY != 0 {
		raise(&y, value) // where the derivative is taken
		raise(&byY, once)
	}
	if w&HessY != 0 {
		raise(&y, value)
		raise(&byY, twice)
	}
	for range m {
		outputs = append(outputs, y)
	}
	return append(outputs, loss), byY, state
}

// parts returns the systems that give the wanted quantities: the loop over the steps if there is one,
// y and L at its end, and L of y if its derivatives by y are wanted.
func (m *Model) parts(from source, want Want) (sim *simulation, fin, ofY *system, err error) {
	outputs, byY, state := want.orders(m.p.M())
	if fin, err = from(final, outputs...); err != nil {
		return nil, nil, nil, err
	}
	if byY != unwanted {
		if ofY, err = from(lossOfY, byY); err != nil {
			return nil, nil, nil, err
		}
	}
	sim, err = m.simulation(from, state)
	return sim, fin, ofY, err
}

// builderAlgebra is the chain rule's arithmetic in code; NoValue is zero.
type builderAlgebra struct{ b *program.Builder }

func (builderAlgebra) zero() program.Value                    { return program.NoValue }
func (builderAlgebra) isZero(v program.Value) bool            { return v == program.NoValue }
func (a builderAlgebra) mul(x, y program.Value) program.Value { return a.b.Mul(x, y) }
func (a builderAlgebra) add(x, y program.Value) program.Value { return a.b.Add(x, y) }

// emit writes a system; zeros are NoValue.
func (s *system) emit(b *program.Builder, params, vars, y []program.Value) evaluation[program.Value] {
	l := newLowering(b, s.d)
	l.bind(s.params, params)
	l.bind(s.vars, vars)
	l.bind(s.y, y)
	w := evaluation[program.Value]{
		out: l.numbers(s.out),
		d1:  make([][]program.Value, len(s.out)),
		d2:  make([][]program.Value, len(s.out)),
	}
	for q := range s.out {
		if s.d1[q] != nil {
			w.d1[q] = l.numbers(s.d1[q])
		}
		if s.d2[q] != nil {
			w.d2[q] = l.numbers(s.d2[q])
		}
	}
	return w
}

func (m *Model) checkArgs(params, x []program.Value) error {
	if len(params) != len(m.p.Params) || len(x) != m.p.N() {
		return fmt.Errorf("graph: problem %s: %d parameters and %d inputs are given, want %d and %d",
			m.p.Name, len(params), len(x), len(m.p.Params), m.p.N())
	}
	return nil
}

// Emit writes the wanted quantities at x (n values) for the parameters (in the order of
// Problem.Params) and returns them. It may be called again on one Builder, also inside a Guard: what
// is there already is not written twice, loops aside.
//
// Errors are wrong lengths, an unknown Want, and graphs or code that grow too large.
func (m *Model) Emit(b *program.Builder, params, x []program.Value, want Want) (q Quantities, err error) {
	if err := m.checkArgs(params, x); err != nil {
		return q, err
	}
	if want&^allWants != 0 {
		return q, fmt.Errorf("graph: unknown quantities %#b, the known ones are %#b", want, allWants)
	}
	sim, fin, ofY, err := m.parts(m.system, want)
	if err != nil {
		return q, err
	}
	defer program.Catch(&err)

	var state []program.Value
	var s sensitivity[program.Value]
	if sim != nil {
		state, s = sim.emit(b, params, x)
	}
	at := fin.emit(b, params, append(state, x...), nil)
	var l evaluation[program.Value]
	if ofY != nil {
		l = ofY.emit(b, params, at.out[:m.p.M()], nil)
	}
	flat := assemble(builderAlgebra{b}, want, m.p.N(), m.p.M(), at, l, s)
	for i, v := range flat {
		if v == program.NoValue {
			flat[i] = b.F(0)
		}
	}
	return Unflatten(want, m.p.N(), m.p.M(), flat), nil
}

// EmitMinima writes the known minima, n values each, for the parameters.
func (m *Model) EmitMinima(b *program.Builder, params []program.Value) (x [][]program.Value, err error) {
	n := m.p.N()
	if len(params) != len(m.p.Params) {
		return nil, fmt.Errorf("graph: problem %s: %d parameters are given, want %d", m.p.Name, len(params), len(m.p.Params))
	}
	s, err := m.system(minima, value)
	if err != nil {
		return nil, err
	}
	defer program.Catch(&err)
	w := s.emit(b, params, nil, nil)
	for i := range m.p.Minima {
		x = append(x, w.out[i*n:(i+1)*n:(i+1)*n])
	}
	return x, nil
}

// Builtins are the models of all built-in problems, in the order of problem.Builtins.
func Builtins() ([]*Model, error) {
	var all []*Model
	for _, name := range problem.Builtins() {
		p, err := problem.Builtin(name)
		if err != nil {
			return nil, err
		}
		m, err := New(p)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}
