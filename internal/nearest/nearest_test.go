package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	methods := []string{"newton", "newton-ls", "gd", "adam", "rosenbrock"}
	names := []string{"alpha", "x0", "x1", "outputs", "inputs", "sin", "sinh"}
	for _, c := range []struct {
		from       []string
		word, want string
	}{
		{methods, "newtn", "newton"}, {methods, "newotn", "newton"}, {methods, "newtonls", "newton-ls"}, {methods, "adm", "adam"},
		{methods, "rosenbrok", "rosenbrock"}, {methods, "zzz", ""}, {methods, "", ""}, {methods, "g", "gd"},
		{names, "aplha", "alpha"}, {names, "Alpha", "alpha"}, {names, "x2", "x0"}, {names, "inptus", "inputs"}, {names, "snh", "sinh"},
		{names, "zebra", ""}, {names, "q", ""}, {names, "", ""}, {names, "x", "x0"}, {names, strings.Repeat("a", 1000), ""},
	} {
		if got := Name(c.word, c.from); got != c.want {
			t.Errorf("Name(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}

func TestHint(t *testing.T) {
	for word, want := range map[string]string{"adm": ` (did you mean "adam"?)`, "zzz": ""} {
		if got := Hint(word, []string{"gd", "adam"}); got != want {
			t.Errorf("Hint(%q) = %q, want %q", word, got, want)
		}
	}
}
