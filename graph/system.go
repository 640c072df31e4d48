package graph

import (
	"fmt"
	"slices"
	"strings"

	"invar/problem"
	"invar/problem/formula"
)

// kind names the functions that a problem is made of. Each becomes one expression graph.
type kind int

const (
	initial  kind = iota // x -> the state before the first step
	step                 // (state, x) -> the state after one step
	final                // (state, x) -> y and, last, L; without a simulation the state is empty
	lossOfY              // y -> L
	backEnd              // (final state, x), y -> the state where the reverse steps begin
	backStep             // (state, x), y -> the state before
	inverse              // (initial state, x), y -> x
	minima               // -> all known minima in a row
)

// order says how often an output is to be differentiated; outputs that are not wanted are left out.
type order int

const (
	unwanted order = iota - 1
	value
	once
	twice
)

// system is a vector function as an expression graph with its derivatives by vars.
type system struct {
	d      *dag
	params []*node
	vars   []*node   // state and x, or y; derivatives are by these
	y      []*node   // further inputs: the new outputs, of the parts of the inverse
	out    []*node   // nil if unwanted
	d1     [][]*node // d1[q][u], nil entries are zero; d1[q] is nil where not wanted
	d2     [][]*node // d2[q][tri(u, v)]
}

// systemKey identifies a system of a model.
type systemKey struct {
	kind   kind
	orders string
}

// source gives the parts of a problem as systems. Orders are those of the outputs, one for all if
// there is but one.
type source func(k kind, orders ...order) (*system, error)

// system is the source for lowering: it keeps what it built.
func (m *Model) system(k kind, orders ...order) (*system, error) {
	key := systemKey{kind: k}
	for _, o := range orders {
		key.orders += string('0' + rune(o))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.systems[key]; s != nil {
		return s, nil
	}
	s, err := m.newSystem(symbolicBatch, k, orders)
	if err == nil {
		m.systems[key] = s
	}
	return s, err
}

// newSystem builds a part of the problem over vectors of the given length.
func (m *Model) newSystem(batch int, k kind, orders []order) (s *system, err error) {
	err = build(batch, func(d *dag) { s = m.write(d, k, orders) })
	if err != nil {
		return nil, fmt.Errorf("graph: problem %s: %s", m.p.Name, strings.TrimPrefix(err.Error(), "graph: "))
	}
	return s, nil
}

// write writes the formulas of a part and differentiates them.
func (m *Model) write(d *dag, k kind, orders []order) *system {
	p := m.p
	s := &system{d: d}
	names := make([]string, len(p.Params))
	for i, q := range p.Params {
		names[i] = q.Name
	}
	s.params = d.inputs(names)
	parameters := env{}.with(names, s.params)

	var state []string
	if p.Simulate != nil && k != initial {
		state = p.Simulate.State
	}
	if p.Simulate != nil && k == inverse && p.Simulate.Reverse == nil {
		state = nil
	}
	here := parameters
	switch k {
	case minima:
	case lossOfY:
		s.vars = d.inputs(outputNames(p.M()))
		here = here.with(outputNames(p.M()), s.vars)
	default:
		vars := append(append([]string(nil), state...), p.Inputs...)
		s.vars = d.inputs(vars)
		here = here.with(p.Inputs, s.vars[len(state):])
		here = d.bind(p.Let, here)
		here = here.with(state, s.vars[:len(state)])
		if k == backEnd || k == backStep || k == inverse {
			s.y = d.inputs(outputNames(p.M()))
			here = here.with(outputNames(p.M()), s.y)
		}
	}
	loss := func(y []*node) *node {
		e := parameters.with(targetNames(len(p.Target)), d.formulas(p.Target, parameters))
		return d.formula(p.Loss, e.with(outputNames(p.M()), y))
	}
	switch k {
	case initial:
		s.out = d.formulas(p.Simulate.Initial, here)
	case step:
		s.out = d.formulas(p.Simulate.Step, d.bind(p.Simulate.Let, here))
	case final:
		s.out = d.formulas(p.Outputs, here)
		s.out = append(s.out, loss(s.out))
	case lossOfY:
		s.out = []*node{loss(s.vars)}
	case backEnd:
		s.out = d.formulas(p.Simulate.Reverse.Final, here)
	case backStep:
		s.out = d.formulas(p.Simulate.Reverse.Step, d.bind(p.Simulate.Reverse.Let, here))
	case inverse:
		s.out = d.formulas(p.Inverse, here)
	case minima:
		for _, x := range p.Minima {
			s.out = append(s.out, d.formulas(x, here)...)
		}
	}
	s.d1 = make([][]*node, len(s.out))
	s.d2 = make([][]*node, len(s.out))
	for q, y := range s.out {
		o := orders[min(q, len(orders)-1)]
		if o == unwanted {
			s.out[q] = nil
		}
		if o >= once {
			s.d1[q] = d.sweep(y, s.vars)
		}
		if o >= twice {
			s.d2[q] = make([]*node, 0, tri(len(s.vars), 0))
			for u, g := range s.d1[q] {
				row := make([]*node, u+1)
				if g != nil {
					row = d.sweep(g, s.vars[:u+1])
				}
				s.d2[q] = append(s.d2[q], row...)
			}
		}
	}
	return s
}

func (d *dag) bind(let []problem.Binding, names env) env {
	e := names.with(nil, nil)
	for _, b := range let {
		e[b.Name] = d.formula(b.Expr, e)
	}
	return e
}

func numbered(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return s
}

func outputNames(m int) []string { return numbered("y", m) }
func targetNames(m int) []string { return numbered("t", m) }

// uses reports whether any of the formulas refers to any of the names.
func uses(names []string, es []*formula.Expr) bool {
	found := false
	for _, e := range es {
		e.Walk(func(e *formula.Expr) { found = found || e.Op == "name" && slices.Contains(names, e.Name) })
	}
	return found
}
