//go:build linux || darwin || windows

package cpu

import (
	"fmt"
	"math"

	"invar/cpu/internal/amd64"
	"invar/program"
)

// The emitter turns a lowered function into code for one strip: a few vectors of
// lanes, every operation written for each of them in turn, so that one vector's
// latency is hidden behind the others' work.
//
// Values live in register groups (one register a vector) handed out as the code is written: when none is free, the
// value needed last goes to a slot of the scratch memory, unless it has a home
// already (an input, an output, a constant). At the start of a loop every value goes home and registers
// start empty, except those of the carried values (see loop). The block of a guard is placed out of line: it saves what
// the registers hold, computes, and brings them back, so that lanes that do not need it pay for a test and a jump.

// isa is an instruction set.
type isa struct {
	name  string
	zmm   bool // AVX-512; else AVX2
	bytes int  // a vector's size
	regs  int
	size  amd64.Size
}

var (
	avx512 = isa{"avx512", true, 64, 32, amd64.Z}
	avx2   = isa{"avx2", false, 32, 16, amd64.Y}
)

// lanes is how many F64s a vector holds.
func (s *isa) lanes() int { return s.bytes / 8 }

// General registers and what they hold throughout.
const (
	rFrame   = amd64.RDI // the call's frame
	rConsts  = amd64.RSI // constants
	rScratch = amd64.RDX // slots from here on, arrays and loop counters below
	rCur     = amd64.RBX // moving slots of the strip
	rOut     = amd64.R8  // where outputs go
	rIn      = amd64.R9  // inputs, or fixed slots of the strip
	rSteps   = amd64.R10
	rStrips  = amd64.R11
	rTemp    = amd64.R15
)

// indexRegs hold parts of array indices.
var indexRegs = [...]amd64.Reg{amd64.RAX, amd64.RCX, amd64.R12, amd64.R13, amd64.R14}

// address is memory: base + disp.
type address struct {
	base amd64.Reg
	disp int32
}

func (p address) at(d int) amd64.Arg { return amd64.M(p.base, p.disp).Plus(d) }

// constants is what the code of a program reads from memory but never writes.
type constants struct {
	isa    *isa
	index  map[uint64]int
	bits   []uint64
	tables [][]float64
	size   int // of the tables, in entries
}

// number returns the operand for a constant: repeated from one number (AVX-512), or stored once a lane.
func (c *constants) number(bits uint64) amd64.Arg {
	i, ok := c.index[bits]
	if !ok {
		i = len(c.bits)
		c.index[bits] = i
		c.bits = append(c.bits, bits)
	}
	if c.isa.zmm {
		return amd64.B(rConsts, int32(i*8))
	}
	return amd64.M(rConsts, int32(i*c.isa.bytes))
}

// table returns the offset of a table.
func (c *constants) table(t []float64) int32 {
	c.tables = append(c.tables, t)
	c.size += len(t)
	return int32(8 * (c.size - len(t)))
}

// Homes of values.
type home struct {
	kind homeKind
	at   int32
}

type homeKind uint8

const (
	nowhere homeKind = iota
	inSlot           // of the scratch memory
	inInput
	inOutput
	inConst
)

// class is a kind of register.
type class uint8

const (
	vectors class = iota
	masks         // AVX-512 only
)

// file is the registers of one class, in groups.
type file struct {
	holds  []int32 // value in each group, -1: free, busy: a temporary
	pinned uint64  // groups that the instruction being written needs
}

const (
	empty = -1
	busy  = -2
)

// emitter writes one function's code.
type emitter struct {
	*lowered
	a      *amd64.Asm
	isa    *isa
	v      int // vectors in a strip
	consts *constants
	in     []address // of each input and output, vector 0
	out    []address
	files  [2]file

	reg      []int8 // group of each value, -1
	home     []home
	alive    []int32 // values that hold a group or a slot
	where    []int32 // their place in alive, -1
	outsOf   [][]int32
	next     []int32 // per value: how many of its uses lie behind us
	freeSlot []int32
	slots    int
	arrays   []int32 // offset of each array from the scratch register
	counters int32   // offset of the loop counters
	cold     int32   // the guard whose block is being written, -1
	now      int32   // the position being written
	freed    []int32 // slots that are free after the present instruction
	index    [len(indexRegs)]string
	oldest   int
	tables   map[uint64]int32
}

func newEmitter(a *amd64.Asm, isa *isa, v int, l *lowered, consts *constants, in, out []address) *emitter {
	n := len(l.nodes)
	e := &emitter{
		lowered: l, a: a, isa: isa, v: v, consts: consts, in: in, out: out,
		reg: make([]int8, n), home: make([]home, n), where: make([]int32, n), outsOf: make([][]int32, n), next: make([]int32, n),
		cold: -1, tables: map[uint64]int32{},
	}
	e.files[vectors].holds = make([]int32, isa.regs/v)
	e.files[masks].holds = make([]int32, maskGroups/v)
	for k := range e.files {
		for g := range e.files[k].holds {
			e.files[k].holds[g] = empty
		}
	}
	for i := range e.reg {
		e.reg[i], e.where[i] = -1, -1
		switch x := &l.nodes[i]; x.op {
		case program.OpInput:
			e.home[i] = home{inInput, int32(x.imm)}
		case program.OpConst:
			e.home[i] = home{inConst, 0}
		}
	}
	for k, r := range l.out {
		if k < len(out) {
			e.outsOf[r] = append(e.outsOf[r], int32(k))
		}
	}
	below := int32(0)
	for _, n := range l.f.Arrays {
		below -= int32(n * v * isa.bytes)
		e.arrays = append(e.arrays, below)
	}
	e.counters = below - int32(16*len(l.f.Loops))
	return e
}

