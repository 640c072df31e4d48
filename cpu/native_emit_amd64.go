//go:build linux || darwin || windows

package cpu

import (
	"fmt"
	"math"
	"slices"

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
// start empty. A carried value has a slot, to which the next one goes at once where nothing reads the old one any more. The block
// of a guard is placed out of line: it saves what the registers hold, computes, and brings them back, so that lanes that do not
// need it pay for a test and a jump.

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
	rOffset  = amd64.RBX // of the strip in listed columns
	rOut     = amd64.R8  // where outputs go
	rIn      = amd64.R9  // inputs, or fixed slots of the strip
	rSteps   = amd64.R10
	rStrips  = amd64.R11
	rTemp    = amd64.R15
)

// indexRegs hold parts of array indices.
var indexRegs = [...]amd64.Reg{amd64.RAX, amd64.RCX, amd64.R12, amd64.R13, amd64.R14}

// address is where a column of the strip is: base + disp. The address of a column that is listed stands there instead; the
// column's values of the strip are rOffset bytes on.
type address struct {
	base   amd64.Reg
	disp   int32
	listed bool
}

// constants is what the code of a program reads from memory but never writes.
type constants struct {
	isa    *isa
	known  map[uint64]int32 // index in bits
	bits   []uint64
	tables [][]float64
	size   int // of the tables, in entries
}

// number returns the operand for a constant.
func (c *constants) number(bits uint64) amd64.Arg { return c.at(c.index(bits)) }

// index is which constant has these bits.
func (c *constants) index(bits uint64) int32 {
	i, ok := c.known[bits]
	if !ok {
		i = int32(len(c.bits))
		c.known[bits] = i
		c.bits = append(c.bits, bits)
	}
	return i
}

// at is the operand for constant i: repeated from one number (AVX-512), or stored once a lane.
func (c *constants) at(i int32) amd64.Arg {
	if c.isa.zmm {
		return amd64.B(rConsts, i*8)
	}
	return amd64.M(rConsts, i*int32(c.isa.bytes))
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
	a       *amd64.Asm
	options emitOptions
	isa     *isa
	v       int // vectors in a strip
	consts  *constants
	in      []address // of each input and output, vector 0
	out     []address
	files   [2]file

	reg      []int8 // group of each value, -1
	home     []home
	firstOut []int32 // of each value: the first output that it is, -1
	nextOut  []int32 // of each output: the next one that is the same value, -1
	next     []int32 // per value: how many of its uses lie behind us
	ending   []int32 // of each position: the first value that nothing needs after it, -1
	ends     []int32 // of each value: the next one with that position, -1
	swept    int32   // up to this position they have been released
	late     []bool  // of each value: it is left for its reader to write
	carries  []int32 // of each value: 1 + the carried value whose next value it is, 0: none
	freeSlot []int32
	slots    int
	arrays   []int32 // offset of each array from the scratch register
	counters int32   // offset of the loop counters
	cold     int32   // the guard whose block is being written, -1
	now      int32   // the position being written
	freed    []int32 // slots that are free after the present instruction
	index    [len(indexRegs)]string
	oldest   int
	spares   []int32 // constant in each register that belongs to no group, -1
	turn     int     // the one of these whose constant is given up next
	tables   []int32 // of each table: 1 + its offset, 0: not yet known

	since  float64       // operations since the last point
	counts [][2]float64  // of each loop around the position: the least and the greatest value of its counter
	points []amd64.Label // where a call may leave and the next come back
	leave  amd64.Label
}

// maxScratch bounds the memory for local arrays, which should fit a cache rather
// than the displacements of instructions.
const maxScratch = 1 << 28

