package batch

// Nesterov's accelerated gradient, in the form of Sutskever et al. with the
// gradient taken at the iterate itself: the iterates are the look-ahead points.
var nesterov = Method{
	Name: "nesterov",
	Doc:  "v <- beta v - lr dL/dx;  dx = beta v - lr dL/dx",
	Source: "Nesterov 1983; Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in deep learning, 2013; " +
		"Bengio, Boulanger-Lewandowski, Pascanu, Advances in optimizing recurrent networks, 2013 (this form)",
	Settings: []Setting{lr(0.01), {Name: "beta", Default: 0.9, Min: 0, Max: 1, Doc: "part of the last step that is kept"}},
	Step: func(s *Step) {
		v := s.StateVec("v", s.N, 0)
		g := s.scaled(s.Setting("lr"), s.Grad)
		next := s.minus(s.scaled(s.Setting("beta"), Get(v)), g)
		Set(v, next)
		s.Move(s.minus(s.scaled(s.Setting("beta"), next), g))
	},
}
