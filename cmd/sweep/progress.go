package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"invar/batch"
)

// bar shows progress on a terminal, and nothing elsewhere.
type bar struct {
	w     io.Writer
	on    bool
	begin time.Time
	shown bool
}

func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	return &bar{w: w, on: ok && term.IsTerminal(int(f.Fd())), begin: time.Now()}
}

func (b *bar) show(p batch.Progress) {
	if !b.on || p.Done == 0 {
		return
	}
	b.shown = true
	elapsed := time.Since(b.begin).Seconds()
	left := elapsed / float64(p.Done) * float64(p.Total-p.Done)
	fmt.Fprintf(b.w, "\r\x1b[K%3.0f%%  %-10s %.3g samples/s  converged %.1f%%  %.0f s left", 100*float64(p.Done)/float64(p.Total),
		p.Method.Method.Name, float64(p.Done)/elapsed, 100*float64(p.Converged)/float64(p.Done), left)
}

// clear removes the line.
func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
