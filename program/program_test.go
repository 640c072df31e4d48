package program_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

const (
	f64  = program.F64
	i64  = program.I64
	boo  = program.Bool
	seed = 20240607
)

// checkSame evaluates f and g on random inputs and fails where outputs differ.
func checkSame(t *testing.T, r *rand.Rand, f, g *program.Func, points int) {
	t.Helper()
	types := f.OutTypes()
	for range points {
		in := make([]uint64, len(f.In))
		for i, typ := range f.In {
			in[i] = progtest.Bits(r, typ)
		}
		a, b := f.Eval(in...), g.Eval(in...)
		for i := range a {
			if !progtest.Same(types[i], a[i], b[i]) {
				t.Fatalf("output %d of inputs %#x: %#x and %#x\n%s\n%s", i, in, a[i], b[i], f, g)
			}
		}
	}
}

// random is a random function, checked.
func random(t *testing.T, r *rand.Rand) *program.Func {
	t.Helper()
	f := progtest.Func(r, progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), 10+r.IntN(120))
	if err := f.Validate(); err != nil {
		t.Fatalf("%v\n%s", err, f)
	}
	return f
}

func TestRandomFuncsUseEveryOperation(t *testing.T) {
	r := rand.New(rand.NewPCG(seed, 0))
	var seen [program.NumOps]bool
	for range 200 {
		f := random(t, r)
		for i := range f.Instrs {
			seen[f.Instrs[i].Op] = true
		}
	}
	for op, ok := range seen {
		if !ok {
			t.Errorf("%s never occurs", program.Op(op))
		}
	}
}

func TestOptimizeKeepsBits(t *testing.T) {
	for k := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, k))
		f := random(t, r)
		g := program.Optimize(f, false)
		if err := g.Validate(); err != nil {
			t.Fatalf("%v\n%s", err, g)
		}
		checkSame(t, r, f, g, 8)
	}
}

func TestInlineKeepsBits(t *testing.T) {
	for k := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, k))
		f := random(t, r)
		// Twice, in a loop and in a guard, beside each other.
		b := program.NewBuilder("twice")
		var args []program.Value
		for _, typ := range f.In {
			args = append(args, b.Input("", typ))
		}
		first := b.Inline(f, args...)
		second := b.Loop(program.At(0), program.At(2), first, func(i program.Affine, c []program.Value) []program.Value {
			return b.Guard(b.IEq(b.IndexValue(i), b.I(1)), c, func() []program.Value { return b.Inline(f, args...) })
		})
		g := b.Finish(second...)
		if err := g.Validate(); err != nil {
			t.Fatalf("%v\n%s", err, g)
		}
		checkSame(t, r, f, g, 4)
	}
}

func FuzzOptimize(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		fn := random(t, r)
		g := program.Optimize(fn, false)
		if err := g.Validate(); err != nil {
			t.Fatalf("%v\n%s", err, g)
		}
		checkSame(t, r, fn, g, 8)
		if err := program.Optimize(fn, true).Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestProgramOptimizeKeepsBits(t *testing.T) {
	const n, samples = 3, 12
	hoisted := 0
	for k := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, k))
		p := progtest.Program(r, n, 20+r.IntN(100), program.F64, program.F32)
		if err := p.Validate(); err != nil {
			t.Fatalf("%v\n%s%s", err, p.Setup, p.Step)
		}
		q := *p
		q.Optimize()
		if err := q.Validate(); err != nil {
			t.Fatalf("%v\n%s%s", err, q.Setup, q.Step)
		}
		hoisted += len(q.Slots) - len(p.Slots)
		p.Step = program.Optimize(p.Step, true) // fused as q's, but nothing moved
		a, b := p.NewBatch(samples), q.NewBatch(samples)
		for i := range a.In {
			for s := range samples {
				a.In[i][s] = progtest.Number(r)
				b.In[i][s] = a.In[i][s]
			}
		}
		progtest.Reference(p, a)
		progtest.Reference(&q, b)
		for i := range a.Out {
			for s := range samples {
				if !progtest.SameF64(a.Out[i][s], b.Out[i][s]) {
					t.Fatalf("seed %d: result %d of sample %d: %v and %v\n%s%s", k, i, s, a.Out[i][s], b.Out[i][s], p.Step, q.Step)
				}
			}
		}
	}
	if hoisted < 1000 {
		t.Errorf("only %d values were moved to Setup", hoisted)
	}
}

