package main

import (
	"io"
	"math"
	"os"
	"unicode/utf8"

	"golang.org/x/term"

	"invar/batch"
)

// blocks are the heights of a sparkline; noBlock is where nothing converged.
var blocks = []rune("▁▂▃▄▅▆▇█")

const noBlock = '·'

// Widths of sparklines: longest, and the shortest that is worth showing.
const (
	sparkWidth = 41
	sparkLeast = 5
)

// columns is the width of the terminal that w is; of a file or a pipe, wide enough for all.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return math.MaxInt
}

// sparklines draws rows of positive numbers with one character a number, on one logarithmic scale
// from lo to hi. A row that is longer than width is cut into equal parts, each shown by its largest
// number; NaN is the largest of all, so that a failure is never hidden.
func sparklines(rows [][]float64, width int) (lines []string, lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for i, row := range rows {
		if len(row) > width {
			rows[i] = shorten(row, width)
		}
		for _, v := range row {
			if !math.IsNaN(v) {
				lo, hi = math.Min(lo, v), math.Max(hi, v)
			}
		}
	}
	size := func(v float64) float64 { return math.Log(1 + math.Max(v, 0)) }
	for _, row := range rows {
		var line []rune
		for _, v := range row {
			switch {
			case math.IsNaN(v):
				line = append(line, noBlock)
			case !(hi > lo):
				line = append(line, blocks[0])
			default:
				t := (size(v) - size(lo)) / (size(hi) - size(lo))
				line = append(line, blocks[int(math.Round(t*float64(len(blocks)-1)))])
			}
		}
		lines = append(lines, string(line))
	}
	return lines, lo, hi
}

func shorten(row []float64, width int) []float64 {
	short := make([]float64, width)
	for k := range short {
		worst := math.Inf(-1)
		for _, v := range row[k*len(row)/width : (k+1)*len(row)/width] {
			if !(v <= worst) {
				worst = v
			}
		}
		short[k] = worst
	}
	return short
}

// addSparklines adds a column to the overview: the median iterations along the grid, if that
// has one axis and the terminal is wide enough.
func (t *table) addSparklines(w io.Writer, sw *batch.Sweep, rep *batch.Report) {
	axes, name := 0, ""
	for _, a := range sw.Grid {
		if len(a.Values) > 1 {
			axes, name = axes+1, a.Name
		}
	}
	if axes != 1 || rep.Points < sparkLeast || len(t.rows) == 0 {
		return
	}
	used := 0
	for i := range t.header {
		width := utf8.RuneCountInString(t.header[i])
		for _, r := range t.rows {
			width = max(width, utf8.RuneCountInString(r[i]))
		}
		used += width + 2
	}
	var rows [][]float64
	for first := 0; first+rep.Points <= len(rep.Cells); first += rep.Points {
		var row []float64
		for _, c := range rep.Cells[first : first+rep.Points] {
			row = append(row, c.IterationsMedian)
		}
		rows = append(rows, row)
	}
	room := columns(w) - used
	lines, lo, hi := sparklines(rows, max(min(sparkWidth, room), 1))
	if math.IsInf(lo, 1) { // nothing converged anywhere
		return
	}
	header := "it. over " + name + ", " + string(blocks[0]) + " " + shortNumber(lo) + " " + string(blocks[len(blocks)-1]) + " " + shortNumber(hi)
	if utf8.RuneCountInString(header) > room {
		header = "it. over " + name
	}
	if room < max(sparkLeast, utf8.RuneCountInString(header)) {
		return
	}
	t.left = append(t.left, len(t.header))
	t.header = append(t.header, header)
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], lines[i])
	}
}
