//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"fmt"
	"runtime"
	"sync"

	"gorgonia.org/cu"

	"invar/kernels/ptx"
)

const (
	lanes      = 3         // of a device: one computes while another's samples come and a third's go
	laneMemory = 128 << 20 // most bytes of a lane on the device, and page-locked on the host: larger pieces would gain nothing
)

// device is a GPU with a context of its own, the kernels it has loaded, and the lanes that Runs borrow. What a lane
// allocates it keeps for the next piece.
type device struct {
	Device
	context cu.CUContext
	cores   int   // multiprocessors
	threads int   // that one of them holds
	memory  int64 // bytes that a lane may take

	// Guarded by shared.mu.
	free []*lane
	lost error // why it is not used any more
	told bool  // Engine.Lost was called

	mu   sync.Mutex
	code map[string]*code // by PTX text
}

// code is a kernel in the device's own code.
type code struct {
	module   cu.Module
	function cu.Function
	blocks   int // that run at the same time
}

func newDevice(g Device) (*device, error) {
	d := &device{Device: g, code: map[string]*code{}}
	if g.Major < 7 {
		return nil, fmt.Errorf("kernels: %s has compute capability %d.%d; 7.0 or newer is needed: use --device cpu", g.Name, g.Major, g.Minor)
	}
	var err error
	if d.cores, err = cu.Device(g.Index).Attribute(cu.MultiprocessorCount); err != nil {
		return nil, d.fault("cuDeviceGetAttribute", err)
	}
	if d.threads, err = cu.Device(g.Index).Attribute(cu.MaxThreadsPerMultiprocessor); err != nil {
		return nil, d.fault("cuDeviceGetAttribute", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Who waits for the device sleeps: processors have other samples to see to.
	if d.context, err = cu.Device(g.Index).MakeContext(cu.SchedBlockingSync); err != nil {
		return nil, d.fault("cuCtxCreate", err)
	}
	if err := d.makeLanes(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *device) makeLanes() error {
	free, _, err := cu.MemInfo()
	if err != nil {
		return d.fault("cuMemGetInfo", err)
	}
	d.memory = min(laneMemory, free/2/lanes) // kernels take some too, for themselves and their stacks, and so do other programs
	for range lanes {
		s, err := cu.MakeStream(cu.NonBlocking)
		if err != nil {
			return d.fault("cuStreamCreate", err)
		}
		d.free = append(d.free, &lane{d: d, stream: s})
	}
	return nil
}

// close gives everything back. A lost device takes nothing back: what it had ends with the context, or the program.
func (d *device) close() error {
	return d.do(func() (err error) {
		if cu.Synchronize() != nil {
			d.context.Destroy()
			return nil
		}
		try := func(e error) {
			if err == nil {
				err = e
			}
		}
		for _, l := range d.free {
			try(l.release())
			try(d.fault("cuStreamDestroy", l.stream.Destroy()))
		}
		for _, c := range d.code {
			try(d.fault("cuModuleUnload", c.module.Unload()))
		}
		try(d.fault("cuCtxDestroy", d.context.Destroy()))
		return err
	})
}

// fault is an Error of this device.
func (d *device) fault(call string, err error) error {
	err = fault(call, err)
	if e, ok := err.(*Error); ok {
		e.Device = fmt.Sprintf("cuda:%d", d.Index)
	}
	return err
}

// do runs f on a thread that has the device's context.
func (d *device) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return d.fault("cuCtxSetCurrent", err)
	}
	return f()
}

// load has the driver compile a kernel, the first time that it is asked for.
func (d *device) load(text string) (*code, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.code[text]; c != nil {
		return c, nil
	}
	c := &code{}
	err := d.do(func() (err error) {
		log := make([]byte, 4096)
		if c.module, err = cu.LoadDataEx(text, &cu.JITErrorLogBuffer{Buffer: log}); err != nil {
			err := d.fault("cuModuleLoadDataEx", err)
			if e, ok := err.(*Error); ok {
				e.Log = string(log)
			}
			return err
		}
		if err := c.find(d); err != nil {
			c.module.Unload()
			return err
		}
		d.code[text] = c
		return nil
	})
	return c, err
}

// find looks the kernel up in its module.
func (c *code) find(d *device) (err error) {
	if c.function, err = c.module.Function(ptx.Entry); err != nil {
		return d.fault("cuModuleGetFunction", err)
	}
	each, err := c.function.MaxActiveBlocksPerMultiProcessor(ptx.Block, 0)
	if err != nil {
		return d.fault("cuOccupancyMaxActiveBlocksPerMultiprocessor", err)
	}
	c.blocks = d.cores * max(1, each)
	return nil
}