func TestApply(t *testing.T) {
	inf, nan, zero, neg := math.Inf(1), math.NaN(), 0.0, math.Copysign(0, -1)
	tiny := math.SmallestNonzeroFloat64
	for _, c := range []struct {
		op      program.Op
		a, b, c float64
		want    float64
	}{
		{program.OpAdd, 1, 0x1p-53, 0, 1}, // ties to even
		{program.OpAdd, 1 + 0x1p-52, 0x1p-53, 0, 1 + 0x1p-51},
		{program.OpAdd, inf, -inf, 0, nan},
		{program.OpAdd, zero, neg, 0, zero},
		{program.OpSub, zero, zero, 0, zero},
		{program.OpSub, neg, zero, 0, neg},
		{program.OpMul, inf, zero, 0, nan},
		{program.OpMul, tiny, 0.5, 0, zero},
		{program.OpMul, 0x1p-1022, 0.5, 0, 0x1p-1023}, // subnormals are kept
		{program.OpDiv, 1, neg, 0, -inf},
		{program.OpDiv, zero, zero, 0, nan},
		{program.OpSqrt, neg, 0, 0, neg},
		{program.OpSqrt, -1, 0, 0, nan},
		{program.OpSqrt, 2, 0, 0, 0x1.6a09e667f3bcdp+0},
		{program.OpFMA, 1 + 0x1p-30, 1 - 0x1p-30, -1, -0x1p-60},
		{program.OpFMA, zero, inf, 1, nan},
		{program.OpNeg, zero, 0, 0, neg},
		{program.OpAbs, neg, 0, 0, zero},
		{program.OpAbs, -inf, 0, 0, inf},
		{program.OpRound, 0.5, 0, 0, 0},
		{program.OpRound, 1.5, 0, 0, 2},
		{program.OpRound, 2.5, 0, 0, 2},
		{program.OpRound, -0.5, 0, 0, neg},
		{program.OpRound, 0.49999999999999994, 0, 0, 0},
		{program.OpRound, 0x1p52 + 1, 0, 0, 0x1p52 + 1},
		{program.OpRound, inf, 0, 0, inf},
		{program.OpFloor, -0.5, 0, 0, -1},
		{program.OpFloor, neg, 0, 0, neg},
		{program.OpTrunc, -0.5, 0, 0, neg},
		{program.OpTrunc, -2.7, 0, 0, -2},
	} {
		got := math.Float64frombits(program.Apply(c.op, program.F64, math.Float64bits(c.a), math.Float64bits(c.b), math.Float64bits(c.c)))
		if !progtest.SameF64(got, c.want) {
			t.Errorf("%s(%v, %v, %v) = %v, want %v", c.op, c.a, c.b, c.c, got, c.want)
		}
	}
	bits := math.Float64bits
	for _, c := range []struct {
		op      program.Op
		a, b, c uint64
		want    uint64
	}{
		{program.OpLt, bits(1), bits(2), 0, 1},
		{program.OpLt, bits(neg), bits(zero), 0, 0},
		{program.OpLt, bits(nan), bits(1), 0, 0},
		{program.OpLe, bits(neg), bits(zero), 0, 1},
		{program.OpLe, bits(1), bits(nan), 0, 0},
		{program.OpEq, bits(nan), bits(nan), 0, 0},
		{program.OpEq, bits(neg), bits(zero), 0, 1},
		{program.OpAnd, 1, 0, 0, 0},
		{program.OpOr, 1, 0, 0, 1},
		{program.OpNot, 1, 0, 0, 0},
		{program.OpSelect, 1, 5, 6, 5},
		{program.OpSelect, 0, 5, 6, 6},
		{program.OpIAdd, 1<<63 - 1, 1, 0, 1 << 63},
		{program.OpISub, 0, 1, 0, 1<<64 - 1},
		{program.OpMulU32, 0x1_ffffffff, 0xffffffff, 0, 0xfffffffe00000001},
		{program.OpIAnd, 12, 10, 0, 8},
		{program.OpIOr, 12, 10, 0, 14},
		{program.OpIXor, 12, 10, 0, 6},
		{program.OpShl, 1, 63, 0, 1 << 63},
		{program.OpShl, 1, 64, 0, 0},
		{program.OpShl, 1, 1<<64 - 1, 0, 0}, // -1
		{program.OpShr, 1 << 63, 63, 0, 1},
		{program.OpShr, 1 << 63, 64, 0, 0},
		{program.OpILt, 1<<64 - 1, 0, 0, 1}, // -1 < 0
		{program.OpILt, 1 << 63, 1<<63 - 1, 0, 1},
		{program.OpIEq, 7, 7, 0, 1},
		{program.OpBits, 7, 0, 0, 7},
		{program.OpFromBits, 7, 0, 0, 7},
	} {
		if got := program.Apply(c.op, program.F64, c.a, c.b, c.c); got != c.want {
			t.Errorf("%s(%#x, %#x, %#x) = %#x, want %#x", c.op, c.a, c.b, c.c, got, c.want)
		}
	}
	func() {
		defer func() {
			if r := recover(); r == nil {
				t.Error("Apply(OpLoad) did not panic")
			}
		}()
		program.Apply(program.OpLoad, program.F64, 0, 0, 0)
	}()
}

