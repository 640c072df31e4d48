//go:build linux || darwin || windows

package cpu

import (
	"math"
	"slices"

	"invar/cpu/internal/amd64"
	"invar/program"
)

// A run steps one strip alone, again and again, with its moving slots in registers and without what
// is known of samples that go on (program.Stages.Run). It needs all lanes busy, and ends when a counter comes to its
// bound or it has lasted long enough: the step that follows it is an ordinary one. When a sample ends, it writes the state
// before and after that step to memory, where the lane is exchanged as in an ordinary step, and goes on.

const (
	rRun = amd64.R12 // steps left in a run; arrays, whose indices it would hold otherwise, do not occur
	rRan = amd64.R13

	// longestRun is how many steps a strip makes alone, at most, before the others have their turn.
	longestRun = 128
	// Leaving a run costs as much as a few steps. After one that was shorter than shortRun, the next
	// pause visits try none, so that where samples end all the time, or rare things happen, little is lost.
	shortRun = 6
	pause    = 64
)

// makeRun prepares what runs need, where the step is straight and moves little enough that there may be some.
func (n *native) makeRun(p *program.Program) {
	const (
		most = 8   // slots that move
		long = 150 // instructions of a step with guards; measured: where it computes sines and the like, nothing is gained
	)
	if n.moving > most {
		return
	}
	for _, in := range n.stages.Step.Instrs {
		switch in.Op {
		case program.OpLoop, program.OpLoad, program.OpStore, program.OpTable:
			return
		case program.OpGuard:
			if len(n.stages.Step.Instrs) > long {
				return
			}
		}
	}
	for _, typ := range n.stages.Step.In {
		if typ == program.Bool {
			return
		}
	}
	n.stages.MakeRun(p)
}

// fitsRun reports whether the program can have runs with strips of so many vectors: the registers hold the state before the
// step, after it, and something to compute with.
func (n *native) fitsRun(vectors int) bool {
	return n.stages.Run != nil && 2*n.carriedSlots()+2 <= n.isa.regs/vectors
}

// paysRun reports whether it also gains from them. The vectors must keep the processor busy while each waits for its own last
// step, for which ordinary steps have the other strips. AVX2 can have few vectors, and moves between its few registers and
// memory would cost more than a run saves (measured).
func (n *native) paysRun(vectors int, step *lowered) bool {
	if !n.fitsRun(vectors) {
		return false
	}
	wait, busy := step.wait(), step.cost*float64(vectors)
	if !n.isa.zmm {
		return step.pressure+n.carriedSlots() <= n.isa.regs/vectors && 2*wait <= busy
	}
	return wait <= busy
}

// lowerRun prepares the code of runs, nil where the program gets none: where they do not fit, or do not pay and are not wanted
// all the same.
func (n *native) lowerRun(w *workspace, step *lowered, ordered, all bool) *lowered {
	if !n.paysRun(n.vectors, step) && !(all && n.fitsRun(n.vectors)) {
		return nil
	}
	l := lower(w, n.stages.Run, 0, n.isa.zmm, ordered)
	if float64(len(l.nodes)*n.vectors) >= n.options.stretch() { // a run has no points
		return nil
	}
	end := int32(len(l.nodes))
	// The old state is needed until it is known whether a sample ends, and what is narrowed for all steps by each of them.
	for v := range l.nodes {
		if x := &l.nodes[v]; x.op == program.OpInput && (n.carries(int(x.imm)) || x.typ == program.F32 && l.last[v] >= 0) {
			l.last[v] = end
			l.use[v] = append(l.use[v], end)
		}
	}
	return l
}

// carriedSlots is how many slots a run keeps in registers.
func (n *native) carriedSlots() int {
	count := 0
	for k := n.fixed; k < len(n.stages.Kept); k++ {
		if n.carries(k) {
			count++
		}
	}
	return count
}

// carries: slot k of Kept is one that a run keeps in registers.
func (n *native) carries(k int) bool {
	counts := slices.ContainsFunc(n.stages.Counters, func(c program.Counter) bool { return c.Kept == k })
	return k >= n.fixed && !counts && !slices.Contains(n.stages.Unmoved, k)
}

// carried is a moving slot that a run keeps in registers.
type carried struct {
	slot  int   // its moving column
	input int32 // the value at the start of a step
	next  int32 // and at its end
	group int   // registers that it starts a step in
}

