// Package batch optimises many samples at once: it joins a problem's derivatives
// with a method into one program (Compile), and deals samples out to an engine over a grid of parameters, many starts and
// several methods (Sweep).
//
// A Sweep goes in; a Report with one Cell per method and grid point comes out.
// What a method does is written in its own file, once, and runs on every engine.
package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"invar/graph"
	"invar/internal/plural"
	"invar/program"
)

// Sweep is a question: how does each method fare at every grid point from every
// start? A sample is one (grid point, start, method).
type Sweep struct {
	Model   *graph.Model
	Grid    Grid // parameters on no axis have their defaults
	Starts  Starts
	Methods []Spec
	Limits  Limits
	DType   program.Type // of the samples' numbers: F64 (also None) or F32, to which parameters and starts are rounded
	Engine  program.Engine
	Split   bool // the engine needs Program.Update
	Threads int  // goroutines that run samples; 0: one a processor, 4 for an engine that is program.Wide

	// Progress, if set, is called now and then, from one goroutine at a time.
	Progress func(Progress)

	// Sink, if set, gets the samples in order (method by method, grid point by grid
	// point, start by start) whatever the number of threads, from one goroutine at a
	// time. It must not keep the chunk.
	Sink func(*Chunk) error
	// Load, if set, may fill in Batch.Out for the first samples of a chunk from an earlier run and say
	// how many; these are not run again, but counted and given to Sink as any other.
	// It is called by several goroutines at once.
	Load func(*Chunk) (int, error)
	// Save, if set, gets samples from..to-1 of a chunk as soon as they are done, in no
	// order, from several goroutines at once. Samples are then run in pieces of about
	// half a second, so that little is lost when the process dies.
	Save func(c *Chunk, from, to int) error
	// Own, if set, says which chunks are run: one part of a divided sweep. The
	// Report then has no cells, for none is known to be complete.
	Own func(method, chunk int) bool

	starts Starts // what Starts gives, kept; see keep
}

// Chunk is a number of consecutive samples of one method.
type Chunk struct {
	Method  int              // index into Sweep.Methods
	Index   int              // of the chunk within the method
	First   int64            // sample within the method: grid point * starts + start
	Program *program.Program // names the columns of Batch
	Batch   *program.Batch   // its In are the parameters and the start's coordinates
	Seconds float64          // processor time, a share of that of the engine's batch; 0 if all was loaded
	Loaded  int              // how many of the first samples Load supplied
}

// ChunkSize is the number of samples in a chunk (the last of a method may be
// smaller). It depends on nothing, so that parts of a sweep fit together.
const ChunkSize = 2048

// Progress says how far a sweep is.
type Progress struct {
	Method                 Spec
	Done, Total, Converged int64 // samples
	Loaded                 int64 // of those done, how many an earlier run had done
}

// Starts are the initial points, the same for every grid point and method.
type Starts interface {
	Len() int
	// Fill writes starts first, first+1, ... into out[i][k], coordinate i of the k-th.
	Fill(first int, out [][]float64) error
}

// Points are starts given one by one.
type Points [][]float64

// Len is the number of points.
func (p Points) Len() int { return len(p) }

// Fill implements Starts.
func (p Points) Fill(first int, out [][]float64) error {
	for i := range out {
		for k := range out[i] {
			out[i][k] = p[first+k][i]
		}
	}
	return nil
}

// Cell is the outcome of one method at one grid point.
type Cell struct {
	Method  Spec
	Params  []float64 // all parameters, in the problem's order
	Samples int
	Status  map[Status]int // how many samples ended so; absent: none

	// Nearest-rank quantiles. Iterations are those of the converged samples, NaN if
	// there are none. Loss and distance are those of all samples, where NaN counts as +Inf; the distance
	// (to the nearest known minimum) is NaN where no minimum is known.
	IterationsMedian, IterationsP90 float64
	LossMedian, DistanceMedian      float64

	Best *Best // nil: all samples diverged

	Fallbacks   int64   // steps that were not the method's own
	Evaluations int64   // of the problem
	Seconds     float64 // processor time of the samples

	// The scale-invariance score: over the first 64 starts and the first 30 iterations, the largest distance between the path at
	// this grid point and the path of the same start at the reference point, relative to the distance from
	// the start to the nearest minimum (where none is known: to the end of the reference path). Convergence tests are off; a path
	// that ends early stays where it is. Zero is invariant; +Inf is a path that diverged where the reference did not (or the
	// other way round); NaN: the sweep ended before it came to this cell's paths.
	PathDeviation float64
}

