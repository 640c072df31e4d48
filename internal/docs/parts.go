package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/problem/formula"
)

// parts makes the generated parts by their names.
var parts = map[string]func() (string, error){
	"functions":  functions,
	"limits":     limits,
	"problems":   problems,
	"methods":    methods,
	"invariance": invariance,
	"statuses":   statuses,

	"worked-quantities": workedQuantities,
	"worked-step":       workedStep,
	"worked-avx512":     workedAVX,
	"worked-ptx":        workedPTX,
}

// errElsewhere is the error of a part that this machine cannot make; the page keeps what it has.
var errElsewhere = errors.New("made elsewhere")

// mdTable is a Markdown table.
type mdTable struct{ strings.Builder }

func newTable(header ...string) *mdTable {
	t := &mdTable{}
	t.row(header...)
	t.WriteString("|" + strings.Repeat("---|", len(header)) + "\n")
	return t
}

func (t *mdTable) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	t.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func code(s string) string { return "`" + s + "`" }

// functions lists the functions of formulas.
func functions() (string, error) {
	t := newTable("function", "meaning")
	for _, f := range formula.Functions {
		use, doc, found := strings.Cut(f.Doc, ": ")
		if !found || !strings.HasPrefix(use, f.Name+"(") {
			use, doc = f.Name+"(a)", f.Doc
			if f.MinArgs > 1 {
				use = f.Name + "(a, b)"
			}
		}
		t.row(code(use), doc)
	}
	return t.String(), nil
}

// limits lists the bounds on problem files.
func limits() (string, error) {
	t := newTable("what", "at most")
	for _, l := range []struct {
		what string
		most int
	}{
		{"bytes of a file", problem.MaxFile},
		{"inputs", problem.MaxInputs},
		{"outputs", problem.MaxOutputs},
		{"parameters", problem.MaxParams},
		{"known minima", problem.MaxMinima},
		{"components of a simulation's state", problem.MaxState},
		{"steps of a simulation", problem.MaxSteps},
		{"numbers, names and operations in all formulas together", problem.MaxNodes},
		{"the same, for one evaluation, every time step counted", problem.MaxWork},
		{"bytes of one formula", formula.MaxSource},
		{"numbers, names and operations of one formula", formula.MaxNodes},
		{"levels of one formula (a sum of k terms has k)", formula.MaxDepth},
		{"nodes of one expression graph, derivatives included", graph.MaxNodes},
	} {
		t.row(l.what, strconv.Itoa(l.most))
	}
	return t.String(), nil
}

// problems lists the built-in problems.
func problems() (string, error) {
	t := newTable("problem", "n", "m", "inverse", "minima", "parameters", "source")
	for _, name := range problem.Builtins() {
		p, err := problem.Builtin(name)
		if err != nil {
			return "", err
		}
		var params []string
		for _, q := range p.Params {
			params = append(params, fmt.Sprintf("%s = %v", q.Name, q.Default))
		}
		t.row(code(name), strconv.Itoa(p.N()), strconv.Itoa(p.M()), yes(p.Inverse != nil), strconv.Itoa(len(p.Minima)),
			strings.Join(params, ", "), p.Source)
	}
	return t.String(), nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// methods has a section for each method.
func methods() (string, error) {
	var b strings.Builder
	for _, m := range batch.Methods() {
		fmt.Fprintf(&b, "### %s\n\n    %s\n\n", m.Name, strings.Join(lines(m.Doc), "\n    "))
		t := newTable("setting", "default", "allowed", "meaning")
		for _, s := range m.Settings {
			t.row(code(s.Name), fmt.Sprint(s.Default), allowed(s), s.Doc)
		}
		b.WriteString(t.String())
		needs := "the loss and its gradient"
		if w := wanted(m); len(w) > 0 {
			needs += ", " + strings.Join(w, ", ")
		}
		fmt.Fprintf(&b, "\nNeeds %s. Source: %s.\n\n", needs, strings.TrimSuffix(m.Source, "."))
	}
	return b.String(), nil
}

// lines breaks an update after each semicolon outside of parentheses.
func lines(doc string) []string {
	var all []string
	depth, from := 0, 0
	for i, r := range doc {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ';':
			if depth == 0 {
				all, from = append(all, strings.TrimSpace(doc[from:i+1])), i+1
			}
		}
	}
	return append(all, strings.TrimSpace(doc[from:]))
}

