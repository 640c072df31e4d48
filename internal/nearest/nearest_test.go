package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"newton", "newton-ls", "gd", "adam", "rosenbrock"}
	for _, c := range [][2]string{
		{"newtn", "newton"}, {"newotn", "newton"}, {"newtonls", "newton-ls"}, {"adm", "adam"},
		{"rosenbrok", "rosenbrock"}, {"zzz", ""}, {"", "gd"}, {"g", "gd"},
	} {
		want := c[1]
		if c[0] == "" {
			want = "" // nothing was typed
		}
		if got := Name(c[0], names); got != want {
			t.Errorf("Name(%q) = %q, want %q", c[0], got, want)
		}
	}
}
