// Package bigref is an arbitrary-precision reference for elementary functions: it says what a double result
// should have been and how many units in the last place (ulp) a given one is away from that.
//
// Arguments are finite doubles inside the function's domain; results are
// [big.Float]s with a relative error below 2^-200, which no special function
// or table of package elementary takes part in. The methods are the plain ones: Taylor
// series after halving, Machin's formula for pi, and one correction by series of a
// double that package math gives.
package bigref

import (
	"fmt"
	"math"
	"math/big"
	"sync"
)

// prec is the working precision in bits.
const prec = 320

// Number is the type of results.
type Number = big.Float

func num() *Number                   { return new(Number).SetPrec(prec) }
func float(x float64) *Number        { return num().SetFloat64(x) }
func add(x, y *Number) *Number       { return num().Add(x, y) }
func sub(x, y *Number) *Number       { return num().Sub(x, y) }
func mul(x, y *Number) *Number       { return num().Mul(x, y) }
func quo(x, y *Number) *Number       { return num().Quo(x, y) }
func shift(x *Number, n int) *Number { return num().SetMantExp(x, n) }

// negligible reports whether adding term to sum changes nothing any more.
func negligible(term, sum *Number) bool {
	return term.Sign() == 0 || sum.Sign() != 0 && term.MantExp(nil) < sum.MantExp(nil)-prec
}

// arctanInverse is atan(1/n), or atanh(1/n) with sign = +1, to p bits.
func arctanInverse(n int64, sign int, p uint) *Number {
	big1 := func(i int64) *Number { return new(Number).SetPrec(p).SetInt64(i) }
	power := big1(1)
	power.Quo(power, big1(n))
	sum := new(Number).SetPrec(p).Set(power)
	for k := int64(1); ; k++ {
		power.Quo(power, big1(n*n))
		term := new(Number).SetPrec(p).Quo(power, big1(2*k+1))
		if term.MantExp(nil) < -int(p)-8 {
			return sum
		}
		if sign < 0 && k%2 == 1 {
			sum.Sub(sum, term)
		} else {
			sum.Add(sum, term)
		}
	}
}

// piBits is enough to reduce the largest double and keep prec bits of what is left.
const piBits = 1024 + 2*prec

// Pi is the circle number to more than 1600 bits, by Machin's formula.
var Pi = sync.OnceValue(func() *Number {
	p := new(Number).SetPrec(piBits)
	p.Mul(arctanInverse(5, -1, piBits), new(Number).SetInt64(16))
	return p.Sub(p, new(Number).SetPrec(piBits).Mul(arctanInverse(239, -1, piBits), new(Number).SetInt64(4)))
})

var ln2 = sync.OnceValue(func() *Number { return shift(arctanInverse(3, 1, prec+64), 1) })
var ln10 = sync.OnceValue(func() *Number { return logBig(float(10)) })

// nearest is the integer nearest to x.
func nearest(x *Number) *big.Int {
	h := 0.5
	if x.Sign() < 0 {
		h = -h
	}
	i, _ := new(Number).SetPrec(piBits).Add(x, big.NewFloat(h)).Int(nil)
	return i
}

// expm1Small is e^x - 1 for |x| < 1: Taylor series of x/2^8, then squaring.
func expm1Small(x *Number) *Number {
	const halvings = 8
	x = shift(x, -halvings)
	sum, term := num().Set(x), num().Set(x)
	for k := int64(2); ; k++ {
		term = quo(mul(term, x), num().SetInt64(k))
		if negligible(term, sum) {
			break
		}
		sum.Add(sum, term)
	}
	for range halvings {
		sum = mul(sum, add(sum, float(2)))
	}
	return sum
}

// expBig is e^x; beyond |x| = 100000 it is some number far out of a double's range.
func expBig(x *Number) *Number {
	if limit := float(100000); new(Number).Abs(x).Cmp(limit) > 0 {
		if x.Sign() < 0 {
			limit.Neg(limit)
		}
		x = limit
	}
	k := nearest(quo(x, ln2()))
	r := sub(x, mul(num().SetInt(k), ln2()))
	return shift(add(expm1Small(r), float(1)), int(k.Int64()))
}

