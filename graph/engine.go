package graph

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"invar/program"
)

// TapeEngine is the engine "gorgonia": the tape machine evaluates the problem for the samples at hand,
// all at once, and the method's part of the step, Program.Update, does the rest one sample after the
// other. It is slow; it checks that the programs of the fast engines mean what Gorgonia says.
type TapeEngine struct {
	m     *Model
	batch int

	mu    sync.Mutex
	tapes map[Want]*Tape
}

var _ program.Engine = (*TapeEngine)(nil)

// NewTapeEngine makes the engine for programs of m's problem. Batch is the number of samples on the
// tape at a time, 2 or more; Compile refuses less.
func NewTapeEngine(m *Model, batch int) *TapeEngine {
	return &TapeEngine{m: m, batch: batch, tapes: map[Want]*Tape{}}
}

// Name is "gorgonia".
func (e *TapeEngine) Name() string { return "gorgonia" }

// Compile makes the tape that p needs, one for all programs with the same quantities. Errors are
// programs without Update, programs that are not of this problem, and what NewTape refuses.
func (e *TapeEngine) Compile(p *program.Program) (program.Executable, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.Update == nil {
		return nil, fmt.Errorf("graph: program %s has no update apart from its quantities: it must be written with one for this engine", p.Name)
	}
	q := e.m.Problem()
	if len(p.Trial) != q.N() || len(p.Param) != len(q.Params) {
		return nil, fmt.Errorf("graph: program %s has %d inputs and %d parameters, problem %s has %d and %d",
			p.Name, len(p.Trial), len(p.Param), q.Name, q.N(), len(q.Params))
	}
	want, err := wantOf(p.Quantities, q.N(), q.M())
	if err != nil {
		return nil, fmt.Errorf("graph: program %s: %w", p.Name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tapes[want] == nil {
		if e.tapes[want], err = e.m.NewTape(e.batch, want); err != nil {
			return nil, err
		}
	}
	return &tapeRun{p: p, tape: e.tapes[want]}, nil
}

// wantOf finds the quantities with the given names.
func wantOf(names []string, n, m int) (Want, error) {
	var w Want
	for flag := Y; flag <= HessY; flag <<= 1 {
		if slices.Contains(names, flag.Names(n, m)[0]) {
			w |= flag
		}
	}
	if !slices.Equal(names, w.Names(n, m)) {
		return 0, fmt.Errorf("its quantities are %v, want names as Want.Names gives them", names)
	}
	return w, nil
}

// tapeRun is a program on a tape.
type tapeRun struct {
	p    *program.Program
	tape *Tape
}

// lane is a sample that is running: its slots as bits.
type lane struct {
	sample    int
	slots     []uint64
	iteration int64 // the one traced last, -1 before the first
}

// Run implements program.Executable. Results of samples that are not finished are 0, their status
// among them.
func (r *tapeRun) Run(ctx context.Context, b *program.Batch) (err error) {
	p := r.p
	if len(b.In) != len(p.In) || len(b.Out) != len(p.Results) {
		return fmt.Errorf("graph: %s: a batch of %d input and %d output columns, want %d and %d",
			p.Name, len(b.In), len(b.Out), len(p.In), len(p.Results))
	}
	for _, c := range slices.Concat(b.In, b.Out) {
		if len(c) < b.N {
			return fmt.Errorf("graph: %s: a column of %d samples, want %d", p.Name, len(c), b.N)
		}
	}
	for _, c := range b.Out {
		clear(c[:b.N])
	}
	if b.Trace != nil {
		clear(b.Trace.Len[:b.N])
	}
	defer program.Catch(&err)
	var lanes []*lane
	for next := 0; ; {
		if next < b.N || len(lanes) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		for ; next < b.N && len(lanes) < r.tape.batch; next++ {
			l := r.setup(b, next)
			if !r.collect(b, l) {
				lanes = append(lanes, l)
			}
		}
		if len(lanes) == 0 {
			return nil
		}
		quantities, err := r.tape.Run(r.gather(lanes, p.Param), r.gather(lanes, p.Trial))
		if err != nil {
			return err
		}
		for k, l := range lanes {
			r.update(l, quantities, k)
		}
		lanes = slices.DeleteFunc(lanes, func(l *lane) bool { return r.collect(b, l) })
	}
}

func (r *tapeRun) setup(b *program.Batch, sample int) *lane {
	in := make([]uint64, len(b.In))
	for i := range in {
		in[i] = math.Float64bits(b.In[i][sample])
	}
	return &lane{sample: sample, slots: r.p.Setup.Eval(in...), iteration: -1}
}

// gather makes columns of the given F64 slots.
func (r *tapeRun) gather(lanes []*lane, slots []int) [][]float64 {
	c := make([][]float64, len(slots))
	for i, s := range slots {
		c[i] = make([]float64, len(lanes))
		for k, l := range lanes {
			c[i][k] = math.Float64frombits(l.slots[s])
		}
	}
	return c
}

// update makes the step of lane number k from the quantities.
func (r *tapeRun) update(l *lane, quantities [][]float64, k int) {
	p := r.p
	in := append([]uint64(nil), l.slots[:len(p.Update.In)-len(quantities)]...)
	for _, q := range quantities {
		in = append(in, math.Float64bits(q[k]))
	}
	next := p.Update.Eval(in...)
	for i := range l.slots {
		if !p.Slots[i].Fixed {
			l.slots[i] = next[0]
			next = next[1:]
		}
	}
}

// collect traces the lane if it holds a new iterate, and writes its results if it has ended.
func (r *tapeRun) collect(b *program.Batch, l *lane) (ended bool) {
	p := r.p
	number := func(slot int) float64 {
		if p.Slots[slot].Type == program.I64 {
			return float64(int64(l.slots[slot]))
		}
		return math.Float64frombits(l.slots[slot])
	}
	if it := int64(l.slots[p.Iteration]); it != l.iteration {
		l.iteration = it
		if t := b.Trace; t != nil && it >= 0 && it < int64(t.Rows) {
			for k, slot := range t.Slots {
				t.Data[l.sample][int(it)*len(t.Slots)+k] = number(slot)
			}
			t.Len[l.sample] = max(t.Len[l.sample], int(it)+1)
		}
	}
	if l.slots[p.Status] == 0 {
		return false
	}
	for k, slot := range p.Results {
		b.Out[k][l.sample] = number(slot)
	}
	return true
}
