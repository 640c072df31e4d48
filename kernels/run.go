//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"sync"

	"invar/kernels/ptx"
	"invar/program"
)

// run is one Run: samples of a batch on their way to lanes. What a worker does not bring to its end comes again, on
// another lane or device.
type run struct {
	ctx context.Context
	e   *Engine
	k   *kernel
	b   *program.Batch
	on  []*part

	// Guarded by shared.mu.
	next  int    // the first sample that nobody has taken
	again []span // that come again
	busy  int    // spans with lanes
}

// span is samples first..first+n-1.
type span struct{ first, n int }

// part is what a device does in a Run.
type part struct {
	target

	// Guarded by shared.mu.
	most    int   // samples of a piece
	workers int   // that have not left because of an error
	last    bool  // the only worker has tried once more
	err     error // why the others have left
}

// pieces is how many pieces a lane gets of a large batch, so that devices end at about the same time.
const pieces = 4

func (e *Engine) run(ctx context.Context, k *kernel, b *program.Batch) error {
	r := &run{ctx: ctx, e: e, k: k, b: b}
	share := b.N / (pieces * lanes * len(k.on))
	for _, t := range k.on {
		// A piece smaller than what runs at the same time would leave threads idle.
		r.on = append(r.on, &part{target: t, workers: lanes, most: min(r.room(t), max(t.blocks*ptx.Block, share))})
	}
	stop := context.AfterFunc(ctx, func() {
		e.mu.Lock()
		e.changed.Broadcast()
		e.mu.Unlock()
	})
	defer stop()
	var wg sync.WaitGroup
	for _, d := range r.on {
		for range lanes {
			wg.Go(func() { r.work(d) })
		}
	}
	wg.Wait()
	if r.more() {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r.on[len(r.on)-1].err
	}
	for _, d := range r.on {
		if d.workers == 0 {
			e.tell(d.device, d.err)
		}
	}
	return nil
}

// more finds out whether samples wait for a lane.
func (r *run) more() bool { return r.next < r.b.N || len(r.again) > 0 }

// sample is the bytes that a sample takes.
func (r *run) sample() int64 {
	n := r.k.Inputs + r.k.Results
	if r.k.Traced > 0 {
		n += 1 + r.b.Trace.Rows*r.k.Traced
	}
	return 8 * int64(n)
}

// memory is the bytes that a lane may take.
func (r *run) memory(t target) int64 {
	if r.e.memory > 0 {
		return r.e.memory
	}
	return t.memory
}

// blocks is how many blocks of threads run n samples: no more than have a sample, or than half of the memory can save.
func (r *run) blocks(t target, n int) int {
	saved := 8 * int64(r.k.Saved) * ptx.Block
	return int(max(1, min(int64(t.blocks), int64(n+ptx.Block-1)/ptx.Block, r.memory(t)/2/saved)))
}

// room is how many samples fit a lane's memory. It is at least 1: whether that does is for the driver to say.
func (r *run) room(t target) int {
	saved := 8 * int64(r.k.Saved) * ptx.Block * int64(r.blocks(t, r.b.N))
	return int(max(1, min(int64(r.b.N), (r.memory(t)-saved)/r.sample())))
}

// budget is the steps of a thread in the first launch of a piece.
func (r *run) budget() uint64 {
	if r.e.budget > 0 {
		return uint64(r.e.budget)
	}
	return uint64(max(1, min(firstSteps, firstWork/max(1, r.k.Step))))
}

// work runs pieces on a device until there are no more, or the device fails.
func (r *run) work(d *part) {
	entered := false
	err := d.do(func() error {
		entered = true
		for {
			l, s, err := r.take(d)
			if l == nil {
				return err
			}
			err = l.run(r.ctx, r.k.Kernel, d.code, r.b, s, r.blocks(d.target, s.n), r.budget())
			if outOfMemory(err) {
				if e := l.release(); e != nil {
					err = e
				}
			}
			if again := r.put(d, l, s, err); !again {
				return err
			}
			if err != nil {
				r.e.trim(d.device) // if this fails so does the next call
			}
		}
	})
	if !entered {
		r.e.mu.Lock()
		d.leave(err)
		r.e.mu.Unlock()
	}
	if err != nil && r.ctx.Err() == nil {
		r.e.drop(d.device, err)
	}
}

// leave notes that a worker goes.
func (d *part) leave(why error) {
	d.workers--
	d.err = why
}

// take waits for a lane of the device and samples for it; the lane is nil when there will be none, with the error if that is the
// device's fault.
func (r *run) take(d *part) (*lane, span, error) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	for {
		switch {
		case r.ctx.Err() != nil || !r.more() && r.busy == 0:
			return nil, span{}, nil
		case d.lost != nil:
			d.leave(d.lost)
			return nil, span{}, d.lost
		case r.more() && len(d.free) > 0:
			l := d.free[len(d.free)-1]
			d.free = d.free[:len(d.free)-1]
			r.busy++
			return l, r.span(d.most), nil
		}
		r.e.changed.Wait()
	}
}

// span takes samples for a piece, at most so many.
func (r *run) span(most int) span {
	if last := len(r.again) - 1; last >= 0 {
		s := &r.again[last]
		p := span{s.first, min(s.n, most)}
		s.first += p.n
		s.n -= p.n
		if s.n == 0 {
			r.again = r.again[:last]
		}
		return p
	}
	p := span{r.next, min(r.b.N-r.next, most)}
	r.next += p.n
	return p
}

// put gives a lane back, and the samples where they come again. It says whether the worker goes on: where memory is too little it
// takes smaller pieces, then there are fewer workers, and the last one tries once more with what the others had.
func (r *run) put(d *part, l *lane, s span, err error) (again bool) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	d.free = append(d.free, l)
	r.busy--
	r.e.changed.Broadcast()
	if err == nil {
		return true
	}
	r.again = append(r.again, s)
	switch {
	case outOfMemory(err) && s.n > 1:
		d.most = min(d.most, s.n/2)
		return true
	case outOfMemory(err) && d.workers == 1 && !d.last:
		d.last = true
		return true
	}
	d.leave(err)
	return false
}

// trim frees the memory of a device's lanes that have nothing to do.
func (e *Engine) trim(d *device) error {
	e.mu.Lock()
	idle := d.free
	d.free = nil
	e.mu.Unlock()
	err := d.do(func() (err error) {
		for _, l := range idle {
			if e := l.release(); err == nil {
				err = e
			}
		}
		return err
	})
	e.mu.Lock()
	d.free = append(d.free, idle...)
	e.changed.Broadcast()
	e.mu.Unlock()
	return err
}