// emitRun writes a run of the present strip. Control leaves it at its end.
func (n *native) emitRun(a *amd64.Asm, consts *constants, l *lowered) *emitter {
	e := newEmitter(a, n.isa, n.vectors, l, consts, n.stateColumns(l.mem), nil)
	e.choose(n.options)
	enter, step, ended, rare, over := a.Label(), a.Label(), a.Label(), a.Label(), a.Label()
	var state []carried
	for v := range l.nodes {
		if x := &l.nodes[v]; x.op == program.OpInput && n.carries(int(x.imm)) {
			state = append(state, carried{int(x.imm) - n.fixed, int32(v), l.out[len(state)], 0})
		}
	}
	test, usual := l.out[len(state)], l.out[len(state)+1]

	try := a.Label()
	a.MI(amd64.Sub, amd64.M(rFrame, frameRunPause), 1)
	a.JumpIf(amd64.GE, over)
	a.MovMI(amd64.M(rFrame, frameRunPause), 0)
	a.MovRI(rTemp, longestRun)
	a.MovRM(rRun, amd64.M(rFrame, frameRunBudget))
	a.RR(amd64.Cmp, rTemp, rRun)
	a.JumpIf(amd64.LT, try)
	a.MovRR(rTemp, rRun)
	a.Bind(try)
	a.MovMR(amd64.M(rFrame, frameRunLeft), rTemp)
	a.Bind(enter)
	a.MI(amd64.Cmp, amd64.M(rFrame, frameRunPause), 0)
	a.JumpIf(amd64.NE, over)
	a.MovRM(rRun, amd64.M(rFrame, frameRunLeft))
	a.MovRM(rTemp, n.running())
	a.RM(amd64.Cmp, rTemp, amd64.M(rFrame, frameAll))
	a.JumpIf(amd64.NE, over)
	for _, c := range n.stages.Counters {
		column := amd64.M(rCur, int32((c.Kept-n.fixed)*n.column()))
		if c.From > math.MinInt32 {
			e.extreme(rTemp, column, false)
			a.RI(amd64.Cmp, rTemp, int32(c.From))
			a.JumpIf(amd64.LT, over)
		}
		few := a.Label()
		e.extreme(rTemp, column, true)
		a.MovRI(rRan, int32(c.To))
		a.RR(amd64.Sub, rRan, rTemp)
		a.RR(amd64.Cmp, rRun, rRan)
		a.JumpIf(amd64.LT, few)
		a.MovRR(rRun, rRan)
		a.Bind(few)
	}
	a.RI(amd64.Cmp, rRun, 1)
	a.JumpIf(amd64.LT, over)
	a.MovMR(amd64.M(rFrame, frameRunLength), rRun)

	for i := range state {
		s := &state[i]
		s.group = e.inReg(s.input)
		e.home[s.input] = home{} // memory holds the start of the run
	}
	for v := range int32(len(l.nodes)) { // narrowed once for all steps
		if e.wide(v) && l.last[v] >= 0 {
			g := e.temp(vectors)
			e.fetch(v, g)
			s := e.newSlot()
			e.put(s, vectors, g)
			e.drop(vectors, g)
			e.home[v] = home{inSlot, s}
		}
	}
	e.unpin()
	e.join()
	a.Bind(step)
	from := int32(0)
	if computed(l.nodes[usual].op) { // else there is nothing rare
		from = usual + 1
		for int(from) < len(l.nodes) && l.nodes[from].op == program.OpMerge { // written with their guard
			from++
		}
		e.body(0, from)
		e.inReg(usual)
		a.JumpIf(e.allLanes(usual), rare)
		e.unpin()
		e.kill(usual)
		e.flush()
	}
	here := e.save()
	main := a.Use(a.Section())
	a.Bind(rare)
	for _, s := range state {
		e.putState(s.input, rCur, s.slot*n.column())
	}
	a.MovRM(rRan, amd64.M(rFrame, frameRunLength))
	a.RR(amd64.Sub, rRan, rRun)
	n.advance(e, rRan, rCur)
	e.pauseAfter(rRan)
	n.spend(a)
	a.Jump(over)
	a.Use(main)
	e.restore(here)

	e.body(from, int32(len(l.nodes)))
	e.now = int32(len(l.nodes))
	e.inReg(test)
	a.JumpIf(e.allLanes(test), ended)
	e.unpin()
	here = e.save()

	main = a.Use(a.Section())
	a.Bind(ended)
	n.endedLanes(a, e, test)
	a.JumpIf(amd64.EQ, enter)
	for _, s := range state {
		e.putState(s.input, rOut, s.slot*n.column())
		e.putState(s.next, rCur, s.slot*n.column())
	}
	for _, k := range n.stages.Unmoved {
		at := (k - n.fixed) * n.column()
		for u := range e.v {
			e.load(0, amd64.M(rCur, int32(at+u*e.isa.bytes)))
			e.store(amd64.M(rOut, int32(at+u*e.isa.bytes)), 0)
		}
	}
	a.MovRM(rRan, amd64.M(rFrame, frameRunLength))
	a.RR(amd64.Sub, rRan, rRun)
	n.advance(e, rRan, rOut)
	a.RI(amd64.Add, rRan, 1)
	n.advance(e, rRan, rCur)
	n.spend(a)
	a.MovRM(rTemp, amd64.M(rFrame, frameRunLeft))
	a.RR(amd64.Sub, rTemp, rRan)
	a.MovMR(amd64.M(rFrame, frameRunLeft), rTemp)
	e.pauseAfter(rRan)
	n.emitEnded(a, e, rOut, rCur, enter)
	a.Use(main)

	e.restore(here)
	e.assignState(state)
	a.RI(amd64.Sub, rRun, 1)
	a.JumpIf(amd64.NE, step)
	for _, s := range state {
		e.putColumnBy(address{base: rCur, disp: int32(s.slot * n.column())}, s.input, s.group, s.group)
	}
	a.MovRM(rRan, amd64.M(rFrame, frameRunLength))
	n.advance(e, rRan, rCur)
	n.spend(a)
	a.Bind(over)
	return e
}