// Of the mask registers k0 cannot select lanes; it and the last two hold nothing
// from one instruction to the next.
const (
	maskGroups = 5
	kNone      = 0 // as the mask of an instruction: all lanes
	kTemp      = 6
	kTemp2     = 7
)

// below is how much memory the code uses in front of the scratch register,
// above how much behind it.
func (e *emitter) below() int { return int(-e.counters) }
func (e *emitter) above() int { return e.slots * e.v * e.isa.bytes }

func (e *emitter) class(v int32) class {
	if e.isa.zmm && e.nodes[v].typ == program.Bool {
		return masks
	}
	return vectors
}

// number returns the register number of group g for vector u.
func (e *emitter) number(c class, g, u int) uint8 {
	if c == masks {
		return uint8(1 + g*e.v + u)
	}
	return uint8(g*e.v + u)
}

// Moves of whole registers.

func (e *emitter) load(dst uint8, m amd64.Arg) {
	switch {
	case m.IsReg() && e.isa.zmm:
		e.a.EVEX(&amd64.Move, dst, 0, 0, m)
	case m.IsReg():
		e.a.VEX(&amd64.MoveY, amd64.Y, dst, 0, m)
	case m.IsBroadcast():
		e.a.EVEX(&amd64.Broadcast, dst, 0, 0, m.Number())
	case e.isa.zmm:
		e.a.EVEX(&amd64.Load, dst, 0, 0, m)
	default:
		e.a.VEX(&amd64.LoadY, amd64.Y, dst, 0, m)
	}
}

func (e *emitter) store(m amd64.Arg, src uint8) {
	if e.isa.zmm {
		e.a.EVEX(&amd64.Store, src, 0, 0, m)
	} else {
		e.a.VEX(&amd64.StoreY, amd64.Y, src, 0, m)
	}
}

// op writes in for one vector.
func (e *emitter) op(in *amd64.Insn, dst, src uint8, rm amd64.Arg) {
	if e.isa.zmm {
		e.a.EVEX(in, dst, src, 0, rm)
	} else {
		e.a.VEX(in, e.isa.size, dst, src, rm)
	}
}

func (e *emitter) kop(in *amd64.Insn, dst, src, b uint8) {
	e.a.VEX(in, amd64.Y, dst, src, amd64.V(b))
}

// form chooses the row's instruction for the instruction set.
func (e *emitter) form(op program.Op) *form {
	r := rowOf[op]
	if e.isa.zmm {
		return &r.zmm
	}
	return &r.ymm
}

// memory is where v can be read when it is in no register.
func (e *emitter) memory(v int32, u int) amd64.Arg { return e.at(e.home[v], v, u) }

func (e *emitter) at(h home, v int32, u int) amd64.Arg {
	switch h.kind {
	case inSlot:
		return e.slot(h.at, e.class(v), u)
	case inInput:
		return e.in[h.at].at(u * e.isa.bytes)
	case inOutput:
		return e.out[h.at].at(u * e.isa.bytes)
	case inConst:
		return e.consts.number(e.constBits(v))
	}
	panic(fmt.Sprintf("cpu: value %d of %s is lost", v, e.f.Name))
}

func (e *emitter) constBits(v int32) uint64 {
	x := &e.nodes[v]
	if x.typ == program.Bool && x.imm != 0 {
		return math.MaxUint64
	}
	return x.imm
}

func (e *emitter) slot(s int32, c class, u int) amd64.Arg {
	if c == masks { // a byte a vector
		return amd64.M(rScratch, s*int32(e.v*e.isa.bytes)+int32(u))
	}
	return amd64.M(rScratch, s*int32(e.v*e.isa.bytes)+int32(u*e.isa.bytes))
}

func (e *emitter) newSlot() int32 {
	if n := len(e.freeSlot); n > 0 {
		s := e.freeSlot[n-1]
		e.freeSlot = e.freeSlot[:n-1]
		return s
	}
	e.slots++
	return int32(e.slots - 1)
}

// fetch loads v from its home into group g.
func (e *emitter) fetch(v int32, g int) {
	if e.class(v) == vectors {
		for u := range e.v {
			e.load(e.number(vectors, g, u), e.memory(v, u))
		}
		return
	}
	switch e.home[v].kind {
	case inSlot:
		for u := range e.v {
			e.a.VEX(&amd64.LoadK, amd64.X, e.number(masks, g, u), 0, e.memory(v, u))
		}
	case inConst:
		in := &amd64.KXor
		if e.nodes[v].imm != 0 {
			in = &amd64.KXnor
		}
		for u := range e.v {
			k := e.number(masks, g, u)
			e.kop(in, k, k, k)
		}
	}
}

// masksIn turns the Bools among the inputs, lanes of ones or zeros in memory, into masks in slots.
func (e *emitter) masksIn() {
	for v := range e.nodes {
		x := &e.nodes[v]
		if x.op != program.OpInput || e.class(int32(v)) != masks || e.last[v] < 0 {
			continue
		}
		s := e.newSlot()
		for u := range e.v {
			e.load(0, e.memory(int32(v), u)) // nothing is in registers yet
			e.a.EVEX(&amd64.LanesToK, kTemp, 0, 0, amd64.V(0))
			e.a.VEX(&amd64.StoreK, amd64.X, kTemp, 0, e.slot(s, masks, u))
		}
		e.home[v] = home{inSlot, s}
		e.remember(int32(v))
	}
}

// put stores group g of v's class to slot s.
func (e *emitter) put(s int32, c class, g int) {
	for u := range e.v {
		if c == masks {
			e.a.VEX(&amd64.StoreK, amd64.X, e.number(masks, g, u), 0, e.slot(s, c, u))
		} else {
			e.store(e.slot(s, c, u), e.number(c, g, u))
		}
	}
}

