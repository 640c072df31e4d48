package batch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/program"
	"invar/sampling"
)

// wide is an engine that wishes for a number of samples at a time, and fails or stops the sweep on demand.
type wide struct {
	cpu.Portable
	wish  int
	makes bool
	fail  func(run int) error // before Run number run, from 0

	mu     sync.Mutex
	runs   []int // samples of each, those that are traced left out
	inputs int   // of the last of these
	all    int   // Runs
}

func (e *wide) Name() string      { return "wide" }
func (e *wide) BatchSize() int    { return e.wish }
func (e *wide) MakesStarts() bool { return e.makes }

func (e *wide) Compile(p *program.Program) (program.Executable, error) {
	x, err := e.Portable.Compile(p)
	return &wideRun{e, x}, err
}

type wideRun struct {
	e *wide
	program.Executable
}

func (x *wideRun) Run(ctx context.Context, b *program.Batch) error {
	x.e.mu.Lock()
	if b.Trace == nil {
		x.e.runs, x.e.inputs = append(x.e.runs, b.N), len(b.In)
	}
	k := x.e.all
	x.e.all++
	x.e.mu.Unlock()
	if x.e.fail != nil {
		if err := x.e.fail(k); err != nil {
			for _, col := range b.Out { // what it leaves is nobody's result
				for i := range b.N {
					col[i] = -1
				}
			}
			return err
		}
	}
	return x.Executable.Run(ctx, b)
}

// delivery is what a sweep hands to its Sink.
type delivery []string

// take is a Sink that notes all of a chunk, its numbers by a checksum of their bits.
func (d *delivery) take(c *batch.Chunk) error {
	sum := fnv.New64a()
	for _, cols := range [][][]float64{c.Batch.In, c.Batch.Out} {
		for _, col := range cols {
			if err := binary.Write(sum, binary.LittleEndian, col[:c.Batch.N]); err != nil {
				return err
			}
		}
	}
	*d = append(*d, fmt.Sprint(c.Method, c.Index, c.First, c.Loaded, c.Batch.N, sum.Sum64()))
	return nil
}

// cellsAre compares reports but for the times.
func cellsAre(t *testing.T, what string, got, want []batch.Cell) {
	t.Helper()
	text := func(cells []batch.Cell) string {
		var s []string
		for _, c := range cells {
			best := c.Best
			c.Seconds, c.Best = 0, nil // a pointer in it would be printed as such
			s = append(s, fmt.Sprintf("%+v, best %+v\n", c, best))
		}
		return fmt.Sprint(s)
	}
	if g, w := text(got), text(want); g != w {
		t.Errorf("%s: cells\n%s\nwant\n%s", what, g, w)
	}
}

const wideSamples = 5 * 1801 // of a method: four chunks and a part of one

func wideSweep(t *testing.T, e *wide) *batch.Sweep {
	m := model(t, "square")
	return &batch.Sweep{Model: m, Grid: alphas(t, "0.1:10:5"), Starts: drawn(t, m, wideSamples/5), Methods: specs(t, "newton,lm"),
		Limits: batch.DefaultLimits(true), Engine: e}
}

// However many samples the engine wants at a time, and on any number of threads, the same chunks come in the same order, and
// the engine gets what it wants.
func TestSpans(t *testing.T) {
	var want delivery
	sw := wideSweep(t, &wide{})
	sw.Sink = want.take
	rep := report(t, sw)
	if len(want) != 2*5 {
		t.Fatalf("%d chunks, want 10", len(want))
	}
	for _, wish := range []int{1, 2047, 2049, 4096, 5000, 3*2048 + 1, 1 << 24} {
		for _, threads := range []int{0, 1, 3} {
			what := fmt.Sprintf("%d wanted, %d threads", wish, threads)
			e := &wide{wish: wish}
			sw := wideSweep(t, e)
			var got delivery
			sw.Sink, sw.Threads = got.take, threads
			cellsAre(t, what, report(t, sw).Cells, rep.Cells)
			if !slices.Equal(got, want) {
				t.Errorf("%s: other chunks", what)
			}
			small := 0
			for _, n := range e.runs {
				if n < min(wish, wideSamples) {
					small++
				}
			}
			if small > 2 { // the end of each method
				t.Errorf("%s: runs of %v samples", what, e.runs)
			}
			batches, most := sw.InFlight(20)
			if wantBatches := map[int]int{0: 4, 1: 1, 3: 3}[threads]; batches != wantBatches || most < slices.Max(e.runs) {
				t.Errorf("%s: %d batches of %d samples in flight, the largest run has %d", what, batches, most, slices.Max(e.runs))
			}
		}
	}
}

