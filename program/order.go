package program

import "math"

// Order returns f with the operations between two marks (of loops and guards) put into an order in which they wait
// less for each other: as written, but where an operation's operands are not ready yet, later ones
// that are go first. An engine that lets the processor do that over a short distance anyway gains where the distance is
// long.
//
// Latency is how many operations later an operation's result is ready. No more than live values of a stretch
// are kept waiting for their readers, so that registers suffice. The results keep their bits.
func Order(f *Func, latency func(Op) int, live int) *Func {
	mem := newWorkspace()
	defer mem.release()
	n := len(f.Instrs)
	g := *f
	g.Instrs, g.Out = make([]Instr, n), make([]Value, len(f.Out))
	o := orderer{
		f: f, latency: latency, live: live, to: mem.values.Make(n), from: mem.places.Make(n),
		args: mem.places.Make(3 * (n + 1)), ready: mem.places.Make(n + 1), readers: mem.places.Make(n + 1),
	}
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

	// Of the stretch at hand, by the position in it plus 1; 0 stands for all that lies outside.
	args    []int32 // three of each
	ready   []int32 // time from which a value can be read, never: it is not placed
	readers []int32 // not yet placed
	waiting [lookahead]int32
}

const never = math.MaxInt32

// lookahead is how many operations that were not chosen yet are looked at.
const lookahead = 64

// argsOf are the operands of the k-th of the stretch, 0 those that it has not.
func (o *orderer) argsOf(k int) []int32 { return o.args[3*k : 3*k+3 : 3*k+3] }

// stretch orders instructions from..to-1.
func (o *orderer) stretch(from, to int) {
	if to-from < 3 {
		return
	}
	f := o.f
	clear(o.readers[:to-from+1])
	for i := from; i < to; i++ {
		in := &f.Instrs[i]
		args := o.argsOf(i - from + 1)
		clear(args)
		for k := range in.Op.NumArgs() {
			args[k] = max(int32(in.Arg(k))-int32(from)+1, 0)
			o.readers[args[k]]++
		}
		o.ready[i-from+1] = never
	}
	o.readers[0] = -1 // it is never alive
	waiting := o.waiting[:0]
	next, clock, alive := int32(from), int32(0), 0
	for at := from; at < to; at++ {
		for len(waiting) < lookahead && int(next) < to {
			waiting = append(waiting, next)
			next++
		}
		best, bestTime := 0, int32(never)
		touched := uint64(0) // arrays (modulo 64) with an access that has to stay in front
		stored := uint64(0)
		for k, i := range waiting {
			in, a := &f.Instrs[i], o.argsOf(int(i)-from+1)
			time := max(o.ready[a[0]], o.ready[a[1]], o.ready[a[2]])
			if in.Op == OpLoad || in.Op == OpStore {
				bit := uint64(1) << (in.Imm & 63)
				if stored&bit != 0 || in.Op == OpStore && touched&bit != 0 {
					time = never
				}
				touched |= bit
				if in.Op == OpStore {
					stored |= bit
				}
			}
			if time == never {
				continue
			}
			if time < bestTime {
				best, bestTime = k, time
			}
			if time <= clock || alive >= o.live { // the first of those; when too much waits, the first of all
				break
			}
		}
		i := waiting[best]
		waiting = append(waiting[:best], waiting[best+1:]...)
		o.to[i], o.from[at] = Value(at), i
		k := int(i) - from + 1
		for _, a := range o.argsOf(k) {
			if o.readers[a]--; o.readers[a] == 0 {
				alive--
			}
		}
		if o.readers[k] > 0 {
			alive++
		}
		o.ready[k] = 0
		in := &f.Instrs[i]
		if in.Op != OpInput && in.Op != OpConst { // which take no time
			clock = max(clock, bestTime) + 1
			o.ready[k] = clock + int32(o.latency(in.Op))
		}
	}
}
