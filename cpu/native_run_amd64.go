//go:build linux || darwin || windows

package cpu

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"invar/cpu/internal/amd64"
	"invar/program"
)

//go:noescape
func enter(code uintptr, f *frame)

// bestSet is the name of the best instruction set, after a trial that code can be run.
var bestSet = sync.OnceValues(func() (string, error) {
	s, err := sets()
	if err != nil {
		return "", err
	}
	if err := try(executablePages); err != nil {
		return "", err
	}
	return s[0].name, nil
})

// try runs code that does nothing.
func try(allocate func(code []byte) ([]byte, error)) error {
	var a amd64.Asm
	a.Return()
	pages, err := allocate(a.Code())
	if err != nil {
		return err
	}
	enter(uintptr(unsafe.Pointer(&pages[0])), &frame{})
	freePages(pages)
	return nil
}

func (e Native) compile(p *program.Program) (program.Executable, error) {
	if _, err := bestSet(); err != nil {
		return nil, fmt.Errorf("cpu: no native code: %w", err)
	}
	all, _ := sets()
	isa := all[0]
	if e.Set != "" {
		isa = nil
		for _, s := range all {
			if s.name == e.Set {
				isa = s
			}
		}
		if isa == nil {
			return nil, fmt.Errorf("cpu: no native code: the processor has no %s", e.Set)
		}
	}
	n, err := emitSafely(p, isa)
	if err != nil {
		return nil, err
	}
	x, err := newNativeExecutable(p, n, e.Threads)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// emitSafely is emitProgram for users: whatever fails, another engine can run the program.
func emitSafely(p *program.Program, isa *isa) (n *native, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = nil, &unfitError{p.Name, fmt.Sprintf("a defect of the native engine, please report it: %v", r)}
		}
	}()
	if n, err = emitProgram(p, isa, emitOptions{}); err != nil {
		return nil, &unfitError{p.Name, err.Error()}
	}
	return n, nil
}

// unfitError says why a program cannot be native code.
type unfitError struct{ program, why string }

func (e *unfitError) Error() string        { return "cpu: " + e.program + ": " + e.why }
func (e *unfitError) Is(target error) bool { return target == program.ErrUnfit }

// nativeExecutable is a program's code on its pages.
type nativeExecutable struct {
	*native
	p       *program.Program
	threads int
	pages   []byte

	constMem []uint64 // aligned
	portable func() (program.Executable, error)
	watch    func(*frame) // for tests: called after each call of the code
}

func newNativeExecutable(p *program.Program, n *native, threads int) (*nativeExecutable, error) {
	pages, err := executablePages(n.code)
	if err != nil {
		return nil, fmt.Errorf("cpu: no native code: %w", err)
	}
	x := &nativeExecutable{native: n, p: p, threads: threads, pages: pages}
	x.constMem = aligned(len(n.constantMemory()))
	copy(x.constMem, n.constantMemory())
	x.portable = sync.OnceValues(func() (program.Executable, error) { return Portable{Threads: threads}.Compile(p) })
	n.code = nil
	runtime.AddCleanup(x, freePages, pages)
	return x, nil
}

// aligned returns n words that start a cache line.
func aligned(n int) []uint64 {
	m := make([]uint64, n+8)
	skip := (64 - int(uintptr(unsafe.Pointer(&m[0]))&63)) / 8 & 7
	return m[skip : skip+n : skip+n]
}

func addressOf(m []uint64) uintptr {
	if len(m) == 0 {
		return 0
	}
	return uintptr(unsafe.Pointer(&m[0]))
}

// lanes is what one core works on and with.
type lanes struct {
	x         *nativeExecutable
	frame     frame
	memory    []uint64
	scratch   []uint64
	in        []uint64 // inputs of less than a strip of samples, as columns
	pool      []uint64
	ended     []uint64
	results   []uint64 // of ended samples, as columns
	list      []uint64 // addresses of columns
	fixed     []uint64
	moving    [2][]uint64
	number    []uint64 // column of the pool
	strips    int      // in use
	from, end int      // samples of the batch that are this core's and do not wait in the pool yet
	side      []int    // samples that Setup ended
	done      <-chan struct{}
}