func newEmitter(a *amd64.Asm, isa *isa, v int, l *lowered, consts *constants, in, out []address) *emitter {
	n, w := len(l.nodes), l.mem
	e := &emitter{
		lowered: l, a: a, isa: isa, v: v, consts: consts, in: in, out: out,
		reg: w.groups.Make(n), home: w.homes.Make(n), ending: w.numbers.Make(n + 1), ends: w.numbers.Make(n), next: w.numbers.Make(n), late: w.marks.Make(n), carries: w.numbers.Make(n),
		firstOut: w.numbers.Make(n), nextOut: w.numbers.Make(len(out)),
		cold: -1, swept: -1, tables: w.numbers.Make(len(l.f.Tables)), counts: make([][2]float64, len(l.f.Loops)),
	}
	e.files[vectors].holds = w.numbers.Make(isa.regs / v)
	e.files[masks].holds = w.numbers.Make(maskGroups / v)
	for k := range e.files {
		for g := range e.files[k].holds {
			e.files[k].holds[g] = empty
		}
	}
	for i := range e.reg {
		e.reg[i], e.firstOut[i] = -1, -1
		switch x := &l.nodes[i]; x.op {
		case program.OpInput:
			e.home[i] = home{inInput, int32(x.imm)}
		case program.OpConst:
			e.home[i] = home{inConst, -1}
		}
	}
	for p := range e.ending {
		e.ending[p] = -1
	}
	for v, p := range l.last {
		if p >= 0 {
			e.ends[v], e.ending[p] = e.ending[p], int32(v)
		}
	}
	for k := min(len(l.out), len(out)) - 1; k >= 0; k-- {
		v := l.out[k]
		e.nextOut[k], e.firstOut[v] = e.firstOut[v], int32(k)
	}
	below := 0
	for _, a := range l.f.Arrays {
		below -= a.Len * v * isa.bytes
		if below < -maxScratch {
			panic(limitError(fmt.Sprintf("local arrays of more than %d bytes, which are allowed in native code", maxScratch)))
		}
		e.arrays = append(e.arrays, int32(below))
	}
	e.counters = int32(below - 16*len(l.f.Loops))
	return e
}

// choose makes the emitter's choices.
func (e *emitter) choose(o emitOptions) {
	e.options = o
	if o.allSpares || e.loops() {
		e.spares = e.mem.numbers.Make(e.isa.regs % e.v)
		e.newConstants()
	}
}