// TestIdentities checks what the Builder writes for operations that have a
// simpler equal, and that it leaves alone those that differ on some value.
func TestIdentities(t *testing.T) {
	type V = program.Value
	for _, c := range []struct {
		name  string
		write func(b *program.Builder, x, y, c, i V) V
		ops   string // operations besides inputs and constants
	}{
		{"x*1", func(b *program.Builder, x, y, c, i V) V { return b.Mul(x, b.F(1)) }, ""},
		{"1*x", func(b *program.Builder, x, y, c, i V) V { return b.Mul(b.F(1), x) }, ""},
		{"x*0", func(b *program.Builder, x, y, c, i V) V { return b.Mul(x, b.F(0)) }, "mul"},
		{"x/1", func(b *program.Builder, x, y, c, i V) V { return b.Div(x, b.F(1)) }, ""},
		{"x/x", func(b *program.Builder, x, y, c, i V) V { return b.Div(x, x) }, "div"},
		{"x+0", func(b *program.Builder, x, y, c, i V) V { return b.Add(x, b.F(0)) }, "add"}, // -0 + 0 is 0
		{"x+-0", func(b *program.Builder, x, y, c, i V) V { return b.Add(x, b.F(math.Copysign(0, -1))) }, ""},
		{"x-0", func(b *program.Builder, x, y, c, i V) V { return b.Sub(x, b.F(0)) }, ""},
		{"x--0", func(b *program.Builder, x, y, c, i V) V { return b.Sub(x, b.F(math.Copysign(0, -1))) }, "sub"},
		{"0-x", func(b *program.Builder, x, y, c, i V) V { return b.Sub(b.F(0), x) }, "sub"},
		{"x-x", func(b *program.Builder, x, y, c, i V) V { return b.Sub(x, x) }, "sub"},
		{"--x", func(b *program.Builder, x, y, c, i V) V { return b.Neg(b.Neg(x)) }, "neg"},
		{"||x||", func(b *program.Builder, x, y, c, i V) V { return b.Abs(b.Abs(x)) }, "abs"},
		{"|-x|", func(b *program.Builder, x, y, c, i V) V { return b.Abs(b.Neg(x)) }, "neg abs"},
		{"x=x", func(b *program.Builder, x, y, c, i V) V { return b.Eq(x, x) }, "eq"},
		{"c?x:x", func(b *program.Builder, x, y, c, i V) V { return b.Select(c, x, x) }, ""},
		{"!c?x:y", func(b *program.Builder, x, y, c, i V) V { return b.Select(b.Not(c), x, y) }, "not select"},
		{"c&c", func(b *program.Builder, x, y, c, i V) V { return b.And(c, c) }, ""},
		{"c&0", func(b *program.Builder, x, y, c, i V) V { return b.And(c, b.B(false)) }, ""},
		{"1&c", func(b *program.Builder, x, y, c, i V) V { return b.And(b.B(true), c) }, ""},
		{"c|1", func(b *program.Builder, x, y, c, i V) V { return b.Or(c, b.B(true)) }, ""},
		{"0|c", func(b *program.Builder, x, y, c, i V) V { return b.Or(b.B(false), c) }, ""},
		{"!!c", func(b *program.Builder, x, y, c, i V) V { return b.Not(b.Not(c)) }, "not"},
		{"i+0", func(b *program.Builder, x, y, c, i V) V { return b.IAdd(i, b.I(0)) }, ""},
		{"bits(frombits)", func(b *program.Builder, x, y, c, i V) V { return b.Bits(b.FromBits(i)) }, "frombits"},
		{"frombits(bits)", func(b *program.Builder, x, y, c, i V) V { return b.FromBits(b.Bits(x)) }, "bits"},
		{"x+y, y+x", func(b *program.Builder, x, y, c, i V) V { return b.Lt(b.Add(x, y), b.Add(y, x)) }, "add lt"},
		{"x-y, y-x", func(b *program.Builder, x, y, c, i V) V { return b.Lt(b.Sub(x, y), b.Sub(y, x)) }, "sub sub lt"},
		{"2*3", func(b *program.Builder, x, y, c, i V) V { return b.Mul(b.F(2), b.F(3)) }, ""},
	} {
		b := program.NewBuilder(c.name)
		x, y, k, i := b.Input("x", f64), b.Input("y", f64), b.Input("c", boo), b.Input("i", i64)
		out := c.write(b, x, y, k, i)
		f := b.Finish(out)
		if got := opsOf(f); got != c.ops {
			t.Errorf("%s writes %q, want %q", c.name, got, c.ops)
		}
	}
}

