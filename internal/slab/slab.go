// Package slab hands out slices of memory that is used again and again, for work that needs many of them for a short time
// and would otherwise keep the garbage collector busy.
package slab

// Of hands out slices of Ts. The zero value is ready.
type Of[T any] struct {
	all  []T
	used int
}

// Make is make([]T, n) with memory that lasts until Reset.
func (s *Of[T]) Make(n int) []T {
	if s.used+n > len(s.all) { // what was handed out keeps the old memory
		s.all, s.used = make([]T, 2*len(s.all)+n), 0
	}
	r := s.all[s.used : s.used+n : s.used+n]
	s.used += n
	clear(r)
	return r
}

// Reset takes back all that was handed out.
func (s *Of[T]) Reset() { s.used = 0 }
