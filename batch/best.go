package batch

import (
	"math"

	"invar/program"
)

// Best is the sample of a cell with the lowest loss among those that did not diverge, whatever ended them: their loss and point are
// finite. Of several with that loss it is the one of the first start, so that it does not depend on the order in which samples come.
type Best struct {
	Start int       `json:"start"` // index of the start
	Loss  float64   `json:"loss"`
	X     []float64 `json:"x"` // where the sample ended
}

// after reports whether b, nil if there is none yet, comes after a loss from a start.
func (b *Best) after(loss float64, start int) bool {
	return b == nil || loss < b.Loss || loss == b.Loss && start < b.Start
}

// lowest is the first of the samples with the lowest loss among those that did not diverge, -1 if all did.
func lowest(loss, status []float64) int {
	at, least := -1, math.Inf(1)
	for i, v := range loss {
		if v < least && Status(status[i]) != Diverged {
			at, least = i, v
		}
	}
	return at
}

// best is sample at of b, from the given start, as the best.
func (c columns) best(b *program.Batch, at, start int) *Best {
	s := &Best{Start: start, Loss: b.Out[c.loss][at], X: make([]float64, c.n)}
	for i := range s.X {
		s.X[i] = b.Out[c.x+i][at]
	}
	return s
}
