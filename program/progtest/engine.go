package progtest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"invar/program"
)

// Engine holds e against Reference: random functions and programs, special values, many batch sizes, shuffles,
// bad neighbours, early ends, traces, cancelling, and several runs at once. The
// number of random programs is a measure of the time it takes. Floats are the types of numbers that e knows, F64
// among them; programs with F32 must be refused by an engine that does not.
func Engine(t *testing.T, e program.Engine, programs int, floats ...program.Type) {
	t.Run("functions", func(t *testing.T) { functions(t, e, programs, floats) })
	t.Run("programs", func(t *testing.T) { programsAgree(t, e, programs, floats) })
	t.Run("sizes", func(t *testing.T) { sizes(t, e) })
	t.Run("neighbours", func(t *testing.T) { neighbours(t, e) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, e) })
	t.Run("cancel", func(t *testing.T) { cancel(t, e) })
	t.Run("refusals", func(t *testing.T) { refusals(t, e) })
	if slices.Contains(floats, program.F32) {
		t.Run("fma of f32", func(t *testing.T) { nearMiddle(t, e) })
	} else {
		t.Run("no f32", func(t *testing.T) { noF32(t, e) })
	}
}

func compiled(t *testing.T, e program.Engine, p *program.Program) program.Executable {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatalf("%v\n%s%s", err, p.Setup, p.Step)
	}
	x, err := e.Compile(p)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, p.Setup, p.Step)
	}
	return x
}

