package main

import "invar/program"

// work counts the arithmetic operations that one call of f executes, each trip of
// its loops counted: instructions that only move data or mark places are left out.
func work(f *program.Func) (total float64) {
	for i, trips := range f.Trips() {
		switch f.Instrs[i].Op {
		case program.OpInput, program.OpConst, program.OpPhi, program.OpLoopOut, program.OpGuard, program.OpEndGuard,
			program.OpIndex, program.OpLoad, program.OpStore, program.OpLoop, program.OpEndLoop:
		default:
			total += trips
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
