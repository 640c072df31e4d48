// Package disasm checks machine code with a disassembler that knows nothing of
// ours: it holds the text that an amd64.Asm lists against objdump's, line by line.
package disasm

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Tool is the path of objdump, "" if there is none. GNU objdump is meant: its
// Intel syntax is what amd64.Asm lists.
func Tool() string {
	for _, name := range []string{"objdump", "gobjdump", "x86_64-linux-gnu-objdump"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if out, err := exec.Command(path, "--version").Output(); err == nil && bytes.Contains(out, []byte("GNU")) {
			return path
		}
	}
	return ""
}

var (
	line  = regexp.MustCompile(`^\s*[0-9a-f]+:\t([0-9a-f ]+)(?:\t(.*))?$`)
	jumps = regexp.MustCompile(`^(j\w+) +(0x[0-9a-f]+)$`)
	space = regexp.MustCompile(`\s+`)
)

// Lines disassembles code, one line an instruction.
func Lines(tool string, code []byte) ([]string, error) {
	dir, err := os.MkdirTemp("", "invar-disasm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		return nil, err
	}
	out, err := exec.Command(tool, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--insn-width=16", file).Output()
	if err != nil {
		return nil, fmt.Errorf("disasm: %s: %w", tool, err)
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		lines = append(lines, normal(m[2]))
	}
	return lines, nil
}

// normal is an instruction's text without what two programs may choose freely.
func normal(s string) string {
	s, _, _ = strings.Cut(s, "#")
	s = strings.TrimSpace(space.ReplaceAllString(s, " "))
	s = strings.TrimPrefix(s, "{evex} ") // a remark that VEX would do
	if m := jumps.FindStringSubmatch(s); m != nil {
		s = m[1] + " " + m[2]
	}
	return s
}

// Compare disassembles code and returns an error for the first line that is not the listed one.
func Compare(tool string, code []byte, text []string) error {
	got, err := Lines(tool, code)
	if err != nil {
		return err
	}
	return Same(got, text)
}

// Same returns an error for the first line of a disassembly that is not the listed one.
func Same(got, text []string) error {
	for i, want := range text {
		if i >= len(got) {
			return fmt.Errorf("disasm: %d instructions, want %d", len(got), len(text))
		}
		if got[i] != normal(want) {
			return fmt.Errorf("disasm: instruction %d is %q, want %q", i, got[i], want)
		}
	}
	if len(got) != len(text) {
		return fmt.Errorf("disasm: %d instructions, want %d", len(got), len(text))
	}
	return nil
}
