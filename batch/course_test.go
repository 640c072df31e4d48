package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"invar/batch"
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
