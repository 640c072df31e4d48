// Package cpu runs programs on the processor, on all cores: in plain scalar Go
// (Portable), which defines what a program gives, and as machine code made from the
// program (Native), which equals it bit for bit.
//
// [Native] emits AVX-512 or AVX2 code that takes several vectors of samples through a whole step in
// registers; [Auto] chooses it where it can run.
//
// [Portable] is a program.Engine. Each core works on a block of lanes, one sample a lane: the state lives in columns, one a
// slot, and an interpreter applies each operation of the program to the whole
// block before it goes to the next, so that the cost of interpreting is shared by
// the lanes and the columns stay in the first-level cache. Lanes that are done are closed up and refilled with
// the batch's next samples. No operation sees another lane, so a sample's bits do not depend on its neighbours, its
// place, the block size or the number of cores.
//
// [CompileFunc] evaluates a single program.Func over columns.
package cpu

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"invar/program"
)

// Portable is the engine. The zero value works.
type Portable struct {
	// Block is the number of lanes that one core works on at a time, 0 for a number such that the program's columns fit the first-level cache.
	Block int
	// Threads is the number of cores to use, 0 for all (GOMAXPROCS).
	Threads int
}

var _ program.Engine = Portable{}

// Name is "portable".
func (Portable) Name() string { return "portable" }

// Compile prepares p. It fails if p or one of its functions is not valid.
func (e Portable) Compile(p *program.Program) (program.Executable, error) {
	if e.Block < 0 || e.Threads < 0 {
		return nil, fmt.Errorf("cpu: block of %d lanes on %d threads, want 0 (automatic) or more", e.Block, e.Threads)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var moving []int
	for i, s := range p.Slots {
		if !s.Fixed {
			moving = append(moving, i)
		}
	}
	x := &executable{p: p, threads: e.Threads, block: e.Block}
	var err error
	if x.block == 0 {
		one, err := compile(p.Step, 1, moving)
		if err != nil {
			return nil, err
		}
		x.block = blockFor(one)
	}
	if x.step, err = compile(p.Step, x.block, moving); err != nil {
		return nil, err
	}
	if x.setup, err = compile(p.Setup, x.block, nil); err != nil {
		return nil, err
	}
	return x, nil
}

// cache is the part of a first-level cache that a block's columns may take.
const cache = 32 << 10

// blockFor chooses a block size for a code, given as compiled for one lane.
func blockFor(one *code) int {
	lanes := cache / (8*one.size[words] + 4*one.size[singles] + one.size[bools] + 1)
	return max(32, min(512, lanes&^15))
}

type executable struct {
	p              *program.Program
	setup, step    *code
	block, threads int

	mu   sync.Mutex
	idle []*worker // kept from Run to Run
}

// worker is one core's block. Lanes 0..live-1 are running; what lies behind them
// is of no interest.
type worker struct {
	x           *executable
	setup, step *machine
	live        int
	sample      []int   // of each lane
	iteration   []int64 // of each lane before the step
}

func (x *executable) worker() *worker {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.idle); n > 0 {
		w := x.idle[n-1]
		x.idle = x.idle[:n-1]
		return w
	}
	return &worker{
		x: x, setup: x.setup.newMachine(), step: x.step.newMachine(),
		sample: make([]int, x.block), iteration: make([]int64, x.block),
	}
}

func (x *executable) release(w *worker) {
	x.mu.Lock()
	x.idle = append(x.idle, w)
	x.mu.Unlock()
}

