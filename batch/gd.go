package batch

// Gradient descent.
var gd = Method{
	Name:     "gd",
	Doc:      "dx = -lr dL/dx",
	Source:   "Cauchy 1847; Thuerey et al., Physics-based Deep Learning, \"Simple Example comparing Different Optimizers\"",
	Settings: []Setting{lr(0.01)},
	Step: func(s *Step) {
		s.Move(s.scaled(s.Neg(s.Setting("lr")), s.Grad))
	},
}