// Report is the answer of a Sweep.
type Report struct {
	Params    []string // names, in the order of Cell.Params
	Reference int      // grid point that path deviations refer to
	Points    int      // grid points
	Cells     []Cell   // method by method, grid points in order
}

// Bounds of a sweep: in time, and in memory, of which each cell takes some hundred
// bytes and each start some tens.
const (
	MaxSamples = int64(1) << 40
	MaxCells   = 20_000_000 // grid points times methods
	MaxStarts  = 1_000_000_000
)

// Check reports what is wrong with a sweep before anything runs. An engine may still be missing.
func (sw *Sweep) Check() error {
	p := sw.Model.Problem()
	if len(sw.Methods) == 0 {
		return fmt.Errorf("batch: no methods; at least one is needed")
	}
	seen := map[string]bool{}
	for _, a := range sw.Grid {
		known := false
		var names []string
		for _, q := range p.Params {
			names = append(names, q.Name)
			known = known || q.Name == a.Name
		}
		if !known {
			return fmt.Errorf("batch: problem %s has no parameter %q; its parameters are %v", p.Name, a.Name, names)
		}
		if seen[a.Name] {
			return fmt.Errorf("batch: parameter %q is on two axes; one is allowed", a.Name)
		}
		seen[a.Name] = true
		if len(a.Values) == 0 {
			return fmt.Errorf("batch: parameter %q has no values", a.Name)
		}
		values := slices.Sorted(slices.Values(a.Values))
		for i, v := range values[1:] {
			if v == values[i] { // results tell grid points apart by their values
				return fmt.Errorf("batch: parameter %q has the value %v twice; each value once is allowed", a.Name, v)
			}
		}
	}
	if sw.Starts == nil || sw.Starts.Len() < 1 {
		return fmt.Errorf("batch: no starts; at least one is needed")
	}
	if points, ok := sw.Starts.(Points); ok {
		for i, x := range points {
			if len(x) != p.N() {
				return fmt.Errorf("batch: start %d has %s; problem %s has %s", i, plural.Of(len(x), "number"), p.Name, plural.Of(p.N(), "input"))
			}
		}
	}
	size := 1.0 // a float64, for a product of many axes overflows an integer
	for _, a := range sw.Grid {
		size *= float64(len(a.Values))
	}
	points := fmt.Sprintf("%.10g grid points", size)
	if size == 1 {
		points = "1 grid point"
	}
	if n, cells := sw.Starts.Len(), len(sw.Methods); size*float64(n)*float64(cells) > float64(MaxSamples) {
		return fmt.Errorf("batch: %s x %s x %s are %.3g samples; at most %d are allowed", points, plural.Of(n, "start"), plural.Of(cells, "method"), size*float64(n)*float64(cells), MaxSamples)
	} else if size*float64(cells) > MaxCells {
		return fmt.Errorf("batch: %s x %s are %.3g rows; at most %d are allowed", points, plural.Of(cells, "method"), size*float64(cells), MaxCells)
	} else if n > MaxStarts {
		return fmt.Errorf("batch: %d starts; at most %d are allowed", n, MaxStarts)
	}
	own := make([]*Method, len(sw.Methods))
	twice := map[string]bool{}
	for i, m := range sw.Methods {
		own[i] = m.Method
		if err := m.Method.Supports(p); err != nil {
			return err
		}
		r, err := m.Resolve(p)
		if err != nil {
			return err
		}
		if twice[r.String()] { // results tell methods apart by this
			return fmt.Errorf("batch: method %s is given twice; each method with its settings once is allowed", r)
		}
		twice[r.String()] = true
	}
	if err := CheckSettings(p, own...); err != nil {
		return err
	}
	return sw.checkDType()
}