// idleLanes are *lanes that nobody works on: what one program has used is in the caches, and serves the next.
var idleLanes sync.Pool

// worker gives what a core needs to work on x. What is in its memory is of no account.
func (x *nativeExecutable) worker() *lanes {
	w, ok := idleLanes.Get().(*lanes)
	if !ok {
		w = &lanes{}
	}
	setupOut := len(x.stages.Setup.Out)
	sizes := [...]int{ // bytes
		x.below + x.above, x.inputs * x.column(), max(x.columns(), setupOut+1) * x.poolPitch(), x.columns() * x.endedPitch(),
		x.results * x.endedPitch(), 8 * max(x.inputs, x.results), x.strips * x.fixedStrip(), x.strips * x.movingStrip(), x.strips * x.movingStrip(),
	}
	total := 0
	for i := range sizes {
		sizes[i] = (sizes[i]/8+7)&^7 + 8
		total += sizes[i]
	}
	if len(w.memory) < total {
		w.memory = aligned(total)
	}
	rest := w.memory
	for i, s := range []*[]uint64{&w.scratch, &w.in, &w.pool, &w.ended, &w.results, &w.list, &w.fixed, &w.moving[0], &w.moving[1]} {
		*s, rest = rest[:sizes[i]:sizes[i]], rest[sizes[i]:]
	}
	w.x, w.number = x, w.pool[(x.columns()-1)*x.poolPitch()/8:][:x.poolLen]
	// Arrays and counters lie below the scratch register, slots from it on.
	below := (x.below + 63) &^ 63
	w.frame = frame{
		consts: addressOf(x.constMem), scratch: addressOf(w.scratch) + uintptr(below), all: w.all(),
		pool: addressOf(w.pool), ended: addressOf(w.ended), fixed: addressOf(w.fixed),
	}
	if len(x.tables) > 0 {
		w.frame.tables = uintptr(unsafe.Pointer(&x.tables[0]))
	}
	return w
}

// release gives w back.
func (w *lanes) release() {
	w.x, w.done = nil, nil
	idleLanes.Put(w)
}