func opsOf(f *program.Func) string {
	var s []string
	for i := range f.Instrs {
		if op := f.Instrs[i].Op; op != program.OpInput && op != program.OpConst {
			s = append(s, op.String())
		}
	}
	return strings.Join(s, " ")
}

// TestFoldIsExact compares functions of constants, which fold away, with the same
// functions of inputs.
func TestFoldIsExact(t *testing.T) {
	for k := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, k))
		f := random(t, r)
		in := make([]uint64, len(f.In))
		b := program.NewBuilder("constants")
		var args []program.Value
		for i, typ := range f.In {
			in[i] = progtest.Bits(r, typ)
			switch typ {
			case f64, program.F32:
				b.With(typ, func() { args = append(args, b.F(typ.Float(in[i]))) })
			case i64:
				args = append(args, b.I(int64(in[i])))
			default:
				args = append(args, b.B(in[i] != 0))
			}
		}
		g := b.Finish(b.Inline(f, args...)...)
		want, got, types := f.Eval(in...), g.Eval(), f.OutTypes()
		for i := range want {
			if !progtest.Same(types[i], want[i], got[i]) {
				t.Fatalf("output %d of %#x: %#x, folded %#x\n%s\n%s", i, in, want[i], got[i], f, g)
			}
		}
	}
}

func TestFuse(t *testing.T) {
	type V = program.Value
	for _, c := range []struct {
		name  string
		write func(b *program.Builder, x, y, z V) []V
		ops   string
		want  func(x, y, z float64) float64
	}{
		{"x*y+z", func(b *program.Builder, x, y, z V) []V { return []V{b.Add(b.Mul(x, y), z)} }, "fma",
			func(x, y, z float64) float64 { return math.FMA(x, y, z) }},
		{"z+x*y", func(b *program.Builder, x, y, z V) []V { return []V{b.Add(z, b.Mul(x, y))} }, "fma",
			func(x, y, z float64) float64 { return math.FMA(x, y, z) }},
		{"x*y-z", func(b *program.Builder, x, y, z V) []V { return []V{b.Sub(b.Mul(x, y), z)} }, "neg fma",
			func(x, y, z float64) float64 { return math.FMA(x, y, -z) }},
		{"z-x*y", func(b *program.Builder, x, y, z V) []V { return []V{b.Sub(z, b.Mul(x, y))} }, "neg fma",
			func(x, y, z float64) float64 { return math.FMA(-x, y, z) }},
		{"two uses", func(b *program.Builder, x, y, z V) []V { p := b.Mul(x, y); return []V{b.Add(p, z), p} }, "mul add",
			func(x, y, z float64) float64 { return float64(x*y) + z }},
		{"strict", func(b *program.Builder, x, y, z V) (v []V) {
			b.Strict(func() { v = []V{b.Add(b.Mul(x, y), z)} })
			return v
		}, "mul add", func(x, y, z float64) float64 { return float64(x*y) + z }},
		{"strict too", func(b *program.Builder, x, y, z V) (v []V) { // written plainly first
			v = []V{b.Add(b.Mul(x, y), z)}
			b.Strict(func() { b.Mul(x, y) })
			return v
		}, "mul add", func(x, y, z float64) float64 { return float64(x*y) + z }},
		{"both sides", func(b *program.Builder, x, y, z V) []V { return []V{b.Add(b.Mul(x, x), b.Mul(y, z))} }, "mul fma",
			func(x, y, z float64) float64 { return math.FMA(x, x, float64(y*z)) }},
	} {
		b := program.NewBuilder(c.name)
		v := b.Inputs("x", 3)
		f := b.Finish(c.write(b, v[0], v[1], v[2])...)
		g := program.Optimize(f, true)
		if got := opsOf(g); got != c.ops {
			t.Errorf("%s becomes %q, want %q", c.name, got, c.ops)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		for range 200 {
			x, y, z := progtest.Number(r), progtest.Number(r), progtest.Number(r)
			if got, want := g.EvalF64(x, y, z)[0], c.want(x, y, z); !progtest.SameF64(got, want) {
				t.Errorf("%s at %v %v %v: %v, want %v", c.name, x, y, z, got, want)
			}
		}
	}
}

// TestFuseWithoutProducts: where no sum has a product, fuse changes no bit.
func TestFuseWithoutProducts(t *testing.T) {
	for k := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, k))
		f := random(t, r)
		g := *f
		g.Instrs = append([]program.Instr(nil), f.Instrs...)
		for i := range g.Instrs {
			g.Instrs[i].Strict = g.Instrs[i].Op == program.OpMul
		}
		checkSame(t, r, &g, program.Optimize(&g, true), 6)
	}
}

