//go:build linux || darwin || windows

package cpu

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"invar/cpu/internal/amd64"
	"invar/internal/slab"
	"invar/program"
)

// frame is what a native call gets: addresses of its memory and counts. The code
// knows the fields by their offsets.
type frame struct {
	consts, scratch, tables uintptr
	in, out                 uintptr // columns, or the list of their addresses (calls that map columns to columns)
	offset                  int     // of the first strip in them, bytes
	strips                  int     // how many strips to work on
	cur, next, fixed        uintptr // the lanes' state: moving slots now and after the step, fixed slots
	steps                   int     // most steps
	runBudget               int     // most steps of all runs, in each of which a strip is stepped alone
	runLeft, runLength      int     // steps that are left to the runs of this visit, and those that the present one is to make
	runPause                int     // how many visits try no run
	all                     uint64  // a bit for each lane of a strip
	pool                    uintptr // samples that wait, a column a slot
	poolNext, poolCount     int     // the first that is still there, and how many there were
	poolLimit               int     // come back when this one is taken
	ended                   uintptr // samples that end with their next step, a column a slot
	endedCount              int
	active                  int // lanes that hold a running sample
	left                    int // operations until the call leaves at a point
	point                   int // where it has left, 0: it has come to its end
	kept                    [5]uintptr
	executed                int // operations, with emitOptions.count

	// A strip's fixed slots, its moving ones before the step and after it: of the strip at hand while the one that was
	// stepped before it is looked at, and of that one.
	stripIn, stripCur, stripOut uintptr
	lastIn, lastCur, lastOut    uintptr
}

const (
	frameConsts     = int32(unsafe.Offsetof(frame{}.consts))
	frameScratch    = int32(unsafe.Offsetof(frame{}.scratch))
	frameTables     = int32(unsafe.Offsetof(frame{}.tables))
	frameIn         = int32(unsafe.Offsetof(frame{}.in))
	frameOut        = int32(unsafe.Offsetof(frame{}.out))
	frameOffset     = int32(unsafe.Offsetof(frame{}.offset))
	frameStrips     = int32(unsafe.Offsetof(frame{}.strips))
	frameCur        = int32(unsafe.Offsetof(frame{}.cur))
	frameNext       = int32(unsafe.Offsetof(frame{}.next))
	frameFixed      = int32(unsafe.Offsetof(frame{}.fixed))
	frameStripIn    = int32(unsafe.Offsetof(frame{}.stripIn))
	frameStripCur   = int32(unsafe.Offsetof(frame{}.stripCur))
	frameStripOut   = int32(unsafe.Offsetof(frame{}.stripOut))
	frameLastIn     = int32(unsafe.Offsetof(frame{}.lastIn))
	frameLastCur    = int32(unsafe.Offsetof(frame{}.lastCur))
	frameLastOut    = int32(unsafe.Offsetof(frame{}.lastOut))
	frameSteps      = int32(unsafe.Offsetof(frame{}.steps))
	frameRunBudget  = int32(unsafe.Offsetof(frame{}.runBudget))
	frameRunPause   = int32(unsafe.Offsetof(frame{}.runPause))
	frameRunLeft    = int32(unsafe.Offsetof(frame{}.runLeft))
	frameRunLength  = int32(unsafe.Offsetof(frame{}.runLength))
	frameAll        = int32(unsafe.Offsetof(frame{}.all))
	framePool       = int32(unsafe.Offsetof(frame{}.pool))
	framePoolNext   = int32(unsafe.Offsetof(frame{}.poolNext))
	framePoolCount  = int32(unsafe.Offsetof(frame{}.poolCount))
	framePoolLimit  = int32(unsafe.Offsetof(frame{}.poolLimit))
	frameEnded      = int32(unsafe.Offsetof(frame{}.ended))
	frameEndedCount = int32(unsafe.Offsetof(frame{}.endedCount))
	frameActive     = int32(unsafe.Offsetof(frame{}.active))
	frameLeft       = int32(unsafe.Offsetof(frame{}.left))
	framePoint      = int32(unsafe.Offsetof(frame{}.point))
	frameKept0      = int32(unsafe.Offsetof(frame{}.kept))
	frameExecuted   = int32(unsafe.Offsetof(frame{}.executed))
)

