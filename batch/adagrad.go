package batch

// AdaGrad.
var adagrad = Method{
	Name:     "adagrad",
	Doc:      "h <- h + g^2;  dx = -lr g / (sqrt(h) + eps)",
	Source:   "Duchi, Hazan, Singer, Adaptive subgradient methods for online learning and stochastic optimization, 2011",
	Settings: []Setting{lr(0.1), epsilon},
	Step: func(s *Step) {
		h := s.StateVec("h", s.N, 0)
		dx := make([]Value, s.N)
		for i, g := range s.Grad {
			sum := s.Add(h[i].Get(), s.Mul(g, g))
			h[i].Set(sum)
			dx[i] = s.Neg(s.Div(s.Mul(s.Setting("lr"), g), s.Add(s.Sqrt(sum), s.Setting("eps"))))
		}
		s.Move(dx)
	},
}

// epsilon is the setting that keeps the adaptive methods' quotients finite.
var epsilon = Setting{Name: "eps", Default: 1e-8, Min: 0, Max: 1, Doc: "added to the denominator"}
