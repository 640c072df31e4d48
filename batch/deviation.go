package batch

import (
	"context"
	"math"
	"slices"

	"invar/program"
)

// pathStarts and pathIterations bound what Cell.PathDeviation looks at.
const (
	pathStarts     = 64
	pathIterations = 30
)

// deviations computes the scores of scale invariance (Cell.PathDeviation) of one method.
type deviations struct {
	sw     *Sweep
	prog   *program.Program
	exe    program.Executable
	x      []int // slots
	starts int
	rows   int       // of a path
	piece  int       // grid points that are traced at a time
	dealt  int       // grid points
	of     []float64 // [grid point] the score; NaN as long as it is not known
	memory *memory

	reference [][]float64 // [start][row*coordinates+coordinate]
	scale     []float64   // [start] what distances are relative to
}

// newDeviations prepares the scores of a method and runs its reference paths.
func (c *course) newDeviations(ctx context.Context, spec Spec) (*deviations, error) {
	sw := c.sw
	n, limits := sw.Model.Problem().N(), Limits{Iterations: min(pathIterations, sw.Limits.Iterations)}
	prog, err := Compile(sw.Model, spec, Options{Limits: limits, DType: sw.DType, Split: sw.Split})
	if err != nil {
		return nil, err
	}
	d := &deviations{sw: sw, prog: prog, x: slotsOf(prog, "x", n), starts: min(pathStarts, sw.Starts.Len()),
		rows: limits.Iterations + 1, of: make([]float64, sw.Grid.Len()), memory: &c.memory}
	for i := range d.of {
		d.of[i] = math.NaN()
	}
	// What nothing looks at need not be computed.
	prog.Results = append(slices.Clone(d.x), prog.Iteration, prog.Status)
	if s := prog.Slot("distance"); s >= 0 {
		prog.Results = append(prog.Results, s)
	}
	if d.exe, err = sw.Engine.Compile(prog); err != nil {
		return nil, err
	}
	// As many grid points at a time as the engine wants samples, within the memory of a span.
	numbers := len(prog.In) + len(prog.Results) + d.rows*n
	d.piece = min(len(d.of), max(1, min(program.BatchSize(sw.Engine), spanBytes/(8*numbers))/d.starts))
	return d, d.follow(ctx, c.reference())
}

// next deals out a piece: grid points from..to-1, none when all are dealt.
func (d *deviations) next() (from, to int) {
	from = d.dealt
	d.dealt = min(from+d.piece, len(d.of))
	return from, d.dealt
}

// run computes the scores of grid points from..to-1.
func (d *deviations) run(ctx context.Context, from, to int) error {
	b, ok := d.memory.rooms.take()
	if !ok {
		b = d.room(d.piece, d.x)
	}
	defer d.memory.rooms.put(b)
	b.Trace.Slots = d.x // of this method, whose room is as large as any other's
	if err := d.trace(ctx, b, from, to); err != nil {
		return err
	}
	n := len(d.x)
	for point := from; point < to; point++ {
		worst := 0.0
		for s, scale := range d.scale {
			sample := d.starts*(point-from) + s
			far := farthest(b.Trace.Data[sample][:b.Trace.Len[sample]*n], d.reference[s], n)
			if far == 0 {
				continue
			}
			if far /= scale; !(far <= worst) {
				worst = orInf(far)
			}
		}
		d.of[point] = worst
	}
	return nil
}

// follow makes the reference paths, those of the given grid point.
func (d *deviations) follow(ctx context.Context, point int) error {
	n, slots := len(d.x), d.x
	if s := d.prog.Slot("distance"); s >= 0 {
		slots = append(slices.Clip(d.x), s)
	}
	b := d.room(1, slots)
	if err := d.trace(ctx, b, point, point+1); err != nil {
		return err
	}
	for s := range d.starts {
		path := make([]float64, 0, b.Trace.Len[s]*n)
		for row := range slices.Chunk(b.Trace.Data[s][:b.Trace.Len[s]*len(slots)], len(slots)) {
			path = append(path, row[:n]...)
		}
		scale := distance(path[:n], path[len(path)-n:])
		if len(slots) > n {
			scale = b.Trace.Data[s][n]
		}
		d.reference, d.scale = append(d.reference, path), append(d.scale, scale)
	}
	return nil
}

// room is room for the paths of so many grid points.
func (d *deviations) room(points int, slots []int) *program.Batch {
	b := d.prog.NewBatch(d.starts * points)
	b.Trace = program.NewTrace(b.N, d.rows, slots)
	return b
}

// trace records the paths of grid points from..to-1.
func (d *deviations) trace(ctx context.Context, b *program.Batch, from, to int) error {
	for point := from; point < to; point++ {
		one := &program.Batch{N: d.starts, In: cut(b.In, d.starts*(point-from), d.starts)}
		if err := d.sw.fill(int64(point)*int64(d.sw.Starts.Len()), one); err != nil {
			return err
		}
	}
	b.N = d.starts * (to - from)
	return d.exe.Run(ctx, b)
}

// farthest is the largest distance between points of n coordinates on two paths after the same number of iterations. A path that
// has ended stays where it is.
func farthest(a, b []float64, n int) float64 {
	far, square := 0.0, -1.0 // square: of the largest among those that need no scaling
	for i, j, rows := 0, 0, max(len(a), len(b))/n; rows > 0; rows-- {
		p, q := a[i:i+n], b[j:j+n]
		if d := squaredDistance(p, q); d > square && scaleFree(d) {
			square = d
		} else if !(d <= square) {
			far = max(far, distance(p, q))
		}
		if i+n < len(a) {
			i += n
		}
		if j+n < len(b) {
			j += n
		}
	}
	return max(far, math.Sqrt(max(square, 0)))
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