// geometry is how a program's samples lie in memory.
//
// A strip is vectors*lanes samples that the code works on together. The state of a strip is a column a slot;
// the moving slots lie in two blocks, of which a step reads one and writes the other, the fixed ones, the
// sample's number and a word of bits, one a lane that runs, in a third.
// The pool of waiting samples and the list of ended ones are columns as well, a slot each and one for the number.
// Every value takes 8 bytes there: an F32 is the F64 of its value.
type geometry struct {
	isa           *isa
	vectors       int // in a strip
	strips        int // of a worker
	inputs        int // of the program
	fixed, moving int // slots
	results       int
	poolLen       int // samples in the pool, a multiple of a strip
}

func (g *geometry) width() int       { return g.vectors * g.isa.lanes() }
func (g *geometry) column() int      { return 8 * g.width() } // bytes of a strip's slot
func (g *geometry) fixedStrip() int  { return (g.fixed+1)*g.column() + 64 }
func (g *geometry) movingStrip() int { return g.moving * g.column() }
func (g *geometry) endedLen() int    { return g.poolLen + g.strips*g.width() }

// pitch is the distance of columns of n samples: a cache line more than they
// need, so that they do not compete for the same places of the cache.
func pitch(n int) int { return 8*n + 64 }

func (g *geometry) poolPitch() int  { return pitch(g.poolLen) }
func (g *geometry) endedPitch() int { return pitch(g.endedLen()) }
func (g *geometry) columns() int    { return g.fixed + g.moving + 1 }

// native is a program's machine code.
type native struct {
	geometry
	stages             *program.Stages
	setup, step, final int        // offsets of the functions
	runs               bool       // step has runs in it
	below, above       int        // scratch memory
	cost               [3]float64 // operations on vectors for a strip in setup, step, final; all of a call where there are points
	options            emitOptions
	consts             []uint64
	tables             []float64
	code               []byte
	text               []string // with emitOptions.list
}

// workspace is memory that emitProgram needs besides what it returns, and takes again for the next program.
type workspace struct {
	asm       amd64.Asm
	consts    map[uint64]int32
	nodes     slab.Of[node]
	numbers   slab.Of[int32]
	lists     slab.Of[[]int32]
	marks     slab.Of[bool]
	groups    slab.Of[int8]
	homes     slab.Of[home]
	addresses slab.Of[address]
}

var workspaces = sync.Pool{New: func() any { return &workspace{consts: map[uint64]int32{}} }}

// release gives w back.
func (w *workspace) release() {
	w.asm.Reset()
	clear(w.consts)
	w.nodes.Reset()
	w.numbers.Reset()
	w.lists.Reset()
	w.marks.Reset()
	w.groups.Reset()
	w.homes.Reset()
	w.addresses.Reset()
	workspaces.Put(w)
}

// emitOptions are for tests and measurements; the zero value chooses everything.
type emitOptions struct {
	vectors, strips int
	list            bool
	allRuns         bool // runs also where they do not pay
	allSpares       bool // constants in spare registers also outside of loops
	count           bool // the code counts the operations that it executes
	call            int  // operations of a call, for callOperations
}

