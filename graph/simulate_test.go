package graph

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"invar/problem"
	"invar/program"
)

// Random simulations: some of the state never depends on x, some only after a few steps, some only
// linearly. The carried derivatives must be right all the same, and those that stay zero not carried.
func TestRandomSimulations(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	term := func(names ...string) string {
		pick := func() string { return names[r.IntN(len(names))] }
		switch r.IntN(5) {
		case 0:
			return fmt.Sprintf("0.3*sin(%s*%s)", pick(), pick())
		case 1:
			return fmt.Sprintf("%s*%s/(2 + %s^2)", pick(), pick(), pick())
		case 2:
			return fmt.Sprintf("if(%s > 0.1, 0.4*%s, 0.2*%s^2)", pick(), pick(), pick())
		}
		return "0.5*" + pick()
	}
	for range 40 {
		file := fmt.Sprintf(`
inputs = ["a", "b"]
let = ["ab = a*b"]
outputs = ["u + %s + 0.1*ab", "v*w + a*c"]
loss = "y0^2 + sin(y1)*q + y0*y1"
box = [[-1, 1], [-1, 1]]
[params]
q = 0.7
[simulate]
state = ["u", "v", "w", "c"]
initial = ["%s", "%s", "q", "0.1*q"]
let = ["uv = u*v"]
step = ["0.5*u + %s", "%s + 0.1*uv", "0.9*w + %s", "0.5*c + 0.1*q"]
steps = %d
`, term("a", "w", "c"), term("a", "b", "q", "ab"), term("q", "b"), term("u", "v", "a"), term("v", "w", "b"), term("w", "c", "u"), 1+r.IntN(6))
		p, err := problem.Parse("random.toml", []byte(file))
		m := model(t, p, err)
		want := Y | Loss | Grad | Hess | Jac
		lowered := emit(t, m, want)
		var params, x [][]float64
		for range 4 {
			params = append(params, []float64{r.Float64()})
			x = append(x, []float64{2*r.Float64() - 1, 2*r.Float64() - 1})
		}
		tape := onTape(t, m, want, 3, params, x)
		for i := range x {
			ok := check(t, "lowered", p, lowered.at(params[i], x[i]), params[i], x[i], 1e-12)
			if !ok || !check(t, "tape", p, tape[i], params[i], x[i], 1e-12) {
				t.Fatal(file)
			}
		}
		sim, err := m.simulation(m.system, twice)
		if err != nil {
			t.Fatal(err)
		}
		for i, nz := range sim.nonzero.first[3] {
			if nz {
				t.Errorf("the derivative of c by x%d is carried, but c depends on q alone:%s", i, file)
			}
		}
	}
}

// The reverse may begin at what the current x leads to, where y does not tell everything.
func TestInverseFromCurrentState(t *testing.T) {
	const file = `
inputs = ["a", "b"]
outputs = ["u + 0*w"]
loss = "y0^2"
inverse = ["u + 0*y0", "v - w + a*0"]
box = [[-1, 1], [-1, 1]]
[params]
q = 0.7
[simulate]
state = ["u", "v", "w"]
initial = ["a", "b", "0"]
step = ["u + 0.1*v", "v - 0.1*q*u", "w"]
steps = 7
[simulate.reverse]
final = ["y0", "v", "w + 0.25*u"]
let = ["k = 1/(1 + 0.01*q)"]
step = ["k*(u - 0.1*v)", "k*(v + 0.1*q*u)", "w"]
`
	p, err := problem.Parse("reverse.toml", []byte(file))
	m := model(t, p, err)
	b := program.NewBuilder("inverse")
	params, x, y := b.Inputs("p", 1), b.Inputs("x", 2), b.Inputs("y", 1)
	out, err := m.EmitInverse(b, params, x, y)
	if err != nil {
		t.Fatal(err)
	}
	f := b.Finish(out...)
	for _, in := range [][]float64{{0.7, 0.3, -0.6, 0.9}, {0.2, -0.4, 0.5, -0.1}} {
		want, err := p.EvalInverse(map[string]float64{"q": in[0]}, in[1:3], in[3:])
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range f.EvalF64(in...) {
			if !same(v, want[i], 1e-13, 1) {
				t.Errorf("inverse at %v: x%d is %v, want %v", in, i, v, want[i])
			}
		}
	}
	if s := f.String(); strings.Count(s, "endloop") != 2 {
		t.Errorf("the inverse has %d loops, want one forward and one back", strings.Count(s, "endloop"))
	}
}

// What an optimizer needs no derivatives of costs none: the loop carries the state alone.
func TestLoopCarriesWhatIsWanted(t *testing.T) {
	p, err := problem.Builtin("pendulum")
	m := model(t, p, err)
	for want, carried := range map[Want]int{Loss: 2, Grad: 2 + 4, Hess: 2 + 4 + 6} {
		if got := strings.Count(emit(t, m, want).f.String(), "= phi"); got != carried {
			t.Errorf("want %b: the loop carries %d values, want %d", want, got, carried)
		}
	}
	p, err = problem.Builtin("heat") // linear: no second derivatives
	m = model(t, p, err)
	if got := strings.Count(emit(t, m, Hess).f.String(), "= phi"); got != 4+16 {
		t.Errorf("heat: the loop carries %d values, want 20", got)
	}
}
