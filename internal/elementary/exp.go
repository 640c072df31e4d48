package elementary

import "invar/program"

// expBias is what expReduce adds to the exponent in the low bits of t: the bias of a
// double, so that shifting t by 52 makes a power of two.
const expBias = 1023

// expArg is an argument x of exp reduced to x = k ln2 + r with |r| <= ln2/2.
type expArg struct {
	t  program.Value // I64: its low 12 bits are k + expBias
	k  program.Value
	r1 program.Value // x - k ln2Hi, exactly
	r  program.Value
}

// expReduce reduces x. For |x| > 1400 or so the parts mean nothing.
func expReduce(b *program.Builder, x program.Value) expArg {
	t := b.FMA(x, b.F(invLn2), b.F(shifter+expBias))
	k := b.Sub(t, b.F(shifter+expBias))
	r1 := b.FMA(k, b.F(-ln2Hi), x)
	return expArg{b.Bits(t), k, r1, b.FMA(k, b.F(-ln2Lo), r1)}
}

// kernel is exp(r)-1.
func (a expArg) kernel(b *program.Builder) program.Value {
	rr := b.Mul(a.r, a.r)
	return b.FMA(rr, poly2(b, a.r, rr, expPoly), a.r)
}

// compensated is kernel of r + e for an e far below r, and without the rounding error of r.
func (a expArg) compensated(b *program.Builder, e program.Value) program.Value {
	c := b.FMA(a.k, b.F(-ln2Lo), e)
	r := b.Add(a.r1, c)
	lost := b.Sub(c, b.Sub(r, a.r1))
	rr := b.Mul(r, r)
	return b.Add(r, b.FMA(rr, poly2(b, r, rr, expPoly), lost))
}

// times is p * 2^k for p near 1, where x is what was reduced (to within rounding).
// Usually 2^k is a normal number, and so is the result.
func (a expArg) times(b *program.Builder, p, x program.Value) program.Value {
	y := b.Mul(p, a.power(b, 0))
	return b.Guard(b.Lt(b.F(708), b.Abs(x)), []program.Value{y}, func() []program.Value {
		// The first factor, half of 2^k, leaves a normal number: only the second rounds.
		t := b.IAdd(a.t, b.I(1023))
		half := b.Shr(t, b.I(1))
		y := b.Mul(p, b.FromBits(b.Shl(half, b.I(52))))
		y = b.Mul(y, b.FromBits(b.Shl(b.ISub(t, half), b.I(52))))
		y = b.Select(b.Lt(x, b.F(-746)), b.F(0), y)
		return []program.Value{b.Select(b.Lt(b.F(710), x), b.F(inf), y)}
	})[0]
}

// power is 2^(k+n) where that is a normal number.
func (a expArg) power(b *program.Builder, n int64) program.Value {
	return b.FromBits(b.Shl(b.IAdd(a.t, b.I(n+1023-expBias)), b.I(52)))
}

// inverse is 2^(n-k) where that is a normal number.
func (a expArg) inverse(b *program.Builder, n int64) program.Value {
	return b.FromBits(b.Shl(b.ISub(b.I(n+1023+expBias), a.t), b.I(52)))
}

// Exp writes e^x.
func Exp(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		a := expReduce(b, x)
		return a.times(b, b.Add(a.kernel(b), b.F(1)), x)
	})
}

// Exp2 writes 2^x.
func Exp2(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		t := b.Add(x, b.F(shifter+expBias))
		k := b.Sub(t, b.F(shifter+expBias))
		a := expArg{t: b.Bits(t), k: k, r: b.Mul(b.Sub(x, k), b.F(ln2))}
		return a.times(b, b.Add(a.kernel(b), b.F(1)), b.Mul(x, b.F(ln2)))
	})
}

// Expm1 writes e^x - 1, accurate near 0.
func Expm1(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		a := expReduce(b, atMost(b, 710, atLeast(b, -40, x)))
		// 2^k p + (2^k - 1), at half scale because k may be 1024
		s := a.power(b, -1)
		h := b.FMA(s, a.kernel(b), b.Sub(s, b.F(0.5)))
		// the halves of subnormal numbers and the sign of -0 would be lost
		return b.Select(b.Lt(b.Abs(x), b.F(0x1p-54)), x, b.Add(h, h))
	})
}

// hyperbolic returns the parts of sinh |x| and cosh |x|: with a = 2^(k-2), c =
// 2^(-k-2) and x = k ln2 + r, half of sinh x is (a-c) cosh r + (a+c) sinh r and half
// of cosh x is (a+c) cosh r + (a-c) sinh r. Halves, because a would overflow.
func hyperbolic(b *program.Builder, ax program.Value) (sum, dif, sinh, cosh1 program.Value) {
	a := expReduce(b, atMost(b, 710.6, ax))
	z := b.Mul(a.r, a.r)
	sinh = b.FMA(b.Mul(a.r, z), poly(b, z, sinhPoly), a.r)
	cosh1 = b.Mul(z, poly(b, z, coshPoly))
	up := a.power(b, -2)
	down := b.Select(b.Lt(a.k, b.F(1000)), a.inverse(b, -2), b.F(0))
	return b.Add(up, down), b.Sub(up, down), sinh, cosh1
}

// Sinh writes the hyperbolic sine of x.
func Sinh(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		ax := b.Abs(x)
		sum, dif, s, c := hyperbolic(b, ax)
		h := b.Add(b.FMA(dif, c, b.Mul(sum, s)), dif)
		// sinh x = x here; the half of a subnormal number would lose a bit
		y := b.Select(b.Lt(ax, b.F(0x1p-28)), ax, b.Add(h, h))
		return orSign(b, y, x)
	})
}

// Cosh writes the hyperbolic cosine of x.
func Cosh(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		sum, dif, s, c := hyperbolic(b, b.Abs(x))
		h := b.Add(b.FMA(dif, s, b.Mul(sum, c)), sum)
		return b.Add(h, h)
	})
}

// Tanh writes the hyperbolic tangent of x.
func Tanh(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		ax := atMost(b, 20, b.Abs(x)) // tanh 20 rounds to 1
		a := expReduce(b, b.Add(ax, ax))
		s := a.power(b, 0)
		m := b.FMA(s, a.kernel(b), b.Sub(s, b.F(1))) // e^2x - 1
		return orSign(b, b.Div(m, b.Add(m, b.F(2))), x)
	})
}

// Sigmoid writes 1 / (1 + e^-x).
func Sigmoid(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		e := Exp(b, b.Neg(b.Abs(x)))
		return b.Div(b.Select(b.Lt(x, b.F(0)), e, b.F(1)), b.Add(e, b.F(1)))
	})
}

// Softplus writes log(1 + e^x).
func Softplus(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		e := Exp(b, b.Neg(b.Abs(x)))
		// log(1+e) with 0 <= e <= 1: of half of 1+e where that exceeds sqrt 2
		big := b.Lt(b.F(0.41421356237309503), e)
		e1 := b.Sub(e, b.F(1))
		f := b.Select(big, b.Mul(e1, b.F(0.5)), e)
		l := b.Add(logKernel(b, f), b.Select(big, b.F(ln2), b.F(0)))
		return b.Add(b.Max(x, b.F(0)), l)
	})
}