// emitProgram writes the code of p.
func emitProgram(p *program.Program, isa *isa, o emitOptions) (n *native, err error) {
	defer limits(&err)
	w := workspaces.Get().(*workspace)
	defer w.release()
	st := p.Stage()
	if o.call == 0 {
		o.call = callOperations
	}
	n = &native{stages: st, options: o}
	n.geometry = geometry{isa: isa, inputs: len(p.In), fixed: st.Fixed, moving: len(st.Kept) - st.Fixed, results: len(p.Results)}
	n.makeRun(p)
	step := lower(w, st.Step, n.moving, isa.zmm, false)
	n.chooseStrips(step, o)
	// Measured: four vectors in turn hide the latencies better than any order.
	ordered := n.vectors < 4
	if ordered {
		step = lower(w, st.Step, n.moving, isa.zmm, true)
	}
	run := n.lowerRun(w, step, ordered, o.allRuns)
	n.runs = run != nil
	setup := lower(w, st.Setup, len(st.Setup.Out), isa.zmm, ordered)
	final := lower(w, reported(st.Final), len(st.Final.Out), isa.zmm, ordered)
	if most := callOperations / n.width(); n.columns() > most { // each may move when a sample ends
		return nil, limitError(fmt.Sprintf("%d slots, at most %d are allowed in native code", n.columns(), most))
	}
	if columns := max(n.inputs, n.results); columns*n.endedPitch() > maxScratch {
		return nil, limitError(fmt.Sprintf("%d inputs or results, at most %d are allowed in native code", columns, maxScratch/n.endedPitch()))
	}

	a := &w.asm
	a.List = o.list
	var starts [3]amd64.Label // of the functions
	consts := &constants{isa: isa, known: w.consts}
	for k, l := range []*lowered{setup, step, final} {
		s := a.Section()
		a.Use(s)
		starts[k] = a.Label()
		a.Bind(starts[k])
		var e *emitter
		if k == 1 {
			e = n.emitStep(a, consts, l, run)
		} else {
			e = n.emitMap(a, consts, l, k == 2)
		}
		n.below, n.above = max(n.below, e.below()), max(n.above, e.above())
		n.cost[k], starts[k] = e.operations(), e.entry(starts[k])
	}
	n.code = a.Code()
	n.text = a.Text
	n.setup, n.step, n.final = a.At(starts[0]), a.At(starts[1]), a.At(starts[2])
	n.consts = consts.bits
	n.tables = slices.Concat(consts.tables...)
	return n, nil
}

// reported is f with outputs that are F64s: numbers as a batch reports them.
func reported(f *program.Func) *program.Func {
	b := program.NewBuilder(f.Name)
	var in []program.Value
	for i, t := range f.In {
		in = append(in, b.Input(f.InNames[i], t))
	}
	out := b.Inline(f, in...)
	for i, v := range out {
		if b.Type(v) == program.I64 {
			out[i] = b.FromInt(v)
		}
	}
	return b.Finish(out...)
}

// chooseStrips chooses how many vectors make a strip and how many strips a worker has.
func (n *native) chooseStrips(step *lowered, o emitOptions) {
	// Measured: more vectors hide more latency until their values no longer fit the registers. What is outside of loops counts
	// little where there are such. In a loop trips wait for one another, but for memory where it works on arrays.
	p, masks, loops := step.pressure, step.masks, step.loops()
	if loops {
		p, masks = step.loopPressure, step.loopMasks
	}
	chained := loops && step.accesses == 0 && p <= 30
	switch {
	case !n.isa.zmm && chained:
		n.vectors, n.strips = 3, 3
	case !n.isa.zmm && p > 40 && !step.waits():
		n.vectors, n.strips = 1, 2
	case !n.isa.zmm:
		n.vectors, n.strips = 2, 4
	case p <= 11 && n.paysRun(5, step):
		n.vectors, n.strips = 5, 2
	case p <= 16 && !n.paysRun(4, step) && n.paysRun(3, step):
		n.vectors, n.strips = 3, 3
	case chained && masks <= 1: // of six mask registers, five vectors leave one for each
		n.vectors, n.strips = 5, 2
	case p <= 16 && masks <= 4: // three vectors leave two, four vectors one
		n.vectors, n.strips = 4, 2
	case p <= 40 && masks > 6: // two vectors leave three, which is what a line search needs
		n.vectors, n.strips = 2, 3
	case p <= 40, step.accesses > float64(len(step.nodes)): // in loops over arrays, which wait for memory
		n.vectors, n.strips = 3, 3
	case step.waits():
		n.vectors, n.strips = 2, 3
	default:
		n.vectors, n.strips = 1, 4
	}
	if o.vectors > 0 {
		n.vectors = o.vectors
	}
	if o.strips > 0 {
		n.strips = o.strips
	}
	w := n.width()
	n.poolLen = max(w, min(256, (128<<10)/(8*n.columns()))/w*w)
}

// columnsAt are n columns of memory, one behind the other.
func (w *workspace) columnsAt(base amd64.Reg, n, pitch int) []address {
	at := w.addresses.Make(n)
	for i := range at {
		at[i] = address{base: base, disp: int32(i * pitch)}
	}
	return at
}

// listedColumns are columns whose addresses are a list.
func (w *workspace) listedColumns(base amd64.Reg, n int) []address {
	at := w.columnsAt(base, n, 8)
	for i := range at {
		at[i].listed = true
	}
	return at
}

