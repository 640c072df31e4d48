// Package elementary writes elementary functions (exp, log, sin, pow, ...) as expansions into the bit-exact
// operations of package program, so that every engine computes them with the same bits.
//
// Each function takes a [program.Builder] and values of type F64, appends
// operations and returns the value of the result. Special cases (NaN,
// infinities, signed zeros, subnormal arguments and results) are those of C99
// Annex F. Errors are at most 1.5 ulp for Exp, Log, Sin, Cos and Pow and at most
// 3 ulp for the others over the whole range; docs/accuracy.md has the measured maxima.
//
// Everything is straight-line code with selects, except for what is rare: huge
// arguments of Sin, Cos and Tan, results of Exp near overflow or underflow, and
// arguments of Log that are no positive normal numbers. These stand in guards, which an
// engine skips when no lane asks for them; their results are the same bits either way.
//
// # Sources
//
// The argument reductions and the way rounding errors are kept small follow
// FDLIBM (Sun Microsystems, 1993, www.netlib.org/fdlibm): Cody and Waite's
// reduction by a split constant (Cody & Waite, Software Manual for the Elementary
// Functions, 1980), log by the series in s = f/(2+f), asin and acos by
// sqrt((1-x)/2). The kernels of sin and cos are FDLIBM's. The reduction of huge
// arguments is that of Payne & Hanek (ACM SIGNUM Newsletter 18, 1983) with one set of
// table entries per exponent, as in SLEEF (Shibata & Petrogalli, IEEE TPDS 31,
// 2020). The double-double arithmetic in Pow is Dekker's (Numerische Mathematik
// 18, 1971) with fma. All other polynomials are minimax fits of our own: remez.py
// in this folder makes coefficients.go.
package elementary

import (
	"math"

	"invar/program"
)

// Constants split into doubles: the sum of the parts is the number to twice the
// precision. ln2Hi and log10of2Hi have trailing zeros, so that
// their product with an exponent is exact.
const (
	halfPi1 = 0x1.921fb54442d18p0
	halfPi2 = 0x1.1a62633145c07p-54

	ln2    = 0x1.62e42fefa39efp-1
	ln2Hi  = 0x1.62e42fefa3800p-1
	ln2Lo  = 0x1.ef35793c76730p-45
	invLn2 = 0x1.71547652b82fep0
	// 1/ln2 = invLn2 + invLn2Lo
	invLn2Lo = 0x1.777d0ffda0d24p-56

	log10of2Hi = 0x1.34413509f6000p-2
	log10of2Lo = 0x1.9fef311f12b36p-42
	invLn10    = 0x1.bcb7b1526e50ep-2
	invLn10Lo  = 0x1.95355baaafad3p-57
)

const (
	signBit   = math.MinInt64
	minNormal = 0x1p-1022
	// shifter is 1.5 * 2^52: adding it to a small number rounds it to an integer
	// and leaves that integer in the low bits.
	shifter = 0x1.8p52
)

var inf = math.Inf(1)

// strict runs write with fusing of multiply-adds forbidden and returns its value.
func strict(b *program.Builder, write func() program.Value) (v program.Value) {
	b.Strict(func() { v = write() })
	return v
}

// poly is c[0] + c[1] z + ... by Horner's rule: the fewest operations.
func poly(b *program.Builder, z program.Value, c []float64) program.Value {
	p := b.F(c[len(c)-1])
	for i := len(c) - 2; i >= 0; i-- {
		p = b.FMA(p, z, b.F(c[i]))
	}
	return p
}

// poly2 is c[0] + c[1] z + ... as even plus odd part: one multiplication more
// than poly and half the latency. zz is z*z.
func poly2(b *program.Builder, z, zz program.Value, c []float64) program.Value {
	var even, odd []float64
	for i, a := range c {
		if i%2 == 0 {
			even = append(even, a)
		} else {
			odd = append(odd, a)
		}
	}
	return b.FMA(poly(b, zz, odd), z, poly(b, zz, even))
}

