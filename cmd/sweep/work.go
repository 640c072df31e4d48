package main

import "invar/program"

// work counts the operations that one call of f executes, each trip of its loops and the blocks of its guards.
func work(f *program.Func) float64 { return f.Count(true, program.Op.Computes) }

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
