package program

import (
	"slices"
	"sync"

	"invar/internal/slab"
)

// Optimize rewrites f: dead code goes, loop invariants move in front of their
// loops, what a trip has computed the next one does not compute again, and with fuse each a*b+c whose
// product has no other use becomes one fma. The result of each output keeps its bits unless fuse is set.
func Optimize(f *Func, fuse bool) *Func {
	return carryOver(rewrite(new(Func), f, f.Out, fuse, nil, nil))
}

// rewrite copies f with other outputs into the memory of another function. Values in replace become extra inputs, in
// the order of names.
func rewrite(to, f *Func, out []Value, fuse bool, replace []Value, names []string) *Func {
	mem := newWorkspace()
	defer mem.release()
	g := *f
	g.Out = out
	var gone []bool
	if len(replace) > 0 {
		gone = mem.marks.Make(len(f.Instrs))
		for _, v := range replace {
			gone[v] = true
		}
	}
	l := newFlow(f, mem)
	live := l.live(out, gone)
	b := newBuilder(f.Name, count(live)+len(f.In)+len(replace))
	args := b.inputsOf(f)
	given := mem.values.Make(len(replace))
	for i, v := range replace {
		given[i] = b.Input(names[i], f.Instrs[v].Type)
	}
	c := copier{b: b, f: &g, live: live, licm: true, old: replace, new: given}
	if fuse {
		c.fuse = l.fusions(out, live)
	}
	return b.finish(to, c.run(args))
}

// prune is f, which a Builder has written, without what the given outputs do not need: as Optimize without fuse, but where there
// are no loops, from which something may move, no instruction is written anew.
func prune(f *Func, out []Value) *Func {
	if len(f.Loops)+len(f.Arrays) > 0 {
		return rewrite(new(Func), f, out, false, nil, nil)
	}
	mem := newWorkspace()
	defer mem.release()
	live := newFlow(f, mem).live(out, nil)
	for i := range f.Instrs {
		live[i] = live[i] || f.Instrs[i].Op == OpInput
	}
	to := mem.values.Make(len(f.Instrs))
	rename := func(v Value) Value {
		if v < 0 {
			return v
		}
		return to[v]
	}
	g := &Func{
		Name: f.Name, In: slices.Clone(f.In), InNames: slices.Clone(f.InNames), Instrs: make([]Instr, count(live)), Out: make([]Value, len(out)),
		Affines: f.Affines, Tables: f.Tables,
	}
	n, guarded := 0, false
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if in.Op == OpEndGuard {
			guarded = live[i]
		}
		if !live[i] {
			continue
		}
		x := &g.Instrs[n]
		x.Op, x.Type, x.Strict, x.A, x.B, x.C, x.Imm = in.Op, in.Type, in.Strict, rename(in.A), rename(in.B), rename(in.C), in.Imm
		switch {
		case in.Op == OpEndGuard: // names its beginning
			x.Imm = uint64(to[in.Imm])
		case in.Op == OpMerge && !guarded: // nothing of its guard is left
			x.Op = OpSelect
		}
		to[i] = Value(n)
		n++
	}
	for k, v := range out {
		g.Out[k] = to[v]
	}
	return g
}

func count(live []bool) (n int) {
	for _, l := range live {
		if l {
			n++
		}
	}
	return n
}

// workspace is memory for what passes over a function find out about it; the next pass takes it again.
type workspace struct {
	values slab.Of[Value]
	places slab.Of[int32]
	marks  slab.Of[bool]
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

func newWorkspace() *workspace {
	w := workspaces.Get().(*workspace)
	w.reset()
	return w
}

func (w *workspace) reset() {
	w.values.Reset()
	w.places.Reset()
	w.marks.Reset()
}

// release gives w back.
func (w *workspace) release() { workspaces.Put(w) }

// operations is how many operations of f are needed, a product that a multiply-add absorbs not counted.
func operations(f *Func, mem *workspace) (n int) {
	l := newFlow(f, mem)
	live := l.live(f.Out, nil)
	l.fusions(f.Out, live)
	for i, is := range live {
		if op := f.Instrs[i].Op; is && op != OpConst && op != OpInput {
			n++
		}
	}
	return n
}

// liveness marks the instructions that the outputs need.
func liveness(f *Func, mem *workspace) []bool { return newFlow(f, mem).live(f.Out, nil) }

// flow is what tells which instructions of a function others need, whatever the outputs.
type flow struct {
	f      *Func
	mem    *workspace
	block  []int32 // position of the enclosing OpLoop or OpGuard, -1 at the top
	end    []int32 // of these
	todo   []int32 // see live
	stores [][]int // of each array
}

func newFlow(f *Func, mem *workspace) *flow {
	n := len(f.Instrs)
	l := &flow{f: f, mem: mem, block: mem.places.Make(n), end: ends(f, mem.places.Make(n)), todo: mem.places.Make(n), stores: make([][]int, len(f.Arrays))}
	open := []int32{-1}
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if in.Op == OpEndLoop || in.Op == OpEndGuard {
			open = open[:len(open)-1]
		}
		l.block[i] = open[len(open)-1]
		if in.Op == OpLoop || in.Op == OpGuard {
			open = append(open, int32(i))
		}
		if in.Op == OpStore {
			a := in.Imm & 0xffffffff
			l.stores[a] = append(l.stores[a], i)
		}
	}
	return l
}

