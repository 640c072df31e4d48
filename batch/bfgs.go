package batch

import "invar/internal/linalg"

// BFGS with the inverse Hessian kept for each sample.
var bfgs = Method{
	Name:     "bfgs",
	Doc:      "direction -B dL/dx, B the BFGS approximation of H^-1; strong Wolfe line search",
	Source:   "Nocedal, Wright, Numerical Optimization, 2nd ed., algorithm 6.1, first B scaled by (6.20)",
	Settings: wolfe(0.9),
	Step: func(s *Step) {
		l := newLineSearch(s)
		accepted := l.accepted()
		n := s.N
		gOld := s.StateVec("gradient", n, 0)
		// The symmetric B, row by row up to the diagonal.
		kept := s.StateVec("B", n*(n+1)/2, 0)
		at := func(i, j int) int {
			if j > i {
				i, j = j, i
			}
			return i*(i+1)/2 + j
		}
		scaledYet := s.State("updates", 0)
		zero, one := s.F(0), s.F(1)

		dx, dg := s.minus(s.X, s.Last), s.minus(s.Grad, Get(gOld))
		curvature := s.dot(dx, dg)
		usable := s.And(s.Gt(curvature, zero), s.Not(s.First))
		fresh := s.Eq(scaledYet.Get(), zero)
		scale := s.Div(curvature, s.dot(dg, dg))
		B := make([][]Value, n)
		for i := range B {
			B[i] = make([]Value, n)
		}
		for i := 0; i < n; i++ {
			for j := 0; j <= i; j++ {
				diagonal := zero
				if i == j {
					diagonal = scale
				}
				B[i][j] = s.Select(fresh, diagonal, kept[at(i, j)].Get())
				B[j][i] = B[i][j]
			}
		}
		// B' = (1 - r s y^T) B (1 - r y s^T) + r s s^T with r = 1/(s.y), multiplied out.
		r := s.Div(one, curvature)
		By := make([]Value, n)
		for i := range By {
			By[i] = s.dot(B[i], dg)
		}
		c := s.Mul(r, s.Add(one, s.Mul(r, s.dot(dg, By))))
		next := make([][]Value, n)
		for i := range next {
			next[i] = make([]Value, n)
		}
		for i := 0; i < n; i++ {
			for j := 0; j <= i; j++ {
				cross := s.Mul(r, s.Add(s.Mul(By[i], dx[j]), s.Mul(dx[i], By[j])))
				update := s.Add(s.Sub(B[i][j], cross), s.Mul(c, s.Mul(dx[i], dx[j])))
				identity := zero
				if i == j {
					identity = one
				}
				old := s.Select(fresh, identity, kept[at(i, j)].Get())
				next[i][j] = s.Select(usable, update, old)
				next[j][i] = next[i][j]
			}
		}
		d := make([]Value, n)
		for i := range d {
			d[i] = s.Neg(s.dot(next[i], s.Grad))
		}
		descends := s.And(s.Lt(s.dot(d, s.Grad), zero), s.AllFinite(d...))
		d = s.selects(descends, d, linalg.Neg(s.Builder, s.Grad))
		s.Fallback(s.Or(s.Not(descends), s.And(s.Not(usable), s.Not(s.First))))

		updates := s.Select(descends, s.Select(usable, one, scaledYet.Get()), zero)
		s.SetIf(accepted, scaledYet, updates)
		for i := 0; i < n; i++ {
			s.SetIf(accepted, gOld[i], s.Grad[i])
			for j := 0; j <= i; j++ {
				s.SetIf(accepted, kept[at(i, j)], next[i][j])
			}
		}
		unscaled := s.Eq(updates, zero)
		l.proceed(accepted, d, s.Select(unscaled, firstStep(s, d), one))
	},
}
