//go:build linux || darwin || windows

package cpu

import (
	"slices"

	"invar/program"
)

// A function is lowered before code is written for it: aliases resolved, signs folded into FMAs,
// negations into comparisons, and for each value the places where it is needed.

// latency is how many operations should lie between one and its readers. With
// several vectors in flight, and a processor that looks ahead, few suffice.
func latency(op program.Op) int {
	switch op {
	case program.OpBits, program.OpFromBits:
		return 0
	case program.OpDiv, program.OpSqrt:
		return 20
	}
	return 5
}

// node is one instruction after lowering. Operands are roots: values that
// exist, aliases (LoopOut, Bits and FromBits of F64s) replaced by what they stand for.
type node struct {
	op      program.Op
	typ     program.Type
	single  bool  // it computes with F32s
	dead    bool  // nothing needs it, or it became part of another node
	not     bool  // of a comparison: its negation is wanted; of an And: b is negated
	neg     uint8 // of an FMA: 1: the product's sign is flipped, 2: the addend's
	a, b, c int32
	and     int32 // of a comparison in mask registers: a Bool that it is combined with by and; -1: none
	imm     uint64
}

func (n *node) args() [4]int32 { return [4]int32{n.a, n.b, n.c, n.and} }

// lowered is a function ready for the emitter. Position len(nodes) is the end, where outputs are read.
type lowered struct {
	mem   *workspace // of all that follows
	f     *program.Func
	nodes []node
	end   []int32 // of each OpLoop and OpGuard: the position of its end
	loop  []int32 // the innermost loop around each position, -1: none
	outer []int32 // the loop around each loop
	guard []int32 // the innermost guard around each position, -1: none
	depth []int32 // how many guards
	out   []int32 // the roots of the outputs

	stored int // outputs that go to memory; one more is tested at the end

	use      [][]int32 // positions that read each value, ascending
	last     []int32   // the last position at which each value must still exist; -1: none
	pressure int       // most vector values alive at once
	masks    int       // most Bools alive at once
	cost     float64   // instructions executed, guards left out
	accesses float64   // to arrays, as often as they are executed

	loopPressure, loopMasks int // the same in loops
	loopCost                float64

	longest float64 // see wait; 0: not known yet
}

// lower prepares f, whose first stored outputs go to memory. With kmasks Bools live in mask registers, and a comparison
// can be combined with another Bool for nothing. Ordered: operations wait less for each other (see program.Order).
func lower(w *workspace, f *program.Func, stored int, kmasks, ordered bool) *lowered {
	if ordered {
		live := 28 // of 32 registers
		if !kmasks {
			live = 12 // of 16
		}
		f = program.Order(f, latency, live)
	}
	n := len(f.Instrs)
	l := &lowered{
		mem: w, f: f, stored: stored, nodes: w.nodes.Make(n), end: w.numbers.Make(n), loop: w.numbers.Make(n + 1), outer: w.numbers.Make(n),
		guard: w.numbers.Make(n + 1), depth: w.numbers.Make(n + 1), out: w.numbers.Make(len(f.Out)), use: w.lists.Make(n), last: w.numbers.Make(n),
	}
	l.resolve()
	count := w.numbers.Make(n) // uses
	read := func(v, k int32) {
		if v >= 0 {
			count[v] += k
		}
	}
	for i := range l.nodes {
		for _, v := range l.nodes[i].args() {
			read(v, 1)
		}
	}
	for _, v := range l.out {
		read(v, 1)
	}
	drop := func(i int32) { // what node i read
		l.nodes[i].dead = true
		for _, v := range l.nodes[i].args() {
			read(v, -1)
		}
	}
	sweep := func() {
		for i := n - 1; i >= 0; i-- {
			x := &l.nodes[i]
			if (x.op.Pure() || x.op == program.OpLoad || x.op == program.OpIndex || x.op == program.OpMerge) && count[i] == 0 && !x.dead {
				drop(int32(i))
			}
		}
	}
	sweep()
	l.foldSigns(count)
	sweep()
	l.foldLogic(count, drop, kmasks)
	l.liveness()
	return l
}