func run(t *testing.T, x program.Executable, b *program.Batch) {
	t.Helper()
	for _, c := range b.Out { // that an engine leaves nothing unwritten
		for i := range c {
			c[i] = math.Pi
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute) // a broken engine may miss every end
	defer stop()
	if err := x.Run(ctx, b); err != nil {
		t.Fatal(err)
	}
}

// numbers is a batch of n samples of random inputs, with a trace of rows rows.
func numbers(r *rand.Rand, p *program.Program, n, rows int) *program.Batch {
	b := p.NewBatch(n)
	for _, c := range b.In {
		for i := range c {
			c[i] = Number(r)
		}
	}
	if rows > 0 {
		b.Trace = program.NewTrace(n, rows, p.Results)
	}
	return b
}

// like is a batch of the same samples in another order: sample i of it is sample
// order[i] of b.
func like(p *program.Program, b *program.Batch, order []int) *program.Batch {
	c := p.NewBatch(len(order))
	for k := range c.In {
		for i, o := range order {
			c.In[k][i] = b.In[k][o]
		}
	}
	if b.Trace != nil {
		c.Trace = program.NewTrace(len(order), b.Trace.Rows, b.Trace.Slots)
	}
	return c
}

// same compares sample i of got with sample order[i] of want.
func same(t *testing.T, p *program.Program, got, want *program.Batch, order []int) {
	t.Helper()
	for i, o := range order {
		for k := range got.Out {
			if g, w := got.Out[k][i], want.Out[k][o]; !SameF64(g, w) {
				t.Fatalf("%s of sample %d of %d: %v (%#x), want %v (%#x)\n%s%s", p.Slots[p.Results[k]].Name, i, got.N,
					g, math.Float64bits(g), w, math.Float64bits(w), p.Setup, p.Step)
			}
		}
		if want.Trace == nil {
			continue
		}
		if g, w := got.Trace.Len[i], want.Trace.Len[o]; g != w {
			t.Fatalf("trace of sample %d has %d rows, want %d\n%s%s", i, g, w, p.Setup, p.Step)
		}
		for k, w := range want.Trace.Data[o] {
			if g := got.Trace.Data[i][k]; !SameF64(g, w) {
				t.Fatalf("trace of sample %d, number %d: %v, want %v\n%s%s", i, k, g, w, p.Setup, p.Step)
			}
		}
	}
}

func inOrder(n int) []int {
	o := make([]int, n)
	for i := range o {
		o[i] = i
	}
	return o
}

func functions(t *testing.T, e program.Engine, n int, floats []program.Type) {
	for k := range uint64(n) {
		r := rand.New(rand.NewPCG(1, k))
		f := Func(r, Types(r, 1+r.IntN(6), floats...), Types(r, 1+r.IntN(4), floats...), 5+r.IntN(150))
		if k%2 == 1 {
			f = program.Optimize(f, k%4 == 1)
		}
		p := Wrap(f)
		want := numbers(r, p, 1+r.IntN(50), 0)
		Reference(p, want)
		got := like(p, want, inOrder(want.N))
		run(t, compiled(t, e, p), got)
		same(t, p, got, want, inOrder(want.N))
	}
}

func programsAgree(t *testing.T, e program.Engine, n int, floats []program.Type) {
	ends := map[float64]int{}
	for k := range uint64(n) {
		r := rand.New(rand.NewPCG(2, k))
		p := Program(r, 1+r.IntN(4), 10+r.IntN(150), floats...)
		if k%2 == 1 {
			p.Optimize()
		}
		want := numbers(r, p, 1+r.IntN(90), r.IntN(2)*5)
		Reference(p, want)
		order := r.Perm(want.N)
		got := like(p, want, order)
		x := compiled(t, e, p)
		for range 2 { // nothing is left over from the first run
			run(t, x, got)
			same(t, p, got, want, order)
		}
		for i, s := range p.Results {
			for _, v := range got.Out[i] {
				if s == p.Status {
					ends[v]++
				}
			}
		}
	}
	for why := 1; why <= 4 && n >= 100; why++ {
		if why != 3 && ends[float64(why)] == 0 {
			t.Errorf("no random program ends a sample with status %d: %v", why, ends)
		}
	}
}

// counting is a program whose sample x ends after about 40*x steps, so that
// lanes are refilled all the time; a negative x ends in Setup. It adds up 1/k.
func counting() *program.Program {
	p := &program.Program{
		Name: "counting",
		In:   []string{"x"},
		Slots: []program.Slot{
			{Name: "x", Type: program.F64, Fixed: true}, {Name: "sum", Type: program.F64}, {Name: "k", Type: program.F64},
			{Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}, {Name: "odd", Type: program.Bool},
		},
		Status: 3, Iteration: 4, Results: []int{1, 2, 3, 4},
	}
	b := program.NewBuilder("setup")
	x := b.Input("x", program.F64)
	p.Setup = b.Finish(x, b.F(0), b.F(1), b.Select(b.Lt(x, b.F(0)), b.I(7), b.I(0)), b.I(0), b.B(true))
	b = program.NewBuilder("step")
	x, sum, k := b.Input("x", program.F64), b.Input("sum", program.F64), b.Input("k", program.F64)
	b.Input("status", program.I64)
	it, odd := b.Input("iteration", program.I64), b.Input("odd", program.Bool)
	next := b.Select(odd, b.Add(sum, b.Div(x, k)), b.Sub(sum, b.Div(x, k)))
	k = b.Add(k, b.F(1))
	over := b.Or(b.Le(b.F(40), b.Div(k, x)), b.Lt(b.Mul(x, b.F(40)), k), b.IsNaN(x))
	p.Step = b.Finish(next, k, b.Select(over, b.I(1), b.I(0)), b.IAdd(it, b.I(1)), b.Not(odd))
	return p
}

// sizes runs every batch size up to and around the sizes of blocks.
func sizes(t *testing.T, e program.Engine) {
	r := rand.New(rand.NewPCG(3, 0))
	p := counting()
	x := compiled(t, e, p)
	all := p.NewBatch(2000)
	all.Trace = program.NewTrace(all.N, 6, p.Results)
	for i := range all.N {
		all.In[0][i] = r.ExpFloat64()
		if i%17 == 0 {
			all.In[0][i] = Number(r)
		}
		if !(all.In[0][i] < 20) {
			all.In[0][i] = -1
		}
	}
	Reference(p, all)
	check := func(n int) {
		t.Helper()
		order := r.Perm(all.N)[:n]
		got := like(p, all, order)
		run(t, x, got)
		same(t, p, got, all, order)
	}
	for n := range 131 {
		check(n)
	}
	for _, n := range []int{191, 192, 193, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2000} {
		check(n)
	}
}

// neighbours runs one sample among others that are not finite, end at once, or
// run long.
func neighbours(t *testing.T, e program.Engine) {
	for k := range uint64(30) {
		r := rand.New(rand.NewPCG(4, k))
		p := Program(r, 2, 80)
		p.Optimize()
		x := compiled(t, e, p)
		const n = 40
		want := numbers(r, p, n, 3)
		for i := range want.In {
			want.In[i][7] = r.NormFloat64()
		}
		Reference(p, want)
		alone := like(p, want, []int{7})
		run(t, x, alone)
		same(t, p, alone, want, []int{7})
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64} {
			among := like(p, want, inOrder(n))
			for i := range among.In {
				for s := range n {
					if s != 7 {
						among.In[i][s] = bad
					}
				}
			}
			run(t, x, among)
			for i := range among.Out {
				if !SameF64(among.Out[i][7], alone.Out[i][0]) {
					t.Fatalf("result %d: alone %v, among %v it is %v", i, alone.Out[i][0], bad, among.Out[i][7])
				}
			}
		}
	}
}

