package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"invar/problem"
	"invar/problem/formula"
	"invar/program"
)

// points are inside the domain of the operation and off its kinks.
var operationTests = []struct {
	op     string // of the formula language
	f      string // with # for the operand or operands
	points []float64
}{
	{"add", "#0 + #1", []float64{-2.5, 0.3, 1.7}},
	{"sub", "#0 - #1", []float64{-2.5, 0.3, 1.7}},
	{"mul", "#0*#1", []float64{-2.5, 0.3, 1.7}},
	{"div", "#0/#1", []float64{-2.5, 0.3, 1.7}},
	{"neg", "-#0", []float64{-2.5, 0.3}},
	{"neg", "(#0 - -#1)*(-#0 + -#1)", []float64{-2.5, 0.3}},
	{"neg", "-#0*-#1 - #0/-#1 + -(-#0)", []float64{-2.5, 0.3}},
	{"pow", "#0^#1", []float64{0.4, 1.3, 2.7}},
	{"pow", "#0^0", []float64{-2.5, 0, 0.3}},
	{"pow", "#0^1", []float64{-2.5, 0, 0.3}},
	{"pow", "#0^2", []float64{-2.5, 0, 0.3}},
	{"pow", "#0^3", []float64{-2.5, 0, 0.3}},
	{"pow", "#0^4", []float64{-2.5, 0, 0.3}},
	{"pow", "#0^5", []float64{-2.5, 0, 0.3}},
	{"pow", "#0^-1", []float64{-2.5, 0.3}},
	{"pow", "#0^-2", []float64{-2.5, 0.3}},
	{"pow", "#0^-3", []float64{-2.5, 0.3}},
	{"pow", "#0^2.5", []float64{0.01, 0.3, 3}},
	{"pow", "#0^0.5", []float64{0.01, 0.3, 12}},
	{"pow", "2^#0", []float64{-2.5, 0.3, 4}},
	{"pow", "pow(#0, 3*p)", []float64{-2.5, 0.3}},
	{"lt", "(#0 < 0.5)*#1", []float64{-2.5, 0.3, 1.7}},
	{"le", "(#0 <= 0.5)*#1", []float64{-2.5, 0.3, 1.7}},
	{"gt", "(#0 > 0.5)*#1", []float64{-2.5, 0.3, 1.7}},
	{"ge", "(#0 >= 0.5)*#1", []float64{-2.5, 0.3, 1.7}},
	{"eq", "(#0 == 0.3)*#1", []float64{-2.5, 0.3, 1.7}},
	{"ne", "(#0 != 0.3)*#1", []float64{-2.5, 0.3, 1.7}},
	{"if", "if(#0 > 0.5, sin(#1)*#0, #0*#0*#1)", []float64{-2.5, 0.3, 1.7}},
	{"if", "if(#0, sin(#1), #0*#0*#1)", []float64{-2.5, 0, 1.7}},
	{"sqrt", "sqrt(#0)", []float64{1e-3, 0.3, 12}},
	{"exp", "exp(#0)", []float64{-5, 0.3, 4}},
	{"expm1", "expm1(#0)", []float64{-5, 1e-5, 4}},
	{"log", "log(#0)", []float64{1e-2, 0.3, 12}},
	{"log1p", "log1p(#0)", []float64{-0.9, 1e-5, 12}},
	{"log2", "log2(#0)", []float64{1e-2, 0.3, 12}},
	{"log10", "log10(#0)", []float64{1e-2, 0.3, 12}},
	{"sin", "sin(#0)", []float64{-5, 0, 4}},
	{"cos", "cos(#0)", []float64{-5, 0, 4}},
	{"tan", "tan(#0)", []float64{-5, 0.3, 4}},
	{"asin", "asin(#0)", []float64{-0.9, 0.3, 0.99}},
	{"acos", "acos(#0)", []float64{-0.9, 0.3, 0.99}},
	{"atan", "atan(#0)", []float64{-30, 0.3, 4}},
	{"atan2", "atan2(#0, #1)", []float64{-2.5, 0.3, 1.7}},
	{"sinh", "sinh(#0)", []float64{-5, 0, 4}},
	{"cosh", "cosh(#0)", []float64{-5, 0, 4}},
	{"tanh", "tanh(#0)", []float64{-5, 0, 4}},
	{"abs", "abs(#0)", []float64{-5, 0.3}},
	{"sign", "sign(#0)*#1", []float64{-5, 0.3}},
	{"min", "min(#0, #1)", []float64{-2.5, 0.3, 1.7}},
	{"max", "max(#0, #1)", []float64{-2.5, 0.3, 1.7}},
	{"hypot", "hypot(#0, #1)", []float64{-2.5, 0.3, 1.7}},
	{"sigmoid", "sigmoid(#0)", []float64{-20, -0.3, 0, 4, 20}},
	{"softplus", "softplus(#0)", []float64{-20, -0.3, 0, 4, 20}},
	{"relu", "relu(#0)*#1", []float64{-2.5, 0.3, 1.7}},
}

