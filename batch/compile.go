package batch

import (
	"errors"
	"fmt"
	"strings"

	"invar/graph"
	"invar/internal/linalg"
	"invar/internal/nearest"
	"invar/program"
)

// Limits says when a sample stops. A tolerance of zero switches its test off.
type Limits struct {
	Iterations int     // most iterations
	DTol       float64 // converged: distance to the nearest known minimum <= DTol
	GTol       float64 // converged: |dL/dx| <= GTol * (|dL/dx| at the start)
	LTol       float64 // converged: L <= LTol
	XTol       float64 // step too small: |dx| <= XTol * |x|
}

// evaluationsPerIteration bounds what a line search or an inner solve may use.
const evaluationsPerIteration = 64

// DefaultLimits are the limits for a problem with or without known minima. The
// default test lies in x: a test on the loss or on an absolute gradient is
// itself not scale-invariant and would blur what is measured.
func DefaultLimits(minima bool) Limits {
	if minima {
		return Limits{Iterations: 100, DTol: 1e-6}
	}
	return Limits{Iterations: 100, GTol: 1e-6}
}

// Options say how Compile builds a program.
type Options struct {
	Limits
	DType   program.Type // of the samples' numbers: F64 (also None) or F32
	Outputs bool         // report y too
	Split   bool         // write Program.Update, for an engine that evaluates the problem itself
}

// DTypes are the types that the numbers of samples may have, by the names that people give them.
var DTypes = []string{"float64", "float32"}

// ParseDType is the type with one of the names of DTypes.
func ParseDType(name string) (program.Type, error) {
	switch name {
	case "float64":
		return program.F64, nil
	case "float32":
		return program.F32, nil
	}
	return program.None, fmt.Errorf("batch: dtype %q%s; %s are allowed", name, nearest.Hint(name, DTypes), strings.Join(DTypes, " and "))
}

// DTypeName is the name of t; None counts as F64.
func DTypeName(t program.Type) string {
	if t == program.F32 {
		return "float32"
	}
	return "float64"
}

// Compile joins a problem with a method into one program for one sample.
//
// The program's inputs are the parameters (in the problem's order) and the
// start. Its results are columns named x0.., y0.. (with Options.Outputs), loss, grad_norm,
// distance (where minima are known), iteration, evaluations, fallbacks, status.
func Compile(m *graph.Model, spec Spec, o Options) (*program.Program, error) {
	p := m.Problem()
	if err := spec.Method.Supports(p); err != nil {
		return nil, err
	}
	spec, err := spec.Resolve(p)
	if err != nil {
		return nil, err
	}
	if o.Iterations < 0 {
		return nil, fmt.Errorf("batch: iterations %d; 0 or more are allowed", o.Iterations)
	}
	switch o.DType {
	case program.None:
		o.DType = program.F64
	case program.F64:
	case program.F32:
		if o.Split {
			return nil, errSplitFloat32
		}
	default:
		return nil, fmt.Errorf("batch: numbers of type %s; %s and %s are allowed", o.DType, program.F64, program.F32)
	}
	c := compiler{m: m, spec: spec, o: o, n: p.N(), m2: p.M()}
	prog := &program.Program{Name: p.Name + " " + spec.Method.Name}
	if err := c.write(prog); err != nil {
		return nil, err
	}
	prog.Simplify()
	prog.Optimize()
	return prog, nil
}

var errSplitFloat32 = errors.New("batch: the gorgonia engine computes in float64 only; another engine runs float32")

type compiler struct {
	m     *graph.Model
	spec  Spec
	o     Options
	n, m2 int
	nmin  int
	vars  []*Var // the method's state
}

func (c *compiler) want() graph.Want {
	return c.spec.Method.Want | graph.Loss | graph.Grad | graph.Y&c.yWanted()
}

func (c *compiler) yWanted() graph.Want {
	if c.o.Outputs {
		return ^graph.Want(0)
	}
	return 0
}

func (c *compiler) write(prog *program.Program) (err error) {
	defer program.Catch(&err)
	p := c.m.Problem()
	c.nmin = len(p.Minima)

	if prog.Step, c.vars, err = c.step(prog, false); err != nil {
		return err
	}
	if c.o.Split {
		if prog.Update, _, err = c.step(prog, true); err != nil {
			return err
		}
		prog.Quantities = c.want().Names(c.n, c.m2)
	}
	prog.Setup, err = c.setup(prog, c.vars)
	return err
}