// wait is the longest chain of operations from the inputs to the outputs that go to memory, by their latencies: what a step
// that follows the one before at once waits for. In loops each trip waits for the one before; blocks of guards are skipped.
func (l *lowered) wait() float64 {
	if l.longest == 0 {
		l.longest = l.chain()
	}
	return l.longest
}

func (l *lowered) chain() (most float64) {
	at, trips, stored := make([]float64, len(l.nodes)), l.f.Trips(), 0.0
	for i := range l.nodes {
		x := &l.nodes[i]
		if x.dead || x.op == program.OpConst || x.op == program.OpInput || l.guard[i] >= 0 {
			continue
		}
		for k, v := range x.args() {
			if v >= 0 && (x.op != program.OpPhi || k == 0) { // a phi's other operand comes later
				at[i] = max(at[i], at[v])
			}
		}
		switch x.op {
		case program.OpPhi:
			continue
		case program.OpEndLoop:
			for k := int(x.imm) + 1; l.nodes[k].op == program.OpPhi; k++ {
				at[k] = max(at[k], at[l.nodes[k].b])
			}
			continue
		case program.OpLoad:
			at[i] = stored
		}
		at[i] += float64(latency(x.op)) * trips[i]
		if x.op == program.OpStore {
			stored = max(stored, at[i])
		}
	}
	for _, v := range l.out[:l.stored] {
		most = max(most, at[v])
	}
	return most
}

// waits reports whether operations mostly wait for one another: a second vector gains then more than it costs in moves between registers
// and memory (measured).
func (l *lowered) waits() bool { return l.wait() >= l.cost }

func (l *lowered) resolve() {
	f := l.f
	root := l.mem.numbers.Make(len(f.Instrs))
	r := func(v program.Value) int32 {
		if v < 0 {
			return -1
		}
		return root[v]
	}
	loop, guard, depth := int32(-1), []int32{-1}, int32(0)
	inputs := l.mem.numbers.Make(len(f.In)) // 1 + the value of each, 0: none so far
	for i := range f.Instrs {
		in := &f.Instrs[i]
		single := f.Precision(in) == program.F32
		root[i] = int32(i)
		switch in.Op {
		case program.OpInput:
			if first := inputs[in.Imm]; first > 0 {
				root[i] = first - 1
			} else {
				inputs[in.Imm] = int32(i) + 1
			}
		case program.OpLoopOut:
			root[i] = root[in.A]
		case program.OpBits, program.OpFromBits:
			if !single {
				root[i] = root[in.A]
			}
		case program.OpEndLoop, program.OpEndGuard:
			l.end[in.Imm] = int32(i)
		}
		x := &l.nodes[i]
		x.op, x.typ, x.single, x.imm, x.a, x.b, x.c, x.and = in.Op, in.Type, single, in.Imm, -1, -1, -1, -1
		if root[i] != int32(i) {
			x.dead = true
		} else {
			switch in.Op.NumArgs() {
			case 3:
				x.c = r(in.C)
				fallthrough
			case 2:
				x.b = r(in.B)
				fallthrough
			case 1:
				x.a = r(in.A)
			}
		}
		if in.Op == program.OpPhi {
			x.b = int32(in.B) // its root comes later
		}

		switch in.Op { // the mark itself stands outside
		case program.OpEndLoop:
			loop = l.outer[in.Imm]
		case program.OpEndGuard:
			guard = guard[:len(guard)-1]
			depth--
		}
		l.loop[i], l.guard[i], l.depth[i] = loop, guard[len(guard)-1], depth
		switch in.Op {
		case program.OpLoop:
			l.outer[i] = loop
			loop = int32(i)
		case program.OpGuard:
			guard = append(guard, int32(i))
			depth++
		}
	}
	n := len(f.Instrs)
	l.loop[n], l.guard[n] = -1, -1
	for i := range l.nodes {
		if l.nodes[i].op == program.OpPhi {
			l.nodes[i].b = root[l.nodes[i].b]
		}
	}
	for k, v := range f.Out {
		l.out[k] = root[v]
	}
}

