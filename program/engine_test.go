package program_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"invar/program"
)

// picky compiles programs with one of its names.
type picky struct {
	name string
	runs []string
}

func (e picky) Name() string { return e.name }

func (e picky) Compile(p *program.Program) (program.Executable, error) {
	if !slices.Contains(e.runs, p.Name) {
		return nil, fmt.Errorf("%s: %s is too large: %w", e.name, p.Name, program.ErrUnfit)
	}
	return picked{by: e.name}, nil
}

type picked struct {
	program.Executable
	by string
}

// Programs that the first engine cannot run go to the spare one, each name is said once, and the engine is called after
// those that programs run on.
func TestSpareTakesUnfitPrograms(t *testing.T) {
	var said []string
	e := program.WithSpare(picky{"first", []string{"a", "b"}}, picky{"spare", []string{"x", "y"}}, func(err error) { said = append(said, err.Error()) })
	for _, c := range []struct{ program, named string }{
		{"", "first"}, {"x", "spare"}, {"x", "spare"}, {"y", "spare"}, {"a", "first and spare"}, {"b", "first and spare"}, {"x", "first and spare"},
	} {
		if c.program != "" {
			if _, err := e.Compile(&program.Program{Name: c.program}); err != nil {
				t.Fatal(err)
			}
		}
		if e.Name() != c.named {
			t.Errorf("after program %q the engine is called %q, want %q", c.program, e.Name(), c.named)
		}
	}
	x := "first: x is too large: " + program.ErrUnfit.Error()
	y := "first: y is too large: " + program.ErrUnfit.Error()
	if want := []string{x, y}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if _, err := e.Compile(&program.Program{Name: "z"}); !errors.Is(err, program.ErrUnfit) {
		t.Errorf("error %v for a program that neither engine can run, want ErrUnfit", err)
	}
}