func expm1Big(x *Number) *Number {
	if x.MantExp(nil) <= 0 {
		return expm1Small(x)
	}
	return sub(expBig(x), float(1))
}

// log1pSmall is log(1+x) for small x: 2 atanh(x/(2+x)).
func log1pSmall(x *Number) *Number {
	s := quo(x, add(x, float(2)))
	z := mul(s, s)
	sum, power := num().Set(s), num().Set(s)
	for k := int64(3); ; k += 2 {
		power = mul(power, z)
		term := quo(power, num().SetInt64(k))
		if negligible(term, sum) {
			return shift(sum, 1)
		}
		sum.Add(sum, term)
	}
}

func logBig(x *Number) *Number {
	m := num()
	k := x.MantExp(m)
	if k == 0 || k == 1 { // near 1: no cancellation with k ln2
		m, k = num().Set(x), 0
	}
	d, _ := m.Float64()
	y := float(math.Log(d))
	rest := log1pSmall(sub(mul(m, expBig(num().Neg(y))), float(1)))
	return add(add(mul(num().SetInt64(int64(k)), ln2()), y), rest)
}

func log1pBig(x *Number) *Number {
	if x.MantExp(nil) < -20 {
		return log1pSmall(x)
	}
	return logBig(add(x, float(1)))
}

// sinCosBig reduces by pi/2 with as many bits as x needs and sums Taylor series.
func sinCosBig(x *Number) (sin, cos *Number) {
	half := new(Number).SetPrec(piBits).SetMantExp(Pi(), -1)
	q := nearest(new(Number).SetPrec(piBits).Quo(x, half))
	r := new(Number).SetPrec(piBits).Mul(new(Number).SetPrec(piBits).SetInt(q), half)
	r = num().Set(r.Sub(new(Number).SetPrec(piBits).Set(x), r))
	z := mul(r, r)
	series := func(first *Number, k int64) *Number {
		sum, term := num().Set(first), num().Set(first)
		for ; ; k += 2 {
			term = quo(mul(term, z), num().SetInt64(-k*(k+1)))
			if negligible(term, sum) {
				return sum
			}
			sum.Add(sum, term)
		}
	}
	s, c := series(r, 2), series(float(1), 1)
	switch new(big.Int).And(q, big.NewInt(3)).Int64() {
	case 0:
		return s, c
	case 1:
		return c, s.Neg(s)
	case 2:
		return s.Neg(s), c.Neg(c)
	}
	return c.Neg(c), s
}

// atan2Big corrects the angle that package math gives by that of the point
// turned back.
func atan2Big(y, x *Number) *Number {
	scale := -max(y.MantExp(nil), x.MantExp(nil))
	if y.Sign() == 0 {
		scale = -x.MantExp(nil)
	} else if x.Sign() == 0 {
		scale = -y.MantExp(nil)
	}
	y, x = shift(y, scale), shift(x, scale)
	fy, _ := y.Float64()
	fx, _ := x.Float64()
	a := float(math.Atan2(fy, fx))
	s, c := sinCosBig(a)
	t := quo(sub(mul(y, c), mul(x, s)), add(mul(x, c), mul(y, s)))
	z := mul(t, t)
	sum, power := num().Set(t), num().Set(t)
	for k := int64(3); ; k += 2 {
		power = mul(power, z)
		power.Neg(power)
		term := quo(power, num().SetInt64(k))
		if negligible(term, sum) {
			return add(a, sum)
		}
		sum.Add(sum, term)
	}
}

func root(x *Number) *Number { return num().Sqrt(x) }

// rest is sqrt(1-x^2).
func rest(x *Number) *Number {
	one := float(1)
	return root(mul(sub(one, x), add(one, x)))
}

