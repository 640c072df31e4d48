package batch

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"invar/program"
)

// bestOf is the best sample by its definition.
func bestOf(loss, status []float64, x [][]float64) *Best {
	var best *Best
	for start, l := range loss {
		if Status(status[start]) != Diverged && (best == nil || l < best.Loss) {
			best = &Best{Start: start, Loss: l}
			for i := range x {
				best.X = append(best.X, x[i][start])
			}
		}
	}
	return best
}

// The best sample is the same in whatever pieces and order samples come: of equal losses that of the first start, and none that diverged.
func TestBestInAnyOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	c := columns{x: 0, n: 3, loss: 3, distance: -1, iteration: 4, evaluations: 4, fallbacks: 4, status: 5}
	for cell := range 500 {
		n := 1 + rnd.IntN(300)
		lost := cell%5 == 0 // all diverge
		b := &program.Batch{N: n}
		for range 6 {
			b.Out = append(b.Out, make([]float64, n))
		}
		for s := range n {
			status := Statuses()[rnd.IntN(len(Statuses()))]
			loss := float64(rnd.IntN(4)) - 1 // many ties, of either sign
			if lost || status == Diverged {
				status = Diverged
				loss = []float64{math.NaN(), math.Inf(1), math.Inf(-1), -5}[rnd.IntN(4)] // -5: it is the point that is not finite
			}
			for i := range c.n {
				b.Out[c.x+i][s] = rnd.NormFloat64()
			}
			b.Out[c.loss][s], b.Out[c.status][s] = loss, float64(status)
		}
		want := bestOf(b.Out[c.loss], b.Out[c.status], b.Out[:c.n])
		tally := newTally(n, 1, false)
		for range 3 { // used again and again
			var cuts []int
			for at := 0; at < n; at += 1 + rnd.IntN(n) {
				cuts = append(cuts, at)
			}
			complete := false
			for _, k := range rnd.Perm(len(cuts)) {
				to := n
				if k+1 < len(cuts) {
					to = cuts[k+1]
				}
				_, complete = tally.add(c, b, cuts[k], to-cuts[k], cuts[k], 0)
			}
			if got := tally.cell().Best; !complete || !reflect.DeepEqual(got, want) {
				t.Fatalf("%d samples from %v: complete %v, the best is %+v, want %+v", n, cuts, complete, got, want)
			}
			tally.reset()
		}
	}
}
