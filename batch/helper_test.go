package batch_test

import (
	"context"
	"math"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/sampling"
)

// model loads a built-in problem.
func model(t testing.TB, name string) *graph.Model {
	t.Helper()
	p, err := problem.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// specs parses methods.
func specs(t testing.TB, list ...string) []batch.Spec {
	t.Helper()
	var all []batch.Spec
	for _, s := range list {
		sp, err := batch.ParseMethods(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sp...)
	}
	return all
}

// alphas is a grid over alpha alone.
func alphas(t testing.TB, r string) batch.Grid {
	t.Helper()
	v, err := batch.ParseRange(r)
	if err != nil {
		t.Fatal(err)
	}
	return batch.Grid{{Name: "alpha", Values: v}}
}

// drawn are n starts in the problem's box.
func drawn(t testing.TB, m *graph.Model, n int) batch.Starts {
	t.Helper()
	p := m.Problem()
	s, err := sampling.New("uniform", 1, n, p.N())
	if err != nil {
		t.Fatal(err)
	}
	return &batch.Sampled{Sampler: s, N: n, Box: p.Box}
}

// path traces one sample with no convergence test.
func path(t testing.TB, m *graph.Model, spec string, alpha float64, iterations int, start ...float64) batch.Path {
	t.Helper()
	sw := &batch.Sweep{
		Model: m, Grid: batch.Grid{{Name: "alpha", Values: []float64{alpha}}}, Starts: batch.Points{start},
		Methods: specs(t, spec), Limits: batch.Limits{Iterations: iterations}, Engine: &cpu.Portable{},
	}
	p, err := sw.Trace(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// report runs a sweep.
func report(t testing.TB, sw *batch.Sweep) *batch.Report {
	t.Helper()
	if sw.Engine == nil {
		sw.Engine = &cpu.Portable{}
	}
	rep, err := sw.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// supported are all methods that can serve the problem.
func supported(m *graph.Model) []batch.Spec {
	var s []batch.Spec
	for _, method := range batch.Methods() {
		if method.Supports(m.Problem()) == nil {
			s = append(s, batch.Spec{Method: method})
		}
	}
	return s
}

// sameBits compares two numbers to the bit, all NaNs being one.
func sameBits(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}

var _ program.Engine = (*cpu.Portable)(nil)
