package main

import (
	"fmt"
	"os"
	"path/filepath"

	"invar/batch"
	"invar/graph"
	"invar/problem"
	"invar/sampling"
)

// item is a piece of work that all competitors do.
type item struct {
	name    string
	doc     string
	problem string // built-in, or a file of bench/problems
	method  string // as batch.ParseMethods reads it
	lr      float64
	limits  batch.Limits
	// samples is how many the fast competitors run in a full benchmark, others those given in the
	// table of slower ones.
	samples int
	slower  map[string]int

	// How answers are compared. Fixed iterations: every coordinate and loss within tolerance of ours,
	// relative to itself or to floor (loss: floor^2), the size below which rounding in
	// the problem itself is all there is. To convergence: nearly all samples within tolerance of the minimum.
	tolerance, floor float64
	strays           map[string]float64 // by competitor, fraction of its samples that may be elsewhere
}

// fixed reports whether every sample makes the same number of iterations.
func (it *item) fixed() bool { return it.limits.GTol == 0 }

// Limits of the items. The first has no test for convergence at all, so that everybody makes the same number of
// iterations. The second is a relative gradient so small that every converged sample is within 1e-5 of the minimum.
func iterations(n int) batch.Limits { return batch.Limits{Iterations: n} }

var toConvergence = batch.Limits{Iterations: 1000, GTol: 1e-10}

const million = 1_000_000

var items = []*item{
	{name: "gd", doc: "gradient descent on square, 100 iterations", problem: "square", method: "gd:lr=0.01", lr: 0.01,
		limits: iterations(100), samples: million, slower: map[string]int{"gorgonia": 20_000, "gonum": 2_000}, tolerance: 1e-10},
	// gonum adds a little to a Hessian that is singular but for rounding, and so takes another path from near x1 = 0.
	{name: "newton", doc: "Newton's method on square, 100 iterations", problem: "square", method: "newton:lr=0.333", lr: 0.333,
		limits: iterations(100), samples: million, slower: map[string]int{"gorgonia": 20_000, "gonum": 2_000}, tolerance: 1e-10, strays: map[string]float64{"gonum": 1e-3}},
	{name: "pg", doc: "the inverse simulator on square, 100 iterations", problem: "square", method: "pg:lr=0.333", lr: 0.333,
		limits: iterations(100), samples: million, slower: map[string]int{"gorgonia": 20_000}, tolerance: 1e-10},
	{name: "gn", doc: "Gauss-Newton on expsin (exp and sin), 100 iterations", problem: "expsin.toml", method: "gn:lr=0.1", lr: 0.1,
		limits: iterations(100), samples: million, slower: map[string]int{"gorgonia": 10_000, "jax": 200_000, "jax-scalars": 200_000}, tolerance: 1e-9, floor: 1e-3},
	{name: "gn-rosenbrock", doc: "Gauss-Newton on rosenbrock, 100 iterations", problem: "rosenbrock", method: "gn:lr=0.1", lr: 0.1,
		limits: iterations(100), samples: million, slower: map[string]int{"gorgonia": 10_000, "jax": 500_000}, tolerance: 1e-9, floor: 1e-3},
	{name: "lm", doc: "Levenberg-Marquardt on rosenbrock to convergence", problem: "rosenbrock", method: "lm",
		limits: toConvergence, samples: million, slower: map[string]int{"gorgonia": 10_000, "optimistix": 100_000, "scipy": 1_000}, tolerance: 1e-4},
	{name: "bfgs", doc: "BFGS on rosenbrock to convergence", problem: "rosenbrock", method: "bfgs",
		limits: toConvergence, samples: million, slower: map[string]int{"gorgonia": 5_000, "gonum": 2_000, "optimistix": 100_000, "scipy": 200}, tolerance: 1e-4},
	{name: "pendulum", doc: "gradient descent on pendulum (100 time steps), 10 iterations", problem: "pendulum", method: "gd:lr=0.01", lr: 0.01,
		limits: iterations(10), samples: 100_000, slower: map[string]int{"gorgonia": 500, "jax": 50_000, "jax-scalars": 50_000}, tolerance: 1e-9, floor: 1e-3},
}

// work is an item made ready: its model and its starts.
type work struct {
	*item
	model *graph.Model
	spec  batch.Spec
	alpha float64
	x     [][]float64 // [coordinate][sample]
	dir   string      // for the files of starts and results
}

// prepare loads an item's problem and draws n starts, the same whatever n is.
func prepare(it *item, n int, dir string) (*work, error) {
	name := it.problem
	if filepath.Ext(name) == ".toml" {
		name = filepath.Join("bench", "problems", name)
	}
	p, err := problem.Load(name)
	if err != nil {
		return nil, err
	}
	m, err := graph.New(p)
	if err != nil {
		return nil, err
	}
	specs, err := batch.ParseMethods(it.method)
	if err != nil {
		return nil, err
	}
	w := &work{item: it, model: m, spec: specs[0], alpha: p.Params[0].Default, dir: dir}
	s, err := sampling.New("uniform", 1, n, p.N())
	if err != nil {
		return nil, err
	}
	for range p.N() {
		w.x = append(w.x, make([]float64, n))
	}
	return w, s.Fill(0, n, p.Box, w.x)
}

// count is how many samples a competitor runs, of at most n.
func (it *item) count(name string, n, most int) int {
	k, ok := it.slower[name]
	if name == "portable" {
		k, ok = it.samples/10, true
	}
	if ok {
		// A smaller benchmark is smaller for everybody.
		n = max(min(k, 50), int(float64(k)*float64(n)/float64(it.samples)))
	}
	return min(n, most)
}

// file writes the columns alpha, x0, x1 of the first n samples as float64, one column after the
// other, and returns the file's name.
func (w *work) file(n int) (string, error) {
	name := filepath.Join(w.dir, fmt.Sprintf("%s-%d.f64", w.name, n))
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	alpha := make([]float64, n)
	for i := range alpha {
		alpha[i] = w.alpha
	}
	return name, writeColumns(name, [][]float64{alpha, w.x[0][:n], w.x[1][:n]})
}
