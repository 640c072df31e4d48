package batch

import (
	"fmt"

	"invar/internal/linalg"
)

// L-BFGS: the last few pairs of steps and gradient differences, kept for each sample.
var lbfgs = Method{
	Name:   "lbfgs",
	Doc:    "as bfgs, with the last `memory` pairs in place of the matrix (two-loop recursion); strong Wolfe line search",
	Source: "Nocedal, Updating quasi-Newton matrices with limited storage, 1980; Nocedal, Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 7.5",
	Settings: append(wolfe(0.9),
		Setting{Name: "memory", Default: 5, Min: 1, Max: 20, Integer: true, Doc: "pairs kept"}),
	Step: func(s *Step) {
		l := newLineSearch(s)
		accepted := l.accepted()
		n, memory := s.N, int(s.Number("memory"))
		zero, one := s.F(0), s.F(1)
		gOld := s.StateVec("gradient", n, 0)
		// Pair 0 is the newest. A pair with rho 0 is not there yet.
		type pair struct {
			dx, dg []*Var
			rho    *Var
		}
		kept := make([]pair, memory)
		for k := range kept {
			kept[k] = pair{s.StateVec(fmt.Sprintf("dx%d.", k), n, 0), s.StateVec(fmt.Sprintf("dg%d.", k), n, 0), s.State(fmt.Sprintf("rho%d", k), 0)}
		}
		dx, dg := s.minus(s.X, s.Last), s.minus(s.Grad, Get(gOld))
		curvature := s.dot(dx, dg)
		rho := s.Div(one, curvature)
		usable := s.And(accepted, s.Gt(rho, zero), s.IsFinite(rho), s.Not(s.First))

		// The memory after this iterate: shifted by one where the new pair is usable.
		type values struct {
			dx, dg []Value
			rho    Value
		}
		now := make([]values, memory)
		for k := range now {
			older := values{dx, dg, rho}
			if k > 0 {
				older = values{Get(kept[k-1].dx), Get(kept[k-1].dg), kept[k-1].rho.Get()}
			}
			now[k] = values{
				s.selects(usable, older.dx, Get(kept[k].dx)),
				s.selects(usable, older.dg, Get(kept[k].dg)),
				s.Select(usable, older.rho, kept[k].rho.Get()),
			}
		}
		// Two-loop recursion. A missing pair's rho is 0 and its vectors are finite: it
		// changes nothing.
		q := s.Grad
		alpha := make([]Value, memory)
		for k := 0; k < memory; k++ {
			alpha[k] = s.Mul(now[k].rho, s.dot(now[k].dx, q))
			q = s.minus(q, s.scaled(alpha[k], now[k].dg))
		}
		empty := s.Eq(now[0].rho, zero)
		gamma := s.Select(empty, one, s.Div(one, s.Mul(now[0].rho, s.dot(now[0].dg, now[0].dg))))
		d := s.scaled(gamma, q)
		for k := memory - 1; k >= 0; k-- {
			beta := s.Mul(now[k].rho, s.dot(now[k].dg, d))
			d = s.plus(d, s.scaled(s.Sub(alpha[k], beta), now[k].dx))
		}
		d = linalg.Neg(s.Builder, d)
		// What is not finite has no finite slope.
		slope := s.dot(d, s.Grad)
		descends := s.And(s.Lt(slope, zero), s.IsFinite(slope))
		d = s.selects(descends, d, linalg.Neg(s.Builder, s.Grad))
		slope = s.Select(descends, slope, s.Neg(s.dot(s.Grad, s.Grad)))
		s.Fallback(s.Or(s.Not(descends), s.And(s.Not(usable), s.Not(s.First))))

		// Where the direction does not descend the memory is forgotten.
		forget := s.And(accepted, s.Not(descends))
		for k := range kept {
			Set(kept[k].dx, now[k].dx)
			Set(kept[k].dg, now[k].dg)
			kept[k].rho.Set(s.Select(forget, zero, now[k].rho))
		}
		for i := 0; i < n; i++ {
			s.SetIf(accepted, gOld[i], s.Grad[i])
		}
		l.proceed(accepted, d, slope, s.firstStep(s.Or(empty, s.Not(descends))))
	},
}