// Each operation, alone and composed so that mixed derivatives and powers of its own derivative
// appear, to second order; on the lowered code and on the tape.
func TestOperations(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range operationTests {
		seen[c.op] = true
		f := strings.NewReplacer("#0", "x0", "#1", "x1").Replace(c.f)
		inner := strings.NewReplacer("#0", "(x0*(1 + 0*x1))", "#1", "(x1 + 0*x0)").Replace(c.f)
		for _, f := range []string{
			f,
			inner,
			"sin(x2 + x0*x1 + " + f + ")",
			"x1*(" + f + ")^2 - x2",
			"exp(0.01*(" + f + ")*x2*x0)",
		} {
			p, err := expression(3, f)
			m := model(t, p, err)
			lowered := emit(t, m, Y|Loss|Grad|Hess|Jac)
			var params, x [][]float64
			for _, a := range c.points {
				for _, b := range c.points {
					if c.op == "min" || c.op == "max" {
						b += 0.125 // off the kink
					}
					params = append(params, []float64{1})
					x = append(x, []float64{a, b, 0.7})
				}
			}
			tape := onTape(t, m, Y|Loss|Grad|Hess|Jac, 4, params, x)
			for i := range x {
				check(t, "lowered "+f, p, lowered.at(params[i], x[i]), params[i], x[i], 2e-13)
				check(t, "tape "+f, p, tape[i], params[i], x[i], 2e-13)
			}
		}
	}
	for _, f := range formula.Functions {
		if !seen[f.Name] {
			t.Errorf("the function %s is not tested", f.Name)
		}
	}
	for op := range map[string]bool{"add": true, "sub": true, "mul": true, "div": true, "pow": true, "neg": true,
		"lt": true, "le": true, "gt": true, "ge": true, "eq": true, "ne": true} {
		if !seen[op] {
			t.Errorf("the operator %s is not tested", op)
		}
	}
}

// onTape evaluates samples on the tape: a map for each.
func onTape(t testing.TB, m *Model, want Want, batch int, params, x [][]float64) []map[string]float64 {
	t.Helper()
	tape, err := m.NewTape(batch, want)
	if err != nil {
		t.Fatal(err)
	}
	columns := func(rows [][]float64) [][]float64 {
		c := make([][]float64, len(rows[0]))
		for i := range c {
			for _, r := range rows {
				c[i] = append(c[i], r[i])
			}
		}
		return c
	}
	out, err := tape.Run(columns(params), columns(x))
	if err != nil {
		t.Fatal(err)
	}
	r := make([]map[string]float64, len(x))
	for s := range r {
		r[s] = map[string]float64{}
		for i, name := range want.Names(m.Problem().N(), m.Problem().M()) {
			r[s][name] = out[i][s]
		}
	}
	return r
}

// random writes random formulas whose values stay moderate.
type random struct {
	*rand.Rand
	arithmetic bool // + - * / sqrt only
}

