//go:build linux || darwin || windows

package cpu

import (
	"context"

	"invar/program"
)

// Listing writes p's code for an instruction set and returns it with its text, for tests of other packages' programs.
func Listing(p *program.Program, set string) (code []byte, text []string, err error) {
	isa := &avx512
	if set == avx2.name {
		isa = &avx2
	}
	n, err := emitProgram(p, isa, emitOptions{list: true})
	if err != nil {
		return nil, nil, err
	}
	return n.code, n.text, nil
}

// Sets names the instruction sets of this machine.
func Sets() (names []string) {
	s, err := sets()
	if err != nil {
		return nil
	}
	for _, isa := range s {
		names = append(names, isa.name)
	}
	return names
}

// LongestCall runs p's code for an instruction set and returns how many operations the longest call executed, and how many it
// may execute.
func LongestCall(p *program.Program, set string, b *program.Batch) (operations, most int, err error) {
	isa := &avx512
	if set == avx2.name {
		isa = &avx2
	}
	n, err := emitProgram(p, isa, emitOptions{count: true})
	if err != nil {
		return 0, 0, err
	}
	x, err := newNativeExecutable(p, n, 1)
	if err != nil {
		return 0, 0, err
	}
	x.watch = func(f *frame) {
		operations = max(operations, f.executed)
		f.executed = 0
	}
	err = x.Run(context.Background(), b)
	return operations, longestCall, err
}

// TracesNatively reports whether native code makes the trace of b.
func TracesNatively(x program.Executable, b *program.Batch) bool {
	n, ok := x.(*nativeExecutable)
	return ok && n.tracing(b) != nil
}
