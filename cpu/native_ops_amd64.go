//go:build linux || darwin || windows

package cpu

import (
	"fmt"
	"math"

	"invar/cpu/internal/amd64"
	"invar/program"
)

// body writes instructions from..to-1.
func (e *emitter) body(from, to int32) {
	for i := from; i < to; i++ {
		x := &e.nodes[i]
		e.now = i
		if e.since >= e.options.stretch() && e.depth[i] == 0 {
			e.cut(i)
		}
		switch {
		case x.op == program.OpLoop:
			e.loopBlock(i)
			i = e.end[i]
		case x.op == program.OpGuard:
			i = e.guardBlock(i)
			if most := float64(callOperations); e.since > most {
				panic(limitError(fmt.Sprintf("a guard of %.0f operations on vectors, at most %.0f are allowed in native code", e.since, most)))
			}
		case x.dead || x.op == program.OpInput || x.op == program.OpConst || x.op == program.OpPhi:
		case e.canWait(i):
			e.late[i] = true
		default:
			for _, v := range x.args() {
				if v >= 0 && e.late[v] {
					e.late[v] = false
					e.instr(v)
					e.unpin()
				}
			}
			e.instr(i)
			e.unpin()
			e.flush()
		}
	}
}

// canWait reports whether a comparison is better written right before its only reader: where mask registers are
// few, and its operands live that long anyway.
func (e *emitter) canWait(i int32) bool {
	if e.class(i) != masks || e.masks <= len(e.files[masks].holds) || e.nodes[i].row() == nil || e.nodes[i].row().shape != shCompare || len(e.use[i]) != 1 {
		return false
	}
	reader := e.use[i][0]
	if int(reader) >= len(e.nodes) || e.nodes[reader].row() == nil || e.loop[reader] != e.loop[i] || e.guard[reader] != e.guard[i] {
		return false
	}
	for _, v := range e.nodes[i].args() {
		switch {
		case v < 0 || e.home[v].kind == inConst:
		case e.last[v] < reader, e.nodes[v].op == program.OpPhi && !e.readInTrip(v, reader):
			return false
		}
	}
	return true
}

func (e *emitter) instr(i int32) {
	x := &e.nodes[i]
	e.counted()
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
			e.splat(e.number(vectors, d, u), rTemp)
		}
		e.define(i, d)
		return
	case program.OpFromBits:
		s := e.inReg(x.a)
		d := e.result(i)
		for u := range e.v {
			e.pack(e.number(vectors, d, u), e.number(vectors, s, u))
		}
		e.define(i, d)
		return
	case program.OpSelect, program.OpMerge:
		e.define(i, e.blend(i))
		return
	}
	r := x.row()
	f := e.form(x.op, x.single)
	switch r.shape {
	case shBinary, shCommute:
		a, b := x.a, x.b
		if r.shape == shCommute && e.reg[a] < 0 && (e.reg[b] >= 0 || e.home[a].kind == inConst) {
			a, b = b, a
		}
		e.simple(i, &f.Insn, a, e.operand(b))
	case shConst:
		e.simpleConst(i, &f.Insn, x.a, r.with)
	case shUnary:
		if x.op == program.OpBits { // its instruction repeats no constant
			e.inReg(x.a)
		}
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
				e.simpleConst(i, &f.Insn, x.a, r.with)
				return
			}
			if x.not {
				e.simple(i, &f.second, x.b, e.operand(x.a))
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
			a, b, in = b, a, &f.second
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
	case shGather:
		e.gather(i, f)
	}
}

// splat writes general register r into all lanes of d.
func (e *emitter) splat(d uint8, r amd64.Reg) {
	if e.isa.zmm {
		e.a.EVEX(&amd64.FromReg, d, 0, 0, amd64.V(uint8(r)))
		return
	}
	e.a.VEX(&amd64.FromRegX, amd64.X, d, 0, amd64.V(uint8(r)))
	e.a.VEX(&amd64.SplatY, amd64.Y, d, 0, amd64.V(d))
}

// pack writes the lower halves of the lanes of s to the lower half of d.
func (e *emitter) pack(d, s uint8) {
	if e.isa.zmm {
		e.a.EVEX(&amd64.PackZ, s, 0, 0, amd64.V(d))
		return
	}
	e.a.VEX(&amd64.EvenY, amd64.Y, d, s, amd64.V(s))
	halves := amd64.PermuteY // one pair of each half
	halves.Imm = 0 | 2<<2
	e.a.VEX(&halves, amd64.Y, d, 0, amd64.V(d))
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

// simpleConst writes d = a in the constant with these bits.
func (e *emitter) simpleConst(i int32, in *amd64.Insn, a int32, bits uint64) {
	s := e.inReg(a)
	d := e.result(i)
	b := e.repeated(e.consts.index(bits))
	for u := range e.v {
		e.op(in, e.number(vectors, d, u), e.number(vectors, s, u), b)
	}
	e.define(i, d)
}

// fma writes d = ±a*b ± c. The result takes the register of an operand that nothing needs afterwards,
// or of a copy of one; of the other two one may be in memory.
func (e *emitter) fma(i int32, f *form) {
	x := &e.nodes[i]
	in := f.variants()[x.neg]
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
		e.copyTo(d, into)
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
	}
	args := x.args()
	e.release(i, args[:]...)
	e.define(i, d)
}

