//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"invar/kernels/driver"
	"invar/kernels/ptx"
	"invar/program"
	"invar/program/progtest"
)

// oneLine checks that an error is one line with the given words and something to try.
func oneLine(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, w := range append(words, "kernels: ", "; ") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("%s: %q is not one line", what, err)
	}
}

// What may go wrong before a program runs is said in one line.
func TestNoDevice(t *testing.T) {
	if onGPU {
		return
	}
	for _, c := range []struct {
		settings string
		words    []string
	}{
		{"nodevice", []string{"CUDA_ERROR_NO_DEVICE", "nvidia-smi"}},
		{"devices=0", []string{"CUDA_ERROR_NO_DEVICE"}},
		{"version=9020", []string{"CUDA 9.2", "410", "newer driver"}},
	} {
		standin(t, c.settings)
		_, err := Devices()
		oneLine(t, c.settings, err, c.words...)
		_, err = New(0)
		oneLine(t, c.settings, err, c.words...)
	}
	standin(t, "devices=2")
	all, err := Devices()
	if err != nil || len(all) != 2 || all[1].Index != 1 || all[1].Name != "stand-in 1" || all[1].Memory != 1<<30 || all[1].Major != 7 {
		t.Errorf("devices %+v (%v), want two", all, err)
	}
	_, err = New(2)
	if err == nil || !strings.Contains(err.Error(), "0..1") {
		t.Errorf("device 2 of 2: %v", err)
	}
}

// faulty is a batch of several pieces and what becomes of it, its columns In and Out.
func faulty() (p *program.Program, want *program.Batch) {
	r := rand.New(rand.NewPCG(1, 2))
	p = progtest.Program(r, 2, 30)
	want = p.NewBatch(3000)
	for i := range want.In {
		for s := range want.N {
			want.In[i][s] = progtest.Number(r)
		}
	}
	progtest.Reference(p, want)
	return p, want
}

// wrong checks what a Run left, which returned err: samples that are finished have their results, the others have none;
// all are finished if there is no error, and an error is a device's, in one line.
func wrong(t *testing.T, what string, p *program.Program, got, want *program.Batch, err error) {
	t.Helper()
	if err != nil {
		oneLine(t, what, err, "CUDA_ERROR_", "cuda:")
		if !errors.Is(err, program.ErrDevice) {
			t.Errorf("%s: %v is not the device's error", what, err)
		}
	}
	for s := range got.N {
		done := false
		for k, slot := range p.Results {
			done = done || slot == p.Status && got.Out[k][s] != 0
		}
		if !done && err == nil {
			t.Fatalf("%s: sample %d is not finished", what, s)
		}
		for k := range got.Out {
			w := 0.
			if done {
				w = want.Out[k][s]
			}
			if g := got.Out[k][s]; !progtest.SameF64(g, w) {
				t.Fatalf("%s: result %d of sample %d (finished: %v) is %v, want %v", what, k, s, done, g, w)
			}
		}
	}
}

// live opens all devices, compiles, runs a batch and closes, with what the settings let go wrong. It returns the error that ended it and
// the errors of devices that were taken out; what is not right about either is an error of the test.
func live(t *testing.T, settings string, p *program.Program, want *program.Batch) (ended error, lost []error) {
	t.Helper()
	standin(t, settings)
	e, err := New()
	if err != nil {
		oneLine(t, settings, err, "CUDA_ERROR_")
		return err, nil
	}
	defer func() {
		if err := e.Close(); err != nil && !strings.Contains(settings, "lost=") { // then the Close may be what is hit
			t.Errorf("%s: %v", settings, err)
		}
	}()
	var mu sync.Mutex
	e.Lost = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		lost = append(lost, err)
		oneLine(t, settings, err, "CUDA_ERROR_", "cuda:")
	}
	exe, err := e.Compile(p)
	if err != nil {
		oneLine(t, settings, err, "CUDA_ERROR_")
		return err, lost
	}
	got := p.NewBatch(want.N)
	got.In = want.In
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	err = exe.Run(ctx, got)
	wrong(t, settings, p, got, want, err)
	if err != nil && len(e.devices) == 1 && strings.Contains(settings, "lost=") { // and so it stays
		again := exe.Run(ctx, got)
		wrong(t, settings+", then", p, got, want, again)
		if again == nil {
			t.Errorf("%s: a lost device ran again", settings)
		}
		if _, err := e.Compile(p); !errors.Is(err, program.ErrDevice) {
			t.Errorf("%s: a lost device compiles: %v", settings, err)
		}
	}
	return err, lost
}

