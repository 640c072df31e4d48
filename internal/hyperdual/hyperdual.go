// Package hyperdual evaluates formulas together with their exact first and second derivatives by
// hyper-dual numbers: the reference that the symbolic derivatives of package graph are tested against.
//
// A formula and numbers with two directions go in; the value, both directional derivatives and the
// mixed second one come out. It shares nothing with the graphs: derivatives are written as closed forms
// of the argument, forward, on Go's math package.
//
// Source: J. A. Fike and J. J. Alonso, The Development of Hyper-Dual Numbers for Exact
// Second-Derivative Calculations, AIAA 2011-886.
package hyperdual

import (
	"fmt"
	"math"

	"invar/problem/formula"
)

// Number is V + A e1 + B e2 + AB e1 e2 with e1^2 = e2^2 = 0.
type Number struct{ V, A, B, AB float64 }

// Constant is a number that depends on nothing.
func Constant(v float64) Number { return Number{V: v} }

// product is a*b, where a zero b stands for "does not depend", or for a limit of zero, and wins over
// an Inf or NaN.
func product(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a * b
}

// unary applies a function with value f, first derivative d and second dd at x.V.
func unary(x Number, f, d, dd float64) Number {
	return Number{f, product(d, x.A), product(d, x.B), product(d, x.AB) + product(dd, product(x.A, x.B))}
}

// binary applies a function with the given partial derivatives at (x.V, y.V).
func binary(x, y Number, f, fx, fy, fxx, fxy, fyy float64) Number {
	return Number{
		V: f,
		A: product(fx, x.A) + product(fy, y.A),
		B: product(fx, x.B) + product(fy, y.B),
		AB: product(fx, x.AB) + product(fy, y.AB) + product(fxx, product(x.A, x.B)) +
			product(fxy, product(x.A, y.B)) + product(fxy, product(y.A, x.B)) + product(fyy, product(y.A, y.B)),
	}
}

// Eval evaluates a formula; see is, if not nil, is shown every intermediate result. The derivative of
// a choice (if, min, max, relu) is that of what was chosen, that of sign is zero, and that of abs at 0.
// Errors are names without a value and operations that it does not know.
func Eval(e *formula.Expr, env map[string]Number, see func(Number)) (Number, error) {
	r, err := eval(e, env, see)
	if err == nil && see != nil {
		see(r)
	}
	return r, err
}

func eval(e *formula.Expr, env map[string]Number, see func(Number)) (Number, error) {
	switch e.Op {
	case "num":
		return Constant(e.Value), nil
	case "name":
		if v, ok := env[e.Name]; ok {
			return v, nil
		}
		return Number{}, fmt.Errorf("hyperdual: the name %q has no value", e.Name)
	}
	var arg [3]Number
	if len(e.Args) == 0 || len(e.Args) > len(arg) {
		return Number{}, fmt.Errorf("hyperdual: operation %q with %d operands, 1 to 3 are known", e.Op, len(e.Args))
	}
	for i, a := range e.Args {
		v, err := Eval(a, env, see)
		if err != nil {
			return Number{}, err
		}
		arg[i] = v
	}
	if f := unaries[e.Op]; f != nil {
		v, d, dd := f(arg[0].V)
		return unary(arg[0], v, d, dd), nil
	}
	a, b := arg[0], arg[1]
	x, y := a.V, b.V
	switch e.Op {
	case "add":
		return binary(a, b, x+y, 1, 1, 0, 0, 0), nil
	case "sub":
		return binary(a, b, x-y, 1, -1, 0, 0, 0), nil
	case "mul":
		return binary(a, b, x*y, y, x, 0, 1, 0), nil
	case "div":
		return binary(a, b, x/y, 1/y, -x/(y*y), 0, -1/(y*y), 2*x/(y*y*y)), nil
	case "pow":
		v, l := math.Pow(x, y), math.Log(x)
		return binary(a, b, v,
			product(math.Pow(x, y-1), y), product(l, v),
			product(math.Pow(x, y-2), y*(y-1)), math.Pow(x, y-1)*(1+y*l), product(l*l, v)), nil
	case "atan2": // of (y, x): here x is the first
		r := x*x + y*y
		return binary(a, b, math.Atan2(x, y), y/r, -x/r, -2*x*y/(r*r), (x*x-y*y)/(r*r), 2*x*y/(r*r)), nil
	case "hypot":
		h := math.Hypot(x, y)
		return binary(a, b, h, x/h, y/h, y*y/(h*h*h), -x*y/(h*h*h), x*x/(h*h*h)), nil
	case "lt":
		return truth(x < y), nil
	case "le":
		return truth(x <= y), nil
	case "gt":
		return truth(x > y), nil
	case "ge":
		return truth(x >= y), nil
	case "eq":
		return truth(x == y), nil
	case "ne":
		return truth(x != y), nil
	case "if":
		return choose(x != 0, b, arg[2]), nil
	case "min":
		return choose(x < y, a, b), nil
	case "max":
		return choose(x > y, a, b), nil
	case "relu":
		return choose(x > 0, a, Constant(0)), nil
	}
	return Number{}, fmt.Errorf("hyperdual: operation %q is not known", e.Op)
}

