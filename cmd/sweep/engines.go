package main

import (
	"fmt"
	"strings"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/internal/nearest"
	"invar/program"
)

// engine is a row of the list of engines.
type engine struct {
	name, doc string
	why       error // why it does not work here; nil if it does
	make      func(*graph.Model) program.Engine
	split     bool // it evaluates the problem in its own way
}

// engines lists what can run samples, the fastest first. The driver keeps all
// threads busy, so that an engine needs one.
func engines() []engine {
	_, noNative := cpu.NewNative()
	return []engine{
		{name: "native", doc: "vector machine code on the CPU", why: noNative,
			make: func(*graph.Model) program.Engine { return cpu.Native{Threads: 1} }},
		{name: "portable", doc: "plain Go: defines the results, to the bit",
			make: func(*graph.Model) program.Engine { return cpu.Portable{Threads: 1} }},
		{name: "gorgonia", doc: "Gorgonia's tape machine: slow, an independent check", split: true,
			make: func(m *graph.Model) program.Engine { return graph.NewTapeEngine(m, tapeBatch) }},
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

// setEngine gives the sweep the engine of the given name.
func setEngine(sw *batch.Sweep, name string) error {
	for _, e := range engines() {
		if name == autoEngine && e.why != nil || name != autoEngine && name != e.name {
			continue
		}
		if e.why != nil {
			return fmt.Errorf("--engine %s does not work here: %s", name, plain(e.why))
		}
		sw.Engine, sw.Split = e.make(sw.Model), e.split
		return nil
	}
	return fmt.Errorf("--engine %s%s: %s are allowed", name, nearest.Hint(name, engineNames()), strings.Join(engineNames(), ", "))
}

// setEngine gives the sweep the engine that --engine names.
func (c *config) setEngine(sw *batch.Sweep) error { return usage(setEngine(sw, c.engine)) }
