package batch

import (
	"invar/graph"
	"invar/internal/linalg"
)

// The inverse-Jacobian ("inverse gradient") step: a Newton step in y, carried to
// x by the linearised inverse of the physics.
var ig = Method{
	Name: "ig",
	Doc:  "dy = -lr H_L^-1 dL/dy;  dx = J^-1 dy, the pseudo-inverse where J is not square or is singular",
	Source: "Holl, Koltun, Thuerey, Scale-invariant learning by physics inversion, arXiv 2109.15048; Thuerey et al., " +
		"Physics-based Deep Learning, \"Scale-Invariance and Inversion\"",
	Settings: []Setting{lr(1), rcond},
	Want:     graph.Jac | graph.GradY | graph.HessY,
	Step: func(s *Step) {
		dy := newtonStepY(s)
		dx, deficient := linalg.LeastSquares(s.Builder, s.Jac, dy, s.rcond())
		s.Fallback(deficient)
		s.Move(dx)
	},
}

// rcond is the setting of the methods that use a pseudo-inverse.
var rcond = Setting{Name: "rcond", Default: 1e-13, Min: 0, Max: 0.999, Doc: "singular values below rcond times the largest count as zero; at least 4 max(m, n) eps"}

// rcond is the setting, but not less than what rounding leaves of singular values that are zero: 4 max(m, n) eps.
func (s *Step) rcond() float64 { return max(s.Number("rcond"), 4*float64(max(s.M, s.N))*s.Eps()) }

// newtonStepY is the Newton step in y-space, dy = -lr H_L^-1 dL/dy. Where the
// Hessian of the loss in y is singular (a linear loss), it is the gradient step
// dy = -lr dL/dy, and counted as a fallback.
func newtonStepY(s *Step) []Value {
	d, singular := linalg.SolveLU(s.Builder, s.HessY, s.GradY)
	s.Fallback(singular)
	return s.scaled(s.Neg(s.Setting("lr")), s.selects(singular, s.GradY, d))
}
