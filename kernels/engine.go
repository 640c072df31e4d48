//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"invar/kernels/driver"
	"invar/kernels/ptx"
	"invar/program"
)

// library is the driver's library; tests have a stand-in.
var library = driver.Library

// oldest is the oldest driver that knows the PTX that is written: that of CUDA 10.0.
const oldest = 10000

// Devices lists the GPUs, in the driver's order. Where there are none the error says why, in one line.
func Devices() ([]Device, error) {
	switch err := driver.Open(library); e := err.(type) {
	case nil:
	case driver.Error:
		return nil, &Error{Call: "cuInit", Code: int(e)}
	default:
		return nil, fmt.Errorf("kernels: %w; install NVIDIA's driver, or use --device cpu", &missing{err})
	}
	if v := cu.Version(); v < oldest {
		return nil, fmt.Errorf("kernels: the NVIDIA driver is for CUDA %d.%d; 10.0 (driver 410) or newer is needed: install a newer driver, or use --device cpu", v/1000, v%1000/10)
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fault("cuDeviceGetCount", err)
	}
	var all []Device
	for i := range n {
		d, err := cu.GetDevice(i)
		if err != nil {
			return nil, fault("cuDeviceGet", err)
		}
		g := Device{Index: i}
		if g.Name, err = d.Name(); err != nil {
			return nil, fault("cuDeviceGetName", err)
		}
		if g.Memory, err = d.TotalMem(); err != nil {
			return nil, fault("cuDeviceTotalMem", err)
		}
		if g.Major, err = d.Attribute(cu.ComputeCapabilityMajor); err != nil {
			return nil, fault("cuDeviceGetAttribute", err)
		}
		if g.Minor, err = d.Attribute(cu.ComputeCapabilityMinor); err != nil {
			return nil, fault("cuDeviceGetAttribute", err)
		}
		all = append(all, g)
	}
	if n == 0 {
		return nil, &Error{Call: "cuDeviceGetCount", Code: 100}
	}
	return all, nil
}

// missing is the error of a driver that is not there.
type missing struct{ error }

func (*missing) Unwrap() error { return ErrNone }

// fault makes an Error of a driver's error.
func fault(call string, err error) error {
	if err == nil {
		return nil
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if v := reflect.ValueOf(e); v.Kind() == reflect.Int { // gorgonia.org/cu does not export the type
			return &Error{Call: call, Code: int(v.Int())}
		}
	}
	return fmt.Errorf("kernels: %s: %w", call, err)
}

// Engine runs programs on one GPU. It is a program.Engine, safe for concurrent use; samples of different batches
// run side by side.
type Engine struct {
	device  Device
	context cu.CUContext
	cores   int // multiprocessors

	// For tests.
	edit   func(text string) string // changes a kernel before it is loaded
	memory int64                    // bytes that one Run may take, 0: half of what is free
	budget int64                    // steps of the first launch of a Run, 0: by firstSteps and firstWork
}

var _ program.Engine = (*Engine)(nil)

