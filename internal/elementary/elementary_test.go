package elementary_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"invar/internal/elementary"
	"invar/internal/elementary/bigref"
	"invar/program"
)

// same: equal bits, all NaNs alike.
func same(x, y float64) bool {
	return math.Float64bits(x) == math.Float64bits(y) || math.IsNaN(x) && math.IsNaN(y)
}

// Every function stays within its limit on all ranges, and the optimiser, fusing
// multiply-adds, does not change a bit of what it is outside of a program.
func TestAccuracy(t *testing.T) {
	for _, g := range bigref.Ranges() {
		t.Run(g.Func+"/"+g.Name, func(t *testing.T) {
			t.Parallel()
			scalar := elementary.Scalar(g.Func)
			fused := program.Optimize(elementary.Func(g.Func, program.F64), true)
			g.Each(400, 7, func(x []float64) {
				y := scalar(x...)
				if u := bigref.Ulps(y, bigref.Of(g.Func, x...)); !(u <= bigref.Limit(g.Func)) {
					t.Errorf("%s(%x) = %x, %.3g ulp off, want at most %g", g.Func, x, y, u, bigref.Limit(g.Func))
				}
				if z := fused.EvalF64(x...)[0]; !same(y, z) {
					t.Errorf("%s(%x) = %x, after fusing %x", g.Func, x, y, z)
				}
			})
		})
	}
}

// A function of F32s is within a hair of half a ulp: correctly rounded but where the exact value lies within the
// error of the F64 function from the middle between two F32s.
func TestAccuracy32(t *testing.T) {
	for _, g := range bigref.Ranges() {
		t.Run(g.Func+"/"+g.Name, func(t *testing.T) {
			t.Parallel()
			f := elementary.Func(g.Func, program.F32)
			fused := program.Optimize(f, true)
			g.Each(400, 8, func(x []float64) {
				x, ok := bigref.Round32(g.Func, x)
				if !ok {
					return
				}
				y := f.EvalF64(x...)[0]
				if u := bigref.Ulps32(float32(y), bigref.Of(g.Func, x...)); !(u <= bigref.Limit32) {
					t.Errorf("%s(%x) = %x, %.9g ulp off, want at most half", g.Func, x, y, u)
				}
				if z := fused.EvalF64(x...)[0]; !same(y, z) {
					t.Errorf("%s(%x) = %x, after fusing %x", g.Func, x, y, z)
				}
			})
		})
	}
}

// The ranges cover all functions that there are.
func TestRangesComplete(t *testing.T) {
	measured := map[string]bool{}
	for _, g := range bigref.Ranges() {
		measured[g.Func] = true
	}
	names := slices.Concat(slices.Collect(maps.Keys(elementary.Unary)), slices.Collect(maps.Keys(elementary.Binary)))
	for _, name := range names {
		if !measured[name] {
			t.Errorf("%s is not measured", name)
		}
		delete(measured, name)
	}
	if len(measured) > 0 {
		t.Errorf("measured but not there: %v", measured)
	}
	if elementary.Func("gamma", program.F64) != nil {
		t.Error("Func knows a function that does not exist")
	}
}

var inf, nan, minusZero = math.Inf(1), math.NaN(), math.Copysign(0, -1)

const tiny, most = math.SmallestNonzeroFloat64, math.MaxFloat64

// special are arguments at which functions have cases of their own.
var special = []float64{
	0, tiny, 0x1p-1022, 0x1p-600, 0x1p-60, 0.5, math.Nextafter(1, 0), 1, math.Nextafter(1, 2), 1.5, 2, 2.5, 3, 4, 21, 800,
	0x1p52 + 1, 0x1p53 - 1, 0x1p53, 0x1p53 + 2, 1e300, most, inf, nan,
}