// reporter is an engine that keeps the names of what the programs report that it compiles.
type reporter struct {
	cpu.Portable
	mu    sync.Mutex
	names [][]string
}

func (e *reporter) Compile(p *program.Program) (program.Executable, error) {
	var names []string
	for _, slot := range p.Results {
		names = append(names, p.Slots[slot].Name)
	}
	e.mu.Lock()
	e.names = append(e.names, names)
	e.mu.Unlock()
	return e.Portable.Compile(p)
}

// Where nobody looks at samples the engine reports of them what statistics are made of, and these are the same.
func TestCountedOnly(t *testing.T) {
	var want []batch.Cell
	for _, looked := range []bool{true, false} {
		e := &reporter{}
		m := model(t, "exponential")
		sw := &batch.Sweep{Model: m, Starts: drawn(t, m, 3000), Methods: specs(t, "gd,newton,bfgs"), Limits: batch.DefaultLimits(true), Engine: e}
		if looked {
			sw.Sink = func(*batch.Chunk) error { return nil }
		}
		cells := report(t, sw).Cells
		if want == nil {
			want = cells
		}
		if !slices.ContainsFunc(cells, func(c batch.Cell) bool { return c.Fallbacks > 0 }) {
			t.Error("no cell has fallbacks")
		}
		cellsAre(t, fmt.Sprintf("looked at: %t", looked), cells, want)
		both := slices.ContainsFunc(e.names, func(names []string) bool {
			return slices.Contains(names, "loss") && slices.Contains(names, "grad_norm")
		})
		if both != looked {
			t.Errorf("looked at: %t: programs report %q", looked, e.names)
		}
	}
}

// The memory of what is in flight is bounded, whatever the engine wants.
func TestSpanMemory(t *testing.T) {
	sw := wideSweep(t, &wide{wish: 1 << 40})
	sw.Starts = drawn(t, sw.Model, 1<<26)
	for _, columns := range []int{1, 20, 1000, 1 << 20} {
		if batches, n := sw.InFlight(columns); batches != 4 || n < batch.ChunkSize || n%batch.ChunkSize != 0 || n > batch.ChunkSize && 8*n*columns > 128<<20 {
			t.Errorf("%d batches of %d samples with %d columns", batches, n, columns)
		}
	}
}

// The parts of a divided sweep have the same chunks.
func TestSpansOfShards(t *testing.T) {
	for shard := range 3 {
		own := func(method, chunk int) bool { return (5*method+chunk)%3 == shard }
		var want, got delivery
		e := &wide{wish: 4000}
		sw := wideSweep(t, &wide{})
		sw.Sink, sw.Own = want.take, own
		report(t, sw)
		sw = wideSweep(t, e)
		sw.Sink, sw.Own = got.take, own
		if rep := report(t, sw); len(rep.Cells) > 0 {
			t.Errorf("shard %d: %d cells", shard, len(rep.Cells))
		}
		if len(got) < 3 || !slices.Equal(got, want) {
			t.Errorf("shard %d: %d chunks differ from %d", shard, len(got), len(want))
		}
		if len(e.runs) != 2 { // one a method: of each it owns two chunks at most
			t.Errorf("shard %d: runs of %v samples", shard, e.runs)
		}
	}
}

// saved keeps what Save gets and gives it to Load.
type saved struct {
	t    *testing.T
	mu   sync.Mutex
	rows map[[2]int64][]float64 // by method and sample
}

func (s *saved) save(c *batch.Chunk, from, to int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := from; k < to; k++ {
		var row []float64
		for _, col := range c.Batch.Out {
			row = append(row, col[k])
		}
		key := [2]int64{int64(c.Method), c.First + int64(k)}
		if s.rows[key] != nil {
			s.t.Errorf("method %d: sample %d is saved twice", key[0], key[1])
		}
		s.rows[key] = row
	}
	return nil
}

