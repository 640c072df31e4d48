package cpu_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"invar/cpu"
	"invar/program"
	"invar/program/progtest"
)

func TestEngine(t *testing.T) {
	for _, block := range []int{0, 1, 3, 16} {
		t.Run(fmt.Sprintf("block=%d", block), func(t *testing.T) {
			progtest.Engine(t, cpu.Portable{Block: block}, 150, program.F64, program.F32)
		})
	}
}

// TestBlocks runs the same batch in every block size and several thread counts.
func TestBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 0))
	for k := range 4 {
		p := progtest.Program(r, 2, 60+30*k, program.F64, program.F32)
		p.Optimize()
		want := p.NewBatch(150)
		for _, c := range want.In {
			for i := range c {
				c[i] = progtest.Number(r)
			}
		}
		progtest.Reference(p, want)
		for block := 1; block <= 70; block++ {
			x, err := cpu.Portable{Block: block, Threads: 1 + block%3}.Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			got := p.NewBatch(want.N)
			got.In = want.In
			if err := x.Run(context.Background(), got); err != nil {
				t.Fatal(err)
			}
			for i := range want.Out {
				for s := range want.N {
					if !progtest.SameF64(got.Out[i][s], want.Out[i][s]) {
						t.Fatalf("block %d: result %d of sample %d is %v, want %v", block, i, s, got.Out[i][s], want.Out[i][s])
					}
				}
			}
		}
	}
}

// checkFunc compares RunBits with Eval on n random points.
func checkFunc(t *testing.T, r *rand.Rand, f *program.Func, n int) {
	t.Helper()
	types := f.OutTypes()
	in, out := make([][]uint64, len(f.In)), make([][]uint64, len(f.Out))
	for i := range in {
		in[i] = make([]uint64, n)
		for k := range in[i] {
			in[i][k] = progtest.Bits(r, f.In[i])
		}
	}
	for i := range out {
		out[i] = make([]uint64, n)
	}
	cpu.CompileFunc(f).RunBits(n, in, out)
	x := make([]uint64, len(in))
	for k := range n {
		for i := range x {
			x[i] = in[i][k]
		}
		for i, want := range f.Eval(x...) {
			if !progtest.Same(types[i], out[i][k], want) {
				t.Fatalf("output %d at %#x: %#x, want %#x\n%s", i, x, out[i][k], want, f)
			}
		}
	}
}

func TestFuncs(t *testing.T) {
	for k := range uint64(1500) {
		r := rand.New(rand.NewPCG(7, k))
		f := progtest.Func(r, progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), 5+r.IntN(200))
		if k%3 == 1 {
			f = program.Optimize(f, true)
		}
		checkFunc(t, r, f, 1+r.IntN(40))
	}
}

func FuzzFuncs(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint16(100))
	f.Fuzz(func(t *testing.T, a, b uint64, size uint16) {
		r := rand.New(rand.NewPCG(a, b))
		checkFunc(t, r, progtest.Func(r, progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), int(size%500)), 1+r.IntN(40))
	})
}

