package program

import "slices"

// copier writes a Func's instructions into a Builder, with a chance to leave
// out, replace and move them.
type copier struct {
	b    *Builder
	f    *Func
	live []bool  // nil: all
	end  []int32 // see ends
	to   []Value // new names; NoValue: not (yet) written
	licm bool    // write loop-invariant operations in front of their loop
	fuse []Value // of an OpAdd or OpSub: the OpMul that it absorbs; nil: none
	old  []Value // values of f that are given: those of new
	new  []Value
	edit func(in *Instr, args []Value) (Value, bool) // may write a plain operation in its own way
	over map[int][]Value                             // of a loop: values that are not live, and each trip gets from the one before
	next []Value                                     // of each of these: what it hands on for it

	arrays, tables []int32  // 1 + the new number of each; 0: none yet
	loops          []int32  // the new number of each
	at             int      // the operation at hand
	args           [3]Value // and its operands
}

// ends fills in the position of the end of each OpLoop and OpGuard.
func ends(f *Func, end []int32) []int32 {
	for i := range f.Instrs {
		if op := f.Instrs[i].Op; op == OpEndLoop || op == OpEndGuard {
			end[f.Instrs[i].Imm] = int32(i)
		}
	}
	return end
}

func (c *copier) run(args []Value) []Value {
	mem, n := &c.b.mem, len(c.f.Instrs)
	c.end = ends(c.f, mem.places.Make(n))
	c.arrays, c.tables, c.loops = mem.places.Make(len(c.f.Arrays)), mem.places.Make(len(c.f.Tables)), mem.places.Make(len(c.f.Loops))
	c.to = mem.values.Make(n)
	for i := range c.to {
		if in := &c.f.Instrs[i]; in.Op == OpInput {
			c.to[i] = args[in.Imm]
		} else {
			c.to[i] = NoValue
		}
	}
	for i, v := range c.old {
		c.to[v] = c.new[i]
	}
	c.copy(0, len(c.f.Instrs))
	out := make([]Value, len(c.f.Out))
	for i, v := range c.f.Out {
		out[i] = c.to[v]
	}
	return out
}

func (c *copier) array(i int) uint64 {
	if c.arrays[i] == 0 {
		c.arrays[i] = 1 + int32(c.b.newArray(c.f.Arrays[i]))
	}
	return uint64(c.arrays[i] - 1)
}

func (c *copier) aff(a Affine) Affine {
	a.Terms = slices.Clone(a.Terms)
	for i := range a.Terms {
		a.Terms[i].Loop = int(c.loops[a.Terms[i].Loop])
	}
	return a
}

func (c *copier) dead(i int) bool { return c.live != nil && !c.live[i] }

// copy writes instructions from..to-1.
func (c *copier) copy(from, to int) {
	for i := from; i < to; i++ {
		in := &c.f.Instrs[i]
		if c.to[i] != NoValue || c.dead(i) {
			if in.Op == OpLoop || in.Op == OpGuard {
				i = int(c.end[i])
			}
			continue
		}
		switch in.Op {
		case OpLoop:
			c.loop(i)
			i = int(c.end[i])
		case OpGuard:
			c.guard(i)
			i = int(c.end[i])
		default:
			c.to[i] = c.one(i)
		}
	}
}

// one writes the plain instruction at i.
func (c *copier) one(i int) Value {
	in, b := &c.f.Instrs[i], c.b
	c.at = i
	switch in.Op {
	case OpConst:
		return b.konst(in.Type, in.Imm)
	case OpTable:
		if c.tables[in.Imm] == 0 {
			c.tables[in.Imm] = 1 + int32(b.NewTable(c.f.Tables[in.Imm]))
		}
		return b.emit(OpTable, in.Type, uint64(c.tables[in.Imm]-1), c.to[in.A])
	case OpIndex:
		return b.IndexValue(c.aff(c.f.Affines[in.Imm]))
	case OpLoad:
		return b.Load(Array(c.array(int(in.Imm&0xffffffff))), c.aff(c.f.Affines[in.Imm>>32]))
	case OpStore:
		b.Store(Array(c.array(int(in.Imm&0xffffffff))), c.aff(c.f.Affines[in.Imm>>32]), c.to[in.A])
		return NoValue
	case OpMerge: // nothing of its guard is left
		return b.Select(c.to[in.A], c.to[in.B], c.to[in.C])
	}
	if c.fuse != nil && c.fuse[i] != NoValue {
		m := &c.f.Instrs[c.fuse[i]]
		x, y := c.to[m.A], c.to[m.B]
		switch {
		case in.Op == OpAdd && c.fuse[i] == in.A:
			return b.FMA(x, y, c.to[in.B])
		case in.Op == OpAdd:
			return b.FMA(x, y, c.to[in.A])
		case c.fuse[i] == in.A:
			return b.FMA(x, y, b.Neg(c.to[in.B]))
		default: // the sign goes to a constant, where there is one
			if _, ok := b.ConstValue(y); ok {
				x, y = y, x
			}
			return b.FMA(b.Neg(x), y, c.to[in.A])
		}
	}
	args := c.args[:in.Op.NumArgs()]
	for k := range args {
		args[k] = c.to[in.Arg(k)]
	}
	if c.edit != nil {
		if v, ok := c.edit(in, args); ok {
			return v
		}
	}
	operands := [3]Value{NoValue, NoValue, NoValue}
	for k, v := range args { // their types are those that f has given them
		b.use(v)
		operands[k] = v
	}
	old := b.strict
	b.strict = old || in.Strict
	v := b.write(in.Op, in.Type, in.Imm, operands[0], operands[1], operands[2])
	b.strict = old
	return v
}