func TestOptimizeRemovesAndMoves(t *testing.T) {
	b := program.NewBuilder("f")
	x, y := b.Input("x", f64), b.Input("y", f64)
	b.Sqrt(y) // dead
	a := b.NewArray(2)
	b.Store(a, program.At(0), x) // dead
	s := b.Loop(program.At(0), program.At(3), []program.Value{x, y}, func(i program.Affine, c []program.Value) []program.Value {
		return []program.Value{b.Add(c[0], b.Div(x, y)), b.Sqrt(c[1])} // the second is dead
	})
	f := program.Optimize(b.Finish(s[0]), false)
	if got, want := opsOf(f), "div loop phi add endloop loopout"; got != want {
		t.Errorf("optimised to %q, want %q\n%s", got, want, f)
	}
}

// TestFuseStaysInItsBlock: a product in front of a loop is not moved into it.
func TestFuseStaysInItsBlock(t *testing.T) {
	b := program.NewBuilder("f")
	x := b.Inputs("x", 2)
	p := b.Mul(x[0], x[1])
	s := b.Loop(program.At(0), program.At(3), x[:1], func(i program.Affine, c []program.Value) []program.Value {
		return []program.Value{b.Add(b.Sqrt(c[0]), p)}
	})
	if got, want := opsOf(program.Optimize(b.Finish(s...), true)), "mul loop phi sqrt add endloop loopout"; got != want {
		t.Errorf("optimised to %q, want %q", got, want)
	}
}

func TestDump(t *testing.T) {
	b := program.NewBuilder("golden")
	x, i, c := b.Input("x", f64), b.Input("", i64), b.Input("c", boo)
	t8 := b.NewTable([]float64{1, 2, 3, 4})
	a := b.NewArray(5)
	out := b.Loop(program.At(0), program.At(3), []program.Value{x}, func(k program.Affine, v []program.Value) []program.Value {
		b.Store(a, k.Times(2), v[0])
		b.Loop(k, program.At(3), nil, func(l program.Affine, _ []program.Value) []program.Value {
			b.Store(a, l.Add(k.Times(-1)).Plus(1), b.Table(t8, b.IAdd(b.IndexValue(l.Plus(-1)), i)))
			return nil
		})
		return b.Guard(c, v, func() []program.Value {
			var m program.Value
			b.Strict(func() { m = b.Mul(v[0], b.F(-0.1)) })
			return []program.Value{b.Select(b.IEq(i, b.I(-7)), m, b.Load(a, program.At(4)))}
		})
	})
	got := b.Finish(out[0], b.B(true)).String()
	want := `func golden(x f64, in1 i64, c bool)
  v0 = input x
  v1 = input in1
  v2 = input c
  loop i0 = 0..3
    v4 = phi v0 v18
    store a0[2*i0] v4
    loop i1 = i0..3
      v7 = index [i1-1]
      v8 = iadd v1 v7
      v9 = table t0 v8
      store a0[i1+-1*i0+1] v9
    endloop
    guard v2
      v13 = const -0.1
      v14 = mul! v4 v13
      v15 = const -7
      v16 = ieq v1 v15
      v17 = load a0[4]
      v18 = select v16 v14 v17
    endguard
    v20 = merge v2 v18 v4
  endloop
  v22 = loopout v4
  v23 = const true
  return v22 v23
`
	want = strings.Replace(want, "phi v0 v18", "phi v0 v20", 1)
	if got != want {
		t.Errorf("dump:\n%s\nwant:\n%s", got, want)
	}
}

