package batch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"invar/program"
)

// A span is some chunks, consecutive among those that are to be run, in one batch for the engine: as many as it
// wishes to have at a time. Files, shards and the journal know chunks only, whatever the engine.
type span struct {
	number int      // among the spans of the sweep
	n      int      // samples
	chunks []*Chunk // all whole but the last of the method: number k begins at sample k*ChunkSize

	columns []float64   // the memory of all columns
	in, out [][]float64 // what the engine gets
	index   []float64   // of in, where the program makes the starts, else nil
}

// Bounds of what is on its way at a time.
const (
	spanBytes = 128 << 20 // of a span's columns, unless a single chunk takes more
	// wideSpans is the number of spans of an engine that wants many samples at a time: one is being filled, two are with the
	// engine (so that it can copy one while it computes the other), one is being delivered.
	wideSpans = 4
)

// InFlight bounds the samples that a sweep works on at a time: so many batches of at most so many samples, each
// with the given number of columns of 8 bytes.
func (sw *Sweep) InFlight(columns int) (batches, samples int) {
	return sw.threads(), ChunkSize * sw.spanChunks(columns)
}

// spanChunks is how many chunks a span has at most.
func (sw *Sweep) spanChunks(columns int) int {
	wish := (program.BatchSize(sw.Engine) + ChunkSize - 1) / ChunkSize
	return max(1, min(wish, spanBytes/(8*ChunkSize*columns), sw.chunks()))
}

// dealer deals the chunks of one method out in spans.
type dealer struct {
	sw     *Sweep
	method int
	prog   *program.Program // names the columns of chunks
	runs   *program.Program // what the engine runs: prog, or prog that makes its starts
	coords int              // columns of coordinates that are drawn: all or none
	chunks int              // of a span
	memory *memory
	pieces *pieces
	chunk  int // the first that is not dealt
}

func newDealer(sw *Sweep, method int, prog *program.Program, m *memory) *dealer {
	d := &dealer{sw: sw, method: method, prog: prog, runs: prog, coords: sw.Model.Problem().N(), memory: m}
	_, kept := sw.starts.(startTable)
	if program.BatchSize(sw.Engine) > 0 || program.MakesStarts(sw.Engine) && !sw.asked() && !kept {
		if made := making(prog, sw.Starts); made != nil {
			d.runs = made
			if !sw.asked() {
				d.coords = 0
			}
		}
	}
	d.chunks = sw.spanChunks(d.columns())
	d.pieces = newPieces(d.chunks * ChunkSize)
	return d
}

// asked reports whether somebody looks at the samples, and not only at their statistics.
func (sw *Sweep) asked() bool { return sw.Sink != nil || sw.Load != nil || sw.Save != nil }

// columns is how many columns a span has.
func (d *dealer) columns() int {
	k := len(d.prog.Param) + d.coords + len(d.prog.Results)
	if d.runs != d.prog {
		k++ // the index of the start
	}
	return k
}

// next is the next span, without columns; nil when all are dealt.
func (d *dealer) next() *span {
	s := &span{}
	for ; len(s.chunks) < d.chunks && d.chunk < d.sw.chunks(); d.chunk++ {
		if d.sw.Own == nil || d.sw.Own(d.method, d.chunk) {
			n := d.sw.chunkLen(d.chunk)
			s.chunks = append(s.chunks, &Chunk{Method: d.method, Index: d.chunk, First: int64(d.chunk) * ChunkSize, Program: d.prog, Batch: &program.Batch{N: n}})
			s.n += n
		}
	}
	if len(s.chunks) == 0 {
		return nil
	}
	return s
}

// furnish gives a span its columns, which are to be given back to d.memory.
func (d *dealer) furnish(s *span) {
	s.columns = d.memory.numbers(d.columns() * s.n)
	rest := s.columns
	columns := make([][]float64, d.columns())
	for i := range columns {
		columns[i], rest = rest[:s.n:s.n], rest[s.n:]
	}
	params, results := len(d.prog.Param), len(d.prog.Results)
	drawn := columns[: params+d.coords : params+d.coords]
	s.in, s.out = drawn, columns[params+d.coords:][:results:results]
	if d.runs != d.prog {
		s.index = columns[len(columns)-1]
		s.in = append(columns[:params:params], s.index)
	}
	for k, c := range s.chunks {
		c.Batch.In, c.Batch.Out = cut(drawn, k*ChunkSize, c.Batch.N), cut(s.out, k*ChunkSize, c.Batch.N)
	}
}

// memory keeps what has been used for those to come, of other methods too.
type memory struct {
	columns idle[[]float64] // of spans
	tallies idle[*tally]
	rooms   idle[*program.Batch] // of pieces of path deviations
}

