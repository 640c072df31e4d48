package plot

import (
	"context"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/sampling"
)

// run makes the data of a small sweep.
func run(t testing.TB, name, alpha string, starts int, o Options, methods ...string) *Data {
	t.Helper()
	p, err := problem.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		t.Fatal(err)
	}
	values, err := batch.ParseRange(alpha)
	if err != nil {
		t.Fatal(err)
	}
	sampler, err := sampling.New("uniform", 1, starts, p.N())
	if err != nil {
		t.Fatal(err)
	}
	sw := &batch.Sweep{Model: m, Grid: batch.Grid{{Name: "alpha", Values: values}}, Engine: &cpu.Portable{},
		Starts: &batch.Sampled{Sampler: sampler, N: starts, Box: p.Box}, Limits: batch.DefaultLimits(len(p.Minima) > 0)}
	for _, s := range methods {
		specs, err := batch.ParseMethods(s)
		if err != nil {
			t.Fatal(err)
		}
		sw.Methods = append(sw.Methods, specs...)
	}
	return finishRun(t, sw, o)
}

func finishRun(t testing.TB, sw *batch.Sweep, o Options) *Data {
	t.Helper()
	r, err := NewRecorder(sw, o)
	if err != nil {
		t.Fatal(err)
	}
	sw.Sink = r.Chunk
	rep, err := sw.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	traced, err := Trace(context.Background(), sw, o)
	if err != nil {
		t.Fatal(err)
	}
	return &Data{Sweep: sw, Cells: rep.Cells, Paths: traced, Samples: r.Samples(),
		Config: "problem = \"" + sw.Model.Problem().Name + "\"\n", Command: "sweep --problem " + sw.Model.Problem().Name}
}

// serving are the given methods that can serve the problem.
func serving(t testing.TB, name string, methods ...string) []string {
	t.Helper()
	p, err := problem.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	var ok []string
	for _, m := range methods {
		specs, err := batch.ParseMethods(m)
		if err != nil {
			t.Fatal(err)
		}
		if specs[0].Method.Supports(p) == nil {
			ok = append(ok, m)
		}
	}
	return ok
}
