// Package nearest finds the name that a mistyped one was probably meant to be.
package nearest

import "fmt"

// Name returns the candidate with the smallest edit distance to s, if that is
// small enough to be a typing error, else "".
func Name(s string, candidates []string) string {
	best, name := 1+max(1, len(s)/3), ""
	for _, c := range candidates {
		if d := distance(s, c); d < best {
			best, name = d, c
		}
	}
	return name
}

// Hint is `, did you mean "name"?` or "".
func Hint(s string, candidates []string) string {
	if n := Name(s, candidates); n != "" {
		return fmt.Sprintf(" (did you mean %q?)", n)
	}
	return ""
}

// distance is the optimal string alignment distance: insertions, deletions,
// replacements and exchanges of neighbours.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
