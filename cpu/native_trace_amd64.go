//go:build linux || darwin || windows

package cpu

import (
	"math/bits"
	"slices"

	"invar/program"
)

// tracing records the iterates of a batch's samples.
//
// What a step makes of the slots that are only reported is not in the lanes' state, and nothing is known of them before a
// sample ends but what the final function says: it is asked before each step, for all lanes.
type tracing struct {
	*program.Trace
	state     []int   // columns of the lanes' state that the final function looks at
	iteration int     // where its column begins in lanes.results
	columns   []int   // where the columns of Trace.Slots begin there
	last      []int64 // [sample] iteration of the last row
}

// tracing is that of a batch with a trace; nil if native code cannot make it: the slots must be results, and the first
// iterate must come from a step.
func (x *nativeExecutable) tracing(b *program.Batch) *tracing {
	setup := &x.p.Setup.Instrs[x.p.Setup.Out[x.p.Iteration]]
	if x.stages.Ended || setup.Op != program.OpConst || int64(setup.Imm) >= 0 {
		return nil
	}
	pitch := x.endedPitch() / 8
	t := &tracing{Trace: b.Trace, iteration: slices.Index(x.p.Results, x.p.Iteration) * pitch}
	if t.iteration < 0 {
		return nil
	}
	for _, s := range b.Trace.Slots {
		c := slices.Index(x.p.Results, s)
		if c < 0 {
			return nil
		}
		t.columns = append(t.columns, c*pitch)
	}
	for i := range x.stages.Final.Instrs {
		if in := &x.stages.Final.Instrs[i]; in.Op == program.OpInput {
			t.state = append(t.state, int(in.Imm))
		}
	}
	t.last = make([]int64, b.N)
	for s := range t.last {
		t.last[s] = int64(setup.Imm)
	}
	clear(b.Trace.Len[:b.N])
	return t
}

// trace records the iterates that the next step of the running lanes makes. It reports whether the context left time
// for it.
func (w *lanes) trace(t *tracing) bool {
	x, width, pitch := w.x, w.x.width(), w.x.endedPitch()/8
	moving, fixedStrip, movingStrip := w.now(), x.fixedStrip()/8, x.movingStrip()/8
	for _, c := range t.state {
		to := w.ended[c*pitch:]
		from, at, strip := w.fixed, c*width, fixedStrip
		if c >= x.fixed {
			from, at, strip = moving, (c-x.fixed)*width, movingStrip
		}
		for s := range w.strips {
			copy(to[s*width:(s+1)*width], from[at+s*strip:])
		}
	}
	if !w.report(0, w.strips*width) {
		return false
	}
	for s := range w.strips {
		t.record(*w.running(s), w.fixed[s*fixedStrip+x.fixed*width:][:width], floats(w.results[s*width:]))
	}
	return true
}

// record takes rows from the columns of results, for the running lanes of a strip with samples of the given numbers. It is apart from
// trace because the compiler then has registers enough for it.
//
//go:noinline
func (t *tracing) record(running uint64, number []uint64, results []float64) {
	iteration := results[t.iteration:]
	for r := running; r != 0; r &= r - 1 {
		l := bits.TrailingZeros64(r)
		sample, it := number[l], int64(iteration[l])
		if it == t.last[sample] {
			continue
		}
		t.last[sample] = it
		if it < 0 || it >= int64(t.Rows) {
			continue
		}
		row := t.Data[sample][int(it)*len(t.columns):]
		for k, c := range t.columns {
			row[k] = results[c+l]
		}
		t.Len[sample] = max(t.Len[sample], int(it)+1)
	}
}
