package graph

import (
	"fmt"

	"invar/program"
)

// EmitInverse writes the local inverse: the n values x' near x (n values) with P(x') = y (m values).
// Where the problem reverses a simulation, that is a loop over the reverse steps, after one over the
// steps from x if the reverse begins at the current final state. A problem without an inverse is an error.
func (m *Model) EmitInverse(b *program.Builder, params, x, y []program.Value) (xnew []program.Value, err error) {
	if m.p.Inverse == nil {
		return nil, fmt.Errorf("graph: problem %s has no inverse", m.p.Name)
	}
	if err := m.checkArgs(params, x); err != nil {
		return nil, err
	}
	if len(y) != m.p.M() {
		return nil, fmt.Errorf("graph: problem %s: %d new outputs are given, want %d", m.p.Name, len(y), m.p.M())
	}
	last, err := m.system(inverse, value)
	if err != nil {
		return nil, err
	}
	s := m.p.Simulate
	if s == nil || s.Reverse == nil {
		defer program.Catch(&err)
		return last.emit(b, params, x, y).out, nil
	}
	end, err := m.system(backEnd, value)
	if err != nil {
		return nil, err
	}
	back, err := m.system(backStep, value)
	if err != nil {
		return nil, err
	}
	forward, err := m.simulation(m.system, value)
	if err != nil {
		return nil, err
	}
	defer program.Catch(&err)
	current := make([]program.Value, len(s.State))
	if uses(s.State, s.Reverse.Final) {
		current, _ = forward.emit(b, params, x)
	} else {
		for i := range current {
			current[i] = b.F(0)
		}
	}
	at := func(state []program.Value) []program.Value { return append(state[:len(state):len(state)], x...) }
	state := end.emit(b, params, at(current), y).out
	state = b.Loop(program.At(0), program.At(s.Steps), state, func(_ program.Affine, v []program.Value) []program.Value {
		return back.emit(b, params, at(v), y).out
	})
	return last.emit(b, params, at(state), y).out, nil
}