func (e *emitter) compare(i int32, f *form) {
	x := &e.nodes[i]
	a, b := x.a, x.b
	in, swapped := &f.Insn, &f.first
	if x.not {
		in, swapped = &f.second, &f.both
	}
	if in.Name == "" || swapped.Name != "" && e.reg[a] < 0 && (e.reg[b] >= 0 || e.home[a].kind == inConst) {
		a, b, in = b, a, swapped
	}
	s := e.inReg(a)
	m := e.operand(b)
	var with ref
	if x.and >= 0 {
		with = e.mask(x.and)
	}
	d := e.result(i)
	for u := range e.v {
		if !e.isa.zmm {
			y := e.number(vectors, d, u)
			e.op(in, y, e.number(vectors, s, u), m.arg(u))
			if x.single { // to lanes of ones and zeros
				e.op(&amd64.SignedY, y, 0, amd64.V(y))
			}
			continue
		}
		k := uint8(kNone)
		if x.and >= 0 {
			k = with.k(u, kTemp)
		}
		e.a.EVEX(in, e.number(masks, d, u), e.number(vectors, s, u), k, m.arg(u))
	}
	e.define(i, d)
}

// blend writes a ? b : c and returns the result's group.
func (e *emitter) blend(i int32) int {
	x := &e.nodes[i]
	f := e.form(program.OpSelect, x.single)
	if e.class(i) == masks {
		return e.blendMasks(i)
	}
	var k ref
	if e.isa.zmm {
		e.recall(x.a)
		k = e.mask(x.a)
	} else {
		e.inReg(x.a)
		k = e.operand(x.a)
	}
	c := e.inReg(x.c)
	b := e.operand(x.b)
	n := func(g, u int) uint8 { return e.number(vectors, g, u) }
	if x.single && !e.isa.zmm { // the mask in lanes of F32s
		t := e.temp(vectors)
		for u := range e.v {
			e.pack(n(t, u), n(k.g, u))
		}
		k.g = t
		defer e.drop(vectors, t)
	}
	d := e.result(i)
	for u := range e.v {
		if e.isa.zmm {
			e.a.EVEX(&f.Insn, n(d, u), n(c, u), k.k(u, kTemp), b.arg(u))
		} else {
			e.a.VEX4(&f.Insn, n(d, u), n(c, u), b.arg(u), n(k.g, u))
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
		k, to := a.k(u, kTemp), e.number(masks, d, u)
		free := uint8(kTemp)
		if k == kTemp {
			free = to
		}
		e.kop(&amd64.KAnd, kTemp2, k, b.k(u, kTemp2))
		e.kop(&amd64.KAndN, to, k, c.k(u, free))
		e.kop(&amd64.KOr, to, kTemp2, to)
	}
	return d
}

// gather reads a table. The instruction clears the mask of lanes to read, which
// has to be made each time, and its registers must all differ.
func (e *emitter) gather(i int32, f *form) {
	x := &e.nodes[i]
	t := e.f.Tables[x.imm]
	single := x.single
	if e.tables[x.imm] == 0 {
		e.tables[x.imm] = 1 + e.consts.table(t)
	}
	at := e.tables[x.imm] - 1
	s := e.inReg(x.a)
	index := e.temp(vectors)
	lanes := index // no register
	if !e.isa.zmm {
		lanes = e.temp(vectors)
		// QEMU before 9.0.3 reads an index in ymm4 as no index, which it would be among the general registers. Either
		// of the two groups can be the index, so that leaving ymm4 to the mask costs nothing.
		if e.number(vectors, index, 0) <= 4 && 4 <= e.number(vectors, index, e.v-1) {
			index, lanes = lanes, index
		}
	}
	d := e.temp(vectors)
	and := e.form(program.OpIAnd, false)
	for u := range e.v {
		e.op(&and.Insn, e.number(vectors, index, u), e.number(vectors, s, u), e.consts.number(uint64(len(t)-1)))
	}
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
		if single {
			e.op(&e.form(program.OpNarrow, true).Insn, e.number(vectors, d, u), 0, amd64.V(e.number(vectors, d, u)))
		}
	}
	e.drop(vectors, index)
	e.drop(vectors, lanes)
	e.release(i, x.a)
	e.define(i, d)
}