func (r random) leaf() string {
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("%.3g", 0.1+2*r.Float64())
	case 1:
		return "p"
	case 2:
		return fmt.Sprintf("(-x%d)", r.IntN(3))
	}
	return fmt.Sprintf("x%d", r.IntN(3))
}

func (r random) formula(depth int) string {
	if depth == 0 {
		return r.leaf()
	}
	a := func() string { return r.formula(r.IntN(depth)) }
	// Arguments kept inside domains by the formulas themselves: the checks are about derivatives.
	bounded := func() string { return "sin(" + a() + ")" }
	if r.arithmetic {
		bounded = func() string { s := a(); return s + "/(1 + (" + s + ")*(" + s + "))" }
	}
	positive := func() string { return "(1.5 + " + bounded() + ")" }
	k := r.IntN(25)
	if r.arithmetic {
		k = r.IntN(6)
	}
	switch k {
	case 0, 1:
		return "(" + a() + " + " + a() + ")"
	case 2:
		return "(" + a() + " - " + a() + ")"
	case 3:
		return "(" + bounded() + ")*(" + a() + ")"
	case 4:
		return "(" + a() + ")/" + positive()
	case 5:
		return "sqrt(" + positive() + ")"
	case 6:
		return positive() + "^(" + bounded() + ")"
	case 7:
		return fmt.Sprintf("(%s)^%d", bounded(), r.IntN(6))
	case 8:
		return "exp(" + bounded() + ")"
	case 9:
		return []string{"log", "log2", "log10", "log1p"}[r.IntN(4)] + "(" + positive() + ")"
	case 10:
		return []string{"asin", "acos"}[r.IntN(2)] + "(0.9*" + bounded() + ")"
	case 11:
		return []string{"sinh", "cosh", "expm1", "tan"}[r.IntN(4)] + "(" + bounded() + ")"
	case 12:
		return []string{"tanh", "sigmoid", "atan", "cos"}[r.IntN(4)] + "(" + a() + ")"
	case 13:
		return []string{"softplus", "abs", "relu"}[r.IntN(3)] + "(" + a() + ")"
	case 14:
		return "hypot(" + positive() + ", " + a() + ")"
	case 15:
		return "atan2(" + a() + ", " + positive() + ")"
	case 16, 17:
		return []string{"min", "max"}[r.IntN(2)] + "(" + a() + ", " + a() + ")"
	case 18, 19, 20:
		return "if(" + a() + []string{" < ", " <= ", " > ", " >= "}[r.IntN(4)] + a() + ", " + a() + ", " + a() + ")"
	case 21: // the branch that is not taken is not a number
		return "if(x1 > 0, sqrt(relu(x0))*log(x1), " + a() + ")"
	case 22:
		return "sign(" + a() + ")*(" + a() + ")"
	}
	return "(" + bounded() + ")*(" + a() + ")"
}

func TestRandomExpressions(t *testing.T) {
	r := random{Rand: rand.New(rand.NewPCG(1, 2))}
	independent := 0
	for range 250 {
		f, g := r.formula(5), r.formula(3)
		p, err := expression(3, f, g)
		m := model(t, p, err)
		want := Y | Loss | Grad | Hess | Jac
		lowered := emit(t, m, want)
		var params, x [][]float64
		for range 5 {
			params = append(params, []float64{0.5 + r.Float64()})
			x = append(x, []float64{4*r.Float64() - 2, 4*r.Float64() - 2, 4*r.Float64() - 2})
		}
		tape := onTape(t, m, want, 3, params, x) // the last batch is padded
		for i := range x {
			ok := check(t, "lowered "+f, p, lowered.at(params[i], x[i]), params[i], x[i], 1e-11)
			if !ok || !check(t, "tape "+f, p, tape[i], params[i], x[i], 1e-11) {
				return
			}
		}
		// What a formula does not mention it does not depend on: no code at all.
		s, err := m.system(final, value, value, twice)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range p.Inputs {
			if !uses([]string{name}, p.Outputs[:1]) {
				independent++
				if s.d1[2][i] != nil {
					t.Errorf("%s: the derivative by %s, which it lacks, is not structurally zero", f, name)
				}
			}
		}
	}
	if independent < 10 {
		t.Errorf("only %d cases of independence among the random formulas", independent)
	}
}