// putOutputs stores group g as the outputs that v is.
func (e *emitter) putOutputs(v int32, g int) {
	c := e.class(v)
	for _, k := range e.outsOf[v] {
		t := g
		if c == masks {
			t = e.temp(vectors)
		}
		for u := range e.v {
			if c == masks {
				e.a.EVEX(&amd64.KToLanes, e.number(vectors, t, u), 0, 0, amd64.V(e.number(masks, g, u)))
			}
			e.store(e.out[k].at(u*e.isa.bytes), e.number(vectors, t, u))
		}
		if c == masks {
			e.drop(vectors, t)
		}
	}
}

// Registers.

// nextUse is the first position from at on that reads v. What only a guard's block reads is
// far away, seen from outside.
func (e *emitter) nextUse(v, at int32) int32 {
	far := int32(2 * (len(e.nodes) + 1))
	uses := e.use[v]
	k := e.next[v]
	for int(k) < len(uses) && uses[k] < at {
		k++
	}
	e.next[v] = k
	here := e.depth[min(int(at), len(e.depth)-1)]
	for n := 0; int(k) < len(uses) && n < 8; k, n = k+1, n+1 {
		if e.depth[uses[k]] <= here {
			return uses[k]
		}
	}
	if int(e.next[v]) < len(uses) {
		return far - 2
	}
	if e.last[v] >= at {
		return min(far-1, e.last[v]+1) // in the next trip of a loop
	}
	return far
}

// group finds a group for use at position at, moving a value home if it must.
func (e *emitter) group(c class, at int32) int {
	f := &e.files[c]
	for g, v := range f.holds {
		if v == empty && f.pinned>>g&1 == 0 {
			return g
		}
	}
	best, farthest := -1, int32(-1)
	for g, v := range f.holds {
		if v < 0 || f.pinned>>g&1 != 0 {
			continue
		}
		d := 2 * e.nextUse(v, at)
		if e.home[v].kind != nowhere {
			d++
		}
		if d > farthest {
			best, farthest = g, d
		}
	}
	if best < 0 {
		panic(fmt.Sprintf("cpu: no register left for position %d (%v) of %s, %d vectors", at, e.nodes[min(int(e.now), len(e.nodes)-1)].op, e.f.Name, e.v))
	}
	e.evict(c, best, at)
	return best
}

// evict empties a group. What is still needed goes to a slot.
func (e *emitter) evict(c class, g int, at int32) {
	v := e.files[c].holds[g]
	if e.home[v].kind == nowhere && e.last[v] >= at {
		s := e.newSlot()
		e.put(s, c, g)
		e.home[v] = home{inSlot, s}
	}
	e.files[c].holds[g] = empty
	e.reg[v] = -1
	if e.home[v].kind != inSlot {
		e.forget(v)
	}
}

func (e *emitter) temp(c class) int { return e.tempAt(c, e.now) }

func (e *emitter) tempAt(c class, at int32) int {
	g := e.group(c, at)
	e.files[c].holds[g] = busy
	e.files[c].pinned |= 1 << g
	return g
}

// drop frees a temporary.
func (e *emitter) drop(c class, g int) {
	e.files[c].holds[g] = empty
	e.files[c].pinned &^= 1 << g
}

// assign makes g the group of v.
func (e *emitter) assign(v int32, g int) {
	c := e.class(v)
	e.files[c].holds[g] = v
	e.reg[v] = int8(g)
	e.remember(v)
}

func (e *emitter) remember(v int32) {
	if e.where[v] < 0 {
		e.where[v] = int32(len(e.alive))
		e.alive = append(e.alive, v)
	}
}

func (e *emitter) forget(v int32) {
	k := e.where[v]
	if k < 0 {
		return
	}
	last := e.alive[len(e.alive)-1]
	e.alive[k] = last
	e.where[last] = k
	e.alive = e.alive[:len(e.alive)-1]
	e.where[v] = -1
}

func (e *emitter) pin(v int32) {
	if v >= 0 && e.reg[v] >= 0 {
		e.files[e.class(v)].pinned |= 1 << e.reg[v]
	}
}

// pinArgs keeps the operands of i in their registers. Masks are read where they
// are or were last (see mask), and need not be kept.
func (e *emitter) pinArgs(i int32) {
	for _, v := range e.nodes[i].args() {
		if v >= 0 && e.class(v) == vectors {
			e.pin(v)
		}
	}
}

func (e *emitter) unpin() { e.files[vectors].pinned, e.files[masks].pinned = 0, 0 }

// inReg brings v into a register group and pins it.
func (e *emitter) inReg(v int32) int {
	if e.reg[v] < 0 {
		c := e.class(v)
		g := e.tempAt(c, e.now)
		e.fetch(v, g)
		e.assign(v, g)
	}
	e.pin(v)
	return int(e.reg[v])
}

// ref is an operand that may stay in memory: ref.arg(u) for vector u.
type ref struct {
	e *emitter
	v int32
	g int // -1: in memory
	h home
}

// worthLoading is how many further reads make a value that could be read from
// memory worth a register.
const worthLoading = 2

func (e *emitter) operand(v int32) ref {
	if e.reg[v] < 0 && e.home[v].kind != inConst {
		left := 0
		e.nextUse(v, e.now+1)
		left = len(e.use[v]) - int(e.next[v])
		if left >= worthLoading && e.hasFree(vectors) {
			e.inReg(v)
		}
	}
	e.pin(v)
	return ref{e, v, int(e.reg[v]), e.home[v]}
}

func (e *emitter) hasFree(c class) bool {
	f := &e.files[c]
	for g, v := range f.holds {
		if v == empty && f.pinned>>g&1 == 0 {
			return true
		}
	}
	return false
}