// Run implements program.Executable. Results of samples that are not finished are 0, their status among them.
func (x *executable) Run(ctx context.Context, b *program.Batch) error {
	if err := x.p.CheckBatch(b); err != nil {
		return err
	}
	for _, col := range b.Out {
		clear(col[:b.N])
	}
	if b.Trace != nil {
		clear(b.Trace.Len[:b.N])
	}
	threads := x.threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	// A small batch is shared out evenly rather than taken by the first.
	lanes := min(x.block, max(1, (b.N+threads-1)/threads))
	threads = min(threads, (b.N+lanes-1)/lanes)
	if threads <= 1 {
		var next atomic.Int64
		return x.work(ctx, b, &next, lanes)
	}
	var next atomic.Int64 // first sample that nobody has taken
	var wg sync.WaitGroup
	errs := make([]error, threads)
	for k := range threads {
		wg.Go(func() { errs[k] = x.work(ctx, b, &next, lanes) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// work runs samples until none are left or ctx ends.
func (x *executable) work(ctx context.Context, b *program.Batch, next *atomic.Int64, lanes int) error {
	w := x.worker()
	defer x.release(w)
	w.live = 0
	done := ctx.Done()
	for more := true; ; {
		select {
		case <-done:
			if w.live > 0 || next.Load() < int64(b.N) {
				return ctx.Err()
			}
			return nil
		default:
		}
		// Fresh samples are set up together once a quarter of the lanes is free.
		if free := lanes - w.live; more && (4*free >= lanes || w.live == 0) {
			first := int(next.Add(int64(free))) - free
			n := min(free, b.N-first)
			more = n == free
			if n > 0 {
				if !w.fill(b, first, n, done) {
					return ctx.Err()
				}
				continue
			}
		}
		if w.live == 0 {
			return nil
		}
		if !x.step.run(w.step, w.live, done) {
			return ctx.Err()
		}
		w.collect(b, 0)
	}
}

// fill sets up samples first..first+n-1 behind the running lanes. It reports false if done was closed before.
func (w *worker) fill(b *program.Batch, first, n int, done <-chan struct{}) bool {
	x, m := w.x, w.setup
	for i, p := range x.setup.in {
		copy(m.f[p.at:][:n], b.In[i][first:])
	}
	if !x.setup.run(m, n, done) {
		return false
	}
	at := w.live
	for i, p := range x.setup.out {
		to := x.step.in[i].at + at
		if p.scalar {
			w.step.fill(p.typ, to, n, m.s[p.at])
		} else {
			w.step.copy(p.typ, to, m, p.at, n)
		}
	}
	for k := range n {
		w.sample[at+k] = first + k
		w.iteration[at+k] = -1
	}
	w.live += n
	w.collect(b, at)
	return true
}

// collect looks at the lanes from the given one on: it traces new iterates, writes the results of
// samples that ended, and closes the lanes up.
func (w *worker) collect(b *program.Batch, from int) {
	p, in := w.x.p, w.x.step.in
	status := w.step.u[in[p.Status].at:]
	if b.Trace != nil {
		iteration := w.step.u[in[p.Iteration].at:]
		for l := from; l < w.live; l++ {
			if it := int64(iteration[l]); it != w.iteration[l] {
				w.iteration[l] = it
				w.trace(b.Trace, l, it)
			}
		}
	}
	for l := from; l < w.live; {
		if status[l] == 0 {
			l++
			continue
		}
		for k, s := range p.Results {
			b.Out[k][w.sample[l]] = w.number(s, l)
		}
		w.live--
		w.move(l, w.live)
	}
}

// number is slot s of lane l as a number.
func (w *worker) number(s, l int) float64 {
	p := w.x.step.in[s]
	return w.x.p.Number(s, w.step.bits(p.typ, p.at+l))
}

func (w *worker) trace(t *program.Trace, l int, it int64) {
	if it < 0 || it >= int64(t.Rows) {
		return
	}
	s := w.sample[l]
	row := t.Data[s][int(it)*len(t.Slots):]
	for k, slot := range t.Slots {
		row[k] = w.number(slot, l)
	}
	t.Len[s] = max(t.Len[s], int(it)+1)
}

// move puts the sample of lane from into lane to.
func (w *worker) move(to, from int) {
	if to == from {
		return
	}
	m := w.step
	for _, p := range w.x.step.in {
		m.copy(p.typ, p.at+to, m, p.at+from, 1)
	}
	w.sample[to], w.iteration[to] = w.sample[from], w.iteration[from]
}
