package program

// Stages is a Program taken apart for engines that keep many samples going and
// replace each as it ends: what a running sample must compute and keep, apart from
// what is only needed of it when it ends.
//
// A slot is kept if a later step, the end test or a result looks at it. A slot that is only
// reported is not: [Stages.Final] computes it from the state before the last step, so
// that no step of a running sample pays for it.
type Stages struct {
	Kept   []int // slots: first those that are Fixed, then those that move
	Fixed  int   // how many of Kept are Fixed
	Setup  *Func // the program's inputs -> the slots in Kept, then Status if Ended
	Step   *Func // Kept -> the next values of the moving ones, then a Bool: the sample ends with this step
	Final  *Func // Kept, before the step that ends the sample -> the Results
	Ended  bool  // Setup may end a sample: its results are then what Setup makes of all slots
	Report []Type
}

// Stage takes p, which must be valid, apart. The bits of all results stay.
func (p *Program) Stage() *Stages {
	moving := map[int]int{} // output of Step that is the slot's next value
	for i, s := range p.Slots {
		if !s.Fixed {
			moving[i] = len(moving)
		}
	}
	// What the end test and the results are made of, then what that is made of.
	kept := make([]bool, len(p.Slots))
	need := make([]bool, len(p.Step.Out))
	todo := []Value{p.Step.Out[moving[p.Status]]}
	need[moving[p.Status]] = true
	want := func(slot int) {
		if k, ok := moving[slot]; ok && !need[k] {
			need[k] = true
			todo = append(todo, p.Step.Out[k])
		}
	}
	results := make([]Value, len(p.Results))
	var once []Value
	for i, r := range p.Results {
		if k, ok := moving[r]; ok {
			results[i] = p.Step.Out[k]
			once = append(once, results[i])
		} else {
			kept[r] = true
		}
	}
	mark := func(out []Value) {
		g := *p.Step
		g.Out = out
		for i, l := range liveness(&g, make([]bool, len(g.Instrs))) {
			if in := &g.Instrs[i]; l && in.Op == OpInput && !kept[in.Imm] {
				kept[in.Imm] = true
				want(int(in.Imm))
			}
		}
	}
	mark(once)
	for len(todo) > 0 {
		out := todo
		todo = nil
		mark(out)
	}
	for i, k := range kept { // kept on a result's account: its next value is needed as well
		if k {
			want(i)
		}
	}
	for len(todo) > 0 {
		out := todo
		todo = nil
		mark(out)
	}

	s := &Stages{}
	for _, fixed := range []bool{true, false} {
		for i, k := range kept {
			if k && p.Slots[i].Fixed == fixed {
				s.Kept = append(s.Kept, i)
			}
		}
		if fixed {
			s.Fixed = len(s.Kept)
		}
	}
	s.Step = p.part("step", s.Kept, func(b *Builder, _ []Value, step func([]Value) []Value) []Value {
		var out []Value
		for _, i := range s.Kept[s.Fixed:] {
			out = append(out, p.Step.Out[moving[i]])
		}
		out = step(append(out, p.Step.Out[moving[p.Status]]))
		out[len(out)-1] = nonzero(b, out[len(out)-1])
		return out
	})
	s.Final = p.part("final", s.Kept, func(b *Builder, slots []Value, step func([]Value) []Value) []Value {
		out := append([]Value(nil), results...)
		var ask []Value
		for i, r := range p.Results {
			if _, ok := moving[r]; ok {
				ask = append(ask, out[i])
			}
		}
		got := step(ask)
		for i, r := range p.Results {
			if _, ok := moving[r]; ok {
				out[i], got = got[0], got[1:]
			} else {
				out[i] = slots[r]
			}
		}
		return out
	})
	s.Report = s.Final.OutTypes()

	status := &p.Setup.Instrs[p.Setup.Out[p.Status]]
	s.Ended = status.Op != OpConst || status.Imm != 0
	var out []Value
	for _, i := range s.Kept {
		out = append(out, p.Setup.Out[i])
	}
	if s.Ended {
		out = append(out, p.Setup.Out[p.Status])
	}
	s.Setup = rewrite(p.Setup, out, false, nil, nil)
	return s
}

// part writes a function of the slots in kept: write gets the value of every
// slot (a constant for those that are not kept, which nothing asks for) and what copies values of Step.
func (p *Program) part(name string, kept []int, write func(b *Builder, slots []Value, step func([]Value) []Value) []Value) *Func {
	b := NewBuilder(name)
	slots := make([]Value, len(p.Slots))
	is := make([]bool, len(p.Slots))
	for _, i := range kept {
		slots[i] = b.Input(p.Slots[i].Name, p.Slots[i].Type)
		is[i] = true
	}
	for i, s := range p.Slots {
		if !is[i] {
			slots[i] = b.konst(s.Type, 0)
		}
	}
	f := b.Finish(write(b, slots, func(out []Value) []Value {
		g := *p.Step
		g.Out = out
		c := copier{b: b, f: &g, live: liveness(&g, make([]bool, len(g.Instrs)))}
		return c.run(slots)
	})...)
	return Optimize(f, false)
}

// nonzero is v != 0 for an I64, simplified where v is chosen among constants.
func nonzero(b *Builder, v Value) Value {
	in := b.f.Instrs[v]
	switch in.Op {
	case OpConst:
		return b.B(in.Imm != 0)
	case OpSelect:
		x, y := nonzero(b, in.B), nonzero(b, in.C)
		if k, ok := b.constant(x); ok && k != 0 {
			return b.Or(in.A, y)
		} else if ok {
			return b.And(b.Not(in.A), y)
		}
		return b.Select(in.A, x, y)
	}
	return b.Not(b.IEq(v, b.I(0)))
}
