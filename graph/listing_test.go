package graph

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"invar/problem"
	"invar/problem/formula"
)

func TestListing(t *testing.T) {
	p, err := problem.Builtin("square")
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := m.Listing(Y | Loss | Grad | GradY)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, part := range parts {
		got = append(got, "# "+part.Title)
		for _, f := range part.Formulas {
			got = append(got, f.Name+" = "+f.Expr.String())
		}
	}
	want := `# outputs and loss
y0 = x0
y1 = alpha*x1^2
L = x0^2 + y1^2
dL/dx0 = 2*x0
dL/dx1 = 4*alpha*x1*y1
# loss as a function of the outputs
L = y0^2 + y1^2
dL/dy0 = 2*y0
dL/dy1 = 2*y1`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
}

// The listed formulas, evaluated one after the other as they stand, give what the program gives.
func TestListingMeansTheProgram(t *testing.T) {
	const want = Y | Loss | Grad | Hess
	for _, name := range problem.Builtins() {
		p, err := problem.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Simulate != nil {
			continue // parts of it are joined by the chain rule, not by formulas
		}
		m, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := m.Listing(want)
		if err != nil {
			t.Fatal(err)
		}
		lowered := emit(t, m, want)
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			env := map[string]float64{}
			var params, x []float64
			for _, q := range p.Params {
				params = append(params, q.Default)
				env[q.Name] = q.Default
			}
			for i, b := range p.Box {
				x = append(x, b[0]+(b[1]-b[0])*rnd.Float64())
				env[p.Inputs[i]] = x[i]
			}
			byName := lowered.at(params, x)
			seen := map[string]bool{}
			for _, f := range parts[0].Formulas {
				v, err := f.Expr.Eval(env)
				if err != nil {
					t.Fatalf("%s: %s = %s: %v", name, f.Name, f.Expr, err)
				}
				if formula.IsName(f.Name) {
					env[f.Name] = v
				}
				key := f.Name
				switch {
				case key == "L":
					key = "loss"
				case strings.HasPrefix(key, "dL/d"):
					key = "grad" + index(p, strings.TrimPrefix(key, "dL/d"))
				case strings.HasPrefix(key, "d2L/d"):
					a, b, _ := strings.Cut(strings.TrimPrefix(key, "d2L/d"), "d")
					key = "hess" + index(p, a) + "_" + index(p, b)
				}
				w, ok := byName[key]
				if !ok {
					continue // a shared subexpression
				}
				seen[key] = true
				if d := math.Abs(v - w); !(d <= 1e-12*(1+math.Abs(w))) {
					t.Errorf("%s: %s = %s gives %v, the program %v", name, f.Name, f.Expr, v, w)
				}
			}
			if len(seen) <= p.M()+1 {
				t.Fatalf("%s: only %v were compared", name, seen)
			}
		}
	}
}

// index is the number of the input with the given name.
func index(p *problem.Problem, name string) string {
	for i, s := range p.Inputs {
		if s == name {
			return numbered("", i+1)[i]
		}
	}
	return "?"
}
