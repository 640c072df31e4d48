package main

import (
	"context"
	"math"
	"time"

	"invar/batch"
	"invar/graph"
	"invar/internal/version"
	"invar/program"
)

// tapeBatch is the number of samples that the tape machine evaluates at once, about the fastest.
const tapeBatch = 1024

// tape is Gorgonia's tape machine. With a fixed number of iterations the derivatives come from it, for a
// batch of samples at once, and the update is a plain Go loop, as a user of Gorgonia would
// write it; the methods that search a line run their step as Invar's engine "gorgonia" does.
type tape struct {
	w     *work
	n     int
	tape  *graph.Tape
	alpha []float64
	x     [][]float64
	loss  []float64

	exe   program.Executable
	prog  *program.Program
	batch *program.Batch
}

// Where graph.Want.Names puts the quantities of a problem with two inputs and two outputs: y, loss,
// gradient, Jacobian, Hessian, gradient by y, Hessian by y; those not wanted are left out.
var tapeWants = map[string]graph.Want{
	"gd":            graph.Loss | graph.Grad,
	"pendulum":      graph.Loss | graph.Grad,
	"newton":        graph.Loss | graph.Grad | graph.Hess,
	"pg":            graph.Loss | graph.Y | graph.GradY | graph.HessY,
	"gn":            graph.Loss | graph.Grad | graph.Jac | graph.HessY,
	"gn-rosenbrock": graph.Loss | graph.Grad | graph.Jac | graph.HessY,
}

func (t *tape) load(w *work, n int) (err error) {
	t.w, t.n = w, n
	if want, ok := tapeWants[w.name]; ok {
		if t.tape, err = w.model.NewTape(tapeBatch, want); err != nil {
			return err
		}
		t.alpha, t.loss = make([]float64, n), make([]float64, n)
		for i := range t.alpha {
			t.alpha[i] = w.alpha
		}
		t.x = [][]float64{make([]float64, n), make([]float64, n)}
	} else {
		if t.prog, err = batch.Compile(w.model, w.spec, batch.Options{Limits: w.limits, Split: true}); err != nil {
			return err
		}
		if t.exe, err = graph.NewTapeEngine(w.model, tapeBatch).Compile(t.prog); err != nil {
			return err
		}
		t.batch = t.prog.NewBatch(n)
		for i := range n {
			t.batch.In[0][i] = w.alpha
		}
		copy(t.batch.In[1], w.x[0][:n])
		copy(t.batch.In[2], w.x[1][:n])
	}
	_, err = t.run()
	return err
}

func (t *tape) run() (float64, error) {
	begin := time.Now()
	var err error
	if t.exe != nil {
		err = t.exe.Run(context.Background(), t.batch)
	} else {
		copy(t.x[0], t.w.x[0][:t.n])
		copy(t.x[1], t.w.x[1][:t.n])
		for from := 0; from < t.n && err == nil; from += tapeBatch {
			err = t.piece(from, min(from+tapeBatch, t.n))
		}
	}
	return time.Since(begin).Seconds(), err
}

// piece does the work of samples from..to-1.
func (t *tape) piece(from, to int) error {
	alpha := [][]float64{t.alpha[from:to]}
	x := [][]float64{t.x[0][from:to], t.x[1][from:to]}
	lr := t.w.lr
	for k := 0; ; k++ {
		q, err := t.tape.Run(alpha, x)
		if err != nil {
			return err
		}
		at := 0
		take := func(n int) [][]float64 { at += n; return q[at-n : at] }
		var y [][]float64
		if t.w.name == "pg" {
			y = take(2)
		}
		loss := take(1)[0]
		if k == t.w.limits.Iterations {
			copy(t.loss[from:to], loss)
			return nil
		}
		switch t.w.name {
		case "gd", "pendulum":
			g := take(2)
			for i := range x[0] {
				x[0][i] -= lr * g[0][i]
				x[1][i] -= lr * g[1][i]
			}
		case "newton":
			g, h := take(2), take(3)
			for i := range x[0] {
				d0, d1 := solve2(h[0][i], h[1][i], h[2][i], g[0][i], g[1][i])
				x[0][i] -= lr * d0
				x[1][i] -= lr * d1
			}
		case "pg":
			g, h := take(2), take(3)
			for i := range x[0] {
				d0, d1 := solve2(h[0][i], h[1][i], h[2][i], g[0][i], g[1][i])
				x[0][i] = y[0][i] - lr*d0
				x[1][i] = math.Copysign(math.Sqrt((y[1][i]-lr*d1)/alpha[0][i]), x[1][i])
			}
		default: // gn
			g, j, h := take(2), take(4), take(3)
			for i := range x[0] {
				// J^T H J, J row by row
				hj00, hj01 := h[0][i]*j[0][i]+h[1][i]*j[2][i], h[0][i]*j[1][i]+h[1][i]*j[3][i]
				hj10, hj11 := h[1][i]*j[0][i]+h[2][i]*j[2][i], h[1][i]*j[1][i]+h[2][i]*j[3][i]
				d0, d1 := solve2(j[0][i]*hj00+j[2][i]*hj10, j[0][i]*hj01+j[2][i]*hj11, j[1][i]*hj01+j[3][i]*hj11, g[0][i], g[1][i])
				x[0][i] -= lr * d0
				x[1][i] -= lr * d1
			}
		}
	}
}

// solve2 solves the symmetric system (a b; b d) x = (u, v).
func solve2(a, b, d, u, v float64) (float64, float64) {
	det := a*d - b*b
	return (d*u - b*v) / det, (a*v - b*u) / det
}

func (t *tape) results() ([][]float64, error) {
	if t.exe == nil {
		return [][]float64{t.x[0], t.x[1], t.loss}, nil
	}
	column := func(name string) []float64 { return t.batch.Out[batch.Column(t.prog, name)] }
	return [][]float64{column("x0"), column("x1"), column("loss")}, nil
}

func (t *tape) version() string { return "gorgonia " + version.Module("gorgonia.org/gorgonia") }

func (t *tape) close() {}