func (r ref) arg(u int) amd64.Arg {
	if r.g >= 0 {
		return amd64.V(r.e.number(r.e.class(r.v), r.g, u))
	}
	return r.e.at(r.h, r.v, u)
}

// mask is an operand in mask registers, ready to be read whatever happens to
// v's group until the present instruction overwrites it.
func (e *emitter) mask(v int32) ref {
	return ref{e, v, int(e.reg[v]), e.home[v]}
}

// k returns the mask register for vector u, temp if v is in memory.
func (r ref) k(u int, temp uint8) uint8 {
	e := r.e
	switch {
	case r.g >= 0:
		return e.number(masks, r.g, u)
	case r.h.kind == inConst:
		in := &amd64.KXor
		if e.nodes[r.v].imm != 0 {
			in = &amd64.KXnor
		}
		e.kop(in, temp, temp, temp)
	default:
		e.a.VEX(&amd64.LoadK, amd64.X, temp, 0, e.at(r.h, r.v, u))
	}
	return temp
}

// release gives up what the values hold that nothing needs after position at.
func (e *emitter) release(at int32, vs ...int32) {
	for _, v := range vs {
		if v < 0 || e.last[v] > at {
			continue
		}
		if v < e.cold { // belongs to the code around the guard, which has yet to say so itself
			continue
		}
		e.kill(v)
	}
}

func (e *emitter) kill(v int32) {
	if g := e.reg[v]; g >= 0 {
		c := e.class(v)
		e.files[c].holds[g] = empty
		e.reg[v] = -1
	}
	if h := e.home[v]; h.kind == inSlot {
		e.freed = append(e.freed, h.at)
		e.home[v] = home{}
	}
	e.forget(v)
}

// flush lets slots be used again. An instruction may still read what it was the
// last to need, so that this waits for its end.
func (e *emitter) flush() {
	e.freeSlot = append(e.freeSlot, e.freed...)
	e.freed = e.freed[:0]
}

// sweep releases everything that nothing needs after position at.
func (e *emitter) sweep(at int32) {
	for k := 0; k < len(e.alive); {
		v := e.alive[k]
		if e.last[v] <= at && v >= e.cold {
			e.kill(v)
		} else {
			k++
		}
	}
	e.flush()
}

// result is a group for the result of the instruction at the present position,
// after its operands have been released.
func (e *emitter) result(i int32) int {
	x := &e.nodes[i]
	for _, v := range x.args() {
		if v >= 0 && e.last[v] <= i && e.reg[v] >= 0 {
			e.files[e.class(v)].pinned &^= 1 << e.reg[v]
		}
	}
	a := x.args()
	e.release(i, a[:]...)
	return e.group(e.class(i), i+1)
}

// define makes group g the value of i.
func (e *emitter) define(i int32, g int) {
	e.assign(i, g)
	if len(e.outsOf[i]) > 0 {
		e.files[e.class(i)].pinned |= 1 << g
		e.putOutputs(i, g)
		if e.class(i) == vectors && e.home[i].kind == nowhere {
			e.home[i] = home{inOutput, e.outsOf[i][0]}
		}
	}
	e.unpin()
	if e.last[i] <= i {
		e.kill(i)
	}
}

// body writes instructions from..to-1.
func (e *emitter) body(from, to int32) {
	for i := from; i < to; i++ {
		x := &e.nodes[i]
		e.now = i
		switch {
		case x.op == program.OpLoop:
			e.loopBlock(i)
			i = e.end[i]
		case x.op == program.OpGuard:
			i = e.guardBlock(i)
		case x.dead || x.op == program.OpInput || x.op == program.OpConst || x.op == program.OpPhi:
		default:
			e.instr(i)
			e.unpin()
			e.flush()
		}
	}
}

func (e *emitter) instr(i int32) {
	x := &e.nodes[i]
	e.pinArgs(i)
	switch x.op {
	case program.OpLoad:
		m := e.element(x.imm)
		d := e.result(i)
		for u := range e.v {
			e.load(e.number(vectors, d, u), m.Plus(u*e.isa.bytes))
		}
		e.define(i, d)
		return
	case program.OpStore:
		s := e.inReg(x.a)
		m := e.element(x.imm)
		for u := range e.v {
			e.store(m.Plus(u*e.isa.bytes), e.number(vectors, s, u))
		}
		e.release(i, x.a)
		return
	case program.OpIndex:
		e.affine(rTemp, e.f.Affines[x.imm])
		d := e.result(i)
		for u := range e.v {
			r := e.number(vectors, d, u)
			if e.isa.zmm {
				e.a.EVEX(&amd64.FromReg, r, 0, 0, amd64.V(uint8(rTemp)))
			} else {
				e.a.VEX(&amd64.FromRegX, amd64.X, r, 0, amd64.V(uint8(rTemp)))
				e.a.VEX(&amd64.SplatY, amd64.Y, r, 0, amd64.V(r))
			}
		}
		e.define(i, d)
		return
	}
	op := x.op
	if op == program.OpMerge {
		op = program.OpSelect
	}
	r, f := rowOf[op], e.form(op)
	switch r.shape {
	case shBinary, shCommute:
		a, b := x.a, x.b
		if r.shape == shCommute && e.reg[a] < 0 && (e.reg[b] >= 0 || e.home[a].kind == inConst) {
			a, b = b, a
		}
		e.simple(i, &f.Insn, a, e.operand(b))
	case shConst:
		e.simpleArg(i, &f.Insn, x.a, e.consts.number(r.with))
	case shUnary:
		s := e.operand(x.a)
		d := e.result(i)
		for u := range e.v {
			e.op(&f.Insn, e.number(vectors, d, u), 0, s.arg(u))
		}
		e.define(i, d)
	case shFMA:
		e.fma(i, f)
	case shCompare:
		e.compare(i, f)
	case shLogic, shNot:
		if !e.isa.zmm {
			if r.shape == shNot {
				e.simpleArg(i, &f.Insn, x.a, e.consts.number(r.with))
				return
			}
			if x.not {
				e.simple(i, &f.not, x.b, e.operand(x.a))
				return
			}
			e.simple(i, &f.Insn, x.a, e.operand(x.b))
			return
		}
		a := e.mask(x.a)
		b := a
		if r.shape == shLogic {
			b = e.mask(x.b)
		}
		in := &f.Insn
		if x.not {
			a, b, in = b, a, &f.not
		}
		d := e.result(i)
		for u := range e.v {
			k := a.k(u, kTemp)
			if r.shape == shNot {
				e.a.VEX(&f.Insn, amd64.X, e.number(masks, d, u), 0, amd64.V(k))
			} else {
				e.kop(in, e.number(masks, d, u), k, b.k(u, kTemp2))
			}
		}
		e.define(i, d)
	case shBlend:
		d := e.blend(i, f)
		e.define(i, d)
	case shGather:
		e.gather(i, f)
	}
}