// Run implements program.Executable. Results of samples that are not finished are 0, their status among them.
func (x *nativeExecutable) Run(ctx context.Context, b *program.Batch) error {
	if err := x.p.CheckBatch(b); err != nil {
		return err
	}
	var t *tracing
	if b.Trace != nil {
		if t = x.tracing(b); t == nil {
			p, err := x.portable()
			if err != nil {
				return err
			}
			return p.Run(ctx, b)
		}
	}
	threads := x.threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	threads = min(threads, (b.N+x.width()-1)/x.width()) // less than a strip is not worth sharing
	var next atomic.Int64
	if threads <= 1 {
		return unfinished(b, &next, x.work(ctx, b, t, &next, 1))
	}
	var wg sync.WaitGroup
	errs := make([]error, threads)
	for k := range threads {
		wg.Go(func() { errs[k] = x.work(ctx, b, t, &next, threads) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return unfinished(b, &next, err)
		}
	}
	return nil
}

// unfinished gives samples that nobody has begun with the results of unfinished ones, if there is an error.
func unfinished(b *program.Batch, next *atomic.Int64, err error) error {
	if first := int(next.Load()); err != nil && first < b.N {
		for _, col := range b.Out {
			clear(col[first:b.N])
		}
	}
	return err
}

// abandon gives the samples that this core has begun and not finished the results of unfinished ones. (What is
// finished has been written, so that no pass over all results needs to clear them first.)
func (w *lanes) abandon(b *program.Batch) {
	zero := func(s int) {
		for _, col := range b.Out {
			col[s] = 0
		}
	}
	for s := range w.x.strips {
		for r := *w.running(s); r != 0; r &= r - 1 {
			zero(int(*w.slot(nil, w.x.columns()-1, s, bits.TrailingZeros64(r))))
		}
	}
	for _, s := range w.number[w.frame.poolNext:w.frame.poolCount] {
		zero(int(s))
	}
	for _, s := range w.ended[(w.x.columns()-1)*w.x.endedPitch()/8:][:w.frame.endedCount] {
		zero(int(s))
	}
	for _, s := range w.side {
		zero(s)
	}
	for _, col := range b.Out {
		clear(col[w.from:w.end])
	}
}

// call runs one function of the code to its end, and reports whether it came there: not if the context ended before.
func (w *lanes) call(offset int) bool {
	f := &w.frame
	for f.point = 0; ; {
		f.left = w.x.options.call
		w.enter(offset)
		if f.point == 0 {
			return true
		}
		select {
		case <-w.done:
			return false
		default:
		}
	}
}

// enter calls the code. It is never inlined: its check of the stack is where the goroutine can be stopped
// between calls.
//
//go:noinline
func (w *lanes) enter(offset int) {
	enter(uintptr(unsafe.Pointer(&w.x.pages[0]))+uintptr(offset), &w.frame)
	if watch := w.x.watch; watch != nil {
		watch(&w.frame)
	}
}

// mapColumns runs one of the functions that map columns to columns, for whole strips that hold n samples. Like call it
// reports whether it came to the end.
func (w *lanes) mapColumns(offset int, cost float64, in, out uintptr, n int) bool {
	f, width, chunk := &w.frame, w.x.width(), w.x.budget(cost)
	f.in, f.out, f.offset = in, out, 0
	for left := (n + width - 1) / width; left > 0; left -= f.strips {
		f.strips = min(chunk, left)
		if !w.call(offset) {
			return false
		}
		f.offset += f.strips * w.x.column()
	}
	return true
}

// listed makes the list of a batch's columns, from entry first on in each, and returns its address. Whoever runs the batch
// keeps the columns alive.
func (w *lanes) listed(columns [][]float64, first int) uintptr {
	for k, col := range columns {
		w.list[k] = uint64(uintptr(unsafe.Pointer(&col[first])))
	}
	return addressOf(w.list)
}

// listedOwn does so with columns of the core's memory.
func (w *lanes) listedOwn(columns []uint64, n, pitch int) uintptr {
	for k := range n {
		w.list[k] = uint64(addressOf(columns)) + uint64(k*pitch)
	}
	return addressOf(w.list)
}

// begin makes all lanes idle.
func (w *lanes) begin() {
	f := &w.frame
	f.cur, f.next = addressOf(w.moving[0]), addressOf(w.moving[1])
	f.active, f.poolNext, f.poolCount, f.endedCount = 0, 0, 0, 0
	w.from, w.end, w.side = 0, 0, w.side[:0]
	w.strips = w.x.strips
	for s := range w.strips {
		*w.running(s) = 0
	}
}

// work runs samples until none are left or ctx ends; t is nil where no trace is wanted.
func (x *nativeExecutable) work(ctx context.Context, b *program.Batch, t *tracing, next *atomic.Int64, threads int) error {
	w := x.worker()
	defer w.release()
	w.begin()
	f := &w.frame
	w.done = ctx.Done()
	steps := x.budget(x.cost[1])
	for more := true; ; {
		select {
		case <-w.done:
			if f.active > 0 || f.poolNext < f.poolCount || f.endedCount > 0 || w.from < w.end || next.Load() < int64(b.N) {
				w.abandon(b)
				return ctx.Err()
			}
		default:
		}
		if more && f.poolNext == f.poolCount {
			var ok bool
			if more, ok = w.fill(b, next, threads); !ok {
				continue
			}
		}
		w.place()
		if f.active == 0 {
			if more || f.poolNext < f.poolCount {
				continue
			}
			return w.finishSide(ctx, b)
		}
		f.poolLimit = f.poolCount
		if !more {
			f.poolLimit = math.MaxInt
			w.closeUp()
		}
		f.steps, f.runBudget = max(1, steps/w.strips), steps
		if t != nil {
			if !w.trace(t) {
				continue
			}
			f.steps, f.runBudget = 1, 0
		}
		f.strips = w.strips
		if w.call(x.step) {
			w.collect(b)
		}
	}
}

// longestBlock is how many pools a core takes from the batch at once, at most: cores that work on neighbouring samples take
// cache lines from each other (measured: shares of single pools take two cores a fifth longer).
const longestBlock = 16

// take makes a block of the batch's next samples this core's. Towards the end the blocks get smaller, so that all cores end
// together.
func (w *lanes) take(b *program.Batch, next *atomic.Int64, threads int) {
	want := b.N
	if threads > 1 {
		width := w.x.width()
		share := max(0, b.N-int(next.Load())) / (2 * threads)
		want = min(longestBlock*w.x.poolLen, (share/width+1)*width)
	}
	end := int(next.Add(int64(want)))
	w.from, w.end = min(end-want, b.N), min(end, b.N)
}

// fill makes samples wait in the pool, and reports whether there may be more; ok is false if the context has ended before
// they could.
func (w *lanes) fill(b *program.Batch, next *atomic.Int64, threads int) (more, ok bool) {
	x, f := w.x, &w.frame
	if w.from == w.end {
		w.take(b, next, threads)
	}
	first, n := w.from, min(x.poolLen, w.end-w.from)
	w.from += n
	f.poolNext, f.poolCount = 0, n
	if n == 0 {
		return false, true
	}
	whole := n / x.width() * x.width() // samples in strips that the code may read where they are
	ok = true
	if whole > 0 {
		ok = w.mapColumns(x.setup, x.cost[0], w.listed(b.In, first), addressOf(w.pool), whole)
	}
	if ok && whole < n {
		for i, col := range b.In {
			copy(floats(w.in[i*x.width():][:x.width()]), col[first+whole:first+n])
		}
		ok = w.mapColumns(x.setup, x.cost[0], w.listedOwn(w.in, x.inputs, x.column()), addressOf(w.pool[whole:]), n-whole)
	}
	if !ok || !x.stages.Ended {
		for i := range w.number[:n] {
			w.number[i] = uint64(first + i)
		}
		return first+n < b.N, ok
	}
	// The status stands where the numbers will: close the gaps of samples that ended at once.
	to := 0
	for i := range n {
		if w.number[i] != 0 {
			w.side = append(w.side, first+i)
			continue
		}
		if to != i {
			for c := range x.columns() - 1 {
				col := w.pool[c*x.poolPitch()/8:]
				col[to] = col[i]
			}
		}
		w.number[to] = uint64(first + i)
		to++
	}
	f.poolCount = to
	return first+n < b.N, true
}

func floats(u []uint64) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(u))), len(u))
}

