// Package bench_test measures what Invar costs apart from running samples, and how cost grows: time to compile
// programs, time and memory a sample. Command bench/compare measures it next to others.
package bench_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/sampling"
)

// model loads a problem: built-in, or a file of the folder problems.
func model(b *testing.B, name string) *graph.Model {
	b.Helper()
	p, err := problem.Load(name)
	if err != nil {
		b.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		b.Fatal(err)
	}
	return m
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
	for _, terms := range []int{8, 32, 128, 512} {
		b.Run(fmt.Sprintf("terms=%d", terms), func(b *testing.B) {
			// Sums of 16 terms: the depth of a formula is bounded.
			var sum []string
			for k := 0; k < terms; k += 16 {
				var part []string
				for i := k; i < min(k+16, terms); i++ {
					part = append(part, fmt.Sprintf("exp(%g*x0)*(x1 + %d)", 0.01*float64(i+1), i))
				}
				sum = append(sum, "("+strings.Join(part, " + ")+")")
			}
			p, err := problem.Parse("sum.toml", []byte(fmt.Sprintf(
				"inputs = [\"x0\", \"x1\"]\noutputs = [%q, \"alpha*x1\"]\nloss = \"y0^2 + y1^2\"\nbox = [[-1, 1], [-1, 1]]\n[params]\nalpha = 1.0\n",
				strings.Join(sum, " + "))))
			if err != nil {
				b.Fatal(err)
			}
			m, err := graph.New(p)
			if err != nil {
				b.Fatal(err)
			}
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

// BenchmarkSweep runs whole sweeps, report and all, of 1e4 and 1e5 samples and ten times as many: bytes a sample is what
// is allocated in all, not what is in use at a time.
func BenchmarkSweep(b *testing.B) {
	const starts = 10_000
	engine, _ := cpu.Auto()
	if e, ok := engine.(cpu.Native); ok {
		e.Threads = 1 // the driver keeps all threads busy
		engine = e
	}
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
