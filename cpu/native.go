package cpu

import (
	"fmt"

	"invar/program"
)

// Native is the engine that compiles a program to vector machine code: AVX-512,
// or AVX2 where that is all there is, for F64s and F32s. It gives the bits of Portable. NewNative says whether it works here; the zero
// value compiles for the best instruction set and otherwise fails.
//
// Compile fails, with an error that wraps program.ErrUnfit, where a program is too large: its local arrays, its slots. OrPortable
// is for those. A batch that wants a trace of slots that are not results, or of iterates that Setup makes, runs on Portable.
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

// OrPortable is an engine that runs on e, and on Portable the programs that e cannot run. Say is called with the reason, once
// for each name of such a program.
func (e Native) OrPortable(say func(error)) program.Engine {
	return program.WithSpare(e, Portable{Threads: e.Threads}, say)
}

// NewNative returns the native engine, or an error that says why there is none:
// the processor, the operating system, or a system that forbids executable pages.
func NewNative() (program.Engine, error) { return newNative(bestSet) }

// Auto returns the fastest engine that works here, for any program. Where that is not native code,
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
	s, err := best()
	if err != nil {
		return Portable{}, fmt.Sprintf("cpu: no native code: %v; using the portable engine", err)
	}
	return Native{Set: s}.OrPortable(func(error) {}), ""
}
