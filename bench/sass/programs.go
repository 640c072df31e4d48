package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/program/progtest"
)

// item is a problem with a method, and what was written for it by hand.
type item struct {
	problem string // built-in, or a file
	method  string // as batch.ParseMethods reads it
	hand    string // a file of hand, without .cu
	trips   int    // of the loop in a step, 0 for none
}

var items = []item{
	{problem: "square", method: "gd:lr=0.01", hand: "square-gd"},
	{problem: "square", method: "newton:lr=0.333", hand: "square-newton"},
	{problem: "square", method: "pg:lr=0.333", hand: "square-pg"},
	{problem: "rosenbrock", method: "gn:lr=0.1", hand: "rosenbrock-gn"},
	{problem: "rosenbrock", method: "lm", hand: "rosenbrock-lm"},
	{problem: "bench/problems/expsin.toml", method: "gn:lr=0.1", hand: "expsin-gn"},
	{problem: "pendulum", method: "gd:lr=0.01", hand: "pendulum-gd", trips: 100},
}

// compile makes the item's program and n samples, starts in the problem's box and parameters around their defaults.
func (it *item) compile(n int) (*program.Program, *program.Batch, error) {
	p, err := problem.Load(it.problem)
	if err != nil {
		return nil, nil, err
	}
	m, err := graph.New(p)
	if err != nil {
		return nil, nil, err
	}
	specs, err := batch.ParseMethods(it.method)
	if err != nil {
		return nil, nil, err
	}
	prog, err := batch.Compile(m, specs[0], batch.Options{Limits: batch.DefaultLimits(len(p.Minima) > 0)})
	if err != nil {
		return nil, nil, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	b := prog.NewBatch(n)
	for s := range n {
		for i, q := range p.Params {
			b.In[i][s] = q.Default * math.Exp2(2*r.Float64()-1)
		}
		for i, box := range p.Box {
			b.In[len(p.Params)+i][s] = box[0] + r.Float64()*(box[1]-box[0])
		}
	}
	return prog, b, nil
}

// samples is how many samples are compared.
const samples = 2000

// What is only reported may have been rounded in another order.
const rounding = 1e-14

var reported = map[string]bool{"loss": true, "grad_norm": true, "distance": true}

// same checks that the program written by hand computes what Invar's does: it is compiled for this processor, and its
// results for all samples are held against those of the portable engine, points, counts and statuses to the bit.
// source is its file.
func (it *item) same(cxx, source, dir string) error {
	prog, b, err := it.compile(samples)
	if err != nil {
		return err
	}
	exe, err := cpu.Portable{}.Compile(prog)
	if err != nil {
		return err
	}
	if err := exe.Run(context.Background(), b); err != nil {
		return err
	}
	bin := filepath.Join(dir, it.hand)
	if out, err := exec.Command(cxx, "-x", "c++", "-std=c++17", "-O2", "-ffp-contract=off", "-o", bin, source).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %v\n%s", cxx, err, out)
	}
	var in bytes.Buffer
	for _, v := range append([]any{uint64(samples)}, b.In[0], b.In[1], b.In[2]) {
		if err := binary.Write(&in, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	c := exec.Command(bin)
	c.Stdin, c.Stderr = &in, os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", it.hand, err)
	}
	got := make([]float64, len(b.Out)*samples)
	if err := binary.Read(bytes.NewReader(out), binary.LittleEndian, got); err != nil {
		return fmt.Errorf("%s: results: %w", it.hand, err)
	}
	for s := range samples {
		for k, col := range b.Out {
			name, g := prog.Slots[prog.Results[k]].Name, got[k*samples+s]
			if !progtest.SameF64(g, col[s]) && !(reported[name] && math.Abs(g-col[s]) <= rounding*math.Abs(col[s])) {
				in := []float64{b.In[0][s], b.In[1][s], b.In[2][s]}
				return fmt.Errorf("%s: sample %d %v: %s is %v by hand, %v by Invar", it.hand, s, in, name, g, col[s])
			}
		}
	}
	return nil
}
