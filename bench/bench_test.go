// Package bench_test measures what Invar costs apart from running samples, and how cost grows: time to compile
// programs, time and memory a sample. Command bench/compare measures it next to others.
package bench_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/results"
	"invar/sampling"
)

// model loads a problem: built-in, or a file of the folder problems.
func model(b *testing.B, name string) *graph.Model {
	b.Helper()
	p, err := problem.Load(name)
	return modelOf(b, p, err)
}

func modelOf(b *testing.B, p *problem.Problem, err error) *graph.Model {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// terms is a problem whose first output is a sum of n terms.
func terms(b *testing.B, n int) *graph.Model {
	b.Helper()
	// Sums of 16 terms: the depth of a formula is bounded.
	var sum []string
	for k := 0; k < n; k += 16 {
		var part []string
		for i := k; i < min(k+16, n); i++ {
			part = append(part, fmt.Sprintf("exp(%g*x0)*(x1 + %d)", 0.01*float64(i+1), i))
		}
		sum = append(sum, "("+strings.Join(part, " + ")+")")
	}
	p, err := problem.Parse("sum.toml", []byte(fmt.Sprintf(
		"inputs = [\"x0\", \"x1\"]\noutputs = [%q, \"alpha*x1\"]\nloss = \"y0^2 + y1^2\"\nbox = [[-1, 1], [-1, 1]]\n[params]\nalpha = 1.0\n",
		strings.Join(sum, " + "))))
	return modelOf(b, p, err)
}

func options(m *graph.Model) batch.Options {
	return batch.Options{Limits: batch.DefaultLimits(len(m.Problem().Minima) > 0)}
}

// BenchmarkCompile is the way from a problem's derivatives to a program that can run, for every built-in
// problem and method that fit: the method's step, the optimiser, machine code. An operation is one
// program. Reading the problem and differentiating it with Gorgonia, once a problem, is BenchmarkDifferentiate.
func BenchmarkCompile(b *testing.B) {
	engine, _ := cpu.Auto()
	for _, name := range problem.Builtins() {
		m := model(b, name)
		for _, method := range batch.Methods() {
			if method.Supports(m.Problem()) != nil {
				continue
			}
			b.Run(name+"/"+method.Name, func(b *testing.B) {
				instructions := 0
				for b.Loop() {
					p, err := batch.Compile(m, batch.Spec{Method: method}, options(m))
					if err != nil {
						b.Fatal(err)
					}
					if _, err := engine.Compile(p); err != nil {
						b.Fatal(err)
					}
					instructions = len(p.Setup.Instrs) + len(p.Step.Instrs)
				}
				b.ReportMetric(float64(instructions), "instructions")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(instructions), "ns/instruction")
			})
		}
	}
}

