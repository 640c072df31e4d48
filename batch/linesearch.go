package batch

// lineSearch looks along a direction for a step that satisfies the strong Wolfe
// conditions, one trial a step of the program.
//
// The bracket is [lo, hi]: lo is the best step with sufficient decrease, hi an
// end beyond which nothing is wanted. Until hi is known the step grows by a
// factor; then the bracket shrinks by cubic interpolation, kept inside the middle
// 80 %, or by halving where the loss at hi is not finite. Nocedal & Wright, Numerical
// Optimization, 2nd ed., algorithms 3.5 and 3.6 as one loop.
type lineSearch struct {
	s      *Step
	c1, c2 Value

	dir              []*Var // search direction
	f0, slope0       *Var   // loss and slope at the iterate
	a                *Var   // the step now tried
	lo, fLo, slopeLo *Var
	hi, fHi, slopeHi *Var
	bracketed        *Var // 1: hi is known
	trials           *Var
	last             *Var // 1: lo is evaluated again, to be accepted
}

// wolfe are the settings of the methods that search a line.
func wolfe(c2 float64) []Setting {
	return []Setting{
		{Name: "c1", Default: 1e-4, Min: 0, Max: 0.5, Doc: "sufficient decrease (Armijo)"},
		{Name: "c2", Default: c2, Min: 0, Max: 1, Doc: "curvature condition"},
	}
}

const (
	maxTrials = 40 // of one line search
	expansion = 2  // of the step while no bracket is known
)

func newLineSearch(s *Step) *lineSearch {
	return &lineSearch{
		s: s, c1: s.Setting("c1"), c2: s.Setting("c2"),
		dir: s.StateVec("direction", s.N, 0),
		f0:  s.State("loss", 0), slope0: s.State("slope", 0),
		a:  s.State("step", 0),
		lo: s.State("lo", 0), fLo: s.State("loss_lo", 0), slopeLo: s.State("slope_lo", 0),
		hi: s.State("hi", 0), fHi: s.State("loss_hi", 0), slopeHi: s.State("slope_hi", 0),
		bracketed: s.State("bracketed", 0), trials: s.State("trials", 0), last: s.State("last", 0),
	}
}

// accepted says whether X ends the search: it satisfies the conditions, or it is
// the start, or the search falls back to its best step.
func (l *lineSearch) accepted() Value {
	s := l.s
	slope := s.dot(s.Grad, Get(l.dir))
	ok := s.And(l.decreases(), s.Le(s.Abs(slope), s.Mul(s.Neg(l.c2), l.slope0.Get())), s.AllFinite(s.Grad...))
	return s.Accept(s.Or(ok, s.Ne(l.last.Get(), s.F(0))))
}

// decreases is the sufficient decrease condition at X; false where the loss is not finite.
func (l *lineSearch) decreases() Value {
	s := l.s
	bound := s.Add(l.f0.Get(), s.Mul(s.Mul(l.c1, l.a.Get()), l.slope0.Get()))
	return s.And(s.Le(s.Loss, bound), s.IsFinite(s.Loss))
}

// proceed moves on: where the search has ended (accepted), a new one starts from X
// along dir with the step first; elsewhere the next step of the running one is tried.
func (l *lineSearch) proceed(accepted Value, dir []Value, first Value) {
	s := l.s
	zero, one := s.F(0), s.F(1)
	a := l.a.Get()
	f, slope := s.Loss, s.dot(s.Grad, Get(l.dir))
	hasHi := s.Ne(l.bracketed.Get(), zero)

	// Where X goes in the bracket.
	worse := s.Or(s.Not(l.decreases()), s.And(s.Ge(f, l.fLo.Get()), s.Gt(l.lo.Get(), zero)), s.Not(s.AllFinite(s.Grad...)))
	width := s.Select(hasHi, s.Sub(l.hi.Get(), l.lo.Get()), one)
	past := s.Ge(s.Mul(slope, width), zero) // the minimum lies between lo and X
	pick := func(lo, hi *Var, x Value) (newLo, newHi Value) {
		newHi = s.Select(worse, x, s.Select(past, lo.Get(), hi.Get()))
		newLo = s.Select(worse, lo.Get(), x)
		return newLo, newHi
	}
	lo, hi := pick(l.lo, l.hi, a)
	fLo, fHi := pick(l.fLo, l.fHi, f)
	sLo, sHi := pick(l.slopeLo, l.slopeHi, slope)
	bracketed := s.Or(hasHi, worse, past)

	// The next step: beyond lo, or inside the bracket by the cubic through both ends.
	span := s.Sub(hi, lo)
	d1 := s.Sub(s.Add(sLo, sHi), s.Mul(s.F(3), s.Div(s.Sub(fHi, fLo), span)))
	root := s.Sqrt(s.Sub(s.Mul(d1, d1), s.Mul(sLo, sHi)))
	d2 := s.Select(s.Lt(span, zero), s.Neg(root), root)
	part := s.Sub(one, s.Div(s.Sub(s.Add(sHi, d2), d1), s.Add(s.Sub(sHi, sLo), s.Mul(s.F(2), d2))))
	inside := s.And(s.Ge(part, s.F(0.1)), s.Le(part, s.F(0.9))) // false for a NaN
	part = s.Select(inside, part, s.F(0.5))
	next := s.Select(bracketed, s.Add(lo, s.Mul(part, span)), s.Mul(s.F(expansion), a))

	// Give up: take lo if the loss is less there, else fail.
	trials := s.Add(l.trials.Get(), one)
	spent := s.Or(s.Ge(trials, s.F(maxTrials)), s.Eq(next, lo), s.Eq(next, hi), s.Not(s.IsFinite(next)))
	running := s.Not(accepted)
	s.Fail(s.And(running, spent, s.Not(s.Lt(fLo, l.f0.Get()))), LineSearchFailed)
	s.Fail(s.And(accepted, s.Not(s.Le(s.dot(s.Grad, dir), zero))), LineSearchFailed)
	next = s.Select(spent, lo, next)

	set := func(v *Var, atStart, while Value) { v.Set(s.Select(accepted, atStart, while)) }
	d := s.selects(accepted, dir, Get(l.dir))
	newSlope := s.dot(s.Grad, dir)
	Set(l.dir, d)
	set(l.f0, f, l.f0.Get())
	set(l.slope0, newSlope, l.slope0.Get())
	set(l.a, first, next)
	set(l.lo, zero, lo)
	set(l.fLo, f, fLo)
	set(l.slopeLo, newSlope, sLo)
	set(l.hi, zero, hi)
	set(l.fHi, zero, fHi)
	set(l.slopeHi, zero, sHi)
	set(l.bracketed, zero, s.Select(bracketed, one, zero))
	set(l.trials, zero, trials)
	set(l.last, zero, s.Select(spent, one, zero))
	from := s.selects(accepted, s.X, s.Last)
	s.MoveTo(s.plus(from, s.scaled(l.a.next, d)))
}

// firstStep is the step length tried first by a method that knows no scale yet:
// a move of length at most one.
func firstStep(s *Step, dir []Value) Value {
	return s.Min(s.F(1), s.Div(s.F(1), s.norm(dir)))
}
