// Package elementary writes elementary functions (exp, log, sin, pow, ...) as expansions into the bit-exact
// operations of package program, so that every engine computes them with the same bits.
//
// Each function takes a [program.Builder] and values of type F64 or F32, appends
// operations and returns the value of the result, of the same type. Special cases (NaN,
// infinities, signed zeros, subnormal arguments and results) are those of C99
// Annex F. Errors are at most 1.5 ulp for Exp, Log, Sin, Cos and Pow and at most
// 3 ulp for the others over the whole range; docs/accuracy.md has the measured maxima.
//
// A function of F32s is that of F64s, narrowed: correctly rounded, unless the exact value lies within 3 ulp of an F64,
// which are less than 2^-27 ulp of an F32, of the middle between two F32s.
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

// double has write expand a function of x as F64 with fusing of multiply-adds forbidden, and returns its value
// in x's own type.
func double(b *program.Builder, x program.Value, write func(x program.Value) program.Value) (y program.Value) {
	single := b.Type(x) == program.F32
	if single {
		x = b.Widen(x)
	}
	b.With(program.F64, func() { b.Strict(func() { y = write(x) }) })
	if single {
		y = b.Narrow(y)
	}
	return y
}

// double2 is double for two arguments, of one type.
func double2(b *program.Builder, x, y program.Value, write func(x, y program.Value) program.Value) program.Value {
	if b.Type(x) == program.F32 {
		y = b.Widen(y)
	}
	return double(b, x, func(x program.Value) program.Value { return write(x, y) })
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
	return double2(b, x, y, func(x, y program.Value) program.Value {
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
// inputs and one output of type float; nil if there is none.
func Func(name string, float program.Type) *program.Func {
	b := program.NewBuilderOf(float, name)
	if f, ok := Unary[name]; ok {
		return b.Finish(f(b, b.Input("x", float)))
	}
	if f, ok := Binary[name]; ok {
		x := b.Input("x", float)
		return b.Finish(f(b, x, b.Input("y", float)))
	}
	return nil
}

// Scalar is the function with the given name for use outside of programs, with the bits that it has inside them on every
// machine; package math differs from machine to machine. A call takes microseconds. It panics if there is no such function.
func Scalar(name string) func(x ...float64) float64 {
	f := Func(name, program.F64)
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
