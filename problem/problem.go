// Package problem reads inverse problems from TOML files: the text of a file goes in, a checked
// *[Problem] with parsed formulas comes out, or an error that names the file, the line, the field
// and, within a formula, the place.
//
// # The file
//
// A problem is a function y = P(x) of n inputs and m outputs, a loss L(y), and what else is known of
// it. Everything is a formula (see package formula), parameters included, so one file is a family
// of problems:
//
//	name = "square"                        # default: the file's name
//	description = "..."                    # what it shows
//	source = "..."                         # where it comes from
//	inputs = ["x0", "x1"]                  # n = 1 to 16 names
//	let = ["a = alpha*x1"]                 # shared subexpressions, in order
//	outputs = ["x0", "a*x1"]               # y: m = 1 to 64 formulas
//	target = ["0", 0]                      # optional: m formulas of the parameters
//	loss = "y0^2 + y1^2"                   # default with a target: 0.5*((y0-t0)^2 + (y1-t1)^2)
//	inverse = ["y0", "sign(x1)*sqrt(y1/alpha)"]   # optional: n formulas
//	minima = [[0, 0]]                      # optional: known global minima, n formulas each
//	box = [[-3, 3], [-3, 3]]               # starts are drawn uniformly from here
//
//	[params]                               # optional: names and default values
//	alpha = 1.0
//
//	[method.gd]                            # optional: settings of a method that suit this problem
//	lr = 0.01
//
// What each formula may refer to:
//
//	let       inputs, parameters, earlier lets
//	outputs   inputs, parameters, lets; with [simulate] the final state
//	target    parameters
//	loss      outputs y0, y1, ...; targets t0, t1, ...; parameters
//	inverse   the new outputs y0, y1, ...; the current inputs, parameters, lets; with
//	          [simulate.reverse] the recovered initial state
//	final     of [simulate.reverse]: as inverse, but with the current final state
//	minima    parameters
//
// The inverse is local: of all x with P(x) = y it gives the one nearest to the current x.
//
// # Simulations
//
// A simulator is written once, as one step, and never unrolled by hand:
//
//	[simulate]
//	state = ["q", "p"]                     # names
//	initial = ["x0", "x1"]                 # of inputs, parameters, lets
//	let = ["ph = p - 0.5*dt*sin(q)"]       # within a step, in order; may use the state as well
//	step = ["q + dt*ph", "..."]            # the new state from the old: all at once
//	steps = 100                            # 1 to 1,000,000
//
//	[simulate.reverse]                     # optional, with inverse: the step backwards in time
//	final = ["y0", "y1"]                   # the final state from the new outputs; the state's names
//	                                       # stand for the final state that the current x leads to
//	let = ["..."]
//	step = ["...", "..."]                  # the previous state from the state
//
// The outputs see the state's names as the final state, the inverse as the initial state that the
// reverse steps recover.
//
// # Checks
//
// Unknown fields, wrong lengths, undefined names, names that are declared and not used, and names
// that the language reserves (functions, pi, e, y0, t0, ...) are errors. Files may come from
// strangers: the constants below bound their size and the work of an evaluation.
package problem

import (
	"fmt"
	"sort"

	"invar/problem/formula"
)

// Bounds on a problem.
const (
	MaxFile    = 1 << 20     // bytes of a file
	MaxInputs  = 16          // n
	MaxOutputs = 64          // m
	MaxParams  = 64          // parameters
	MaxState   = 64          // components of a simulation's state
	MaxSteps   = 1_000_000   // steps of a simulation
	MaxMinima  = 256         // known minima
	MaxNodes   = 50_000      // numbers, names and operations in all formulas together
	MaxWork    = 100_000_000 // the same for one evaluation of P or of its inverse, every time step counted
)

// Problem is a checked problem: every list has its right length and every name in a formula is
// defined where it is used. Treat it as read-only; it may then be shared between goroutines.
type Problem struct {
	Name, Description, Source string

	Inputs  []string                      // names of x; n = len(Inputs)
	Params  []Param                       // sorted by name
	Let     []Binding                     // in order of definition
	Outputs []*formula.Expr               // y; m = len(Outputs)
	Target  []*formula.Expr               // nil, or m formulas; named t0, t1, ... in Loss
	Loss    *formula.Expr                 // never nil: the half squared distance to Target where the file has none
	Inverse []*formula.Expr               // nil, or n formulas
	Minima  [][]*formula.Expr             // n formulas each
	Box     [][2]float64                  // n pairs lo < hi, finite
	Methods map[string]map[string]float64 // finite settings by method name; nil if none

	Simulate *Simulation // nil if the outputs come straight from the inputs
}

// Param is a parameter of a problem.
type Param struct {
	Name    string
	Default float64 // finite
}

// Binding gives a name to a subexpression.
type Binding struct {
	Name string
	Expr *formula.Expr
}

// Simulation is a loop with a fixed number of steps between the inputs and the outputs.
type Simulation struct {
	State   []string        // names of the state's components
	Initial []*formula.Expr // as many as State
	Let     []Binding       // evaluated anew in each step
	Step    []*formula.Expr // as many as State; all see the old state
	Steps   int             // 1 to MaxSteps
	Reverse *Reverse        // nil if there is none
}

// Reverse is a simulation backwards in time.
type Reverse struct {
	Final []*formula.Expr // the final state, where the reverse steps begin; as many as State
	Let   []Binding
	Step  []*formula.Expr // the previous state; all see the state they start from
}

// N returns the number of inputs.
func (p *Problem) N() int { return len(p.Inputs) }

// M returns the number of outputs.
func (p *Problem) M() int { return len(p.Outputs) }

