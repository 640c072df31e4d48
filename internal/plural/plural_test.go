package plural

import "testing"

func TestOf(t *testing.T) {
	for n, want := range map[int]string{0: "0 pairs", 1: "1 pair", 2: "2 pairs", 1000: "1000 pairs"} {
		if got := Of(n, "pair"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
