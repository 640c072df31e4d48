// Package kernels runs programs on NVIDIA GPUs: package ptx writes a program as PTX, the driver compiles it for the
// GPU, and this package hands it batches of samples and brings the results back.
//
// The results are those of the CPU engines to the bit (all NaNs being one value): a program holds only operations
// that IEEE-754 fixes. docs/gpu.md says how far this is proven.
//
// The user's machine needs NVIDIA's driver (410 or newer) and a GPU of compute capability 7.0 or newer, nothing
// else. The driver is opened when [Devices] or [New] asks for it; without one these say so in one line. Built with
// the tag nocuda, without cgo, or on another system than Linux, they always do.
package kernels

import (
	"errors"
	"fmt"

	"invar/program"
)

// ErrNone is in the chain of an error that says that there is no GPU to be used: no driver, no device, or a program built without
// CUDA. Other errors say what is wrong with one that is there.
var ErrNone = errors.New("no GPU")

// Device is a GPU.
type Device struct {
	Index        int
	Name         string
	Memory       int64 // bytes
	Major, Minor int   // compute capability
}

// check reports what is wrong with a batch of p, as every engine does.
func check(p *program.Program, b *program.Batch) error {
	columns := func(what string, c [][]float64, n int) error {
		if len(c) != n {
			return fmt.Errorf("kernels: %s: a batch with %d %s columns, want %d", p.Name, len(c), what, n)
		}
		for i := range c {
			if len(c[i]) < b.N {
				return fmt.Errorf("kernels: %s: %s column %d has %d samples, want %d", p.Name, what, i, len(c[i]), b.N)
			}
		}
		return nil
	}
	if b.N < 0 {
		return fmt.Errorf("kernels: %s: a batch of %d samples, want 0 or more", p.Name, b.N)
	}
	if err := columns("input", b.In, len(p.In)); err != nil {
		return err
	}
	if err := columns("output", b.Out, len(p.Results)); err != nil {
		return err
	}
	t := b.Trace
	if t == nil {
		return nil
	}
	if len(t.Len) < b.N || len(t.Data) < b.N || t.Rows < 0 {
		return fmt.Errorf("kernels: %s: a trace of %d samples and %d rows, want %d samples and 0 rows or more", p.Name, min(len(t.Len), len(t.Data)), t.Rows, b.N)
	}
	for i := range b.N {
		if len(t.Data[i]) < t.Rows*len(t.Slots) {
			return fmt.Errorf("kernels: %s: a trace of %d numbers for sample %d, want %d rows of %d", p.Name, len(t.Data[i]), i, t.Rows, len(t.Slots))
		}
	}
	return nil
}
