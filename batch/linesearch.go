package batch

import "math"

// lineSearch looks along a direction for a step that satisfies the strong Wolfe
// conditions, one trial a step of the program.
//
// The bracket is [lo, hi]: lo is the best step with sufficient decrease, hi an
// end beyond which nothing is wanted, infinite until one is known. Until then the step grows by a
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
	hi, fHi, slopeHi *Var // the last two mean nothing while hi is infinite
	trials           *Var // so far; maxTrials: lo is evaluated again, to be accepted

	slope     Value // along dir at X
	decreases Value // Bool: X satisfies the sufficient decrease condition
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
		trials: s.State("trials", 0),
	}
}

// accepted says whether X ends the search: it satisfies the conditions, or it is
// the start, or the search falls back to its best step.
func (l *lineSearch) accepted() Value {
	s := l.s
	l.slope = s.dot(s.Grad, Get(l.dir))
	bound := s.Add(l.f0.Get(), s.Mul(s.Mul(l.c1, l.a.Get()), l.slope0.Get()))
	l.decreases = s.And(s.Le(s.Loss, bound), s.IsFinite(s.Loss))
	// A gradient that is not finite has no finite slope, and fails.
	ok := s.And(l.decreases, s.Le(s.Abs(l.slope), s.Mul(s.Neg(l.c2), l.slope0.Get())))
	return s.Accept(s.Or(ok, s.Ge(l.trials.Get(), s.F(maxTrials))))
}

// proceed moves on: where the search has ended (accepted), a new one starts from X
// along dir, where the slope is newSlope, with the step first; elsewhere the next step of the running one is tried.
func (l *lineSearch) proceed(accepted Value, dir []Value, newSlope, first Value) {
	s := l.s
	zero, one, infinite := s.F(0), s.F(1), s.F(math.Inf(1))
	a, f, slope := l.a.Get(), s.Loss, l.slope
	running := s.Not(accepted)

	// Where X goes in the bracket.
	better := s.And(l.decreases, s.IsFinite(slope), s.Lt(f, l.fLo.Get()))
	worse := s.And(running, s.Not(better))
	past := s.Ge(s.Mul(slope, s.Sub(l.hi.Get(), l.lo.Get())), zero) // the minimum lies between lo and X
	low := func(lo *Var, x Value) Value { return s.Select(worse, lo.Get(), x) }
	high := func(lo, hi *Var, x Value) Value { return s.Select(worse, x, s.Select(past, lo.Get(), hi.Get())) }
	lo, fLo, slopeLo := low(l.lo, a), low(l.fLo, f), low(l.slopeLo, slope)
	hi, fHi, slopeHi := high(l.lo, l.hi, a), high(l.fLo, l.fHi, f), high(l.slopeLo, l.slopeHi, slope)

	// The next step: beyond lo, or inside the bracket at the minimum of the cubic through both ends, on whose unit
	// interval the slopes are p and q.
	width := s.Sub(hi, lo)
	p, q := s.Mul(slopeLo, width), s.Mul(slopeHi, width)
	e := s.Sub(s.Mul(s.F(3), s.Sub(fHi, fLo)), s.Add(p, q))
	root := s.Sqrt(s.Sub(s.Mul(e, e), s.Mul(p, q)))
	part := s.Div(p, s.Sub(s.Sub(p, e), root))
	inside := s.And(s.Ge(part, s.F(0.1)), s.Le(part, s.F(0.9))) // false for a NaN
	part = s.Select(inside, part, s.F(0.5))
	next := s.Select(s.Lt(hi, infinite), s.Add(lo, s.Mul(part, width)), s.Mul(s.F(expansion), a))

	// Give up: take lo if the loss is less there, else fail.
	trials := s.Add(l.trials.Get(), one)
	spent := s.Or(s.Ge(trials, s.F(maxTrials)), s.Eq(next, lo), s.Eq(next, hi))
	s.Fail(s.And(running, spent, s.Not(s.Lt(fLo, l.f0.Get()))), LineSearchFailed)
	s.Fail(s.And(accepted, s.Not(s.Le(newSlope, zero))), LineSearchFailed)

	set := func(v *Var, atStart, while Value) { v.Set(s.Select(accepted, atStart, while)) }
	d := s.selects(accepted, dir, Get(l.dir))
	Set(l.dir, d)
	set(l.f0, f, l.f0.Get())
	set(l.slope0, newSlope, l.slope0.Get())
	set(l.a, first, s.Select(spent, lo, next))
	set(l.lo, zero, lo)
	l.fLo.Set(fLo) // the loss at X where a search starts there
	set(l.slopeLo, newSlope, slopeLo)
	set(l.hi, infinite, hi)
	l.fHi.Set(fHi)
	l.slopeHi.Set(slopeHi)
	set(l.trials, zero, s.Select(spent, s.F(maxTrials), trials))
	from := s.selects(accepted, s.X, s.Last)
	s.MoveTo(s.plus(from, s.scaled(l.a.next, d)))
}

// firstStep is the step length that a search tries first: one, but where the method knows no scale yet (unscaled), and
// goes down the gradient, no more than makes a move of length one.
func (s *Step) firstStep(unscaled Value) Value {
	one := s.F(1)
	return s.Select(s.And(unscaled, s.Not(s.Le(s.GradNorm, one))), s.Div(one, s.GradNorm), one)
}