// Whichever call a fault hits, the results are right or an error says what happened; nobody waits for ever, and
// nothing is left on a device.
func TestFaultAtEveryCall(t *testing.T) {
	if onGPU {
		return
	}
	p, want := faulty()
	for _, c := range []struct {
		fault  string // K is the number of the call
		most   int    // K goes so far; 0: until nothing happens
		always bool   // it is got over, whatever K
	}{
		{"oom=K", 40, true}, // smaller pieces
		{"oom=K@0,devices=2", 40, true},
		{"launch=K", 8, true}, // on another lane
		{"launch=K@1,devices=2", 8, true},
		{"lost=K", 0, false},
		{"lost=K@0,devices=2", 0, true}, // the other device
		{"lost=K@1,devices=3", 0, true},
	} {
		ended, got, clean := 0, 0, 0
		for k := 1; c.most == 0 || k <= c.most; k++ {
			settings := fmt.Sprintf("%s,seed=%d,streams=%s", strings.Replace(c.fault, "K", strconv.Itoa(k), 1), k, []string{"mixed", "late,pause=20", "eager"}[k%3])
			err, lost := live(t, settings, p, want)
			if err != nil {
				ended++
			}
			if err != nil && c.always {
				t.Errorf("%s: %v", settings, err)
			}
			if len(lost) > 1 {
				t.Errorf("%s: %d devices are lost, want 1: %v", settings, len(lost), lost)
			}
			got += len(lost)
			if t.Failed() {
				return
			}
			if k > 1000 {
				t.Fatalf("%s: still a fault at call %d", c.fault, k)
			}
			if clean++; err != nil || len(lost) > 0 {
				clean = 0
			}
			if c.most == 0 && clean == 10 { // how many calls a device gets is not always the same
				break
			}
		}
		if strings.HasPrefix(c.fault, "lost") && ended+got <= 7 {
			t.Errorf("%s: %d faults showed, want those of opening and compiling, which are 7, and more", c.fault, ended+got)
		}
	}
}