// running is strip s's word of running lanes.
func (w *lanes) running(s int) *uint64 {
	g := &w.x.geometry
	return &w.fixed[(s*g.fixedStrip()+(g.fixed+1)*g.column())/8]
}

// now is the block of moving slots that holds the present state.
func (w *lanes) now() []uint64 {
	if w.frame.cur == addressOf(w.moving[0]) {
		return w.moving[0]
	}
	return w.moving[1]
}

// slot is the place of column c (see geometry) of a lane.
func (w *lanes) slot(moving []uint64, c, strip, lane int) *uint64 {
	return &w.column(moving, c, strip)[lane]
}

// column is column c of a strip.
func (w *lanes) column(moving []uint64, c, strip int) []uint64 {
	g := &w.x.geometry
	from, at := w.fixed, strip*g.fixedStrip()+c*g.column()
	switch {
	case c == g.columns()-1:
		at = strip*g.fixedStrip() + g.fixed*g.column()
	case c >= g.fixed:
		from, at = moving, strip*g.movingStrip()+(c-g.fixed)*g.column()
	}
	return from[at/8:][:g.width()]
}

func (w *lanes) all() uint64 {
	if n := w.x.width(); n < 64 {
		return 1<<n - 1
	}
	return math.MaxUint64
}

// place puts waiting samples into lanes that are idle.
func (w *lanes) place() {
	x, f := w.x, &w.frame
	if f.poolNext == f.poolCount {
		return
	}
	w.strips = x.strips
	moving, all := w.now(), w.all()
	for s := 0; s < x.strips && f.poolNext < f.poolCount; s++ {
		r := w.running(s)
		idle := lowest(all&^*r, f.poolCount-f.poolNext)
		if idle == 0 {
			continue
		}
		for c := range x.columns() {
			to, from := w.column(moving, c, s), w.pool[c*x.poolPitch()/8:][f.poolNext:f.poolCount]
			if idle == all {
				copy(to, from)
				continue
			}
			for k, l := 0, idle; l != 0; k, l = k+1, l&(l-1) {
				to[bits.TrailingZeros64(l)] = from[k]
			}
		}
		*r |= idle
		n := bits.OnesCount64(idle)
		f.poolNext += n
		f.active += n
	}
}

