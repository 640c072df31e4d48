package program

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// Wide is an Engine that is slow with few samples at a time, for it runs very many side by side.
type Wide interface {
	Engine
	// BatchSize is how many samples a Run should have, where there are so many; 0: as it comes.
	BatchSize() int
}

// BatchSize is how many samples the engine wishes a Run to have, 0 if it has no wish.
func BatchSize(e Engine) int {
	if w, ok := e.(Wide); ok {
		return w.BatchSize()
	}
	return 0
}

// Maker is an Engine that makes random numbers inside a program faster than Go makes them outside.
type Maker interface {
	Engine
	MakesStarts() bool
}

// MakesStarts reports whether programs for e had better make starts by themselves, where Go would have to draw them for it. An
// engine with a BatchSize wants that in any case, for the sake of what need not be brought to it.
func MakesStarts(e Engine) bool {
	m, ok := e.(Maker)
	return ok && m.MakesStarts()
}

// ErrDevice says that what an engine runs on has failed: it is lost, say, or its memory is full. The program and
// its samples are not to blame, and another engine can run them. It is what errors of engines wrap.
var ErrDevice = errors.New("program: the device failed")

// ErrUnfit says that a program, though valid, is beyond what an engine can run. Another engine can run it. It is what
// errors of Compile wrap.
var ErrUnfit = errors.New("program: the engine cannot run it")

// WithSpare is an engine that runs programs on first, and on spare those for which first has an error that wraps ErrUnfit. After
// one that wraps ErrDevice all programs run on spare, beginning with the samples of the Run that failed. It calls
// lost with such an error, for each name of a program that is unfit and for the device once. Both engines give the same
// bits, and so does their combination. Batches keep the size that first wishes: spare should use all processors.
func WithSpare(first, spare Engine, lost func(error)) Engine {
	return &spared{first: first, spare: spare, lost: lost, unfit: map[string]bool{}}
}

type spared struct {
	first, spare Engine
	lost         func(error)
	fallen       atomic.Bool

	mu    sync.Mutex
	fit   bool            // first has compiled a program
	unfit map[string]bool // names of programs
}

// Name names the engines that programs have run on, or would.
func (e *spared) Name() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch first, spare := e.first.Name(), e.spare.Name(); {
	case e.fallen.Load():
		return first + ", then " + spare
	case len(e.unfit) > 0 && e.fit:
		return first + " and " + spare
	case len(e.unfit) > 0:
		return spare
	default:
		return first
	}
}

func (e *spared) BatchSize() int { return BatchSize(e.first) }

func (e *spared) MakesStarts() bool { return MakesStarts(e.first) }

// fall goes over to the spare engine if err is the device's.
func (e *spared) fall(err error) bool {
	if !errors.Is(err, ErrDevice) {
		return false
	}
	if !e.fallen.Swap(true) {
		e.lost(err)
	}
	return true
}

// leave notes whether first can run a program, and reports whether the spare engine has to.
func (e *spared) leave(p *Program, err error) bool {
	e.mu.Lock()
	unfit := errors.Is(err, ErrUnfit)
	said := e.unfit[p.Name]
	if unfit {
		e.unfit[p.Name] = true
	} else if err == nil {
		e.fit = true
	}
	e.mu.Unlock()
	if unfit && !said {
		e.lost(err)
	}
	return unfit
}

func (e *spared) Compile(p *Program) (Executable, error) {
	x := &sparedExecutable{e: e, spare: sync.OnceValues(func() (Executable, error) { return e.spare.Compile(p) })}
	if !e.fallen.Load() {
		var err error
		x.first, err = e.first.Compile(p)
		switch {
		case e.leave(p, err):
			return x.spare()
		case err == nil || !e.fall(err):
			return x, err
		}
	}
	_, err := x.spare()
	return x, err
}

type sparedExecutable struct {
	e     *spared
	first Executable // nil: the device had failed before
	spare func() (Executable, error)
}

func (x *sparedExecutable) Run(ctx context.Context, b *Batch) error {
	if !x.e.fallen.Load() {
		if err := x.first.Run(ctx, b); err == nil || !x.e.fall(err) {
			return err
		}
	}
	spare, err := x.spare()
	if err != nil {
		return err
	}
	return spare.Run(ctx, b)
}
