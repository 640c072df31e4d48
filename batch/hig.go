package batch

import (
	"invar/graph"
	"invar/internal/linalg"
)

// Half-inverse gradients. Not scale-invariant: the square root of the
// sensitivity stays.
var hig = Method{
	Name:     "hig",
	Doc:      "dx = -lr J^(-1/2) dL/dy by SVD, singular values below rcond times the largest dropped",
	Source:   "Schnell, Holl, Thuerey, Half-inverse gradients for physical deep learning, arXiv 2203.10131",
	Settings: []Setting{lr(0.1), {Name: "rcond", Default: 1e-6, Min: 0, Max: 0.999, Doc: rcond.Doc}},
	Want:     graph.Jac | graph.GradY,
	Step: func(s *Step) {
		d, deficient := linalg.PowerApply(s.Builder, s.Jac, s.GradY, -0.5, s.rcond())
		s.Fallback(deficient)
		s.Move(s.scaled(s.Neg(s.Setting("lr")), d))
	},
}
