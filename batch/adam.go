package batch

// Adam, with the bias corrections of its paper.
var adam = Method{
	Name:   "adam",
	Doc:    "m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  dx = -lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)",
	Source: "Kingma, Ba, Adam: a method for stochastic optimization, 2015, algorithm 1",
	Settings: []Setting{lr(0.1),
		{Name: "beta1", Default: 0.9, Min: 0, Max: 0.999999, Doc: "memory of the mean"},
		{Name: "beta2", Default: 0.999, Min: 0, Max: 0.999999999, Doc: "memory of the mean square"},
		epsilon},
	Step: func(s *Step) {
		m, v := s.StateVec("m", s.N, 0), s.StateVec("v", s.N, 0)
		b1, b2 := s.Number("beta1"), s.Number("beta2")
		// The powers beta^t are carried along instead of being computed anew.
		p1, p2 := s.State("beta1_t", 1), s.State("beta2_t", 1)
		p1.Set(s.Mul(p1.Get(), s.F(b1)))
		p2.Set(s.Mul(p2.Get(), s.F(b2)))
		c1, c2 := s.Sub(s.F(1), p1.next), s.Sub(s.F(1), p2.next)
		rate := s.Div(s.Setting("lr"), c1)
		dx := make([]Value, s.N)
		for i, g := range s.Grad {
			mean := s.Add(s.Mul(s.F(b1), m[i].Get()), s.Mul(s.F(1-b1), g))
			square := s.Add(s.Mul(s.F(b2), v[i].Get()), s.Mul(s.F(1-b2), s.Mul(g, g)))
			m[i].Set(mean)
			v[i].Set(square)
			dx[i] = s.Neg(s.Div(s.Mul(rate, mean), s.Add(s.Sqrt(s.Div(square, c2)), s.Setting("eps"))))
		}
		s.Move(dx)
	},
}