func truth(c bool) Number { return choose(c, Constant(1), Constant(0)) }

func choose(c bool, a, b Number) Number {
	if c {
		return a
	}
	return b
}

// unaries give the value and the first two derivatives.
var unaries = map[string]func(x float64) (f, d, dd float64){
	"neg":  func(x float64) (f, d, dd float64) { return -x, -1, 0 },
	"sqrt": func(x float64) (f, d, dd float64) { s := math.Sqrt(x); return s, 0.5 / s, -0.25 / (x * s) },
	"exp":  func(x float64) (f, d, dd float64) { e := math.Exp(x); return e, e, e },
	"expm1": func(x float64) (f, d, dd float64) {
		return math.Expm1(x), math.Exp(x), math.Exp(x)
	},
	"log":   func(x float64) (f, d, dd float64) { return math.Log(x), 1 / x, -1 / (x * x) },
	"log1p": func(x float64) (f, d, dd float64) { return math.Log1p(x), 1 / (1 + x), -1 / ((1 + x) * (1 + x)) },
	"log2": func(x float64) (f, d, dd float64) {
		return math.Log2(x), math.Log2E / x, -math.Log2E / (x * x)
	},
	"log10": func(x float64) (f, d, dd float64) {
		return math.Log10(x), math.Log10E / x, -math.Log10E / (x * x)
	},
	"sin": func(x float64) (f, d, dd float64) { s, c := math.Sincos(x); return s, c, -s },
	"cos": func(x float64) (f, d, dd float64) { s, c := math.Sincos(x); return c, -s, -c },
	"tan": func(x float64) (f, d, dd float64) {
		c := math.Cos(x)
		return math.Tan(x), 1 / (c * c), 2 * math.Tan(x) / (c * c)
	},
	"asin": func(x float64) (f, d, dd float64) {
		r := 1 - x*x
		return math.Asin(x), 1 / math.Sqrt(r), x / (r * math.Sqrt(r))
	},
	"acos": func(x float64) (f, d, dd float64) {
		r := 1 - x*x
		return math.Acos(x), -1 / math.Sqrt(r), -x / (r * math.Sqrt(r))
	},
	"atan": func(x float64) (f, d, dd float64) {
		r := 1 + x*x
		return math.Atan(x), 1 / r, -2 * x / (r * r)
	},
	"sinh": func(x float64) (f, d, dd float64) { return math.Sinh(x), math.Cosh(x), math.Sinh(x) },
	"cosh": func(x float64) (f, d, dd float64) { return math.Cosh(x), math.Sinh(x), math.Cosh(x) },
	"tanh": func(x float64) (f, d, dd float64) {
		c := math.Cosh(x)
		return math.Tanh(x), 1 / (c * c), -2 * math.Tanh(x) / (c * c)
	},
	"sigmoid": func(x float64) (f, d, dd float64) {
		c := 2 * math.Cosh(x/2)
		return 0.5 * (1 + math.Tanh(x/2)), 1 / (c * c), -math.Tanh(x/2) / (c * c)
	},
	"softplus": func(x float64) (f, d, dd float64) {
		c := 2 * math.Cosh(x/2)
		return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))), 0.5 * (1 + math.Tanh(x/2)), 1 / (c * c)
	},
	"abs": func(x float64) (f, d, dd float64) {
		switch {
		case x > 0:
			return x, 1, 0
		case x < 0:
			return -x, -1, 0
		}
		return math.Abs(x), x, 0
	},
	"sign": func(x float64) (f, d, dd float64) {
		switch {
		case x > 0:
			return 1, 0, 0
		case x < 0:
			return -1, 0, 0
		}
		return x, 0, 0
	},
}
