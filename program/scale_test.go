package program_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// expression writes n random operations on two inputs of type float, many of them on powers of two; every value is an output.
func expression(r *rand.Rand, float program.Type, n int) *program.Func {
	b := program.NewBuilderOf(float, "expression")
	v := b.Inputs("x", 2)
	for _, c := range []float64{2, 4, 0.5, 0.25, -8, 0.1, -3, 16} {
		v = append(v, b.F(c))
	}
	var flags []program.Value
	pick := func() program.Value { return v[r.IntN(len(v))] }
	for range n {
		x, y := pick(), pick()
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			v = append(v, b.Mul(x, y))
		case 4:
			v = append(v, b.Add(x, y))
		case 5:
			v = append(v, b.Sub(x, y))
		case 6:
			v = append(v, b.FMA(x, y, pick()))
		case 7:
			v = append(v, b.Div(x, y))
		case 8:
			v = append(v, b.Sqrt(x))
		case 9:
			v = append(v, b.Neg(x), b.Abs(y))
		default:
			c := b.Lt(x, y)
			if r.IntN(2) == 0 {
				c = b.Le(y, x)
			}
			flags = append(flags, c)
			v = append(v, b.Select(c, pick(), pick()))
		}
	}
	return b.Finish(append(v, flags...)...)
}

// Moving powers of two keeps every bit, as long as nothing overflows or underflows.
func TestFactorOut(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	judged := 0
	for round := range 4000 {
		float, most := program.F64, 1e200
		if round%2 == 1 {
			float, most = program.F32, 1e26
		}
		f := expression(r, float, 25)
		g := program.FactorOut(f)
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
	sample:
		for range 5 {
			x, y := float.Bits(0.5+r.Float64()), float.Bits(0.5-2*r.Float64())
			got, want := g.Eval(x, y), f.Eval(x, y)
			for k, typ := range f.OutTypes() {
				if typ != float {
					continue
				}
				if m := math.Abs(typ.Float(want[k])); m != 0 && !(m > 1/most && m < most) && !math.IsNaN(m) {
					continue sample
				}
			}
			for k, typ := range f.OutTypes() {
				if !progtest.Same(typ, got[k], want[k]) {
					t.Fatalf("output %d is %#x, want %#x in\n%v\n%v", k, got[k], want[k], f, g)
				}
			}
			judged++
		}
	}
	if judged < 10_000 {
		t.Errorf("%d evaluations judged, too few to mean anything", judged)
	}
}

// The gradient of a square and a step of 0.01 along it leave no factor of their own.
func TestFactorOutMeets(t *testing.T) {
	b := program.NewBuilder("step")
	a, x := b.Input("a", program.F64), b.Input("x", program.F64)
	g := b.Mul(b.Mul(a, b.Mul(x, b.F(2))), b.F(2))
	f := program.Optimize(program.FactorOut(b.Finish(b.Sub(x, b.Mul(g, b.F(0.01))))), true)
	var ops []program.Op
	for _, in := range f.Instrs {
		if in.Op != program.OpInput && in.Op != program.OpConst {
			ops = append(ops, in.Op)
		}
	}
	if len(ops) != 2 || ops[0] != program.OpMul || ops[1] != program.OpFMA {
		t.Errorf("operations %v, want mul and fma:\n%v", ops, f)
	}
}

// A gradient that somebody needs as it is stays whole for everybody: moved out, its factor would only come back.
func TestFactorOutWhole(t *testing.T) {
	b := program.NewBuilder("gradient")
	x, y := b.Input("x", program.F64), b.Input("y", program.F64)
	g := b.Mul(b.Sub(x, y), b.F(2))
	f := program.Optimize(program.FactorOut(b.Finish(g, b.Mul(g, x), b.Mul(g, y))), true)
	ops := 0
	for _, in := range f.Instrs {
		if in.Op != program.OpInput && in.Op != program.OpConst {
			ops++
		}
	}
	if ops != 4 {
		t.Errorf("%d operations, want a subtraction and three products:\n%v", ops, f)
	}
}