// closeUp moves the last running samples together, so that no strip is stepped
// for a few of them.
func (w *lanes) closeUp() {
	x := w.x
	moving := w.now()
	for w.strips > 1 && w.frame.active <= (w.strips-1)*x.width() {
		last := w.strips - 1
		from := w.running(last)
		for s := 0; s < last && *from != 0; s++ {
			to := w.running(s)
			idle := lowest(w.all()&^*to, bits.OnesCount64(*from))
			move := lowest(*from, bits.OnesCount64(idle))
			for c := range x.columns() {
				there, here := w.column(moving, c, s), w.column(moving, c, last)
				for i, k := idle, move; i != 0; i, k = i&(i-1), k&(k-1) {
					there[bits.TrailingZeros64(i)] = here[bits.TrailingZeros64(k)]
				}
			}
			*to |= idle
			*from &^= move
		}
		w.strips--
	}
}

// lowest is the lowest n of the bits that are set in m.
func lowest(m uint64, n int) uint64 {
	for k := bits.OnesCount64(m); k > n; k-- {
		m &^= 1 << (bits.Len64(m) - 1)
	}
	return m
}

// collect writes the results of the samples that ended, if the context leaves time for it.
func (w *lanes) collect(b *program.Batch) {
	x, n := w.x, w.frame.endedCount
	if n == 0 {
		return
	}
	number := w.ended[(x.columns()-1)*x.endedPitch()/8:][:n]
	// Samples often end in the order in which they began: long stretches of successive numbers.
	stretches := 1
	for i, s := range number[1:] {
		if s != number[i]+1 {
			stretches++
		}
	}
	if stretches > n/16 {
		if !w.report(0, n) {
			return
		}
		for k, out := range b.Out {
			col := floats(w.results[k*x.endedPitch()/8:][:n])
			for i, s := range number {
				out[s] = col[i]
			}
		}
		w.frame.endedCount = 0
		return
	}
	for from, to := 0, 0; from < n; from = to {
		to = n
		if stretches > 1 {
			for to = from + 1; to < n && number[to] == number[to-1]+1; to++ {
			}
		}
		if !w.collectStretch(b, int(number[from]), from, to-from) {
			return
		}
	}
	w.frame.endedCount = 0
}

// collectStretch writes the results of n ended samples from entry from on, whose numbers follow one another from first.
func (w *lanes) collectStretch(b *program.Batch, first, from, n int) bool {
	x := w.x
	whole := n / x.width() * x.width() // samples in strips whose results the code may write where they belong
	if whole > 0 && !w.mapColumns(x.final, x.cost[2], addressOf(w.ended[from:]), w.listed(b.Out, first), whole) {
		return false
	}
	if whole < n {
		if !w.report(from+whole, n-whole) {
			return false
		}
		for k, out := range b.Out {
			copy(out[first+whole:], floats(w.results[k*x.endedPitch()/8:][:n-whole]))
		}
	}
	return true
}

// report writes the results of n ended samples from entry from on to the first entries of the columns of results.
func (w *lanes) report(from, n int) bool {
	x := w.x
	return w.mapColumns(x.final, x.cost[2], addressOf(w.ended[from:]), w.listedOwn(w.results, x.results, x.endedPitch()), n)
}

// finishSide runs the samples that ended at once. They report what Setup makes of
// slots that nothing else needs, which is left to the portable engine.
func (w *lanes) finishSide(ctx context.Context, b *program.Batch) error {
	n := len(w.side)
	if n == 0 {
		return nil
	}
	side := w.side
	w.side = w.side[:0]
	p, err := w.x.portable()
	if err != nil {
		return err
	}
	part := w.x.p.NewBatch(n)
	for k, s := range side {
		for i := range b.In {
			part.In[i][k] = b.In[i][s]
		}
	}
	err = p.Run(ctx, part)
	for k, s := range side {
		for i := range b.Out {
			b.Out[i][s] = part.Out[i][k]
		}
	}
	return err
}
