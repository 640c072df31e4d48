package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

const root = "../.."

// The committed pages are what the code says now.
func TestPagesAreUpToDate(t *testing.T) {
	files, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name := range parts {
			seen[name] = seen[name] || bytes.Contains(old, []byte(beginMark+name+" -->"))
		}
		text, err := regenerate(old)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !bytes.Equal(old, text) {
			t.Errorf("%s is out of date (%s): run go run -tags nocuda ./internal/docs in the root of the repository", file, firstDifference(string(old), string(text)))
		}
	}
	for name := range parts {
		if !seen[name] {
			t.Errorf("no page has the generated part %q", name)
		}
	}
}

// firstDifference names the first line that differs.
func firstDifference(old, new string) string {
	a, b := strings.Split(old, "\n"), strings.Split(new, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + " -> " + b[i]
		}
	}
	return "one is longer"
}

func TestRegenerateRefuses(t *testing.T) {
	for _, page := range []string{beginMark + "nonsense -->" + endMark, beginMark + "statuses -->"} {
		if _, err := regenerate([]byte(page)); err == nil {
			t.Errorf("%q is taken", page)
		}
	}
}

// A part that this machine cannot make stays as it is; any other failure is one.
func TestRegenerateKeeps(t *testing.T) {
	defer delete(parts, "test")
	page := "before " + beginMark + "test -->\n\nas it was\n\n" + endMark + " behind"
	parts["test"] = func() (string, error) { return "", fmt.Errorf("not here: %w", errElsewhere) }
	if got, err := regenerate([]byte(page)); err != nil || string(got) != page {
		t.Errorf("%q, %v; want the page as it was", got, err)
	}
	parts["test"] = func() (string, error) { return "", errors.New("wrong") }
	if _, err := regenerate([]byte(page)); err == nil {
		t.Error("a failure is no error")
	}
}

func TestLines(t *testing.T) {
	got := strings.Join(lines("a(b; c); d;  e"), "|")
	if want := "a(b; c);|d;|e"; got != want {
		t.Errorf("lines: %s, want %s", got, want)
	}
}
