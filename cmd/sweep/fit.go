package main

import (
	"slices"
	"unicode/utf8"
)

// width is the number of columns that the table takes when printed.
func (t *table) width() int {
	total := 0
	for i := range t.header {
		w := utf8.RuneCountInString(t.header[i])
		for _, r := range t.rows {
			if r != nil {
				w = max(w, utf8.RuneCountInString(r[i]))
			}
		}
		total += w + 2
	}
	return max(0, total-2)
}

// fit takes columns out until the table is at most width wide: of those named, first the ones
// that hold nothing but zeros, then the others, each in the given order. It returns
// the names of what it took.
func (t *table) fit(width int, names []string) (gone []string) {
	for _, any := range []bool{false, true} {
		for _, name := range names {
			if t.width() <= width {
				return gone
			}
			i := slices.Index(t.header, name)
			if i < 0 || !any && !t.zeros(i) {
				continue
			}
			t.header = slices.Delete(t.header, i, i+1)
			for k, r := range t.rows {
				if r != nil {
					t.rows[k] = slices.Delete(r, i, i+1)
				}
			}
			gone = append(gone, name)
		}
	}
	return gone
}

func (t *table) zeros(i int) bool {
	for _, r := range t.rows {
		if r != nil && r[i] != "0" {
			return false
		}
	}
	return true
}