// check compares y = name(x...) with the reference where that is defined and else with package math's
// value want: zeros, infinities and NaNs must be the same, multiples of pi/4
// nearly. (Package math is no reference for the rest: on amd64 its Log of a subnormal
// number is wrong, as is the sign of its Atan2 of -5e-324 and -2.)
func check(t *testing.T, name string, y, want float64, x ...float64) {
	t.Helper()
	plain := !math.IsNaN(want) && !math.IsInf(want, 0)
	for _, v := range x {
		plain = plain && v != 0 && !math.IsInf(v, 0) && !math.IsNaN(v)
	}
	if plain {
		if u := bigref.Ulps(y, bigref.Of(name, x...)); !(u <= bigref.Limit(name)) {
			t.Errorf("%s%v = %v, %.3g ulp off", name, x, y, u)
		}
	} else if want == 0 || math.IsInf(want, 0) || math.IsNaN(want) {
		if !same(y, want) {
			t.Errorf("%s%v = %v, want %v", name, x, y, want)
		}
	} else if !(math.Abs(y-want) <= 0x1p-52*math.Abs(want)) {
		t.Errorf("%s%v = %v, want %v", name, x, y, want)
	}
}

// Special cases are package math's, which has those of C99.
func TestSpecialUnary(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	softplus := func(x float64) float64 {
		if x > 50 {
			return x
		}
		return math.Log1p(math.Exp(x))
	}
	for name, want := range map[string]func(float64) float64{
		"exp": math.Exp, "exp2": math.Exp2, "expm1": math.Expm1, "log": math.Log, "log1p": math.Log1p,
		"log2": math.Log2, "log10": math.Log10, "sin": math.Sin, "cos": math.Cos, "tan": math.Tan,
		"asin": math.Asin, "acos": math.Acos, "atan": math.Atan, "sinh": math.Sinh, "cosh": math.Cosh,
		"tanh": math.Tanh, "sigmoid": sigmoid, "softplus": softplus,
	} {
		f := elementary.Func(name, program.F64)
		for _, x := range special {
			for _, x := range []float64{x, -x} {
				check(t, name, f.EvalF64(x)[0], want(x), x)
			}
		}
	}
}

func TestSpecialBinary(t *testing.T) {
	for name, want := range map[string]func(x, y float64) float64{
		"atan2": math.Atan2, "hypot": math.Hypot, "pow": math.Pow,
	} {
		f := elementary.Func(name, program.F64)
		for _, x := range special {
			for _, y := range special {
				for _, p := range [][2]float64{{x, y}, {-x, y}, {x, -y}, {-x, -y}} {
					check(t, name, f.EvalF64(p[0], p[1])[0], want(p[0], p[1]), p[0], p[1])
				}
			}
		}
	}
}

// Odd functions are odd to the bit, -0 included.
func TestOdd(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"sin", "tan", "asin", "atan", "sinh", "tanh"} {
		f := elementary.Func(name, program.F64)
		for range 1000 {
			x := r.NormFloat64()
			if y, z := f.EvalF64(x)[0], f.EvalF64(-x)[0]; !same(y, -z) {
				t.Errorf("%s(%v) = %v but %v for the opposite", name, x, y, z)
			}
		}
		if y := f.EvalF64(minusZero)[0]; !same(y, minusZero) {
			t.Errorf("%s(-0) = %v", name, y)
		}
	}
}

// Results that are doubles come out exactly.
func TestExact(t *testing.T) {
	log2, exp2, pow, log := elementary.Func("log2", program.F64), elementary.Func("exp2", program.F64), elementary.Func("pow", program.F64), elementary.Func("log10", program.F64)
	for k := -1074; k < 1024; k++ {
		x := math.Ldexp(1, k)
		if y := log2.EvalF64(x)[0]; y != float64(k) {
			t.Errorf("log2(2^%d) = %v", k, y)
		}
		if y := exp2.EvalF64(float64(k))[0]; y != x {
			t.Errorf("exp2(%d) = %v", k, y)
		}
	}
	for n := 2; n < 100; n++ {
		for k, x := 0, 1.0; x < 0x1p53; k, x = k+1, x*float64(n) {
			if y := pow.EvalF64(float64(n), float64(k))[0]; y != x {
				t.Errorf("pow(%d, %d) = %v, want %v", n, k, y, x)
			}
			if y := pow.EvalF64(x, 0.5)[0]; k%2 == 0 && y != math.Sqrt(x) {
				t.Errorf("pow(%v, 1/2) = %v", x, y)
			}
		}
	}
	for k := 0; k <= 22; k++ {
		if y := log.EvalF64(math.Pow10(k))[0]; y != float64(k) {
			t.Errorf("log10(1e%d) = %v", k, y)
		}
	}
}

