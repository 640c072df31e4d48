//go:build linux || darwin || windows

package cpu

import (
	"fmt"
	"math"
	"slices"

	"invar/cpu/internal/amd64"
	"invar/program"
)

// Loop counters and indices.

func (e *emitter) counter(loop int) amd64.Arg { return amd64.M(rScratch, e.counters+int32(16*loop)) }
func (e *emitter) limit(loop int) amd64.Arg   { return amd64.M(rScratch, e.counters+int32(16*loop+8)) }

// affine computes an index expression in r.
func (e *emitter) affine(r amd64.Reg, a program.Affine) {
	e.a.MovRI(r, e.word(a.Const))
	for _, t := range a.Terms {
		e.addTerm(r, t)
	}
}

// word is n as the 32-bit number that instructions hold. Programs with larger
// ones are left to the portable engine.
func (e *emitter) word(n int) int32 {
	if n < math.MinInt32 || n > math.MaxInt32 {
		panic(limitError(fmt.Sprintf("an index with the number %d, at most %d is allowed in native code", n, math.MaxInt32)))
	}
	return int32(n)
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
		e.a.IMul(x, x, e.word(t.Coef))
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
	disp := e.word(int(e.arrays[imm&0xffffffff]) + a.Const*size)
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
			e.a.IMul(r, r, e.word(t.Coef))
			for _, t := range part.Terms[1:] {
				e.a.MovRM(rTemp, e.counter(t.Loop))
				e.a.IMul(rTemp, rTemp, e.word(t.Coef))
				e.a.RR(amd64.Add, r, rTemp)
			}
			e.index[k] = key
		}
	}
	return amd64.MX(rScratch, r, 1, disp)
}

// join forgets what index registers and spare ones hold, where control flow joins.
func (e *emitter) join() {
	e.index = [len(indexRegs)]string{}
	e.newConstants()
}

// allHome stores everything that is needed after position at and has no home.
func (e *emitter) allHome(at int32) {
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v >= 0 && e.last[v] > at && e.home[v].kind == nowhere {
				e.goHome(v, class(c), g)
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
	}
	for _, p := range phis {
		if b := e.nodes[p].b; e.loop[b] == i {
			e.carries[b] = p + 1
		}
	}
	for _, p := range phis { // what another carried value becomes is needed to the end
		if q := e.nodes[p].b; e.nodes[q].op == program.OpPhi && e.loop[q] == i {
			e.carries[e.nodes[q].b] = 0
		}
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
			a.RI(amd64.Cmp, rTemp, e.word(lp.Hi.Const))
		}
		a.JumpIf(c, l)
	}
	if !constant || lp.Lo.Const >= lp.Hi.Const {
		a.MovRM(rTemp, e.counter(id))
		test(amd64.GE, over)
	}
	e.join()
	a.Bind(first)
	before := e.since
	e.since = float64(e.v * (1 + len(phis)))
	e.enterLoop(id, lp)
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
		if b == p || e.home[b] == e.home[p] {
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
	for _, p := range phis {
		if b := e.nodes[p].b; b != p && e.home[b] == e.home[p] { // the slot stays the carried value's
			e.home[b] = home{}
		}
	}
	e.clearRegs()
	e.afterTrip(lp, before)
	a.MovRM(rTemp, e.counter(id))
	a.RI(amd64.Add, rTemp, 1)
	a.MovMR(e.counter(id), rTemp)
	test(amd64.LT, first)
	a.Bind(over)
	e.join()
	e.sweep(end)
}

// fold joins the masks of v's vectors, and returns the register that has the result.
func (e *emitter) fold(in *amd64.Insn, v int32) uint8 {
	k := e.mask(v)
	x, free := k.k(0, kTemp), uint8(kTemp2)
	for u := 1; u < e.v; u++ {
		e.kop(in, kTemp2, x, k.k(u, free))
		x, free = kTemp2, kTemp
	}
	return x
}