// live marks the instructions that the given outputs need. Values in gone, if not nil, are
// given: what they were made of is not needed on their account.
func (l *flow) live(out []Value, gone []bool) []bool {
	instrs := l.f.Instrs
	live := l.mem.marks.Make(len(instrs))
	todo := l.todo[:0]
	mark := func(i int32) {
		if !live[i] {
			live[i] = true
			if gone == nil || !gone[i] {
				todo = append(todo, i)
			}
		}
	}
	for _, v := range out {
		mark(int32(v))
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		in := &instrs[i]
		for k := range in.Op.NumArgs() {
			mark(int32(in.Arg(k)))
		}
		if at := l.block[i]; at >= 0 {
			mark(at)
			mark(l.end[at])
		}
		if in.Op == OpLoad {
			// The first load of an array marks all its stores.
			if stores := l.stores[in.Imm&0xffffffff]; len(stores) > 0 && !live[stores[0]] {
				for _, s := range stores {
					mark(int32(s))
				}
			}
		}
	}
	return live
}

// fusions chooses for each live addition or subtraction the multiplication that
// it absorbs: one that is not strict, has no other use and stands in the same
// block; the left operand's before the right's. It is not live any more.
func (l *flow) fusions(out []Value, live []bool) []Value {
	f := l.f
	uses := l.mem.places.Make(len(f.Instrs))
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if live[i] {
			for k := range in.Op.NumArgs() {
				uses[in.Arg(k)]++
			}
		}
	}
	for _, v := range out {
		uses[v]++
	}
	fuse := l.mem.values.Make(len(f.Instrs))
	for i := range f.Instrs {
		fuse[i] = NoValue
		in := &f.Instrs[i]
		if !live[i] || in.Op != OpAdd && in.Op != OpSub {
			continue
		}
		for _, v := range []Value{in.A, in.B} {
			m := &f.Instrs[v]
			if m.Op == OpMul && !m.Strict && uses[v] == 1 && l.block[v] == l.block[i] {
				fuse[i] = v
				live[v] = false
				break
			}
		}
	}
	return fuse
}

// hoistable finds the values of f that depend on the given inputs alone, are
// worth keeping, and are used by something that does not.
func hoistable(f *Func, fixed func(input int) bool) []Value {
	mem := newWorkspace()
	defer mem.release()
	n := len(f.Instrs)
	l := newFlow(f, mem)
	uniform, top := mem.marks.Make(n), mem.marks.Make(n)
	depth := 0
	// given reports whether the operands of i are all uniform.
	given := func(i int) bool {
		in := &f.Instrs[i]
		for k := range in.Op.NumArgs() {
			if !uniform[in.Arg(k)] {
				return false
			}
		}
		return true
	}
	for i := range f.Instrs {
		in := &f.Instrs[i]
		switch {
		case in.Op == OpLoop:
			depth++
			uniform[i] = uniformLoop(f, i, int(l.end[i]), uniform) // as a whole or not at all
		case in.Op == OpGuard:
			depth++
			uniform[i] = uniform[in.A]
		case in.Op == OpEndLoop || in.Op == OpEndGuard:
			depth--
		case in.Op == OpInput:
			uniform[i] = fixed(int(in.Imm))
		case in.Op == OpPhi, in.Op == OpLoad, in.Op == OpStore, in.Op == OpIndex:
			// uniformLoop marks phis; arrays and counters stay where they are
		default:
			uniform[i] = given(i)
		}
		top[i] = depth == 0
	}
	needed := mem.marks.Make(n)
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if uniform[i] && top[i] {
			continue
		}
		for k := range in.Op.NumArgs() {
			needed[in.Arg(k)] = true
		}
	}
	for _, v := range f.Out {
		needed[v] = true
	}
	var out []Value
	for i := range f.Instrs {
		if op := f.Instrs[i].Op; needed[i] && uniform[i] && top[i] && op != OpInput && op != OpConst && f.Instrs[i].Type != None {
			out = append(out, Value(i))
		}
	}
	// What only moved values ask for (a loop that moves as a whole) needs no slot.
	gone := mem.marks.Make(n)
	for _, v := range out {
		gone[v] = true
	}
	live := l.live(f.Out, gone)
	kept := out[:0]
	for _, v := range out {
		if live[v] {
			kept = append(kept, v)
		}
	}
	return kept
}

// uniformLoop reports whether everything that the loop at..end carries is
// uniform if its entry values are, and then marks its phis.
func uniformLoop(f *Func, at, end int, uniform []bool) bool {
	in := make(map[Value]bool)
	is := func(v Value) bool { return uniform[v] || in[v] }
	for i := at + 1; i < end; i++ {
		x := &f.Instrs[i]
		switch x.Op {
		case OpLoad, OpStore, OpIndex, OpLoop:
			return false
		case OpPhi:
			if !uniform[x.A] {
				return false
			}
			in[Value(i)] = true
			continue
		}
		for k := range x.Op.NumArgs() {
			if !is(x.Arg(k)) {
				return false
			}
		}
		in[Value(i)] = true
	}
	var phis []int
	for i := at + 1; i < end; i++ {
		if f.Instrs[i].Op == OpPhi {
			if !is(f.Instrs[i].B) { // a value from outside of the loop
				return false
			}
			phis = append(phis, i)
		}
	}
	for _, i := range phis {
		uniform[i] = true
	}
	return true
}
