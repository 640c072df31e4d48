package batch_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
)

// check ends an example that has failed.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A whole sweep: two methods at three scales from 1000 starts.
func Example() {
	p, err := problem.Load("square")
	check(err)
	engine, _ := cpu.Auto()
	sw, err := batch.New(p, engine, "gd:lr=0.01", "pg:lr=0.3")
	check(err)
	sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{0.1, 1, 10}}}
	report, err := sw.Run(context.Background())
	check(err)
	for _, c := range report.Cells {
		fmt.Printf("%-8v alpha %4v: %4d of %d converged, path deviation %.1g\n",
			c.Method.Method.Name, c.Params[0], c.Status[batch.Converged], c.Samples, c.PathDeviation)
	}
	// Output:
	// gd       alpha  0.1:    0 of 1000 converged, path deviation 0.7
	// gd       alpha    1:    0 of 1000 converged, path deviation 0
	// gd       alpha   10:    0 of 1000 converged, path deviation 3e+228
	// pg       alpha  0.1: 1000 of 1000 converged, path deviation 2e-16
	// pg       alpha    1: 1000 of 1000 converged, path deviation 0
	// pg       alpha   10: 1000 of 1000 converged, path deviation 2e-16
}

// Which of Himmelblau's four minima does each start reach?
func ExampleSweep_Samples() {
	p, err := problem.Load("himmelblau")
	check(err)
	sw, err := batch.New(p, cpu.Portable{Threads: 1}, "lm")
	check(err)
	sw.Starts, err = batch.Draw(p, "grid", 0, 400)
	check(err)
	minima, err := p.EvalMinima(nil)
	check(err)
	reached := make([]int, len(minima))
	for s, err := range sw.Samples(context.Background()) {
		check(err)
		if s.Status != batch.Converged {
			continue
		}
		for k, m := range minima {
			if math.Hypot(s.X[0]-m[0], s.X[1]-m[1]) <= sw.Limits.DTol {
				reached[k]++
			}
		}
	}
	for k, m := range minima {
		fmt.Printf("(%.3f, %.3f) from %d starts\n", m[0], m[1], reached[k])
	}
	// Output:
	// (3.000, 2.000) from 104 starts
	// (-2.805, 3.131) from 104 starts
	// (-3.779, -3.283) from 96 starts
	// (3.584, -1.848) from 96 starts
}

// Trace gives every iterate, here the published ones of the book's example.
func ExampleSweep_Trace() {
	p, err := problem.Load("square")
	check(err)
	sw, err := batch.New(p, cpu.Portable{}, "gd:lr=0.01", "newton:lr=0.3333333333333333", "pg:lr=0.3")
	check(err)
	sw.Starts = batch.Points{{3, 3}}
	sw.Limits = batch.Limits{Iterations: 3} // no test for convergence
	paths, err := sw.Trace(context.Background())
	check(err)
	for _, path := range paths {
		fmt.Println(path.Method)
		for k, x := range path.X {
			fmt.Printf("  %d: x = (%.4f, %.4f), L = %.4f\n", k, x[0], x[1], path.Loss[k])
		}
	}
	// Output:
	// gd:lr=0.01
	//   0: x = (3.0000, 3.0000), L = 90.0000
	//   1: x = (2.9400, 1.9200), L = 22.2331
	//   2: x = (2.8812, 1.6369), L = 15.4804
	//   3: x = (2.8236, 1.4615), L = 12.5344
	// newton:lr=0.3333333333333333
	//   0: x = (3.0000, 3.0000), L = 90.0000
	//   1: x = (2.0000, 2.6667), L = 54.5679
	//   2: x = (1.3333, 2.3704), L = 33.3471
	//   3: x = (0.8889, 2.1070), L = 20.4987
	// pg:lr=0.3
	//   0: x = (3.0000, 3.0000), L = 90.0000
	//   1: x = (2.1000, 2.5100), L = 44.1000
	//   2: x = (1.4700, 2.1000), L = 21.6090
	//   3: x = (1.0290, 1.7570), L = 10.5884
}