func negated(c []float64) []float64 {
	n := make([]float64, len(c))
	for i, a := range c {
		n[i] = -a
	}
	return n
}

// orSign puts the sign of x on y >= 0.
func orSign(b *program.Builder, y, x program.Value) program.Value {
	return b.FromBits(b.IOr(b.Bits(y), b.IAnd(b.Bits(x), b.I(signBit))))
}

// atMost and atLeast clamp x to a bound and let a NaN pass.
func atMost(b *program.Builder, bound float64, x program.Value) program.Value {
	return b.Min(b.F(bound), x)
}
func atLeast(b *program.Builder, bound float64, x program.Value) program.Value {
	return b.Max(b.F(bound), x)
}

// Hypot writes sqrt(x*x + y*y) without undue overflow or underflow.
func Hypot(b *program.Builder, x, y program.Value) program.Value {
	return strict(b, func() program.Value {
		ax, ay := b.Abs(x), b.Abs(y)
		most := b.Max(ax, ay)
		big, small := b.Lt(b.F(0x1p500), most), b.Lt(most, b.F(0x1p-400))
		scale := b.Select(big, b.F(0x1p-600), b.Select(small, b.F(0x1p600), b.F(1)))
		back := b.Select(big, b.F(0x1p600), b.Select(small, b.F(0x1p-600), b.F(1)))
		sx, sy := b.Mul(ax, scale), b.Mul(ay, scale)
		h := b.Mul(b.Sqrt(b.FMA(sx, sx, b.Mul(sy, sy))), back)
		infinite := b.Or(b.Eq(ax, b.F(inf)), b.Eq(ay, b.F(inf)))
		return b.Select(infinite, b.F(inf), h)
	})
}

// Unary holds the functions of one argument by their names in formulas.
var Unary = map[string]func(b *program.Builder, x program.Value) program.Value{
	"exp": Exp, "exp2": Exp2, "expm1": Expm1,
	"log": Log, "log1p": Log1p, "log2": Log2, "log10": Log10,
	"sin": Sin, "cos": Cos, "tan": Tan,
	"asin": Asin, "acos": Acos, "atan": Atan,
	"sinh": Sinh, "cosh": Cosh, "tanh": Tanh,
	"sigmoid": Sigmoid, "softplus": Softplus,
}

// Binary holds the functions of two arguments by their names in formulas, the
// arguments in the order of the Go functions.
var Binary = map[string]func(b *program.Builder, x, y program.Value) program.Value{
	"atan2": Atan2, "hypot": Hypot, "pow": Pow,
}

// Func is the function with the given name alone, as a program of one or two
// inputs and one output; nil if there is none.
func Func(name string) *program.Func {
	b := program.NewBuilder(name)
	if f, ok := Unary[name]; ok {
		return b.Finish(f(b, b.Input("x", program.F64)))
	}
	if f, ok := Binary[name]; ok {
		x := b.Input("x", program.F64)
		return b.Finish(f(b, x, b.Input("y", program.F64)))
	}
	return nil
}

// Scalar is the function with the given name for use outside of programs, with the bits that it has inside them on every
// machine; package math differs from machine to machine. A call takes microseconds. It panics if there is no such function.
func Scalar(name string) func(x ...float64) float64 {
	f := Func(name)
	if f == nil {
		panic("elementary: no function " + name)
	}
	return func(x ...float64) float64 { return f.EvalF64(x...)[0] }
}

// Operations counts what a function costs: its instructions outside of guards
// that compute something. Inputs, constants and bit casts are free, and so is
// a negation, which an engine folds into the fma that uses it.
func Operations(f *program.Func) (n int) {
	depth := 0
	for _, in := range f.Instrs {
		switch in.Op {
		case program.OpInput, program.OpConst, program.OpBits, program.OpFromBits, program.OpNeg:
		case program.OpGuard:
			depth++
		case program.OpEndGuard:
			depth--
		default:
			if depth == 0 {
				n++
			}
		}
	}
	return n
}
