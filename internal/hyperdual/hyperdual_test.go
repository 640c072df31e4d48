package hyperdual

import (
	"math"
	"testing"

	"invar/problem/formula"
)

// Derivatives of each function by central differences of the formula's own value. Points are inside
// all domains (0.3, 0.45) or, for one operand, also outside of the positive numbers.
func TestDifferences(t *testing.T) {
	formulas := []string{"x + y", "x - y", "x*y", "x/y", "-x", "x^y", "x^2", "x^-1.5", "if(x < y, x*x*y, y)", "max(x, y)*y", "min(x, y)*y", "relu(x)*y",
		"(x <= y)*x + (x > y)*y + (x >= y)*x^2 + (x == y) + (x != y)*y^2"}
	for _, f := range formula.Functions {
		switch {
		case f.MinArgs == 1:
			formulas = append(formulas, f.Name+"(x)", f.Name+"(x*y)")
		case f.MinArgs == 2:
			formulas = append(formulas, f.Name+"(x, y)", f.Name+"(x*y, x)")
		}
	}
	for _, s := range formulas {
		e, err := formula.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		const x, y = 0.3, 0.45
		value := func(dx, dy float64) float64 {
			v, err := e.Eval(map[string]float64{"x": x + dx, "y": y + dy})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		// Fourth-order differences along x, second-order mixed and repeated ones.
		const h, k = 1e-3, 1e-4
		first := (8*(value(h, 0)-value(-h, 0)) - (value(2*h, 0) - value(-2*h, 0))) / (12 * h)
		mixed := (value(k, k) - value(k, -k) - value(-k, k) + value(-k, -k)) / (4 * k * k)
		second := (value(k, 0) - 2*value(0, 0) + value(-k, 0)) / (k * k)
		for _, c := range []struct {
			what     string
			inX, inY Number // the directions: x and y with their dual parts
			want     func(Number) float64
			expect   float64
			tol      float64
		}{
			{"value", Number{V: x}, Number{V: y}, func(n Number) float64 { return n.V }, value(0, 0), 1e-14},
			{"d/dx", Number{V: x, A: 1}, Number{V: y}, func(n Number) float64 { return n.A }, first, 1e-8},
			{"d/dx as second direction", Number{V: x, B: 1}, Number{V: y}, func(n Number) float64 { return n.B }, first, 1e-8},
			{"d2/dxdy", Number{V: x, A: 1}, Number{V: y, B: 1}, func(n Number) float64 { return n.AB }, mixed, 1e-5},
			{"d2/dx2", Number{V: x, A: 1, B: 1}, Number{V: y}, func(n Number) float64 { return n.AB }, second, 1e-5},
		} {
			r, err := Eval(e, map[string]Number{"x": c.inX, "y": c.inY}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.want(r); !(math.Abs(got-c.expect) <= c.tol*max(1, math.Abs(c.expect))) {
				t.Errorf("%s of %s: %v, by differences %v", c.what, s, got, c.expect)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, e := range []*formula.Expr{
		{Op: "name", Name: "z"},
		{Op: "gamma", Args: []*formula.Expr{{Op: "num"}}},
		{Op: "add"},
	} {
		if _, err := Eval(e, nil, nil); err == nil {
			t.Errorf("%+v: no error", e)
		}
	}
}
