package program

// Order returns f with the operations between two marks (of loops and guards) put into an order in which they wait
// less for each other: as written, but where an operation's operands are not ready yet, later ones
// that are go first. An engine that lets the processor do that over a short distance anyway gains where the distance is
// long.
//
// Latency is how many operations later an operation's result is ready. No more than live values of a stretch
// are kept waiting for their readers, so that registers suffice. The results keep their bits.
func Order(f *Func, latency func(Op) int, live int) *Func {
	g := *f
	g.Instrs = append([]Instr(nil), f.Instrs...)
	g.Out = append([]Value(nil), f.Out...)
	o := orderer{f: f, latency: latency, live: live, to: make([]Value, len(f.Instrs)), from: make([]int32, len(f.Instrs)), ready: make([]int, len(f.Instrs)), readers: make([]int32, len(f.Instrs))}
	for i := range f.Instrs {
		o.to[i], o.from[i] = Value(i), int32(i)
	}
	start := 0
	for i := 0; i <= len(f.Instrs); i++ {
		if i < len(f.Instrs) && !fixedPlace(f.Instrs[i].Op) {
			continue
		}
		o.stretch(start, i)
		start = i + 1
	}
	rename := func(v Value) Value {
		if v < 0 {
			return v
		}
		return o.to[v]
	}
	for at, i := range o.from {
		in := f.Instrs[i]
		in.A, in.B, in.C = rename(in.A), rename(in.B), rename(in.C)
		g.Instrs[at] = in
	}
	for k, v := range f.Out {
		g.Out[k] = rename(v)
	}
	return &g
}

// fixedPlace: the operation marks a block or belongs directly before or after one.
func fixedPlace(op Op) bool {
	switch op {
	case OpLoop, OpPhi, OpEndLoop, OpLoopOut, OpGuard, OpEndGuard, OpMerge:
		return true
	}
	return false
}

type orderer struct {
	f       *Func
	latency func(Op) int
	live    int
	to      []Value // new place of each instruction
	from    []int32 // which instruction stands at each place
	ready   []int   // time from which a value can be read
	readers []int32 // of each value, in its stretch, not yet placed
}

// lookahead is how many operations that were not chosen yet are looked at.
const lookahead = 64

// stretch orders instructions from..to-1.
func (o *orderer) stretch(from, to int) {
	if to-from < 3 {
		return
	}
	f := o.f
	args := func(i int, visit func(v int)) {
		in := &f.Instrs[i]
		for k := range in.Op.NumArgs() {
			if v := int(in.Arg(k)); v >= from && v < to {
				visit(v)
			}
		}
	}
	for i := from; i < to; i++ {
		args(i, func(v int) { o.readers[v]++ })
	}
	placed := make([]bool, to-from)
	waiting := make([]int, 0, lookahead)
	next, clock, alive := from, 0, 0
	for at := from; at < to; at++ {
		for len(waiting) < lookahead && next < to {
			waiting = append(waiting, next)
			next++
		}
		best, bestTime := 0, -1
		touched := uint64(0) // arrays (modulo 64) with an access that has to stay in front
		stored := uint64(0)
		for k, i := range waiting {
			in := &f.Instrs[i]
			ok, time := true, 0
			args(i, func(v int) {
				ok = ok && placed[v-from]
				time = max(time, o.ready[v])
			})
			if in.Op == OpLoad || in.Op == OpStore {
				bit := uint64(1) << (in.Imm & 63)
				if stored&bit != 0 || in.Op == OpStore && touched&bit != 0 {
					ok = false
				}
				touched |= bit
				if in.Op == OpStore {
					stored |= bit
				}
			}
			if !ok {
				continue
			}
			if bestTime < 0 || time < bestTime {
				best, bestTime = k, time
			}
			if time <= clock || alive >= o.live { // the first of those; when too much waits, the first of all
				break
			}
		}
		i := waiting[best]
		waiting = append(waiting[:best], waiting[best+1:]...)
		placed[i-from] = true
		o.to[i], o.from[at] = Value(at), int32(i)
		args(i, func(v int) {
			if o.readers[v]--; o.readers[v] == 0 {
				alive--
			}
		})
		if o.readers[i] > 0 {
			alive++
		}
		in := &f.Instrs[i]
		if in.Op != OpInput && in.Op != OpConst { // which take no time
			clock = max(clock, bestTime) + 1
			o.ready[i] = clock + o.latency(in.Op)
		}
	}
}
