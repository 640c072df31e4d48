package graph

import (
	"fmt"
	"math"
	"testing"

	"invar/internal/hyperdual"
	"invar/problem"
	"invar/problem/formula"
	"invar/program"
)

// expression is the problem with inputs x0, x1, ..., a parameter p, the given formulas as outputs and
// the first of them as loss: so its Grad and Hess are those of the first formula.
func expression(n int, formulas ...string) (*problem.Problem, error) {
	p := &problem.Problem{Name: "expression", Inputs: numbered("x", n), Params: []problem.Param{{Name: "p", Default: 1}}}
	for range n {
		p.Box = append(p.Box, [2]float64{-1, 1})
	}
	for _, f := range formulas {
		e, err := formula.Parse(f)
		if err != nil {
			return nil, err
		}
		p.Outputs = append(p.Outputs, e)
	}
	p.Loss = &formula.Expr{Op: "name", Name: "y0"}
	return p, nil
}

// quantities is a problem's code for some quantities, by name.
type quantities struct {
	f     *program.Func
	names []string
}

func emit(t testing.TB, m *Model, want Want) quantities {
	t.Helper()
	p := m.Problem()
	b := program.NewBuilder(p.Name)
	params, x := b.Inputs("p", len(p.Params)), b.Inputs("x", p.N())
	q, err := m.Emit(b, params, x, want)
	if err != nil {
		t.Fatal(err)
	}
	return quantities{b.Finish(q.Flat(want)...), want.Names(p.N(), p.M())}
}

func (q quantities) at(params, x []float64) map[string]float64 {
	v := q.f.EvalF64(append(append([]float64(nil), params...), x...)...)
	r := map[string]float64{}
	for i, name := range q.names {
		r[name] = v[i]
	}
	return r
}

func model(t testing.TB, p *problem.Problem, err error) *Model {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// same compares to rounding: within tol times scale, all NaNs and equal infinities being the same.
func same(got, want, tol, scale float64) bool {
	switch {
	case math.IsNaN(want) || math.IsNaN(got):
		return math.IsNaN(want) && math.IsNaN(got)
	case math.IsInf(want, 0) || math.IsInf(got, 0):
		return got == want
	}
	return math.Abs(got-want) <= tol*max(scale, math.Abs(want))
}

// dual holds the derivatives of one quantity by x.
type dual struct {
	v    float64
	grad []float64
	hess [][]float64
}

// reference evaluates a problem by hyper-dual numbers: the outputs and, last, the loss. Largest is the
// largest finite magnitude of any intermediate result.
func reference(t testing.TB, p *problem.Problem, params, x []float64) (out []dual, largest float64) {
	t.Helper()
	n := p.N()
	for range p.M() + 1 {
		d := dual{grad: make([]float64, n), hess: make([][]float64, n)}
		for r := range d.hess {
			d.hess[r] = make([]float64, n)
		}
		out = append(out, d)
	}
	for i := range n {
		for j := range i + 1 {
			env := map[string]hyperdual.Number{}
			eval := func(e *formula.Expr) hyperdual.Number {
				v, err := hyperdual.Eval(e, env, func(r hyperdual.Number) {
					for _, v := range []float64{r.V, r.A, r.B, r.AB} {
						if v = math.Abs(v); v <= math.MaxFloat64 {
							largest = max(largest, v)
						}
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			bind := func(let []problem.Binding) {
				for _, b := range let {
					env[b.Name] = eval(b.Expr)
				}
			}
			set := func(names []string, es []*formula.Expr) {
				v := make([]hyperdual.Number, len(es))
				for k, e := range es {
					v[k] = eval(e)
				}
				for k := range es {
					env[names[k]] = v[k]
				}
			}
			for k, q := range p.Params {
				env[q.Name] = hyperdual.Constant(params[k])
			}
			set(targetNames(len(p.Target)), p.Target)
			for k, name := range p.Inputs {
				v := hyperdual.Number{V: x[k]}
				if k == i {
					v.A = 1
				}
				if k == j {
					v.B = 1
				}
				env[name] = v
			}
			bind(p.Let)
			if s := p.Simulate; s != nil {
				set(s.State, s.Initial)
				for range s.Steps {
					bind(s.Let)
					set(s.State, s.Step)
				}
			}
			set(outputNames(p.M()), p.Outputs)
			env["loss"] = eval(p.Loss)
			for k, name := range append(outputNames(p.M()), "loss") {
				r := env[name]
				out[k].v, out[k].grad[i] = r.V, r.A
				out[k].hess[i][j], out[k].hess[j][i] = r.AB, r.AB
			}
		}
	}
	return out, largest
}

// check compares y, loss, gradient, Hessian and Jacobian with the reference.
func check(t testing.TB, what string, p *problem.Problem, got map[string]float64, params, x []float64, tol float64) (ok bool) {
	t.Helper()
	ref, scale := reference(t, p, params, x)
	ok = true
	one := func(name string, want float64) {
		if v, there := got[name]; there && !same(v, want, tol, scale) {
			t.Errorf("%s at %v, parameters %v: %s is %v, hyper-dual %v (scale %g)", what, x, params, name, v, want, scale)
			ok = false
		}
	}
	m := p.M()
	for r := range m {
		one(fmt.Sprintf("y%d", r), ref[r].v)
		for i := range x {
			one(fmt.Sprintf("jac%d_%d", r, i), ref[r].grad[i])
		}
	}
	one("loss", ref[m].v)
	for i := range x {
		one(fmt.Sprintf("grad%d", i), ref[m].grad[i])
		for j := range i + 1 {
			one(fmt.Sprintf("hess%d_%d", i, j), ref[m].hess[i][j])
		}
	}
	return ok
}