// load gives back the first samples of a chunk, none or all of them.
func (s *saved) load(c *batch.Chunk) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; n < c.Batch.N; n++ {
		row := s.rows[[2]int64{int64(c.Method), c.First + int64(n)}]
		if row == nil {
			break
		}
		for k, v := range row {
			c.Batch.Out[k][n] = v
		}
	}
	return n, nil
}

// A sweep that is broken off at any Run goes on, loaded chunks and parts of chunks lying anywhere, and hands over what
// an unbroken one does; what had come before the break is the beginning of it.
func TestSpansResume(t *testing.T) {
	strip := func(d delivery) delivery { // how many were loaded
		r := make(delivery, len(d))
		for i, s := range d {
			var m, k, first, loaded int
			if _, err := fmt.Sscan(s, &m, &k, &first, &loaded); err != nil {
				t.Fatal(err)
			}
			r[i] = fmt.Sprint(m, k, first, s[len(fmt.Sprint(m, k, first, loaded)):])
		}
		return r
	}
	var whole delivery
	sw := wideSweep(t, &wide{})
	sw.Sink = whole.take
	rep := report(t, sw)
	whole = strip(whole)
	rnd := rand.New(rand.NewPCG(1, 2))
	broken := 0
	for k := range 24 {
		s := &saved{t: t, rows: map[[2]int64][]float64{}}
		var first, second delivery
		ctx, cancel := context.WithCancel(context.Background())
		sw := wideSweep(t, &wide{wish: 5000, fail: func(run int) error {
			if run >= k {
				cancel()
			}
			return ctx.Err()
		}})
		sw.Sink, sw.Save, sw.Load = first.take, s.save, s.load
		part, err := sw.Run(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err != nil {
			broken++
		}
		if first = strip(first); !slices.Equal(first, whole[:len(first)]) {
			t.Errorf("broken at run %d: the first %d chunks differ", k, len(first))
		}
		partial := slices.Clone(rep.Cells[:len(part.Cells)])
		for i := range partial {
			if math.IsNaN(part.Cells[i].PathDeviation) { // what is computed last
				partial[i].PathDeviation = math.NaN()
			}
		}
		cellsAre(t, fmt.Sprintf("broken at run %d", k), part.Cells, partial)

		for key := range s.rows { // lose some, as other threads and pieces would have
			if rnd.IntN(400) == 0 {
				delete(s.rows, key)
			}
		}
		for key := range s.rows { // what Load cannot give is not saved twice
			for at := key[1] / batch.ChunkSize * batch.ChunkSize; at < key[1]; at++ {
				if s.rows[[2]int64{key[0], at}] == nil {
					delete(s.rows, key)
					break
				}
			}
		}
		sw = wideSweep(t, &wide{wish: 5000})
		sw.Sink, sw.Save, sw.Load = second.take, s.save, s.load
		cellsAre(t, fmt.Sprintf("resumed from run %d", k), report(t, sw).Cells, rep.Cells)
		if second = strip(second); !slices.Equal(second, whole) {
			t.Errorf("resumed from run %d: the chunks differ", k)
		}
		if len(s.rows) != 2*wideSamples {
			t.Errorf("resumed from run %d: %d samples are saved, want %d", k, len(s.rows), 2*wideSamples)
		}
	}
	if broken < 8 {
		t.Errorf("only %d sweeps were broken off", broken)
	}
}

// What is saved comes in pieces that grow from small ones to all that a fast engine wants at a time.
func TestSpansSaved(t *testing.T) {
	const n = 150_000
	m := model(t, "square")
	e := &wide{wish: 1 << 20}
	var mu sync.Mutex
	saved := 0
	report(t, &batch.Sweep{Model: m, Starts: drawn(t, m, n), Methods: specs(t, "pg"), Limits: batch.DefaultLimits(true), Engine: e, Threads: 1,
		Save: func(c *batch.Chunk, from, to int) error {
			if from < 0 || from >= to || to > c.Batch.N {
				t.Errorf("samples %d to %d of %d are saved", from, to, c.Batch.N)
			}
			mu.Lock()
			saved += to - from
			mu.Unlock()
			return nil
		}})
	if saved != n || e.runs[0] > 100 || slices.Max(e.runs) < n/4 || len(e.runs) > 12 {
		t.Errorf("%d samples are saved from runs of %v, want %d", saved, e.runs, n)
	}
}

// The path deviations of many grid points come from few Runs.
func TestSpansPathDeviation(t *testing.T) {
	run := func(wish int) (*batch.Report, int) {
		e := &wide{wish: wish}
		m := model(t, "square")
		rep := report(t, &batch.Sweep{Model: m, Grid: alphas(t, "0.1:10:25"), Starts: drawn(t, m, 100), Methods: specs(t, "gd:lr=0.3"),
			Limits: batch.DefaultLimits(true), Engine: e})
		return rep, e.all - len(e.runs)
	}
	want, each := run(0)
	if each != 26 {
		t.Errorf("%d runs, want one for the reference and 25", each)
	}
	for wish, most := range map[int]int{1000: 3, 64: 26, 1 << 40: 2} {
		got, runs := run(wish)
		cellsAre(t, fmt.Sprintf("%d wanted", wish), got.Cells, want.Cells)
		if runs > most {
			t.Errorf("%d wanted: %d runs, want at most %d", wish, runs, most)
		}
	}
}

// A device that fails at any Run, in the middle of the samples or of the path deviations, changes no result when there is a
// spare engine, which then runs all the rest; it is said once. Without one the sweep ends with that error.
func TestSpare(t *testing.T) {
	lost := fmt.Errorf("wide: fell off the bus: %w", program.ErrDevice)
	var want delivery
	sw := wideSweep(t, &wide{})
	sw.Sink = want.take
	rep := report(t, sw)
	for k := 0; ; k++ {
		e := &wide{wish: 4096, fail: func(run int) error {
			if run >= k {
				return lost
			}
			return nil
		}}
		spare := &wide{}
		var said []error
		sw := wideSweep(t, nil)
		sw.Engine = program.WithSpare(e, spare, func(err error) { said = append(said, err) })
		if name := sw.Engine.Name(); name != "wide" {
			t.Fatalf("engine %s", name)
		}
		var got delivery
		sw.Sink = got.take
		cellsAre(t, fmt.Sprintf("lost at run %d", k), report(t, sw).Cells, rep.Cells)
		if !slices.Equal(got, want) {
			t.Errorf("lost at run %d: other chunks", k)
		}
		if len(said) == 0 { // it had no more to run
			if k < 8 || spare.all > 0 {
				t.Errorf("%d runs of the first engine, %d of the spare", e.all, spare.all)
			}
			break
		}
		if len(said) != 1 || said[0] != lost || spare.all == 0 || sw.Engine.Name() != "wide, then wide" {
			t.Errorf("lost at run %d: said %v, %d runs of the spare, engine %s", k, said, spare.all, sw.Engine.Name())
		}
		if e.all > k+4 { // those that were going on
			t.Errorf("lost at run %d, and asked for %d", k, e.all)
		}

		e.all = 0
		sw = wideSweep(t, e)
		if _, err := sw.Run(context.Background()); !errors.Is(err, program.ErrDevice) {
			t.Errorf("lost at run %d, no spare: %v", k, err)
		}
	}
}

// An error that is not the device's is the sweep's, whatever spare there is.
func TestSpareIsForDevices(t *testing.T) {
	bad := errors.New("wide: the batch is wrong")
	e := &wide{wish: 4096, fail: func(int) error { return bad }}
	spare := &wide{}
	sw := wideSweep(t, nil)
	sw.Engine = program.WithSpare(e, spare, func(err error) { t.Error(err) })
	if _, err := sw.Run(context.Background()); err != bad || spare.all > 0 {
		t.Errorf("error %v, %d runs of the spare", err, spare.all)
	}
}

// When several Runs fail at a time, it is said once.
func TestSpareSaysOnce(t *testing.T) {
	var together sync.WaitGroup
	together.Add(2)
	e := &wide{wish: 4096, fail: func(run int) error {
		if run < 2 { // of the three spans
			together.Done()
			together.Wait()
		}
		return program.ErrDevice
	}}
	var said atomic.Int64
	sw := wideSweep(t, nil)
	sw.Engine = program.WithSpare(e, &wide{}, func(error) { said.Add(1) })
	report(t, sw)
	if said.Load() != 1 || e.all < 2 {
		t.Errorf("%d runs fail, said %d times", e.all, said.Load())
	}
}

// An engine that wants many samples at a time makes the starts, where they can be written, and the results are the same,
// whether or not a Sink wants to see the starts.
func TestStartsMade(t *testing.T) {
	m := model(t, "rosenbrock")
	for i, sampler := range append(sampling.Names(), "uniform") {
		dtype := program.F64
		if i == len(sampling.Names()) {
			dtype = program.F32
		}
		starts, err := batch.Draw(m.Problem(), sampler, 77, 3001)
		if err != nil {
			t.Fatal(err)
		}
		run := func(e *wide, sink func(*batch.Chunk) error) *batch.Report {
			return report(t, &batch.Sweep{Model: m, Grid: alphas(t, "0.5,1,20"), Starts: starts, Methods: specs(t, "newton"), DType: dtype,
				Limits: batch.DefaultLimits(true), Engine: e, Sink: sink})
		}
		var want, got delivery
		rep := run(&wide{}, want.take)
		inputs := 1 + m.Problem().N()
		if sampler == "uniform" {
			inputs = 1 + 1
		}
		for _, sink := range []func(*batch.Chunk) error{nil, got.take} {
			e := &wide{wish: 5000}
			cellsAre(t, sampler, run(e, sink).Cells, rep.Cells)
			if e.inputs != inputs {
				t.Errorf("%s: %d inputs, want %d", sampler, e.inputs, inputs)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: other chunks", sampler)
		}
	}
	given := batch.Points{{1, 2}, {3, 4}, {-1, 0.5}}
	e := &wide{wish: 5000}
	report(t, &batch.Sweep{Model: m, Starts: given, Methods: specs(t, "newton"), Limits: batch.DefaultLimits(true), Engine: e})
	if e.inputs != 3 {
		t.Errorf("given starts: %d inputs, want 3", e.inputs)
	}
}

// An engine that makes starts faster than they are drawn makes those that are too many to be kept, and no others.
func TestStartsMadeWhenMany(t *testing.T) {
	m := model(t, "square")
	for n, made := range map[int]bool{1000: false, 1<<21 + 5: true} {
		run := func(e program.Engine, sink func(*batch.Chunk) error) *batch.Report {
			return report(t, &batch.Sweep{Model: m, Starts: drawn(t, m, n), Methods: specs(t, "pg"), Limits: batch.DefaultLimits(true), Engine: e, Sink: sink})
		}
		e := &wide{makes: true}
		want := run(&wide{}, nil).Cells
		cellsAre(t, fmt.Sprint(n), run(e, nil).Cells, want)
		fastest, _ := cpu.Auto()
		cellsAre(t, fmt.Sprintf("%d, %s", n, fastest.Name()), run(fastest, nil).Cells, want)
		if (e.inputs == 2) != made {
			t.Errorf("%d starts: %d inputs", n, e.inputs)
		}
		if run(e, func(*batch.Chunk) error { return nil }); e.inputs != 3 {
			t.Errorf("%d starts and a sink: %d inputs, want 3: they are drawn in any case", n, e.inputs)
		}
	}
}

// What cannot be drawn is refused, whoever makes the starts.
func TestStartsRefused(t *testing.T) {
	m := model(t, "square")
	for _, n := range []int{100, 3 << 20} {
		sw := wideSweep(t, &wide{wish: 5000})
		few, box := drawn(t, m, n).(*batch.Sampled), drawn(t, m, n).(*batch.Sampled)
		few.N++
		box.Box = [][2]float64{{0, 1}, {2, 1}}
		for _, starts := range []*batch.Sampled{few, box} {
			sw.Starts = starts
			if _, err := sw.Run(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "sampling: ") {
				t.Errorf("%d starts: error %v", n, err)
			}
		}
	}
}
