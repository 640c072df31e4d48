//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"gorgonia.org/cu"

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

// A failure of any allocation or launch ends the Run with one line and the whole of its memory given back; the
// next Run works where the driver says that it can.
func TestFailures(t *testing.T) {
	if onGPU {
		return
	}
	r := rand.New(rand.NewPCG(1, 2))
	p := progtest.Program(r, 2, 80)
	want := p.NewBatch(300)
	for i := range want.In {
		for s := range want.N {
			want.In[i][s] = progtest.Number(r)
		}
	}
	for _, c := range []struct {
		setting string
		times   int
		lasting bool
		word    string
	}{
		{"oom", 6, false, "CUDA_ERROR_OUT_OF_MEMORY"}, // as many allocations as a traced Run makes
		{"launch", 1, false, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
		{"lost", 1, true, "CUDA_ERROR_UNKNOWN"},
	} {
		for k := 1; k <= c.times; k++ {
			what := fmt.Sprintf("%s=%d", c.setting, k)
			standin(t, "")
			e, err := New(0)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := differ(e, p, want, true); d != "" || err != nil { // loads the kernels
				t.Fatal(d, err)
			}
			exe, err := e.Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := exe.Run(context.Background(), want); err != nil {
				t.Fatal(err)
			}
			before := freeMemory(t, e)
			standin(t, what)
			err = exe.Run(context.Background(), want)
			oneLine(t, what, err, c.word)
			for _, col := range want.Out {
				for s, v := range col {
					if v != 0 {
						t.Fatalf("%s: sample %d has a result %v", what, s, v)
					}
				}
			}
			standin(t, "")
			if c.lasting {
				oneLine(t, what+", then", exe.Run(context.Background(), want), c.word)
				continue // nothing can be freed either
			}
			if after := freeMemory(t, e); after != before {
				t.Errorf("%s: %d bytes are not given back", what, before-after)
			}
			if d, err := differ(e, p, want, true); d != "" || err != nil {
				t.Errorf("%s: afterwards %s %v", what, d, err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}

	standin(t, "memory=40000")
	e := open(t)
	_, err := differ(e, p, want, false)
	oneLine(t, "little memory", err, "bytes", "--device cpu")
}

func freeMemory(t *testing.T, e *Engine) (free int64) {
	t.Helper()
	err := e.do(func() (err error) {
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
