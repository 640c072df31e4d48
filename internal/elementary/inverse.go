package elementary

import "invar/program"

// arcsine returns u = asin s of the reduced argument and whether it is a reduced
// one: for ax <= 1/2 s is ax itself, else s = sqrt((1-ax)/2) and asin ax = pi/2 - 2u.
func arcsine(b *program.Builder, ax program.Value) (u, reduced program.Value) {
	reduced = b.Lt(b.F(0.5), ax)
	z := b.Select(reduced, b.FMA(ax, b.F(-0.5), b.F(0.5)), b.Mul(ax, ax))
	s := b.Select(reduced, b.Sqrt(z), ax) // NaN for ax > 1
	return b.FMA(s, b.Mul(z, poly2(b, z, b.Mul(z, z), asinPoly)), s), reduced
}

// Asin writes the arc sine of x.
func Asin(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		u, reduced := arcsine(b, b.Abs(x))
		y := b.Sub(b.F(halfPi1), b.FMA(u, b.F(2), b.F(-halfPi2)))
		return orSign(b, b.Select(reduced, y, u), x)
	})
}

// Acos writes the arc cosine of x.
func Acos(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		u, reduced := arcsine(b, b.Abs(x))
		// pi/2 - asin x without reduction; pi - 2u for x < -1/2; 2u for x > 1/2
		a := b.Select(reduced, u, orSign(b, u, x))
		y := b.Sub(b.F(halfPi1), b.Sub(a, b.F(halfPi2)))
		r := b.Select(b.Lt(x, b.F(0)), y, u)
		return b.Select(reduced, b.Add(r, r), y)
	})
}

// arctangent is the angle in [0, pi/2] of the point (x, y) with x, y >= 0, which
// must be so scaled that x + y does not overflow. The angle is turned by 0, pi/4 or pi/2, so
// that the tangent t that is left has |t| <= tan(pi/8).
func arctangent(b *program.Builder, y, x program.Value) program.Value {
	const tan1, tan3 = 0x1.a827999fcef32p-2, 0x1.3504f333f9de6p1 // of pi/8, 3 pi/8
	mid, high := b.Lt(b.Mul(x, b.F(tan1)), y), b.Lt(b.Mul(x, b.F(tan3)), y)
	pick := func(h, m, l program.Value) program.Value { return b.Select(high, h, b.Select(mid, m, l)) }
	t := b.Div(pick(b.Neg(x), b.Sub(y, x), y), pick(y, b.Add(y, x), x))
	turn := pick(b.F(halfPi1), b.F(halfPi1/2), b.F(0))
	turnLo := pick(b.F(halfPi2), b.F(halfPi2/2), b.F(0))
	z := b.Mul(t, t)
	p := b.FMA(b.Mul(t, z), poly2(b, z, b.Mul(z, z), atanPoly), turnLo)
	return b.Add(turn, b.Add(t, p))
}

// Atan writes the arc tangent of x.
func Atan(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		return orSign(b, arctangent(b, b.Abs(x), b.F(1)), x)
	})
}

// Atan2 writes the angle of the point (x, y), in [-pi, pi].
func Atan2(b *program.Builder, y, x program.Value) program.Value {
	return double2(b, y, x, func(y, x program.Value) program.Value {
		ax, ay := b.Abs(x), b.Abs(y)
		most := b.Max(ay, ax) // NaN if ax is
		// sums must not overflow, products not be subnormal
		scale := b.Select(b.Lt(b.F(0x1p1000), most), b.F(0x1p-30),
			b.Select(b.Lt(most, b.F(0x1p-900)), b.F(0x1p100), b.F(1)))
		// infinity over infinity counts as 1/1, 0/0 as 0/1
		both := b.And(b.Eq(ax, b.F(inf)), b.Eq(ay, b.F(inf)))
		den := b.Select(b.Or(both, b.Eq(most, b.F(0))), b.F(1), b.Mul(ax, scale))
		num := b.Select(both, b.F(1), b.Mul(ay, scale))
		a := arctangent(b, num, den)
		left := b.Sub(b.F(2*halfPi1), b.Sub(a, b.F(2*halfPi2)))
		return orSign(b, b.Select(b.ILt(b.Bits(x), b.I(0)), left, a), y)
	})
}
