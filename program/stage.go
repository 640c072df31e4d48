package program

import "slices"

// Stages is a Program taken apart for engines that keep many samples going and
// replace each as it ends: what a running sample must compute and keep, apart from
// what is only needed of it when it ends.
//
// A slot is kept if a later step, the end test or a result looks at it. A slot that is only
// reported is not: [Stages.Final] computes it from the state before the last step, so
// that no step of a running sample pays for it.
type Stages struct {
	Kept   []int // slots: first those that stay as Setup makes them, then those that move
	Fixed  int   // how many of Kept stay
	Setup  *Func // the program's inputs -> the slots in Kept, then Status if Ended
	Step   *Func // Kept -> the next values of the moving ones, then a Bool: the sample goes on after this step; else the others mean nothing
	Final  *Func // Kept, before the step that ends the sample -> the Results
	Ended  bool  // Setup may end a sample: its results are then what Setup makes of all slots
	Report []Type
	// What MakeRun makes. Run is Step for a sample that goes on, while its counters lie between their bounds and nothing happens that
	// Program.Rare counts: Kept -> the next values of the moving slots that are neither Counters nor Unmoved,
	// then two Bools: the sample goes on, and nothing rare happens. With one of them false the others mean nothing,
	// with the second false the first does not either.
	Run      *Func
	Counters []Counter
	Unmoved  []int // in Kept: moving slots that stay as they are
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
	mem := newWorkspace()
	defer mem.release()
	needs := newFlow(p.Step, mem)
	groups := p.recalls(needs, moving)
	recalled := map[int]bool{}
	for _, g := range groups {
		once = append(once, g.needs(p, moving)...)
		for _, r := range g.slots {
			recalled[r] = true
		}
		for _, i := range g.fixed {
			kept[i] = true
		}
	}
	for i, r := range p.Results {
		if recalled[r] {
			continue
		}
		if k, ok := moving[r]; ok {
			results[i] = p.Step.Out[k]
			once = append(once, results[i])
		} else {
			kept[r] = true
		}
	}
	mark := func(out []Value) {
		for i, l := range needs.live(out, nil) {
			if in := &p.Step.Instrs[i]; l && in.Op == OpInput && !kept[in.Imm] {
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
	stays := func(i int) bool { // also if it is not called Fixed
		k, ok := moving[i]
		if !ok {
			return true
		}
		in := &p.Step.Instrs[p.Step.Out[k]]
		return in.Op == OpInput && in.Imm == uint64(i)
	}
	// What Setup gives every sample alike is a constant of the other functions.
	constant := map[int]Instr{}
	for i, k := range kept {
		if in := p.Setup.Instrs[p.Setup.Out[i]]; k && stays(i) && in.Op == OpConst {
			constant[i] = in
			kept[i] = false
		}
	}
	same := p.counters(kept, moving)
	for i := range same {
		kept[i] = false
	}
	for _, fixed := range []bool{true, false} {
		for i, k := range kept {
			if k && stays(i) == fixed {
				s.Kept = append(s.Kept, i)
			}
		}
		if fixed {
			s.Fixed = len(s.Kept)
		}
	}
	// The next values count only where the status stays zero.
	s.Step = p.part(needs, "step", s.Kept, constant, same, p.Step.Out[moving[p.Status]], func(b *Builder, slots []Value, step func(slots, out []Value) []Value) []Value {
		var out []Value
		for _, i := range s.Kept[s.Fixed:] {
			out = append(out, p.Step.Out[moving[i]])
		}
		out = step(slots, append(out, p.Step.Out[moving[p.Status]]))
		out[len(out)-1] = chained(b, isZero(b, out[len(out)-1]))
		return out
	})
	s.Final = p.part(needs, "final", s.Kept, constant, same, NoValue, func(b *Builder, slots []Value, step func(slots, out []Value) []Value) []Value {
		value := map[int]Value{} // of the slots that are results
		var ask []Value
		for i, r := range p.Results {
			if _, ok := moving[r]; !ok {
				value[r] = slots[r]
			} else if !recalled[r] {
				ask = append(ask, results[i])
			}
		}
		got := step(slots, ask)
		for _, r := range p.Results {
			if _, ok := moving[r]; ok && !recalled[r] {
				value[r], got = got[0], got[1:]
			}
		}
		for _, g := range groups {
			for i, v := range g.write(b, p, moving, slots, step) {
				value[g.slots[i]] = v
			}
		}
		out := make([]Value, len(p.Results))
		for i, r := range p.Results {
			out[i] = value[r]
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
	s.Setup = prune(p.Setup, out)
	return s
}

// counter is a slot that is always ahead of another one by the same number.
type counter struct {
	of    int
	ahead int64
}

// counters finds the slots that count the same as another one, from another number on.
func (p *Program) counters(kept []bool, moving map[int]int) map[int]counter {
	same := map[int]counter{}
	first := map[Value]int{} // what is added -> the slot that stands for all
	for i, k := range kept {
		at, ok := moving[i]
		if !k || !ok || p.Slots[i].Type != I64 || p.Setup.Instrs[p.Setup.Out[i]].Op != OpConst {
			continue
		}
		next := p.Step.Instrs[p.Step.Out[at]]
		if next.Op != OpIAdd {
			continue
		}
		by := next.B
		if in := p.Step.Instrs[next.B]; in.Op == OpInput && in.Imm == uint64(i) {
			by = next.A
		} else if in := p.Step.Instrs[next.A]; in.Op != OpInput || in.Imm != uint64(i) {
			continue
		}
		start := func(i int) int64 { return int64(p.Setup.Instrs[p.Setup.Out[i]].Imm) }
		if f, ok := first[by]; ok {
			same[i] = counter{f, start(i) - start(f)}
		} else {
			first[by] = i
		}
	}
	return same
}

// part writes a function of the slots in kept: write gets the value of every
// slot (zero for those that are neither kept nor constant, which nothing asks for) and what copies values of Step. The value
// zero of Step is known to be zero; it may be NoValue.
func (p *Program) part(needs *flow, name string, kept []int, constant map[int]Instr, same map[int]counter, zero Value, write func(b *Builder, slots []Value, step func(slots, out []Value) []Value) []Value) *Func {
	b := newBuilder(name, len(p.Step.Instrs))
	slots := make([]Value, len(p.Slots))
	is := make([]bool, len(p.Slots))
	for _, i := range kept {
		slots[i] = b.Input(p.Slots[i].Name, p.Slots[i].Type)
		is[i] = true
	}
	for i, s := range p.Slots {
		if c, ok := same[i]; ok {
			slots[i] = b.IAdd(slots[c.of], b.I(c.ahead))
		} else if !is[i] {
			slots[i] = b.konst(s.Type, constant[i].Imm)
		}
	}
	f := b.finish(recycled(), write(b, slots, func(slots, out []Value) []Value {
		g := *p.Step
		g.Out = out
		c := copier{b: b, f: &g, live: needs.live(out, nil)}
		c.edit = func(in *Instr, args []Value) (Value, bool) { // "is it running?" occurs in programs as well
			if in.Op != OpIEq {
				return NoValue, false
			}
			for k, v := range args {
				switch x, ok := b.constant(v); {
				case !ok || x != 0:
				case in.Arg(1-k) == zero:
					return b.B(true), true
				case b.f.Instrs[args[1-k]].Op == OpSelect:
					return chained(b, isZero(b, args[1-k])), true
				}
			}
			return NoValue, false
		}
		return c.run(slots)
	}))
	defer f.recycle()
	squareTests(f)
	return prune(f, f.Out)
}

// isZero is v == 0 for an I64, simplified where v is chosen among constants.
func isZero(b *Builder, v Value) Value {
	in := b.f.Instrs[v]
	switch in.Op {
	case OpConst:
		return b.B(in.Imm == 0)
	case OpSelect:
		x, y := isZero(b, in.B), isZero(b, in.C)
		kx, constX := b.constant(x)
		ky, constY := b.constant(y)
		switch {
		case constX && kx == 0:
			return b.And(not(b, in.A), y)
		case constX:
			return b.Or(in.A, y)
		case constY && ky == 0:
			return b.And(in.A, x)
		case constY:
			return b.Or(not(b, in.A), x)
		}
		return b.Select(in.A, x, y)
	}
	return b.IEq(v, b.I(0))
}

// not is the negation of v, an Or taken apart: And(Not a, Not b).
func not(b *Builder, v Value) Value {
	if in := b.f.Instrs[v]; in.Op == OpOr {
		return b.And(not(b, in.A), not(b, in.B))
	}
	return b.Not(v)
}

// chained writes the operands of nested Ands as one chain, in the order in which
// they are known: engines can let each comparison of a chain do its And for nothing.
func chained(b *Builder, v Value) Value {
	if b.f.Instrs[v].Op != OpAnd {
		return v
	}
	seen := map[Value]bool{}
	var leaves []Value
	var walk func(v Value)
	walk = func(v Value) {
		if seen[v] {
			return
		}
		seen[v] = true
		if in := b.f.Instrs[v]; in.Op == OpAnd {
			walk(in.A)
			walk(in.B)
			return
		}
		leaves = append(leaves, v)
	}
	walk(v)
	slices.Sort(leaves)
	return b.And(leaves...)
}

// squareTests spares square roots that are only compared with a constant:
// sqrt(x) <= c where x cannot be negative is x <= the greatest number whose root is at
// most c. It changes f.
func squareTests(f *Func) {
	mem := newWorkspace()
	defer mem.release()
	uses := mem.places.Make(len(f.Instrs))
	for i := range f.Instrs {
		for k := range f.Instrs[i].Op.NumArgs() {
			uses[f.Instrs[i].Arg(k)]++
		}
	}
	for _, v := range f.Out {
		uses[v]++
	}
	positive := mem.marks.Make(len(f.Instrs))
	for i := range f.Instrs {
		in := &f.Instrs[i]
		positive[i] = nonNegative(in, positive)
		if in.Op != OpLe {
			continue
		}
		root, limit := &f.Instrs[in.A], f.Instrs[in.B]
		// The root becomes the constant, which needs a place before the comparison.
		if root.Op != OpSqrt || uses[in.A] != 1 || !positive[root.A] || limit.Op != OpConst {
			continue
		}
		square, ok := greatestSquare(limit.Type, limit.Imm)
		if !ok {
			continue
		}
		at := in.A
		in.A, in.B = root.A, at
		*root = Instr{Op: OpConst, Type: limit.Type, A: NoValue, B: NoValue, C: NoValue, Imm: square}
	}
}

// greatestSquare is the greatest number of type t whose square root is at most c, all as bits;
// not ok for a c that is not positive.
func greatestSquare(t Type, c uint64) (square uint64, ok bool) {
	x := t.Float(c)
	if !(x > 0) {
		return 0, false
	}
	atMost := func(square uint64) bool { return t.Float(Apply(OpSqrt, t, square, 0, 0)) <= x }
	square = Apply(OpMul, t, c, c, 0) // the bits of positive numbers are in their order
	for !atMost(square) {
		square--
	}
	for atMost(square + 1) {
		square++
	}
	return square, true
}
