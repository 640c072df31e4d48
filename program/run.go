package program

import (
	"math"
	"slices"
)

// Counter is a moving slot that every step increases by one, and that decides nothing but by comparisons with constants.
type Counter struct {
	Kept     int   // its index in Stages.Kept
	From, To int64 // where Stages.Run holds: From <= value before the step < To
}

// longRun is how many steps a comparison of a counter has to keep its
// result for Run to rely on that result.
const longRun = 8

// MakeRun makes Run, Counters and Unmoved from Step, for engines that want them. In a sample that goes on and whose counters
// lie between their bounds, what the counters and the end test decide is known, and need not be computed.
func (s *Stages) MakeRun(p *Program) {
	f := s.Step
	start := func(k int) int64 { // in a new sample
		if in := &p.Setup.Instrs[p.Setup.Out[s.Kept[k]]]; in.Op == OpConst {
			return int64(in.Imm)
		}
		return 0
	}
	n := len(s.Kept)
	counter := make([]int, len(f.Instrs)) // the slot that a value is, plus a constant
	plus := make([]int64, len(f.Instrs))
	counts := make([]bool, n)
	for i := range f.Instrs {
		counter[i] = -1
		in := &f.Instrs[i]
		switch {
		case in.Op == OpInput && int(in.Imm) >= s.Fixed && in.Type == I64:
			counter[i] = int(in.Imm)
		case in.Op == OpIAdd && f.Instrs[in.B].Op == OpConst:
			counter[i], plus[i] = counter[in.A], plus[in.A]+int64(f.Instrs[in.B].Imm)
		case in.Op == OpIAdd && f.Instrs[in.A].Op == OpConst:
			counter[i], plus[i] = counter[in.B], plus[in.B]+int64(f.Instrs[in.A].Imm)
		}
		if plus[i] != int64(int32(plus[i])) { // far from any overflow
			counter[i] = -1
		}
	}
	for k := s.Fixed; k < n; k++ {
		v := f.Out[k-s.Fixed]
		counts[k] = counter[v] == k && plus[v] == 1
	}
	// Other uses make it an ordinary slot.
	constant := func(v Value) bool {
		in := &f.Instrs[v]
		return in.Op == OpConst && int64(in.Imm) == int64(int32(in.Imm))
	}
	for i := range f.Instrs {
		in := &f.Instrs[i]
		for a := range in.Op.NumArgs() {
			k := counter[in.Arg(a)]
			if k >= 0 && counter[i] != k && !(in.Op == OpILt && constant(in.Arg(1-a))) {
				counts[k] = false
			}
		}
	}
	for o, v := range f.Out {
		if k := counter[v]; k >= 0 && k != o+s.Fixed {
			counts[k] = false
		}
	}

	bounds := make([]Counter, n)
	for k := range bounds {
		bounds[k] = Counter{Kept: k, From: math.MinInt32, To: math.MaxInt32}
	}
	b := newBuilder("run", len(f.Instrs))
	inputs := b.inputsOf(f)
	goesOn := f.Out[len(f.Out)-1]
	c := copier{b: b, f: f}
	c.edit = func(in *Instr, args []Value) (Value, bool) {
		for a := range args {
			if in.Arg(a) == goesOn {
				args[a] = b.B(true)
			}
		}
		if in.Op != OpILt {
			return NoValue, false
		}
		a, limit, less := in.A, in.B, true
		if f.Instrs[a].Op == OpConst {
			a, limit, less = in.B, in.A, false
		}
		k := counter[a]
		if k < 0 || !counts[k] {
			return NoValue, false
		}
		// The comparison changes from less to !less when the counter reaches at.
		at := int64(f.Instrs[limit].Imm) - plus[a]
		if !less {
			at++
		}
		if at-start(k) > longRun {
			bounds[k].To = min(bounds[k].To, at)
			return b.B(less), true
		}
		bounds[k].From = max(bounds[k].From, at)
		return b.B(!less), true
	}
	all := c.run(inputs)
	var out []Value
	for k := s.Fixed; k < n; k++ {
		if counts[k] {
			s.Counters = append(s.Counters, bounds[k])
		} else {
			out = append(out, all[k-s.Fixed])
		}
	}
	out = append(out, chained(b, all[len(all)-1]))
	whole := b.finish(recycled(), out)
	usual := s.usual(p, whole)
	s.Run = prune(usual, usual.Out)
	whole.recycle()
	usual.recycle()
}

// usual takes the slots out of run that count what seldom happens (Program.Rare), and all that is
// there for the sake of it. A last output says whether it happens.
func (s *Stages) usual(p *Program, f *Func) *Func {
	assume := map[Value]bool{}
	var imply func(v Value, is bool)
	imply = func(v Value, is bool) {
		switch in := &f.Instrs[v]; {
		case in.Op == OpNot:
			imply(in.A, !is)
		case in.Op == OpAnd && is, in.Op == OpOr && !is:
			imply(in.A, is)
			imply(in.B, is)
		case in.Op != OpConst:
			assume[v] = is
		}
	}
	zero := func(v Value) bool { return f.Instrs[v].Op == OpConst && f.Instrs[v].Imm == 0 }
	counted := func(slot int, v Value) bool { // v is the slot, increased where something happens
		next := &f.Instrs[v]
		if next.Op != OpIAdd {
			return false
		}
		for _, by := range []Value{next.A, next.B} {
			old := next.A + next.B - by
			if in := &f.Instrs[by]; in.Op == OpSelect && f.Instrs[old].Op == OpInput && s.Kept[f.Instrs[old].Imm] == slot && (zero(in.B) || zero(in.C)) {
				imply(in.A, zero(in.B))
				return true
			}
		}
		return false
	}
	var out []Value
	next := f.Out
	for k := s.Fixed; k < len(s.Kept); k++ {
		if slices.ContainsFunc(s.Counters, func(c Counter) bool { return c.Kept == k }) {
			continue
		}
		if slices.Contains(p.Rare, s.Kept[k]) && counted(s.Kept[k], next[0]) {
			s.Unmoved = append(s.Unmoved, k)
		} else {
			out = append(out, next[0])
		}
		next = next[1:]
	}
	out = append(out, next...)
	last := NoValue // of those that are assumed
	for v := range assume {
		last = max(last, v)
	}

	b := newBuilder(f.Name, len(f.Instrs))
	inputs := b.inputsOf(f)
	usual := NoValue
	c := copier{b: b, f: f}
	conclude := func() {
		usual = b.B(true)
		for i := range f.Instrs {
			if is, ok := assume[Value(i)]; ok && is {
				usual = b.And(usual, c.to[i])
			} else if ok {
				usual = b.And(usual, b.Not(c.to[i]))
			}
		}
	}
	c.edit = func(in *Instr, args []Value) (Value, bool) {
		for a := range args {
			if is, ok := assume[in.Arg(a)]; ok {
				args[a] = b.B(is)
			}
		}
		if last < 0 || in != &f.Instrs[last] {
			return NoValue, false
		}
		// The earlier it is known that the step is an unusual one, the better.
		v := b.emit(in.Op, in.Type, in.Imm, args...)
		c.to[last] = v
		conclude()
		return v, true
	}
	g := *f
	g.Out = out
	c.f = &g
	out = c.run(inputs)
	if usual == NoValue {
		conclude()
	}
	return b.finish(recycled(), append(out, usual))
}
