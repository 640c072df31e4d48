package bigref

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
)

// Range is a set of arguments on which a function is measured.
type Range struct {
	Func  string
	Name  string
	Draw  func(r *rand.Rand) []float64 // random arguments; nil: only Fixed
	Fixed [][]float64                  // arguments known to be hard
}

// Limit is the error in ulp that a function of package elementary may have.
func Limit(name string) float64 {
	switch name {
	case "exp", "log", "sin", "cos", "pow":
		return 1.5
	}
	return 3
}

// Limit32 is the error in ulp of a float32 that a function of float32s may have: half a unit for the rounding, and
// that of the function of float64s.
const Limit32 = 0.5 + 0x1p-26

// Round32 rounds the arguments of a function to float32. It reports whether Of knows its value there: no
// argument has become zero or infinite, or left the domain.
func Round32(name string, x []float64) (y []float64, ok bool) {
	for _, v := range x {
		y = append(y, float64(float32(v)))
	}
	for _, v := range y {
		if v == 0 || math.IsInf(v, 0) {
			return y, false
		}
	}
	switch name {
	case "asin", "acos":
		return y, math.Abs(y[0]) <= 1
	case "log1p":
		return y, y[0] > -1
	}
	return y, true
}

// uniform draws from lo..hi.
func uniform(lo, hi float64) func(*rand.Rand) []float64 {
	return func(r *rand.Rand) []float64 { return []float64{lo + (hi-lo)*r.Float64()} }
}

// bits draws all doubles between two of one sign alike: all exponents, subnormals too.
func bits(lo, hi float64) func(*rand.Rand) []float64 {
	a, b := math.Float64bits(lo), math.Float64bits(hi)
	return func(r *rand.Rand) []float64 { return []float64{math.Float64frombits(a + r.Uint64N(b-a+1))} }
}

// either draws from bits(lo, hi) with both signs.
func either(lo, hi float64) func(*rand.Rand) []float64 {
	draw := bits(lo, hi)
	return func(r *rand.Rand) []float64 {
		x := draw(r)
		if r.IntN(2) == 0 {
			x[0] = -x[0]
		}
		return x
	}
}

func pair(x, y func(*rand.Rand) []float64) func(*rand.Rand) []float64 {
	return func(r *rand.Rand) []float64 { return append(x(r), y(r)...) }
}

// nearMultiples draws doubles next to k*step, k up to most.
func nearMultiples(step float64, most int) func(*rand.Rand) []float64 {
	return func(r *rand.Rand) []float64 {
		x := float64(1+r.IntN(most)) * step
		for range r.IntN(4) {
			x = math.Nextafter(x, math.Inf(2*r.IntN(2)-1))
		}
		return []float64{x}
	}
}

const (
	tiny = 0x1p-1074
	most = math.MaxFloat64
)

// points makes rows of one argument each, with both signs.
func points(x ...float64) (rows [][]float64) {
	for _, v := range x {
		rows = append(rows, []float64{v}, []float64{-v})
	}
	return rows
}

// closest lists for each binary exponent from 2^0 up the double that comes
// closest to a multiple of pi/2, found from the convergents of the continued
// fraction of 2^e 2/pi (Kahan's method, after Muller, Elementary Functions, ch. 11).
func closest() (x []float64) {
	for e := -52; e <= 971; e++ {
		x = append(x, closestAt(e))
	}
	return x
}

// closestAt is M 2^e with M of 53 bits or fewer, near a multiple of pi/2: the denominator of
// the last convergent below 2^53.
func closestAt(e int) float64 {
	c := new(Number).SetPrec(piBits).SetMantExp(Pi(), -1-e) // pi/2 / 2^e
	c.Quo(new(Number).SetPrec(piBits).SetInt64(1), c)
	c.Sub(c, new(Number).SetPrec(piBits).SetInt(floor(c)))
	// convergents of c = p/q; only the q matter
	q0, q1 := 0.0, 1.0
	for {
		c.Quo(new(Number).SetPrec(piBits).SetInt64(1), c)
		a := floor(c)
		c.Sub(c, new(Number).SetPrec(piBits).SetInt(a))
		f, _ := new(Number).SetInt(a).Float64()
		q2 := f*q1 + q0
		if q2 >= 0x1p53 {
			return math.Ldexp(q1, e)
		}
		q0, q1 = q1, q2
	}
}