// emitMap writes a function of columns, strip by strip from those at frame.in to those at frame.out: setup, from a list of
// inputs to the pool, or final, from the ended samples to a list of results.
func (n *native) emitMap(a *amd64.Asm, consts *constants, l *lowered, final bool) *emitter {
	w := l.mem
	in, out, own := w.listedColumns(rIn, n.inputs), w.columnsAt(rOut, len(l.out), n.poolPitch()), rOut
	if final {
		in, out, own = w.columnsAt(rIn, n.columns()-1, n.endedPitch()), w.listedColumns(rOut, len(l.out)), rIn
	}
	e := newEmitter(a, n.isa, n.vectors, l, consts, in, out)
	e.choose(n.options)
	a.MovRM(rConsts, amd64.M(rFrame, frameConsts))
	a.MovRM(rScratch, amd64.M(rFrame, frameScratch))
	a.MovRM(rIn, amd64.M(rFrame, frameIn))
	a.MovRM(rOut, amd64.M(rFrame, frameOut))
	a.MovRM(rStrips, amd64.M(rFrame, frameStrips))
	a.MovRM(rOffset, amd64.M(rFrame, frameOffset))
	a.RR(amd64.Add, own, rOffset)
	strip := a.Label()
	a.Bind(strip)
	e.masksIn()
	e.whole()
	e.finish()
	a.RI(amd64.Add, own, int32(n.column()))
	a.RI(amd64.Add, rOffset, int32(n.column()))
	a.RI(amd64.Sub, rStrips, 1)
	a.JumpIf(amd64.NE, strip)
	a.Return()
	return e
}

// stateColumns are where the code of a step finds the slots of its strip.
func (n *native) stateColumns(w *workspace) []address {
	at := w.columnsAt(rIn, n.fixed+n.moving, n.column())
	copy(at[n.fixed:], w.columnsAt(rCur, n.moving, n.column()))
	return at
}

// emitStep writes the function that steps all strips, again and again. A sample
// that ends is moved to the list of ended ones as it was before the step, and a waiting one takes its lane.
//
// That happens when another strip has made its step, too: which lanes end is known last of all in a step, and a jump that waits
// for it, and that nobody can foresee, would hold up the step that follows. After a run (see emitRun) it
// happens at once, for samples that begin together end together there, and none would be left to take their lanes.
func (n *native) emitStep(a *amd64.Asm, consts *constants, l, run *lowered) *emitter {
	e := newEmitter(a, n.isa, n.vectors, l, consts, n.stateColumns(l.mem), l.mem.columnsAt(rOut, n.moving, n.column()))
	e.choose(n.options)
	a.MovRM(rConsts, amd64.M(rFrame, frameConsts))
	a.MovRM(rScratch, amd64.M(rFrame, frameScratch))
	a.MovRM(rCur, amd64.M(rFrame, frameCur))
	a.MovRM(rOut, amd64.M(rFrame, frameNext))
	a.MovRM(rSteps, amd64.M(rFrame, frameSteps))
	strip := []struct {
		reg       amd64.Reg
		now, last int32 // fields of the frame: the strip at hand, and the one before
		size      int
	}{
		{rCur, frameStripCur, frameLastCur, n.movingStrip()},
		{rOut, frameStripOut, frameLastOut, n.movingStrip()},
		{rIn, frameStripIn, frameLastIn, n.fixedStrip()},
	}
	late := run == nil
	if late { // before the first one there is none: it is looked at itself
		a.MovRM(rIn, amd64.M(rFrame, frameFixed))
		for _, s := range strip {
			a.MovMR(amd64.M(rFrame, s.last), s.reg)
		}
	}
	sweep, step, ended, next, done := a.Label(), a.Label(), a.Label(), a.Label(), a.Label()
	a.Bind(sweep)
	a.MovRM(rIn, amd64.M(rFrame, frameFixed))
	a.MovRM(rStrips, amd64.M(rFrame, frameStrips))
	a.Bind(step)
	if run != nil {
		r := n.emitRun(a, consts, run)
		n.below, n.above = max(n.below, r.below()), max(n.above, r.above())
	}
	e.masksIn()
	e.whole()
	e.finish()
	test := l.out[n.moving]
	e.inReg(test)
	before, look := a.Label(), a.Label()
	if late {
		n.endedLanes(a, e, test)
		a.MovMR(n.ended(), rLanes)
		for _, s := range strip {
			a.MovMR(amd64.M(rFrame, s.now), s.reg)
		}
		a.MI(amd64.Cmp, amd64.M(rFrame, frameStrips), 1) // there is no other one
		a.JumpIf(amd64.EQ, look)
		a.Bind(before)
		for _, s := range strip {
			a.MovRM(s.reg, amd64.M(rFrame, s.last))
		}
		a.Bind(look)
		a.MI(amd64.Cmp, n.ended(), 0)
		a.JumpIf(amd64.NE, ended)
		a.Bind(next)
		a.Test(rSteps)
		a.JumpIf(amd64.EQ, done)
		for _, s := range strip {
			a.MovRM(s.reg, amd64.M(rFrame, s.now))
			a.MovMR(amd64.M(rFrame, s.last), s.reg)
		}
	} else {
		a.JumpIf(e.allLanes(test), ended)
		a.Bind(next)
	}
	for _, s := range strip {
		a.RI(amd64.Add, s.reg, int32(s.size))
	}
	a.RI(amd64.Sub, rStrips, 1)
	a.JumpIf(amd64.NE, step)
	// What was written is the state now.
	a.MovRM(rCur, amd64.M(rFrame, frameNext))
	a.MovRM(rOut, amd64.M(rFrame, frameCur))
	a.MovMR(amd64.M(rFrame, frameCur), rCur)
	a.MovMR(amd64.M(rFrame, frameNext), rOut)
	a.RI(amd64.Sub, rSteps, 1)
	a.JumpIf(amd64.NE, sweep)
	if late { // the last one is left
		a.Jump(before)
	}
	a.Bind(done)
	a.Return()

	main := a.Use(a.Section())
	a.Bind(ended)
	if late {
		a.MovRM(rLanes, n.ended())
		a.MovMI(n.ended(), 0)
	} else {
		n.endedLanes(a, e, test)
		a.JumpIf(amd64.EQ, next)
	}
	n.emitEnded(a, e, rCur, rOut, next)
	a.Use(main)
	return e
}