func (c *copier) loop(at int) {
	in, end := &c.f.Instrs[at], int(c.end[at])
	if c.licm {
		c.invariants(at+1, end)
	}
	l := c.f.Loops[in.Imm]
	var phis []int
	var init []Value
	for i := at + 1; i < end && c.f.Instrs[i].Op == OpPhi; i++ {
		if !c.dead(i) {
			phis = append(phis, i)
			init = append(init, c.to[c.f.Instrs[i].A])
		}
	}
	over := c.over[at]
	if len(over) > 0 {
		c.first(at, phis, init)
		for _, v := range over {
			init = append(init, c.to[v])
		}
	}
	out := c.b.Loop(c.aff(l.Lo), c.aff(l.Hi), init, func(idx Affine, carried []Value) []Value {
		c.loops[in.Imm] = int32(idx.Terms[0].Loop)
		for k, i := range phis {
			c.to[i] = carried[k]
		}
		for k, v := range over {
			c.to[v] = carried[len(phis)+k]
		}
		c.copy(at+1, end)
		next := make([]Value, 0, len(carried))
		for _, i := range phis {
			next = append(next, c.to[c.f.Instrs[i].B])
		}
		for _, v := range over {
			next = append(next, c.to[c.next[v]])
		}
		return next
	})
	for j := end + 1; j < len(c.f.Instrs) && c.f.Instrs[j].Op == OpLoopOut; j++ {
		for k, i := range phis {
			if int(c.f.Instrs[j].A) == i {
				c.to[j] = out[k]
			}
		}
	}
}

// first writes, in front of a loop, what its trips are not to make themselves, as it is in the first one.
func (c *copier) first(at int, phis []int, init []Value) {
	for k, i := range phis {
		c.to[i] = init[k]
	}
	later := c.live
	c.live = nil
	for i := at + 1; i < int(c.end[at]); i++ {
		switch op := c.f.Instrs[i].Op; {
		case op == OpLoop:
			i = int(c.end[i])
		case op == OpGuard && !later[i]:
			c.guard(i)
			i = int(c.end[i])
		case !later[i] && c.to[i] == NoValue:
			c.to[i] = c.one(i)
		}
	}
	c.live = later
}

// invariants writes those operations of a loop's body that depend on nothing
// inside of it. Those in guards stay where they can be skipped.
func (c *copier) invariants(from, end int) {
	for i := from; i < end; i++ {
		in := &c.f.Instrs[i]
		if in.Op == OpGuard {
			i = int(c.end[i])
			continue
		}
		if !in.Op.Pure() || c.dead(i) || c.to[i] != NoValue {
			continue
		}
		args := []Value{in.A, in.B, in.C}
		if c.fuse != nil && c.fuse[i] != NoValue {
			m := &c.f.Instrs[c.fuse[i]]
			args = append(args, m.A, m.B)
		}
		ready := true
		for _, v := range args {
			if v != NoValue && c.to[v] == NoValue && !(c.fuse != nil && c.fuse[i] == v) {
				ready = false
			}
		}
		if ready {
			c.to[i] = c.one(i)
		}
	}
}

func (c *copier) guard(at int) {
	end := int(c.end[at])
	var merges []int
	var orElse []Value
	for i := end + 1; i < len(c.f.Instrs) && c.f.Instrs[i].Op == OpMerge; i++ {
		if !c.dead(i) && c.to[i] == NoValue { // a replaced one needs nothing of the guard
			merges = append(merges, i)
			orElse = append(orElse, c.to[c.f.Instrs[i].C])
		}
	}
	out := c.b.Guard(c.to[c.f.Instrs[at].A], orElse, func() []Value {
		c.copy(at+1, end)
		in := make([]Value, len(merges))
		for k, i := range merges {
			in[k] = c.to[c.f.Instrs[i].B]
		}
		return in
	})
	for k, i := range merges {
		c.to[i] = out[k]
	}
}
