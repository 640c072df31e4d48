// Command docs keeps docs/ in step with the code: it writes the parts of the pages that tables in the
// code determine, between the lines
//
//	<!-- generated: NAME -->
//	<!-- end -->
//
// of docs/*.md. Run it in the root of the repository, or say make docs:
//
//	go run -tags nocuda ./internal/docs
//
// Its tests say when a committed page is out of date, and run every command that README.md and
// docs/ show.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := update("."); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// update rewrites the generated parts of the pages under root.
func update(root string) error {
	files, err := pages(root)
	if err != nil {
		return err
	}
	for _, file := range files {
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text, err := regenerate(old)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if bytes.Equal(old, text) {
			continue
		}
		if err := os.WriteFile(file, text, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// pages are the files that show commands or have generated parts.
func pages(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no docs/*.md here; the root of the repository is wanted")
	}
	return append([]string{filepath.Join(root, "README.md")}, files...), err
}

const (
	beginMark = "<!-- generated: "
	endMark   = "<!-- end -->"
)

// regenerate is a page with its generated parts made anew.
func regenerate(page []byte) ([]byte, error) {
	var out strings.Builder
	rest := string(page)
	for {
		before, after, found := strings.Cut(rest, beginMark)
		out.WriteString(before)
		if !found {
			return []byte(out.String()), nil
		}
		name, _, _ := strings.Cut(after, " -->")
		part, ok := parts[name]
		if !ok {
			return nil, fmt.Errorf("unknown generated part %q", name)
		}
		old, after, found := strings.Cut(strings.TrimPrefix(after, name+" -->"), endMark)
		if !found {
			return nil, fmt.Errorf("the generated part %q has no %s", name, endMark)
		}
		text, err := part()
		if errors.Is(err, errElsewhere) {
			text, err = old, nil
		}
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", name, err)
		}
		fmt.Fprintf(&out, "%s%s -->\n\n%s\n\n%s", beginMark, name, strings.TrimSpace(text), endMark)
		rest = after
	}
}
