package batch

import (
	"context"
	"fmt"
	"sync"

	"invar/program"
)

// Path is the record of one sample: row k is iterate k, row 0 the start.
type Path struct {
	Method Spec
	Params []float64   // in the problem's order
	Start  int         // index of the start
	X, Y   [][]float64 // [iterate][coordinate]
	Loss   []float64   // [iterate]
	Status Status
}

// MaxTraced bounds the numbers that Trace keeps in memory.
const MaxTraced = 50_000_000

// CheckTrace is Check for Trace, whose result may not exceed MaxTraced.
func (sw *Sweep) CheckTrace() error {
	if err := sw.Check(); err != nil {
		return err
	}
	p := sw.Model.Problem()
	samples := float64(len(sw.Methods)) * float64(sw.Grid.Len()) * float64(sw.Starts.Len())
	if total := samples * float64(sw.Limits.Iterations+1) * float64(p.N()+p.M()+1); total > MaxTraced {
		return fmt.Errorf("batch: a trace of %.3g numbers; at most %d are allowed: trace fewer starts, grid points or iterations", total, MaxTraced)
	}
	return nil
}

// Trace records the iterates of every sample: method by method, grid point by
// grid point, start by start.
func (sw *Sweep) Trace(ctx context.Context) ([]Path, error) {
	if err := sw.CheckTrace(); err != nil {
		return nil, err
	}
	var paths []Path
	points := make([]int, sw.Grid.Len())
	for i := range points {
		points[i] = i
	}
	err := sw.tracePart(ctx, points, sw.Starts.Len(), sw.Limits.Iterations+1, true, func(_ int, p *Path) error {
		paths = append(paths, *p)
		return nil
	})
	return paths, err
}

// TracePart gives yield the paths of a part of the sweep, and the index of each one's method: those of the first starts at the
// given grid points, their first rows iterates only. The order is that of Trace, whatever the number of threads; yield is called by
// one goroutine at a time and must not keep the path. Memory is for one grid point a thread.
func (sw *Sweep) TracePart(ctx context.Context, points []int, starts, rows int, yield func(method int, p *Path) error) error {
	return sw.tracePart(ctx, points, starts, rows, false, yield)
}

func (sw *Sweep) tracePart(ctx context.Context, points []int, starts, rows int, keep bool, yield func(method int, p *Path) error) error {
	if err := sw.ready(); err != nil {
		return err
	}
	if err := sw.keep()(); err != nil {
		return err
	}
	starts, rows = min(starts, sw.Starts.Len()), min(rows, sw.Limits.Iterations+1)
	for index, spec := range sw.Methods {
		t, err := sw.newTracer(spec, starts, rows)
		if err != nil {
			return err
		}
		inOrder := newSequence()
		err = each(ctx, sw.threads(), len(points), func(ctx context.Context, i int) error {
			paths, err := t.trace(ctx, points[i])
			if err != nil {
				return err
			}
			if !keep {
				defer t.idle.Put(paths)
			}
			if err := inOrder.wait(ctx, i); err != nil {
				return err
			}
			for k := range paths.of {
				if err := yield(index, &paths.of[k]); err != nil {
					return err
				}
			}
			inOrder.pass()
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tracer records paths of one method.
type tracer struct {
	sw           *Sweep
	spec         Spec
	prog         *program.Program
	exe          program.Executable
	slots        []int // x, y, loss
	starts, rows int
	idle         sync.Pool // of *paths that are not kept
}

// paths are those of the first starts at a grid point.
type paths struct {
	batch *program.Batch
	of    []Path // [start]
}

func (sw *Sweep) newTracer(spec Spec, starts, rows int) (*tracer, error) {
	p := sw.Model.Problem()
	t := &tracer{sw: sw, starts: starts, rows: rows}
	var err error
	if t.spec, err = spec.Resolve(p); err != nil {
		return nil, err
	}
	if t.prog, err = Compile(sw.Model, t.spec, Options{Limits: sw.Limits, DType: sw.DType, Outputs: true, Split: sw.Split}); err != nil {
		return nil, err
	}
	if t.exe, err = sw.Engine.Compile(t.prog); err != nil {
		return nil, err
	}
	t.slots = append(slotsOf(t.prog, "x", p.N()), slotsOf(t.prog, "y", p.M())...)
	t.slots = append(t.slots, t.prog.Slot("loss"))
	return t, nil
}

// trace gives the paths at a grid point.
func (t *tracer) trace(ctx context.Context, point int) (*paths, error) {
	r, ok := t.idle.Get().(*paths)
	if !ok {
		r = &paths{batch: t.prog.NewBatch(t.starts), of: make([]Path, t.starts)}
		r.batch.Trace = program.NewTrace(t.starts, t.rows, t.slots)
	}
	b := r.batch
	if err := t.sw.fill(int64(point)*int64(t.sw.Starts.Len()), b); err != nil {
		return nil, err
	}
	if err := t.exe.Run(ctx, b); err != nil {
		return nil, err
	}
	p := t.sw.Model.Problem()
	n, m := p.N(), p.M()
	status := Column(t.prog, "status")
	params := t.sw.Params(point)
	for s := range r.of {
		path := &r.of[s]
		*path = Path{Method: t.spec, Params: params, Start: s, Status: Status(b.Out[status][s]), X: path.X[:0], Y: path.Y[:0], Loss: path.Loss[:0]}
		for k := range b.Trace.Len[s] {
			row := b.Trace.Data[s][k*len(t.slots) : (k+1)*len(t.slots)]
			path.X, path.Y, path.Loss = append(path.X, row[:n]), append(path.Y, row[n:n+m]), append(path.Loss, row[n+m])
		}
	}
	return r, nil
}

// slotsOf are the slots name0..name(k-1).
func slotsOf(p *program.Program, name string, k int) []int {
	var s []int
	for i := 0; i < k; i++ {
		s = append(s, p.Slot(fmt.Sprintf("%s%d", name, i)))
	}
	return s
}