// count returns how often op occurs in f.
func count(f *program.Func, op program.Op) (n int) {
	for _, in := range f.Instrs {
		if in.Op == op {
			n++
		}
	}
	return n
}

// Sin, Cos and Tan of one argument share the reduction, with its guard, and the
// kernels, also when other code stands between them.
func TestSharing(t *testing.T) {
	b := program.NewBuilder("all")
	x := b.Input("x", program.F64)
	sin, log := elementary.Sin(b, x), elementary.Log(b, x)
	before := b.Len()
	cos, tan := elementary.Cos(b, x), elementary.Tan(b, x)
	if n := b.Len() - before; n > 15 {
		t.Errorf("cos and tan after sin take %d instructions more", n)
	}
	before = b.Len()
	if b.Inline(elementary.Func("sin", program.F64), x)[0] != sin || b.Inline(elementary.Func("log", program.F64), x)[0] != log || elementary.Log(b, x) != log || b.Len() != before {
		t.Error("an inlined copy of a function does not merge with the one before")
	}
	// same argument and guard condition, but another function
	log2, log10 := elementary.Log2(b, x), elementary.Log10(b, x)
	all := b.Finish(sin, log, cos, tan, log2, log10)
	if g := count(all, program.OpGuard); g != 4 {
		t.Errorf("%d guards, want 4: of the angle and of each logarithm", g)
	}
	for _, f := range []*program.Func{all, program.Optimize(all, true)} {
		for _, v := range []float64{0.3, -4, 1e5, 3e7, -1e300, tiny, 0, minusZero, inf, nan} {
			y := f.EvalF64(v)
			for i, name := range []string{"sin", "log", "cos", "tan", "log2", "log10"} {
				if want := elementary.Func(name, program.F64).EvalF64(v)[0]; !same(y[i], want) {
					t.Errorf("%s(%v) = %v among others, %v alone", name, v, y[i], want)
				}
			}
		}
	}
}

// A function used in a guard does not lend its values to code outside of it.
func TestSharingScope(t *testing.T) {
	b := program.NewBuilder("scope")
	x := b.Input("x", program.F64)
	in := b.Guard(b.Lt(x, b.F(0)), []program.Value{x}, func() []program.Value {
		return []program.Value{elementary.Sin(b, x)}
	})
	f := b.Finish(in[0], elementary.Sin(b, x))
	for _, v := range []float64{-1e30, -2, 2, 1e30} {
		y := f.EvalF64(v)
		if want := elementary.Func("sin", program.F64).EvalF64(v)[0]; !same(y[1], want) || v < 0 && !same(y[0], want) {
			t.Errorf("sin(%v) = %v, want %v", v, y, want)
		}
	}
}

// Multiplications are strict throughout: later fusing finds nothing to fuse.
func TestStrict(t *testing.T) {
	for _, name := range slices.Concat(slices.Collect(maps.Keys(elementary.Unary)), slices.Collect(maps.Keys(elementary.Binary))) {
		f := elementary.Func(name, program.F64)
		for i, in := range f.Instrs {
			if in.Op == program.OpMul && !in.Strict {
				t.Errorf("%s: v%d is a multiplication that may be fused", name, i)
			}
		}
		if plain, fused := program.Optimize(f, false), program.Optimize(f, true); plain.String() != fused.String() {
			t.Errorf("%s: fusing changes the function", name)
		}
	}
}

// Fast paths stay lean: instructions outside of guards, constants and bit casts not counted.
func TestCost(t *testing.T) {
	for name, most := range map[string]int{"exp": 21, "log": 25, "sin": 35, "cos": 35, "tanh": 27, "sigmoid": 25, "pow": 111} {
		if n := elementary.Operations(elementary.Func(name, program.F64)); n > most {
			t.Errorf("%s takes %d operations, at most %d are wanted", name, n, most)
		}
	}
}

func ExampleExp() {
	b := program.NewBuilder("gauss")
	x := b.Input("x", program.F64)
	f := b.Finish(elementary.Exp(b, b.Neg(b.Mul(x, x))))
	fmt.Println(f.EvalF64(0)[0], f.EvalF64(1)[0], f.EvalF64(math.Inf(1))[0])
	// Output: 1 0.36787944117144233 0
}
