package batch

import (
	"math"
	"sync"

	"invar/program"
)

// columns says where a program's results are in Batch.Out; -1: not there.
type columns struct {
	loss, distance, iteration, evaluations, fallbacks, status int
}

func newColumns(p *program.Program) columns {
	at := func(name string) int { return Column(p, name) }
	return columns{at("loss"), at("distance"), at("iteration"), at("evaluations"), at("fallbacks"), at("status")}
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
	mu      sync.Mutex // guards what follows
	open    []*tally   // by grid point; nil before its first sample and after its last
	cells   []Cell
	done    []bool
}

func newTallies(sw *Sweep, prog *program.Program, spec Spec) *tallies {
	n := sw.Grid.Len()
	return &tallies{sw: sw, spec: spec, columns: newColumns(prog), open: make([]*tally, n), cells: make([]Cell, n), done: make([]bool, n)}
}

// add counts a chunk's samples and returns how many converged.
func (ts *tallies) add(c *Chunk) (converged int64) {
	starts := int64(ts.sw.Starts.Len())
	for at := 0; at < c.Batch.N; {
		point := int((c.First + int64(at)) / starts)
		start := int((c.First + int64(at)) % starts)
		k := min(c.Batch.N-at, int(starts)-start)
		ts.mu.Lock()
		t := ts.open[point]
		if t == nil {
			t = newTally(int(starts), ts.sw.Limits.Iterations)
			ts.open[point] = t
		}
		ts.mu.Unlock()
		more, last := t.add(ts.columns, c.Batch, at, k, start, c.Seconds*float64(k)/float64(c.Batch.N))
		converged += more
		if last {
			cell := t.cell()
			cell.Method, cell.Params = ts.spec, ts.sw.params(point)
			ts.mu.Lock()
			ts.cells[point], ts.done[point], ts.open[point] = cell, true, nil
			ts.mu.Unlock()
		}
		at += k
	}
	return converged
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
	mu             sync.Mutex
	left           int
	loss, distance []float64 // by start
	iterations     []int64   // converged samples by their number of iterations
	status         [numStatuses]int
	sum            Cell
}

func newTally(starts, limit int) *tally {
	return &tally{
		left: starts, loss: make([]float64, starts), distance: make([]float64, starts),
		iterations: make([]int64, limit+1),
		sum:        Cell{Samples: starts},
	}
}

// add takes results at..at+k-1 of b, which belong to starts start, start+1, ...;
// it returns how many converged, and whether the cell is now complete.
func (t *tally) add(c columns, b *program.Batch, at, k, start int, seconds float64) (converged int64, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for j := 0; j < k; j++ {
		i := at + j
		t.loss[start+j] = orInf(b.Out[c.loss][i])
		if c.distance >= 0 {
			t.distance[start+j] = orInf(b.Out[c.distance][i])
		} else {
			t.distance[start+j] = math.NaN()
		}
		st := Status(b.Out[c.status][i])
		t.status[st]++
		if st == Converged {
			converged++
			t.iterations[int(b.Out[c.iteration][i])]++
		}
		t.sum.Fallbacks += int64(b.Out[c.fallbacks][i])
		t.sum.Evaluations += int64(b.Out[c.evaluations][i])
	}
	t.sum.Seconds += seconds
	t.left -= k
	return converged, t.left == 0
}

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
	c.LossMedian = quantile(t.loss, 0.5)
	c.DistanceMedian = quantile(t.distance, 0.5)
	c.PathDeviation = math.NaN()
	return c
}

func orInf(x float64) float64 {
	if math.IsNaN(x) {
		return math.Inf(1)
	}
	return x
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

// quantile is the nearest-rank quantile of x, which it reorders (Hoare's
// selection). x holds no NaN, or nothing else.
func quantile(x []float64, q float64) float64 {
	k := int(rank(int64(len(x)), q))
	lo, hi := 0, len(x)-1
	if math.IsNaN(x[0]) {
		return x[0]
	}
	for lo < hi {
		pivot := x[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return x[k]
		}
	}
	return x[k]
}
