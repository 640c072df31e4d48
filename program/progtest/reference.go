package progtest

import (
	"math"

	"invar/program"
)

// Reference runs p over b by Func.Eval: what every engine must give.
func Reference(p *program.Program, b *program.Batch) {
	for s := range b.N {
		in := make([]uint64, len(b.In))
		for k := range in {
			in[k] = math.Float64bits(b.In[k][s])
		}
		state := p.Setup.Eval(in...)
		iteration := int64(-1)
		if b.Trace != nil {
			b.Trace.Len[s] = 0
		}
		trace := func() {
			it := int64(state[p.Iteration])
			if t := b.Trace; t != nil && it != iteration && it >= 0 && it < int64(t.Rows) {
				for k, slot := range t.Slots {
					t.Data[s][int(it)*len(t.Slots)+k] = p.Number(slot, state[slot])
				}
				t.Len[s] = max(t.Len[s], int(it)+1)
			}
			iteration = it
		}
		trace()
		for state[p.Status] == 0 {
			next := p.Step.Eval(state...)
			k := 0
			for i := range state {
				if !p.Slots[i].Fixed {
					state[i] = next[k]
					k++
				}
			}
			trace()
		}
		for k, slot := range p.Results {
			b.Out[k][s] = p.Number(slot, state[slot])
		}
	}
}