// Ranges lists what every function is measured on.
func Ranges() []Range {
	pio2 := closest()
	huge := 6381956970095103 * math.Pow(2, 797)
	hard := points(append(slices.Clone(pio2), huge, most, 0x1p20, math.Nextafter(0x1p20, 2e9), 1e22)...)
	trig := func(f string) []Range {
		return []Range{
			{f, "[-pi, pi]", uniform(-math.Pi, math.Pi), nil},
			{f, "[-1000, 1000]", uniform(-1000, 1000), nil},
			{f, "near k pi/2, k <= 2^21", nearMultiples(math.Pi/2, 1<<21), nil},
			{f, "near k pi/4, k <= 1000", nearMultiples(math.Pi/4, 1000), nil},
			{f, "|x| in [2^15, 2^25]", either(0x1p15, 0x1p25), nil},
			{f, "|x| > 2^20", either(0x1p20, most), nil},
			{f, "all exponents", either(tiny, most), nil},
			{f, "closest to multiples of pi/2, by exponent", nil, hard},
		}
	}
	logs := func(f string) []Range {
		return []Range{
			{f, "[0.5, 2]", uniform(0.5, 2), nil},
			{f, "[0.99, 1.01]", uniform(0.99, 1.01), nil},
			{f, "all exponents", bits(tiny, most), nil},
			{f, "subnormal", bits(tiny, 0x1p-1022), nil},
			{f, "ends", nil, [][]float64{{tiny}, {0x1p-1022}, {most}, {math.Nextafter(1, 0)}, {math.Nextafter(1, 2)}, {math.Sqrt2}, {math.Sqrt2 / 2}}},
		}
	}
	odd := func(f string, lo, hi float64) []Range {
		return []Range{
			{f, "[-1, 1]", uniform(-1, 1), nil},
			{f, "[-10, 10]", uniform(-10, 10), nil},
			{f, "up to overflow or 1", either(math.Abs(lo), hi), nil},
			{f, "all exponents", either(tiny, hi), nil},
			{f, "ends", nil, points(tiny, 0x1p-1022, 0x1p-28, 0x1p-54, hi)},
		}
	}
	var all []Range
	add := func(r ...Range) { all = append(all, r...) }
	add(
		Range{"exp", "[-1, 1]", uniform(-1, 1), nil},
		Range{"exp", "[-20, 20]", uniform(-20, 20), nil},
		Range{"exp", "[-708, 709]", uniform(-708, 709), nil},
		Range{"exp", "subnormal results", uniform(-745.2, -708), nil},
		Range{"exp", "near k ln2/2", nearMultiples(math.Ln2/2, 2040), nil},
		Range{"exp", "all exponents", either(tiny, 709.78), nil},
		Range{"exp", "ends", nil, [][]float64{{709.782712893384}, {709.7827128933841}, {-745.1332191019411}, {-745.1332191019412}, {-708.3964185322641}, {1e308}, {-1e308}, {tiny}, {-tiny}, {0}}},
		Range{"exp2", "[-1, 1]", uniform(-1, 1), nil},
		Range{"exp2", "[-1022, 1024]", uniform(-1022, 1024), nil},
		Range{"exp2", "subnormal results", uniform(-1075, -1022), nil},
		Range{"exp2", "ends", nil, [][]float64{{1023}, {math.Nextafter(1024, 0)}, {1024}, {-1074}, {-1075}, {math.Nextafter(-1075, 0)}, {-1e300}, {1e300}, {0.5}}},
		Range{"expm1", "[-1, 1]", uniform(-1, 1), nil},
		Range{"expm1", "[-40, 40]", uniform(-40, 40), nil},
		Range{"expm1", "[40, 709.78]", uniform(40, 709.78), nil},
		Range{"expm1", "near k ln2/2", nearMultiples(math.Ln2/2, 200), nil},
		Range{"expm1", "all exponents", either(tiny, 709.78), nil},
		Range{"expm1", "ends", nil, append(points(tiny, 0x1p-1022, 0x1p-54, 0x1p-53, 709.782712893384), []float64{709.7827128933841}, []float64{-1e300})},
	)
	for _, f := range []string{"log", "log2", "log10"} {
		add(logs(f)...)
	}
	add(
		Range{"log1p", "[-0.9, 3]", uniform(-0.9, 3), nil},
		Range{"log1p", "[-1, -0.9]", uniform(-1, -0.9), nil},
		Range{"log1p", "negative", func(r *rand.Rand) []float64 { return []float64{-bits(tiny, math.Nextafter(1, 0))(r)[0]} }, nil},
		Range{"log1p", "positive, all exponents", bits(tiny, most), nil},
		Range{"log1p", "positive, 2^-60 to 2^60", bits(0x1p-60, 0x1p60), nil},
		Range{"log1p", "ends", nil, [][]float64{{most}, {tiny}, {-tiny}, {math.Nextafter(-1, 0)}, {0x1p53}, {0x1p54}, {0x1p-53}, {-0x1p-53}}},
	)
	for _, f := range []string{"sin", "cos", "tan"} {
		add(trig(f)...)
	}
	for _, f := range []string{"asin", "acos"} {
		add(
			Range{f, "[-1, 1]", uniform(-1, 1), nil},
			Range{f, "[0.4, 0.6]", uniform(0.4, 0.6), nil},
			Range{f, "[-1, -0.99]", uniform(-1, -0.99), nil},
			Range{f, "all exponents", either(tiny, math.Nextafter(1, 0)), nil},
			Range{f, "ends", nil, points(tiny, 0.5, math.Nextafter(0.5, 1), math.Nextafter(1, 0))},
		)
	}
	add(odd("atan", 0.1, most)...)
	add(odd("sinh", 20, 710.4758600739439)...)
	add(odd("cosh", 20, 710.4758600739439)...)
	add(odd("tanh", 0.1, 30)...)
	for _, f := range []string{"sigmoid", "softplus"} {
		add(
			Range{f, "[-1, 1]", uniform(-1, 1), nil},
			Range{f, "[-40, 40]", uniform(-40, 40), nil},
			Range{f, "subnormal results", uniform(-745.2, -708), nil},
			Range{f, "all exponents", either(tiny, 745), nil},
			Range{f, "ends", nil, points(tiny, 1e-300, 745.1, 746, 1e300)},
		)
	}
	near1 := uniform(0.9, 1.1)
	add(
		Range{"atan2", "unit square", pair(uniform(-1, 1), uniform(-1, 1)), nil},
		Range{"atan2", "all exponents", pair(either(tiny, most), either(tiny, most)), nil},
		Range{"atan2", "subnormal", pair(either(tiny, 0x1p-1022), either(tiny, 0x1p-1022)), nil},
		Range{"atan2", "huge", pair(either(0x1p1020, most), either(0x1p1020, most)), nil},
		Range{"atan2", "ends", nil, [][]float64{{most, most}, {tiny, tiny}, {tiny, 2 * tiny}, {2 * tiny, tiny}, {most, tiny}, {tiny, most}, {0x1p-1022, 1.5}, {0x1.fffffffffffffp-1022, 1.0000001}, {tiny, -most}, {-1, -1}}},
		Range{"hypot", "unit square", pair(uniform(-1, 1), uniform(-1, 1)), nil},
		Range{"hypot", "all exponents", pair(either(tiny, most), either(tiny, most)), nil},
		Range{"hypot", "subnormal", pair(either(tiny, 0x1p-1022), either(tiny, 0x1p-1022)), nil},
		Range{"hypot", "near the scaling bounds", pair(either(0x1p-410, 0x1p-390), either(0x1p-410, 0x1p-390)), nil},
		Range{"hypot", "huge", pair(either(0x1p490, 0x1p510), either(0x1p490, 0x1p510)), nil},
		Range{"hypot", "ends", nil, [][]float64{{most, most}, {most, 1}, {tiny, tiny}, {most / 2, most / 2}, {3, 4}, {0x1p-1022, tiny}}},
		Range{"pow", "[0, 10]^[-10, 10]", pair(uniform(0, 10), uniform(-10, 10)), nil},
		Range{"pow", "[0.9, 1.1]^[-7000, 7000]", pair(near1, uniform(-6700, 6700)), nil},
		Range{"pow", "near 1, huge exponent", func(r *rand.Rand) []float64 {
			x := 1 + r.NormFloat64()*math.Exp(-30*r.Float64())/100
			return []float64{x, (-745 + 1454*r.Float64()) / math.Log(x)}
		}, nil},
		Range{"pow", "[0.5, 2], results of all sizes", func(r *rand.Rand) []float64 {
			x := 0.5 + 1.5*r.Float64()
			return []float64{x, (-745 + 1454*r.Float64()) / math.Log(x)}
		}, nil},
		Range{"pow", "results of all sizes", func(r *rand.Rand) []float64 {
			x := bits(tiny, most)(r)[0]
			return []float64{x, (-745 + 1454*r.Float64()) / math.Log(x)}
		}, nil},
		Range{"pow", "all exponents", pair(bits(tiny, most), either(tiny, most)), nil},
		Range{"pow", "integers", func(r *rand.Rand) []float64 {
			return []float64{10 * (r.Float64() - 0.5), float64(r.IntN(200) - 100)}
		}, nil},
		Range{"pow", "ends", nil, [][]float64{{2, 1023}, {2, -1074}, {2, 1024}, {tiny, 1}, {tiny, -1}, {most, 1}, {most, -1}, {10, 308}, {10, -323}, {-2, 3}, {-2, -1074}, {math.Nextafter(1, 2), 1e18}, {math.Nextafter(1, 0), -1e18}, {0.5, 1e300}, {2, tiny}}},
	)
	return all
}

func floor(x *Number) *big.Int { i, _ := x.Int(nil); return i }

// Each calls visit for the range's fixed arguments and n random ones, always the
// same for the same seed.
func (g Range) Each(n int, seed uint64, visit func(x []float64)) {
	for _, x := range g.Fixed {
		visit(x)
	}
	if g.Draw == nil {
		return
	}
	r := rand.New(rand.NewPCG(seed, uint64(len(g.Func)+len(g.Name))))
	for range n {
		if x := g.Draw(r); !slices.ContainsFunc(x, func(v float64) bool { return math.IsInf(v, 0) || math.IsNaN(v) || v == 0 }) {
			visit(x)
		}
	}
}
