package formula

import (
	"fmt"
	"math"
	"sort"
	"strings"
)

// Eval computes the formula with Go's math package, env giving the value of each name. It is the
// plain reading of the language: the reference that tests and checks compare programs with (to rounding,
// for the programs have expansions of their own; the last bits depend on the processor), and the way to
// numbers for pictures. No result comes from it. Both branches of an if
// are evaluated, as they are in programs. The only error is a name without a value; mathematical
// failures are NaN and Inf.
func (e *Expr) Eval(env map[string]float64) (float64, error) {
	switch e.Op {
	case "num":
		return e.Value, nil
	case "name":
		if v, ok := env[e.Name]; ok {
			return v, nil
		}
		names := make([]string, 0, len(env))
		for n := range env {
			names = append(names, n)
		}
		sort.Strings(names)
		return 0, fmt.Errorf("formula: the name %q has no value, values are given for: %s", e.Name, strings.Join(names, " "))
	}
	var args [3]float64
	if len(e.Args) > len(args) {
		return 0, fmt.Errorf("formula: operation %q with %d operands, at most %d are allowed", e.Op, len(e.Args), len(args))
	}
	for i, arg := range e.Args {
		v, err := arg.Eval(env)
		if err != nil {
			return 0, err
		}
		args[i] = v
	}
	f, ok := operations[e.Op]
	if !ok {
		return 0, fmt.Errorf("formula: unknown operation %q", e.Op)
	}
	return f(args[0], args[1], args[2]), nil
}

// operations computes each operation from its operands; those that an operation lacks are 0.
var operations = map[string]func(a, b, c float64) float64{
	"add": func(a, b, _ float64) float64 { return a + b },
	"sub": func(a, b, _ float64) float64 { return a - b },
	"mul": func(a, b, _ float64) float64 { return a * b },
	"div": func(a, b, _ float64) float64 { return a / b },
	"neg": func(a, _, _ float64) float64 { return -a },
	"pow": func(a, b, _ float64) float64 { return math.Pow(a, b) },

	"lt": func(a, b, _ float64) float64 { return truth(a < b) },
	"le": func(a, b, _ float64) float64 { return truth(a <= b) },
	"gt": func(a, b, _ float64) float64 { return truth(a > b) },
	"ge": func(a, b, _ float64) float64 { return truth(a >= b) },
	"eq": func(a, b, _ float64) float64 { return truth(a == b) },
	"ne": func(a, b, _ float64) float64 { return truth(a != b) },
	"if": func(c, a, b float64) float64 { return choose(c != 0, a, b) },

	"sqrt":  unary(math.Sqrt),
	"exp":   unary(math.Exp),
	"expm1": unary(math.Expm1),
	"log":   unary(math.Log),
	"log1p": unary(math.Log1p),
	"log2":  unary(math.Log2),
	"log10": unary(math.Log10),
	"sin":   unary(math.Sin),
	"cos":   unary(math.Cos),
	"tan":   unary(math.Tan),
	"asin":  unary(math.Asin),
	"acos":  unary(math.Acos),
	"atan":  unary(math.Atan),
	"sinh":  unary(math.Sinh),
	"cosh":  unary(math.Cosh),
	"tanh":  unary(math.Tanh),
	"abs":   unary(math.Abs),

	"atan2": func(a, b, _ float64) float64 { return math.Atan2(a, b) },
	"hypot": func(a, b, _ float64) float64 { return math.Hypot(a, b) },

	// By compare and select, so that NaN and signed zeros behave as in the programs.
	"min":  func(a, b, _ float64) float64 { return choose(a < b, a, b) },
	"max":  func(a, b, _ float64) float64 { return choose(a > b, a, b) },
	"relu": func(a, _, _ float64) float64 { return choose(a > 0, a, 0) },
	"sign": func(a, _, _ float64) float64 { return choose(a > 0, 1, choose(a < 0, -1, a)) },

	// Neither overflows: the exponential is taken of a negative number only.
	"sigmoid": func(a, _, _ float64) float64 {
		small := math.Exp(-math.Abs(a))
		return choose(a < 0, small, 1) / (1 + small)
	},
	"softplus": func(a, _, _ float64) float64 {
		return math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a)))
	},
}

func unary(f func(float64) float64) func(a, b, c float64) float64 {
	return func(a, _, _ float64) float64 { return f(a) }
}

func truth(b bool) float64 { return choose(b, 1, 0) }

func choose(c bool, a, b float64) float64 {
	if c {
		return a
	}
	return b
}
