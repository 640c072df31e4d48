package batch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/program"
)

// A thread that finds nothing left to do in one method goes on with the next, while others are not yet done with the first.
func TestMethodsOverlap(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the second method does not begin before the first has ended"))
	defer cancel()
	second := make(chan struct{})
	begun := sync.OnceFunc(func() { close(second) })
	sw := wideSweep(t, &wide{})
	sw.Threads = 2
	last := (wideSamples - 1) / batch.ChunkSize
	sw.Save = func(c *batch.Chunk, _, _ int) error {
		switch {
		case c.Method == 1:
			begun()
		case c.Index == last:
			select {
			case <-second:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	rep, err := sw.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cellsAre(t, "methods that overlap", rep.Cells, report(t, wideSweep(t, &wide{})).Cells)
}

// unfit cannot compile the second method.
type unfit struct{ cpu.Portable }

func (e unfit) Compile(p *program.Program) (program.Executable, error) {
	if strings.HasSuffix(p.Name, " lm") {
		return nil, errUnfit
	}
	return e.Portable.Compile(p)
}

var errUnfit = errors.New("unfit")

// What has been dealt when a method turns out not to compile comes to its end.
func TestMethodDoesNotCompile(t *testing.T) {
	want := report(t, wideSweep(t, &wide{})).Cells
	for range 10 {
		sw := wideSweep(t, &wide{})
		sw.Engine, sw.Threads = unfit{}, 3
		rep, err := sw.Run(t.Context())
		if err != errUnfit {
			t.Fatalf("error %v, want %v", err, errUnfit)
		}
		cellsAre(t, "the method before", rep.Cells, want[:len(want)/2])
	}
}
