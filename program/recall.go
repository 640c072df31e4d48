package program

import "slices"

// recall is a group of slots that need not be kept: each holds what a function of the trial point was where a condition
// last held. Other slots keep that point itself, so that the function can be computed again from these at the end of a
// sample.
type recall struct {
	slots   []int
	value   []Value     // of Step, for each of slots: the function
	first   []Instr     // for each of slots: the constant that it holds as long as the condition has not held
	point   map[int]int // slots that the functions may look at -> slots that keep what these were
	fixed   []int       // Fixed slots that they look at
	counter int         // a slot that counts the steps in which the condition held
	none    uint64      // its value while there were none
}

// recalls finds the groups among the results.
func (p *Program) recalls(needs *flow, moving map[int]int) []*recall {
	f := p.Step
	input := func(v Value, slot int) bool {
		return f.Instrs[v].Op == OpInput && f.Instrs[v].Imm == uint64(slot)
	}
	next := func(slot int) *Instr { return &f.Instrs[f.Out[moving[slot]]] }
	start := func(slot int) *Instr { return &p.Setup.Instrs[p.Setup.Out[slot]] }
	var groups []*recall
	seen := map[Value]bool{}
	for _, r := range p.Results {
		if _, ok := moving[r]; !ok || next(r).Op != OpSelect || seen[next(r).A] {
			continue
		}
		condition := next(r).A
		seen[condition] = true
		g := &recall{point: map[int]int{}, counter: -1}
		for slot := range p.Slots { // what is chosen from another slot, and what counts
			if _, ok := moving[slot]; !ok {
				continue
			}
			in := next(slot)
			switch {
			case in.Op == OpSelect && in.A == condition && input(in.C, slot) && f.Instrs[in.B].Op == OpInput:
				g.point[int(f.Instrs[in.B].Imm)] = slot
			case in.Op == OpIAdd && start(slot).Op == OpConst:
				one := in.B
				if input(in.B, slot) {
					one = in.A
				} else if !input(in.A, slot) {
					continue
				}
				if by := &f.Instrs[one]; by.Op == OpSelect && by.A == condition && f.isInt(by.B, 1) && f.isInt(by.C, 0) {
					g.counter, g.none = slot, start(slot).Imm
				}
			}
		}
		if g.counter < 0 {
			continue
		}
		for _, slot := range p.Results {
			if _, ok := moving[slot]; !ok {
				continue
			}
			in := next(slot)
			if in.Op == OpSelect && in.A == condition && input(in.C, slot) && start(slot).Op == OpConst && g.known(p, needs, in.B) {
				g.slots, g.value, g.first = append(g.slots, slot), append(g.value, in.B), append(g.first, *start(slot))
			}
		}
		if len(g.slots) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// known reports whether v depends on nothing but the point and Fixed slots, which it notes.
func (g *recall) known(p *Program, needs *flow, v Value) bool {
	var fixed []int
	for i, l := range needs.live([]Value{v}, nil) {
		in := &p.Step.Instrs[i]
		if !l || in.Op != OpInput {
			continue
		}
		if _, ok := g.point[int(in.Imm)]; p.Slots[in.Imm].Fixed {
			fixed = append(fixed, int(in.Imm))
		} else if !ok {
			return false
		}
	}
	g.fixed = append(g.fixed, fixed...)
	return true
}

func (f *Func) isInt(v Value, x int64) bool {
	in := &f.Instrs[v]
	return in.Op == OpConst && in.Type == I64 && int64(in.Imm) == x
}

// needs are the values of Step that the slots are computed from.
func (g *recall) needs(p *Program, moving map[int]int) []Value {
	out := []Value{p.Step.Out[moving[g.counter]]}
	for _, slot := range g.copies() {
		out = append(out, p.Step.Out[moving[slot]])
	}
	return out
}

// copies are the slots that keep the point, in order.
func (g *recall) copies() []int {
	var out []int
	for _, slot := range g.point {
		out = append(out, slot)
	}
	slices.Sort(out)
	return out
}

// write writes the slots' next values: step copies values of Step, as functions of the given slots.
func (g *recall) write(b *Builder, p *Program, moving map[int]int, slots []Value, step func(slots, out []Value) []Value) []Value {
	got := step(slots, g.needs(p, moving))
	at := slices.Clone(slots)
	for trial, slot := range g.point {
		at[trial] = got[1+slices.Index(g.copies(), slot)]
	}
	never := b.IEq(got[0], b.konst(I64, g.none))
	out := step(at, g.value)
	for i := range out {
		out[i] = b.Select(never, b.konst(g.first[i].Type, g.first[i].Imm), out[i])
	}
	return out
}