// allowed is the range of a setting.
func allowed(s batch.Setting) string {
	r := fmt.Sprintf("%v to %v", s.Min, s.Max)
	switch {
	case s.Min == math.SmallestNonzeroFloat64 && s.Max == math.MaxFloat64:
		r = "greater than 0"
	case s.Integer:
		r = "whole numbers, " + r
	}
	return r
}

// wanted lists what a method needs of a problem besides the loss and its gradient.
func wanted(m *batch.Method) []string {
	var w []string
	for _, q := range []struct {
		want graph.Want
		name string
	}{{graph.Y, "y"}, {graph.Jac, "dy/dx"}, {graph.Hess, "d2L/dx2"}, {graph.GradY, "dL/dy"}, {graph.HessY, "d2L/dy2"}} {
		if m.Want&q.want != 0 {
			w = append(w, q.name)
		}
	}
	if m.Inverse {
		w = append(w, "the problem's local inverse")
	}
	return w
}

// What the invariance table measures.
const (
	invarianceRange  = "0.01:100:9"
	invarianceStarts = 64
)

// invariance measures every method on every built-in problem whose parameter alpha scales
// it: the largest path deviation over alpha, and the share of samples that converge.
func invariance() (string, error) {
	alphas, err := batch.ParseRange(invarianceRange)
	if err != nil {
		return "", err
	}
	header, skipped := []string{"method"}, []string{}
	var sweeps []*batch.Sweep
	engine, _ := cpu.Auto()
	for _, name := range problem.Builtins() {
		p, err := problem.Builtin(name)
		if err != nil {
			return "", err
		}
		if len(p.Minima) == 0 {
			skipped = append(skipped, code(name))
			continue
		}
		sw, err := batch.New(p, engine)
		if err != nil {
			return "", err
		}
		if sw.Starts, err = batch.Draw(p, "uniform", 1, invarianceStarts); err != nil {
			return "", err
		}
		sw.Grid = batch.Grid{{Name: "alpha", Values: alphas}}
		header, sweeps = append(header, name), append(sweeps, sw)
	}
	deviation, converged := newTable(append([]string(nil), header...)...), newTable(append([]string(nil), header...)...)
	for _, m := range batch.Methods() {
		d, c := []string{code(m.Name)}, []string{code(m.Name)}
		for _, sw := range sweeps {
			if m.Supports(sw.Model.Problem()) != nil {
				d, c = append(d, "-"), append(c, "-")
				continue
			}
			sw.Methods = []batch.Spec{{Method: m}}
			rep, err := sw.Run(context.Background())
			if err != nil {
				return "", err
			}
			worst, done, all := 0.0, 0, 0
			for _, cell := range rep.Cells {
				if !(cell.PathDeviation <= worst) {
					worst = cell.PathDeviation
				}
				done, all = done+cell.Status[batch.Converged], all+cell.Samples
			}
			d = append(d, magnitude(worst))
			c = append(c, fmt.Sprintf("%d", int(math.Floor(100*float64(done)/float64(all)))))
		}
		deviation.row(d...)
		converged.row(c...)
	}
	return fmt.Sprintf(`The largest path deviation over alpha = %s (a factor of about 3 apart), %d starts, default settings
and those of the problem's file. "<1e-12" is invariant but for rounding; "div" is a path that diverges
where the one at alpha = 1 does not, or by more than 1e6 times the distance from start to minimum.

%s
The share of the same samples that converge within 100 iterations, in percent, rounded down:

%s
Left out is %s, which has no minimum. A dash is a method that needs an inverse that the problem has not.`,
		strings.Join(strings.Split(invarianceRange, ":")[:2], ".."), invarianceStarts, deviation.String(), converged.String(),
		strings.Join(skipped, ", ")), nil
}

// magnitude is a deviation in a few characters.
func magnitude(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 1e-12:
		return "<1e-12"
	case !(x < 1e6):
		return "div"
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

// statuses lists the statuses.
func statuses() (string, error) {
	t := newTable("status", "code", "when", "stopped early", "what to do")
	for _, s := range append([]batch.Status{batch.Running}, batch.Statuses()...) {
		t.row(code(s.String()), strconv.Itoa(int(s)), s.Predicate(), yes(s.Early()), s.Remedy())
	}
	return t.String(), nil
}