// unary holds the functions of one argument by name.
var unary = map[string]func(x *Number) *Number{
	"exp":   expBig,
	"exp2":  func(x *Number) *Number { return expBig(mul(x, ln2())) },
	"expm1": expm1Big,
	"log":   logBig,
	"log1p": log1pBig,
	"log2":  func(x *Number) *Number { return quo(logBig(x), ln2()) },
	"log10": func(x *Number) *Number { return quo(logBig(x), ln10()) },
	"sin":   func(x *Number) *Number { s, _ := sinCosBig(x); return s },
	"cos":   func(x *Number) *Number { _, c := sinCosBig(x); return c },
	"tan":   func(x *Number) *Number { s, c := sinCosBig(x); return quo(s, c) },
	"asin":  func(x *Number) *Number { return atan2Big(x, rest(x)) },
	"acos":  func(x *Number) *Number { return atan2Big(rest(x), x) },
	"atan":  func(x *Number) *Number { return atan2Big(x, float(1)) },
	"sinh": func(x *Number) *Number {
		m := expm1Big(new(Number).Abs(x))
		y := shift(add(m, quo(m, add(m, float(1)))), -1)
		if x.Sign() < 0 {
			y.Neg(y)
		}
		return y
	},
	"cosh": func(x *Number) *Number {
		e := expBig(x)
		return shift(add(e, quo(float(1), e)), -1)
	},
	"tanh": func(x *Number) *Number {
		m := expm1Big(shift(x, 1))
		return quo(m, add(m, float(2)))
	},
	"sigmoid": func(x *Number) *Number {
		e := expBig(x)
		return quo(e, add(e, float(1)))
	},
	"softplus": func(x *Number) *Number {
		if x.Sign() > 0 {
			return add(x, log1pBig(expBig(num().Neg(x))))
		}
		return log1pBig(expBig(x))
	},
}

// binary holds the functions of two arguments by name.
var binary = map[string]func(x, y *Number) *Number{
	"atan2": atan2Big, // of y, x
	"hypot": func(x, y *Number) *Number { return root(add(mul(x, x), mul(y, y))) },
	"pow": func(x, y *Number) *Number {
		r := expBig(mul(y, logBig(new(Number).Abs(x))))
		if n, accuracy := y.Int(nil); x.Sign() < 0 && accuracy == big.Exact && n.Bit(0) == 1 {
			r.Neg(r)
		}
		return r
	},
}

// Of evaluates the function with the given name (as package elementary has it, in
// lower case) at finite arguments in its domain, not at poles. Zero
// arguments are allowed only where the function is 0 or 1 there.
func Of(name string, x ...float64) *Number {
	if f, ok := unary[name]; ok && len(x) == 1 {
		return f(float(x[0]))
	}
	if f, ok := binary[name]; ok && len(x) == 2 {
		return f(float(x[0]), float(x[1]))
	}
	panic(fmt.Sprintf("bigref: %s of %d arguments, there is no such function", name, len(x)))
}

// Ulps is the distance of got from want in units of the last place of a double
// of want's size (that of subnormal numbers for a want below). It is infinite if
// got is NaN or if one of them overflows and the other is finite.
func Ulps(got float64, want *Number) float64 {
	w, _ := want.Float64()
	return ulps(got, w, want, 53, -1022)
}

// Ulps32 is Ulps in units of the last place of a float32.
func Ulps32(got float32, want *Number) float64 {
	w, _ := want.Float32()
	return ulps(float64(got), float64(w), want, 24, -126)
}

// ulps is Ulps for numbers of the given digits and exponent of the least normal one; w is want rounded to them.
func ulps(got, w float64, want *Number, digits, least int) float64 {
	if math.IsInf(w, 0) || math.IsNaN(got) || math.IsInf(got, 0) {
		if got == w {
			return 0
		}
		return math.Inf(1)
	}
	e := least
	if want.Sign() != 0 {
		e = max(want.MantExp(nil)-1, least)
	}
	e -= digits - 1
	d := num().Sub(float(got), want)
	u, _ := d.SetMantExp(d.Abs(d), -e).Float64()
	return u
}