func freeMemory(t *testing.T, e *Engine) (free int64) {
	t.Helper()
	err := e.devices[0].do(func() (err error) {
		free, _, err = cu.MemInfo()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return free
}

// What the compiler says of a kernel stands in the error.
func TestCompilerLog(t *testing.T) {
	if onGPU {
		return
	}
	e := open(t)
	e.edit = func(text string) string { return strings.Replace(text, "ret;", "return;", 1) }
	p, _ := everyOperation()
	_, err := e.Compile(p)
	oneLine(t, "unknown instruction", err, "CUDA_ERROR_INVALID_PTX", "unknown instruction return", "line")
}

// The stand-in refuses what it should: what the other tests rely on.
func TestStandinIsStrict(t *testing.T) {
	if onGPU {
		return
	}
	standin(t, "quiet")
	b := program.NewBuilder("f")
	x := b.Input("x", program.F64)
	one, two := b.NewArray(3), b.NewArray(3)
	sum := b.Loop(program.At(0), program.At(3), []program.Value{x}, func(i program.Affine, v []program.Value) []program.Value {
		b.Store(one, i, v[0])
		b.Store(two, i, v[0])
		return []program.Value{b.Add(v[0], b.Load(one, i))}
	})
	p := progtest.Wrap(b.Finish(sum[0], b.Load(two, program.At(1))))
	for _, c := range []struct{ what, from, to, word string }{
		{"a register that is not set", `mov\.s32 (%w\d+), 0;`, "", "LAUNCH_FAILED"},
		{"an element of the array beside", `(ld\.local\.f64 %d\d+, \[%l\d+)\+0\]`, "$1+24]", "ILLEGAL_ADDRESS"},
		{"a word before the batch", `(ld\.global\.f64 %d\d+, \[%l\d+)\]; // x0`, "$1+-8];", "ILLEGAL_ADDRESS"},
		{"a word behind the batch", `(st\.global\.f64 \[%l\d+)\](.*// y1)`, "$1+8]$2", "ILLEGAL_ADDRESS"},
		{"an address that is not a multiple", `(ld\.global\.f64 %d\d+, \[%l\d+)\]; // x0`, "$1+4];", "ILLEGAL_ADDRESS"},
		{"a register of the wrong kind", `add\.rn\.f64 %d(\d+), %d\d+`, "add.rn.f64 %d$1, %l0", "INVALID_PTX"},
		{"a register that is not declared", `add\.rn\.f64 %d\d+`, "add.rn.f64 %d9999", "INVALID_PTX"},
		{"a label that is missing", `(?m)^taken_\d+:$`, "", "INVALID_PTX"},
		{"an unknown instruction", `add\.rn\.f64`, "add.f64", "INVALID_PTX"},
		{"one operand too few", `add\.rn\.f64 (\S+), (\S+), (\S+);`, "add.rn.f64 $1, $2;", "INVALID_PTX"},
		{"an integer for a number", `add\.rn\.f64 (\S+), (\S+), (\S+);`, "add.rn.f64 $1, $2, 1;", "INVALID_PTX"},
		{"another entry", ptx.Entry, "other", "NOT_FOUND"},
		{"no end", `ret;\n}`, "}", "INVALID_PTX"},
	} {
		e, err := New(0)
		if err != nil {
			t.Fatal(err)
		}
		changed := false
		e.edit = func(text string) string {
			edited := regexp.MustCompile(c.from).ReplaceAllString(text, c.to)
			changed = edited != text
			return edited
		}
		batch := p.NewBatch(130)
		for s := range batch.N {
			batch.In[0][s] = 1 + float64(s)
		}
		_, err = differ(e, p, batch, false)
		if !changed {
			t.Errorf("%s: the kernel has nothing of that kind", c.what)
		}
		oneLine(t, c.what, err, c.word)
		e.Close() // fails where the context is lost
	}
}

// Several Runs at once lose a device, and none of them notices.
func TestFaultBesideOthers(t *testing.T) {
	if onGPU {
		return
	}
	p, want := faulty()
	for k := range 20 {
		standin(t, fmt.Sprintf("devices=2,lost=%d@1,seed=%d", 20+7*k, k))
		e, err := New()
		if err != nil {
			t.Fatal(err)
		}
		exe, err := e.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var got [4]*program.Batch
		var errs [4]error
		for i := range got {
			got[i] = p.NewBatch(want.N)
			got[i].In = want.In
			wg.Go(func() { errs[i] = exe.Run(context.Background(), got[i]) })
		}
		wg.Wait()
		for i := range got {
			if errs[i] != nil {
				t.Error(errs[i])
			}
			wrong(t, fmt.Sprintf("run %d", i), p, got[i], want, nil)
		}
		standin(t, "devices=2")
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A memory of any size is enough, or the error says that it is not; a device of which it does is not needed where
// another has enough.
func TestLittleMemory(t *testing.T) {
	if onGPU {
		return
	}
	p, want := faulty()
	enough, little := 0, 0
	for bytes := 1000; bytes < 400_000; bytes = bytes * 3 / 2 {
		settings := fmt.Sprintf("memory=%d", bytes)
		err, _ := live(t, settings, p, want)
		if err == nil {
			enough++
			continue
		}
		little++
		if !strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY") || enough > 0 {
			t.Errorf("%s: %v, and less was enough %d times", settings, err, enough)
		}
		if err, _ := live(t, settings+":0x100000,devices=2", p, want); err != nil {
			t.Errorf("%s, and 1 MiB on another: %v", settings, err)
		}
	}
	if enough == 0 || little == 0 {
		t.Errorf("%d memories are enough, %d too little; want some of both", enough, little)
	}
}

// Memory that others take after the engine was opened is done without: in smaller pieces, on fewer lanes, with what idle
// lanes had.
func TestMemoryTaken(t *testing.T) {
	if onGPU {
		return
	}
	p, want := faulty()
	for _, bytes := range []int{20_000, 40_000, 70_000, 100_000, 150_000, 200_000} {
		standin(t, "")
		e := open(t)
		exe, err := e.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		run := func(what string, n, rows int) {
			got := p.NewBatch(n)
			got.In = want.In
			if rows > 0 {
				got.Trace = program.NewTrace(n, rows, p.Results)
			}
			wrong(t, fmt.Sprintf("%d bytes, %s", bytes, what), p, got, want, exe.Run(context.Background(), got))
			if err := e.devices[0].lost; err != nil {
				t.Errorf("%d bytes, %s: the device is lost: %v", bytes, what, err)
			}
		}
		standin(t, fmt.Sprintf("memory=%d", bytes))
		run("untraced", want.N, 0)
		for _, n := range []int{10, want.N} { // one lane, all lanes
			standin(t, "")
			run("all is back", want.N, 0)
			standin(t, fmt.Sprintf("memory=%d", bytes))
			run("traced", n, 4)
		}
	}
}

// A memory that has room for one sample on one lane is enough, whatever the other lanes take first.
func TestOneSampleFits(t *testing.T) {
	if onGPU {
		return
	}
	p, want := faulty()
	for range 200 {
		standin(t, "")
		e := open(t)
		exe, err := e.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		k, err := exe.(*executable).kernel(nil)
		if err != nil {
			t.Fatal(err)
		}
		lane := 8 * (k.Inputs + k.Results + 2 + k.Saved*ptx.Block)
		standin(t, fmt.Sprintf("memory=%d", 1<<30-freeMemory(t, e)+int64(lane)))
		got := p.NewBatch(6)
		got.In = want.In
		err = exe.Run(context.Background(), got)
		if wrong(t, "one sample fits", p, got, want, err); err != nil {
			t.Fatal(err)
		}
	}
}

// A lane whose launch failed is as good as new.
func TestLaneAfterFailure(t *testing.T) {
	if onGPU {
		return
	}
	p, want := faulty()
	standin(t, "")
	e := open(t)
	exe, err := e.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	k, err := exe.(*executable).kernel(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := p.NewBatch(want.N)
	got.In = want.In
	standin(t, "launch=1,streams=late")
	l := e.devices[0].free[0]
	err = l.d.do(func() error {
		return l.run(context.Background(), k.Kernel, k.on[0].code, got, span{0, 100}, 1, firstSteps)
	})
	wrong(t, "the launch fails", p, got, want, err)
	if err == nil {
		t.Error("no error")
	}
	err = l.d.do(func() error {
		return l.run(context.Background(), k.Kernel, k.on[0].code, got, span{100, 100}, 1, firstSteps)
	})
	if err != nil {
		t.Error(err)
	}
	for k := range got.Out {
		for s := 100; s < 200; s++ {
			if g, w := got.Out[k][s], want.Out[k][s]; !progtest.SameF64(g, w) {
				t.Fatalf("then: result %d of sample %d is %v, want %v", k, s, g, w)
			}
		}
	}
}

// A Run that is interrupted ends soon and keeps what is finished, on all devices.
func TestInterrupt(t *testing.T) {
	standin(t, "devices=2")
	e := open(t)
	set, step := program.NewBuilder("setup"), program.NewBuilder("step")
	x := set.Input("x", program.F64)
	prog := &program.Program{Name: "for ever", In: []string{"x"}, Status: 1, Iteration: 2, Results: []int{0, 1},
		Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}}}
	prog.Setup = set.Finish(x, set.I(0), set.I(0))
	y := step.Input("x", program.F64)
	step.Input("status", program.I64)
	it := step.Input("iteration", program.I64)
	prog.Step = step.Finish(step.Add(y, step.F(1)), step.Select(step.Lt(y, step.F(0)), step.I(1), step.I(0)), step.IAdd(it, step.I(1)))
	exe, err := e.Compile(prog)
	if err != nil {
		t.Fatal(err)
	}
	b := prog.NewBatch(5000)
	for s := range b.N {
		b.In[0][s] = -1
		if s%100 == 50 {
			b.In[0][s] = 1 // it never ends
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	const after = 300 * time.Millisecond
	time.AfterFunc(after, stop)
	begin := time.Now()
	if err := exe.Run(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if d := time.Since(begin); d < after || d > after+20*time.Second { // it would never end
		t.Errorf("interrupted after %v it ended after %v", after, d)
	}
	ended := 0
	for s := range b.N {
		switch x, status := b.Out[0][s], b.Out[1][s]; {
		case s%100 != 50 && status == 1 && x == 0:
			ended++
		case status != 0 || x != 0:
			t.Errorf("sample %d: status %v, x %v", s, status, x)
		}
	}
	if ended < 100 {
		t.Errorf("%d samples ended, want those beside the ones that never do", ended)
	}
}

// The stand-in refuses a host that uses memory wrongly: what the other tests rely on.
func TestStandinWatchesTheHost(t *testing.T) {
	if onGPU {
		return
	}
	const n = 16
	up := func(l *lane) error {
		l.up(&l.in, n)
		return l.err
	}
	var other *lane // of another device
	for _, c := range []struct {
		what, word string // no word: it is allowed
		do         func(l *lane) error
	}{
		{"nothing wrong", "", func(l *lane) error {
			for i := range l.in.host {
				l.in.host[i] = float64(i)
			}
			l.up(&l.in, n)
			l.wait()
			clear(l.in.host)
			l.down(&l.in, n)
			for i, v := range l.in.host {
				if v == v {
					return fmt.Errorf("number %d is there before it is waited for", i)
				}
			}
			l.wait()
			for i, v := range l.in.host {
				if v != float64(i) {
					return fmt.Errorf("number %d is %v", i, v)
				}
			}
			return l.err
		}},
		{"a copy from memory that is not page-locked", "InvalidValue", func(l *lane) error {
			return cu.MemcpyHtoDAsync(l.in.device, unsafe.Pointer(&make([]float64, n)[0]), 8*n, l.stream)
		}},
		{"a copy to memory that is not page-locked", "InvalidValue", func(l *lane) error {
			return cu.MemcpyDtoHAsync(unsafe.Pointer(&make([]float64, n)[0]), l.in.device, 8*n, l.stream)
		}},
		{"a copy of one number too many", "InvalidValue", func(l *lane) error {
			return cu.MemcpyHtoDAsync(l.in.device, unsafe.Pointer(&l.in.host[0]), 8*(n+1), l.stream)
		}},
		{"a copy to another device", "InvalidValue", func(l *lane) error {
			return cu.MemcpyHtoDAsync(other.in.device, unsafe.Pointer(&l.in.host[0]), 8*n, l.stream)
		}},
		{"a copy in another device's stream", "InvalidHandle", func(l *lane) error {
			return cu.MemcpyHtoDAsync(l.in.device, unsafe.Pointer(&l.in.host[0]), 8*n, other.stream)
		}},
		{"a copy in no stream", "InvalidHandle", func(l *lane) error {
			return cu.MemcpyHtoDAsync(l.in.device, unsafe.Pointer(&l.in.host[0]), 8*n, cu.Stream{})
		}},
		{"a change before the copy", "LAUNCH_FAILED", func(l *lane) error {
			l.up(&l.in, n)
			l.in.host[3] = 7
			l.wait()
			return l.err
		}},
		{"device memory freed before the copy", "InvalidValue", func(l *lane) error {
			return errors.Join(up(l), cu.MemFree(l.in.device))
		}},
		{"host memory freed before the copy", "InvalidValue", func(l *lane) error {
			return errors.Join(up(l), cu.MemFreeHost(unsafe.Pointer(&l.in.host[0])))
		}},
		{"a stream destroyed before the copy", "InvalidValue", func(l *lane) error {
			s := l.stream
			return errors.Join(up(l), s.Destroy())
		}},
		{"device memory freed twice", "InvalidValue", func(l *lane) error {
			m, err := cu.MemAlloc(8)
			return errors.Join(err, cu.MemFree(m), cu.MemFree(m))
		}},
		{"host memory freed twice", "InvalidValue", func(l *lane) error {
			p, err := driver.HostAlloc(8)
			return errors.Join(err, cu.MemFreeHost(p), cu.MemFreeHost(p))
		}},
		{"host memory read once it is freed", "fault", func(l *lane) (err error) {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			defer func() { err = fmt.Errorf("fault: %v", recover()) }()
			p, err := driver.HostAlloc(8)
			if err == nil {
				err = cu.MemFreeHost(p)
			}
			return fmt.Errorf("%v, read %v", err, *(*float64)(p))
		}},
		{"a number behind the host memory", "fault", func(l *lane) (err error) {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			defer func() { err = fmt.Errorf("fault: %v", recover()) }()
			return fmt.Errorf("read %v", *(*float64)(unsafe.Add(unsafe.Pointer(&l.in.host[0]), 8*n)))
		}},
		{"a context destroyed with what it has", "InvalidValue", func(l *lane) error {
			c := l.d.context
			return c.Destroy()
		}},
	} {
		standin(t, "quiet,streams=late,devices=2")
		e := open(t)
		other = e.devices[1].free[0]
		for _, d := range e.devices {
			d.do(func() error {
				d.free[0].ready(&d.free[0].in, n, true)
				return d.free[0].err
			})
		}
		l := e.devices[0].free[0]
		err := l.d.do(func() error {
			err := c.do(l)
			l.wait()
			return err
		})
		if c.word == "" && err != nil || c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)) {
			t.Errorf("%s: %v, want %s", c.what, err, c.word)
		}
	}
}