// simple writes d = a in b.
func (e *emitter) simple(i int32, in *amd64.Insn, a int32, b ref) {
	s := e.inReg(a)
	b.g = int(e.reg[b.v]) // a and b may be the same value
	d := e.result(i)
	for u := range e.v {
		e.op(in, e.number(vectors, d, u), e.number(vectors, s, u), b.arg(u))
	}
	e.define(i, d)
}

func (e *emitter) simpleArg(i int32, in *amd64.Insn, a int32, b amd64.Arg) {
	s := e.inReg(a)
	d := e.result(i)
	for u := range e.v {
		e.op(in, e.number(vectors, d, u), e.number(vectors, s, u), b)
	}
	e.define(i, d)
}

// fma writes d = ±a*b ± c. The result takes the register of an operand that nothing needs afterwards,
// or of a copy of one; of the other two one may be in memory.
func (e *emitter) fma(i int32, f *form) {
	x := &e.nodes[i]
	in := [4]*amd64.Insn{&f.Insn, &f.swap, &f.not, &f.notSwap}[x.neg]
	a, b, c := x.a, x.b, x.c
	// free: v's register may be overwritten.
	free := func(v, other, other2 int32) bool {
		return e.reg[v] >= 0 && v != other && v != other2 && (e.last[v] <= i && v >= e.cold || e.home[v].kind == inConst)
	}
	into := int32(-1)
	switch {
	case free(c, a, b):
		into = c
	case free(a, b, c):
		into = a
	case free(b, a, c):
		into = b
	}
	fresh := into < 0
	if fresh { // copy one that has to be loaded anyway
		into = c
		if e.reg[c] >= 0 && a != b {
			if e.reg[a] < 0 && a != c {
				into = a
			} else if e.reg[b] < 0 && b != c {
				into = b
			}
		}
	}
	if into == b && into != c {
		a, b = b, a
	}
	// Now the result goes over a or c.
	var d int
	if fresh {
		d = e.temp(vectors)
		from := ref{e, into, int(e.reg[into]), e.home[into]}
		for u := range e.v {
			e.load(e.number(vectors, d, u), from.arg(u))
		}
	} else {
		d = int(e.reg[into])
	}
	order, s, m := "231", a, b
	if into == c {
		if e.reg[s] < 0 && (e.reg[m] >= 0 || e.home[s].kind == inConst) {
			s, m = m, s
		}
	} else {
		// d*b + c: the one in memory comes last.
		order, s, m = "213", b, c
		if e.reg[s] < 0 && (e.reg[m] >= 0 || e.home[s].kind == inConst) {
			order, s, m = "132", c, b
		}
	}
	sg := e.inReg(s)
	mr := e.operand(m)
	op := *in
	if order != "231" {
		op = fmaOrder(op, order)
	}
	for u := range e.v {
		e.op(&op, e.number(vectors, d, u), e.number(vectors, sg, u), mr.arg(u))
	}
	if !fresh { // the register has changed hands
		e.files[vectors].holds[d] = busy
		e.reg[into] = -1
		if e.home[into].kind != inSlot {
			e.forget(into)
		}
	}
	args := x.args()
	e.release(i, args[:]...)
	e.define(i, d)
}

func (e *emitter) compare(i int32, f *form) {
	x := &e.nodes[i]
	a, b := x.a, x.b
	in, swapped := &f.Insn, &f.swap
	if x.not {
		in, swapped = &f.not, &f.notSwap
	}
	if in.Name == "" || swapped.Name != "" && e.reg[a] < 0 && (e.reg[b] >= 0 || e.home[a].kind == inConst) {
		a, b, in = b, a, swapped
	}
	if !e.isa.zmm {
		e.simple(i, in, a, e.operand(b))
		return
	}
	s := e.inReg(a)
	m := e.operand(b)
	var with ref
	if x.and >= 0 {
		with = e.mask(x.and)
	}
	d := e.result(i)
	for u := range e.v {
		k := uint8(kNone)
		if x.and >= 0 {
			k = with.k(u, kTemp)
		}
		e.a.EVEX(in, e.number(masks, d, u), e.number(vectors, s, u), k, m.arg(u))
	}
	e.define(i, d)
}

