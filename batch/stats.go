package batch

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"invar/internal/selection"
	"invar/program"
)

// columns says where the results that statistics are made of are in Batch.Out; -1: not there.
type columns struct {
	loss, distance, iteration, evaluations, fallbacks, status int

	x, n int // the first coordinate of n, which follow each other
}

// counted are the results of p that statistics are made of, but for such as are zero in every sample.
func counted(p *program.Program) []int {
	names := []string{"loss", "distance", "iteration", "evaluations", "fallbacks", "status"}
	for i := range p.Trial {
		names = append(names, fmt.Sprintf("x%d", i)) // of the best sample
	}
	return slices.DeleteFunc(slices.Clone(p.Results), func(slot int) bool {
		s := p.Slots[slot]
		return s.Fixed || !slices.Contains(names, s.Name)
	})
}

func newColumns(p *program.Program) columns {
	at := func(name string) int { return Column(p, name) }
	return columns{at("loss"), at("distance"), at("iteration"), at("evaluations"), at("fallbacks"), at("status"), at("x0"), len(p.Trial)}
}

// Column is the index in Batch.Out of the result with the given name, -1 if the
// program has none.
func Column(p *program.Program, name string) int {
	for k, slot := range p.Results {
		if p.Slots[slot].Name == name {
			return k
		}
	}
	return -1
}

// tallies collect the cells of one method from chunks that may come in any order.
type tallies struct {
	sw      *Sweep
	spec    Spec
	columns columns
	memory  *memory
	mu      sync.Mutex // guards what follows
	open    []*tally   // by grid point; nil before its first sample and after its last
	cells   []Cell
	done    []bool
}

func newTallies(sw *Sweep, prog *program.Program, spec Spec, m *memory) *tallies {
	n := sw.Grid.Len()
	return &tallies{sw: sw, spec: spec, columns: newColumns(prog), memory: m, open: make([]*tally, n), cells: make([]Cell, n), done: make([]bool, n)}
}

// add counts a chunk's samples and returns how many converged.
func (ts *tallies) add(c *Chunk) (converged int64) {
	starts := int64(ts.sw.Starts.Len())
	for at := 0; at < c.Batch.N; {
		point := int((c.First + int64(at)) / starts)
		start := int((c.First + int64(at)) % starts)
		k := min(c.Batch.N-at, int(starts)-start)
		t := ts.at(point)
		more, last := t.add(ts.columns, c.Batch, at, k, start, c.Seconds*float64(k)/float64(c.Batch.N))
		converged += more
		if last {
			cell := t.cell()
			cell.Method, cell.Params = ts.spec, ts.sw.Params(point)
			t.reset()
			ts.memory.tallies.put(t)
			ts.mu.Lock()
			ts.cells[point], ts.done[point], ts.open[point] = cell, true, nil
			ts.mu.Unlock()
		}
		at += k
	}
	return converged
}

// at is the tally of a grid point.
func (ts *tallies) at(point int) *tally {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.open[point]
	if t == nil {
		var ok bool
		if t, ok = ts.memory.tallies.take(); !ok {
			t = newTally(ts.sw.Starts.Len(), ts.sw.Limits.Iterations, ts.columns.distance >= 0)
		}
		ts.open[point] = t
	}
	return t
}

// finished are all cells or, after an error, those that were complete.
func (ts *tallies) finished(err error) []Cell {
	if err == nil {
		return ts.cells
	}
	var cells []Cell
	for i, ok := range ts.done {
		if ok {
			cells = append(cells, ts.cells[i])
		}
	}
	return cells
}

// tally collects the samples of one cell.
type tally struct {
	loss, distance []uint64 // by start: bits of the numbers; distance is nil where no minimum is known
	scratch        []uint64 // as long as loss

	mu         sync.Mutex // guards what follows
	left       int        // samples to come
	signed     bool       // a loss or distance has its sign bit set
	iterations []int64    // converged samples by their number of iterations
	status     [numStatuses]int
	sum        Cell
}

func newTally(starts, limit int, distance bool) *tally {
	t := &tally{loss: make([]uint64, starts), scratch: make([]uint64, starts), iterations: make([]int64, limit+1)}
	if distance {
		t.distance = make([]uint64, starts)
	}
	t.reset()
	return t
}

