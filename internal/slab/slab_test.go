package slab_test

import (
	"testing"

	"invar/internal/slab"
)

// Slices are zero and do not overlap, whatever was written to earlier ones; in the long run nothing is allocated.
func TestMake(t *testing.T) {
	var s slab.Of[int]
	use := func() {
		var all [][]int
		for n := range 20 {
			r := s.Make(n)
			if len(r) != n || cap(r) != n {
				t.Fatalf("%d numbers with room for %d, want %d", len(r), cap(r), n)
			}
			for i := range r {
				if r[i] != 0 {
					t.Fatalf("%d in a new slice", r[i])
				}
				r[i] = n
			}
			all = append(all, r)
		}
		for n, r := range all {
			for _, x := range r {
				if x != n {
					t.Fatalf("%d in slice %d", x, n)
				}
			}
		}
		s.Reset()
	}
	for range 5 { // until one piece of memory is enough
		use()
	}
	if n := testing.AllocsPerRun(10, func() {
		for n := range 20 {
			s.Make(n)
		}
		s.Reset()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
