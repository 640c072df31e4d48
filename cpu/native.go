package cpu

import (
	"fmt"

	"invar/program"
)

// Native is the engine that compiles a program to vector machine code: AVX-512,
// or AVX2 where that is all there is, for F64s and F32s. It gives the bits of Portable. NewNative says whether it works here; the zero
// value compiles for the best instruction set and otherwise fails.
//
// A program whose single step takes more operations than a call into machine code may
// last (calls cannot be interrupted) runs on Portable, and so does a batch that wants a trace of slots that are
// not results, or of iterates that Setup makes.
type Native struct {
	// Set is the instruction set, "avx512" or "avx2"; empty: the best that the processor has.
	Set string
	// Threads is the number of cores to use, 0 for all (GOMAXPROCS).
	Threads int
}

var _ program.Maker = Native{}

// Name is "native avx512" or "native avx2".
func (e Native) Name() string {
	if e.Set != "" {
		return "native " + e.Set
	}
	if s, err := bestSet(); err == nil {
		return "native " + s
	}
	return "native"
}

// MakesStarts is true: what takes scalar Go tens of nanoseconds is a few in vectors.
func (Native) MakesStarts() bool { return true }

// Compile prepares p. It fails if p is not valid, or if machine code cannot run here.
func (e Native) Compile(p *program.Program) (program.Executable, error) {
	if e.Threads < 0 {
		return nil, fmt.Errorf("cpu: %d threads, want 0 (automatic) or more", e.Threads)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return e.compile(p)
}

// NewNative returns the native engine, or an error that says why there is none:
// the processor, the operating system, or a system that forbids executable pages.
func NewNative() (program.Engine, error) { return newNative(bestSet) }

// Auto returns the fastest engine that works here. Where that is not native code,
// note is a line that says why.
func Auto() (e program.Engine, note string) { return automatic(bestSet) }

func newNative(best func() (string, error)) (program.Engine, error) {
	s, err := best()
	if err != nil {
		return nil, fmt.Errorf("cpu: no native code: %w", err)
	}
	return Native{Set: s}, nil
}

func automatic(best func() (string, error)) (e program.Engine, note string) {
	e, err := newNative(best)
	if err != nil {
		return Portable{}, fmt.Sprintf("%v; using the portable engine", err)
	}
	return e, ""
}
