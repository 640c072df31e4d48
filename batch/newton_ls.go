package batch

import (
	"invar/graph"
	"invar/internal/linalg"
)

// Newton's method made safe: a direction of descent, and a line search along it.
var newtonLS = Method{
	Name: "newton-ls",
	Doc:  "direction -H^-1 dL/dx where H is positive definite, else -|H|^-1 dL/dx (eigenvalues by magnitude); strong Wolfe line search from step 1",
	Source: "Nocedal, Wright, Numerical Optimization, 2nd ed., sections 3.3 and 3.4 (eigenvalue modification); Dauphin et al., Identifying and attacking the " +
		"saddle point problem, 2014 (|H|)",
	Settings: append(wolfe(0.9), rcond),
	Want:     graph.Hess,
	Step: func(s *Step) {
		l := newLineSearch(s)
		accepted := l.accepted()
		d, indefinite := linalg.SolveCholesky(s.Builder, s.Hess, s.Grad)
		descends := func() Value { return s.And(s.Gt(s.dot(d, s.Grad), s.F(0)), s.AllFinite(d...)) }
		modified := s.Or(indefinite, s.Not(descends()))
		d = s.Guard(s.And(accepted, modified), d, func() []Value {
			_, size, V := linalg.SVD(s.Builder, s.Hess)
			largest := size[0]
			for _, v := range size[1:] {
				largest = s.Max(v, largest)
			}
			floor := s.Mul(s.Setting("rcond"), largest)
			c := linalg.MatTVec(s.Builder, V, s.Grad)
			for i := range c {
				c[i] = s.Div(c[i], s.Max(size[i], floor))
			}
			return linalg.MatVec(s.Builder, V, c)
		})
		// What is left: H is zero, or not finite.
		d = s.selects(descends(), d, s.Grad)
		s.Fallback(modified)
		d = linalg.Neg(s.Builder, d)
		l.proceed(accepted, d, s.dot(d, s.Grad), s.F(1))
	},
}
