package batch

import (
	"invar/graph"
	"invar/internal/linalg"
)

// Newton's method with full (or damped by lr) steps: no line search, so that it shows the
// plain update.
var newton = Method{
	Name: "newton",
	Doc:  "dx = -lr H^-1 dL/dx, H the full Hessian of L(P(x)); where H is singular, dx = -lr dL/dx",
	Source: "Nocedal, Wright, Numerical Optimization, 2nd ed., section 3.3; Thuerey et al., Physics-based Deep Learning, " +
		"\"Simple Example comparing Different Optimizers\"",
	Settings: []Setting{lr(1)},
	Want:     graph.Hess,
	Step: func(s *Step) {
		d, singular := linalg.SolveLU(s.Builder, s.Hess, s.Grad)
		s.Fallback(singular)
		s.Move(s.scaled(s.Neg(s.Setting("lr")), s.selects(singular, s.Grad, d)))
	},
}
