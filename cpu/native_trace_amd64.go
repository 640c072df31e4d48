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
	iteration int     // column of the results
	columns   []int   // of the results, by Trace.Slots
	last      []int64 // [sample] iteration of the last row
}

// tracing is that of a batch with a trace; nil if native code cannot make it: the slots must be results, and the first
// iterate must come from a step.
func (x *nativeExecutable) tracing(b *program.Batch) *tracing {
	setup := &x.p.Setup.Instrs[x.p.Setup.Out[x.p.Iteration]]
	if x.stages.Ended || setup.Op != program.OpConst || int64(setup.Imm) >= 0 {
		return nil
	}
	t := &tracing{Trace: b.Trace, iteration: slices.Index(x.p.Results, x.p.Iteration)}
	if t.iteration < 0 {
		return nil
	}
	for _, s := range b.Trace.Slots {
		c := slices.Index(x.p.Results, s)
		if c < 0 {
			return nil
		}
		t.columns = append(t.columns, c)
	}
	t.last = make([]int64, b.N)
	for s := range t.last {
		t.last[s] = int64(setup.Imm)
	}
	clear(b.Trace.Len[:b.N])
	return t
}

// trace records the iterates that the next step of the running lanes makes.
func (w *lanes) trace(t *tracing) {
	x, width := w.x, w.x.width()
	moving := w.now()
	for s := range w.strips {
		for c := range x.columns() - 1 {
			var from []uint64
			if c < x.fixed {
				from = w.fixed[(s*x.fixedStrip()+c*x.column())/8:]
			} else {
				from = moving[(s*x.movingStrip()+(c-x.fixed)*x.column())/8:]
			}
			copy(w.ended[c*x.endedPitch()/8+s*width:][:width], from)
		}
	}
	w.mapColumns(x.final, x.cost[2], w.ended, w.results, w.strips*width)
	result := func(c int) []float64 { return floats(w.results[c*x.endedPitch()/8:]) }
	iteration := result(t.iteration)
	for s := range w.strips {
		for r := *w.running(s); r != 0; r &= r - 1 {
			l := bits.TrailingZeros64(r)
			sample := int(*w.slot(moving, x.columns()-1, s, l))
			i := s*width + l
			it := int64(iteration[i])
			if it == t.last[sample] {
				continue
			}
			t.last[sample] = it
			if it < 0 || it >= int64(t.Rows) {
				continue
			}
			row := t.Data[sample][int(it)*len(t.columns):]
			for k, c := range t.columns {
				row[k] = result(c)[i]
			}
			t.Len[sample] = max(t.Len[sample], int(it)+1)
		}
	}
}