// TestOperands runs each operation on all pairs of special values, with each
// operand in a column or a constant.
func TestOperands(t *testing.T) {
	ints := []uint64{0, 1, 2, 63, 64, 65, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 64}
	values := func(typ program.Type) (v []uint64) {
		switch typ {
		case program.F64, program.F32:
			for _, x := range progtest.Special {
				if bits := typ.Bits(x); !slices.Contains(v, bits) {
					v = append(v, bits)
				}
			}
		case program.I64:
			v = ints
		default:
			v = []uint64{0, 1}
		}
		return v
	}
	konst := func(b *program.Builder, typ program.Type, bits uint64) program.Value {
		switch typ {
		case program.F64, program.F32:
			return b.F(typ.Float(bits))
		case program.I64:
			return b.I(int64(bits))
		default:
			return b.B(bits != 0)
		}
	}
	type write func(b *program.Builder, x, y program.Value) program.Value
	type operation struct {
		name string
		typ  program.Type
		op   write
	}
	table := []operation{
		{"add", program.F64, (*program.Builder).Add}, {"sub", program.F64, (*program.Builder).Sub},
		{"mul", program.F64, (*program.Builder).Mul}, {"div", program.F64, (*program.Builder).Div},
		{"lt", program.F64, (*program.Builder).Lt}, {"le", program.F64, (*program.Builder).Le}, {"eq", program.F64, (*program.Builder).Eq},
		{"fma xyx", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.FMA(x, y, x) }},
		{"fma xyy", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.FMA(x, y, y) }},
		{"fma xxy", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.FMA(x, x, y) }},
		{"select", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Select(b.Lt(x, y), x, y) }},
		{"selects", program.F64, func(b *program.Builder, x, y program.Value) program.Value {
			return b.Select(b.Lt(x, y), b.F(2), b.F(-3))
		}},
		{"iadd", program.I64, (*program.Builder).IAdd}, {"isub", program.I64, (*program.Builder).ISub},
		{"mulu32", program.I64, (*program.Builder).MulU32}, {"iand", program.I64, (*program.Builder).IAnd},
		{"ior", program.I64, (*program.Builder).IOr}, {"ixor", program.I64, (*program.Builder).IXor},
		{"shl", program.I64, (*program.Builder).Shl}, {"shr", program.I64, (*program.Builder).Shr},
		{"ilt", program.I64, (*program.Builder).ILt}, {"ieq", program.I64, (*program.Builder).IEq},
		{"and", program.Bool, func(b *program.Builder, x, y program.Value) program.Value { return b.And(x, y) }},
		{"or", program.Bool, func(b *program.Builder, x, y program.Value) program.Value { return b.Or(x, y) }},
		{"sqrt", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Sqrt(x) }},
		{"neg", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Neg(x) }},
		{"abs", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Abs(x) }},
		{"round", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Round(x) }},
		{"floor", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Floor(x) }},
		{"trunc", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Trunc(x) }},
	}
	for _, c := range table {
		if c.typ == program.F64 {
			table = append(table, operation{c.name, program.F32, c.op})
		}
	}
	table = append(table,
		operation{"narrow", program.F64, func(b *program.Builder, x, y program.Value) program.Value { return b.Narrow(x) }},
		operation{"widen", program.F32, func(b *program.Builder, x, y program.Value) program.Value { return b.Widen(x) }},
		operation{"frombits", program.I64, func(b *program.Builder, x, y program.Value) program.Value { return b.FromBits(x) }},
		operation{"frombits", program.I64, func(b *program.Builder, x, y program.Value) program.Value {
			b.With(program.F32, func() { x = b.FromBits(x) })
			return x
		}},
		operation{"bits", program.F32, func(b *program.Builder, x, y program.Value) program.Value {
			return b.Bits(b.Select(b.IsNaN(x), b.F(0), x))
		}},
	)
	for _, c := range table {
		float := program.F64
		if c.typ == program.F32 {
			float = c.typ
		}
		v := values(c.typ)
		var xs, ys []uint64
		for _, x := range v {
			for _, y := range v {
				xs, ys = append(xs, x), append(ys, y)
			}
		}
		test := func(f *program.Func) {
			t.Helper()
			out := make([]uint64, len(xs))
			cpu.CompileFunc(f).RunBits(len(xs), [][]uint64{xs, ys}, [][]uint64{out})
			for k := range xs {
				if want := f.Eval(xs[k], ys[k])[0]; !progtest.Same(f.OutTypes()[0], out[k], want) {
					t.Errorf("%s(%#x, %#x) = %#x, want %#x\n%s", c.name, xs[k], ys[k], out[k], want, f)
				}
			}
		}
		b := program.NewBuilderOf(float, c.name)
		x, y := b.Input("x", c.typ), b.Input("y", c.typ)
		test(b.Finish(c.op(b, x, y)))
		for _, k := range v {
			b := program.NewBuilderOf(float, c.name)
			x, _ := b.Input("x", c.typ), b.Input("y", c.typ)
			test(b.Finish(c.op(b, x, konst(b, c.typ, k))))
			b = program.NewBuilderOf(float, c.name)
			_, y := b.Input("x", c.typ), b.Input("y", c.typ)
			test(b.Finish(c.op(b, konst(b, c.typ, k), y)))
		}
	}
}

// TestPhis: values that a loop exchanges, rotates and duplicates are assigned at
// once.
func TestPhis(t *testing.T) {
	for _, c := range []struct {
		name string
		next []int // carried value k becomes carried value next[k]
	}{
		{"swap", []int{1, 0}}, {"rotate", []int{1, 2, 0}}, {"two swaps", []int{1, 0, 3, 2}}, {"spread", []int{0, 0, 1, 1}},
		{"swap and read", []int{1, 0, 0, 1}}, {"shift", []int{1, 2, 3, 3}}, {"rotate and read", []int{2, 0, 1, 0, 1}},
	} {
		for trips := range 5 {
			b := program.NewBuilder(c.name)
			v := b.Inputs("x", len(c.next))
			out := b.Loop(program.At(0), program.At(trips), v, func(_ program.Affine, v []program.Value) []program.Value {
				next := make([]program.Value, len(v))
				for k, n := range c.next {
					next[k] = v[n]
				}
				return next
			})
			checkFunc(t, rand.New(rand.NewPCG(8, 0)), b.Finish(out...), 5)
		}
	}
}

