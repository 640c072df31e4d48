package formula

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is what is wrong at one place of a formula.
type Error struct {
	Source string // the whole formula
	Pos    int    // byte offset of the place in Source; len(Source) for its end
	Msg    string // what was found and what is allowed, without position
}

// Error gives the message, the formula, and a caret under the place:
//
//	formula: expected an operand, found ")"
//	    sin()
//	        ^
func (e *Error) Error() string { return "formula: " + e.Msg + "\n" + e.Caret() }

// caretMargin is how many characters of a long formula are shown on either side of the place.
const caretMargin = 36

// Caret gives two lines: the formula, or the part around the place when it is long, and a caret
// below the place. Each character of the formula takes one column: white space becomes a blank, what
// cannot be printed becomes U+FFFD.
func (e *Error) Caret() string {
	pos := min(max(e.Pos, 0), len(e.Source))
	// Only a window of bytes is looked at, so that a formula at the size limit costs nothing.
	from := max(0, pos-utf8.UTFMax*(caretMargin+1))
	to := min(len(e.Source), pos+utf8.UTFMax*(caretMargin+1))
	before, after := []rune(e.Source[from:pos]), []rune(e.Source[pos:to])
	head, tail := "", ""
	if len(before) > caretMargin {
		before, head = before[len(before)-caretMargin:], "..."
	}
	if len(after) > caretMargin {
		after, tail = after[:caretMargin], "..."
	}
	var b strings.Builder
	b.WriteString("    ")
	b.WriteString(head)
	for _, r := range append(before, after...) {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r):
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	b.WriteString(tail)
	b.WriteString("\n    ")
	b.WriteString(strings.Repeat(" ", len(head)+len(before)))
	b.WriteByte('^')
	return b.String()
}

// Nearest returns the candidate that word is most probably a misspelling of, or "" if none is near
// enough: at most one edit (insertion, deletion, exchange or swap of neighbours) for every three
// letters of word, and at least one. Ties go to the earlier candidate.
func Nearest(word string, candidates []string) string {
	const longest = 64 // beyond this the comparison costs more than it helps
	if len(word) > longest {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if len(c) > longest || c == word {
			continue
		}
		// A single letter is one edit away from every other single letter: no hint at all.
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance && d < max(len(word), len(c)) {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance is the optimal string alignment distance of a and b, byte by byte.
func editDistance(a, b string) int {
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
