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
