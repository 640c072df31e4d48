package batch

import (
	"context"
	"slices"
	"sync"

	"invar/program"
)

// course is a sweep on its way. Its work is dealt out to threads one after the other: the spans of a method, then the pieces
// of its path deviations, then the next method, so that no thread waits for others where a method ends.
type course struct {
	sw       *Sweep
	progress *meter
	memory   memory
	inOrder  *sequence // of spans, for Sink
	ahead    sync.WaitGroup
	// reference is the grid point that path deviations refer to.
	reference func() int

	mu       sync.Mutex // guards what follows
	plans    []func() (*run, error)
	now      *run      // of the method that is dealt
	outcomes []outcome // of the methods that have begun
	spans    int       // dealt
	failed   error     // why the next method cannot begin
}

// outcome is what has come of a method.
type outcome struct {
	tallies    *tallies
	deviations []float64 // [grid point]; none in a part of a divided sweep
}

// cells are all cells or, after an error, those that were complete.
func (o outcome) cells(err error) []Cell {
	for point, d := range o.deviations {
		o.tallies.cells[point].PathDeviation = d
	}
	return o.tallies.finished(err)
}

func newCourse(sw *Sweep) *course {
	c := &course{sw: sw, progress: &meter{report: sw.Progress, now: Progress{Total: sw.owned()}}, inOrder: newSequence(),
		reference: sync.OnceValue(func() int { return sw.Grid.Reference(sw.defaults()) })}
	for i, spec := range sw.Methods {
		c.plans = append(c.plans, sync.OnceValues(func() (*run, error) { return c.plan(i, spec) }))
	}
	return c
}

// run is a method that is ready to run.
type run struct {
	dealer     *dealer
	exe        program.Executable // of the dealer's program
	tallies    *tallies
	deviations func() (*deviations, error) // made when they are first asked for; nil in a part of a divided sweep
}

func (c *course) plan(index int, spec Spec) (*run, error) {
	sw := c.sw
	spec, err := spec.Resolve(sw.Model.Problem())
	if err != nil {
		return nil, err
	}
	prog, err := Compile(sw.Model, spec, Options{Limits: sw.Limits, DType: sw.DType, Split: sw.Split})
	if err != nil {
		return nil, err
	}
	if !sw.asked() {
		prog.Results = counted(prog) // what nothing looks at need not be computed
	}
	r := &run{dealer: newDealer(sw, index, prog, &c.memory), tallies: newTallies(sw, prog, spec, &c.memory)}
	r.exe, err = sw.Engine.Compile(r.dealer.runs)
	return r, err
}

// work does the next piece of work, and reports whether there may be more.
func (c *course) work(ctx context.Context) (more bool, err error) {
	c.mu.Lock()
	do := c.next(ctx)
	c.mu.Unlock()
	if do == nil {
		return false, nil
	}
	return true, do(ctx)
}

// next deals out a piece of work, nil when all is dealt or a method cannot begin. What has been dealt by then comes to its end.
func (c *course) next(ctx context.Context) func(context.Context) error {
	for {
		if r := c.now; r != nil {
			if s := r.dealer.next(); s != nil {
				s.number = c.spans
				c.spans++
				return func(ctx context.Context) error { return c.span(ctx, r, s) }
			}
			if r.deviations != nil {
				d, err := r.deviations()
				if err != nil {
					c.failed = err
					return nil
				}
				c.outcomes[len(c.outcomes)-1].deviations = d.of
				if from, to := d.next(); from < to {
					return func(ctx context.Context) error { return d.run(ctx, from, to) }
				}
			}
		}
		if c.failed != nil || len(c.outcomes) == len(c.plans) {
			return nil
		}
		c.failed = c.begin(ctx)
	}
}

// begin makes the next method ready, and has its path deviations prepared and the method after it compiled meanwhile.
func (c *course) begin(ctx context.Context) error {
	k := len(c.outcomes)
	r, err := c.plans[k]()
	if err != nil {
		return err
	}
	c.now, c.outcomes = r, append(c.outcomes, outcome{tallies: r.tallies})
	c.progress.method(r.tallies.spec)
	c.plans[k] = nil // its machine code may go when it has run
	if c.sw.Own == nil {
		r.deviations = sync.OnceValues(func() (*deviations, error) { return c.newDeviations(ctx, r.tallies.spec) })
	}
	ahead := slices.Clone(c.plans[k+1 : min(k+2, len(c.plans))])
	c.ahead.Go(func() {
		if r.deviations != nil {
			r.deviations()
		}
		for _, plan := range ahead {
			plan()
		}
	})
	return nil
}

// span runs, delivers and counts the samples of a span.
func (c *course) span(ctx context.Context, r *run, s *span) error {
	r.dealer.furnish(s)
	defer c.memory.columns.put(s.columns)
	if err := s.run(ctx, c.sw, r.exe, r.dealer.pieces); err != nil {
		return err
	}
	if c.sw.Sink != nil {
		if err := c.inOrder.wait(ctx, s.number); err != nil {
			return err
		}
		for _, chunk := range s.chunks {
			if err := c.sw.Sink(chunk); err != nil {
				return err
			}
		}
		c.inOrder.pass()
	}
	// What has been delivered is counted, even if the sweep is to end now.
	return s.each(context.WithoutCancel(ctx), 0, len(s.chunks), func(_ int, chunk *Chunk) error {
		c.progress.add(int64(chunk.Batch.N), r.tallies.add(chunk), int64(chunk.Loaded))
		return nil
	})
}