// When the context ends, Run returns the cells that are complete, with the context's error.
func ExampleSweep_Run_cancel() {
	p, err := problem.Load("square")
	check(err)
	sw, err := batch.New(p, cpu.Portable{Threads: 1}, "gd")
	check(err)
	sw.Starts, err = batch.Draw(p, "uniform", 1, 10_000_000) // seconds, and more
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	report, err := sw.Run(ctx)
	fmt.Println(len(report.Cells), "cells:", err)
	// Output:
	// 0 cells: context deadline exceeded
}

// A method of one's own: steps of a fixed length against the sign of the gradient.
func ExampleMethod() {
	signDescent := &batch.Method{
		Name:     "sign",
		Doc:      "dx_i = -lr sign(dL/dx_i)",
		Settings: []batch.Setting{{Name: "lr", Default: 0.1, Min: 0, Max: math.MaxFloat64, Doc: "length of a step"}},
		Step: func(s *batch.Step) {
			dx := make([]batch.Value, s.N)
			for i, g := range s.Grad {
				lr, zero := s.Setting("lr"), s.F(0)
				dx[i] = s.Select(s.Gt(g, zero), s.Neg(lr), s.Select(s.Lt(g, zero), lr, zero))
			}
			s.Move(dx)
		},
	}
	p, err := problem.Load("scale")
	check(err)
	sw, err := batch.New(p, cpu.Portable{Threads: 1})
	check(err)
	sw.Methods = []batch.Spec{{Method: signDescent, Set: map[string]float64{"lr": 0.5}}}
	sw.Starts = batch.Points{{2, -1.5}}
	sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{0.01, 1, 100}}}
	report, err := sw.Run(context.Background())
	check(err)
	for _, c := range report.Cells {
		fmt.Printf("alpha %4v: %d of %d converged, in %v iterations\n", c.Params[0], c.Status[batch.Converged], c.Samples, c.IterationsMedian)
	}
	// Output:
	// alpha 0.01: 1 of 1 converged, in 4 iterations
	// alpha    1: 1 of 1 converged, in 4 iterations
	// alpha  100: 1 of 1 converged, in 4 iterations
}

// The quantities of the problem can come from Gorgonia's tape machine: slow, an independent check.
func ExampleSweep_gorgonia() {
	p, err := problem.Load("rosenbrock")
	check(err)
	sw, err := batch.New(p, cpu.Portable{}, "newton")
	check(err)
	sw.Starts = batch.Points{{-1.2, 1}}
	sw.Limits.Iterations = 10
	fast, err := sw.Trace(context.Background())
	check(err)
	sw.Engine, sw.Split = graph.NewTapeEngine(sw.Model, 1024), true
	slow, err := sw.Trace(context.Background())
	check(err)
	worst := 0.0
	for k := range fast[0].X {
		for i := range p.N() {
			worst = math.Max(worst, math.Abs(fast[0].X[k][i]-slow[0].X[k][i]))
		}
	}
	fmt.Println(fast[0].Status, "and", slow[0].Status, "- the paths agree to 1e-9:", worst <= 1e-9)
	// Output:
	// converged and converged - the paths agree to 1e-9: true
}

func ExampleParseMethods() {
	specs, err := batch.ParseMethods("adam:lr=0.05,beta1=0.8")
	fmt.Println(specs, err)
	specs, err = batch.ParseMethods("newton,lm")
	fmt.Println(specs, err)
	_, err = batch.ParseMethods("newtn")
	fmt.Println(err)
	// Output:
	// [adam:beta1=0.8,lr=0.05] <nil>
	// [newton lm] <nil>
	// batch: unknown method "newtn" (did you mean "newton"?); the methods are gd, momentum, nesterov, adagrad, rmsprop, adam, newton, newton-ls, bfgs, lbfgs, gn, lm, ig, pg, pg-numeric, hig
}

func ExampleParseRange() {
	for _, s := range []string{"0.1:10:5", "lin:0:1:5", "1,2,5", "-1:1"} {
		values, err := batch.ParseRange(s)
		fmt.Println(values, err)
	}
	// Output:
	// [0.1 0.31622776601683794 1 3.1622776601683795 10] <nil>
	// [0 0.25 0.5 0.75 1] <nil>
	// [1 2 5] <nil>
	// [] batch: range "-1:1": a logarithmic range needs lo > 0, got -1; use lin:-1:1:count; allowed is lo:hi (logarithmic, 10 points a decade), lo:hi:count, lin:lo:hi:count, a,b,c, or one number
}
