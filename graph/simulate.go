package graph

import "invar/program"

// simulation is the loop between x and the final state: how it starts, one step, and which derivatives
// of the state by x are not zero throughout.
type simulation struct {
	start, step *system
	steps, n    int
	order       order             // of the derivatives that are carried
	nonzero     sensitivity[bool] // of the state
}

// simulation returns the loop of the problem, nil if it has none.
func (m *Model) simulation(from source, o order) (*simulation, error) {
	if m.p.Simulate == nil {
		return nil, nil
	}
	start, err := from(initial, o)
	if err != nil {
		return nil, err
	}
	one, err := from(step, o)
	if err != nil {
		return nil, err
	}
	s := &simulation{start: start, step: one, steps: m.p.Simulate.Steps, n: m.p.N(), order: o}
	if o >= once {
		s.nonzero = grow(sensitivity[bool]{nonzero(start.d1), nonzero(start.d2)}, nonzero(one.d1), nonzero(one.d2), s.n)
	}
	return s, nil
}

// nonzero says which derivatives are not zero everywhere.
func nonzero(d [][]*node) [][]bool {
	r := make([][]bool, len(d))
	for q := range d {
		if d[q] == nil {
			continue
		}
		r[q] = make([]bool, len(d[q]))
		for u := range d[q] {
			r[q][u] = d[q][u] != nil
		}
	}
	return r
}

// emit writes the loop and returns the final state and its derivatives.
func (s *simulation) emit(b *program.Builder, params, x []program.Value) ([]program.Value, sensitivity[program.Value]) {
	al := builderAlgebra{b}
	w := s.start.emit(b, params, x, nil)
	k := len(w.out)
	// What the loop carries: the state, then those of its derivatives that ever differ from zero.
	pack := func(state []program.Value, d sensitivity[program.Value]) []program.Value {
		v := append([]program.Value(nil), state...)
		s.each(func(second bool, r, c int) {
			z := d.at(second, r)[c]
			if z == program.NoValue {
				z = b.F(0)
			}
			v = append(v, z)
		})
		return v
	}
	unpack := func(v []program.Value) ([]program.Value, sensitivity[program.Value]) {
		d := sensitivity[program.Value]{make([][]program.Value, k), make([][]program.Value, k)}
		for r := range k {
			d.first[r] = zeros(s.n)
			d.second[r] = zeros(tri(s.n, 0))
		}
		at := k
		s.each(func(second bool, r, c int) {
			d.at(second, r)[c] = v[at]
			at++
		})
		return v[:k:k], d
	}
	carried := pack(w.out, sensitivity[program.Value]{w.d1, w.d2})
	carried = b.Loop(program.At(0), program.At(s.steps), carried, func(_ program.Affine, v []program.Value) []program.Value {
		state, d := unpack(v)
		w := s.step.emit(b, params, append(state, x...), nil)
		if s.order >= once {
			d = chainAll(al, w.d1, w.d2, d, s.n)
		}
		return pack(w.out, d)
	})
	return unpack(carried)
}

// each visits the derivatives that ever differ from zero, in a fixed order.
func (s *simulation) each(visit func(second bool, r, c int)) {
	for _, second := range []bool{false, true} {
		rows := s.nonzero.first
		if second {
			rows = s.nonzero.second
		}
		for r, row := range rows {
			for c, nz := range row {
				if nz {
					visit(second, r, c)
				}
			}
		}
	}
}

// at is row r of the first or second derivatives.
func (s sensitivity[T]) at(second bool, r int) []T {
	if second {
		return s.second[r]
	}
	return s.first[r]
}

func zeros(n int) []program.Value {
	v := make([]program.Value, n)
	for i := range v {
		v[i] = program.NoValue
	}
	return v
}