// Without elementary functions the code before fusing and the tape give the same bits.
func TestArithmeticBitForBit(t *testing.T) {
	r := random{rand.New(rand.NewPCG(3, 4)), true}
	for range 60 {
		f, g := r.formula(4), r.formula(4)
		p, err := expression(3, f, g)
		if err != nil {
			t.Fatal(err)
		}
		p.Loss, err = formula.Parse("y0*y0 + y1/(2 + y0*y0)")
		m := model(t, p, err)
		lowered := emit(t, m, allWants)
		var params, x [][]float64
		for range 7 {
			params = append(params, []float64{0.5 + r.Float64()})
			x = append(x, []float64{4*r.Float64() - 2, 4*r.Float64() - 2, 4*r.Float64() - 2})
		}
		x[0] = []float64{0, 0, 0}
		tape := onTape(t, m, allWants, 4, params, x)
		for i := range x {
			got := lowered.at(params[i], x[i])
			for name, want := range tape[i] {
				v := got[name]
				if math.Float64bits(v) != math.Float64bits(want) && !(math.IsNaN(v) && math.IsNaN(want)) && !(v == 0 && want == 0) {
					t.Fatalf("%s, %s at %v: %s is %v, on the tape %v", f, g, x[i], name, v, want)
				}
			}
		}
	}
}

