package selection

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbers are n numbers of which some are equal.
func numbers(rnd *rand.Rand, n int) []uint64 {
	x := make([]uint64, n)
	most := []uint64{2, 100, math.MaxUint64}[rnd.IntN(3)]
	for i := range x {
		if x[i] = rnd.Uint64N(most); rnd.IntN(50) == 0 {
			x[i] = []uint64{0, math.MaxUint64, 1 << 63, 1<<63 - 1}[rnd.IntN(4)]
		}
	}
	return x
}

func TestKth(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		x := numbers(rnd, 1+rnd.IntN(3000))
		sorted := slices.Sorted(slices.Values(x))
		k := rnd.IntN(len(x))
		if got := Kth(slices.Clone(x), make([]uint64, len(x)), k); got != sorted[k] {
			t.Fatalf("number %d of %d is %d, want %d", k, len(x), got, sorted[k])
		}
	}
}

// What is kept, and in what order, is the same with vectors and without; nothing is written behind scratch.
func TestNarrow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	sizes := []int{(1 << 16) + 1, 2<<16 + 13}
	for range 2000 {
		sizes = append(sizes, rnd.IntN(70))
	}
	for _, n := range sizes {
		x := numbers(rnd, n)
		lo, hi := rnd.Uint64(), rnd.Uint64()
		if n > 0 && rnd.IntN(2) == 0 { // bounds that are among the numbers
			lo, hi = x[rnd.IntN(n)], x[rnd.IntN(n)]
		}
		lo, hi = min(lo, hi), max(lo, hi)
		var want []uint64
		less := 0
		for _, v := range x {
			if lo <= v && v <= hi {
				want = append(want, v)
			}
			if v < lo {
				less++
			}
		}
		const guard = 0x5ca1ab1e
		room := slices.Repeat([]uint64{guard}, n+8)
		kept, below := narrow(x, room[:n:n], lo, hi)
		if kept != len(want) || below != less || !slices.Equal(room[:kept], want) {
			t.Fatalf("%d numbers from %d to %d: %d kept and %d below, want %d and %d: %v, want %v", n, lo, hi, kept, below, len(want), less, room[:kept], want)
		}
		if slices.ContainsFunc(room[n:], func(v uint64) bool { return v != guard }) {
			t.Fatalf("%d numbers: written behind the room for them: %v", n, room[n:])
		}
	}
}