// blend writes a ? b : c and returns the result's group.
func (e *emitter) blend(i int32, f *form) int {
	x := &e.nodes[i]
	if e.class(i) == masks {
		return e.blendMasks(i)
	}
	var k ref
	if e.isa.zmm {
		k = e.mask(x.a)
	} else {
		e.inReg(x.a)
		k = e.operand(x.a)
	}
	c := e.inReg(x.c)
	b := e.operand(x.b)
	d := e.result(i)
	for u := range e.v {
		n := func(g int) uint8 { return e.number(vectors, g, u) }
		if e.isa.zmm {
			e.a.EVEX(&f.Insn, n(d), n(c), k.k(u, kTemp), b.arg(u))
		} else {
			e.a.VEX4(&f.Insn, n(d), n(c), b.arg(u), n(k.g))
		}
	}
	return d
}

// blendMasks writes (a & b) | (^a & c) for Bools.
func (e *emitter) blendMasks(i int32) int {
	x := &e.nodes[i]
	a, b, c := e.mask(x.a), e.mask(x.b), e.mask(x.c)
	d := e.result(i)
	for u := range e.v {
		k := a.k(u, kTemp)
		e.kop(&amd64.KAnd, 0, k, b.k(u, kTemp2))
		e.kop(&amd64.KAndN, kTemp2, k, c.k(u, kTemp2))
		e.kop(&amd64.KOr, e.number(masks, d, u), 0, kTemp2)
	}
	return d
}

// gather reads a table. The instruction clears the mask of lanes to read, which
// has to be made each time, and its registers must all differ.
func (e *emitter) gather(i int32, f *form) {
	x := &e.nodes[i]
	t := e.f.Tables[x.imm]
	at, ok := e.tables[x.imm]
	if !ok {
		at = e.consts.table(t)
		e.tables[x.imm] = at
	}
	s := e.inReg(x.a)
	index := e.temp(vectors)
	and := e.form(program.OpIAnd)
	for u := range e.v {
		e.op(&and.Insn, e.number(vectors, index, u), e.number(vectors, s, u), e.consts.number(uint64(len(t)-1)))
	}
	lanes := index // no register
	if !e.isa.zmm {
		lanes = e.temp(vectors)
	}
	d := e.temp(vectors)
	e.a.MovRM(rTemp, amd64.M(rFrame, frameTables))
	for u := range e.v {
		x := e.number(vectors, index, u)
		m := amd64.MX(rTemp, amd64.Reg(x), 8, at)
		if e.isa.zmm {
			e.kop(&amd64.KXnor, kTemp, kTemp, kTemp)
			e.a.EVEX(&f.Insn, e.number(vectors, d, u), 0, kTemp, m)
		} else {
			k := e.number(vectors, lanes, u)
			e.load(k, e.consts.number(math.MaxUint64))
			e.a.VEX(&f.Insn, amd64.Y, e.number(vectors, d, u), k, m)
		}
	}
	e.drop(vectors, index)
	e.drop(vectors, lanes)
	e.release(i, x.a)
	e.define(i, d)
}

// Loop counters and indices.

func (e *emitter) counter(loop int) amd64.Arg { return amd64.M(rScratch, e.counters+int32(16*loop)) }
func (e *emitter) limit(loop int) amd64.Arg   { return amd64.M(rScratch, e.counters+int32(16*loop+8)) }

// affine computes an index expression. It uses no register but r.
func (e *emitter) affine(r amd64.Reg, a program.Affine) {
	e.a.MovRI(r, int32(a.Const))
	for _, t := range a.Terms {
		// r += coef*counter without another register, by doubling or by adding to memory's product
		e.addTerm(r, t)
	}
}

// addTerm adds coef*counter to r.
func (e *emitter) addTerm(r amd64.Reg, t program.Term) {
	switch t.Coef {
	case 0:
	case 1:
		e.a.RM(amd64.Add, r, e.counter(t.Loop))
	case -1:
		e.a.RM(amd64.Sub, r, e.counter(t.Loop))
	default:
		x := e.spare(r)
		e.a.MovRM(x, e.counter(t.Loop))
		e.a.IMul(x, x, int32(t.Coef))
		e.a.RR(amd64.Add, r, x)
	}
}

// spare is an index register other than r, whose contents are given up.
func (e *emitter) spare(r amd64.Reg) amd64.Reg {
	for range indexRegs {
		k := e.oldest
		e.oldest = (e.oldest + 1) % len(indexRegs)
		if indexRegs[k] != r {
			e.index[k] = ""
			return indexRegs[k]
		}
	}
	panic("cpu: no index register")
}

// element is the memory of an array's element, vector 0. The part of the index
// that depends on loop counters is kept in a register for the next access.
func (e *emitter) element(imm uint64) amd64.Arg {
	a := e.f.Affines[imm>>32]
	size := e.v * e.isa.bytes
	disp := e.arrays[imm&0xffffffff] + int32(a.Const*size)
	if len(a.Terms) == 0 {
		return amd64.M(rScratch, disp)
	}
	part := program.Affine{Terms: a.Terms}.Times(size)
	key := part.String()
	for k, s := range e.index {
		if s == key {
			return amd64.MX(rScratch, indexRegs[k], 1, disp)
		}
	}
	r := e.spare(rTemp)
	for k := range indexRegs {
		if indexRegs[k] == r {
			t := part.Terms[0]
			e.a.MovRM(r, e.counter(t.Loop))
			e.a.IMul(r, r, int32(t.Coef))
			for _, t := range part.Terms[1:] {
				e.a.MovRM(rTemp, e.counter(t.Loop))
				e.a.IMul(rTemp, rTemp, int32(t.Coef))
				e.a.RR(amd64.Add, r, rTemp)
			}
			e.index[k] = key
		}
	}
	return amd64.MX(rScratch, r, 1, disp)
}

// newIndices forgets what index registers hold, where control flow joins.
func (e *emitter) newIndices() { e.index = [len(indexRegs)]string{} }