// The slots come in this order: parameters, minima, trial point, iterate, loss,
// gradient norm, its value at the start, outputs, distance, counters, status, method.
func (c *compiler) setup(prog *program.Program, vars []*Var) (*program.Func, error) {
	b := program.NewBuilderOf(c.o.DType, "setup")
	input := func(name string) Value {
		prog.In = append(prog.In, name)
		v := b.Input(name, program.F64)
		if c.o.DType == program.F32 {
			v = b.Narrow(v)
		}
		return v
	}
	var params []Value
	for _, q := range c.m.Problem().Params {
		params = append(params, input(q.Name))
	}
	var start []Value
	for i := 0; i < c.n; i++ {
		start = append(start, input(fmt.Sprintf("x%d", i)))
	}
	minima, err := c.m.EmitMinima(b, params)
	if err != nil {
		return nil, err
	}
	out := append([]Value(nil), params...)
	for _, m := range minima {
		out = append(out, m...)
	}
	out = append(out, start...)
	out = append(out, start...)
	for i := len(out); i < len(prog.Slots)-len(vars); i++ {
		s := prog.Slots[i]
		switch {
		case s.Name == "iteration":
			out = append(out, b.I(-1))
		case s.Type == program.I64:
			out = append(out, b.I(0))
		default:
			out = append(out, b.F(0))
		}
	}
	for _, v := range vars {
		out = append(out, b.F(v.init))
	}
	return b.Finish(out...), nil
}

