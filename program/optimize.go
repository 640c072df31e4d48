package program

// Optimize rewrites f: dead code goes, loop invariants move in front of their
// loops, and with fuse each a*b+c whose product has no other use becomes one
// fma. The result of each output keeps its bits unless fuse is set.
func Optimize(f *Func, fuse bool) *Func {
	return rewrite(f, f.Out, fuse, nil, nil)
}

// rewrite copies f with other outputs. Values in replace become extra inputs, in
// the order of names.
func rewrite(f *Func, out []Value, fuse bool, replace []Value, names []string) *Func {
	g := *f
	g.Out = out
	var gone []bool
	if len(replace) > 0 {
		gone = make([]bool, len(f.Instrs))
		for _, v := range replace {
			gone[v] = true
		}
	}
	live := newFlow(f).live(out, gone)
	b := newBuilder(f.Name, count(live)+len(f.In)+len(replace))
	var args []Value
	for i, t := range f.In {
		args = append(args, b.Input(f.inName(i), t))
	}
	sub := map[Value]Value{}
	for i, v := range replace {
		sub[v] = b.Input(names[i], f.Instrs[v].Type)
	}
	c := copier{b: b, f: &g, live: live, licm: true, sub: sub}
	if fuse {
		c.fuse = fusions(&g, live)
	}
	return b.Finish(c.run(args)...)
}

func count(live []bool) (n int) {
	for _, l := range live {
		if l {
			n++
		}
	}
	return n
}

// operations is how many operations of f are needed, a product that a multiply-add absorbs not counted.
func operations(f *Func) (n int) {
	live := liveness(f)
	fusions(f, live)
	for i, l := range live {
		if op := f.Instrs[i].Op; l && op != OpConst && op != OpInput {
			n++
		}
	}
	return n
}

// liveness marks the instructions that the outputs need.
func liveness(f *Func) []bool { return newFlow(f).live(f.Out, nil) }

// flow is what tells which instructions of a function others need, whatever the outputs.
type flow struct {
	f      *Func
	block  []int32     // position of the enclosing OpLoop or OpGuard, -1 at the top
	end    map[int]int // of these
	stores [][]int     // of each array
}

func newFlow(f *Func) *flow {
	l := &flow{f: f, block: make([]int32, len(f.Instrs)), end: ends(f), stores: make([][]int, len(f.Arrays))}
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
	live := make([]bool, len(l.f.Instrs))
	todo := make([]int, 0, 64)
	mark := func(i int) {
		if !live[i] {
			live[i] = true
			if gone == nil || !gone[i] {
				todo = append(todo, i)
			}
		}
	}
	for _, v := range out {
		mark(int(v))
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		in := &l.f.Instrs[i]
		for k := 0; k < in.Op.NumArgs(); k++ {
			mark(int(in.Arg(k)))
		}
		if at := int(l.block[i]); at >= 0 {
			mark(at)
			mark(l.end[at])
		}
		if in.Op == OpLoad {
			// The first load of an array marks all its stores.
			if stores := l.stores[in.Imm&0xffffffff]; len(stores) > 0 && !live[stores[0]] {
				for _, s := range stores {
					mark(s)
				}
			}
		}
	}
	return live
}

// fusions chooses for each live addition or subtraction the multiplication that
// it absorbs: one that is not strict, has no other use and stands in the same
// block; the left operand's before the right's.
func fusions(f *Func, live []bool) []Value {
	uses := make([]int, len(f.Instrs))
	block := make([]int, len(f.Instrs))
	id, n := []int{0}, 0
	for i := range f.Instrs {
		in := &f.Instrs[i]
		switch in.Op {
		case OpLoop, OpGuard:
			n++
			id = append(id, n)
		case OpEndLoop, OpEndGuard:
			id = id[:len(id)-1]
		}
		block[i] = id[len(id)-1]
		if live[i] {
			for k := 0; k < in.Op.NumArgs(); k++ {
				uses[in.Arg(k)]++
			}
		}
	}
	for _, v := range f.Out {
		uses[v]++
	}
	fuse := make([]Value, len(f.Instrs))
	for i := range f.Instrs {
		fuse[i] = NoValue
		in := &f.Instrs[i]
		if !live[i] || in.Op != OpAdd && in.Op != OpSub {
			continue
		}
		for _, v := range []Value{in.A, in.B} {
			m := &f.Instrs[v]
			if m.Op == OpMul && !m.Strict && uses[v] == 1 && block[v] == block[i] {
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
	n := len(f.Instrs)
	uniform := make([]bool, n)
	end := ends(f)
	depth := 0
	top := make([]bool, n)
	// given reports whether the operands of i are all uniform.
	given := func(i int) bool {
		in := &f.Instrs[i]
		for k := 0; k < in.Op.NumArgs(); k++ {
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
			uniform[i] = uniformLoop(f, i, end[i], uniform) // as a whole or not at all
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
	needed := make([]bool, n)
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if uniform[i] && top[i] {
			continue
		}
		for k := 0; k < in.Op.NumArgs(); k++ {
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
	gone := make([]bool, n)
	for _, v := range out {
		gone[v] = true
	}
	live := newFlow(f).live(f.Out, gone)
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
		for k := 0; k < x.Op.NumArgs(); k++ {
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
