//go:build linux || darwin || windows

package cpu

import (
	"invar/cpu/internal/amd64"
	"invar/program"
)

// A call into machine code cannot be interrupted, so each ends by itself, after so few operations that neither garbage
// collection nor an ending context waits for it. Calls make few steps where steps are long. Where one step may be longer than a
// call, its code has points at which it leaves when the call's operations are spent, and comes back to in the next
// call: at the ends of the trips of long loops, and after every stretch of straight code. All values have gone to memory there, so that
// the general registers and the point's number are all that has to be kept.
//
// What is counted are operations of the program on one vector, blocks of guards being entered. BenchmarkNativeCalls measures how
// long the slowest take.

// callOperations is how many operations a call makes before it ends: outside of runs, and as many in runs. What it is over that is
// short: what lies between the last points of loops in one another, and the moves of samples that end.
const callOperations = 100_000

// stretch is how many operations may lie between two points. The steps of code without a point are shorter.
func (o *emitOptions) stretch() float64 { return float64(o.call) / 8 }

// limitError says why a program cannot be machine code, though it is right.
type limitError string

func (e limitError) Error() string { return string(e) }

// limits turns the panic of an emitter that has come to a limit into an error. Other panics are faults of the emitter.
func limits(err *error) {
	switch r := recover().(type) {
	case nil:
	case limitError:
		*err = r
	default:
		panic(r)
	}
}

// keptRegs are the registers that a call takes along from one point to the next.
var keptRegs = [len(frame{}.kept)]amd64.Reg{rCur, rOut, rIn, rSteps, rStrips}

func frameKept(k int) amd64.Arg { return amd64.M(rFrame, frameKept0+int32(8*k)) }

// point writes a place at which the call may end, after so many operations since the last one. No value is in a
// register.
func (e *emitter) point(operations float64) {
	a := e.a
	if len(e.points) == 0 {
		e.leave = a.Label()
	}
	away, back := a.Label(), a.Label()
	e.points = append(e.points, back)
	a.MI(amd64.Sub, amd64.M(rFrame, frameLeft), e.word(int(operations)))
	a.JumpIf(amd64.LT, away)
	a.Bind(back)
	main := a.Use(a.Section())
	a.Bind(away)
	a.MovMI(amd64.M(rFrame, framePoint), int32(len(e.points)))
	a.Jump(e.leave)
	a.Use(main)
}

// cut writes a point into straight code, in front of position at.
func (e *emitter) cut(at int32) {
	e.allHome(at - 1)
	e.clearRegs()
	e.join()
	e.point(e.since)
	e.since = 0
}

// afterTrip counts the trips of a loop at their end, where those before it have made so many operations since the last point.
func (e *emitter) afterTrip(lp program.Loop, before float64) {
	if all := e.mostTrips(lp) * e.since; all < e.options.stretch() {
		e.since = before + all
		return
	}
	e.point(e.since)
	e.since = before
}

// mostTrips bounds the trips of a loop, whatever the counters of those around it.
func (e *emitter) mostTrips(lp program.Loop) float64 {
	_, most := e.bounds(lp.Hi.Add(lp.Lo.Times(-1)))
	return max(0, most)
}

// bounds are the least and the greatest value of an index expression.
func (e *emitter) bounds(a program.Affine) (least, most float64) {
	least, most = float64(a.Const), float64(a.Const)
	for _, t := range a.Terms {
		x, y := float64(t.Coef)*e.counts[t.Loop][0], float64(t.Coef)*e.counts[t.Loop][1]
		least, most = least+min(x, y), most+max(x, y)
	}
	return least, most
}

// enterLoop notes which values the counter has.
func (e *emitter) enterLoop(id int, lp program.Loop) {
	least, _ := e.bounds(lp.Lo)
	_, most := e.bounds(lp.Hi)
	e.counts[id] = [2]float64{least, max(least, most-1)}
}

// entry writes what begins a call of a function that has points, and returns its label: where the last
// call left, or else at start.
func (e *emitter) entry(start amd64.Label) amd64.Label {
	a := e.a
	if len(e.points) == 0 {
		return start
	}
	entry := a.Label()
	main := a.Use(a.Section())
	a.Bind(entry)
	a.MovRM(rTemp, amd64.M(rFrame, framePoint))
	a.RI(amd64.Cmp, rTemp, 0)
	a.JumpIf(amd64.EQ, start)
	a.MovMI(amd64.M(rFrame, framePoint), 0)
	a.MovRM(rConsts, amd64.M(rFrame, frameConsts))
	a.MovRM(rScratch, amd64.M(rFrame, frameScratch))
	for k, r := range keptRegs {
		a.MovRM(r, frameKept(k))
	}
	last := len(e.points) - 1
	for k, back := range e.points[:last] {
		a.RI(amd64.Cmp, rTemp, int32(k+1))
		a.JumpIf(amd64.EQ, back)
	}
	a.Jump(e.points[last])

	a.Use(a.Section())
	a.Bind(e.leave)
	for k, r := range keptRegs {
		a.MovMR(frameKept(k), r)
	}
	a.Return()
	a.Use(main)
	return entry
}

// whole writes all instructions.
func (e *emitter) whole() {
	n := int32(len(e.nodes))
	e.body(0, n)
	if len(e.points) > 0 || e.since >= e.options.stretch() {
		e.now = n
		e.cut(n)
	}
}

// operations is how many of them a strip takes.
func (e *emitter) operations() float64 {
	if len(e.points) > 0 {
		return float64(e.options.call)
	}
	return e.since
}

// counted counts the operation that is written next.
func (e *emitter) counted() {
	e.since += float64(e.v)
	if e.options.count {
		e.a.MI(amd64.Add, amd64.M(rFrame, frameExecuted), int32(e.v))
	}
}
