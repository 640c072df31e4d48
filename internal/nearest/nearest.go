// Package nearest finds the name that a mistyped one was probably meant to be.
package nearest

import (
	"fmt"
	"strings"
)

// longest is the length in bytes beyond which a comparison costs more than it helps.
const longest = 64

// Name returns the candidate that s is most probably a misspelling of, or "" if none is near
// enough: at most one edit (insertion, deletion, exchange or swap of neighbours) for every three
// letters of s, and at least one; capitals do not count. Ties go to the earlier candidate.
func Name(s string, candidates []string) string {
	if len(s) > longest {
		return ""
	}
	best, name := max(1, len(s)/3)+1, ""
	for _, c := range candidates {
		if len(c) > longest || c == s {
			continue
		}
		// A single letter is one edit away from every other single letter: no hint at all.
		if d := distance(strings.ToLower(s), strings.ToLower(c)); d < best && d < max(len(s), len(c)) {
			best, name = d, c
		}
	}
	return name
}

// Hint is ` (did you mean "name"?)` or "".
func Hint(s string, candidates []string) string {
	if n := Name(s, candidates); n != "" {
		return fmt.Sprintf(" (did you mean %q?)", n)
	}
	return ""
}

// distance is the optimal string alignment distance of a and b, byte by byte.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			exchange := last[j-1]
			if a[i-1] != b[j-1] {
				exchange++
			}
			row[j] = min(last[j]+1, row[j-1]+1, exchange)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