// step writes Step (or Update, where the quantities come from outside) and
// fills in the program's slots.
func (c *compiler) step(prog *program.Program, split bool) (*program.Func, []*Var, error) {
	p, n := c.m.Problem(), c.n
	float := c.o.DType
	b := program.NewBuilderOf(float, "step")
	prog.Slots, prog.Param, prog.Trial, prog.Results = nil, nil, nil, nil
	slot := func(name string, t program.Type, fixed bool) Value {
		prog.Slots = append(prog.Slots, program.Slot{Name: name, Type: t, Fixed: fixed})
		return b.Input(name, t)
	}
	result := func(name string, t program.Type) Value {
		prog.Results = append(prog.Results, len(prog.Slots))
		return slot(name, t, false)
	}
	var params, minima, trial, last []Value
	for i, q := range p.Params {
		prog.Param = append(prog.Param, i)
		params = append(params, slot(q.Name, float, true))
	}
	for k := 0; k < c.nmin; k++ {
		for i := 0; i < n; i++ {
			minima = append(minima, slot(fmt.Sprintf("minimum%d.%d", k, i), float, true))
		}
	}
	for i := 0; i < n; i++ {
		prog.Trial = append(prog.Trial, len(prog.Slots))
		trial = append(trial, slot(fmt.Sprintf("trial%d", i), float, false))
	}
	for i := 0; i < n; i++ {
		last = append(last, result(fmt.Sprintf("x%d", i), float))
	}
	loss := result("loss", float)
	gnorm := result("grad_norm", float)
	gnorm0 := slot("grad_norm_start", float, false)
	var ys []Value
	if c.o.Outputs {
		for i := 0; i < c.m2; i++ {
			ys = append(ys, result(fmt.Sprintf("y%d", i), float))
		}
	}
	var distance Value
	if c.nmin > 0 {
		distance = result("distance", float)
	}
	prog.Iteration = len(prog.Slots)
	iteration := result("iteration", program.I64)
	evaluations := result("evaluations", program.I64)
	counted := len(prog.Slots)
	fallbacks := result("fallbacks", program.I64)
	prog.Status = len(prog.Slots)
	result("status", program.I64)

	s := &Step{
		Builder: b, N: n, M: c.m2, X: trial, Last: last,
		First:    b.ILt(iteration, b.I(0)),
		settings: c.spec.Set,
		accept:   b.B(true),
		hold:     b.B(false),
	}
	// What the method declares comes after the framework's slots. The quantities
	// of a split step come last of all; what was declared is known from the fused step.
	if split {
		inputs := map[string]Value{}
		for _, v := range c.vars {
			inputs[v.name] = slot("method."+v.name, float, false)
		}
		var flat []Value
		for _, name := range c.want().Names(n, c.m2) {
			flat = append(flat, b.Input(name, float))
		}
		s.Quantities = graph.Unflatten(c.want(), n, c.m2, flat)
		s.input = func(name string) Value { return inputs[name] }
	} else {
		q, err := c.m.Emit(b, params, trial, c.want())
		if err != nil {
			return nil, nil, err
		}
		s.Quantities = q
		s.input = func(name string) Value { return slot("method."+name, float, false) }
	}
	s.inverse = func(y, x []Value) []Value {
		r, err := c.m.EmitInverse(b, params, x, y)
		if err != nil {
			panic(&program.Error{Msg: err.Error()})
		}
		return r
	}
	// A gradient whose square overflows or vanishes would pass the test below, and in float32 is nothing unusual.
	if c.o.GTol > 0 || float == program.F32 {
		s.GradNorm = linalg.Norm2(b, s.Grad)
	} else {
		s.GradNorm = s.norm(s.Grad)
	}
	c.spec.Method.Step(s)

	// What every method shares: accept, count, test, stop.
	acc := s.accept
	always := acc == b.B(true)
	one := func(cond Value) Value { return b.Select(cond, b.I(1), b.I(0)) }
	newIteration := b.IAdd(iteration, one(acc))
	before := evaluations
	if always {
		before = newIteration // one count serves both
	}
	newEvaluations := b.IAdd(before, b.I(1))
	g := s.GradNorm
	newGnorm0 := b.Select(s.First, g, gnorm0)

	var dist Value
	for k := 0; k < c.nmin; k++ {
		d := s.norm(s.minus(trial, minima[k*n:(k+1)*n]))
		if k == 0 {
			dist = d
		} else {
			dist = b.Min(d, dist)
		}
	}
	converged := b.B(false)
	if c.o.DTol > 0 && c.nmin > 0 {
		converged = b.Or(converged, b.Le(dist, b.F(c.o.DTol)))
	}
	if c.o.GTol > 0 {
		converged = b.Or(converged, b.Le(g, b.Mul(b.F(c.o.GTol), newGnorm0)))
	}
	if c.o.LTol > 0 {
		converged = b.Or(converged, b.Le(s.Loss, b.F(c.o.LTol)))
	}
	still := b.B(true)
	for i := range trial {
		still = b.And(still, b.Eq(s.next[i], trial[i]))
	}
	if c.o.XTol > 0 {
		still = b.Or(still, b.Le(s.norm(s.minus(s.next, trial)), b.Mul(b.F(c.o.XTol), s.norm(trial))))
	}

	// Later tests outrank earlier ones.
	status := b.I(int64(Running))
	stop := func(cond Value, st Status) { status = b.Select(cond, b.I(int64(st)), status) }
	if !always {
		stop(b.ILt(b.I(int64(c.o.Iterations)*evaluationsPerIteration), newEvaluations), IterationLimit)
	}
	stop(b.And(acc, still, b.Not(s.hold)), StepTooSmall)
	for _, f := range s.failures {
		stop(f.cond, f.status)
	}
	stop(b.And(acc, b.Not(b.ILt(newIteration, b.I(int64(c.o.Iterations))))), IterationLimit)
	stop(b.And(acc, converged), Converged)
	stop(b.And(acc, b.Not(s.AllFinite(append([]Value{s.Loss}, trial...)...))), Diverged)

	// A fallback counts where its step is taken.
	newFallbacks := b.IAdd(fallbacks, one(b.And(acc, b.IEq(status, b.I(int64(Running))), b.Or(s.fallback...))))

	// In the order of the slots, Fixed ones left out.
	out := append([]Value(nil), s.next...)
	out = append(out, s.selects(acc, trial, last)...)
	out = append(out, b.Select(acc, s.Loss, loss), b.Select(acc, g, gnorm), newGnorm0)
	if c.o.Outputs {
		out = append(out, s.selects(acc, s.Y, ys)...)
	}
	if c.nmin > 0 {
		out = append(out, b.Select(acc, dist, distance))
	}
	out = append(out, newIteration, newEvaluations)
	if len(s.fallback) > 0 {
		out = append(out, newFallbacks)
		prog.Rare = []int{counted}
	} else {
		prog.Slots[counted].Fixed = true // it stays zero
	}
	out = append(out, status)
	for _, v := range s.vars {
		out = append(out, v.next)
	}
	return b.Finish(out...), s.vars, nil
}
