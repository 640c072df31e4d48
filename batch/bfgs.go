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
		// The symmetric B, row by row up to the diagonal; B0 is 0 while there is none, where -dL/dx is the direction.
		kept := s.StateVec("B", n*(n+1)/2, 0)
		at := func(i, j int) int {
			if j > i {
				i, j = j, i
			}
			return i*(i+1)/2 + j
		}
		zero, one := s.F(0), s.F(1)

		dx, dg := s.minus(s.X, s.Last), s.minus(s.Grad, Get(gOld))
		curvature := s.dot(dx, dg)
		usable := s.And(accepted, s.Gt(curvature, zero), s.Not(s.First))
		fresh := s.Eq(kept[0].Get(), zero)
		scale := s.Select(usable, s.Div(curvature, s.dot(dg, dg)), one)
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
		// B' = (1 - r s y^T) B (1 - r y s^T) + r s s^T with r = 1/(s.y), multiplied out: B + v s^T - s u^T.
		r := s.Div(one, curvature)
		By := linalg.MatVec(s.Builder, B, dg)
		c := s.Mul(r, s.Add(one, s.Mul(r, s.dot(dg, By))))
		u := s.scaled(r, By)
		v := s.minus(s.scaled(c, dx), u)
		for i := 0; i < n; i++ {
			for j := 0; j <= i; j++ {
				update := s.Sub(s.Add(B[i][j], s.Mul(v[i], dx[j])), s.Mul(dx[i], u[j]))
				B[i][j] = s.Select(usable, update, B[i][j])
				B[j][i] = B[i][j]
			}
		}
		// Downhill. What is not finite has no finite slope.
		Bg := linalg.MatVec(s.Builder, B, s.Grad)
		slope := s.dot(Bg, s.Grad)
		descends := s.And(s.Gt(slope, zero), s.IsFinite(slope))
		slope = s.Select(descends, slope, s.dot(s.Grad, s.Grad))
		d := linalg.Neg(s.Builder, s.selects(descends, Bg, s.Grad))
		s.Fallback(s.Or(s.Not(descends), s.And(s.Not(usable), s.Not(s.First))))

		none := s.And(fresh, s.Not(usable))
		for i := 0; i < n; i++ {
			s.SetIf(accepted, gOld[i], s.Grad[i])
			for j := 0; j <= i; j++ {
				kept[at(i, j)].Set(B[i][j])
			}
		}
		kept[0].Set(s.Select(s.Or(none, s.And(accepted, s.Not(descends))), zero, B[0][0]))
		l.proceed(accepted, d, s.Neg(slope), s.firstStep(s.Or(none, s.Not(descends))))
	},
}
