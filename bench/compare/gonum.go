package main

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"invar/internal/version"
)

// loop is gonum/optimize called once a sample, with derivatives written by hand.
type loop struct {
	threads int
	w       *work
	n       int
	x       [][]float64 // x0, x1, loss
}

func (l *loop) load(w *work, n int) error {
	l.w, l.n = w, n
	for range 3 {
		l.x = append(l.x, make([]float64, n))
	}
	_, err := l.run()
	return err
}

func (l *loop) run() (float64, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, l.threads)
	begin := time.Now()
	for t := range l.threads {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < l.n; i = int(next.Add(1)) - 1 {
				if err := l.sample(i); err != nil {
					errs[t] = fmt.Errorf("sample %d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := time.Since(begin).Seconds()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return s, nil
}

func (l *loop) sample(i int) error {
	a := l.w.alpha
	problem := optimize.Problem{
		Func: func(x []float64) float64 { return x[0]*x[0] + a*a*x[1]*x[1]*x[1]*x[1] },
		Grad: func(g, x []float64) { g[0], g[1] = 2*x[0], 4*a*a*x[1]*x[1]*x[1] },
		// Newton's method takes full steps here: a Hessian that is larger by 1/lr makes them lr of these.
		Hess: func(h *mat.SymDense, x []float64) {
			h.SetSym(0, 0, 2/l.w.lr)
			h.SetSym(0, 1, 0)
			h.SetSym(1, 1, 12*a*a*x[1]*x[1]/l.w.lr)
		},
	}
	// gonum counts the start as an iteration.
	settings := &optimize.Settings{MajorIterations: 1 + l.w.limits.Iterations, Converger: optimize.NeverTerminate{}}
	var method optimize.Method
	switch l.w.name {
	case "gd":
		method = &optimize.GradientDescent{Linesearcher: &fullStep{}, StepSizer: optimize.ConstantStepSize{Size: l.w.lr}, GradStopThreshold: math.NaN()}
	case "newton":
		method = &optimize.Newton{Linesearcher: &fullStep{}, GradStopThreshold: math.NaN()}
	default: // bfgs on rosenbrock
		problem = optimize.Problem{
			Func: func(x []float64) float64 {
				u, v := 1-x[0], x[1]-x[0]*x[0]
				return u*u + a*v*v
			},
			Grad: func(g, x []float64) {
				u, v := 1-x[0], x[1]-x[0]*x[0]
				g[0], g[1] = -2*u-4*a*v*x[0], 2*a*v
			},
		}
		settings.GradientThreshold = 1e-6
		method = &optimize.BFGS{}
	}
	r, err := optimize.Minimize(problem, []float64{l.w.x[0][i], l.w.x[1][i]}, settings, method)
	// A line search that rounding ends at the minimum is no failure of the loop; its answer is checked.
	if r == nil {
		return err
	}
	l.x[0][i], l.x[1][i], l.x[2][i] = r.X[0], r.X[1], r.F
	return nil
}

func (l *loop) results() ([][]float64, error) { return l.x, nil }

func (l *loop) version() string { return "gonum " + version.Module("gonum.org/v1/gonum") }

func (l *loop) close() {}

// fullStep is a line search that takes the first step, so that the iteration is the plain one.
type fullStep struct{}

func (fullStep) Init(f, g, step float64) optimize.Operation {
	return optimize.FuncEvaluation | optimize.GradEvaluation
}

func (fullStep) Iterate(f, g float64) (optimize.Operation, float64, error) {
	return optimize.MajorIteration, 0, nil
}
