package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/program"
)

// ours is one of Invar's engines, in this process.
type ours struct {
	engine program.Engine
	exe    program.Executable
	prog   *program.Program
	batch  *program.Batch

	operations float64 // float64 arithmetic of a sample, see arithmetic
}

// newEngine makes the engine of the given name (auto, native, portable) for so many threads.
func newEngine(name string, threads int) (program.Engine, error) {
	_, err := cpu.NewNative()
	switch {
	case name == "portable", name == "auto" && err != nil:
		return cpu.Portable{Threads: threads}, nil
	case name == "native" && err != nil:
		return nil, err
	case name == "native", name == "auto":
		return cpu.Native{Threads: threads}, nil
	}
	return nil, usagef("--engine %s: auto, native, portable are allowed", name)
}

func (o *ours) load(w *work, n int) (err error) {
	if o.prog, err = batch.Compile(w.model, w.spec, batch.Options{Limits: w.limits}); err != nil {
		return err
	}
	if o.exe, err = o.engine.Compile(o.prog); err != nil {
		return err
	}
	o.batch = o.prog.NewBatch(n)
	for i := range n {
		o.batch.In[0][i] = w.alpha
	}
	if len(w.model.Problem().Params) > 1 {
		return fmt.Errorf("problem %s: one parameter is expected", w.problem)
	}
	for i, x := range w.x {
		copy(o.batch.In[1+i], x[:n])
	}
	_, err = o.run()
	o.operations = arithmetic(o.prog.Step) * stepsOf(o.prog, o.batch) / float64(n)
	if err != nil || !w.fixed() {
		return err
	}
	// Fixed iterations: a sample that stopped earlier would make the comparison unfair.
	status, iteration := o.column("status"), o.column("iteration")
	for i := range n {
		if s := batch.Status(status[i]); s != batch.IterationLimit || int(iteration[i]) != w.limits.Iterations {
			return fmt.Errorf("%s: sample %d ended with %q after %v iterations, want %d", w.name, i, s, iteration[i], w.limits.Iterations)
		}
	}
	return nil
}

func (o *ours) column(name string) []float64 { return o.batch.Out[batch.Column(o.prog, name)] }

func (o *ours) run() (float64, error) {
	begin := time.Now()
	err := o.exe.Run(context.Background(), o.batch)
	return time.Since(begin).Seconds(), err
}

func (o *ours) results() ([][]float64, error) {
	return [][]float64{o.column("x0"), o.column("x1"), o.column("loss")}, nil
}

func (o *ours) version() string { return "this tree" }

func (o *ours) close() { o.exe, o.batch = nil, nil }

// isNative reports whether an engine is the one of machine code.
func isNative(e program.Engine) bool { return strings.HasPrefix(e.Name(), "native") }
