package batch

import (
	"math"

	"invar/graph"
	"invar/internal/linalg"
)

// The physical gradient step with the inverse found numerically: a damped
// Gauss-Newton solve of P(x') = y + dy that starts at x. Each of its evaluations
// is a trial of its own, so samples do not wait for each other.
var pgNumeric = Method{
	Name: "pg-numeric",
	Doc:  "dy = -lr H_L^-1 dL/dy;  x <- P^-1(y + dy; x), solved numerically from x",
	Source: "Holl, Koltun, Thuerey, Scale-invariant learning by physics inversion, arXiv 2109.15048; inner solve: Deuflhard, Newton Methods for " +
		"Nonlinear Problems, 2004, section 3.1 (residual-halving damping)",
	Settings: []Setting{lr(1), rcond,
		{Name: "inner", Default: 40, Min: 1, Max: evaluationsPerIteration - 4, Integer: true, Doc: "most evaluations of one inner solve"},
		{Name: "tol", Default: 1e-14, Min: 0, Max: 1, Doc: "the inner solve ends when its step, or its residual, is below tol relative to x, or to y; at least 4 eps"}},
	Want: graph.Y | graph.Jac | graph.GradY | graph.HessY,
	Step: func(s *Step) {
		var (
			target = s.StateVec("target", s.M, 0)     // y + dy of the outer step
			base   = s.StateVec("base", s.N, 0)       // best point of the inner solve
			dir    = s.StateVec("step", s.N, 0)       // Gauss-Newton step from it
			best   = s.State("residual", math.Inf(1)) // residual there
			size   = s.State("damping", 1)            // the trial is base + size * step
			count  = s.State("inner", 0)              // evaluations used
			flat   = s.State("flat", 0)               // 1: to first order no step from base lowers the residual
			last   = s.State("last", 0)               // 1: this trial ends the inner solve whatever it gives; 2: as a least-squares solution
			tol    = s.F(max(s.Number("tol"), 4*s.Eps()))
			zero   = s.F(0)
			one    = s.F(1)
			ending = s.Ne(last.Get(), zero)
		)
		residual := s.minus(Get(target), s.Y)
		norm := s.norm(residual)
		better := s.And(s.Lt(norm, best.Get()), s.AllFinite(s.Y...))

		// Done: the residual is at rounding, or the step that led here was.
		exact := s.Le(norm, s.Mul(tol, s.norm(Get(target))))
		stepNorm := s.Mul(size.Get(), s.norm(Get(dir)))
		tiny := s.And(s.Le(stepNorm, s.Mul(tol, s.norm(s.X))), better)
		done := s.Accept(s.Or(exact, tiny, ending))

		// Outer step, from an accepted point: a new target; the inner solve starts here.
		newTarget := s.plus(s.Y, newtonStepY(s))
		// Inner step from a better point, or from the new start: towards the target.
		goal := s.selects(done, newTarget, Get(target))
		r := s.minus(goal, s.Y)
		d, deficient := linalg.LeastSquares(s.Builder, s.Jac, r, s.rcond())
		s.Fallback(s.Or(deficient, s.Eq(last.Get(), one))) // counted where the outer step is taken
		fresh := s.Or(done, better)
		// The full step lowers |r|^2 by |J d|^2; below the rounding errors of |r|^2, a
		// few ulp, there is nothing to gain.
		level := s.Le(s.norm(linalg.MatVec(s.Builder, s.Jac, d)), s.Mul(s.F(4*math.Sqrt(s.Eps())), s.norm(r)))
		newFlat := s.Select(fresh, s.Select(level, one, zero), flat.Get())

		newBase := s.selects(fresh, s.X, Get(base))
		newDir := s.selects(fresh, d, Get(dir))
		newSize := s.Select(fresh, one, s.Mul(size.Get(), s.F(0.5)))
		newCount := s.Select(done, zero, s.Add(count.Get(), one))
		// Stop refining when the budget is used, or no step from the best point leads
		// further: then go back to that point and accept it.
		spent := s.And(s.Not(done), s.Ge(newCount, s.Setting("inner")))
		least := s.And(s.Not(fresh), s.Ne(newFlat, zero))
		stuck := s.And(s.Not(fresh), s.Le(stepNorm, s.Mul(tol, s.norm(newBase))))
		back := s.Or(spent, least, stuck)

		Set(target, goal)
		Set(base, newBase)
		Set(dir, newDir)
		best.Set(s.Select(fresh, s.norm(r), best.Get()))
		size.Set(newSize)
		count.Set(newCount)
		flat.Set(newFlat)
		last.Set(s.Select(least, s.F(2), s.Select(back, one, zero)))
		s.MoveTo(s.selects(back, newBase, s.plus(newBase, s.scaled(newSize, newDir))))
		// An inner solve that never left the iterate cannot take the step asked for.
		same := s.B(true)
		for i := range newBase {
			same = s.And(same, s.Eq(newBase[i], s.Last[i]))
		}
		s.Fail(s.And(back, s.Not(done), same), LineSearchFailed)
		s.Fail(s.And(least, same), StepTooSmall)
	},
}
