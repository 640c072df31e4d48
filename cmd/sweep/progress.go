package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"invar/batch"
)

// plainEvery is how often a line is written where a changing one cannot be shown.
const plainEvery = 30 * time.Second

// bar shows progress: a line that changes on a terminal, a plain line now and then elsewhere.
type bar struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	quiet    bool
	begin    time.Time
	last     time.Time // of the last plain line
	shown    bool
}

func newBar(w io.Writer, quiet bool) *bar {
	f, ok := w.(*os.File)
	now := time.Now()
	return &bar{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), quiet: quiet, begin: now, last: now}
}

func (b *bar) show(p batch.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.quiet || p.Done == 0:
	case b.terminal:
		b.change(progressLine(p, time.Since(b.begin)))
	case time.Since(b.last) >= plainEvery:
		b.last = time.Now()
		fmt.Fprintf(b.w, "sweep: %s\n", progressLine(p, time.Since(b.begin)))
	}
}

// count shows how many of some parts are done, on a terminal only.
func (b *bar) count(done, total int, last string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.terminal && !b.quiet {
		b.change(fmt.Sprintf("%3.0f%%  %s", 100*float64(done)/float64(total), last))
	}
}

// change shows a line in place of the last.
func (b *bar) change(line string) {
	b.shown = true
	fmt.Fprintf(b.w, "\r\x1b[K%s", oneLine(line, columns(b.w)))
}

// oneLine is what a terminal of so many columns shows without a line break, of which the first half could not be taken
// back. The text is ASCII.
func oneLine(text string, columns int) string { return text[:min(len(text), columns-1)] }

// progressLine says what is done, how fast, with what success, and how long it will take. Samples of an earlier run are
// done, but say nothing about the speed.
func progressLine(p batch.Progress, elapsed time.Duration) string {
	line := fmt.Sprintf("%3.0f%%  %-10s", 100*float64(p.Done)/float64(p.Total), p.Method.Method.Name)
	if fresh := p.Done - p.Loaded; fresh > 0 {
		left := elapsed.Seconds() / float64(fresh) * float64(p.Total-p.Done)
		line += fmt.Sprintf("  %.3g samples/s", float64(fresh)/elapsed.Seconds())
		line += fmt.Sprintf("  %v left", time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	return line + fmt.Sprintf("  converged %.1f%%", 100*float64(p.Converged)/float64(p.Done))
}

// say writes a note, which stays.
func (b *bar) say(note string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.quiet {
		b.remove()
		fmt.Fprintln(b.w, "sweep: "+note)
	}
}

// clear removes the line that changes.
func (b *bar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove()
}

func (b *bar) remove() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
	b.shown = false
}
