package program

import "math"

// Eval runs f for one sample: bits in, bits out (a Bool is 0 or 1). It is the
// plainest reading of what a function means, slow, for tests and small work.
func (f *Func) Eval(in ...uint64) []uint64 {
	if len(in) != len(f.In) {
		fail("%s takes %d inputs, got %d", f.Name, len(f.In), len(in))
	}
	e := evaluator{f: f, in: in, end: ends(f, make([]int32, len(f.Instrs))), v: make([]uint64, len(f.Instrs)), counter: make([]int, len(f.Loops))}
	for _, array := range f.Arrays {
		a := make([]uint64, array.Len)
		for i := range a {
			a[i] = array.Type.Bits(math.NaN()) // garbage that shows
		}
		e.arrays = append(e.arrays, a)
	}
	e.run(0, len(f.Instrs))
	out := make([]uint64, len(f.Out))
	for i, v := range f.Out {
		out[i] = e.v[v]
	}
	return out
}

// EvalF64 is Eval for a function whose inputs and outputs are all F64 or F32. What enters an
// F32 is rounded to it.
func (f *Func) EvalF64(x ...float64) []float64 {
	in := make([]uint64, len(x))
	for i, v := range x {
		in[i] = f.In[i].Bits(v)
	}
	out := f.Eval(in...)
	y := make([]float64, len(out))
	for i, v := range out {
		y[i] = f.Instrs[f.Out[i]].Type.Float(v)
	}
	return y
}

type evaluator struct {
	f       *Func
	in, v   []uint64
	end     []int32
	counter []int
	arrays  [][]uint64
}

func (e *evaluator) run(from, to int) {
	f := e.f
	for i := from; i < to; i++ {
		in := &f.Instrs[i]
		switch in.Op {
		case OpInput:
			e.v[i] = e.in[in.Imm]
		case OpConst:
			e.v[i] = in.Imm
		case OpTable:
			t := f.Tables[in.Imm]
			e.v[i] = in.Type.Bits(t[e.v[in.A]&uint64(len(t)-1)])
		case OpIndex:
			e.v[i] = uint64(f.Affines[in.Imm].At(e.counter))
		case OpLoad:
			e.v[i] = e.arrays[in.Imm&0xffffffff][f.Affines[in.Imm>>32].At(e.counter)]
		case OpStore:
			e.arrays[in.Imm&0xffffffff][f.Affines[in.Imm>>32].At(e.counter)] = e.v[in.A]
		case OpLoop:
			e.loop(i, int(e.end[i]))
			i = int(e.end[i])
		case OpLoopOut:
			e.v[i] = e.v[in.A]
		case OpGuard:
			if e.v[in.A] == 0 {
				i = int(e.end[i])
			}
		case OpEndGuard:
		case OpMerge:
			e.v[i] = Apply(OpSelect, None, e.v[in.A], e.v[in.B], e.v[in.C])
		default:
			var a [3]uint64
			for k := range in.Op.NumArgs() {
				a[k] = e.v[in.Arg(k)]
			}
			e.v[i] = Apply(in.Op, f.Precision(in), a[0], a[1], a[2])
		}
	}
}

func (e *evaluator) loop(at, end int) {
	l := e.f.Loops[e.f.Instrs[at].Imm]
	first := at + 1
	last := first
	for ; e.f.Instrs[last].Op == OpPhi; last++ {
		e.v[last] = e.v[e.f.Instrs[last].A]
	}
	hi := l.Hi.At(e.counter)
	next := make([]uint64, last-first)
	for k := l.Lo.At(e.counter); k < hi; k++ {
		e.counter[e.f.Instrs[at].Imm] = k
		e.run(last, end)
		for p := range next {
			next[p] = e.v[e.f.Instrs[first+p].B]
		}
		copy(e.v[first:last], next)
	}
}
