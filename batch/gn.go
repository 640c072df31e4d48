package batch

import (
	"invar/graph"
	"invar/internal/linalg"
)

// Gauss-Newton for a general loss in y: the Hessian without the second
// derivatives of the physics.
var gn = Method{
	Name:     "gn",
	Doc:      "dx = -lr (J^T H_L J)^-1 J^T dL/dy; where that is singular, dx = -lr dL/dx",
	Source:   "Nocedal, Wright, Numerical Optimization, 2nd ed., section 10.3; Schraudolph, Fast curvature matrix-vector products, 2002 (general loss)",
	Settings: []Setting{lr(1)},
	Want:     graph.Jac | graph.HessY,
	Step: func(s *Step) {
		d, singular := linalg.SolveLU(s.Builder, linalg.GramW(s.Builder, s.Jac, s.HessY), s.Grad)
		s.Fallback(singular)
		s.Move(s.scaled(s.Neg(s.Setting("lr")), s.selects(singular, s.Grad, d)))
	},
}
