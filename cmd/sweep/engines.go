package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/internal/nearest"
	"invar/kernels"
	"invar/program"
)

// engine is a row of the list of engines.
type engine struct {
	name, doc string
	why       error // why it does not work here; nil if it does
	make      func(*graph.Model) program.Engine
	split     bool // it evaluates the problem in its own way
	gpu       bool // it runs on the device of --device; found when it is asked for, not before
	float32   bool // it runs float32 too
}

// engines lists what can run samples, the fastest first. The driver keeps all
// threads busy, so that an engine needs one.
func engines() []engine {
	_, noNative := cpu.NewNative()
	return []engine{
		{name: "native", doc: "vector machine code on the CPU", why: noNative, float32: true,
			make: func(*graph.Model) program.Engine { return cpu.Native{Threads: 1} }},
		{name: "portable", doc: "plain Go: defines the results, to the bit", float32: true,
			make: func(*graph.Model) program.Engine { return cpu.Portable{Threads: 1} }},
		{name: "gorgonia", doc: "Gorgonia's tape machine: slow, an independent check", split: true,
			make: func(m *graph.Model) program.Engine { return graph.NewTapeEngine(m, tapeBatch) }},
		{name: "cuda", doc: "an NVIDIA GPU (see --device)", gpu: true, float32: true},
	}
}

// autoEngine stands for the first engine that works.
const autoEngine = "auto"

// engineNames lists what --engine takes.
func engineNames() []string {
	names := []string{autoEngine}
	for _, e := range engines() {
		names = append(names, e.name)
	}
	return names
}

// devices are what --device takes; cuda:0, cuda:1 and so on are single GPUs, cuda all of them.
var devices = []string{"auto", "cpu", "cuda"}

// runs reports whether the named engine runs the sweep's type of numbers.
func runs(name string, sw *batch.Sweep) bool {
	return sw.DType != program.F32 || slices.ContainsFunc(engines(), func(e engine) bool { return e.name == name && e.float32 })
}

// setEngine gives the sweep the engine of the given name on the given device. Where both leave it open that is
// a GPU that computes rightly, else the fastest engine of the CPU; the results are the same.
// The note, if there is one, says why a GPU that is there or native code is not used. Where the CPU would
// have been taken too, it takes over from GPUs that fail later on. Say says what becomes of those that do.
func setEngine(sw *batch.Sweep, name, device string, say func(note string)) (note string, err error) {
	gpu, asked := allGPUs, "--device "+device
	if name == "cuda" && device == autoDevice {
		asked = "--engine cuda"
	}
	if i, ok := strings.CutPrefix(device, "cuda:"); ok {
		n, err := strconv.ParseUint(i, 10, 16)
		if err != nil {
			return "", fmt.Errorf("--device %s: the number of a GPU follows the colon, as in cuda:1", device)
		}
		device, gpu = "cuda", int(n)
	}
	if !slices.Contains(devices, device) {
		return "", fmt.Errorf("--device %s%s: %s, cuda:1, ... are allowed", device, nearest.Hint(device, devices), strings.Join(devices, ", "))
	}
	if !slices.Contains(engineNames(), name) {
		return "", fmt.Errorf("--engine %s%s: %s are allowed", name, nearest.Hint(name, engineNames()), strings.Join(engineNames(), ", "))
	}
	if (name == "cuda") != (device == "cuda") && name != autoEngine && device != autoDevice {
		return "", fmt.Errorf("--engine %s does not run on --device %s", name, device)
	}
	for _, e := range []string{name, device} {
		if e != autoEngine && e != "cpu" && !runs(e, sw) {
			return "", fmt.Errorf("--dtype float32: the engine %s computes in float64 only; the others run float32", e)
		}
	}
	if name == autoEngine && device != "cpu" || name == "cuda" {
		e, err := openGPU(gpu, say)
		if err == nil {
			sw.Engine, sw.Split = e, false
			if name == autoEngine && device == autoDevice {
				spare := program.Engine(cpu.Portable{}) // on all processors: it gets the GPU's large batches
				if native, err := cpu.NewNative(); err == nil {
					spare = orPortable(native, say)
				}
				sw.Engine = program.WithSpare(e, spare, func(err error) { say("on the CPU from here, because of the GPU: " + plain(err)) })
			}
			return "", nil
		}
		if name == "cuda" || device == "cuda" {
			return "", fmt.Errorf("%s: %s", asked, plain(err))
		}
		if !errors.Is(err, kernels.ErrNone) {
			note = "on the CPU, because of the GPU: " + plain(err)
		}
	}
	_, slow := cpu.Auto()
	if slow != "" && name == autoEngine {
		if note != "" {
			note += "; "
		}
		note += strings.TrimPrefix(slow, "cpu: ")
	}
	for _, e := range engines() {
		if e.gpu || name == autoEngine && e.why != nil || name != autoEngine && name != e.name {
			continue
		}
		if e.why != nil {
			return "", fmt.Errorf("--engine %s does not work here: %s", name, plain(e.why))
		}
		sw.Engine, sw.Split = e.make(sw.Model), e.split
		if name == autoEngine {
			sw.Engine = orPortable(sw.Engine, say)
		}
		return note, nil
	}
	return "", fmt.Errorf("--engine %s: no engine works here", name)
}

// orPortable has the portable engine run what a native one cannot.
func orPortable(e program.Engine, say func(note string)) program.Engine {
	native, ok := e.(cpu.Native)
	if !ok {
		return e
	}
	return native.OrPortable(func(err error) { say("on the portable engine: " + plain(err)) })
}

// autoDevice stands for a GPU, or else the CPU.
const autoDevice = "auto"

// allGPUs stands for every GPU that there is.
const allGPUs = -1

// openGPU opens a GPU, or all, once and has it show that it computes rightly. Say says which of several fail, then or later.
func openGPU(device int, say func(note string)) (*kernels.Engine, error) {
	gpus.Lock()
	defer gpus.Unlock()
	lost := func(err error) { say("on the other GPUs from here: " + plain(err)) }
	if g, ok := gpus.open[device]; ok {
		if g.err == nil {
			g.engine.Lost = lost
		}
		return g.engine, g.err
	}
	var devices []int
	if device != allGPUs {
		devices = append(devices, device)
	}
	e, err := kernels.New(devices...)
	if err == nil {
		e.Lost = lost
		err = e.Check()
	}
	if gpus.open == nil {
		gpus.open = map[int]openedGPU{}
	}
	gpus.open[device] = openedGPU{e, err}
	return e, err
}

type openedGPU struct {
	engine *kernels.Engine
	err    error
}

var gpus struct {
	sync.Mutex
	open map[int]openedGPU
}

// setEngine gives the sweep the engine that --engine and --device name, and says once where it runs if that is not what
// could be expected.
func (c *config) setEngine(cmd *cobra.Command, sw *batch.Sweep) error {
	first := c.bar == nil
	if first {
		quiet, _ := cmd.Flags().GetBool("quiet") // a command that has no such flag is not quiet
		c.bar = newBar(cmd.ErrOrStderr(), quiet)
	}
	note, err := setEngine(sw, c.engine, c.device, func(note string) { c.bar.say(note) })
	if first && note != "" {
		c.bar.say(note)
	}
	return usage(err)
}
