//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// Engine runs programs on one GPU or several. It is a program.Engine, safe for concurrent use.
//
// The samples of a Run are dealt out in pieces, to whichever device is free. A device that fails is taken out and its
// pieces are run by the others; Compile and Run fail when none is left, with an error that wraps program.ErrDevice.
type Engine struct {
	// Lost, if set, is told why a device leaves its samples to the others: for good if it is lost, else, without memory
	// for them, those of a program or a batch. It is called once for a device, for several from several goroutines.
	Lost func(error)

	devices []*device
	*shared
}

// shared is what Runs share.
type shared struct {
	mu      sync.Mutex
	changed *sync.Cond // a lane is free, a device is lost, a Run has got on or is to stop

	// For tests.
	edit   func(text string) string // changes a kernel before it is loaded
	memory int64                    // bytes that a lane may take, 0: device.memory
	budget int64                    // steps of the first launch of a piece, 0: by firstSteps and firstWork
}

var _ program.Wide = (*Engine)(nil)

// New opens the GPUs of the given indices; of none, all that there are, except for those that cannot be used if
// another can.
func New(devices ...int) (*Engine, error) {
	all, err := Devices()
	if err != nil {
		return nil, err
	}
	named := len(devices) > 0
	if !named {
		for i := range all {
			devices = append(devices, i)
		}
	}
	e := &Engine{shared: &shared{}}
	e.changed = sync.NewCond(&e.mu)
	var unusable error
	for k, i := range devices {
		if i < 0 || i >= len(all) || slices.Contains(devices[:k], i) {
			err = fmt.Errorf("kernels: device %d; 0..%d are there, each to be named once", i, len(all)-1)
		} else {
			var d *device
			if d, err = newDevice(all[i]); err == nil {
				e.devices = append(e.devices, d)
				continue
			}
		}
		if named {
			e.Close()
			return nil, err
		}
		if unusable == nil {
			unusable = err
		}
	}
	if len(e.devices) == 0 {
		return nil, unusable
	}
	return e, nil
}

// Name is "cuda" with the indices of the devices, as in cuda:0 and cuda:0,1.
func (e *Engine) Name() string {
	var names []string
	for _, d := range e.devices {
		names = append(names, strconv.Itoa(d.Index))
	}
	return "cuda:" + strings.Join(names, ",")
}

// Devices lists the engine's GPUs.
func (e *Engine) Devices() (all []Device) {
	for _, d := range e.devices {
		all = append(all, d.Device)
	}
	return all
}

// waves is how often a batch of the size that an engine wishes fills its devices: often enough that they are busy
// while pieces come and go.
const waves = 8

// BatchSize implements program.Wide.
func (e *Engine) BatchSize() int {
	n := 0
	for _, d := range e.devices {
		n += waves * d.cores * d.threads
	}
	return n
}

// Close frees the GPUs. No Run may be going on or follow.
func (e *Engine) Close() (err error) {
	for _, d := range e.devices {
		if e := d.close(); err == nil {
			err = e
		}
	}
	return err
}

// drop takes a device out if after err, which a call to it returned, its context works no more.
func (e *Engine) drop(d *device, err error) (lost bool) {
	if d.do(func() error { return d.fault("cuCtxSynchronize", cu.Synchronize()) }) == nil {
		return false
	}
	e.mu.Lock()
	others := false
	if d.lost == nil {
		d.lost = err
	}
	for _, o := range e.devices {
		others = others || o.lost == nil
	}
	e.changed.Broadcast()
	e.mu.Unlock()
	if others {
		e.tell(d, err)
	}
	return true
}

// tell calls Lost, once for a device.
func (e *Engine) tell(d *device, err error) {
	e.mu.Lock()
	told := d.told
	d.told = true
	e.mu.Unlock()
	if !told && e.Lost != nil {
		e.Lost(err)
	}
}

// working lists the devices that are not lost; the error says why the last one is, if all are.
func (e *Engine) working() (all []*device, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.devices {
		if d.lost == nil {
			all = append(all, d)
		} else {
			err = d.lost
		}
	}
	if len(all) > 0 {
		err = nil
	}
	return all, err
}

// kernel is a kernel on the devices that could load it.
type kernel struct {
	*ptx.Kernel
	on []target
}

type target struct {
	*device
	*code
}

type executable struct {
	e *Engine
	p *program.Program

	mu      sync.Mutex
	kernels map[string]*kernel // by the slots that they trace
}

// Compile writes p as PTX and has the driver compile it for each device.
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
	if x.e.edit != nil {
		text.Text = x.e.edit(text.Text)
	}
	k := &kernel{Kernel: text}
	if k.on, err = x.e.load(text.Text); err != nil {
		return nil, err
	}
	x.kernels[key] = k
	return k, nil
}

// outOfMemory finds out whether less may succeed where err came.
func outOfMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == codeOutOfMemory
}

// load loads a kernel on all devices at once. A device that is lost, or without room for it, is left out unless it is the last.
func (e *Engine) load(text string) (on []target, err error) {
	devices, err := e.working()
	if err != nil {
		return nil, err
	}
	codes, errs := make([]*code, len(devices)), make([]error, len(devices))
	var wg sync.WaitGroup
	for i, d := range devices {
		wg.Go(func() {
			codes[i], errs[i] = d.load(text)
			if outOfMemory(errs[i]) {
				if errs[i] = e.trim(d); errs[i] == nil {
					codes[i], errs[i] = d.load(text)
				}
			}
		})
	}
	wg.Wait()
	var full []int
	for i, d := range devices {
		switch {
		case errs[i] == nil:
			on = append(on, target{d, codes[i]})
		case e.drop(d, errs[i]):
			err = errs[i]
		case outOfMemory(errs[i]):
			err, full = errs[i], append(full, i)
		default: // the kernel's fault: no device will do better
			return nil, errs[i]
		}
	}
	if len(on) == 0 {
		return nil, err
	}
	for _, i := range full {
		e.tell(devices[i], errs[i])
	}
	return on, nil
}

// Run implements program.Executable.
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
	return x.e.run(ctx, k, b)
}
