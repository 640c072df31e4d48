package program_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// number32 is a random F32: of any size, special, or with few bits set, so that results are often near the
// middle between two numbers.
func number32(r *rand.Rand) float32 {
	switch r.IntN(4) {
	case 0:
		return math.Float32frombits(r.Uint32())
	case 1:
		sign := float64(1 - 2*r.IntN(2))
		return float32(sign * math.Ldexp(1+math.Ldexp(1, -r.IntN(24))-math.Ldexp(float64(r.IntN(2)), -r.IntN(24)), r.IntN(270)-150))
	}
	return math.Float32frombits(uint32(progtest.Bits(r, program.F32)))
}

func finite(x ...float32) bool {
	for _, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}

// exact is x as a big.Float in which sums and products of float32s are exact.
func exact(x float32) *big.Float { return new(big.Float).SetPrec(700).SetFloat64(float64(x)) }

func rounded(x *big.Float) float64 {
	f, _ := x.Float32()
	return float64(f)
}

// TestFloat32 holds the operations on finite F32s against exact arithmetic that is rounded once. The sign of a zero is
// that of float64 arithmetic, where such results are exact.
func TestFloat32(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 32))
	for _, c := range []struct {
		op   program.Op
		want func(x, y, z float32) float64
	}{
		{program.OpAdd, func(x, y, _ float32) float64 { return rounded(new(big.Float).SetPrec(700).Add(exact(x), exact(y))) }},
		{program.OpSub, func(x, y, _ float32) float64 { return rounded(new(big.Float).SetPrec(700).Sub(exact(x), exact(y))) }},
		{program.OpMul, func(x, y, _ float32) float64 { return rounded(new(big.Float).SetPrec(700).Mul(exact(x), exact(y))) }},
		{program.OpDiv, func(x, y, _ float32) float64 {
			if x == 0 || y == 0 {
				return float64(x) / float64(y)
			}
			a, _ := exact(x).Rat(nil)
			b, _ := exact(y).Rat(nil)
			f, _ := new(big.Rat).Quo(a, b).Float32()
			if f == 0 {
				return math.Copysign(0, float64(x)*math.Copysign(1, float64(y)))
			}
			return float64(f)
		}},
		{program.OpSqrt, func(x, _, _ float32) float64 {
			if !(x > 0) {
				return math.Sqrt(float64(x))
			}
			return rounded(new(big.Float).SetPrec(200).Sqrt(exact(x)))
		}},
		{program.OpFMA, func(x, y, z float32) float64 {
			p := new(big.Float).SetPrec(700).Mul(exact(x), exact(y))
			return rounded(p.Add(p, exact(z)))
		}},
		{program.OpRound, func(x, _, _ float32) float64 { return math.RoundToEven(float64(x)) }},
		{program.OpFloor, func(x, _, _ float32) float64 { return math.Floor(float64(x)) }},
		{program.OpTrunc, func(x, _, _ float32) float64 { return math.Trunc(float64(x)) }},
		{program.OpNeg, func(x, _, _ float32) float64 { return -float64(x) }},
		{program.OpAbs, func(x, _, _ float32) float64 { return math.Abs(float64(x)) }},
	} {
		for range 200_000 {
			x, y, z := number32(r), number32(r), number32(r)
			if !finite(x, y, z) {
				continue
			}
			bits := func(x float32) uint64 { return uint64(math.Float32bits(x)) }
			got, want := program.F32.Float(program.Apply(c.op, program.F32, bits(x), bits(y), bits(z))), c.want(x, y, z)
			if !progtest.SameF64(got, want) {
				t.Fatalf("%s of %v %v %v (%#x %#x %#x): %v, want %v", c.op, x, y, z, bits(x), bits(y), bits(z), got, want)
			}
		}
	}
}

// TestFMA32 tries sums that lie next to the middle between two float32s, where rounding them twice goes wrong.
func TestFMA32(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 33))
	hard := 0
	for range 300_000 {
		x, y, z := progtest.NearMiddle(r)
		if !finite(x, y, z) {
			continue
		}
		p := new(big.Float).SetPrec(700).Mul(exact(x), exact(y))
		want := rounded(p.Add(p, exact(z)))
		if got := program.FMA32(x, y, z); float64(got) != want {
			t.Fatalf("%v * %v + %v (%#x %#x %#x) = %v, want %v", x, y, z, math.Float32bits(x), math.Float32bits(y), math.Float32bits(z), got, want)
		}
		if float64(float32(math.FMA(float64(x), float64(y), float64(z)))) != want {
			hard++
		}
	}
	if hard < 100 {
		t.Errorf("%d cases in which rounding twice is wrong, want 100 or more", hard)
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	negZero := math.Float32frombits(1 << 31)
	for _, c := range []struct{ x, y, z, want float32 }{
		{inf, 1, 1, inf}, {1, 1, -inf, -inf}, {inf, 0, 1, nan}, {inf, 1, -inf, nan}, {nan, 1, 1, nan}, {1, 1, nan, nan},
		{1, negZero, negZero, negZero}, {1, 1, -1, 0}, {-1, 0, negZero, negZero}, {math.MaxFloat32, 2, -math.MaxFloat32, math.MaxFloat32},
		{math.MaxFloat32, 2, 0, inf}, {0x1p-149, 0.5, 0, 0}, {0x1p-149, 0.5, 0x1p-149, 0x1p-148},
	} {
		if got := program.FMA32(c.x, c.y, c.z); !progtest.Same(program.F32, uint64(math.Float32bits(got)), uint64(math.Float32bits(c.want))) {
			t.Errorf("%v * %v + %v = %v, want %v", c.x, c.y, c.z, got, c.want)
		}
	}
}