// foldSigns removes negations whose every reader can flip the sign itself.
// Adding a negated number is subtracting it, to the bit, and an FMA rounds once whatever the signs.
func (l *lowered) foldSigns(count []int32) {
	left := l.mem.numbers.Make(len(count)) // readers of a negation that cannot
	copy(left, count)
	for i := range l.nodes {
		x := &l.nodes[i]
		if x.dead {
			continue
		}
		isNeg := func(v int32) bool { return l.nodes[v].op == program.OpNeg }
		switch x.op {
		case program.OpFMA:
			for _, v := range []int32{x.a, x.b, x.c} {
				if isNeg(v) {
					left[v]--
				}
			}
		case program.OpAdd:
			if isNeg(x.a) != isNeg(x.b) {
				if isNeg(x.a) {
					left[x.a]--
				} else {
					left[x.b]--
				}
			}
		case program.OpSub:
			if isNeg(x.b) {
				left[x.b]--
			}
		}
	}
	gone := func(v int32) bool { return l.nodes[v].op == program.OpNeg && left[v] == 0 }
	strip := func(v *int32) bool {
		if !gone(*v) {
			return false
		}
		count[*v]--
		*v = l.nodes[*v].a
		count[*v]++
		return true
	}
	for i := range l.nodes {
		x := &l.nodes[i]
		if x.dead {
			continue
		}
		switch x.op {
		case program.OpFMA:
			if strip(&x.a) {
				x.neg ^= 1
			}
			if strip(&x.b) {
				x.neg ^= 1
			}
			if strip(&x.c) {
				x.neg ^= 2
			}
		case program.OpAdd:
			if gone(x.a) && l.nodes[x.b].op != program.OpNeg {
				x.a, x.b = x.b, x.a
			}
			if l.nodes[x.a].op != program.OpNeg && strip(&x.b) {
				x.op = program.OpSub
			}
		case program.OpSub:
			if strip(&x.b) {
				x.op = program.OpAdd
			}
		}
	}
}

// foldLogic makes the negation of a comparison that nothing else reads the
// opposite comparison, and lets one that only an And reads do the And.
func (l *lowered) foldLogic(count []int32, drop func(int32), kmasks bool) {
	isCompare := func(v int32) bool {
		switch l.nodes[v].op {
		case program.OpLt, program.OpLe, program.OpEq:
			return true
		case program.OpILt, program.OpIEq:
			return kmasks
		}
		return false
	}
	// single: v is a comparison that only the node at i reads, in the same block.
	single := func(v int32, i int) bool {
		return isCompare(v) && count[v] == 1 && l.loop[v] == l.loop[i] && l.guard[v] == l.guard[i] && l.nodes[v].and < 0
	}
	take := func(i int, v int32, not bool, and int32) {
		x := l.nodes[v]
		drop(v)
		for _, w := range l.nodes[i].args() {
			if w >= 0 {
				count[w]--
			}
		}
		x.not = x.not != not
		x.and = and
		l.nodes[i] = x
		for _, w := range l.nodes[i].args() {
			if w >= 0 {
				count[w]++
			}
		}
	}
	for i := range l.nodes {
		x := l.nodes[i]
		switch {
		case x.dead:
		case x.op == program.OpNot && single(x.a, i):
			take(i, x.a, true, -1)
		case x.op == program.OpAnd && x.a != x.b:
			a, b := x.a, x.b
			if a > b {
				a, b = b, a
			}
			isNot := func(v int32) bool { return l.nodes[v].op == program.OpNot && !l.nodes[v].dead }
			switch {
			case kmasks && single(b, i): // the one defined later, so that nothing waits long
				take(i, b, false, a)
			case kmasks && single(a, i):
				take(i, a, false, b)
			case isNot(a) || isNot(b):
				if isNot(a) {
					a, b = b, a
				}
				of := l.nodes[b].a
				count[of]++
				if count[b]--; count[b] == 0 {
					drop(b)
				}
				l.nodes[i].a, l.nodes[i].b, l.nodes[i].not = a, of, true
			}
		}
	}
}