// anyLane sets the flags to "not equal" if v is true in a lane.
func (e *emitter) anyLane(v int32) {
	a := e.a
	if e.isa.zmm {
		x := e.fold(&amd64.KOr, v)
		a.VEX(&amd64.KOrTest, amd64.X, x, 0, amd64.V(x))
		return
	}
	g := e.inReg(v)
	n := func(u int) uint8 { return e.number(vectors, g, u) }
	x := n(0)
	if e.v > 1 {
		t := e.temp(vectors)
		x = e.number(vectors, t, 0)
		or := e.form(program.OpOr, false)
		for u := 1; u < e.v; u++ {
			from := n(0)
			if u > 1 {
				from = x
			}
			e.op(&or.Insn, x, from, amd64.V(n(u)))
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
		x := e.fold(&amd64.KAnd, v)
		a.VEX(&amd64.KOrTest, amd64.X, x, 0, amd64.V(x)) // carry: all ones
		return amd64.NC
	}
	g := e.inReg(v)
	n := func(u int) uint8 { return e.number(vectors, g, u) }
	x := n(0)
	if e.v > 1 {
		t := e.temp(vectors)
		and := e.form(program.OpAnd, false)
		for u := 1; u < e.v; u++ {
			d := e.number(vectors, t, 0)
			e.op(&and.Insn, d, x, amd64.V(n(u)))
			x = d
		}
		e.drop(vectors, t)
	}
	a.VEX(&amd64.SignsY, amd64.Y, uint8(rTemp), 0, amd64.V(x))
	a.RI(amd64.Cmp, rTemp, int32(1)<<e.isa.lanes()-1)
	return amd64.NE
}

// snapshot is what registers hold at some place in the code, and the homes of that. What they do not hold has a home that
// does not change while it is needed.
type snapshot struct {
	holds  [2][]int32
	homes  [2][]home
	spares []int32
}

func (e *emitter) save() (s snapshot) {
	s.spares = slices.Clone(e.spares)
	for c := range e.files {
		s.holds[c] = slices.Clone(e.files[c].holds)
		for _, v := range s.holds[c] {
			h := home{}
			if v >= 0 {
				h = e.home[v]
			}
			s.homes[c] = append(s.homes[c], h)
		}
	}
	return s
}

func (e *emitter) restore(s snapshot) {
	e.clearRegs()
	copy(e.spares, s.spares)
	for c := range e.files {
		copy(e.files[c].holds, s.holds[c])
		for g, v := range s.holds[c] {
			if v >= 0 {
				e.reg[v], e.home[v] = int8(g), s.homes[c][g]
			}
		}
	}
}

// stay is where a value is kept while a guard's block is written.
type stay struct{ v, slot int32 }

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
	e.join()
	outer, swept := e.cold, e.swept
	e.cold = i
	var saved []stay
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v < 0 || e.last[v] <= i {
				continue
			}
			if e.home[v].kind == nowhere {
				s := e.newSlot()
				e.put(s, class(c), g)
				e.home[v] = home{inSlot, s}
				saved = append(saved, stay{v, s})
			}
		}
	}
	e.body(i+1, end)
	for _, m := range merges {
		e.now = m
		e.counted()
		e.pinArgs(m)
		d := e.blend(m)
		c := e.class(m)
		e.files[c].holds[d] = busy
		e.files[c].pinned |= 1 << d
		e.putOutputs(m, d)
		s := e.newSlot()
		e.put(s, c, d)
		e.drop(c, d)
		e.unpin()
		saved = append(saved, stay{m, s})
	}
	for v := i + 1; v <= to; v++ { // what was made inside is over
		e.kill(v)
	}
	e.flush()
	e.cold, e.swept = outer, swept // what is around the block is still to be released
	e.restore(before)
	a.Use(main)
	e.index = indices

	// The way past it: each result is what it would have been otherwise.
	for _, m := range merges {
		e.now = m
		e.otherwise(m)
	}
	e.sweep(to)
	e.join()
	a.Bind(join)

	// Back from the block to where the way past it has everything. What has been in a slot before it still is.
	a.Use(section)
	for _, s := range saved {
		if h := e.home[s.v]; h.kind == inSlot {
			e.home[s.v] = home{inSlot, s.slot}
			e.fetch(s.v, 0)
			e.home[s.v] = h
			e.put(h.at, e.class(s.v), 0)
		}
	}
	for c := range e.files {
		for g, v := range e.files[c].holds {
			if v < 0 {
				continue
			}
			old := e.home[v]
			if k := slices.IndexFunc(saved, func(s stay) bool { return s.v == v }); k >= 0 {
				e.home[v] = home{inSlot, saved[k].slot}
			}
			e.fetch(v, g)
			e.home[v] = old
		}
	}
	a.Jump(join)
	a.Use(main)
	for _, s := range saved {
		e.freeSlot = append(e.freeSlot, s.slot)
	}
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
			g = e.temp(cl)
			e.copyTo(g, c)
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
		if x := &e.nodes[v]; e.firstOut[v] >= 0 && !computed(x.op) {
			g := e.inReg(int32(v))
			e.putOutputs(int32(v), g)
			e.unpin()
		}
	}
}
