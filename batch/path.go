package batch

import (
	"context"
	"fmt"
	"math"
	"slices"
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
	err := sw.TracePart(ctx, points, sw.Starts.Len(), sw.Limits.Iterations+1, func(_ int, p *Path) error {
		paths = append(paths, *p)
		return nil
	})
	return paths, err
}

// TracePart gives yield the paths of a part of the sweep, and the index of each one's method: those of the first starts at the
// given grid points, their first rows iterates only. The order is that of Trace, whatever the number of threads; yield is called by
// one goroutine at a time and may keep the path. Memory is for one grid point a thread.
func (sw *Sweep) TracePart(ctx context.Context, points []int, starts, rows int, yield func(method int, p *Path) error) error {
	if err := sw.ready(); err != nil {
		return err
	}
	if err := sw.draw(); err != nil {
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
			if err := inOrder.wait(ctx, i); err != nil {
				return err
			}
			for _, p := range paths {
				if err := yield(index, p); err != nil {
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

// trace gives the paths of the first starts at a grid point.
func (t *tracer) trace(ctx context.Context, point int) ([]*Path, error) {
	b := t.prog.NewBatch(t.starts)
	if err := t.sw.fill(int64(point)*int64(t.sw.Starts.Len()), b); err != nil {
		return nil, err
	}
	b.Trace = program.NewTrace(t.starts, t.rows, t.slots)
	if err := t.exe.Run(ctx, b); err != nil {
		return nil, err
	}
	p := t.sw.Model.Problem()
	n, m := p.N(), p.M()
	status := Column(t.prog, "status")
	paths := make([]*Path, t.starts)
	for s := range paths {
		rows := b.Trace.Len[s]
		path := &Path{Method: t.spec, Params: t.sw.params(point), Start: s, Status: Status(b.Out[status][s]),
			X: make([][]float64, rows), Y: make([][]float64, rows), Loss: make([]float64, rows)}
		for k := range rows {
			row := b.Trace.Data[s][k*len(t.slots) : (k+1)*len(t.slots)]
			path.X[k], path.Y[k], path.Loss[k] = row[:n], row[n:n+m], row[n+m]
		}
		paths[s] = path
	}
	return paths, nil
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

// pathLimits are the limits of the paths that pathDeviation compares.
func (sw *Sweep) pathLimits() Limits {
	return Limits{Iterations: min(pathIterations, sw.Limits.Iterations)}
}

// compilePaths compiles the program of the paths that pathDeviation compares, with those results only that it looks at.
func (sw *Sweep) compilePaths(spec Spec) (*program.Program, error) {
	prog, err := Compile(sw.Model, spec, Options{Limits: sw.pathLimits(), DType: sw.DType, Split: sw.Split})
	if err != nil {
		return nil, err
	}
	prog.Results = append(slotsOf(prog, "x", sw.Model.Problem().N()), prog.Iteration, prog.Status)
	if d := prog.Slot("distance"); d >= 0 {
		prog.Results = append(prog.Results, d)
	}
	return prog, nil
}

// pathDeviation fills in the scale-invariance score of each cell: over the first
// 64 starts and the first 30 iterations, the largest distance between the path at this grid
// point and the path of the same start at the reference point, relative to the distance from
// the start to the nearest minimum (where none is known: to the end of the
// reference path). Convergence tests are off; a path that ends early stays where it is. Zero
// is invariant; +Inf is a path that diverged where the reference did not (or the
// other way round).
func (sw *Sweep) pathDeviation(ctx context.Context, c compiled, cells []Cell) error {
	prog, exe, limits := c.prog, c.exe, sw.pathLimits()
	n := sw.Model.Problem().N()
	x := slotsOf(prog, "x", n)
	starts := min(pathStarts, sw.Starts.Len())
	room := func(points int, slots []int) *program.Batch {
		b := prog.NewBatch(starts * points)
		b.Trace = program.NewTrace(b.N, limits.Iterations+1, slots)
		return b
	}
	// run traces the first starts of the grid points from..to-1.
	run := func(ctx context.Context, b *program.Batch, from, to int) error {
		for point := from; point < to; point++ {
			at := starts * (point - from)
			one := &program.Batch{N: starts, In: cut(b.In, at, starts)}
			if err := sw.fill(int64(point)*int64(sw.Starts.Len()), one); err != nil {
				return err
			}
		}
		b.N = starts * (to - from)
		return exe.Run(ctx, b)
	}
	reference := sw.Grid.Reference(sw.defaults())
	slots := x
	if d := prog.Slot("distance"); d >= 0 {
		slots = append(slices.Clip(x), d)
	}
	b := room(1, slots)
	if err := run(ctx, b, reference, reference+1); err != nil {
		return err
	}
	ref, scale := make([][]float64, starts), make([]float64, starts)
	for s := range ref {
		for row := range slices.Chunk(b.Trace.Data[s][:b.Trace.Len[s]*len(slots)], len(slots)) {
			ref[s] = append(ref[s], row[:n]...)
		}
		if len(slots) > n {
			scale[s] = b.Trace.Data[s][n]
		} else {
			scale[s] = distance(ref[s][:n], ref[s][len(ref[s])-n:])
		}
	}
	deviation := func(b *program.Batch, first int) float64 {
		worst := 0.0
		for s, scale := range scale {
			d := farthest(b.Trace.Data[first+s][:b.Trace.Len[first+s]*n], ref[s], n)
			if d == 0 {
				continue
			}
			if d /= scale; !(d <= worst) {
				worst = orInf(d)
			}
		}
		return worst
	}
	// As many grid points at a time as the engine wants samples, within the memory of a span.
	numbers := len(prog.In) + len(prog.Results) + (limits.Iterations+1)*n
	most := max(1, min(program.BatchSize(sw.Engine), spanBytes/(8*numbers))/starts)
	most = min(most, len(cells))
	rooms := sync.Pool{New: func() any { return room(most, x) }}
	return each(ctx, sw.threads(), (len(cells)+most-1)/most, func(ctx context.Context, i int) error {
		b := rooms.Get().(*program.Batch)
		defer rooms.Put(b)
		from, to := i*most, min((i+1)*most, len(cells))
		if err := run(ctx, b, from, to); err != nil {
			return err
		}
		for point := from; point < to; point++ {
			cells[point].PathDeviation = deviation(b, starts*(point-from))
		}
		return nil
	})
}

// farthest is the largest distance between points of n coordinates on two paths after the same number of iterations. A path that
// has ended stays where it is.
func farthest(a, b []float64, n int) float64 {
	far, square := 0.0, 0.0 // square: of the largest among those that need no scaling
	for i, j, rows := 0, 0, max(len(a), len(b))/n; rows > 0; rows-- {
		p, q := a[i:i+n], b[j:j+n]
		if d := squaredDistance(p, q); !scaleFree(d) {
			far = max(far, distance(p, q))
		} else if d > square {
			square = d
		}
		if i+n < len(a) {
			i += n
		}
		if j+n < len(b) {
			j += n
		}
	}
	return max(far, math.Sqrt(square))
}

// distance is |a - b|; two points that are both not finite are as one. The squares are taken of differences scaled by a
// power of two, so that none overflows, and each operation is rounded, so that the result has the same bits on every
// machine, which math.Hypot's has not. Scaling changes no bit where nothing overflows or vanishes without it.
func distance(a, b []float64) float64 {
	if d := squaredDistance(a, b); scaleFree(d) {
		return math.Sqrt(d)
	}
	if slices.Equal(a, b) {
		return 0
	}
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

// squaredDistance is the square of |a - b|, each operation rounded.
func squaredDistance(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		d := x - b[i]
		sum += float64(d * d)
	}
	return sum
}

// scaleFree reports whether nothing that counts has overflowed or vanished in a sum of squares.
func scaleFree(square float64) bool { return 0x1p-900 <= square && square <= 0x1p900 }
