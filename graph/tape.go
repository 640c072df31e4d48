package graph

import (
	"fmt"
	"slices"
	"sync"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Tape evaluates a problem's quantities with Gorgonia's tape machine, a batch of samples at a time. It
// runs the same graphs that Emit lowers, on Gorgonia's kernels and Go's math package instead of our
// code; simulations are a Go loop over the tape of one step. It is slow to make (seconds from some
// thousand nodes) and slow to run: a check.
type Tape struct {
	m                     *Model
	batch                 int
	want                  Want
	mu                    sync.Mutex
	start, step, fin, ofY *machine // the first two and the last may be nil
	steps                 int
}

// NewTape compiles the tape for the wanted quantities and batches of the given length (2 or more, for
// Gorgonia takes a vector of one entry for a scalar).
func (m *Model) NewTape(batch int, want Want) (*Tape, error) {
	const longest = 1 << 20
	if batch < 2 || batch > longest {
		return nil, fmt.Errorf("graph: a tape for batches of %d samples, 2 to %d are allowed", batch, longest)
	}
	if want&^allWants != 0 {
		return nil, fmt.Errorf("graph: unknown quantities %#b, the known ones are %#b", want, allWants)
	}
	// A graph holds the values of one tape, so each tape has graphs of its own.
	own := func(k kind, orders ...order) (*system, error) { return m.newSystem(batch, k, orders) }
	sim, fin, ofY, err := m.parts(own, want)
	if err != nil {
		return nil, err
	}
	t := &Tape{m: m, batch: batch, want: want}
	compile := func(s *system) *machine {
		if s == nil || err != nil {
			return nil
		}
		var c *machine
		c, err = newMachine(s)
		return c
	}
	if sim != nil {
		t.start, t.step, t.steps = compile(sim.start), compile(sim.step), sim.steps
	}
	t.fin, t.ofY = compile(fin), compile(ofY)
	if err != nil {
		return nil, fmt.Errorf("graph: problem %s: a tape: %w", m.p.Name, err)
	}
	return t, nil
}

// Run evaluates any number of samples. Params and x are columns [i][sample], as many as the problem
// has parameters and inputs; so is the result, in the order of [Want.Names]. It may be called by
// several goroutines, one at a time.
func (t *Tape) Run(params, x [][]float64) ([][]float64, error) {
	n, m := t.m.p.N(), t.m.p.M()
	if len(params) != len(t.m.p.Params) || len(x) != n {
		return nil, fmt.Errorf("graph: problem %s: %d columns of parameters and %d of inputs are given, want %d and %d",
			t.m.p.Name, len(params), len(x), len(t.m.p.Params), n)
	}
	samples := len(x[0])
	for _, c := range slices.Concat(params, x) {
		if len(c) != samples {
			return nil, fmt.Errorf("graph: columns of %d and %d samples", samples, len(c))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([][]float64, len(t.want.Names(n, m)))
	for i := range out {
		out[i] = make([]float64, samples)
	}
	for from := 0; from < samples; from += t.batch {
		to := min(from+t.batch, samples)
		part := func(columns [][]float64) [][]float64 {
			p := make([][]float64, len(columns))
			for i, c := range columns {
				p[i] = make([]float64, t.batch)
				copy(p[i], c[from:to])
				for k := to - from; k < t.batch; k++ {
					p[i][k] = c[from] // something valid
				}
			}
			return p
		}
		flat, err := t.batchOf(part(params), part(x))
		if err != nil {
			return nil, err
		}
		for i, c := range flat {
			copy(out[i][from:to], c) // zeros have no column
		}
	}
	return out, nil
}

// batchOf evaluates one batch; zeros are nil.
func (t *Tape) batchOf(params, x [][]float64) ([][]float64, error) {
	n, m := t.m.p.N(), t.m.p.M()
	al := columnAlgebra{}
	var state [][]float64
	var s sensitivity[[]float64]
	if t.start != nil {
		e, err := t.start.run(params, x)
		if err != nil {
			return nil, err
		}
		state, s = e.out, sensitivity[[]float64]{e.d1, e.d2}
		for range t.steps {
			if e, err = t.step.run(params, slices.Concat(state, x)); err != nil {
				return nil, err
			}
			state = e.out
			if e.d1[0] != nil {
				s = chainAll(al, e.d1, e.d2, s, n)
			}
		}
	}
	at, err := t.fin.run(params, slices.Concat(state, x))
	if err != nil {
		return nil, err
	}
	var ofY evaluation[[]float64]
	if t.ofY != nil {
		if ofY, err = t.ofY.run(params, at.out[:m]); err != nil {
			return nil, err
		}
	}
	return assemble(al, t.want, n, m, at, ofY, s), nil
}

// columnAlgebra is the chain rule's arithmetic on columns; nil is zero.
type columnAlgebra struct{}

func (columnAlgebra) zero() []float64         { return nil }
func (columnAlgebra) isZero(a []float64) bool { return a == nil }
func (columnAlgebra) mul(a, b []float64) []float64 {
	c := make([]float64, len(a))
	for i := range c {
		c[i] = a[i] * b[i]
	}
	return c
}
func (columnAlgebra) add(a, b []float64) []float64 {
	c := make([]float64, len(a))
	for i := range c {
		c[i] = a[i] + b[i]
	}
	return c
}

// machine is a system on Gorgonia's tape machine.
type machine struct {
	s      *system
	vm     G.VM // nil if nothing is to be computed
	given  []*node
	memory map[*node][]float64 // of inputs and constants, as the tape sees them
	read   map[*node]*G.Value  // what the tape leaves of the other nodes that are asked for
}

func newMachine(s *system) (c *machine, err error) {
	gorgonia.Lock()
	defer gorgonia.Unlock()
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("Gorgonia: %v", p)
		}
	}()
	c = &machine{s: s, memory: map[*node][]float64{}, read: map[*node]*G.Value{}}
	ask := func(n *node) {
		if n == nil || n.op == nil || c.read[n] != nil {
			return
		}
		c.read[n] = new(G.Value)
		G.Read(n.g, c.read[n])
	}
	for q := range s.out {
		ask(s.out[q])
		for _, n := range s.d1[q] {
			ask(n)
		}
		for _, n := range s.d2[q] {
			ask(n)
		}
	}
	if len(c.read) == 0 {
		return c, nil
	}
	// The tape merges nodes by their hashes.
	seen := map[uint32]bool{}
	for _, n := range s.d.graph.AllNodes() {
		if h := n.Hashcode(); seen[h] {
			return nil, errCollision
		} else {
			seen[h] = true
		}
	}
	for _, n := range s.d.nodes {
		if n.op != nil {
			continue
		}
		c.given = append(c.given, n)
		c.memory[n] = make([]float64, s.d.batch)
		if err := G.Let(n.g, tensor.New(tensor.WithShape(s.d.batch), tensor.WithBacking(c.memory[n]))); err != nil {
			return nil, err
		}
	}
	c.vm = G.NewTapeMachine(s.d.graph)
	return c, nil
}

// run evaluates one batch. The columns that it returns are the caller's.
func (c *machine) run(params, vars [][]float64) (evaluation[[]float64], error) {
	s := c.s
	column := map[*node][]float64{}
	for i, n := range s.params {
		column[n] = params[i]
	}
	for i, n := range s.vars {
		column[n] = vars[i]
	}
	if c.vm != nil {
		// All of them each time: the tape may compute in place.
		for _, n := range c.given {
			if n.konst {
				for i := range c.memory[n] {
					c.memory[n][i] = n.value
				}
			} else {
				copy(c.memory[n], column[n])
			}
		}
		gorgonia.Lock()
		err := c.vm.RunAll()
		c.vm.Reset()
		gorgonia.Unlock()
		if err != nil {
			return evaluation[[]float64]{}, fmt.Errorf("graph: Gorgonia's tape: %w", err)
		}
	}
	get := func(n *node) []float64 {
		switch {
		case n == nil:
			return nil
		case n.op != nil:
			return slices.Clone((*c.read[n]).Data().([]float64))
		case n.konst:
			v := make([]float64, s.d.batch)
			for i := range v {
				v[i] = n.value
			}
			return v
		}
		return slices.Clone(column[n])
	}
	all := func(ns []*node) [][]float64 {
		if ns == nil {
			return nil
		}
		v := make([][]float64, len(ns))
		for i, n := range ns {
			v[i] = get(n)
		}
		return v
	}
	e := evaluation[[]float64]{out: all(s.out)}
	for q := range s.out {
		e.d1 = append(e.d1, all(s.d1[q]))
		e.d2 = append(e.d2, all(s.d2[q]))
	}
	return e, nil
}