// numbers are n numbers, of any value, that m.columns may be given back.
func (m *memory) numbers(n int) []float64 {
	if c, ok := m.columns.take(); ok && cap(c) >= n {
		return c[:n]
	}
	return make([]float64, n)
}

// idle is a stack of what is not in use.
type idle[T any] struct {
	mu   sync.Mutex
	free []T
}

func (s *idle[T]) take() (t T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := len(s.free) - 1
	if k < 0 {
		return t, false
	}
	t = s.free[k]
	s.free = s.free[:k]
	return t, true
}

func (s *idle[T]) put(t T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, t)
}

// each calls work for the chunks k from first to end-1, several at a time. A span of one chunk has a thread of its own anyway.
func (s *span) each(ctx context.Context, first, end int, work func(k int, c *Chunk) error) error {
	if end-first == 1 {
		return work(first, s.chunks[first])
	}
	return each(ctx, min(end-first, runtime.GOMAXPROCS(0)), end-first, func(_ context.Context, i int) error {
		return work(first+i, s.chunks[first+i])
	})
}

// run fills in the results of a span: from an earlier run, the rest by the engine.
func (s *span) run(ctx context.Context, sw *Sweep, exe program.Executable, p *pieces) error {
	np := len(sw.Model.Problem().Params)
	err := s.each(ctx, 0, len(s.chunks), func(k int, c *Chunk) (err error) {
		n := c.Batch.N
		var index []float64
		if s.index != nil {
			index = s.index[k*ChunkSize:][:n]
		}
		if err := sw.inputs(c.First, n, c.Batch.In[:np], c.Batch.In[np:], index); err != nil {
			return err
		}
		if sw.Load != nil {
			c.Loaded, err = sw.Load(c)
		}
		return err
	})
	if err != nil {
		return err
	}
	// The stretches of samples that are not loaded are run, each in one batch or, to be saved, in pieces.
	from := 0
	for k, c := range s.chunks {
		if c.Loaded > 0 {
			if err := s.stretch(ctx, sw, exe, p, from, k*ChunkSize); err != nil {
				return err
			}
			from = k*ChunkSize + c.Loaded
		}
	}
	return s.stretch(ctx, sw, exe, p, from, s.n)
}

// stretch runs samples from..to-1 of a span.
func (s *span) stretch(ctx context.Context, sw *Sweep, exe program.Executable, p *pieces, from, to int) error {
	for at := from; at < to; {
		n := to - at
		if sw.Save != nil {
			n = min(n, p.size())
		}
		begin := time.Now()
		if err := exe.Run(ctx, &program.Batch{N: n, In: cut(s.in, at, n), Out: cut(s.out, at, n)}); err != nil {
			return err
		}
		seconds := time.Since(begin).Seconds()
		p.took(n, seconds)
		err := s.each(ctx, at/ChunkSize, (at+n-1)/ChunkSize+1, func(k int, c *Chunk) error {
			a, b := max(at-k*ChunkSize, 0), min(at+n-k*ChunkSize, c.Batch.N)
			c.Seconds += seconds * float64(b-a) / float64(n)
			if sw.Save == nil {
				return nil
			}
			return sw.Save(c, a, b)
		})
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

// pieces chooses how many samples to run before they are saved. A sample's bits do not depend
// on it.
type pieces struct {
	n    atomic.Int64
	most float64
}

const (
	firstPiece   = 16
	pieceSeconds = 0.5
)

func newPieces(most int) *pieces {
	p := &pieces{most: float64(most)}
	p.n.Store(firstPiece)
	return p
}

func (p *pieces) size() int { return int(p.n.Load()) }

func (p *pieces) took(n int, seconds float64) {
	if n < p.size() && seconds <= pieceSeconds {
		return // the end of a span, which says little
	}
	p.n.Store(int64(max(1, min(p.most, float64(n)*min(pieceSeconds/max(seconds, 1e-9), 8)))))
}

// sequence lets goroutines take turns in the order of their numbers 0, 1, ...
type sequence struct {
	mu   sync.Mutex
	turn *sync.Cond
	next int
	stop bool
}

func newSequence() *sequence {
	s := &sequence{}
	s.turn = sync.NewCond(&s.mu)
	return s
}

// wait returns when it is number i's turn, or with an error when ctx has ended. One that fails never passes its
// turn on: nothing is to follow what is missing.
func (s *sequence) wait(ctx context.Context, i int) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.stop = true
		s.turn.Broadcast()
		s.mu.Unlock()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.next < i && !s.stop {
		s.turn.Wait()
	}
	if s.next < i {
		return context.Cause(ctx)
	}
	return nil
}

// pass ends a turn.
func (s *sequence) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.turn.Broadcast()
}
