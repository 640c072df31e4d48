//go:build linux || darwin || windows

package cpu

import (
	"context"
	"errors"
	"maps"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"invar/program"
	"invar/program/progtest"
)

// work is a piece of a function: b.Add and the like, written for the value x.
type work func(b *program.Builder, x program.Value) program.Value

// loop repeats body, for a counter that may depend on that of a loop around it.
func loop(lo, hi program.Affine, body func(b *program.Builder, i program.Affine, x program.Value) program.Value) work {
	return func(b *program.Builder, x program.Value) program.Value {
		return b.Loop(lo, hi, []program.Value{x}, func(i program.Affine, c []program.Value) []program.Value {
			return []program.Value{body(b, i, c[0])}
		})[0]
	}
}

func times(n int, w work) work {
	return loop(program.At(0), program.At(n), func(b *program.Builder, _ program.Affine, x program.Value) program.Value { return w(b, x) })
}

// triangle repeats w for each pair i < n, j < i.
func triangle(n int, w work) work {
	return loop(program.At(0), program.At(n), func(b *program.Builder, i program.Affine, x program.Value) program.Value {
		return loop(program.At(0), i, func(b *program.Builder, _ program.Affine, x program.Value) program.Value { return w(b, x) })(b, x)
	})
}

func straight(n int, w work) work {
	return func(b *program.Builder, x program.Value) program.Value {
		for range n {
			x = w(b, x)
		}
		return x
	}
}

func add(b *program.Builder, x program.Value) program.Value    { return b.Add(x, b.F(1)) }
func divide(b *program.Builder, x program.Value) program.Value { return b.Div(b.F(3), x) }
func root(b *program.Builder, x program.Value) program.Value   { return b.Sqrt(b.Add(x, b.F(2))) }

// guarded does w where x is not NaN, that is, always.
func guarded(w work) work {
	return func(b *program.Builder, x program.Value) program.Value {
		return b.Guard(b.Eq(x, x), []program.Value{x}, func() []program.Value { return []program.Value{w(b, x)} })[0]
	}
}

// banded repeats w for each pair i < n, i <= j < i+3, with an array.
func banded(n int, w work) work {
	return func(b *program.Builder, x program.Value) program.Value {
		a := b.NewArray(n + 3)
		return loop(program.At(0), program.At(n), func(b *program.Builder, i program.Affine, x program.Value) program.Value {
			return loop(i, i.Plus(3), func(b *program.Builder, j program.Affine, x program.Value) program.Value {
				b.Store(a, j, x)
				return b.Add(w(b, x), b.Load(a, j))
			})(b, x)
		})(b, x)
	}
}

// subnormal computes with numbers below the normal ones.
func subnormal(b *program.Builder, x program.Value) program.Value {
	return b.Mul(b.FMA(b.Mul(x, b.F(0.25)), b.F(0.5), b.F(1e-310)), b.F(0.75))
}

// far goes through an array in large strides, again and again.
func far(n int) work {
	const stride = 1024
	return func(b *program.Builder, x program.Value) program.Value {
		a := b.NewArray(n * stride)
		return times(20, loop(program.At(0), program.At(stride), func(b *program.Builder, i program.Affine, x program.Value) program.Value {
			return loop(program.At(0), program.At(n), func(b *program.Builder, j program.Affine, x program.Value) program.Value {
				b.Store(a, j.Times(stride).Add(i), x)
				return b.Add(x, b.F(1))
			})(b, x)
		}))(b, x)
	}
}