// running is the word of the strip's lanes that run, ended that of those whose samples ended with the last step.
func (n *native) running() amd64.Arg { return amd64.M(rIn, int32((n.fixed+1)*n.column())) }
func (n *native) ended() amd64.Arg   { return n.running().Plus(8) }

const rLanes = amd64.RAX // a bit for each lane whose sample ends

// endedLanes sets rLanes to the running lanes for which test, which is in registers, is false.
func (n *native) endedLanes(a *amd64.Asm, e *emitter, test int32) {
	const x = amd64.R14
	k := ref{e, test, int(e.reg[test]), e.home[test]}
	for u := range n.vectors {
		d := rLanes
		if u > 0 {
			d = x
		}
		if n.isa.zmm {
			a.VEX(&amd64.KToReg, amd64.X, uint8(d), 0, amd64.V(k.k(u, kTemp)))
		} else {
			a.VEX(&amd64.SignsY, amd64.Y, uint8(d), 0, k.arg(u))
		}
		if u > 0 {
			a.Shl(d, uint8(u*n.isa.lanes()))
			a.RR(amd64.Or, rLanes, d)
		}
	}
	a.RI(amd64.Xor, rLanes, -1)
	a.RM(amd64.And, rLanes, n.running())
}

// emitEnded writes what happens to the lanes in rLanes, whose samples end. It goes lane by lane in
// general registers, for mostly there is one. The moving slots before the step stand at the register before, those after it
// at the register after.
func (n *native) emitEnded(a *amd64.Asm, e *emitter, before, after amd64.Reg, next amd64.Label) {
	const (
		lanes   = rLanes
		lane    = amd64.RCX
		count   = amd64.R12 // of ended samples
		waiting = amd64.R13
		x       = amd64.R14
	)
	a.MovRM(count, amd64.M(rFrame, frameEndedCount))
	a.MovRM(waiting, amd64.M(rFrame, framePoolNext))
	a.MovRM(rConsts, amd64.M(rFrame, frameEnded)) // for as long as this takes
	a.MovRM(rScratch, amd64.M(rFrame, framePool))
	each, idle, refilled := a.Label(), a.Label(), a.Label()
	// column is slot c of the lane, moving slots at the given register.
	column := func(c int, moving amd64.Reg) amd64.Arg {
		base, at := rIn, c
		switch {
		case c == n.columns()-1: // the sample's number
			at = n.fixed
		case c >= n.fixed:
			base, at = moving, c-n.fixed
		}
		return amd64.MX(base, lane, 8, int32(at*n.column()))
	}
	// A whole strip that ends in one step is exchanged by vectors.
	a.RM(amd64.Cmp, lanes, amd64.M(rFrame, frameAll))
	a.JumpIf(amd64.NE, each)
	a.MovRM(x, amd64.M(rFrame, framePoolCount))
	a.RR(amd64.Sub, x, waiting)
	a.RI(amd64.Cmp, x, int32(n.width()))
	a.JumpIf(amd64.LT, each)
	a.RR(amd64.Xor, lane, lane) // the first
	exchanged := a.Label()
	for c := range n.columns() {
		for u := range n.vectors {
			d := u * n.isa.bytes
			e.load(0, column(c, before).Plus(d))
			e.store(amd64.MX(rConsts, count, 8, int32(c*n.endedPitch()+d)), 0)
			e.load(1, amd64.MX(rScratch, waiting, 8, int32(c*n.poolPitch()+d)))
			e.store(column(c, after).Plus(d), 1)
		}
	}
	a.RI(amd64.Add, count, int32(n.width()))
	a.RI(amd64.Add, waiting, int32(n.width()))
	a.Jump(exchanged)

	a.Bind(each)
	a.TrailingZeros(lane, lanes)
	for c := range n.columns() {
		a.MovRM(x, column(c, before))
		a.MovMR(amd64.MX(rConsts, count, 8, int32(c*n.endedPitch())), x)
	}
	a.RI(amd64.Add, count, 1)
	a.RM(amd64.Cmp, waiting, amd64.M(rFrame, framePoolCount))
	a.JumpIf(amd64.GE, idle)
	for c := range n.columns() {
		a.MovRM(x, amd64.MX(rScratch, waiting, 8, int32(c*n.poolPitch())))
		a.MovMR(column(c, after), x)
	}
	a.RI(amd64.Add, waiting, 1)
	a.Bind(refilled)
	a.ClearLowest(lanes, lanes)
	a.JumpIf(amd64.NE, each)
	a.Bind(exchanged)
	a.MovMR(amd64.M(rFrame, frameEndedCount), count)
	a.MovMR(amd64.M(rFrame, framePoolNext), waiting)
	a.MovRM(rConsts, amd64.M(rFrame, frameConsts))
	a.MovRM(rScratch, amd64.M(rFrame, frameScratch))
	last := a.Label()
	a.RM(amd64.Cmp, waiting, amd64.M(rFrame, framePoolLimit))
	a.JumpIf(amd64.GE, last)
	a.MI(amd64.Cmp, amd64.M(rFrame, frameActive), 0)
	a.JumpIf(amd64.NE, next)
	a.Bind(last) // this sweep's steps are the last ones, if it makes any
	a.RI(amd64.Cmp, rSteps, 1)
	a.JumpIf(amd64.LT, next)
	a.MovRI(rSteps, 1)
	a.Jump(next)

	a.Bind(idle)
	a.MovRM(x, n.running())
	a.ClearBit(x, lane)
	a.MovMR(n.running(), x)
	a.MI(amd64.Sub, amd64.M(rFrame, frameActive), 1)
	a.Jump(refilled)
}

// constantMemory lays the constants out as the code expects them.
func (n *native) constantMemory() []uint64 {
	repeat := 1
	if !n.isa.zmm {
		repeat = n.isa.lanes()
	}
	m := make([]uint64, 0, repeat*len(n.consts))
	for _, c := range n.consts {
		for range repeat {
			m = append(m, c)
		}
	}
	return m
}

// budget is how many strip-steps (or mapped strips) of the given cost a call may take.
func (n *native) budget(cost float64) int {
	const around = 10 // a vector's operations that it costs to go on to the next strip
	return int(max(1, float64(n.options.call)/(cost+around*float64(n.vectors))))
}
