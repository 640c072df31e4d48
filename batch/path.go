package batch

import (
	"context"
	"fmt"
	"math"

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
	err := sw.TracePart(ctx, points, sw.Starts.Len(), sw.Limits.Iterations+1, func(_ int, p *Path) error {
		paths = append(paths, *p)
		return nil
	})
	return paths, err
}

// TracePart gives yield the paths of a part of the sweep, and the index of each one's method: those of the first starts at the
// given grid points, their first rows iterates only. The order is that of Trace.
// Yield may keep the path. Memory is for one grid point at a time.
func (sw *Sweep) TracePart(ctx context.Context, points []int, starts, rows int, yield func(method int, p *Path) error) error {
	if err := sw.ready(); err != nil {
		return err
	}
	if err := sw.draw(); err != nil {
		return err
	}
	p := sw.Model.Problem()
	n, m := p.N(), p.M()
	starts, rows = min(starts, sw.Starts.Len()), min(rows, sw.Limits.Iterations+1)
	for index, spec := range sw.Methods {
		spec, err := spec.Resolve(p)
		if err != nil {
			return err
		}
		prog, err := Compile(sw.Model, spec, Options{Limits: sw.Limits, Outputs: true, Split: sw.Split})
		if err != nil {
			return err
		}
		exe, err := sw.Engine.Compile(prog)
		if err != nil {
			return err
		}
		slots := append(slotsOf(prog, "x", n), slotsOf(prog, "y", m)...)
		slots = append(slots, prog.Slot("loss"))
		status := Column(prog, "status")
		for _, point := range points {
			b := prog.NewBatch(starts)
			if err := sw.fill(int64(point)*int64(sw.Starts.Len()), b); err != nil {
				return err
			}
			b.Trace = program.NewTrace(starts, rows, slots)
			if err := exe.Run(ctx, b); err != nil {
				return err
			}
			for s := 0; s < starts; s++ {
				path := &Path{Method: spec, Params: sw.params(point), Start: s, Status: Status(b.Out[status][s])}
				for k := 0; k < b.Trace.Len[s]; k++ {
					row := b.Trace.Data[s][k*len(slots) : (k+1)*len(slots)]
					path.X = append(path.X, row[:n])
					path.Y = append(path.Y, row[n:n+m])
					path.Loss = append(path.Loss, row[n+m])
				}
				if err := yield(index, path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// slotsOf are the slots name0..name(k-1).
func slotsOf(p *program.Program, name string, k int) []int {
	var s []int
	for i := 0; i < k; i++ {
		s = append(s, p.Slot(fmt.Sprintf("%s%d", name, i)))
	}
	return s
}

// pathStarts and pathIterations bound what path_deviation looks at.
const (
	pathStarts     = 64
	pathIterations = 30
)

// pathDeviation fills in the scale-invariance score of each cell: over the first
// 64 starts and the first 30 iterations, the largest distance between the path at this grid
// point and the path of the same start at the reference point, relative to the distance from
// the start to the nearest minimum (where none is known: to the end of the
// reference path). Convergence tests are off; a path that ends early stays where it is. Zero
// is invariant; +Inf is a path that diverged where the reference did not (or the
// other way round).
func (sw *Sweep) pathDeviation(ctx context.Context, spec Spec, cells []Cell) error {
	limits := Limits{Iterations: min(pathIterations, sw.Limits.Iterations)}
	prog, err := Compile(sw.Model, spec, Options{Limits: limits, Split: sw.Split})
	if err != nil {
		return err
	}
	exe, err := sw.Engine.Compile(prog)
	if err != nil {
		return err
	}
	n := sw.Model.Problem().N()
	slots := slotsOf(prog, "x", n)
	if d := prog.Slot("distance"); d >= 0 {
		slots = append(slots, d)
	}
	starts := min(pathStarts, sw.Starts.Len())
	// run traces the first starts of one grid point.
	run := func(ctx context.Context, point int) (*program.Trace, error) {
		b := prog.NewBatch(starts)
		if err := sw.fill(int64(point)*int64(sw.Starts.Len()), b); err != nil {
			return nil, err
		}
		b.Trace = program.NewTrace(starts, limits.Iterations+1, slots)
		return b.Trace, exe.Run(ctx, b)
	}
	ref, err := run(ctx, sw.Grid.Reference(sw.defaults()))
	if err != nil {
		return err
	}
	width := len(slots)
	row := func(t *program.Trace, sample, k int) []float64 {
		k = min(k, t.Len[sample]-1)
		return t.Data[sample][k*width : (k+1)*width]
	}
	scale := make([]float64, starts)
	for s := range scale {
		first := row(ref, s, 0)
		if width > n {
			scale[s] = first[n]
		} else {
			scale[s] = distance(first[:n], row(ref, s, limits.Iterations)[:n])
		}
	}
	return sw.each(ctx, len(cells), func(ctx context.Context, point int) error {
		t, err := run(ctx, point)
		if err != nil {
			return err
		}
		worst := 0.0
		for s := 0; s < starts; s++ {
			for k := 0; k <= limits.Iterations; k++ {
				d := distance(row(t, s, k)[:n], row(ref, s, k)[:n])
				if d == 0 {
					continue
				}
				if d /= scale[s]; !(d <= worst) {
					worst = orInf(d)
				}
			}
		}
		cells[point].PathDeviation = worst
		return nil
	})
}

// distance is |a - b|; two points that are both not finite are as one. The squares are taken of differences scaled by a
// power of two, so that none overflows, and each operation is rounded, so that the result has the same bits on every
// machine, which math.Hypot's has not.
func distance(a, b []float64) float64 {
	var largest float64
	badA, badB := false, false
	for i := range a {
		badA = badA || math.IsNaN(a[i]) || math.IsInf(a[i], 0)
		badB = badB || math.IsNaN(b[i]) || math.IsInf(b[i], 0)
		largest = max(largest, math.Abs(a[i]-b[i]))
	}
	switch {
	case badA && badB:
		return 0
	case badA || badB:
		return math.Inf(1)
	}
	_, exponent := math.Frexp(largest)
	var sum float64
	for i := range a {
		d := math.Ldexp(a[i]-b[i], -exponent)
		sum += float64(d * d)
	}
	return math.Ldexp(math.Sqrt(sum), exponent)
}