// BenchmarkDifferentiate reads a built-in problem and compiles its first program with newton, whose Hessian needs
// everything that Gorgonia differentiates.
func BenchmarkDifferentiate(b *testing.B) {
	newton, err := batch.Lookup("newton")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range problem.Builtins() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m := model(b, name)
				if _, err := batch.Compile(m, batch.Spec{Method: newton}, options(m)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompileSize compiles problems of growing size: ns/instruction stays about the same where
// compile time is linear in the size of the program.
func BenchmarkCompileSize(b *testing.B) {
	engine, _ := cpu.Auto()
	gd, err := batch.Lookup("gd")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{8, 32, 128, 512} {
		b.Run(fmt.Sprintf("terms=%d", n), func(b *testing.B) {
			m := terms(b, n)
			instructions := 0
			for b.Loop() {
				p, err := batch.Compile(m, batch.Spec{Method: gd}, options(m))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := engine.Compile(p); err != nil {
					b.Fatal(err)
				}
				instructions = len(p.Setup.Instrs) + len(p.Step.Instrs)
			}
			b.ReportMetric(float64(instructions), "instructions")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(instructions), "ns/instruction")
		})
	}
}

// BenchmarkLength runs long programs and, in between, a short one, gd on square, on one thread. It reports medians over some rounds: of the
// time per operation of either, and of their ratio.
func BenchmarkLength(b *testing.B) {
	const rounds = 11
	square := model(b, "square")
	for _, c := range []struct {
		name, method string
		model        *graph.Model
	}{
		{"chain", "bfgs", model(b, "problems/chain.toml")},
		{"terms=100", "gd:lr=1e-8", terms(b, 100)},
		{"terms=100", "newton:lr=0.001", terms(b, 100)},
	} {
		b.Run(c.name+"/"+c.method, func(b *testing.B) {
			long, operations := repeated(b, c.model, c.method, 10_000)
			short, _ := repeated(b, square, "gd:lr=0.01", 1_000_000)
			var longs, shorts, ratios []float64
			for b.Loop() {
				for range rounds {
					l, s := long(), short()
					longs, shorts, ratios = append(longs, l), append(shorts, s), append(ratios, l/s)
				}
			}
			b.ReportMetric(operations, "operations")
			b.ReportMetric(1e12*median(longs), "ps/operation")
			b.ReportMetric(1e12*median(shorts), "short-ps/operation")
			b.ReportMetric(median(ratios), "long/short")
		})
	}
}

// repeated prepares n samples of at most 100 iterations, on one thread. It returns what compiles and runs them and gives the seconds
// per operation of the run: time divided by the steps of all samples and the operations of a step.
func repeated(b *testing.B, m *graph.Model, method string, n int) (run func() float64, operations float64) {
	b.Helper()
	engine := oneThread()
	specs, err := batch.ParseMethods(method)
	if err != nil {
		b.Fatal(err)
	}
	p, err := batch.Compile(m, specs[0], batch.Options{Limits: batch.Limits{Iterations: 100}})
	if err != nil {
		b.Fatal(err)
	}
	c := p.NewBatch(n)
	for i, q := range m.Problem().Params {
		for s := range n {
			c.In[i][s] = q.Default
		}
	}
	s, err := sampling.New("uniform", 1, n, m.Problem().N())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Fill(0, n, m.Problem().Box, c.In[len(m.Problem().Params):]); err != nil {
		b.Fatal(err)
	}
	stages := p.Stage()
	f := stages.Step
	if _, ok := engine.(cpu.Native); ok {
		if stages.MakeRun(p); stages.Run != nil { // what native code runs while its samples go on
			f = stages.Run
		}
	}
	operations = f.Count(false, program.Op.Computes) // for ordinary arguments, which enter no guard
	return func() float64 {
		// Anew each time: where in memory code comes to lie can alone make it half as slow again.
		exe, err := engine.Compile(p)
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if err := exe.Run(context.Background(), c); err != nil {
			b.Fatal(err)
		}
		seconds, steps := time.Since(begin).Seconds(), 0.0
		for i := range m.Problem().N() {
			for _, x := range c.Out[batch.Column(p, fmt.Sprintf("x%d", i))] {
				if !(math.Abs(x) < 100) {
					b.Fatalf("%s goes to x%d = %g, where functions go longer ways", method, i, x)
				}
			}
		}
		for _, k := range c.Out[batch.Column(p, "evaluations")] {
			steps += k
		}
		return seconds / (steps * operations)
	}, operations
}

// oneThread is the fastest engine, on one processor.
func oneThread() program.Engine {
	if _, err := cpu.NewNative(); err != nil {
		return cpu.Portable{Threads: 1}
	}
	return cpu.Native{Threads: 1}
}

// BenchmarkSweep runs whole sweeps, report and all, of 1e4 and 1e5 samples and ten times as many: bytes a sample is what
// is allocated in all, not what is in use at a time.
func BenchmarkSweep(b *testing.B) {
	const starts = 10_000
	engine := oneThread() // the driver keeps all threads busy
	for _, c := range []struct{ problem, method string }{
		{"square", "gd"}, {"square", "newton"}, {"rosenbrock", "lm"}, {"rosenbrock", "bfgs"}, {"problems/expsin.toml", "gn"},
	} {
		m := model(b, c.problem)
		specs, err := batch.ParseMethods(c.method)
		if err != nil {
			b.Fatal(err)
		}
		for _, points := range []int{1, 10} {
			samples := starts * points
			b.Run(fmt.Sprintf("%s/%s/%d", m.Problem().Name, c.method, samples), func(b *testing.B) {
				s, err := sampling.New("uniform", 1, starts, m.Problem().N())
				if err != nil {
					b.Fatal(err)
				}
				alpha := m.Problem().Params[0].Default
				var grid []float64
				for k := range points {
					grid = append(grid, alpha*(1+0.01*float64(k)))
				}
				sw := &batch.Sweep{
					Model: m, Methods: specs, Limits: options(m).Limits, Engine: engine,
					Grid:   batch.Grid{{Name: "alpha", Values: grid}},
					Starts: &batch.Sampled{Sampler: s, N: starts, Box: m.Problem().Box},
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := sw.Run(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
			})
		}
	}
}

// BenchmarkJob runs the command on its main job, and on a smaller one with a dearer problem, each with and without a result
// folder, and in between the bare arithmetic of the same samples: the engine on as many threads, and nothing else. (Without the folder
// nobody looks at the gradient where a sample ends, and neither has to tell its length.) It reports medians
// of wall times over some rounds: of the arithmetic, of the command, and the share of the command's time that is around the
// arithmetic (start, starts, statistics, path deviations, table, and files), without the folder and with it; and what that share
// would at least be with it, if the bytes of samples.parquet cost nothing but to be written.
func BenchmarkJob(b *testing.B) {
	const rounds = 7
	command := filepath.Join(b.TempDir(), "sweep")
	build := exec.Command("go", "build", "-tags", "nocuda", "-o", command, "../cmd/sweep")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, job := range []string{"--alpha 0.01:100 --starts 10000", "--problem pendulum --alpha 0.5:2:3 --starts 2000"} {
		b.Run(strings.ReplaceAll(job, " ", "_"), func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "out")
			run := func(more ...string) float64 {
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				begin := time.Now()
				if out, err := exec.Command(command, append(append(strings.Fields(job), "--quiet"), more...)...).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				return time.Since(begin).Seconds()
			}
			run("--out", dir)
			folder, err := results.Open(dir)
			if err != nil {
				b.Fatal(err)
			}
			sw, err := folder.Sweep()
			if err != nil {
				b.Fatal(err)
			}
			bare, full, write := arithmetic(b, sw, false), arithmetic(b, sw, true), writing(b, filepath.Join(dir, "samples.parquet"))
			var arithmetic, whole, around, arithmeticKept, kept, aroundKept, least []float64
			for b.Loop() {
				for range rounds {
					a, w, f, k, c := bare(), run(), full(), run("--out", dir), write()
					arithmetic, whole, around = append(arithmetic, a), append(whole, w), append(around, 100*(1-a/w))
					arithmeticKept, kept = append(arithmeticKept, f), append(kept, k)
					aroundKept, least = append(aroundKept, 100*(1-f/k)), append(least, 100*(1-f/(w+f-a+c)))
				}
			}
			b.ReportMetric(median(arithmetic), "arithmetic-s")
			b.ReportMetric(median(whole), "job-s")
			b.ReportMetric(median(around), "around-%")
			b.ReportMetric(median(arithmeticKept), "out-arithmetic-s")
			b.ReportMetric(median(kept), "out-job-s")
			b.ReportMetric(median(aroundKept), "around-out-%")
			b.ReportMetric(median(least), "least-out-%")
		})
	}
}

// writing reads a file; what it returns writes the bytes to another one, a part from each processor, and returns the seconds that took.
func writing(b *testing.B, path string) func() float64 {
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "copy")
	parts := slices.Collect(slices.Chunk(data, 1+len(data)/runtime.GOMAXPROCS(0)))
	return func() float64 {
		f, err := os.Create(file)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		var wg sync.WaitGroup
		failed := make([]error, len(parts))
		begin := time.Now()
		for i, part := range parts {
			wg.Go(func() { _, failed[i] = f.WriteAt(part, int64(i*len(parts[0]))) })
		}
		wg.Wait()
		seconds := time.Since(begin).Seconds()
		if err := errors.Join(failed...); err != nil {
			b.Fatal(err)
		}
		return seconds
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// arithmetic prepares the samples of a sweep; what it returns runs them on all threads and returns the seconds that took. The engine
// reports all of a sample, or what statistics are made of.
func arithmetic(b *testing.B, sw *batch.Sweep, all bool) func() float64 {
	engine := oneThread()
	p := sw.Model.Problem()
	starts := make([][]float64, p.N())
	for i := range starts {
		starts[i] = make([]float64, sw.Starts.Len())
	}
	if err := sw.Starts.Fill(0, starts); err != nil {
		b.Fatal(err)
	}
	n := sw.Starts.Len()
	in := make([][]float64, len(p.Params)) // of all grid points and starts
	for i, q := range p.Params {
		for point := range sw.Grid.Len() {
			v := q.Default
			for k, x := range sw.Grid.At(point) {
				if sw.Grid[k].Name == q.Name {
					v = x
				}
			}
			for range n {
				in[i] = append(in[i], v)
			}
		}
	}
	for _, x := range starts {
		var all []float64
		for range sw.Grid.Len() {
			all = append(all, x...)
		}
		in = append(in, all)
	}
	type piece struct {
		exe   program.Executable
		batch *program.Batch
		n     int // results
	}
	var pieces []piece
	for _, m := range sw.Methods {
		prog, err := batch.Compile(sw.Model, m, batch.Options{Limits: sw.Limits})
		if err != nil {
			b.Fatal(err)
		}
		if !all {
			prog.Results = slices.DeleteFunc(prog.Results, func(slot int) bool {
				s := prog.Slots[slot]
				return s.Fixed || s.Name == "grad_norm"
			})
		}
		exe, err := engine.Compile(prog)
		if err != nil {
			b.Fatal(err)
		}
		for at := 0; at < len(in[0]); at += batch.ChunkSize {
			k := min(batch.ChunkSize, len(in[0])-at)
			c := prog.NewBatch(0)
			c.N = k
			for i := range c.In {
				c.In[i] = in[i][at : at+k]
			}
			pieces = append(pieces, piece{exe, c, len(prog.Results)})
		}
	}
	return func() float64 {
		var next atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				var out [][]float64
				for {
					i := int(next.Add(1)) - 1
					if i >= len(pieces) {
						return
					}
					c := *pieces[i].batch
					for len(out) < pieces[i].n {
						out = append(out, make([]float64, batch.ChunkSize))
					}
					c.Out = out[:pieces[i].n]
					if err := pieces[i].exe.Run(context.Background(), &c); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(begin).Seconds()
	}
}
