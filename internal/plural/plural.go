// Package plural counts things in messages.
package plural

import "strconv"

// Of is "1 column", "2 columns".
func Of(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
