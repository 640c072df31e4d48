package elementary

import (
	"math"
	"math/big"
	"sync"

	"invar/program"
)

// Kernels of FDLIBM (k_sin.c, k_cos.c) for |r| <= pi/4: sin r = r + r z S(z), cos r
// = 1 + z (-1/2 + z C(z)), z = r*r.
var (
	sinPoly = []float64{
		-1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
		2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10,
	}
	cosPoly = []float64{
		-0.5, 4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
		-2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11,
	}
)

// Up to hugeAngle the quotient n has at most 20 bits, and |x| is reduced by pi/2 =
// halfPi1 + midPi + lowPi, a number of 33 bits in the middle, so that n midPi is exact.
const (
	hugeAngle = 0x1p20
	midPi     = 0x1.1a62633100000p-54
	lowPi     = 0x1.1701b839a2520p-88
)

// angle is |x| = q pi/2 + r + tail, |r| <= pi/4 (and a little), tail about an ulp of r or less.
type angle struct {
	q    program.Value // I64 of which the last two bits count
	sin  program.Value // of r + tail
	cos  program.Value // of r; the tail is a third of an ulp at most here
	even program.Value // Bool: q is even
}

func newAngle(b *program.Builder, x program.Value) angle {
	ax := b.Abs(x)
	t := b.FMA(ax, b.F(2/math.Pi), b.F(shifter))
	n := b.Sub(t, b.F(shifter))
	r1 := b.FMA(n, b.F(-halfPi1), ax) // exact
	r := b.FMA(n, b.F(-midPi), r1)
	tail := b.FMA(n, b.F(-midPi), b.Sub(r1, r)) // what rounding r lost, exactly
	tail = b.FMA(n, b.F(-lowPi), tail)
	v := b.Guard(b.Lt(b.F(hugeAngle), ax), []program.Value{r, tail, b.Bits(t)}, func() []program.Value {
		r, tail, q := reduceHuge(b, ax)
		return []program.Value{r, tail, q}
	})
	r, tail = v[0], v[1]
	a := angle{q: v[2]}
	z := b.Mul(r, r)
	a.sin = b.Add(r, b.FMA(b.Mul(r, z), poly(b, z, sinPoly), tail))
	a.cos = b.FMA(z, poly(b, z, cosPoly), b.F(1))
	a.even = b.IEq(b.IAnd(a.q, b.I(1)), b.I(0))
	return a
}

// Sin writes the sine of x.
func Sin(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		a := newAngle(b, x)
		s := b.Select(a.even, a.sin, a.cos)
		return flip(b, s, b.IXor(b.Shl(a.q, b.I(62)), b.Bits(x)))
	})
}

// Cos writes the cosine of x.
func Cos(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		a := newAngle(b, x)
		c := b.Select(a.even, a.cos, a.sin)
		return flip(b, c, b.Shl(b.IAdd(a.q, b.I(1)), b.I(62)))
	})
}

// Tan writes the tangent of x.
func Tan(b *program.Builder, x program.Value) program.Value {
	return double(b, x, func(x program.Value) program.Value {
		a := newAngle(b, x)
		t := b.Div(b.Select(a.even, a.sin, a.cos), b.Select(a.even, a.cos, a.sin))
		return flip(b, t, b.IXor(b.Shl(a.q, b.I(63)), b.Bits(x)))
	})
}

// flip changes the sign of y where the top bit of i is set.
func flip(b *program.Builder, y, i program.Value) program.Value {
	return b.FromBits(b.IXor(b.Bits(y), b.IAnd(i, b.I(signBit))))
}

// reduceHuge reduces ax > hugeAngle after Payne and Hanek. With ax = M 2^e, M an
// integer of 53 bits, the table has 2/pi 2^e modulo 4 (what is a multiple of 4 adds
// whole turns) in four pieces a, b, c, d of 53 bits each, and M(a+b+c+d) modulo 4 is
// the quadrant and the fraction. Each product is split exactly by an fma; the sums
// are exact (two-sum) until what is left is below 2^-100, because the fraction
// may be as small as 2^-62.
func reduceHuge(b *program.Builder, ax program.Value) (r, tail, q program.Value) {
	bits := b.Bits(ax)
	index := b.Shr(bits, b.I(52))
	m := b.FromBits(b.IOr(b.IAnd(bits, b.I(mantissa)), b.I(int64(math.Float64bits(twoTo52)))))
	var p, e [4]program.Value
	for i, t := range twoOverPi() {
		piece := b.Table(b.NewTable(t), index)
		p[i] = b.Mul(m, piece)
		if i < 3 {
			e[i] = b.FMA(m, piece, b.Neg(p[i]))
		}
	}
	round := func(x program.Value) (n, rest program.Value) {
		n = b.Round(x)
		return n, b.Sub(x, n)
	}
	f := b.FMA(b.Round(b.Mul(p[0], b.F(0.25))), b.F(-4), p[0]) // p[0] modulo 4
	h, l0 := twoSum(b, f, e[0])
	n0, h := round(h)
	h, l1 := twoSum(b, h, p[1])
	n1, h := round(h)
	s0, t0 := twoSum(b, p[2], e[1])
	s1, t1 := twoSum(b, l0, l1)
	s, t2 := twoSum(b, s0, s1)
	rest := b.Add(b.Add(b.Add(t0, t1), t2), b.Add(e[2], p[3]))
	hi, lo := twoSum(b, h, s)
	lo = b.Add(lo, rest)
	hi, lo = fastTwoSum(b, hi, lo)
	// (hi + lo) pi/2
	r = b.Mul(hi, b.F(halfPi1))
	err := b.FMA(hi, b.F(halfPi1), b.Neg(r))
	r, tail = fastTwoSum(b, r, b.FMA(lo, b.F(halfPi1), b.FMA(hi, b.F(halfPi2), err)))
	return b.Add(r, b.Sub(ax, ax)), tail, b.ToInt(b.Add(n0, n1)) // NaN for infinite ax
}

// twoSum is x + y = s + e exactly (Knuth).
func twoSum(b *program.Builder, x, y program.Value) (s, e program.Value) {
	s = b.Add(x, y)
	v := b.Sub(s, x)
	return s, b.Add(b.Sub(x, b.Sub(s, v)), b.Sub(y, v))
}

// fastTwoSum is x + y = s + e exactly where |x| >= |y| or x = 0 (Dekker).
func fastTwoSum(b *program.Builder, x, y program.Value) (s, e program.Value) {
	s = b.Add(x, y)
	return s, b.Add(b.Sub(x, s), y)
}

// twoOverPiHex is 2/pi * 2^1280.
const twoOverPiHex = "" +
	"a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e0" +
	"06492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f4" +
	"9c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d" +
	"7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d"

// twoOverPi is the table of reduceHuge: four pieces for each biased exponent
// modulo 1024.
var twoOverPi = sync.OnceValue(func() (table [4][]float64) {
	const digits = 1280
	w, _ := new(big.Int).SetString(twoOverPiHex, 16)
	for i := range table {
		table[i] = make([]float64, 1024)
	}
	for biased := 1023 + 20; biased < 2047; biased++ {
		e := biased - 1023 - 52
		// w 2^e / 2^1280 modulo 4
		point := digits - e
		v := new(big.Int).And(w, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(point+2)), big.NewInt(1)))
		for i := range table {
			f := new(big.Float).SetPrec(53).SetMode(big.ToZero).SetInt(v)
			piece, _ := f.Int(nil)
			v.Sub(v, piece)
			table[i][biased&1023], _ = f.SetMantExp(f, -point).Float64()
		}
	}
	return table
})
