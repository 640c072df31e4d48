package main

import "invar/program"

// work counts the arithmetic operations that one call of f executes, each trip of
// its loops counted: instructions that only move data or mark places are left out. The bounds
// of inner loops are taken at the middle of the outer ones.
func work(f *program.Func) float64 {
	total, times := 0.0, []float64{1}
	middle := make([]int, len(f.Loops))
	for i := range f.Instrs {
		in := &f.Instrs[i]
		switch in.Op {
		case program.OpInput, program.OpConst, program.OpPhi, program.OpLoopOut, program.OpGuard, program.OpEndGuard,
			program.OpIndex, program.OpLoad, program.OpStore:
		case program.OpLoop:
			l := f.Loops[in.Imm]
			lo, hi := l.Lo.At(middle), l.Hi.At(middle)
			middle[in.Imm] = (lo + hi) / 2
			times = append(times, times[len(times)-1]*float64(max(0, hi-lo)))
		case program.OpEndLoop:
			times = times[:len(times)-1]
		default:
			total += times[len(times)-1]
		}
	}
	return total
}

// oneEvaluation reports whether each evaluation of the problem is an iteration: the
// method has no trials that it may reject, and counts on each step.
func oneEvaluation(p *program.Program) bool {
	at := 0
	for i := 0; i < p.Iteration; i++ {
		if !p.Slots[i].Fixed {
			at++
		}
	}
	next := &p.Step.Instrs[p.Step.Out[at]]
	return next.Op == program.OpIAdd && (p.Step.Instrs[next.A].Op == program.OpConst || p.Step.Instrs[next.B].Op == program.OpConst)
}