// checkDType refuses what float32 has no numbers for, or one number for two.
func (sw *Sweep) checkDType() error {
	if sw.DType != program.F32 {
		return nil
	}
	if sw.Split {
		return errSplitFloat32
	}
	grid := append(Grid(nil), sw.Grid...)
	for _, q := range sw.Model.Problem().Params {
		grid = append(grid, Axis{Name: q.Name, Values: []float64{q.Default}})
	}
	for _, a := range grid {
		for _, x := range a.Values {
			if err := fitsFloat32("parameter "+a.Name, x); err != nil {
				return err
			}
		}
	}
	for _, a := range sw.Grid {
		values := slices.Sorted(slices.Values(a.Values))
		for i, v := range values[1:] {
			if float32(v) == float32(values[i]) {
				return fmt.Errorf("batch: parameter %q has the values %v and %v, which are one in float32; each value once is allowed", a.Name, values[i], v)
			}
		}
	}
	for _, m := range sw.Methods {
		for _, name := range slices.Sorted(maps.Keys(m.Set)) {
			if err := fitsFloat32("method "+m.Method.Name+": "+name, m.Set[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func fitsFloat32(what string, x float64) error {
	if y := float32(x); math.IsInf(float64(y), 0) || y == 0 && x != 0 {
		return fmt.Errorf("batch: %s = %v is %v in float32; magnitudes from %g to %g are allowed", what, x, y, math.SmallestNonzeroFloat32, math.MaxFloat32)
	}
	return nil
}

// ready is Check for a sweep that is to be run now.
func (sw *Sweep) ready() error {
	if sw.Engine == nil {
		return errNoEngine
	}
	return sw.Check()
}

var errNoEngine = errors.New("batch: no engine; cpu.Auto gives one")

// Run answers. When ctx ends first it returns the cells that were complete, with
// the context's error.
func (sw *Sweep) Run(ctx context.Context) (*Report, error) {
	if err := sw.ready(); err != nil {
		return nil, err
	}
	draw := sw.keep()
	p := sw.Model.Problem()
	rep := &Report{Points: sw.Grid.Len()}
	for _, q := range p.Params {
		rep.Params = append(rep.Params, q.Name)
	}
	c := newCourse(sw)
	first := c.plans[0]
	c.ahead.Go(func() { first() }) // while starts are drawn
	if err := draw(); err != nil {
		c.ahead.Wait()
		return nil, err
	}
	err := crew(ctx, sw.threads(), c.work)
	c.ahead.Wait()
	rep.Reference = c.reference()
	if err == nil {
		err = c.failed
	}
	if sw.Own == nil {
		for _, o := range c.outcomes {
			rep.Cells = append(rep.Cells, o.cells(err)...)
		}
	}
	return rep, err
}

func (sw *Sweep) defaults() map[string]float64 {
	d := map[string]float64{}
	for _, q := range sw.Model.Problem().Params {
		d[q.Name] = q.Default
	}
	return d
}

// Params are all parameters at a grid point, in the problem's order, as given: [DType] does not round them.
func (sw *Sweep) Params(point int) []float64 {
	at := sw.Grid.At(point)
	var v []float64
	for _, q := range sw.Model.Problem().Params {
		x := q.Default
		for k, a := range sw.Grid {
			if a.Name == q.Name {
				x = at[k]
			}
		}
		v = append(v, x)
	}
	return v
}

func (sw *Sweep) threads() int {
	if sw.Threads > 0 {
		return sw.Threads
	}
	if program.BatchSize(sw.Engine) > 0 {
		return wideSpans
	}
	return runtime.GOMAXPROCS(0)
}

// chunks is how many chunks a method has.
func (sw *Sweep) chunks() int {
	return int((int64(sw.Starts.Len())*int64(sw.Grid.Len()) + ChunkSize - 1) / ChunkSize)
}

// chunkLen is the number of samples in chunk i of a method.
func (sw *Sweep) chunkLen(i int) int {
	total := int64(sw.Starts.Len()) * int64(sw.Grid.Len())
	return int(min(ChunkSize, total-int64(i)*ChunkSize))
}

// owned is the number of samples to run.
func (sw *Sweep) owned() int64 {
	if sw.Own == nil {
		return int64(len(sw.Methods)) * int64(sw.Grid.Len()) * int64(sw.Starts.Len())
	}
	var n int64
	for m := range sw.Methods {
		for i := range sw.chunks() {
			if sw.Own(m, i) {
				n += int64(sw.chunkLen(i))
			}
		}
	}
	return n
}

// fill writes the inputs of the samples from first on: grid point by grid point, all starts of each.
func (sw *Sweep) fill(first int64, b *program.Batch) error {
	np := len(sw.Model.Problem().Params)
	return sw.inputs(first, b.N, b.In[:np], b.In[np:], nil)
}

// inputs writes n numbers to each column: the parameters of the samples from first on, the coordinates of their starts
// and the indices of these. X has no columns, and index is nil, where they are not wanted.
func (sw *Sweep) inputs(first int64, n int, params, x [][]float64, index []float64) error {
	starts := sw.Starts.Len()
	for at := 0; at < n; {
		point := int((first + int64(at)) / int64(starts))
		start := int((first + int64(at)) % int64(starts))
		k := min(n-at, starts-start)
		for i, v := range sw.Params(point) {
			col := params[i][at : at+k]
			for j := range col {
				col[j] = v
			}
		}
		if len(x) > 0 {
			if err := sw.starts.Fill(start, cut(x, at, k)); err != nil {
				return err
			}
		}
		if index != nil {
			for j := range k {
				index[at+j] = float64(start + j)
			}
		}
		at += k
	}
	if sw.DType == program.F32 { // so that what is reported is what is run
		for _, col := range slices.Concat(params, x) {
			for i, x := range col[:n] {
				col[i] = float64(float32(x))
			}
		}
	}
	return nil
}

// keptStarts is the most numbers of starts that are kept instead of being drawn
// again for each grid point and method.
const keptStarts = 1 << 22

// keep sets sw.starts: sw.Starts, drawn once and kept where they are few. They are drawn by what it returns. What Fill refuses that
// refuses before anything runs, for it need not be asked again where programs make the starts.
func (sw *Sweep) keep() (draw func() error) {
	first, n, dims := 0, sw.Starts.Len(), sw.Model.Problem().N()
	t := make(startTable, dims)
	sw.starts = t
	if n > keptStarts/dims {
		sw.starts = sw.Starts
		first, n = n-1, 1
	}
	for i := range t {
		t[i] = make([]float64, n)
	}
	return func() error { return sw.Starts.Fill(first, t) }
}

// startTable is starts by coordinate: [coordinate][start].
type startTable [][]float64

func (t startTable) Len() int { return len(t[0]) }

func (t startTable) Fill(first int, out [][]float64) error {
	for i := range out {
		copy(out[i], t[i][first:])
	}
	return nil
}

// crew calls work on so many threads until it says that there is none left; the first error ends it.
func crew(ctx context.Context, threads int, work func(ctx context.Context) (more bool, err error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for more := true; more && ctx.Err() == nil; {
				var err error
				if more, err = work(ctx); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// each calls work for 0..n-1 on so many threads; the first error ends it.
func each(ctx context.Context, threads, n int, work func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	return crew(ctx, threads, func(ctx context.Context) (bool, error) {
		i := int(next.Add(1)) - 1
		if i >= n {
			return false, nil
		}
		return true, work(ctx, i)
	})
}

// cut is entries at..at+n-1 of each column.
func cut(cols [][]float64, at, n int) [][]float64 {
	if at == 0 && len(cols) > 0 && len(cols[0]) == n {
		return cols // of a span of one chunk, which most are
	}
	r := make([][]float64, len(cols))
	for i := range cols {
		r[i] = cols[i][at : at+n]
	}
	return r
}

// meter reports progress, at most ten times a second.
type meter struct {
	mu     sync.Mutex
	report func(Progress)
	now    Progress
	last   time.Time
}

func (m *meter) method(s Spec) {
	m.mu.Lock()
	m.now.Method = s
	m.mu.Unlock()
}

func (m *meter) add(done, converged, loaded int64) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Done += done
	m.now.Converged += converged
	m.now.Loaded += loaded
	if t := time.Now(); t.Sub(m.last) >= 100*time.Millisecond || m.now.Done == m.now.Total {
		m.last = t
		m.report(m.now)
	}
}