func concurrent(t *testing.T, e program.Engine) {
	r := rand.New(rand.NewPCG(5, 0))
	p := Program(r, 2, 100)
	x := compiled(t, e, p)
	want := numbers(r, p, 300, 4)
	Reference(p, want)
	var wg sync.WaitGroup
	got := make([]*program.Batch, 4)
	errs := make([]error, len(got))
	for k := range got {
		got[k] = like(p, want, inOrder(want.N))
		wg.Go(func() { errs[k] = x.Run(context.Background(), got[k]) })
	}
	wg.Wait()
	for k := range got {
		if errs[k] != nil {
			t.Fatal(errs[k])
		}
		same(t, p, got[k], want, inOrder(want.N))
	}
}

// cancel ends a run of which one sample would go on for ever.
func cancel(t *testing.T, e program.Engine) {
	p := counting()
	b := program.NewBuilder("step")
	x := b.Input("x", program.F64)
	for _, s := range p.Slots[1:] {
		b.Input(s.Name, s.Type)
	}
	p.Step = b.Finish(x, x, b.Select(b.Lt(x, b.F(1)), b.I(1), b.I(0)), b.I(1), b.B(true))
	ex := compiled(t, e, p)
	batch := p.NewBatch(400)
	for i := range batch.N {
		batch.In[0][i] = 0.5
		if i == 300 {
			batch.In[0][i] = 2
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	start := time.Now()
	if err := ex.Run(ctx, batch); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v to stop", d)
	}
	ended := 0
	for i, s := range batch.Out[2] {
		if s == 1 && i != 300 {
			ended++
		} else if s != 0 {
			t.Errorf("sample %d has status %v", i, s)
		}
	}
	if ended == 0 {
		t.Error("no sample ended in time")
	}
	ctx, stop = context.WithCancel(context.Background())
	stop()
	if err := ex.Run(ctx, batch); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	for i, s := range batch.Out[2] {
		if s != 0 {
			t.Errorf("sample %d has status %v after a run that never began", i, s)
		}
	}
}

// nearMiddle tries the sums of NearMiddle.
func nearMiddle(t *testing.T, e program.Engine) {
	r := rand.New(rand.NewPCG(8, 0))
	b := program.NewBuilderOf(program.F32, "fma")
	x := b.Inputs("x", 3)
	p := Wrap(b.Finish(b.FMA(x[0], x[1], x[2])))
	want := p.NewBatch(20_000)
	for i := range want.N {
		x, y, z := NearMiddle(r)
		want.In[0][i], want.In[1][i], want.In[2][i] = float64(x), float64(y), float64(z)
	}
	Reference(p, want)
	got := like(p, want, inOrder(want.N))
	run(t, compiled(t, e, p), got)
	same(t, p, got, want, inOrder(want.N))
}

// noF32 has an engine that does not know F32 say so.
func noF32(t *testing.T, e program.Engine) {
	b := program.NewBuilderOf(program.F32, "single")
	p := Wrap(b.Finish(b.Sqrt(b.Input("x", program.F32))))
	if _, err := e.Compile(p); err == nil {
		t.Error("a program with f32 was compiled")
	}
}

func refusals(t *testing.T, e program.Engine) {
	p := counting()
	p.Step.Out[0] = 1000
	if _, err := e.Compile(p); err == nil {
		t.Error("a program whose output does not exist was compiled")
	}
	p = counting()
	x := compiled(t, e, p)
	b := p.NewBatch(3)
	b.Out = b.Out[1:]
	if err := x.Run(context.Background(), b); err == nil {
		t.Error("a batch with too few output columns was run")
	}
	b = p.NewBatch(3)
	b.N = 4
	if err := x.Run(context.Background(), b); err == nil {
		t.Error("a batch with too short columns was run")
	}
}