// Defaults returns a new map of every parameter's default value.
func (p *Problem) Defaults() map[string]float64 {
	d := make(map[string]float64, len(p.Params))
	for _, q := range p.Params {
		d[q.Name] = q.Default
	}
	return d
}

// environment gives the parameters their values: those of params, else their defaults.
func (p *Problem) environment(params map[string]float64) (map[string]float64, error) {
	env := p.Defaults()
	given := make([]string, 0, len(params))
	for name := range params {
		given = append(given, name)
	}
	sort.Strings(given) // for the same error every time
	for _, name := range given {
		if _, ok := env[name]; !ok {
			known := make([]string, len(p.Params))
			for i, q := range p.Params {
				known[i] = q.Name
			}
			return nil, fmt.Errorf("problem: %s has no parameter %q%s; it has: %s", p.Name, name, didYouMean(name, known), enumerate(known))
		}
		env[name] = params[name]
	}
	return env, nil
}

// at adds the inputs and lets at x to env.
func (p *Problem) at(env map[string]float64, x []float64) error {
	if len(x) != p.N() {
		return fmt.Errorf("problem: %s takes %d inputs, %d are given", p.Name, p.N(), len(x))
	}
	for i, name := range p.Inputs {
		env[name] = x[i]
	}
	return bind(env, p.Let)
}

// forward runs the simulation, if there is one, and leaves the final state in env.
func (p *Problem) forward(env map[string]float64) error {
	s := p.Simulate
	if s == nil {
		return nil
	}
	return run(env, s.State, s.Initial, s.Let, s.Step, s.Steps)
}

// run sets the state by initial and replaces it by step as often as steps says.
func run(env map[string]float64, state []string, initial []*formula.Expr, let []Binding, step []*formula.Expr, steps int) error {
	values := make([]float64, len(state))
	set := func(formulas []*formula.Expr) error {
		if err := evaluate(values, formulas, env); err != nil {
			return err
		}
		for i, name := range state {
			env[name] = values[i]
		}
		return nil
	}
	if err := set(initial); err != nil {
		return err
	}
	for range steps {
		if err := bind(env, let); err != nil {
			return err
		}
		if err := set(step); err != nil {
			return err
		}
	}
	return nil
}

func bind(env map[string]float64, let []Binding) error {
	for _, b := range let {
		v, err := b.Expr.Eval(env)
		if err != nil {
			return err
		}
		env[b.Name] = v
	}
	return nil
}

// evaluate computes formulas into dst.
func evaluate(dst []float64, formulas []*formula.Expr, env map[string]float64) error {
	for i, f := range formulas {
		v, err := f.Eval(env)
		if err != nil {
			return err
		}
		dst[i] = v
	}
	return nil
}

// Eval computes y = P(x) and L(y), formula by formula and step by step: the plain reading of the
// file, for tests and small uses. x has n values, y has m. Parameters that params lacks have their
// defaults. Errors are a wrong length and an unknown parameter; mathematical failures are NaN and Inf.
func (p *Problem) Eval(params map[string]float64, x []float64) (y []float64, loss float64, err error) {
	env, err := p.environment(params)
	if err != nil {
		return nil, 0, err
	}
	// The targets see the parameters only.
	targets := make([]float64, len(p.Target))
	if err := evaluate(targets, p.Target, env); err != nil {
		return nil, 0, err
	}
	if err := p.at(env, x); err != nil {
		return nil, 0, err
	}
	if err := p.forward(env); err != nil {
		return nil, 0, err
	}
	y = make([]float64, p.M())
	if err := evaluate(y, p.Outputs, env); err != nil {
		return nil, 0, err
	}
	for i, v := range y {
		env[outputName(i)] = v
	}
	for i, v := range targets {
		env[targetName(i)] = v
	}
	loss, err = p.Loss.Eval(env)
	return y, loss, err
}

// EvalInverse computes the local inverse: the x near the current x for which P gives ynew. x has n
// values, ynew has m, the result has n. A problem without an inverse is an error.
func (p *Problem) EvalInverse(params map[string]float64, x, ynew []float64) ([]float64, error) {
	if p.Inverse == nil {
		return nil, fmt.Errorf("problem: %s has no inverse", p.Name)
	}
	if len(ynew) != p.M() {
		return nil, fmt.Errorf("problem: %s has %d outputs, %d are given", p.Name, p.M(), len(ynew))
	}
	env, err := p.environment(params)
	if err != nil {
		return nil, err
	}
	if err := p.at(env, x); err != nil {
		return nil, err
	}
	for i, v := range ynew {
		env[outputName(i)] = v
	}
	if s := p.Simulate; s != nil && s.Reverse != nil {
		if err := p.forward(env); err != nil {
			return nil, err
		}
		r := s.Reverse
		if err := run(env, s.State, r.Final, r.Let, r.Step, s.Steps); err != nil {
			return nil, err
		}
	}
	xnew := make([]float64, p.N())
	return xnew, evaluate(xnew, p.Inverse, env)
}

// EvalMinima computes the known minima, n values each; none is an empty list.
func (p *Problem) EvalMinima(params map[string]float64) ([][]float64, error) {
	env, err := p.environment(params)
	if err != nil {
		return nil, err
	}
	minima := make([][]float64, len(p.Minima))
	for i, m := range p.Minima {
		minima[i] = make([]float64, len(m))
		if err := evaluate(minima[i], m, env); err != nil {
			return nil, err
		}
	}
	return minima, nil
}

func outputName(i int) string { return fmt.Sprintf("y%d", i) }
func targetName(i int) string { return fmt.Sprintf("t%d", i) }
