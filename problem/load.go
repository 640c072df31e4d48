package problem

import (
	"embed"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"invar/internal/nearest"
)

//go:embed builtin/*.toml
var builtin embed.FS

// Builtins returns the names of the built-in problems, sorted.
func Builtins() []string {
	entries, err := builtin.ReadDir("builtin")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".toml")
	}
	slices.Sort(names)
	return names
}

// Builtin reads the built-in problem of the given name.
func Builtin(name string) (*Problem, error) {
	names := Builtins()
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("problem: no built-in problem %q%s; built in: %s", name, didYouMean(name, names), enumerate(names))
	}
	data, err := BuiltinFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".toml", data)
}

// BuiltinFile returns the text of a built-in problem's file, a pattern for files of one's own.
func BuiltinFile(name string) ([]byte, error) {
	data, err := builtin.ReadFile(path.Join("builtin", name+".toml"))
	if err != nil {
		return nil, fmt.Errorf("problem: no built-in problem %q; built in: %s", name, enumerate(Builtins()))
	}
	return data, nil
}

// Load reads a built-in problem by its name, or else a problem file: a name that ends in .toml or
// holds a path separator.
func Load(nameOrFile string) (*Problem, error) {
	name, data, err := Read(nameOrFile)
	if err != nil {
		return nil, err
	}
	return Parse(name, data)
}

// Read finds what Load loads: the text of the file, and its name for Parse.
func Read(nameOrFile string) (name string, data []byte, err error) {
	names := Builtins()
	if slices.Contains(names, nameOrFile) {
		data, err = BuiltinFile(nameOrFile)
		return nameOrFile + ".toml", data, err
	}
	if !strings.HasSuffix(nameOrFile, ".toml") && !strings.ContainsAny(nameOrFile, "/"+string(os.PathSeparator)) {
		hint := didYouMean(nameOrFile, names)
		if _, err := os.Stat(nameOrFile + ".toml"); nameOrFile != "" && err == nil {
			hint = fmt.Sprintf(", did you mean the file %q?", nameOrFile+".toml")
		}
		return "", nil, fmt.Errorf(`problem: no problem %q%s; built in: %s; the name of a file ends in .toml or contains a "/"`, nameOrFile, hint, enumerate(names))
	}
	f, err := os.Open(nameOrFile)
	if err != nil {
		return "", nil, fmt.Errorf("problem: %w", err)
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, MaxFile+1)) // one more, so that Parse sees the excess
	if err != nil {
		return "", nil, fmt.Errorf("problem: %w", err)
	}
	return nameOrFile, data, nil
}

// didYouMean suggests the nearest of the allowed names, if one is near.
func didYouMean(name string, allowed []string) string {
	if near := nearest.Name(name, allowed); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

// enumerate lists names for a message, not too many of them.
func enumerate(names []string) string {
	const most = 24
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}
