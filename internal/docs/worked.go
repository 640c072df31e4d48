package main

import (
	"fmt"
	"regexp"
	"strings"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/kernels/ptx"
	"invar/problem"
	"invar/program"
)

// The worked example of docs/architecture.md: the problem square with the method pg:lr=0.3.

func workedModel() (*graph.Model, error) {
	p, err := problem.Builtin("square")
	if err != nil {
		return nil, err
	}
	return graph.New(p)
}

func workedProgram() (*program.Program, error) {
	m, err := workedModel()
	if err != nil {
		return nil, err
	}
	specs, err := batch.ParseMethods("pg:lr=0.3")
	if err != nil {
		return nil, err
	}
	return batch.Compile(m, specs[0], batch.Options{Limits: batch.DefaultLimits(true)})
}

func block(language, text string) string {
	return "```" + language + "\n" + strings.TrimSpace(text) + "\n```"
}

// workedQuantities is what Gorgonia's graphs are lowered to.
func workedQuantities() (string, error) {
	m, err := workedModel()
	if err != nil {
		return "", err
	}
	const want = graph.Y | graph.Loss | graph.Grad | graph.GradY
	b := program.NewBuilder("square")
	alpha, x := b.Input("alpha", program.F64), b.Inputs("x", 2)
	q, err := m.Emit(b, []program.Value{alpha}, x, want)
	if err != nil {
		return "", err
	}
	return block("", brief(b.Finish(q.Flat(want)...))+"\n# returned: "+strings.Join(want.Names(2, 2), ", ")), nil
}

// workedStep is what a running sample computes.
func workedStep() (string, error) {
	p, err := workedProgram()
	if err != nil {
		return "", err
	}
	return block("", brief(p.Stage().Step)), nil
}

var (
	defined = regexp.MustCompile(`(?m)^\s*(v\d+) = (const|input) (.*)\n`)
	name    = regexp.MustCompile(`\bv\d+\b`)
)

// brief is f with its constants and inputs where they are used.
func brief(f *program.Func) string {
	text := f.String()
	stands := map[string]string{}
	for _, m := range defined.FindAllStringSubmatch(text, -1) {
		stands[m[1]] = m[3]
	}
	return name.ReplaceAllStringFunc(defined.ReplaceAllString(text, ""), func(v string) string {
		if s, ok := stands[v]; ok {
			return s
		}
		return v
	})
}

// workedAVX is the step as machine code for AVX-512.
func workedAVX() (string, error) {
	p, err := workedProgram()
	if err != nil {
		return "", err
	}
	lines, err := cpu.StepListing(p)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errElsewhere, err)
	}
	return block("asm", strings.Join(lines, "\n")), nil
}

// workedPTX is the step in the kernel for a GPU.
func workedPTX() (string, error) {
	p, err := workedProgram()
	if err != nil {
		return "", err
	}
	k, err := ptx.Compile(p, nil)
	if err != nil {
		return "", err
	}
	step, rest, ok := between(k.Text, "next_0:\n", "\t// the sample ends")
	if !ok {
		return "", fmt.Errorf("the kernel has no step")
	}
	on, _, ok := between(rest, "\non_", "\t// the budget is spent")
	if !ok {
		return "", fmt.Errorf("the kernel does not go on")
	}
	text := "next_0:\n" + step + "\t...\t// the results, and the next sample\non_" + on
	return block("", strings.ReplaceAll(text, "\t", "    ")), nil
}

// between cuts what stands in text between two marks, and what follows.
func between(text, from, to string) (inside, rest string, ok bool) {
	if _, text, ok = strings.Cut(text, from); !ok {
		return "", "", false
	}
	return strings.Cut(text, to)
}