// allHome stores everything that is needed after position at and has no home.
func (e *emitter) allHome(at int32) {
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v >= 0 && e.last[v] > at && e.home[v].kind == nowhere {
				s := e.newSlot()
				e.put(s, class(c), g)
				e.home[v] = home{inSlot, s}
			}
		}
	}
}

// clearRegs forgets what registers hold.
func (e *emitter) clearRegs() {
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v >= 0 {
				e.reg[v] = -1
				if e.home[v].kind != inSlot {
					e.forget(v)
				}
			}
			e.files[c].holds[g] = empty
		}
	}
	e.unpin()
}

// loopBlock writes the loop at position i.
func (e *emitter) loopBlock(i int32) {
	end := e.end[i]
	id := int(e.nodes[i].imm)
	lp := e.f.Loops[id]
	var phis []int32
	for p := i + 1; e.nodes[p].op == program.OpPhi; p++ {
		phis = append(phis, p)
	}
	// Every carried value gets a slot for good.
	for _, p := range phis {
		s := e.newSlot()
		v := e.nodes[p].a
		g := e.inReg(v)
		e.put(s, e.class(p), g)
		e.unpin()
		e.home[p] = home{inSlot, s}
		e.remember(p)
	}
	e.allHome(i)
	e.clearRegs()
	e.sweep(i)

	a := e.a
	first, over := a.Label(), a.Label()
	e.affine(rTemp, lp.Lo)
	a.MovMR(e.counter(id), rTemp)
	constant := len(lp.Lo.Terms)+len(lp.Hi.Terms) == 0
	if len(lp.Hi.Terms) > 0 {
		e.affine(rTemp, lp.Hi)
		a.MovMR(e.limit(id), rTemp)
	}
	test := func(c amd64.Cond, l amd64.Label) { // counter in rTemp
		if len(lp.Hi.Terms) > 0 {
			a.RM(amd64.Cmp, rTemp, e.limit(id))
		} else {
			a.RI(amd64.Cmp, rTemp, int32(lp.Hi.Const))
		}
		a.JumpIf(c, l)
	}
	if !constant || lp.Lo.Const >= lp.Hi.Const {
		a.MovRM(rTemp, e.counter(id))
		test(amd64.GE, over)
	}
	e.newIndices()
	a.Bind(first)
	e.body(i+1+int32(len(phis)), end)
	e.now = end

	// The next values are assigned all at once: first those that another assignment
	// would overwrite move aside.
	aside := map[int32]int32{}
	for _, p := range phis {
		b := e.nodes[p].b
		if b != p && e.nodes[b].op == program.OpPhi && e.loop[b] == i {
			g := e.inReg(b)
			s := e.newSlot()
			e.put(s, e.class(p), g)
			e.unpin()
			aside[p] = s
		}
	}
	for _, p := range phis {
		b := e.nodes[p].b
		if b == p {
			continue
		}
		c := e.class(p)
		if s, ok := aside[p]; ok {
			g := e.temp(c)
			old := e.home[p]
			e.home[p] = home{inSlot, s}
			e.fetch(p, g)
			e.home[p] = old
			e.put(old.at, c, g)
			e.drop(c, g)
			e.freeSlot = append(e.freeSlot, s)
			continue
		}
		g := e.inReg(b)
		e.put(e.home[p].at, c, g)
		e.unpin()
	}
	e.clearRegs()
	a.MovRM(rTemp, e.counter(id))
	a.RI(amd64.Add, rTemp, 1)
	a.MovMR(e.counter(id), rTemp)
	test(amd64.LT, first)
	a.Bind(over)
	e.newIndices()
	e.sweep(end)
}

// anyLane sets the flags to "not equal" if v is true in a lane.
func (e *emitter) anyLane(v int32) {
	a := e.a
	if e.isa.zmm {
		k := e.mask(v)
		x := k.k(0, kTemp)
		for u := 1; u < e.v; u++ {
			e.kop(&amd64.KOr, 0, x, k.k(u, kTemp2))
			x = 0
		}
		a.VEX(&amd64.KOrTest, amd64.X, x, 0, amd64.V(x))
		return
	}
	g := e.inReg(v)
	n := func(u int) uint8 { return e.number(vectors, g, u) }
	x := n(0)
	if e.v > 1 {
		t := e.temp(vectors)
		x = e.number(vectors, t, 0)
		for u := 1; u < e.v; u++ {
			from := n(0)
			if u > 1 {
				from = x
			}
			a.VEX(&amd64.OrY, amd64.Y, x, from, amd64.V(n(u)))
		}
		e.drop(vectors, t)
	}
	a.VEX(&amd64.SignsY, amd64.Y, uint8(rTemp), 0, amd64.V(x))
	a.Test(rTemp)
}

// allLanes sets the flags for the returned condition, which holds if v is false in a lane.
func (e *emitter) allLanes(v int32) (some amd64.Cond) {
	a := e.a
	if e.isa.zmm {
		k := e.mask(v)
		x := k.k(0, kTemp)
		for u := 1; u < e.v; u++ {
			e.kop(&amd64.KAnd, 0, x, k.k(u, kTemp2))
			x = 0
		}
		a.VEX(&amd64.KOrTest, amd64.X, x, 0, amd64.V(x)) // carry: all ones
		return amd64.NC
	}
	g := e.inReg(v)
	n := func(u int) uint8 { return e.number(vectors, g, u) }
	x := n(0)
	if e.v > 1 {
		t := e.temp(vectors)
		for u := 1; u < e.v; u++ {
			d := e.number(vectors, t, 0)
			a.VEX(&amd64.AndY, amd64.Y, d, x, amd64.V(n(u)))
			x = d
		}
		e.drop(vectors, t)
	}
	a.VEX(&amd64.SignsY, amd64.Y, uint8(rTemp), 0, amd64.V(x))
	a.RI(amd64.Cmp, rTemp, int32(1)<<e.isa.lanes()-1)
	return amd64.NE
}

