package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	make := func() *table {
		tab := &table{header: []string{"method", "samples", "fallbacks", "loss"}, left: []int{0}}
		tab.add("gd", "100", "0", "0.5")
		tab.gap()
		tab.add("adam", "100", "0", "0.25")
		return tab
	}
	order := []string{"samples", "fallbacks"}
	for _, c := range []struct {
		width, want int
		gone        string
	}{
		{100, 32, "[]"}, {32, 32, "[]"}, {31, 21, "[fallbacks]"}, {21, 21, "[fallbacks]"}, {20, 12, "[fallbacks samples]"}, {1, 12, "[fallbacks samples]"},
	} {
		tab := make()
		gone := fmt.Sprint(tab.fit(c.width, order))
		var b strings.Builder
		if err := tab.write(&b); err != nil {
			t.Fatal(err)
		}
		widest := 0
		for _, l := range strings.Split(b.String(), "\n") {
			widest = max(widest, len(l))
		}
		if gone != c.gone || tab.width() != c.want || widest != c.want {
			t.Errorf("to %d columns: took %s, %d wide (printed %d); want %s, %d", c.width, gone, tab.width(), widest, c.gone, c.want)
		}
	}
}