// reset makes t as new.
func (t *tally) reset() {
	t.left, t.signed = len(t.loss), false
	clear(t.iterations)
	t.status = [numStatuses]int{}
	t.sum = Cell{Samples: len(t.loss)}
}

// add takes results at..at+k-1 of b, which belong to starts start, start+1, ...;
// it returns how many converged, and whether the cell is now complete.
func (t *tally) add(c columns, b *program.Batch, at, k, start int, seconds float64) (converged int64, last bool) {
	col := func(i int) []float64 { return b.Out[i][at : at+k] }
	// These entries belong to this call alone.
	signed := copyBits(t.loss[start:start+k], col(c.loss))
	if t.distance != nil {
		signed = copyBits(t.distance[start:start+k], col(c.distance)) || signed
	}
	evaluations, fallbacks := sum(col(c.evaluations)), int64(0)
	if c.fallbacks >= 0 {
		fallbacks = sum(col(c.fallbacks))
	}
	low := lowest(col(c.loss), col(c.status))

	t.mu.Lock()
	defer t.mu.Unlock()
	iterations := col(c.iteration)
	for j, s := range col(c.status) {
		st := Status(s)
		t.status[st]++
		if st == Converged {
			converged++
			t.iterations[int(iterations[j])]++
		}
	}
	if low >= 0 && t.sum.Best.after(b.Out[c.loss][at+low], start+low) {
		t.sum.Best = c.best(b, at+low, start+low)
	}
	t.sum.Fallbacks += fallbacks
	t.sum.Evaluations += evaluations
	t.sum.Seconds += seconds
	t.signed = t.signed || signed
	t.left -= k
	return converged, t.left == 0
}

// sum adds integers.
func sum(x []float64) (n int64) {
	for _, v := range x {
		n += int64(v)
	}
	return n
}

// cell is the outcome, once the last sample is there. It reorders loss and distance.
func (t *tally) cell() Cell {
	c := t.sum
	c.Status = map[Status]int{}
	for st, n := range t.status {
		if n > 0 {
			c.Status[Status(st)] = n
		}
	}
	c.IterationsMedian = histogramQuantile(t.iterations, 0.5)
	c.IterationsP90 = histogramQuantile(t.iterations, 0.9)
	c.LossMedian = t.quantile(t.loss, 0.5)
	c.DistanceMedian, c.PathDeviation = math.NaN(), math.NaN()
	if t.distance != nil {
		c.DistanceMedian = t.quantile(t.distance, 0.5)
	}
	return c
}

func orInf(x float64) float64 {
	if math.IsNaN(x) {
		return math.Inf(1)
	}
	return x
}

// copyBits copies the bits of numbers, and reports whether one has its sign bit set.
func copyBits(to []uint64, x []float64) (signed bool) {
	to = to[:len(x)]
	var all uint64
	for i, v := range x {
		u := math.Float64bits(v)
		all |= u
		to[i] = u
	}
	return int64(all) < 0
}

// key is an integer in the order of the numbers with the given bits, NaN as +Inf: it can be compared without branches.
// Without a sign, bits are in that order themselves, but that NaNs come after +Inf.
func key(bits uint64) uint64 {
	u := math.Float64bits(orInf(math.Float64frombits(bits)))
	return u ^ (uint64(int64(u)>>63) | 1<<63)
}

// number is the number of a key.
func number(key uint64) float64 {
	return math.Float64frombits(key ^ (uint64(int64(^key)>>63) | 1<<63))
}

// quantile is the nearest-rank quantile of loss or distance, which it reorders.
func (t *tally) quantile(x []uint64, q float64) float64 {
	k := int(rank(int64(len(x)), q))
	if !t.signed {
		return orInf(math.Float64frombits(selection.Kth(x, t.scratch, k)))
	}
	for i, u := range x {
		x[i] = key(u)
	}
	return number(selection.Kth(x, t.scratch, k))
}

// rank is the nearest rank of quantile q among n: the smallest k with k >= q n, from zero.
func rank(n int64, q float64) int64 {
	return max(int64(math.Ceil(q*float64(n)))-1, 0)
}

// histogramQuantile is the nearest-rank quantile of counts by value; NaN if empty.
func histogramQuantile(counts []int64, q float64) float64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	k := rank(n, q)
	for v, c := range counts {
		if k < c {
			return float64(v)
		}
		k -= c
	}
	return math.NaN()
}
