//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"math"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"invar/kernels/driver"
	"invar/kernels/ptx"
	"invar/program"
)

// array is memory of a device, with page-locked memory on the host that is copied from and to.
type array struct {
	device cu.DevicePtr
	host   []float64 // nil: what stays on the device
	words  int
}

// lane runs one piece of a batch at a time, in a stream of its own: its samples are copied up, computed and copied down
// beside what the other lanes of the device do. Its methods need a thread with the device's context.
type lane struct {
	d      *device
	stream cu.Stream

	in, out, control, saved, trace, lengths array // the kernel's parameters

	err error // the first of the calls since the piece began
}

// try notes the first error of a call.
func (l *lane) try(call string, err error) {
	if l.err == nil && err != nil {
		l.err = l.d.fault(call, err)
	}
}

// ready has an array hold at least so many words, on the host too if that is asked for.
func (l *lane) ready(a *array, words int, host bool) {
	if l.err != nil || words <= a.words {
		return
	}
	if l.freeArray(a); l.err != nil {
		return
	}
	m, err := cu.MemAlloc(8 * int64(words))
	if err != nil {
		l.try("cuMemAlloc", err)
		return
	}
	a.device = m
	if host {
		p, err := driver.HostAlloc(8 * int64(words))
		if err != nil {
			l.try("cuMemHostAlloc", err)
			l.freeArray(a)
			return
		}
		a.host = unsafe.Slice((*float64)(p), words)
	}
	a.words = words
}

func (l *lane) freeArray(a *array) {
	if a.device != 0 {
		l.try("cuMemFree", cu.MemFree(a.device))
	}
	if a.host != nil {
		l.try("cuMemFreeHost", cu.MemFreeHost(unsafe.Pointer(&a.host[0])))
	}
	*a = array{}
}

// release gives the lane's memory back.
func (l *lane) release() error {
	l.err = nil
	for _, a := range []*array{&l.in, &l.out, &l.control, &l.saved, &l.trace, &l.lengths} {
		l.freeArray(a)
	}
	return l.err
}

// zero, up and down are in the order of the stream; up and down copy the first words.
func (l *lane) zero(a *array, first, words int) {
	if l.err == nil {
		l.try("cuMemsetD8Async", cu.MemsetD8Async(a.device+cu.DevicePtr(8*first), 0, 8*int64(words), l.stream))
	}
}

func (l *lane) up(a *array, words int) {
	if l.err == nil {
		l.try("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(a.device, unsafe.Pointer(&a.host[0]), 8*int64(words), l.stream))
	}
}

func (l *lane) down(a *array, words int) {
	if l.err == nil {
		l.try("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(&a.host[0]), a.device, 8*int64(words), l.stream))
	}
}

func (l *lane) wait() {
	if l.err == nil {
		l.try("cuStreamSynchronize", l.stream.Synchronize())
	}
}

func (l *lane) launch(f cu.Function, blocks int, args []uint64) {
	if l.err != nil {
		return
	}
	pointers := make([]unsafe.Pointer, len(args))
	for i := range args {
		pointers[i] = unsafe.Pointer(&args[i])
	}
	l.try("cuLaunchKernel", f.Launch(blocks, 1, 1, ptx.Block, 1, 1, 0, l.stream, pointers))
}

const (
	firstSteps = 256                    // most steps a thread of the first launch, whose time is not known,
	firstWork  = 200_000                // and most operations
	launchTime = 100 * time.Millisecond // most that a launch is to take, the other lanes' before it included: soon enough when the user interrupts, short beside the seconds that a display's driver allows, and long beside a launch's overhead
)

// run runs samples s of the batch on as many blocks of threads; budget is the steps of a thread in the first launch.
// When ctx ends it returns its error, with the results of those samples that are finished. After any other error nothing is known of any sample.
func (l *lane) run(ctx context.Context, k *ptx.Kernel, c *code, b *program.Batch, s span, blocks int, budget uint64) error {
	l.err = nil
	stopped := l.drive(ctx, k, c, b, s, blocks, budget)
	if l.err != nil {
		l.stream.Synchronize() // what was begun ends before its memory is used again; the error is known
		return l.err
	}
	return stopped
}

// drive launches the kernel until all samples are done or ctx ends, whose error it returns; the driver's is in l.
func (l *lane) drive(ctx context.Context, k *ptx.Kernel, c *code, b *program.Batch, s span, blocks int, budget uint64) error {
	n, threads := s.n, blocks*ptx.Block
	row := 0 // numbers of a sample's trace
	if k.Traced > 0 {
		row = b.Trace.Rows * k.Traced
	}
	l.ready(&l.in, max(1, n*k.Inputs), true)
	l.ready(&l.out, max(1, n*k.Results), true)
	l.ready(&l.control, 2, true)
	l.ready(&l.saved, threads*k.Saved, false)
	if row > 0 {
		l.ready(&l.trace, n*row, true)
		l.ready(&l.lengths, n, true)
	}
	if l.err != nil {
		return nil
	}
	args := []uint64{uint64(l.in.device), uint64(l.out.device), uint64(n), uint64(l.control.device), uint64(l.saved.device), budget}
	for i, c := range b.In {
		copy(l.in.host[i*n:], c[s.first:s.first+n])
	}
	l.up(&l.in, max(1, n*k.Inputs))
	l.zero(&l.out, 0, max(1, n*k.Results)) // status 0: not finished
	l.zero(&l.control, 0, 2)
	l.zero(&l.saved, 0, threads) // no thread has a sample
	if row > 0 {
		for i := range n { // what the kernel does not write stays as it is
			copy(l.trace.host[i*row:], b.Trace.Data[s.first+i][:row])
		}
		l.up(&l.trace, n*row)
		l.zero(&l.lengths, 0, n)
		args = append(args, uint64(l.trace.device), uint64(l.lengths.device), uint64(b.Trace.Rows))
	}

	var stopped error
	for l.err == nil {
		if stopped = ctx.Err(); stopped != nil {
			break
		}
		start := time.Now()
		l.zero(&l.control, 1, 1)
		l.launch(c.function, blocks, args)
		l.down(&l.control, 2)
		l.wait()
		if l.err != nil {
			return nil
		}
		next, saved := math.Float64bits(l.control.host[0]), math.Float64bits(l.control.host[1])
		if next >= uint64(n) && saved == 0 {
			break
		}
		if d := time.Since(start); d < launchTime/4 {
			args[5] *= 2
		} else if d > launchTime {
			args[5] = max(1, args[5]/2)
		}
	}
	l.down(&l.out, max(1, n*k.Results))
	if row > 0 {
		l.down(&l.trace, n*row)
		l.down(&l.lengths, n)
	}
	l.wait()
	if l.err != nil {
		return nil
	}
	for i, c := range b.Out {
		copy(c[s.first:s.first+n], l.out.host[i*n:])
	}
	if row > 0 {
		for i := range n {
			copy(b.Trace.Data[s.first+i], l.trace.host[i*row:(i+1)*row])
			b.Trace.Len[s.first+i] = int(math.Float64bits(l.lengths.host[i]))
		}
	}
	return stopped
}