// TestRefusals: misuse of a Builder panics with an *Error that says what.
func TestRefusals(t *testing.T) {
	type V = program.Value
	for _, c := range []struct {
		name, want string
		write      func(b *program.Builder, x, i, c V)
	}{
		{"type", "operand 1 of add is i64, want f64", func(b *program.Builder, x, i, c V) { b.Add(x, i) }},
		{"select types", "select of f64 and i64", func(b *program.Builder, x, i, c V) { b.Select(c, x, i) }},
		{"select condition", "operand 0 of select is f64, want bool", func(b *program.Builder, x, i, c V) { b.Select(x, i, b.I(2)) }},
		{"no value", "does not exist", func(b *program.Builder, x, i, c V) { b.Add(x, program.NoValue) }},
		{"loop scope", "used outside its block", func(b *program.Builder, x, i, c V) {
			var in V
			b.Loop(program.At(0), program.At(2), nil, func(program.Affine, []V) []V { in = b.Sqrt(x); return nil })
			b.Neg(in)
		}},
		{"guard scope", "used outside its block", func(b *program.Builder, x, i, c V) {
			var in V
			b.Guard(c, []V{x}, func() []V { in = b.Sqrt(x); return []V{in} })
			b.Neg(in)
		}},
		{"counter scope", "used outside its loop", func(b *program.Builder, x, i, c V) {
			var k program.Affine
			b.Loop(program.At(0), program.At(2), nil, func(a program.Affine, _ []V) []V { k = a; return nil })
			b.IndexValue(k)
		}},
		{"carried count", "carries 1 values and returns 0", func(b *program.Builder, x, i, c V) {
			b.Loop(program.At(0), program.At(2), []V{x}, func(program.Affine, []V) []V { return nil })
		}},
		{"carried type", "phi of f64 and i64", func(b *program.Builder, x, i, c V) {
			b.Loop(program.At(0), program.At(2), []V{x}, func(program.Affine, []V) []V { return []V{i} })
		}},
		{"guard type", "a guard on f64", func(b *program.Builder, x, i, c V) { b.Guard(x, nil, func() []V { return nil }) }},
		{"guard count", "guard of 0 values has 1 otherwise", func(b *program.Builder, x, i, c V) {
			b.Guard(c, []V{x}, func() []V { return nil })
		}},
		{"table", "a table of 3 entries; the length must be a power of two", func(b *program.Builder, x, i, c V) {
			b.NewTable([]float64{1, 2, 3})
		}},
		{"array", "an array of 0 elements", func(b *program.Builder, x, i, c V) { b.NewArray(0) }},
		{"input in a block", "input late inside a block", func(b *program.Builder, x, i, c V) {
			b.Loop(program.At(0), program.At(2), nil, func(program.Affine, []V) []V { b.Input("late", f64); return nil })
		}},
		{"unclosed", "a block is not closed", func(b *program.Builder, x, i, c V) {
			b.Loop(program.At(0), program.At(2), nil, func(program.Affine, []V) []V { b.Finish(x); return nil })
		}},
		{"inline", "takes 1 inputs, got 2", func(b *program.Builder, x, i, c V) {
			g := program.NewBuilder("g")
			b.Inline(g.Finish(g.Input("x", f64)), x, x)
		}},
	} {
		err := func() (err error) {
			defer program.Catch(&err)
			b := program.NewBuilder("f")
			c.write(b, b.Input("x", f64), b.Input("i", i64), b.Input("c", boo))
			return nil
		}()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "program: ") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	defer func() {
		if r := recover(); r != "other" {
			t.Errorf("Catch swallowed a panic of another kind: %v", r)
		}
	}()
	var err error
	defer program.Catch(&err)
	panic("other")
}

