package elementary

import (
	"math"

	"invar/program"
)

// dd is an unevaluated sum hi + lo of two doubles, |lo| at most about an ulp of hi.
type dd struct{ hi, lo program.Value }

// mulDD is x*y with a relative error of about 2^-104.
func mulDD(b *program.Builder, x, y dd) dd {
	p := b.Mul(x.hi, y.hi)
	e := b.FMA(x.hi, y.hi, b.Neg(p))
	return dd{p, b.FMA(x.hi, y.lo, b.FMA(x.lo, y.hi, e))}
}

// logDD is log x for positive finite x with a relative error of about 2^-65: the
// first two terms of 2 atanh(s) = s (2 + z (2/3 + z P(z))), z = s*s, in double-double.
func logDD(b *program.Builder, x program.Value) dd {
	k, m, _ := decompose(b, x, true)
	one := b.F(1)
	// s = f/d, f = m-1 exactly, d = m+1 = d + dLo exactly
	f := b.Sub(m, one)
	d := b.Add(m, one)
	dLo := b.Sub(m, b.Sub(d, one))
	inv := b.Div(one, d)
	s := dd{hi: b.Mul(f, inv)}
	rest := b.FMA(b.Neg(s.hi), d, f)
	s.lo = b.Mul(inv, b.FMA(b.Neg(s.hi), dLo, rest))
	z := mulDD(b, s, s)
	const twoThirds, twoThirdsLo = 0x1.5555555555555p-1, 0x1.5555555555555p-55
	w := b.Mul(z.hi, poly2(b, z.hi, b.Mul(z.hi, z.hi), powPoly))
	var u dd
	u.hi, u.lo = fastTwoSum(b, b.F(twoThirds), w)
	u.lo = b.Add(u.lo, b.F(twoThirdsLo))
	u = mulDD(b, z, u)
	var q dd
	q.hi, q.lo = fastTwoSum(b, b.F(2), u.hi)
	q.lo = b.Add(q.lo, u.lo)
	l := mulDD(b, s, q)
	var sum dd
	sum.hi, sum.lo = fastTwoSum(b, b.Mul(k, b.F(ln2Hi)), l.hi)
	sum.lo = b.Add(sum.lo, b.FMA(k, b.F(ln2Lo), l.lo))
	return sum
}

// Pow writes x to the power y.
func Pow(b *program.Builder, x, y program.Value) program.Value {
	return double2(b, x, y, func(x, y program.Value) program.Value {
		ax := b.Abs(x)
		l := logDD(b, ax)
		// the logarithms of 0, infinity and NaN
		l.hi = b.Select(b.Lt(ax, b.F(inf)), l.hi, ax)
		l.hi = b.Select(b.Eq(ax, b.F(0)), b.F(-inf), l.hi)
		// y log x = p + e
		p := b.Mul(y, l.hi)
		e := b.FMA(y, l.lo, b.FMA(y, l.hi, b.Neg(p)))
		a := expReduce(b, p)
		// compensated, so that results that are doubles come out exactly
		r := a.times(b, b.Add(a.compensated(b, e), b.F(1)), p)
		// (+-1)^(+-inf) = 1
		r = b.Select(b.And(b.Eq(ax, b.F(1)), b.Eq(y, y)), b.F(1), r)
		half := b.Mul(y, b.F(0.5))
		integer := b.Eq(b.Trunc(y), y)
		odd := b.And(integer, b.Ne(b.Trunc(half), half))
		r = flip(b, r, b.Select(odd, b.Bits(x), b.I(0)))
		finiteNegative := b.And(b.Lt(x, b.F(0)), b.Lt(b.F(-inf), x))
		r = b.Select(b.And(finiteNegative, b.Not(integer)), b.F(math.NaN()), r)
		return b.Select(b.Or(b.Eq(x, b.F(1)), b.Eq(y, b.F(0))), b.F(1), r)
	})
}
