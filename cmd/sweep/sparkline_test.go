package main

import (
	"bytes"
	"math"
	"os"
	"testing"
	"unicode/utf8"

	"invar/batch"
)

func TestSparklines(t *testing.T) {
	nan := math.NaN()
	lines, lo, hi := sparklines([][]float64{{1, 1, 100}, {nan, 9, 100}}, 10)
	if lo != 1 || hi != 100 || lines[0] != "▁▁█" || []rune(lines[1])[0] != noBlock {
		t.Errorf("%q from %v to %v", lines, lo, hi)
	}
	// One scale for all rows, and a larger number never has a lower block.
	row := []float64{1, 2, 4, 8, 16, 32, 64, 100}
	lines, _, _ = sparklines([][]float64{row}, 10)
	last := rune(0)
	for _, r := range lines[0] {
		if r < last {
			t.Errorf("%q is not increasing", lines[0])
		}
		last = r
	}
	// Cut to a width, the worst of each part stays: here the failure at the end.
	long := make([]float64, 1000)
	for i := range long {
		long[i] = 1 + float64(i)
	}
	long[999] = nan
	lines, _, _ = sparklines([][]float64{long}, 20)
	if r := []rune(lines[0]); len(r) != 20 || r[19] != noBlock || !(r[0] < r[18]) {
		t.Errorf("%q: 20 characters, the last one a failure, are wanted", lines[0])
	}
	if lines, _, _ = sparklines([][]float64{{3, 3}}, 10); lines[0] != "▁▁" {
		t.Errorf("constant rows are %q", lines[0])
	}
	if lines, lo, _ = sparklines([][]float64{{nan, nan}}, 10); lines[0] != "··" || !math.IsInf(lo, 1) {
		t.Errorf("rows without a number are %q from %v", lines[0], lo)
	}
}

func TestSparklineColumn(t *testing.T) {
	sw := &batch.Sweep{Grid: batch.Grid{{Name: "alpha", Values: []float64{1, 2, 3, 4, 5}}}}
	rep := &batch.Report{Points: 5}
	for k := range 5 {
		rep.Cells = append(rep.Cells, batch.Cell{IterationsMedian: float64(1 + k)})
	}
	make1 := func() *table {
		return &table{header: []string{"over the grid"}, left: []int{0}, rows: [][]string{{"gd"}}}
	}
	tab := make1()
	tab.addSparklines(&bytes.Buffer{}, sw, rep)
	if len(tab.header) != 2 || utf8.RuneCountInString(tab.rows[0][1]) != 5 {
		t.Errorf("the column is %q, %q", tab.header, tab.rows)
	}
	// A grid of two axes has no line to go along.
	sw.Grid = append(sw.Grid, batch.Axis{Name: "beta", Values: []float64{1, 2}})
	tab = make1()
	tab.addSparklines(&bytes.Buffer{}, sw, rep)
	if len(tab.header) != 1 {
		t.Errorf("two axes have a sparkline: %q", tab.header)
	}
	if n := columns(os.NewFile(^uintptr(0), "no terminal")); n != math.MaxInt {
		t.Errorf("what is no terminal is %d columns wide", n)
	}
}