// AllFinite is true where every value is finite, and tests no value that another one shows.
func TestAllFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	for round := range 1000 {
		float := []program.Type{program.F64, program.F32}[round%2]
		f := expression(r, float, 12)
		b := program.NewBuilderOf(float, "finite")
		in := b.Inputs("x", 2)
		var asked []program.Value
		for _, v := range b.Inline(f, in...) {
			if b.Type(v) == float && (len(asked) == 0 || r.IntN(4) == 0) {
				asked = append(asked, v)
			}
		}
		g := b.Finish(append(asked, b.AllFinite(asked...))...)
		for range 10 {
			out := g.Eval(progtest.Bits(r, float), progtest.Bits(r, float))
			want := uint64(1)
			for _, v := range out[:len(asked)] {
				if x := float.Float(v); math.IsNaN(x) || math.IsInf(x, 0) {
					want = 0
				}
			}
			if got := out[len(asked)]; got != want {
				t.Fatalf("round %d: %d, want %d\n%v", round, got, want, g)
			}
		}
	}

	b := program.NewBuilder("loss")
	x := b.Inputs("x", 2)
	loss := b.FMA(x[0], x[0], b.Mul(x[1], x[1]))
	f := program.Optimize(b.Finish(b.AllFinite(loss, x[0], x[1])), false)
	compares := 0
	for _, in := range f.Instrs {
		switch in.Op {
		case program.OpLt:
			compares++
		case program.OpAbs, program.OpEq:
			t.Errorf("%v in the test of a sum of squares", in.Op)
		}
	}
	if compares != 1 {
		t.Errorf("%d comparisons, want one:\n%v", compares, f)
	}
}

// FromInt rounds as Go does.
func TestFromInt(t *testing.T) {
	b := program.NewBuilder("from int")
	f := b.Finish(b.FromInt(b.Input("i", program.I64)))
	r := rand.New(rand.NewPCG(35, 36))
	for k := range 100_000 {
		i := int64(r.Uint64()) >> r.IntN(64)
		if k%3 == 0 { // halfway, or nearly, between two numbers
			i = i&^(1<<10-1) | 1<<r.IntN(11) + int64(r.IntN(3)-1)
		}
		if got := math.Float64frombits(f.Eval(uint64(i))[0]); got != float64(i) {
			t.Fatalf("%d becomes %v, want %v", i, got, float64(i))
		}
	}
	for _, i := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1, -(1<<53 + 1)} {
		if got := math.Float64frombits(f.Eval(uint64(i))[0]); got != float64(i) {
			t.Errorf("%d becomes %v, want %v", i, got, float64(i))
		}
	}
}

// Products keep their values but for rounding, whatever of them is fixed, and need fewer operations.
func TestGroupFixed(t *testing.T) {
	r := rand.New(rand.NewPCG(37, 38))
	fixed := func(input int) bool { return input < 2 }
	saved, worse := 0, 0
	for range 500 {
		b := program.NewBuilder("products")
		v := append(b.Inputs("x", 4), b.F(0.1), b.F(3))
		for range 12 {
			v = append(v, b.Mul(v[r.IntN(len(v))], v[r.IntN(len(v))]))
		}
		f := b.Finish(v[r.IntN(len(v)):]...)
		g := program.GroupFixed(f, fixed)
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		x := []float64{0.9 + 0.2*r.Float64(), 1.1 - 0.2*r.Float64(), 0.9 - r.Float64(), 1.1 + 0.1*r.Float64()}
		got, want := g.EvalF64(x...), f.EvalF64(x...)
		for k := range want { // hundreds of factors at most, a rounding each
			if w := math.Abs(want[k]); w > 1e-280 && w < 1e280 && !(math.Abs(got[k]-want[k]) <= 1e-12*w) {
				t.Fatalf("%v, want %v in\n%v\n%v", got[k], want[k], f, g)
			}
		}
		moving := func(f *program.Func) (n int) { // operations that each step makes
			moves := make([]bool, len(f.Instrs))
			for i, in := range program.Optimize(f, false).Instrs {
				if in.Op == program.OpInput {
					moves[i] = !fixed(int(in.Imm))
				} else if in.Op == program.OpMul && (moves[in.A] || moves[in.B]) {
					moves[i] = true
					n++
				}
			}
			return n
		}
		m, n := moving(f), moving(g)
		saved += m - n
		if n > m { // a product that was there already has no other use any more
			worse++
		}
	}
	if saved < 100 || worse > 0 {
		t.Errorf("%d operations are saved, %d functions have more than before", saved, worse)
	}
}