// adversaries are functions that take long, each in its way. Long ones take minutes and more.
func adversaries(long bool) map[string]work {
	n := 100
	if long {
		n = 20000
	}
	m := map[string]work{
		"triangle":              triangle(2*n, add),
		"triangle of divisions": triangle(2*n, divide),
		"square":                times(n, times(n, add)),
		"square of divisions":   times(n, times(n, divide)),
		"cube":                  times(n/5, times(n, times(n/5, root))),
		"long line":             times(n*n, add),
		"many short ones":       times(n*n/10, times(10, add)),
		"trips without work":    times(n, times(n*n/10, func(_ *program.Builder, x program.Value) program.Value { return x })),
		"band":                  banded(2*n, add),
		"subnormal numbers":     times(n, times(n, subnormal)),
		"far memory":            far(max(1, n/100)),
		"guards":                times(n*n/10, guarded(straight(20, divide))),
		"loops in guards":       times(n, guarded(times(n, add))),
		"guards around all":     guarded(triangle(2*n, divide)),
		"straight":              straight(30000, add),
		"straight divisions":    straight(30000, divide),
		"straight with guards":  straight(1000, guarded(straight(20, add))),
		"straight in loops":     times(n/10, straight(9000, add)),
		"just below a point":    straight(3, straight(4000, add)),
		"loop just below":       times(4, times(callOperations/8/4-1, add)),
		"between loops": straight(4, func(b *program.Builder, x program.Value) program.Value {
			return times(n, times(n/10, add))(b, straight(500, add)(b, x))
		}),
		"a point in the middle": times(n, func(b *program.Builder, x program.Value) program.Value {
			return divide(b, times(n*n/10, add)(b, root(b, x)))
		}),
		"bounds in both corners": loop(program.At(-n), program.At(n), func(b *program.Builder, i program.Affine, x program.Value) program.Value {
			return loop(i.Times(-1), i.Times(2).Plus(n), func(b *program.Builder, j program.Affine, x program.Value) program.Value {
				return b.Add(x, b.ToFloat(b.IndexValue(j)))
			})(b, x)
		}),
	}
	return m
}

// stages writes w into setup, step and final of a program that makes three steps.
func inStages(w work) map[string]*program.Program {
	m := map[string]*program.Program{}
	for _, name := range []string{"setup", "step", "final"} {
		at := func(stage string, b *program.Builder, x program.Value) program.Value {
			if stage == name {
				return w(b, x)
			}
			return x
		}
		p := &program.Program{
			Name: name, In: []string{"x"}, Status: 2, Iteration: 1, Results: []int{0, 1, 3},
			Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "iteration", Type: program.I64}, {Name: "status", Type: program.I64}, {Name: "report", Type: program.F64}},
		}
		b := program.NewBuilder("step")
		x, n := b.Input("x", program.F64), b.IAdd(b.Input("iteration", program.I64), b.I(1))
		b.Input("status", program.I64)
		b.Input("report", program.F64)
		y := b.Mul(at("step", b, x), b.F(0.75))
		p.Step = b.Finish(y, n, b.Select(b.ILt(n, b.I(3)), b.I(0), b.I(1)), at("final", b, b.Add(x, b.F(0.5)))) // reported only
		b = program.NewBuilder("setup")
		x = b.Input("x", program.F64)
		p.Setup = b.Finish(at("setup", b, x), b.I(0), b.I(0), b.F(0))
		m[name] = p
	}
	return m
}

func rising(p *program.Program, n int) *program.Batch {
	b := p.NewBatch(n)
	for s := range n {
		b.In[0][s] = 1 + float64(s)/7
	}
	return b
}

// watchCalls has the longest of x's calls kept, in operations. After so many calls it ends the context, unless 0.
func watchCalls(x *nativeExecutable, calls int) (ctx context.Context, longest, count, left *int) {
	ctx, cancel := context.WithCancel(context.Background())
	longest, count, left = new(int), new(int), new(int)
	x.watch = func(f *frame) {
		*longest = max(*longest, f.executed)
		f.executed = 0
		if f.point != 0 {
			*left++
		}
		if *count++; *count == calls {
			cancel()
		}
	}
	return ctx, longest, count, left
}

// longestCall is how many operations a call may execute: 10 ms if each took 25 ns, more than ten times as long as
// divisions of vectors take (BenchmarkNativeCalls).
const longestCall = 400_000