// The derivative is the chosen branch's also where the other one has none.
func TestBranches(t *testing.T) {
	checked := 0
	for _, f := range []string{
		"if(x0 > 0, sqrt(x0), 0)",
		"if(x0 > 0, x0*log(x0), x1)",
		"if(x0 > 0, sqrt(x0)*x1, x1^2)",
		"if(x0 > 0, if(x1 > 0, log(x0*x1), sqrt(x0)), if(x1 > 0, sqrt(x1), -x0*x1))",
		"max(x0*x1, sqrt(x0 - 1)) + min(log(x0), x1)",
		"relu(x0)*x1 + relu(log(x0))",
		"if(x0 > 0, sqrt(x0), x1)*if(x0 <= 0, x1^3, 1/x0)",
		"if((x0 > 0)*(x1 > 0), sqrt(x0)*sqrt(x1), x0*x1)",
		"if(x0 > 0, sqrt(x0)*sqrt(x0), 0) + if(x1 > 0, sqrt(1 + x0*x0)/x1, 1)",
		"pow(x0, p - 1) + pow(x0, p)",
		"x0^p*x1",
		"if(x0 < 0.5, sqrt(0.5 - x0), 0) + if(x0 < 0.25, sqrt(0.25 - x0), if(x0 < 0.5, sqrt(0.5 - x0)*2, 0))",
	} {
		p, err := expression(2, f)
		m := model(t, p, err)
		lowered := emit(t, m, Loss|Grad|Hess)
		for _, x := range [][]float64{{0, 1}, {-1, 2}, {1.5, -2}, {-1, -1}, {2, 3}, {0.3, 0.25}, {0.1, 0}} {
			got := lowered.at([]float64{1}, x)
			ref, _ := reference(t, p, []float64{1}, x)
			finite := true
			for i := range x {
				finite = finite && !math.IsNaN(ref[1].grad[i]) && !math.IsNaN(ref[1].hess[i][0]) && !math.IsNaN(ref[1].hess[i][1])
			}
			if finite {
				checked++
				check(t, f, p, got, []float64{1}, x, 1e-13)
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d comparisons: the others have no derivative", checked)
	}
}

// Powers at the edge of their domain: zero where the limit is.
func TestPowerAtZero(t *testing.T) {
	p, err := expression(2, "x0^x1")
	m := model(t, p, err)
	q := emit(t, m, Loss|Grad|Hess)
	for _, c := range []struct {
		x    []float64
		want string // loss, grad0, grad1, hess0_0, hess1_0, hess1_1
	}{
		{[]float64{0, 2}, "0 0 0 2 0 0"},
		{[]float64{0, 3}, "0 0 0 0 0 0"},
		{[]float64{-2, 0}, "1 0 NaN 0 NaN NaN"}, // by x1 there is no derivative
		{[]float64{1, 0}, "1 0 0 0 1 0"},
	} {
		v := q.at([]float64{1}, c.x)
		// Adding 0 makes zeros positive.
		got := fmt.Sprint(0+v["loss"], 0+v["grad0"], 0+v["grad1"], 0+v["hess0_0"], 0+v["hess1_0"], 0+v["hess1_1"])
		if got != c.want {
			t.Errorf("at %v: %s, want %s", c.x, got, c.want)
		}
	}
}

// On Gorgonia's own rule for log2 the comparison must fail: it would not be a check otherwise.
func TestWrongRuleIsSeen(t *testing.T) {
	log2 := table["log2"]
	gorgonia.Lock()
	wrong, err := readRule(log2, nil)
	right := rules[log2]
	rules[log2] = wrong
	gorgonia.Unlock()
	defer func() {
		gorgonia.Lock()
		defer gorgonia.Unlock()
		delete(rules, log2)
		if right != nil {
			rules[log2] = right
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	p, err := expression(1, "log2(x0)")
	m := model(t, p, err)
	got := emit(t, m, Grad).at([]float64{1}, []float64{3})["grad0"]
	ref, _ := reference(t, p, []float64{1}, []float64{3})
	if same(got, ref[1].grad[0], 1e-6, 1) {
		t.Errorf("d log2/dx at 3 by Gorgonia's rule is %v, as it should be: the rule of our own is not needed", got)
	}
}

// builtinPoints are off the axes, at odd parameters.
func builtinPoints(p *problem.Problem, r *rand.Rand) (params, x []float64) {
	for _, q := range p.Params {
		params = append(params, q.Default*(0.6+r.Float64()))
	}
	for _, b := range p.Box {
		x = append(x, b[0]+(b[1]-b[0])*(0.1+0.8*r.Float64()))
	}
	return params, x
}

func named(p *problem.Problem, params []float64) map[string]float64 {
	r := map[string]float64{}
	for i, q := range p.Params {
		r[q.Name] = params[i]
	}
	return r
}

func builtins(t *testing.T, test func(t *testing.T, p *problem.Problem, m *Model)) {
	names := problem.Builtins()
	if len(names) == 0 {
		t.Fatal("no built-in problems")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			p, err := problem.Builtin(name)
			test(t, p, model(t, p, err))
		})
	}
}

func TestBuiltinsHyperDual(t *testing.T) {
	builtins(t, func(t *testing.T, p *problem.Problem, m *Model) {
		want := Y | Loss | Grad | Hess | Jac
		lowered := emit(t, m, want)
		r := rand.New(rand.NewPCG(5, 6))
		var params, x [][]float64
		for range 5 {
			a, b := builtinPoints(p, r)
			params, x = append(params, a), append(x, b)
		}
		tape := onTape(t, m, want, 3, params, x)
		for i := range x {
			check(t, "lowered", p, lowered.at(params[i], x[i]), params[i], x[i], 1e-10)
			check(t, "tape", p, tape[i], params[i], x[i], 1e-10)
		}
	})
}

// central is the derivative of f by x[i] by central differences, and the size of its errors.
func central(f func(x []float64) float64, x []float64, i int) (d, scale float64) {
	h := 1e-5 * max(1, math.Abs(x[i]))
	at := func(v float64) float64 {
		y := append([]float64(nil), x...)
		y[i] = v
		return f(y)
	}
	up, down := at(x[i]+h), at(x[i]-h)
	return (up - down) / (2 * h), max(math.Abs(up), math.Abs(down), 1)
}

func TestBuiltinsFiniteDifferences(t *testing.T) {
	builtins(t, func(t *testing.T, p *problem.Problem, m *Model) {
		lowered := emit(t, m, allWants)
		r := rand.New(rand.NewPCG(7, 8))
		for range 3 {
			params, x := builtinPoints(p, r)
			got := lowered.at(params, x)
			eval := func(x []float64) ([]float64, float64) {
				y, loss, err := p.Eval(named(p, params), x)
				if err != nil {
					t.Fatal(err)
				}
				return y, loss
			}
			// Differences are good to the square of the step times the third derivative: allow for both
			// that and for the rounding of the function.
			one := func(name string, f func([]float64) float64, x []float64, i int, tol float64) {
				d, scale := central(f, x, i)
				for j := range x {
					_, s := central(f, x, j)
					scale = max(scale, s)
				}
				if !same(got[name], d, tol, scale) {
					t.Errorf("%s at %v, parameters %v: %v, by differences %v (scale %g)", name, x, params, got[name], d, scale)
				}
			}
			y, _ := eval(x)
			for i := range x {
				one(fmt.Sprintf("grad%d", i), func(x []float64) float64 { _, l := eval(x); return l }, x, i, 1e-6)
				for k := range y {
					one(fmt.Sprintf("jac%d_%d", k, i), func(x []float64) float64 { y, _ := eval(x); return y[k] }, x, i, 1e-6)
				}
				for j := range i + 1 {
					one(fmt.Sprintf("hess%d_%d", i, j), func(x []float64) float64 {
						return lowered.at(params, x)[fmt.Sprintf("grad%d", j)]
					}, x, i, 1e-5)
				}
			}
			env := named(p, params)
			for k, e := range p.Target {
				v, err := e.Eval(named(p, params))
				if err != nil {
					t.Fatal(err)
				}
				env[targetNames(k + 1)[k]] = v
			}
			lossOf := func(y []float64) float64 {
				for k, v := range y {
					env[outputNames(k + 1)[k]] = v
				}
				v, err := p.Loss.Eval(env)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			for k := range y {
				one(fmt.Sprintf("grady%d", k), lossOf, y, k, 1e-6)
				for l := range k + 1 {
					one(fmt.Sprintf("hessy%d_%d", k, l), func(y []float64) float64 {
						d, _ := central(lossOf, y, l)
						return d
					}, y, k, 1e-3)
				}
			}
		}
	})
}

func TestBuiltinsInverseAndMinima(t *testing.T) {
	inverses, minima := 0, 0
	builtins(t, func(t *testing.T, p *problem.Problem, m *Model) {
		r := rand.New(rand.NewPCG(9, 10))
		params, x := builtinPoints(p, r)
		if m.Problem().Inverse != nil {
			inverses++
			b := program.NewBuilder("inverse")
			pv, xv, yv := b.Inputs("p", len(p.Params)), b.Inputs("x", p.N()), b.Inputs("y", p.M())
			out, err := m.EmitInverse(b, pv, xv, yv)
			if err != nil {
				t.Fatal(err)
			}
			f := b.Finish(out...)
			y, _, err := p.Eval(named(p, params), x)
			if err != nil {
				t.Fatal(err)
			}
			for k := range y {
				y[k] *= 1 + 0.01*r.Float64()
			}
			want, err := p.EvalInverse(named(p, params), x, y)
			if err != nil {
				t.Fatal(err)
			}
			got := f.EvalF64(append(append(append([]float64(nil), params...), x...), y...)...)
			for i := range want {
				if !same(got[i], want[i], 1e-7, 1) {
					t.Errorf("inverse: x%d is %v, want %v", i, got[i], want[i])
				}
			}
		}
		b := program.NewBuilder("minima")
		out, err := m.EmitMinima(b, b.Inputs("p", len(p.Params)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := p.EvalMinima(named(p, params))
		if err != nil || len(out) != len(want) {
			t.Fatalf("%d minima, want %d, %v", len(out), len(want), err)
		}
		var flat []program.Value
		for _, x := range out {
			flat = append(flat, x...)
		}
		got := b.Finish(flat...).EvalF64(params...)
		for i := range want {
			minima++
			for j, v := range want[i] {
				if !same(got[i*p.N()+j], v, 1e-14, 1) {
					t.Errorf("minimum %d: %v, want %v", i, got[i*p.N():(i+1)*p.N()], want[i])
				}
			}
		}
	})
	if inverses == 0 || minima == 0 {
		t.Errorf("%d inverses and %d minima among the built-in problems: nothing was tested", inverses, minima)
	}
}

func TestFlat(t *testing.T) {
	const n, m = 3, 2
	for w := range allWants + 1 {
		names := w.Names(n, m)
		v := make([]program.Value, len(names))
		for i := range v {
			v[i] = program.Value(i + 10)
		}
		q := Unflatten(w, n, m, v)
		if back := q.Flat(w); fmt.Sprint(back) != fmt.Sprint(v) {
			t.Fatalf("want %b: %v, flattened again %v", w, v, back)
		}
		for i, name := range names {
			if name == "hess2_1" && (q.Hess[2][1] != v[i] || q.Hess[1][2] != v[i]) {
				t.Errorf("%s: got %v and %v, want %v", name, q.Hess[2][1], q.Hess[1][2], v[i])
			}
			if name == "jac1_2" && q.Jac[1][2] != v[i] {
				t.Errorf("%s: got %v, want %v", name, q.Jac[1][2], v[i])
			}
		}
	}
}

// Emitting twice writes nothing twice, and a guard may hold a second emission.
func TestEmitTwice(t *testing.T) {
	p, err := problem.Builtin("rosenbrock")
	m := model(t, p, err)
	b := program.NewBuilder("twice")
	params, x := b.Inputs("p", len(p.Params)), b.Inputs("x", p.N())
	first, err := m.Emit(b, params, x, Grad|Hess)
	if err != nil {
		t.Fatal(err)
	}
	n := b.Len()
	again, err := m.Emit(b, params, x, Grad|Hess)
	if err != nil || b.Len() != n || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Fatalf("%d operations after the first, %d after the second, %v", n, b.Len(), err)
	}
	moved := []program.Value{b.Add(x[0], b.F(1)), x[1]}
	out := b.Guard(b.Lt(x[0], b.F(0)), []program.Value{b.F(0)}, func() []program.Value {
		q, err := m.Emit(b, params, moved, Loss)
		if err != nil {
			t.Fatal(err)
		}
		return []program.Value{q.Loss}
	})
	f := b.Finish(out...)
	_, want, err := p.Eval(nil, []float64{0.5, 2})
	if got := f.EvalF64(append(defaults(p), -0.5, 2)...)[0]; err != nil || !same(got, want, 1e-14, 0) {
		t.Errorf("inside a guard the loss is %v, want %v, %v", got, want, err)
	}
}

func defaults(p *problem.Problem) []float64 {
	var v []float64
	for _, q := range p.Params {
		v = append(v, q.Default)
	}
	return v
}

func TestErrors(t *testing.T) {
	p, err := problem.Builtin("rosenbrock")
	m := model(t, p, err)
	b := program.NewBuilder("errors")
	x := b.Inputs("x", 2)
	params := b.Inputs("p", len(p.Params))
	for what, err := range map[string]error{
		"one input too few":  second(m.Emit(b, params, x[:1], Y)),
		"an unknown want":    second(m.Emit(b, params, x, 1<<20)),
		"a batch of one":     second(m.NewTape(1, Y)),
		"no problem":         second(New(nil)),
		"too few new y":      second(m.EmitInverse(b, params, x, nil)),
		"too few parameters": second(m.EmitMinima(b, append(params, x[0]))),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "graph: ") {
			t.Errorf("%s: error %v, want one of graph", what, err)
		}
	}
	tape, err := m.NewTape(2, Y)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tape.Run(nil, [][]float64{{1}, {1, 2}}); err == nil {
		t.Error("columns of different lengths are taken")
	}
}

func second[T any](_ T, err error) error { return err }

// chained is a problem whose lets u0, u1, ... each build on the one before, and whose output is the last.
func chained(t *testing.T, n, lets int, format string) *Model {
	p, err := expression(n, fmt.Sprintf("u%d", lets-1))
	if err != nil {
		t.Fatal(err)
	}
	last := "x0"
	for i := range lets {
		e, err := formula.Parse(strings.NewReplacer("#x", fmt.Sprintf("x%d", i%n), "#u", last, "#i", fmt.Sprint(i)).Replace(format))
		if err != nil {
			t.Fatal(err)
		}
		last = fmt.Sprintf("u%d", i)
		p.Let = append(p.Let, problem.Binding{Name: last, Expr: e})
	}
	return model(t, p, nil)
}

// Formulas come from strangers: what is too large is refused soon and clearly.
func TestTooLarge(t *testing.T) {
	m := chained(t, 16, 500, "sin(#x*#u + #i)*exp(#u/(1 + #u*#u))")
	b := program.NewBuilder("large")
	_, err := m.Emit(b, b.Inputs("p", 1), b.Inputs("x", 16), Hess)
	if err == nil || !strings.Contains(err.Error(), "nodes") {
		t.Errorf("the Hessian of a huge formula: error %v, want one about the number of nodes", err)
	}
}

// Branches within branches share what they have in common: the derivatives grow with the length of the
// formula, not with the number of ways through it.
func TestManyBranches(t *testing.T) {
	for _, format := range []string{
		"if(#x > #i/100 - 1, #u*0.9 + #x, sin(#u) - #x)",
		"max(#u, #x*#i/50) + min(#u*#x, 1)",
		"if(#u > 0, if(#x > #u, #u, #x^2), if(#x > 0, #x*#u, 0.5*#u))",
	} {
		m := chained(t, 3, 60, format)
		x := []float64{0.37, -0.71, 0.83}
		check(t, format, m.Problem(), emit(t, m, Loss|Grad|Hess).at([]float64{1}, x), []float64{1}, x, 1e-11)
		s, err := m.system(final, unwanted, twice)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(s.d.nodes); n > 10_000 {
			t.Errorf("%s, 60 times: the graph has %d nodes", format, n)
		}
	}
}

func TestConcurrent(t *testing.T) {
	p, err := problem.Builtin("square")
	m := model(t, p, err)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own, err := New(p)
			if err != nil {
				t.Error(err)
				return
			}
			for _, m := range []*Model{m, own} {
				b := program.NewBuilder("concurrent")
				if _, err := m.Emit(b, b.Inputs("p", len(p.Params)), b.Inputs("x", p.N()), Want(1+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// From a formula to its derivatives: never a panic, and the value is that of the formula.
func FuzzFormula(f *testing.F) {
	for _, c := range operationTests {
		f.Add(strings.NewReplacer("#0", "x0", "#1", "x1").Replace(c.f))
	}
	f.Add("if(x0, x0^x1, x1/x0) - max(x0, log(x1), 0/0)")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 300 {
			return
		}
		p, err := expression(2, s)
		if err != nil {
			return
		}
		m, err := New(p)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "graph: ") {
				t.Fatal(err)
			}
			return
		}
		b := program.NewBuilder("fuzz")
		params, x := b.Inputs("p", 1), b.Inputs("x", 2)
		q, err := m.Emit(b, params, x, Loss|Grad|Hess)
		if err != nil {
			return
		}
		g := b.Finish(q.Flat(Loss | Grad | Hess)...)
		at := []float64{1, 0.7, -1.3}
		want, err := p.Outputs[0].Eval(map[string]float64{"p": 1, "x0": 0.7, "x1": -1.3})
		if err != nil {
			t.Fatal(err)
		}
		got := g.EvalF64(at...)[0]
		// Larger formulas may lose everything to cancellation, or be huge powers of rounding errors.
		if p.Outputs[0].Nodes() <= 4 && !same(got, want, 1e-6, 1) {
			t.Errorf("%s is %v, want %v", s, got, want)
		}
	})
}