// snapshot is where values are at some place in the code.
type snapshot struct {
	alive []int32
	reg   []int8
	home  []home
	holds [2][]int32
}

func (e *emitter) save() *snapshot {
	s := &snapshot{alive: append([]int32(nil), e.alive...)}
	for _, v := range s.alive {
		s.reg = append(s.reg, e.reg[v])
		s.home = append(s.home, e.home[v])
	}
	for c := range e.files {
		s.holds[c] = append([]int32(nil), e.files[c].holds...)
	}
	return s
}

func (e *emitter) restore(s *snapshot) {
	for len(e.alive) > 0 {
		v := e.alive[len(e.alive)-1]
		e.reg[v] = -1
		if e.home[v].kind == inSlot {
			e.home[v] = home{}
		}
		e.forget(v)
	}
	for k, v := range s.alive {
		e.reg[v], e.home[v] = s.reg[k], s.home[k]
		e.remember(v)
	}
	for c := range e.files {
		copy(e.files[c].holds, s.holds[c])
	}
	e.unpin()
}

// guardBlock writes the guard at position i and what merges its results, and
// returns the position of the last merge.
func (e *emitter) guardBlock(i int32) int32 {
	a := e.a
	end := e.end[i]
	to := end
	var merges []int32
	for m := end + 1; int(m) < len(e.nodes) && e.nodes[m].op == program.OpMerge; m++ {
		to = m
		if !e.nodes[m].dead {
			merges = append(merges, m)
		}
	}
	block, join := a.Label(), a.Label()
	e.anyLane(e.nodes[i].a)
	a.JumpIf(amd64.NE, block)
	e.unpin()
	before := e.save()

	// The block, out of line: everything goes home.
	section := a.Section()
	main := a.Use(section)
	a.Bind(block)
	indices := e.index
	e.newIndices()
	outer := e.cold
	e.cold = i
	var saved []int32 // slots
	homes := map[int32]home{}
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v < 0 || e.last[v] <= i {
				continue
			}
			if e.home[v].kind == nowhere {
				s := e.newSlot()
				e.put(s, class(c), g)
				e.home[v] = home{inSlot, s}
				saved = append(saved, s)
			}
			homes[v] = e.home[v]
		}
	}
	for _, v := range before.alive {
		homes[v] = e.home[v]
	}
	e.body(i+1, end)
	for _, m := range merges {
		e.now = m
		e.pinArgs(m)
		d := e.blend(m, e.form(program.OpSelect))
		c := e.class(m)
		e.files[c].holds[d] = busy
		e.files[c].pinned |= 1 << d
		e.putOutputs(m, d)
		s := e.newSlot()
		e.put(s, c, d)
		e.drop(c, d)
		e.unpin()
		saved = append(saved, s)
		homes[m] = home{inSlot, s}
	}
	for k := 0; k < len(e.alive); { // what was made inside is over
		if v := e.alive[k]; v > i {
			e.kill(v)
		} else {
			k++
		}
	}
	e.flush()
	e.cold = outer
	e.restore(before)
	a.Use(main)
	e.index = indices

	// The way past it: each result is what it would have been otherwise.
	for _, m := range merges {
		e.now = m
		e.otherwise(m)
	}
	e.sweep(to)
	e.newIndices()
	a.Bind(join)

	// Back from the block to where the way past it has everything.
	a.Use(section)
	after := e.save()
	for k, v := range after.alive {
		if h := after.home[k]; h.kind == inSlot && homes[v] != h {
			e.home[v] = homes[v]
			c := e.class(v)
			e.fetch(v, 0)
			e.home[v] = h
			e.put(h.at, c, 0)
		}
	}
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v < 0 {
				continue
			}
			old := e.home[v]
			if h, ok := homes[v]; ok { // else a constant or an input
				e.home[v] = h
			}
			e.fetch(v, g)
			e.home[v] = old
		}
	}
	a.Jump(join)
	a.Use(main)
	e.freeSlot = append(e.freeSlot, saved...)
	return to
}

// otherwise makes merge m what it is where its guard's block was skipped.
func (e *emitter) otherwise(m int32) {
	x := &e.nodes[m]
	c := x.c
	if e.class(m) == vectors {
		e.pin(c)
	}
	var g int
	if e.reg[c] >= 0 && e.last[c] <= m && c >= e.cold && e.home[c].kind != inConst && e.home[c].kind != inInput {
		g = int(e.reg[c])
		if h := e.home[c]; h.kind == inSlot {
			e.freeSlot = append(e.freeSlot, h.at)
			e.home[c] = home{}
		}
		e.reg[c] = -1
		e.forget(c)
	} else {
		cl := e.class(m)
		if cl == masks {
			from := e.mask(c)
			g = e.temp(cl)
			for u := range e.v {
				to := e.number(cl, g, u)
				if k := from.k(u, to); k != to {
					e.a.VEX(&amd64.LoadK, amd64.X, to, 0, amd64.V(k))
				}
			}
		} else {
			from := ref{e, c, int(e.reg[c]), e.home[c]}
			g = e.temp(cl)
			for u := range e.v {
				e.load(e.number(cl, g, u), from.arg(u))
			}
		}
	}
	e.release(m, c)
	e.define(m, g)
	e.flush()
}

// finish stores the outputs that no instruction of their own has stored: unchanged inputs,
// constants and carried values.
func (e *emitter) finish() {
	e.now = int32(len(e.nodes))
	for v := range e.nodes {
		if x := &e.nodes[v]; len(e.outsOf[v]) > 0 && !computed(x.op) {
			g := e.inReg(int32(v))
			e.putOutputs(int32(v), g)
			e.unpin()
		}
	}
}
