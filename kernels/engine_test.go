//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/program/progtest"
)

// The tests run on the stand-in of internal/cudastandin, which they build; with INVAR_TEST_GPU=1 on the real driver
// and all its GPUs.
var onGPU = os.Getenv("INVAR_TEST_GPU") == "1"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if !onGPU {
			dir, err := os.MkdirTemp("", "cudastandin")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			make := exec.Command("make", "-s", "-C", "../internal/cudastandin", "OUT="+dir)
			make.Stderr = os.Stderr
			if err := make.Run(); err != nil {
				fmt.Fprintln(os.Stderr, "the stand-in cannot be built:", err)
				return 1
			}
			library = filepath.Join(dir, "libcuda.so.1")
		}
		return m.Run()
	}())
}

// standin sets what the stand-in does wrong.
func standin(t *testing.T, settings string) {
	t.Helper()
	t.Setenv("CUDASTANDIN", settings)
}

// open opens the devices of the given indices, all if none are given, and closes them at the test's end. The stand-in then refuses if
// anything is left on a device.
func open(t *testing.T, devices ...int) *Engine {
	t.Helper()
	e, err := New(devices...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return e
}

// The engine passes the suite that every engine passes, whatever the order of the threads, whenever the streams do what
// they are asked to, on one device and on several.
func TestEngine(t *testing.T) {
	for _, settings := range []string{"order=forward,streams=eager", "order=backward,streams=late,devices=2", "order=shuffle,devices=3,capability=70:90:120"} {
		t.Run(settings, func(t *testing.T) {
			standin(t, settings)
			e := open(t)
			progtest.Engine(t, e, 150, program.F64, program.F32)
		})
	}
}

// A launch that ends every few steps, and a memory that holds few samples, change nothing.
func TestSmallLaunches(t *testing.T) {
	e := open(t)
	e.budget = 1
	progtest.Engine(t, e, 60, program.F64, program.F32)
	e.budget, e.memory = 0, 64<<10
	progtest.Engine(t, e, 60, program.F64, program.F32)
}

// A batch that does not fit the GPU's memory is run in pieces. What they need is allocated once, and so is a kernel that is
// compiled again.
func TestPieces(t *testing.T) {
	if onGPU {
		return
	}
	standin(t, "memory=0x100000")
	e := open(t)
	p, _ := everyOperation()
	b := everyValue(p, 1)
	if bytes := 8 * b.N * (len(b.In) + len(b.Out)); bytes < 2<<20 {
		t.Fatalf("a batch of %d bytes fits the memory", bytes)
	}
	exe, err := e.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	loaded := freeMemory(t, e)
	first := everyValue(p, 1)
	if err := exe.Run(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	if taken := loaded - freeMemory(t, e); taken <= 0 || taken > 0x100000/2 {
		t.Errorf("the lanes took %d bytes of %d, want some and at most half", taken, 0x100000)
	}
	standin(t, "memory=0x100000,oom=1") // the next allocation would fail
	same(t, e, p, b, false)
	if len(e.devices[0].code) != 1 {
		t.Errorf("%d modules are loaded of one program, want 1", len(e.devices[0].code))
	}
	for _, l := range e.devices[0].free {
		if l.in.device == 0 {
			t.Error("a lane had nothing to do, or gave its memory back")
		}
	}
}

// Several devices share the samples of a batch, whatever memory they have; those that cannot be used are left out.
func TestSeveralDevices(t *testing.T) {
	if onGPU {
		return
	}
	standin(t, "devices=4,memory=0x100000:0x80000:0x40000000,capability=70:90:60:120")
	e := open(t)
	if got, want := e.Name(), "cuda:0,1,3"; got != want {
		t.Errorf("the devices %s are open, want %s", got, want)
	}
	if got, want := e.BatchSize(), waves*(2+3+3)*256; got != want {
		t.Errorf("a batch of %d samples is wished, want %d", got, want)
	}
	p, _ := everyOperation()
	same(t, e, p, everyValue(p, 1), false)
	for _, d := range e.devices {
		used := false
		for _, l := range d.free {
			used = used || l.in.device != 0
		}
		if !used {
			t.Errorf("device %d had nothing to do", d.Index)
		}
	}
	e.edit = func(text string) string { return strings.Replace(text, "fma.rn", "fma.rz", 1) }
	if err := e.Check(); err == nil || !strings.Contains(err.Error(), "cuda:0 computes") {
		t.Errorf("an fma that rounds toward zero: %v", err)
	}

	one := open(t, 1)
	if one.Name() != "cuda:1" {
		t.Errorf("device 1 is called %s", one.Name())
	}
	same(t, one, p, everyValue(p, 5), true)
	for _, c := range []struct {
		devices []int
		word    string
	}{{[]int{0, 2}, "compute capability 6.0; 7.0 or newer"}, {[]int{4}, "0..3 are there"}, {[]int{1, 1}, "named once"}} {
		_, err := New(c.devices...)
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("devices %v: %v, want %q", c.devices, err, c.word)
		}
	}
	standin(t, "devices=2,capability=60")
	if _, err := New(); err == nil || !strings.Contains(err.Error(), "compute capability 6.0") {
		t.Errorf("no device can be used: %v", err)
	}
}

// Every built-in problem x method gives the bits that the CPU gives, in either type.
func TestBuiltins(t *testing.T) {
	e := open(t)
	r := rand.New(rand.NewPCG(7, 8))
	pairs := 0
	models, err := graph.Builtins()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		p := m.Problem()
		for _, method := range batch.Methods() {
			if method.Supports(p) != nil {
				continue
			}
			pairs++
			limits := batch.DefaultLimits(len(p.Minima) > 0)
			limits.Iterations = 25
			for _, dtype := range []program.Type{program.F64, program.F32} {
				prog, err := batch.Compile(m, batch.Spec{Method: method}, batch.Options{Limits: limits, DType: dtype})
				if err != nil {
					t.Fatal(err)
				}
				if prog.Has(program.F32) != (dtype == program.F32) {
					t.Fatalf("%s is not in %s", prog.Name, dtype)
				}
				same(t, e, prog, starts(r, p, prog, 40), pairs%7 == 0)
			}
		}
	}
	if pairs < 100 {
		t.Errorf("%d problem x method pairs, want 100 or more", pairs)
	}
}