// No call executes more operations than longestCall, however long a step is: counted by the code itself.
func TestNativeCallsAreBounded(t *testing.T) {
	all, err := sets()
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range adversaries(true) {
		for stage, p := range inStages(w) {
			for _, isa := range all {
				x := variant{isa, emitOptions{count: true}}.compile(t, p)
				ctx, longest, count, left := watchCalls(x, 200)
				err := x.Run(ctx, rising(p, 300))
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if *longest > longestCall {
					t.Errorf("%s in %s on %s: a call of %d operations, want at most %d", name, stage, isa.name, *longest, longestCall)
				}
				if *left > 10 && name != "trips without work" && *longest < callOperations/4 { // what loops carry is counted and no operation
					t.Errorf("%s in %s on %s: the longest of %d calls executed %d operations, want more", name, stage, isa.name, *count, *longest)
				}
			}
		}
	}
}

// What a call leaves half done the next one ends: the bits are those of the portable engine.
func TestNativeComesBack(t *testing.T) {
	all, err := sets()
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for name, w := range adversaries(false) {
		for stage, p := range inStages(w) {
			want := rising(p, 150)
			portable, err := Portable{Threads: 1}.Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := portable.Run(context.Background(), want); err != nil {
				t.Fatal(err)
			}
			for _, isa := range all {
				for _, call := range []int{0, 3000} {
					x := variant{isa, emitOptions{call: call}}.compile(t, p)
					_, _, _, n := watchCalls(x, 0)
					if err := difference(x, p, want); err != nil {
						t.Errorf("%s in %s on %s: %v", name, stage, isa.name, err)
					}
					left += *n
				}
			}
		}
	}
	if left < 10000 {
		t.Errorf("%d calls ended within a step, want more", left)
	}
}

// Wherever the context ends a run, samples have their results or zeros.
func TestNativeAbandons(t *testing.T) {
	for stage, p := range inStages(times(100, times(40, divide))) {
		want := rising(p, 700)
		whole := variant{&avx2, emitOptions{call: 3000}}.compile(t, p)
		_, _, count, _ := watchCalls(whole, 0)
		if err := whole.Run(context.Background(), want); err != nil {
			t.Fatal(err)
		}
		finished := 0
		for calls := 1; calls < *count; calls += 1 + *count/100 {
			x := variant{&avx2, emitOptions{call: 3000}}.compile(t, p)
			ctx, _, _, _ := watchCalls(x, calls)
			got := rising(p, want.N)
			for _, col := range got.Out {
				for s := range col {
					col[s] = math.NaN()
				}
			}
			if err := x.Run(ctx, got); err != context.Canceled {
				t.Fatalf("%s, %d of %d calls: error %v, want context.Canceled", stage, calls, *count, err)
			}
			for s := range got.N {
				done := got.Out[1][s] != 0
				if done {
					finished++
				}
				for k := range got.Out {
					if g, w := got.Out[k][s], want.Out[k][s]; g != w && (done || g != 0) {
						t.Fatalf("%s, %d of %d calls, sample %d: result %d is %v, want %v or, with all others, 0", stage, calls, *count, s, k, g, w)
					}
				}
			}
			// What was left does no harm to the next run.
			x.watch = nil
			if err := difference(x, p, want); err != nil {
				t.Fatalf("%s, after a run that ended: %v", stage, err)
			}
		}
		if finished == 0 {
			t.Errorf("%s: no sample was finished before the context ended", stage)
		}
	}
}