// TestNarrowWiden: narrowing rounds to even, to subnormal numbers and to infinity; widening is exact.
func TestNarrowWiden(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 34))
	for range 300_000 {
		x := math.Ldexp(1+float64(r.IntN(1<<26))*0x1p-26+float64(r.IntN(3)-1)*0x1p-52, r.IntN(290)-160)
		want := rounded(new(big.Float).SetFloat64(x))
		got := program.Apply(program.OpNarrow, program.F32, math.Float64bits(x), 0, 0)
		if program.F32.Float(got) != want {
			t.Fatalf("narrow of %v = %v, want %v", x, program.F32.Float(got), want)
		}
		if wide := math.Float64frombits(program.Apply(program.OpWiden, program.F64, got, 0, 0)); wide != want {
			t.Fatalf("widen of %v = %v", want, wide)
		}
	}
}

// TestNoMixing: F32 and F64 meet in no operation, nor in an array, a loop, a select.
func TestNoMixing(t *testing.T) {
	one := program.Affine{Const: 1}
	for _, c := range []struct {
		name  string
		write func(b *program.Builder, d, s program.Value)
	}{
		{"add", func(b *program.Builder, d, s program.Value) { b.Add(d, s) }},
		{"lt", func(b *program.Builder, d, s program.Value) { b.Lt(s, d) }},
		{"fma", func(b *program.Builder, d, s program.Value) { b.FMA(s, s, d) }},
		{"select", func(b *program.Builder, d, s program.Value) { b.Select(b.Lt(d, d), d, s) }},
		{"widen", func(b *program.Builder, d, s program.Value) { b.Widen(d) }},
		{"narrow", func(b *program.Builder, d, s program.Value) { b.Narrow(s) }},
		{"store", func(b *program.Builder, d, s program.Value) { b.Store(b.NewArray(2), one, s) }},
		{"constant", func(b *program.Builder, d, s program.Value) { b.Mul(s, b.F(2)) }},
		{"loop", func(b *program.Builder, d, s program.Value) {
			b.Loop(program.At(0), one, []program.Value{d}, func(program.Affine, []program.Value) []program.Value { return []program.Value{s} })
		}},
	} {
		err := func() (err error) {
			defer program.Catch(&err)
			b := program.NewBuilder("mixed")
			c.write(b, b.Input("d", program.F64), b.Input("s", program.F32))
			return nil
		}()
		if err == nil {
			t.Errorf("%s mixes f64 and f32 without an error", c.name)
		}
	}
	build := func() *program.Func {
		b := program.NewBuilderOf(program.F32, "single")
		x := b.Input("x", program.F32)
		a := b.NewArray(2)
		b.Store(a, one, x)
		return b.Finish(b.Add(b.Load(a, one), x), b.Lt(x, b.F(2)), b.Widen(x))
	}
	if err := build().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want   string
		damage func(f *program.Func)
	}{
		{"(store): stores f32 in array 0 of f64", func(f *program.Func) { f.Arrays[0].Type = program.F64 }},
		{"(add): operand 0 is f32, want f64", func(f *program.Func) { f.Instrs[3].Type = program.F64 }},
		{"(load): has type f64, want f32", func(f *program.Func) { f.Instrs[2].Type = program.F64 }},
		{"(lt): operand 1 is f64, want f32", func(f *program.Func) { f.Instrs[4].Type = program.F64 }},
		{"f32 constant 0x140000000", func(f *program.Func) { f.Instrs[4].Imm |= 1 << 32 }},
		{"(widen): has type f32, want f64", func(f *program.Func) { f.Instrs[6].Type = program.F32 }},
		{"elements of type bool", func(f *program.Func) { f.Arrays[0].Type = program.Bool }},
	} {
		f := build()
		c.damage(f)
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q\n%s", err, c.want, f)
		}
	}
}

// TestFold32: what the Builder folds away has the bits of what it would have computed.
func TestFold32(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 35))
	write := func(b *program.Builder, x, y, c program.Value) []program.Value {
		return []program.Value{
			b.Mul(x, c), b.Div(x, c), b.Add(x, c), b.Sub(x, c), b.FMA(x, c, y), b.FMA(c, c, x),
			b.Narrow(b.Widen(x)), b.FromBits(b.Bits(x)), b.Bits(b.FromBits(b.Bits(y))), b.IsFinite(x),
			b.Bits(b.FromBits(b.IOr(b.Bits(c), b.I(1<<40)))), b.ToFloat(b.ToInt(b.Trunc(c))), b.Min(x, c), b.Widen(c),
		}
	}
	plain := program.NewBuilderOf(program.F32, "plain")
	in := plain.Inputs("x", 3)
	want := plain.Finish(write(plain, in[0], in[1], in[2])...)
	for _, c := range []float64{1, -1, 0, math.Copysign(0, -1), 2, 0.5, 0x1p-127, 0x1p-149, 0x1p127, 3, math.Inf(1), math.NaN(), math.MaxFloat32} {
		b := program.NewBuilderOf(program.F32, "folded")
		in := b.Inputs("x", 2)
		f := b.Finish(write(b, in[0], in[1], b.F(c))...)
		for range 300 {
			x, y := progtest.Bits(r, program.F32), progtest.Bits(r, program.F32)
			got, want := f.Eval(x, y), want.Eval(x, y, program.F32.Bits(c))
			for k, typ := range f.OutTypes() {
				nan := k == 8 && math.IsNaN(program.F32.Float(y)) || k == 10 && math.IsNaN(c) // as bits
				if !progtest.Same(typ, got[k], want[k]) && !nan {
					t.Fatalf("output %d of %#x %#x with %v: %#x, want %#x\n%s", k, x, y, c, got[k], want[k], f)
				}
			}
		}
	}
}
