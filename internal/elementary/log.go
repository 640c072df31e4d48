package elementary

import (
	"math"

	"invar/program"
)

const (
	mantissa   = 1<<52 - 1
	sqrtHalf   = 0x3fe6a09e667f3bcd            // bits of sqrt(1/2) rounded up
	toOne      = 0x3ff0000000000000 - sqrtHalf // moves that to a power of two
	twoTo52    = 0x1p52                        // its low bits take an integer
	logRescale = 54                            // subnormal arguments are multiplied by 2^54
)

// decompose splits a positive finite x = 2^k m with sqrt(1/2) <= m < sqrt(2).
// biased is k + 1023 (+ 54 for subnormal x) as I64. Where subnormal is false,
// x is known to be a normal number.
func decompose(b *program.Builder, x program.Value, subnormal bool) (k, m, biased program.Value) {
	bias := b.F(twoTo52 + 1023)
	if subnormal {
		small := b.Lt(x, b.F(minNormal))
		x = b.Select(small, b.Mul(x, b.F(1<<logRescale)), x)
		bias = b.Select(small, b.F(twoTo52+1023+logRescale), bias)
	}
	v := b.IAdd(b.Bits(x), b.I(toOne))
	biased = b.Shr(v, b.I(52))
	k = b.Sub(b.FromBits(b.IOr(biased, b.I(int64(math.Float64bits(twoTo52))))), bias)
	m = b.FromBits(b.IAdd(b.IAnd(v, b.I(mantissa)), b.I(sqrtHalf)))
	return k, m, biased
}

// logTail returns s and t with log(1+f) = f - s t, for sqrt(1/2) <= 1+f <= sqrt(2):
// s = f/(2+f), log(1+f) = 2 atanh(s) = 2s + s R, 2s = f - s f, hence t = f - R.
func logTail(b *program.Builder, f program.Value) (s, t program.Value) {
	s = b.Div(f, b.Add(f, b.F(2)))
	z := b.Mul(s, s)
	return s, b.FMA(z, poly2(b, z, b.Mul(z, z), negated(logPoly)), f)
}

// logKernel is log(1+f) for sqrt(1/2) <= 1+f <= sqrt(2).
func logKernel(b *program.Builder, f program.Value) program.Value {
	s, t := logTail(b, f)
	return b.FMA(b.Neg(s), t, f)
}

// logSum is k ln2 + log(1+f).
func logSum(b *program.Builder, k, f program.Value) program.Value {
	s, t := logTail(b, f)
	w := b.FMA(s, t, b.Mul(k, b.F(-ln2Lo)))
	return b.FMA(k, b.F(ln2Hi), b.Sub(f, w))
}

// logOf writes a logarithm of x = 2^k m from what formula makes of k and m. The
// usual case, a normal number, is told by one comparison of its bits; all else is in a
// guard that does the work again.
func logOf(b *program.Builder, x program.Value, formula func(k, m program.Value) program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		k, m, _ := decompose(b, x, false)
		y := formula(k, m)
		// Whether the bits minus those of minNormal are beyond those of the largest number,
		// as unsigned integers; adding 1<<63 makes the signed comparison one of those.
		first, last := uint64(1)<<52, uint64(0x7fe)<<52-1
		place := b.IAdd(b.Bits(x), b.I(int64(1<<63-first)))
		rare := b.ILt(b.I(int64(1<<63+last)), place)
		return b.Guard(rare, []program.Value{y}, func() []program.Value {
			k, m, _ := decompose(b, x, true)
			return []program.Value{logCases(b, x, formula(k, m), 0)}
		})[0]
	})
}

// logCases is y where low < x < inf, -inf where x = low, and else +inf or NaN.
func logCases(b *program.Builder, x, y program.Value, low float64) program.Value {
	y = b.Select(b.Lt(x, b.F(inf)), y, x)
	lost := b.Select(b.Eq(x, b.F(low)), b.F(-inf), b.F(math.NaN()))
	return b.Select(b.Lt(b.F(low), x), y, lost)
}

// Log writes the natural logarithm of x.
func Log(b *program.Builder, x program.Value) program.Value {
	return logOf(b, x, func(k, m program.Value) program.Value {
		return logSum(b, k, b.Sub(m, b.F(1)))
	})
}

// Log2 writes the logarithm of x to base 2; it is exact for powers of two.
func Log2(b *program.Builder, x program.Value) program.Value {
	return logOf(b, x, func(k, m program.Value) program.Value {
		l := logKernel(b, b.Sub(m, b.F(1)))
		return b.FMA(l, b.F(invLn2), b.FMA(l, b.F(invLn2Lo), k))
	})
}

// Log10 writes the logarithm of x to base 10.
func Log10(b *program.Builder, x program.Value) program.Value {
	return logOf(b, x, func(k, m program.Value) program.Value {
		l := logKernel(b, b.Sub(m, b.F(1)))
		low := b.FMA(l, b.F(invLn10Lo), b.Mul(k, b.F(log10of2Lo)))
		return b.FMA(k, b.F(log10of2Hi), b.FMA(l, b.F(invLn10), low))
	})
}

// Log1p writes log(1 + x), accurate near 0.
func Log1p(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		one := b.F(1)
		u := b.Add(one, x)
		v := b.Sub(u, one)
		e := b.Add(b.Sub(x, v), b.Sub(one, b.Sub(u, v))) // 1 + x = u + e exactly
		k, m, biased := decompose(b, u, false)
		// e 2^-k, by way of 2^(1-k), because k may be 1024
		scale := b.FromBits(b.Shl(b.ISub(b.I(2047), biased), b.I(52)))
		f := b.FMA(b.Mul(e, b.F(0.5)), scale, b.Sub(m, one))
		y := logCases(b, x, logSum(b, k, f), -1)
		return b.Select(b.Lt(b.Abs(x), b.F(0x1p-54)), x, y) // keeps -0
	})
}
