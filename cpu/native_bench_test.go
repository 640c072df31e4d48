package cpu_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
)

// builtin compiles a built-in problem with a method, with numbers of type float; ok is false where they do not fit.
func builtin(t testing.TB, name, method string, float program.Type) (p *program.Program, q *problem.Problem, ok bool) {
	t.Helper()
	var err error
	if name == "chain" {
		name = "../bench/problems/chain.toml"
	}
	if q, err = problem.Load(name); err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(q)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := batch.ParseMethods(method)
	if err != nil {
		t.Fatal(err)
	}
	if spec[0].Method.Supports(q) != nil {
		return nil, q, false
	}
	p, err = batch.Compile(m, spec[0], batch.Options{Limits: batch.DefaultLimits(len(q.Minima) > 0), DType: float})
	if err != nil {
		t.Fatal(err)
	}
	return p, q, true
}

// samplesOf draws n samples: parameters at their defaults, starts in the problem's box.
func samplesOf(p *program.Program, q *problem.Problem, n int) *program.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	b := p.NewBatch(n)
	for s := range n {
		for i, d := range q.Params {
			b.In[i][s] = d.Default
		}
		for i := range q.N() {
			b.In[len(q.Params)+i][s] = q.Box[i][0] + r.Float64()*(q.Box[i][1]-q.Box[i][0])
		}
	}
	return b
}

// BenchmarkNative measures whole batches, per sample, next to the mean number of steps.
func BenchmarkNative(b *testing.B) {
	for _, c := range []struct{ problem, method string }{
		{"square", "gd"}, {"square", "newton"}, {"square", "pg"}, {"exponential", "gn"}, {"rosenbrock", "bfgs"}, {"heat", "gn"}, {"pendulum", "lm"}, {"chain", "gd"}, {"chain", "bfgs"}, {"chain", "gn"},
	} {
		for _, float := range []program.Type{program.F64, program.F32} {
			p, q, ok := builtin(b, c.problem, c.method, float)
			if !ok {
				b.Fatalf("%s does not fit %s", c.method, c.problem)
			}
			batch := samplesOf(p, q, 10000)
			for _, e := range []program.Engine{cpu.Native{Set: "avx512", Threads: 1}, cpu.Native{Set: "avx2", Threads: 1}, cpu.Portable{Threads: 1}} {
				b.Run(fmt.Sprintf("%s/%s/%v/%s", c.problem, c.method, float, e.Name()), func(b *testing.B) {
					x, err := e.Compile(p)
					if err != nil {
						b.Fatal(err)
					}
					start := time.Now()
					b.ResetTimer()
					for range b.N {
						if err := x.Run(context.Background(), batch); err != nil {
							b.Fatal(err)
						}
					}
					steps := 0.0
					for k, r := range p.Results {
						if p.Slots[r].Name == "evaluations" {
							for _, n := range batch.Out[k][:batch.N] {
								steps += n
							}
						}
					}
					ns := float64(time.Since(start).Nanoseconds()) / float64(b.N)
					b.ReportMetric(ns/float64(batch.N), "ns/sample")
					b.ReportMetric(ns/steps, "ns/step")
					b.ReportMetric(steps/float64(batch.N), "steps/sample")
				})
			}
		}
	}
}

// BenchmarkNativeCompile measures how long the code takes to write.
func BenchmarkNativeCompile(b *testing.B) {
	for _, c := range []struct{ problem, method string }{{"square", "gd"}, {"exponential", "gn"}, {"heat", "gn"}, {"pendulum", "lbfgs"}, {"chain", "gn"}, {"chain", "bfgs"}} {
		p, _, ok := builtin(b, c.problem, c.method, program.F64)
		if !ok {
			b.Fatalf("%s does not fit %s", c.method, c.problem)
		}
		b.Run(c.problem+"/"+c.method, func(b *testing.B) {
			for range b.N {
				if _, err := (cpu.Native{}).Compile(p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(p.Step.Instrs)), "operations")
		})
	}
}

// BenchmarkNativeLength measures that a sample takes the same time in batches of any size.
func BenchmarkNativeLength(b *testing.B) {
	p, q, ok := builtin(b, "square", "newton", program.F64)
	if !ok {
		b.Fatal("newton does not fit square")
	}
	x, err := cpu.Native{}.Compile(p)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1e3, 1e4, 1e5, 1e6, 1e7} {
		batch := samplesOf(p, q, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				if err := x.Run(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sample")
		})
	}
}
