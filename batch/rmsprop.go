package batch

// RMSProp.
var rmsprop = Method{
	Name:     "rmsprop",
	Doc:      "h <- rho h + (1-rho) g^2;  dx = -lr g / (sqrt(h) + eps)",
	Source:   "Tieleman, Hinton, Lecture 6.5 of Neural Networks for Machine Learning, 2012",
	Settings: []Setting{lr(0.01), {Name: "rho", Default: 0.9, Min: 0, Max: 1, Doc: "memory of the mean square"}, epsilon},
	Step: func(s *Step) {
		h := s.StateVec("h", s.N, 0)
		rho := s.Number("rho")
		dx := make([]Value, s.N)
		for i, g := range s.Grad {
			mean := s.Add(s.Mul(s.F(rho), h[i].Get()), s.Mul(s.F(1-rho), s.Mul(g, g)))
			h[i].Set(mean)
			dx[i] = s.Neg(s.Div(s.Mul(s.Setting("lr"), g), s.Add(s.Sqrt(mean), s.Setting("eps"))))
		}
		s.Move(dx)
	},
}