// reads calls f with each position at which a value is read, and the loop around it.
func (l *lowered) reads(f func(v, at, loop int32)) {
	n := int32(len(l.nodes))
	for i := range l.nodes {
		x := &l.nodes[i]
		at := int32(i)
		if x.dead {
			continue
		}
		switch x.op {
		case program.OpPhi: // its entry value is read by the loop, its next value at the loop's end
			loop := l.loop[i]
			f(x.a, loop, l.outer[loop])
			f(x.b, l.end[loop], loop)
			f(at, l.end[loop], loop)
		default:
			for _, v := range x.args() {
				if v >= 0 {
					f(v, at, l.loop[i])
				}
			}
		}
	}
	for k, v := range l.out {
		if k >= l.stored || !computed(l.nodes[v].op) { // the others are stored as they are made
			f(v, n, -1)
		}
	}
}

// computed: the value is made by an instruction.
func computed(op program.Op) bool {
	return op != program.OpInput && op != program.OpConst && op != program.OpPhi
}

func (l *lowered) liveness() {
	n := len(l.nodes)
	for i := range l.last {
		l.last[i] = -1
	}
	count := l.mem.numbers.Make(n)
	l.reads(func(v, at, loop int32) { count[v]++ })
	total := 0
	for _, c := range count {
		total += int(c)
	}
	all := l.mem.numbers.Make(total)
	for v, c := range count {
		l.use[v], all = all[:0:c], all[c:]
	}
	l.reads(func(v, at, loop int32) {
		l.use[v] = append(l.use[v], at)
		// A value from outside of a loop is needed until the loop is over.
		for ; loop > v; loop = l.outer[loop] {
			at = max(at, l.end[loop])
		}
		l.last[v] = max(l.last[v], at)
	})
	for v := range l.use {
		if !slices.IsSorted(l.use[v]) {
			slices.Sort(l.use[v])
		}
	}

	// How much is alive at once, and how much is to do.
	delta := [2][]int32{l.mem.numbers.Make(n + 1), l.mem.numbers.Make(n + 1)}
	trips, guards := l.f.Trips(), 0
	for i := range l.nodes {
		x := &l.nodes[i]
		if l.last[i] > int32(i) && x.op != program.OpConst && x.op != program.OpInput {
			k := 0
			if x.typ == program.Bool {
				k = 1
			}
			delta[k][i]++
			delta[k][l.last[i]]--
		}
		switch x.op {
		case program.OpGuard:
			guards++
		case program.OpEndGuard:
			guards--
		case program.OpLoad, program.OpStore:
			l.accesses += trips[i]
		}
		if guards == 0 && !x.dead && x.op != program.OpConst && x.op != program.OpInput {
			l.cost += trips[i]
			if l.loop[i] >= 0 || x.op == program.OpLoop { // as often as it makes trips
				l.loopCost += trips[i]
			}
		}
	}
	most := func(delta []int32) (most, looped int) {
		alive := 0
		for i, d := range delta {
			alive += int(d)
			most = max(most, alive)
			if l.loop[i] >= 0 {
				looped = max(looped, alive)
			}
		}
		return most, looped
	}
	l.pressure, l.loopPressure = most(delta[0])
	l.masks, l.loopMasks = most(delta[1])
}

// loops reports whether nearly all the time is spent in loops.
func (l *lowered) loops() bool { return l.loopCost > 0.8*l.cost }