// TestValidateFinds breaks valid functions in one place.
func TestValidateFinds(t *testing.T) {
	build := func() *program.Func {
		b := program.NewBuilder("f")
		x, c := b.Input("x", f64), b.Input("c", boo) // v0 v1
		tab := b.NewTable([]float64{1, 2})
		a := b.NewArray(3)
		out := b.Loop(program.At(0), program.At(3), []program.Value{x}, func(i program.Affine, v []program.Value) []program.Value {
			b.Store(a, i, v[0])                                            // v2 loop, v3 phi, v4 store
			y := b.Table(tab, b.IndexValue(i))                             // v5, v6
			z := b.Add(b.Load(a, i.Times(-1).Plus(2)), y)                  // v7, v8
			return b.Guard(c, []program.Value{z}, func() []program.Value { // v9
				return []program.Value{b.Sqrt(z)} // v10, v11 endguard, v12 merge, v13 endloop, v14 loopout
			})
		})
		return b.Finish(out...)
	}
	if err := build().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want   string
		damage func(f *program.Func)
	}{
		{"v8 (add): operand 0 (v12) is defined later", func(f *program.Func) { f.Instrs[8].A = 12 }},
		{"v8 (add): operand 0 is bool, want f64", func(f *program.Func) { f.Instrs[8].A = 1 }},
		{"v8 (add): operand 0 (v4) is not a value", func(f *program.Func) { f.Instrs[8].A = 4 }},
		{"v8 (add): has type i64, want floating point", func(f *program.Func) { f.Instrs[8].Type = i64 }},
		{"v8 (phi): not directly after its loop", func(f *program.Func) { f.Instrs[8] = f.Instrs[3] }},
		{"v3 (phi): next value v10 is not a f64 value of the loop", func(f *program.Func) { f.Instrs[3].B = 10 }},
		{"v3 (phi): next value v1 is not a f64 value of the loop", func(f *program.Func) { f.Instrs[3].B = 1 }},
		{"v12 (merge): not directly after a guard of v0", func(f *program.Func) { f.Instrs[12].A = 0 }},
		{"v14 (loopout): not directly after the loop of v8", func(f *program.Func) { f.Instrs[14].A = 8 }},
		{"v11 (endguard): does not end", func(f *program.Func) { f.Instrs[11].Imm = 2 }},
		{"v11 (endloop): does not end", func(f *program.Func) { f.Instrs[11].Op = program.OpEndLoop }},
		{"output v12 is not a value in scope", func(f *program.Func) { f.Out[0] = 12 }},
		{"table 0 has 3 entries", func(f *program.Func) { f.Tables[0] = []float64{1, 2, 3} }},
		{"table 1 does not exist", func(f *program.Func) { f.Instrs[6].Imm = 1 }},
		{"index i0 reaches 2, outside 0..1", func(f *program.Func) { f.Arrays[0].Len = 2 }},
		{"index i0 reaches 3, outside 0..2", func(f *program.Func) { f.Loops[0].Hi = program.At(4) }},
		{"array 1 does not exist", func(f *program.Func) { f.Instrs[4].Imm |= 1 }},
		{"uses a counter of a loop that is not around it", func(f *program.Func) { f.Loops[0].Lo = program.Affine{Terms: []program.Term{{Loop: 0, Coef: 1}}} }},
		{"no such operation", func(f *program.Func) { f.Instrs[8].Op = program.NumOps }},
		{"input 5 does not exist", func(f *program.Func) { f.Instrs[0].Imm = 5 }},
		{"block at 2 is not closed", func(f *program.Func) { f.Instrs = f.Instrs[:13]; f.Out = nil }},
		{"loop 1 does not exist", func(f *program.Func) { f.Instrs[2].Imm = 1 }},
	} {
		f := build()
		c.damage(f)
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// TestValidateTriangles: indices that stay inside only because inner bounds
// follow outer counters, and because some inner loops are empty.
func TestValidateTriangles(t *testing.T) {
	write := func(n int, lo, hi func(program.Affine) program.Affine, at func(i, j program.Affine) program.Affine) error {
		b := program.NewBuilder("f")
		a := b.NewArray(n)
		b.Loop(program.At(0), program.At(4), nil, func(i program.Affine, _ []program.Value) []program.Value {
			b.Loop(lo(i), hi(i), nil, func(j program.Affine, _ []program.Value) []program.Value {
				b.Store(a, at(i, j), b.F(1))
				return nil
			})
			return nil
		})
		return b.Finish().Validate()
	}
	four := func(program.Affine) program.Affine { return program.At(4) }
	zero := func(program.Affine) program.Affine { return program.At(0) }
	same := func(i program.Affine) program.Affine { return i }
	next := func(i program.Affine) program.Affine { return i.Plus(1) }
	minus := func(i, j program.Affine) program.Affine { return j.Add(i.Times(-1)) }
	for _, c := range []struct {
		name   string
		n      int
		lo, hi func(program.Affine) program.Affine
		at     func(i, j program.Affine) program.Affine
		ok     bool
	}{
		{"j-i of j=i..4", 4, same, four, minus, true},
		{"j-i of j=i..4", 3, same, four, minus, false},
		{"j-i-1 of j=i+1..4", 3, next, four, func(i, j program.Affine) program.Affine { return minus(i, j).Plus(-1) }, true},
		{"i-j of j=0..i+1", 4, zero, next, func(i, j program.Affine) program.Affine { return minus(j, i) }, true},
		{"i+1 of j=i+1..4", 4, next, four, func(i, j program.Affine) program.Affine { return i.Plus(1) }, true}, // empty for i=3
		{"i-1", 4, zero, four, func(i, j program.Affine) program.Affine { return i.Plus(-1) }, false},
		{"3-i", 4, zero, four, func(i, j program.Affine) program.Affine { return i.Times(-1).Plus(3) }, true},
		{"i+1 of j=i..4", 4, same, four, func(i, j program.Affine) program.Affine { return i.Plus(1) }, false},
		{"4i+j", 16, zero, four, func(i, j program.Affine) program.Affine { return i.Times(4).Add(j) }, true},
		{"4i+j", 15, zero, four, func(i, j program.Affine) program.Affine { return i.Times(4).Add(j) }, false},
	} {
		if err := write(c.n, c.lo, c.hi, c.at); (err == nil) != c.ok {
			t.Errorf("%s in %d elements: %v", c.name, c.n, err)
		}
	}
}

func TestValidateGuardedStores(t *testing.T) {
	for _, outside := range []bool{false, true} {
		b := program.NewBuilder("f")
		x, c := b.Input("x", f64), b.Input("c", boo)
		a := b.NewArray(1)
		out := b.Guard(c, []program.Value{x}, func() []program.Value {
			b.Store(a, program.At(0), x)
			return []program.Value{b.Load(a, program.At(0))}
		})
		if outside {
			out = append(out, b.Load(a, program.At(0)))
		}
		if err := b.Finish(out...).Validate(); (err != nil) != outside {
			t.Errorf("load outside %v: %v", outside, err)
		}
	}
}

func TestIntegerConversions(t *testing.T) {
	b := program.NewBuilder("f")
	f := b.Finish(b.ToInt(b.Input("x", f64)))
	b = program.NewBuilder("g")
	g := b.Finish(b.ToFloat(b.Input("i", i64)))
	for _, k := range []int64{0, 1, -1, 12345, -99999, 1 << 51, -1 << 51, 1<<51 - 1} {
		if got := int64(f.Eval(math.Float64bits(float64(k)))[0]); got != k {
			t.Errorf("ToInt(%d) = %d", k, got)
		}
		if got := math.Float64frombits(g.Eval(uint64(k))[0]); got != float64(k) {
			t.Errorf("ToFloat(%d) = %v", k, got)
		}
	}
}

// Trips multiplies nested loops, and takes one whose bound is an outer counter at the middle.
func TestTrips(t *testing.T) {
	b := program.NewBuilder("trips")
	x := b.Input("x", program.F64)
	sum := b.Loop(program.At(0), program.At(6), []program.Value{x}, func(i program.Affine, c []program.Value) []program.Value {
		in := b.Loop(program.At(0), i, c, func(_ program.Affine, c []program.Value) []program.Value {
			return []program.Value{b.Add(c[0], x)}
		})
		return []program.Value{b.Mul(in[0], x)}
	})
	f := b.Finish(b.Sub(sum[0], x))
	want := map[program.Op]float64{program.OpAdd: 18, program.OpMul: 6, program.OpSub: 1}
	for i, n := range f.Trips() {
		if w, ok := want[f.Instrs[i].Op]; ok && n != w {
			t.Errorf("%s runs %v times, want %v", f.Instrs[i].Op, n, w)
		}
	}
}