// Of the mask registers k0, which cannot select lanes, and the last one hold nothing
// from one instruction to the next.
const (
	maskGroups = 6
	kNone      = 0 // as the mask of an instruction: all lanes
	kTemp      = 7
	kTemp2     = 0
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
func (e *emitter) form(op program.Op, single bool) *form {
	r := rowOf(op, single)
	if e.isa.zmm {
		return &r.zmm
	}
	return &r.ymm
}

// row is x's row; nil if it has none.
func (x *node) row() *row { return rowOf(x.op, x.single) }

// memory is where v can be read when it is in no register.
func (e *emitter) memory(v int32, u int) amd64.Arg { return e.at(e.home[v], v, u) }

func (e *emitter) at(h home, v int32, u int) amd64.Arg {
	switch h.kind {
	case inSlot:
		return e.slot(h.at, e.class(v), u)
	case inInput:
		return e.column(e.in[h.at]).Plus(u * e.isa.bytes)
	case inOutput:
		return e.column(e.out[h.at]).Plus(u * e.isa.bytes)
	case inConst:
		if h.at < 0 { // not used so far
			h.at = e.consts.index(e.constBits(v))
			e.home[v].at = h.at
		}
		return e.consts.at(h.at)
	}
	panic(fmt.Sprintf("cpu: value %d of %s is lost", v, e.f.Name))
}

// column is the memory of a column, vector 0. Where that is listed, the code for its address is written: the operand is for
// the very next instructions.
func (e *emitter) column(p address) amd64.Arg {
	if !p.listed {
		return amd64.M(p.base, p.disp)
	}
	e.a.MovRM(rTemp, amd64.M(p.base, p.disp))
	return amd64.MX(rTemp, rOffset, 1, 0)
}

// ahead is how many bytes further on listed columns are asked for early: the memory of a batch is far away. Measured: two
// strips.
func (e *emitter) ahead() int { return 2 * e.v * e.isa.bytes }

// listed reports whether v is in a listed column, from where it is fetched before it is an operand.
func (e *emitter) listed(v int32) bool {
	return e.home[v].kind == inInput && e.in[e.home[v].at].listed
}

func (e *emitter) constBits(v int32) uint64 {
	x := &e.nodes[v]
	switch {
	case x.typ == program.Bool && x.imm != 0:
		return math.MaxUint64
	case x.typ == program.F32:
		return twice(x.imm)
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

// goHome stores v, which is in group g and has no home: where a loop carries it to the next trip, if nothing in this one
// still needs what is there, else in a slot of its own.
func (e *emitter) goHome(v int32, c class, g int) {
	h := home{kind: inSlot}
	if p := e.carries[v] - 1; p >= 0 && !e.readInTrip(p, e.now) {
		h = e.home[p]
	} else {
		h.at = e.newSlot()
	}
	e.put(h.at, c, g)
	e.home[v] = h
}

// readInTrip reports whether something from position at on reads the carried value p before the trip ends.
func (e *emitter) readInTrip(p, at int32) bool {
	uses := e.use[p]
	k, _ := slices.BinarySearch(uses, at)
	return k < len(uses) && uses[k] < e.end[e.loop[p]]
}

// wide reports whether v is an F32 that stands in memory as an F64: among the inputs and outputs, where every value
// takes 8 bytes.
func (e *emitter) wide(v int32) bool {
	k := e.home[v].kind
	return e.nodes[v].typ == program.F32 && (k == inInput || k == inOutput)
}

// fetch loads v from its home into group g.
func (e *emitter) fetch(v int32, g int) {
	if e.class(v) == vectors {
		if e.home[v].kind == inConst && len(e.spares) > 0 {
			e.fetchConst(v, g)
			return
		}
		for u := range e.v {
			if e.wide(v) {
				e.op(&e.form(program.OpNarrow, true).Insn, e.number(vectors, g, u), 0, e.memory(v, u))
			} else {
				m := e.memory(v, u)
				e.load(e.number(vectors, g, u), m)
				if e.listed(v) {
					e.a.Prefetch(m.Plus(e.ahead()))
				}
			}
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

// fetchConst loads a constant into group g, from memory once.
func (e *emitter) fetchConst(v int32, g int) {
	from := e.memory(v, 0)
	if k := slices.Index(e.spares, e.home[v].at); k >= 0 {
		from = amd64.V(e.kept(k))
	}
	for u := range e.v {
		d := e.number(vectors, g, u)
		e.load(d, from)
		from = amd64.V(d)
	}
}

// repeated is constant i as the operand of the same instruction for several vectors: loads are scarcer than registers that are left
// over. The code for loading it is written.
func (e *emitter) repeated(i int32) amd64.Arg {
	if len(e.spares) == 0 {
		return e.consts.at(i)
	}
	k := slices.Index(e.spares, i)
	if k < 0 {
		k = e.turn
		e.turn = (k + 1) % len(e.spares)
		e.spares[k] = i
		e.load(e.kept(k), e.consts.at(i))
	}
	return amd64.V(e.kept(k))
}

// kept is the register of spare k.
func (e *emitter) kept(k int) uint8 { return uint8(e.isa.regs - len(e.spares) + k) }

// newConstants forgets what spare registers hold, where control flow joins.
func (e *emitter) newConstants() {
	for k := range e.spares {
		e.spares[k] = -1
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
	for k := e.firstOut[v]; k >= 0; k = e.nextOut[k] {
		e.putColumn(e.out[k], v, g)
	}
}

// putColumn stores group g, which holds v, as numbers of 8 bytes.
func (e *emitter) putColumn(to address, v int32, g int) {
	t := g
	if e.class(v) == masks || e.nodes[v].typ == program.F32 {
		t = e.temp(vectors)
		defer e.drop(vectors, t)
	}
	e.putColumnBy(to, v, g, t)
}

// putColumnBy does so by means of group t.
func (e *emitter) putColumnBy(to address, v int32, g, t int) {
	m := e.column(to)
	for u := range e.v {
		x := e.number(vectors, t, u)
		switch {
		case e.class(v) == masks:
			e.a.EVEX(&amd64.KToLanes, x, 0, 0, amd64.V(e.number(masks, g, u)))
		case e.nodes[v].typ == program.F32:
			e.op(&e.form(program.OpWiden, false).Insn, x, 0, amd64.V(e.number(vectors, g, u)))
		}
		e.store(m.Plus(u*e.isa.bytes), x)
		if to.listed {
			e.a.PrefetchW(m.Plus(u*e.isa.bytes + e.ahead()))
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
		e.goHome(v, c, g)
	}
	e.files[c].holds[g] = empty
	e.reg[v] = -1
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

// copyTo makes group g another one that holds v.
func (e *emitter) copyTo(g int, v int32) {
	if e.reg[v] < 0 {
		e.fetch(v, g)
		return
	}
	for u := range e.v {
		e.load(e.number(vectors, g, u), amd64.V(e.number(vectors, int(e.reg[v]), u)))
	}
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
	if e.reg[v] < 0 && (e.wide(v) || e.listed(v)) {
		e.inReg(v)
	} else if e.reg[v] < 0 && e.home[v].kind != inConst {
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
	m := r.e.at(r.h, r.v, u)
	if r.h.kind == inConst {
		return r.e.repeated(r.e.home[r.v].at)
	}
	return m
}

// mask is an operand in mask registers, ready to be read whatever happens to
// v's group until the present instruction overwrites it.
func (e *emitter) mask(v int32) ref {
	return ref{e, v, int(e.reg[v]), e.home[v]}
}

// recall brings a mask back from memory, which costs no more than reading it there, where it is read again before what has to
// make place for it.
func (e *emitter) recall(v int32) {
	if e.reg[v] >= 0 || e.home[v].kind != inSlot {
		return
	}
	e.nextUse(v, e.now+1)
	reads := e.use[v][e.next[v]:] // after this one
	best, most := -1, 0
	for g, h := range e.files[masks].holds {
		gain := len(reads)
		if h >= 0 {
			until := e.nextUse(h, e.now)
			gain = 0
			for gain < len(reads) && reads[gain] < until {
				gain++
			}
			if e.home[h].kind == nowhere {
				gain -= 2 // it has to be stored, and read again
			}
		} else if h != empty {
			continue
		}
		if gain > most {
			best, most = g, gain
		}
	}
	if best < 0 {
		return
	}
	if e.files[masks].holds[best] != empty {
		e.evict(masks, best, e.now)
	}
	e.fetch(v, best)
	e.assign(v, best)
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
}

// flush lets slots be used again. An instruction may still read what it was the
// last to need, so that this waits for its end.
func (e *emitter) flush() {
	e.freeSlot = append(e.freeSlot, e.freed...)
	e.freed = e.freed[:0]
}

// sweep releases everything that nothing needs after position at.
func (e *emitter) sweep(at int32) {
	for ; e.swept < at; e.swept++ {
		for v := e.ending[e.swept+1]; v >= 0; v = e.ends[v] {
			if v >= e.cold {
				e.kill(v)
			}
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
	if first := e.firstOut[i]; first >= 0 {
		e.files[e.class(i)].pinned |= 1 << g
		e.putOutputs(i, g)
		if e.class(i) == vectors && e.home[i].kind == nowhere && !e.out[first].listed {
			e.home[i] = home{inOutput, first}
		}
	}
	e.unpin()
	if e.last[i] <= i {
		e.kill(i)
	}
}