// BenchmarkNativeCalls measures how long calls into the code last, of programs that make them as long as they may be: half of them,
// and all but one of a hundred. (Where other programs keep the processors busy some last longer: the system stops them.)
func BenchmarkNativeCalls(b *testing.B) {
	all, err := sets()
	if err != nil {
		b.Fatal(err)
	}
	w := adversaries(true)
	for _, name := range slices.Sorted(maps.Keys(w)) {
		for _, isa := range all {
			b.Run(name+"/"+isa.name, func(b *testing.B) {
				x := variant{isa, emitOptions{}}.compile(b, inStages(w[name])["step"])
				var took []float64
				var last time.Time
				ctx, cancel := context.WithCancel(context.Background())
				x.watch = func(f *frame) {
					now := time.Now()
					if !last.IsZero() {
						took = append(took, now.Sub(last).Seconds())
					}
					last = now
					if len(took) == 1000*b.N {
						cancel()
					}
				}
				if err := x.Run(ctx, rising(x.p, 300)); err != nil && !errors.Is(err, context.Canceled) {
					b.Fatal(err)
				}
				slices.Sort(took)
				if n := len(took); n > 0 {
					b.ReportMetric(1e6*took[n/2], "us/call")
					b.ReportMetric(1e6*took[n*99/100], "us/99%")
				}
			})
		}
	}
}

// arrays is a program with local arrays that are too large for machine code.
func arrays() *program.Program {
	b := program.NewBuilder("f")
	x := b.Input("x", program.F64)
	a := b.NewArray(1 << 26)
	b.Store(a, program.At(7), x)
	p := progtest.Wrap(b.Finish(b.Load(a, program.At(7))))
	p.Name = "arrays"
	return p
}

// What native code cannot hold is an error that says so, and a line where the portable engine is to run it.
func TestNativeUnfit(t *testing.T) {
	const want = "cpu: arrays: local arrays of more than 268435456 bytes, which are allowed in native code"
	if _, err := (Native{}).Compile(arrays()); !errors.Is(err, program.ErrUnfit) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	var said []string
	e := Native{}.OrPortable(func(err error) { said = append(said, err.Error()) })
	x, err := e.Compile(arrays())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := x.(*executable); !ok || e.Name() != "portable" {
		t.Errorf("it runs on %T of %s, want the portable engine", x, e.Name())
	}
	if !slices.Equal(said, []string{want}) {
		t.Errorf("said %q, want %q", said, want)
	}
	auto, note := Auto()
	if _, err := auto.Compile(arrays()); err != nil || note != "" {
		t.Errorf("error %v of the automatic engine (%s)", err, note)
	}
}

// A defect of the emitter, shown here by one that has too few registers, shows in every test, and ends no user's program.
func TestNativeDefects(t *testing.T) {
	p, _ := forever(1, 20)
	broken := avx512
	broken.regs = 1
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic of an emitter without registers")
			}
		}()
		emitProgram(p, &broken, emitOptions{vectors: 1})
	}()
	n, err := emitSafely(p, &broken)
	if n != nil || !errors.Is(err, program.ErrUnfit) || !strings.HasPrefix(err.Error(), "cpu: forever: a defect of the native engine, please report it: ") {
		t.Errorf("error %v, want one that tells of a defect", err)
	}
}

// BenchmarkNativeStops measures how long garbage collection waits for native code, whose calls are as long as they may be, to stop: half
// of the time, and at most.
func BenchmarkNativeStops(b *testing.B) {
	all, err := sets()
	if err != nil {
		b.Fatal(err)
	}
	for _, isa := range all {
		b.Run(isa.name, func(b *testing.B) {
			x := variant{isa, emitOptions{}}.compile(b, inStages(times(1e9, straight(9000, divide)))["step"])
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- x.Run(ctx, rising(x.p, 300)) }()
			before := stops()
			for range b.N {
				runtime.GC()
			}
			after := stops()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				b.Fatal(err)
			}
			count := uint64(0)
			for i := range after.Counts {
				after.Counts[i] -= before.Counts[i]
				count += after.Counts[i]
			}
			half, most, sum := 0.0, 0.0, uint64(0) // upper ends of the histogram's buckets
			for i, n := range after.Counts {
				if n == 0 {
					continue
				}
				most = after.Buckets[i+1]
				if 2*sum < count {
					half = most
				}
				sum += n
			}
			b.ReportMetric(1e6*half, "us/stop")
			b.ReportMetric(1e6*most, "us/longest")
		})
	}
}

// stops is how long it took to bring all threads to a stop for garbage collection.
func stops() metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	return metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
}