// pauseAfter lets the next visits try no run if one was short.
func (e *emitter) pauseAfter(steps amd64.Reg) {
	long := e.a.Label()
	e.a.RI(amd64.Cmp, steps, shortRun)
	e.a.JumpIf(amd64.GE, long)
	e.a.MovMI(amd64.M(rFrame, frameRunPause), pause)
	e.a.Bind(long)
}

// putState stores v as a column of the strip, wherever it is.
func (e *emitter) putState(v int32, base amd64.Reg, at int) {
	e.putColumn(address{base: base, disp: int32(at)}, v, e.inReg(v))
	e.unpin()
}

// spend takes the steps that a run has made from what the call may last. When nothing is left the sweep is the last.
func (n *native) spend(a *amd64.Asm) {
	left := a.Label()
	a.MovRM(rTemp, amd64.M(rFrame, frameRunBudget))
	a.RR(amd64.Sub, rTemp, rRan)
	a.MovMR(amd64.M(rFrame, frameRunBudget), rTemp)
	a.RI(amd64.Cmp, rTemp, 1)
	a.JumpIf(amd64.GE, left)
	a.MovRI(rSteps, 1)
	a.Bind(left)
}

// advance writes the strip's counters, as they are after so many steps of the run, to the
// columns at to. It uses vector registers 0 and 1, whatever they hold.
func (n *native) advance(e *emitter, steps, to amd64.Reg) {
	add := e.form(program.OpIAdd, false)
	for _, c := range n.stages.Counters {
		at := int32((c.Kept - n.fixed) * n.column())
		e.splat(0, steps)
		for u := range e.v {
			e.op(&add.Insn, 1, 0, amd64.M(rCur, at).Plus(u*e.isa.bytes))
			e.store(amd64.M(to, at).Plus(u*e.isa.bytes), 1)
		}
	}
}

// extreme is the greatest or the least of a strip's column of I64s. It uses vector registers 0 to 2,
// whatever they hold.
func (e *emitter) extreme(d amd64.Reg, column amd64.Arg, greatest bool) {
	fold := func(with amd64.Arg) { // register 0 with another vector
		switch {
		case e.isa.zmm && greatest:
			e.op(&amd64.MaxZ, 0, 0, with)
		case e.isa.zmm:
			e.op(&amd64.MinZ, 0, 0, with)
		default: // where it is greater, or where it is less
			e.load(1, with)
			x, y := uint8(1), uint8(0)
			if !greatest {
				x, y = y, x
			}
			e.op(&e.form(program.OpILt, false).first, 2, x, amd64.V(y))
			e.a.VEX4(&e.form(program.OpSelect, false).Insn, 0, 0, amd64.V(1), 2)
		}
	}
	e.load(0, column)
	for u := 1; u < e.v; u++ {
		fold(column.Plus(u * e.isa.bytes))
	}
	for k := e.isa.lanes() / 2; k > 0; k /= 2 {
		in := amd64.RotateZ
		if !e.isa.zmm {
			in = amd64.PermuteY
			k := int16(k)
			in.Imm = k | (k+1)&3<<2 | (k+2)&3<<4 | (k+3)&3<<6
		} else {
			in.Imm = int16(k)
		}
		e.op(&in, 1, 0, amd64.V(0))
		fold(amd64.V(1))
	}
	e.a.VEX(&amd64.ToReg, amd64.X, 0, 0, amd64.V(uint8(d)))
}

// assignState gives the moving slots, all at once, the values that they have after the step.
func (e *emitter) assignState(state []carried) {
	left := append([]carried(nil), state...)
	needed := func(group int, but int) bool {
		for k, s := range left {
			if k != but && int(e.reg[s.next]) == group {
				return true
			}
		}
		return false
	}
	for len(left) > 0 {
		n := len(left)
		for k := 0; k < len(left); {
			s := left[k]
			if needed(s.group, k) {
				k++
				continue
			}
			if g := int(e.reg[s.next]); g < 0 {
				e.fetch(s.next, s.group)
			} else if g != s.group {
				for u := range e.v {
					e.load(e.number(vectors, s.group, u), amd64.V(e.number(vectors, g, u)))
				}
			}
			left = append(left[:k], left[k+1:]...)
		}
		if len(left) == n { // a cycle: one goes through memory
			v := left[0].next
			h := home{inSlot, e.newSlot()}
			e.put(h.at, vectors, int(e.reg[v]))
			e.reg[v], e.home[v] = -1, h
		}
	}
}