// starts is a batch of samples in the problem's box, now and then a nasty one.
func starts(r *rand.Rand, p *problem.Problem, prog *program.Program, n int) *program.Batch {
	b := prog.NewBatch(n)
	for s := range n {
		for i, q := range p.Params {
			b.In[i][s] = q.Default * math.Exp(r.NormFloat64())
		}
		for i, box := range p.Box {
			x := box[0] + r.Float64()*(box[1]-box[0])
			if s%5 == 4 {
				x = progtest.Special[r.IntN(len(progtest.Special))]
			}
			b.In[len(p.Params)+i][s] = x
		}
	}
	return b
}

// differ runs the batch on e and on the CPU and says where the results differ first, "" if nowhere.
func differ(e program.Engine, prog *program.Program, want *program.Batch, trace bool) (string, error) {
	return differWithin(context.Background(), e, prog, want, trace)
}

func differWithin(ctx context.Context, e program.Engine, prog *program.Program, want *program.Batch, trace bool) (string, error) {
	got := prog.NewBatch(want.N)
	got.In = want.In
	if trace {
		want.Trace, got.Trace = program.NewTrace(want.N, 8, prog.Results), program.NewTrace(want.N, 8, prog.Results)
	}
	for _, x := range []struct {
		e program.Engine
		b *program.Batch
	}{{cpu.Portable{}, want}, {e, got}} {
		exe, err := x.e.Compile(prog)
		if err != nil {
			return "", err
		}
		if err := exe.Run(ctx, x.b); err != nil {
			return "", err
		}
	}
	for k := range want.Out {
		for s := range want.N {
			if g, w := got.Out[k][s], want.Out[k][s]; !progtest.SameF64(g, w) {
				return fmt.Sprintf("%s: sample %d: %s is %v, want %v", prog.Name, s, prog.Slots[prog.Results[k]].Name, g, w), nil
			}
		}
	}
	for s := range want.N {
		if !trace {
			break
		}
		if got.Trace.Len[s] != want.Trace.Len[s] {
			return fmt.Sprintf("%s: sample %d: %d rows traced, want %d", prog.Name, s, got.Trace.Len[s], want.Trace.Len[s]), nil
		}
		for i, w := range want.Trace.Data[s] {
			if !progtest.SameF64(got.Trace.Data[s][i], w) {
				return fmt.Sprintf("%s: sample %d: traced number %d is %v, want %v", prog.Name, s, i, got.Trace.Data[s][i], w), nil
			}
		}
	}
	return "", nil
}

func same(t *testing.T, e program.Engine, prog *program.Program, b *program.Batch, trace bool) {
	t.Helper()
	d, err := differ(e, prog, b, trace)
	if err != nil {
		t.Fatalf("%s: %v", prog.Name, err)
	}
	if d != "" {
		t.Error(d)
	}
}

// Each operation gives the CPU's bits for all combinations of special values, and Check sees where one does not.
func TestSpecialValues(t *testing.T) {
	e := open(t)
	p, _ := everyOperation()
	same(t, e, p, everyValue(p, 1), false)
	if err := e.Check(); err != nil {
		t.Error(err)
	}
	e.edit = func(text string) string { return strings.Replace(text, "fma.rn", "fma.rz", 1) }
	if err := e.Check(); err == nil || !strings.Contains(err.Error(), "faulty") {
		t.Errorf("an fma that rounds toward zero: %v", err)
	}
}