func TestFuncRun(t *testing.T) {
	b := program.NewBuilder("f")
	x := b.Inputs("x", 2)
	f := cpu.CompileFunc(b.Finish(b.FMA(x[0], x[1], b.F(1)), b.F(3), x[1]))
	const n = 1000
	in := [][]float64{make([]float64, n), make([]float64, n)}
	for k := range n {
		in[0][k], in[1][k] = float64(k)/3, float64(k)-7.5
	}
	out := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
	f.Run(n, in, out)
	for k := range n {
		if out[0][k] != math.FMA(in[0][k], in[1][k], 1) || out[1][k] != 3 || out[2][k] != in[1][k] {
			t.Fatalf("point %d: %v %v %v", k, out[0][k], out[1][k], out[2][k])
		}
	}
	if a := testing.AllocsPerRun(10, func() { f.Run(n, in, out) }); a != 0 {
		t.Errorf("Run allocates %v times", a)
	}
}

func TestFuncRefuses(t *testing.T) {
	b := program.NewBuilder("f")
	f := cpu.CompileFunc(b.Finish(b.ToFloat(b.Input("i", program.I64))))
	for name, call := range map[string]func(){
		"types":   func() { f.Run(1, [][]float64{{1}}, [][]float64{{0}}) },
		"columns": func() { f.RunBits(1, nil, [][]uint64{{0}}) },
		"invalid": func() { cpu.CompileFunc(&program.Func{Out: []program.Value{3}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

// endless is a program that runs for the number of steps given as its input.
func endless(steps float64) (*program.Program, *program.Batch) {
	p := &program.Program{Name: "steps", In: []string{"n"}, Status: 2, Iteration: 3, Results: []int{1}, Slots: []program.Slot{
		{Name: "n", Type: program.F64, Fixed: true}, {Name: "k", Type: program.F64},
		{Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64},
	}}
	b := program.NewBuilder("setup")
	p.Setup = b.Finish(b.Input("n", program.F64), b.F(0), b.I(0), b.I(0))
	b = program.NewBuilder("step")
	n, k := b.Input("n", program.F64), b.Input("k", program.F64)
	b.Input("status", program.I64)
	it := b.Input("iteration", program.I64)
	k = b.Add(k, b.F(1))
	p.Step = b.Finish(k, b.Select(b.Lt(k, n), b.I(0), b.I(1)), b.IAdd(it, b.I(1)))
	batch := p.NewBatch(500)
	for i := range batch.N {
		batch.In[0][i] = math.Floor(steps * float64(1+i%7) / 7)
	}
	return p, batch
}

// TestNoAllocation: neither steps nor refills allocate; a Run of many samples on
// one thread allocates no more than one of few.
func TestNoAllocation(t *testing.T) {
	count := func(steps float64, n int) float64 {
		p, batch := endless(steps)
		batch.N = n
		batch.Trace = program.NewTrace(n, 4, p.Results)
		x, err := cpu.Portable{Block: 16, Threads: 1}.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(20, func() {
			if err := x.Run(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := count(2, 5), count(300, 500)
	if few != many || few > 1 {
		t.Errorf("a short run allocates %v times, a long one %v", few, many)
	}
}

func TestRefusesBlock(t *testing.T) {
	p, _ := endless(3)
	if _, err := (cpu.Portable{Block: -1}).Compile(p); err == nil {
		t.Error("a block of -1 lanes was accepted")
	}
}

// rosenbrock is gradient descent on Rosenbrock's function for 1000 iterations: a
// program of few operations.
func rosenbrock() *program.Program {
	p := &program.Program{Name: "rosenbrock", In: []string{"x", "y"}, Status: 2, Iteration: 3, Results: []int{0, 1}, Slots: []program.Slot{
		{Name: "x", Type: program.F64}, {Name: "y", Type: program.F64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64},
	}}
	b := program.NewBuilder("setup")
	v := b.Inputs("x", 2)
	p.Setup = b.Finish(v[0], v[1], b.I(0), b.I(0))
	b = program.NewBuilder("step")
	x, y := b.Input("x", program.F64), b.Input("y", program.F64)
	b.Input("status", program.I64)
	it := b.IAdd(b.Input("iteration", program.I64), b.I(1))
	d := b.Sub(y, b.Mul(x, x))
	gx := b.Sub(b.Mul(b.F(-400), b.Mul(x, d)), b.Mul(b.F(2), b.Sub(b.F(1), x)))
	gy := b.Mul(b.F(200), d)
	rate := b.F(1e-3)
	over := b.Or(b.Lt(b.F(1e9), b.Abs(gx)), b.ILt(b.I(999), it))
	p.Step = b.Finish(b.Sub(x, b.Mul(rate, gx)), b.Sub(y, b.Mul(rate, gy)), b.Select(over, b.I(1), b.I(0)), it)
	return p
}

// dense is a program with many live values: polynomials of twelve inputs, their products and quotients.
func dense() *program.Func {
	b := program.NewBuilder("dense")
	x := b.Inputs("x", 12)
	var terms []program.Value
	for i, v := range x {
		s := b.F(1)
		for k := range 12 {
			s = b.FMA(s, v, b.F(1/float64(k+2)))
		}
		for _, w := range x[:i] {
			s = b.Add(s, b.Mul(v, w))
		}
		terms = append(terms, s)
	}
	var out []program.Value
	for i, v := range terms {
		out = append(out, b.Select(b.Lt(v, x[i]), b.Div(v, x[i]), b.Sqrt(b.Abs(v))))
	}
	return b.Finish(out...)
}

func BenchmarkRosenbrock(b *testing.B) {
	p := rosenbrock()
	p.Optimize()
	ops := 0
	for i := range p.Step.Instrs {
		if op := p.Step.Instrs[i].Op; op != program.OpInput && op != program.OpConst {
			ops++
		}
	}
	for _, block := range []int{0, 32, 64, 128, 256, 512} {
		b.Run(fmt.Sprintf("block=%d", block), func(b *testing.B) {
			x, err := cpu.Portable{Block: block, Threads: 1}.Compile(p)
			if err != nil {
				b.Fatal(err)
			}
			batch := p.NewBatch(2048)
			for i := range batch.N {
				batch.In[0][i], batch.In[1][i] = float64(i%64)/32-1, float64(i/64)/16-1
			}
			steps := 0.0
			for b.Loop() {
				if err := x.Run(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
				steps += 1000 * float64(batch.N)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/steps/float64(ops), "ns/lane-op")
			b.ReportMetric(steps/b.Elapsed().Seconds()/1e6, "Msteps/s")
		})
	}
}

func BenchmarkDense(b *testing.B) {
	f := dense()
	ops := 0
	for i := range f.Instrs {
		if op := f.Instrs[i].Op; op != program.OpInput && op != program.OpConst {
			ops++
		}
	}
	const n = 4096
	c := cpu.CompileFunc(f)
	in, out := make([][]float64, len(f.In)), make([][]float64, len(f.Out))
	for i := range in {
		in[i] = make([]float64, n)
		for k := range n {
			in[i][k] = float64(k%97)/97 + float64(i)
		}
	}
	for i := range out {
		out[i] = make([]float64, n)
	}
	for b.Loop() {
		c.Run(n, in, out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n/float64(ops), "ns/lane-op")
}

// A context that ends is noticed inside of a step, or of a setup, that would last for days.
func TestPortableStops(t *testing.T) {
	long := func(b *program.Builder, x program.Value) program.Value {
		return b.Loop(program.At(0), program.At(1e7), []program.Value{x}, func(_ program.Affine, c []program.Value) []program.Value {
			return b.Loop(program.At(0), program.At(1e7), c, func(_ program.Affine, c []program.Value) []program.Value {
				return []program.Value{b.Add(c[0], b.F(1))}
			})
		})[0]
	}
	for _, inSetup := range []bool{true, false} {
		b := program.NewBuilder("step")
		x := b.Input("x", program.F64)
		b.Input("status", program.I64)
		n := b.Input("iteration", program.I64)
		if !inSetup {
			x = long(b, x)
		}
		p := &program.Program{
			Name: "long", In: []string{"x"}, Status: 1, Iteration: 2, Results: []int{0, 1},
			Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
			Step:  b.Finish(x, b.I(1), n),
		}
		b = program.NewBuilder("setup")
		x = b.Input("x", program.F64)
		if inSetup {
			x = long(b, x)
		}
		p.Setup = b.Finish(x, b.I(0), b.I(0))
		exe, err := cpu.Portable{Threads: 2}.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		batch := p.NewBatch(1000)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := exe.Run(ctx, batch); err != context.Canceled {
			t.Errorf("error %v, want context.Canceled", err)
		}
		for s, status := range batch.Out[1] {
			if status != 0 {
				t.Errorf("sample %d has status %v, and cannot be finished", s, status)
			}
		}
	}
}
