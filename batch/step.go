package batch

import (
	"fmt"

	"invar/graph"
	"invar/internal/linalg"
	"invar/program"
)

// Value is a value of the program being written: one scalar of one sample.
type Value = program.Value

// Step is what a method writes one step with. The program evaluates the problem
// at a trial point X; the method looks at it, says whether X is accepted as the
// next iterate (always, unless Accept is called), and where to evaluate next.
// So a line search, or any inner loop that ends when its sample is ready, is a
// series of trials that are not accepted: samples never wait for each other.
type Step struct {
	*program.Builder
	graph.Quantities // of the problem at X

	N, M     int     // number of inputs x and outputs y
	X        []Value // the point just evaluated
	Last     []Value // the iterate accepted last; equals X at the start
	First    Value   // Bool: X is the start, which is always accepted
	GradNorm Value   // |dL/dx| at X

	inverse  func(y, x []Value) []Value
	input    func(name string) Value // makes or finds the input of a state slot
	settings map[string]float64
	vars     []*Var
	accept   Value // Bool
	next     []Value
	hold     Value   // Bool: next may equal X on purpose
	fallback []Value // Bools
	failures []failure
}

type failure struct {
	cond   Value
	status Status
}

// Var is a number that a method keeps from one step to the next, for each sample.
type Var struct {
	name string
	init float64
	now  Value
	next Value
}

// Get is the number as the last step left it.
func (v *Var) Get() Value { return v.now }

// Set gives the number for the next step; without it the number stays.
func (v *Var) Set(x Value) { v.next = x }

// State declares a number that is kept between steps, with its value before the
// first step. Names are unique within a method.
func (s *Step) State(name string, init float64) *Var {
	for _, v := range s.vars {
		if v.name == name {
			panic(&program.Error{Msg: fmt.Sprintf("method state %s is declared twice", name)})
		}
	}
	now := s.input(name)
	v := &Var{name: name, init: init, now: now, next: now}
	s.vars = append(s.vars, v)
	return v
}

// StateVec declares k numbers name0, name1, ...
func (s *Step) StateVec(name string, k int, init float64) []*Var {
	v := make([]*Var, k)
	for i := range v {
		v[i] = s.State(fmt.Sprintf("%s%d", name, i), init)
	}
	return v
}

// Get reads a vector of state.
func Get(v []*Var) []Value {
	x := make([]Value, len(v))
	for i := range v {
		x[i] = v[i].Get()
	}
	return x
}

// Set gives a vector of state its next values.
func Set(v []*Var, x []Value) {
	for i := range v {
		v[i].Set(x[i])
	}
}

// SetIf gives v the next value x where cond holds, and leaves it elsewhere.
func (s *Step) SetIf(cond Value, v *Var, x Value) { v.Set(s.Select(cond, x, v.next)) }

// Setting is a setting of the method, as a constant.
func (s *Step) Setting(name string) Value { return s.F(s.Number(name)) }

// Number is a setting of the method, for decisions while the step is written.
func (s *Step) Number(name string) float64 {
	x, ok := s.settings[name]
	if !ok {
		panic(&program.Error{Msg: "the method has no setting " + name})
	}
	return x
}

// Inverse is the problem's local inverse x' = P^-1(y; x).
func (s *Step) Inverse(y, x []Value) []Value { return s.inverse(y, x) }

// Move asks for the next evaluation at X + dx.
func (s *Step) Move(dx []Value) { s.MoveTo(s.plus(s.X, dx)) }

// MoveTo asks for the next evaluation at x.
func (s *Step) MoveTo(x []Value) { s.next = x }

// Accept says whether X becomes the next iterate; the start always does.
func (s *Step) Accept(cond Value) Value {
	s.accept = s.Or(s.First, cond)
	return s.accept
}

// Hold says that where cond holds the next trial repeats X on purpose, which is
// then not taken for a step too small.
func (s *Step) Hold(cond Value) { s.hold = cond }

// Fail ends the sample with a status where cond holds (unless X has converged).
func (s *Step) Fail(cond Value, status Status) {
	s.failures = append(s.failures, failure{cond, status})
}

// Fallback counts a step where cond holds as one that was not the method's own.
func (s *Step) Fallback(cond Value) { s.fallback = append(s.fallback, cond) }

// Shorthands for package linalg.

func (s *Step) selects(cond Value, x, y []Value) []Value { return linalg.Select(s.Builder, cond, x, y) }
func (s *Step) plus(x, y []Value) []Value                { return linalg.Add(s.Builder, x, y) }
func (s *Step) minus(x, y []Value) []Value               { return linalg.Sub(s.Builder, x, y) }
func (s *Step) scaled(a Value, x []Value) []Value        { return linalg.Scale(s.Builder, a, x) }
func (s *Step) dot(x, y []Value) Value                   { return linalg.Dot(s.Builder, x, y) }

// norm is the Euclidean length of x.
func (s *Step) norm(x []Value) Value { return s.Sqrt(s.dot(x, x)) }
