package batch

import "invar/graph"

// The physical gradient step, the inverse simulator: a Newton step in y, carried
// to x by the problem's own local inverse.
var pg = Method{
	Name: "pg",
	Doc:  "dy = -lr H_L^-1 dL/dy;  x <- P^-1(y + dy; x)",
	Source: "Holl, Koltun, Thuerey, Scale-invariant learning by physics inversion, arXiv 2109.15048; Thuerey et al., " +
		"Physics-based Deep Learning, \"Scale-Invariance and Inversion\"",
	Settings: []Setting{lr(1)},
	Want:     graph.Y | graph.GradY | graph.HessY,
	Inverse:  true,
	Step: func(s *Step) {
		s.MoveTo(s.Inverse(s.plus(s.Y, newtonStepY(s)), s.X))
	},
}