// New opens the GPU of the given index.
func New(device int) (*Engine, error) {
	all, err := Devices()
	if err != nil {
		return nil, err
	}
	if device < 0 || device >= len(all) {
		return nil, fmt.Errorf("kernels: device %d; 0..%d are there", device, len(all)-1)
	}
	e := &Engine{device: all[device]}
	if e.device.Major < 7 {
		return nil, fmt.Errorf("kernels: %s has compute capability %d.%d; 7.0 or newer is needed: use --device cpu", e.device.Name, e.device.Major, e.device.Minor)
	}
	d := cu.Device(device)
	if e.cores, err = d.Attribute(cu.MultiprocessorCount); err != nil {
		return nil, fault("cuDeviceGetAttribute", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if e.context, err = d.MakeContext(cu.SchedAuto); err != nil {
		return nil, fault("cuCtxCreate", err)
	}
	return e, nil
}

// Name is "cuda" with the device's index.
func (e *Engine) Name() string { return fmt.Sprintf("cuda:%d", e.device.Index) }

// Device is the engine's GPU.
func (e *Engine) Device() Device { return e.device }

// Close frees the GPU. No Run may be going on or follow.
func (e *Engine) Close() error {
	return e.do(func() error { return fault("cuCtxDestroy", e.context.Destroy()) })
}

// do runs f on a thread that has the engine's context.
func (e *Engine) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(e.context); err != nil {
		return fault("cuCtxSetCurrent", err)
	}
	return f()
}

// kernel is a kernel in the GPU's own code.
type kernel struct {
	*ptx.Kernel
	function cu.Function
	blocks   int // that run at the same time
}

type executable struct {
	e *Engine
	p *program.Program

	mu      sync.Mutex
	kernels map[string]*kernel // by the slots that they trace
}

// Compile writes p as PTX and has the driver compile it.
func (e *Engine) Compile(p *program.Program) (program.Executable, error) {
	x := &executable{e: e, p: p, kernels: map[string]*kernel{}}
	if _, err := x.kernel(nil); err != nil {
		return nil, err
	}
	return x, nil
}

// kernel finds or makes the kernel that traces these slots.
func (x *executable) kernel(trace []int) (*kernel, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := fmt.Sprint(trace)
	if k := x.kernels[key]; k != nil {
		return k, nil
	}
	text, err := ptx.Compile(x.p, trace)
	if err != nil {
		return nil, err
	}
	k := &kernel{Kernel: text}
	if x.e.edit != nil {
		k.Text = x.e.edit(k.Text)
	}
	err = x.e.do(func() error {
		log := make([]byte, 4096)
		module, err := cu.LoadDataEx(k.Text, &cu.JITErrorLogBuffer{Buffer: log})
		if err != nil {
			err := fault("cuModuleLoadDataEx", err)
			if e, ok := err.(*Error); ok {
				e.Log = string(log)
			}
			return err
		}
		if k.function, err = module.Function(ptx.Entry); err != nil {
			return fault("cuModuleGetFunction", err)
		}
		each, err := k.function.MaxActiveBlocksPerMultiProcessor(ptx.Block, 0)
		if err != nil {
			return fault("cuOccupancyMaxActiveBlocksPerMultiprocessor", err)
		}
		k.blocks = x.e.cores * max(1, each)
		return nil
	})
	if err != nil {
		return nil, err
	}
	x.kernels[key] = k
	return k, nil
}

// Run implements program.Executable. A batch that does not fit the GPU's memory is run in pieces.
func (x *executable) Run(ctx context.Context, b *program.Batch) error {
	if err := x.p.CheckBatch(b); err != nil {
		return err
	}
	for _, c := range b.Out {
		clear(c[:b.N])
	}
	var slots []int
	if b.Trace != nil {
		clear(b.Trace.Len[:b.N])
		if b.Trace.Rows > 0 {
			slots = b.Trace.Slots
		}
	}
	if err := ctx.Err(); err != nil || b.N == 0 {
		return err
	}
	k, err := x.kernel(slots)
	if err != nil {
		return err
	}
	return x.e.do(func() error {
		memory := x.e.memory
		if memory == 0 {
			free, _, err := cu.MemInfo()
			if err != nil {
				return fault("cuMemGetInfo", err)
			}
			memory = free / 2 // other batches run beside this one
		}
		sample := 8 * int64(k.Inputs+k.Results)
		if len(slots) > 0 {
			sample += 8 * int64(1+b.Trace.Rows*len(slots))
		}
		// Fewer threads than the GPU runs where they would take too much memory to be saved.
		block := 8 * int64(k.Saved) * ptx.Block
		blocks := int(max(1, min(int64(k.blocks), int64(b.N+ptx.Block-1)/ptx.Block, memory/2/block)))
		saved := block * int64(blocks)
		most := (memory - saved - 16) / sample
		if most < 1 {
			return fmt.Errorf("kernels: %s: %d bytes of GPU memory are free for this batch, one sample needs %d; close other programs on the GPU, or use --device cpu", x.p.Name, memory, saved+16+sample)
		}
		for first := 0; first < b.N; {
			n := int(min(most, int64(b.N-first)))
			if err := x.piece(ctx, k, blocks, b, first, n); err != nil {
				return err
			}
			first += n
		}
		return nil
	})
}

const (
	firstSteps = 256                    // most steps a thread of the first launch, whose time is not known,
	firstWork  = 200_000                // and most operations
	launchTime = 100 * time.Millisecond // what later launches are to take: long beside its overhead, short beside the seconds that a display's driver allows, and soon enough when the user interrupts
)

// piece is the samples of a batch that are on the GPU at once.
type piece struct {
	k      *kernel
	stream cu.Stream
	memory []cu.DevicePtr // all that was allocated
	err    error          // the first
}

// try notes the first error of a call.
func (p *piece) try(call string, err error) {
	if p.err == nil && err != nil {
		p.err = fault(call, err)
	}
}

func (p *piece) allocate(bytes int64) cu.DevicePtr {
	if p.err != nil {
		return 0
	}
	m, err := cu.MemAlloc(max(8, bytes))
	p.try("cuMemAlloc", err)
	if err == nil {
		p.memory = append(p.memory, m)
	}
	return m
}

func (p *piece) zero(to cu.DevicePtr, bytes int64) {
	if p.err == nil {
		p.try("cuMemsetD8Async", cu.MemsetD8Async(to, 0, bytes, p.stream))
	}
}

// bring and fetch copy words from and to the host, in the order of the stream.
func bring[T float64 | uint64](p *piece, to cu.DevicePtr, from []T) {
	if p.err == nil && len(from) > 0 {
		p.try("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(to, unsafe.Pointer(&from[0]), 8*int64(len(from)), p.stream))
	}
}

func fetch[T float64 | uint64](p *piece, to []T, from cu.DevicePtr) {
	if p.err == nil && len(to) > 0 {
		p.try("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(&to[0]), from, 8*int64(len(to)), p.stream))
	}
}

func (p *piece) wait() {
	if p.err == nil {
		p.try("cuStreamSynchronize", p.stream.Synchronize())
	}
}

func (p *piece) launch(blocks int, args []uint64) {
	if p.err != nil {
		return
	}
	pointers := make([]unsafe.Pointer, len(args))
	for i := range args {
		pointers[i] = unsafe.Pointer(&args[i])
	}
	p.try("cuLaunchKernel", p.k.function.Launch(blocks, 1, 1, ptx.Block, 1, 1, 0, p.stream, pointers))
}

// free gives everything back. After a kernel's fault nothing can be: the context is lost with it.
func (p *piece) free() {
	for _, m := range p.memory {
		p.try("cuMemFree", cu.MemFree(m))
	}
	p.try("cuStreamDestroy", p.stream.Destroy())
}

// piece runs samples first..first+n-1.
func (x *executable) piece(ctx context.Context, k *kernel, blocks int, b *program.Batch, first, n int) error {
	p := &piece{k: k}
	stream, err := cu.MakeStream(cu.NonBlocking)
	if err != nil {
		return fault("cuStreamCreate", err)
	}
	p.stream = stream
	stopped := x.drive(ctx, p, blocks, b, first, n)
	p.free()
	if p.err != nil {
		return p.err
	}
	return stopped
}

// drive brings the samples to the GPU, launches the kernel until all are done or ctx ends, and fetches what is done.
// It returns the context's error; the driver's is in p.
func (x *executable) drive(ctx context.Context, p *piece, blocks int, b *program.Batch, first, n int) error {
	k := p.k
	threads := int64(blocks) * ptx.Block
	column := 8 * int64(n)
	in, out := p.allocate(column*int64(k.Inputs)), p.allocate(column*int64(k.Results))
	control, saved := p.allocate(16), p.allocate(8*threads*int64(k.Saved))
	for i, c := range b.In {
		bring(p, in+cu.DevicePtr(column*int64(i)), c[first:first+n])
	}
	p.zero(out, max(8, column*int64(k.Results))) // status 0: not finished
	p.zero(control, 16)
	p.zero(saved, 8*threads) // no thread has a sample
	args := []uint64{uint64(in), uint64(out), uint64(n), uint64(control), uint64(saved), uint64(max(1, min(firstSteps, firstWork/max(1, k.Step))))}
	budget := &args[5]
	if x.e.budget > 0 {
		*budget = uint64(x.e.budget)
	}
	var trace, lengths cu.DevicePtr
	row := 0 // numbers of a sample's trace
	var rows []float64
	if k.Traced > 0 {
		row = b.Trace.Rows * k.Traced
		trace, lengths = p.allocate(column*int64(row)), p.allocate(column)
		rows = make([]float64, n*row)
		for s := range n { // what the kernel does not write stays as it is
			copy(rows[s*row:], b.Trace.Data[first+s][:row])
		}
		bring(p, trace, rows)
		p.zero(lengths, column)
		args = append(args, uint64(trace), uint64(lengths), uint64(b.Trace.Rows))
	}

	var stopped error
	for p.err == nil {
		if stopped = ctx.Err(); stopped != nil {
			break
		}
		start := time.Now()
		p.zero(control+8, 8)
		p.launch(blocks, args)
		var state [2]uint64 // the next sample, samples saved
		fetch(p, state[:], control)
		p.wait()
		if state[0] >= uint64(n) && state[1] == 0 {
			break
		}
		if d := time.Since(start); d < launchTime/2 {
			*budget *= 2
		} else if d > 2*launchTime {
			*budget = max(1, *budget/2)
		}
	}
	for i, c := range b.Out {
		fetch(p, c[first:first+n], out+cu.DevicePtr(column*int64(i)))
	}
	if k.Traced > 0 {
		written := make([]uint64, n)
		fetch(p, written, lengths)
		fetch(p, rows, trace)
		if p.wait(); p.err == nil {
			for s := range n {
				copy(b.Trace.Data[first+s], rows[s*row:(s+1)*row])
				b.Trace.Len[first+s] = int(written[s])
			}
		}
	}
	p.wait()
	if p.err != nil { // nothing is known of any sample
		for _, c := range b.Out {
			clear(c[first : first+n])
		}
	}
	return stopped
}
