package batch

// Gradient descent with momentum (the heavy ball).
var momentum = Method{
	Name:     "momentum",
	Doc:      "v <- beta v - lr dL/dx;  dx = v",
	Source:   "Polyak, Some methods of speeding up the convergence of iteration methods, 1964",
	Settings: []Setting{lr(0.01), {Name: "beta", Default: 0.9, Min: 0, Max: 1, Doc: "part of the last step that is kept"}},
	Step: func(s *Step) {
		v := s.StateVec("v", s.N, 0)
		dx := s.minus(s.scaled(s.Setting("beta"), Get(v)), s.scaled(s.Setting("lr"), s.Grad))
		Set(v, dx)
		s.Move(dx)
	},
}
