package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/graph"
	"invar/problem"
)

func newProblems(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "problems",
		Short: "List the built-in problems",
		Long: `List the built-in problems: inputs (in), outputs (out), whether the local inverse is
given (inv), known minima (min), parameters.`,
		Example: `  sweep problems
  sweep problems | grep alpha=100
  sweep show pendulum`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var b strings.Builder
			b.WriteString("problem      in  out  inv  min  parameters\n")
			for _, name := range problem.Builtins() {
				p, err := problem.Builtin(name)
				if err != nil {
					return err
				}
				inverse := "no"
				if p.Inverse != nil {
					inverse = "yes"
				}
				var params []string
				for _, q := range p.Params {
					params = append(params, q.Name+"="+exact(q.Default))
				}
				fmt.Fprintf(&b, "%-12s %2d  %3d  %-3s  %3d  %s\n", name, p.N(), p.M(), inverse, len(p.Minima), strings.Join(params, " "))
				b.WriteString(wrap(firstSentence(p.Description), "    ", helpWidth) + "\n")
			}
			b.WriteString("\nsweep show PROBLEM shows its formulas; sweep init NAME begins one of your own.\n")
			_, err := io.WriteString(stdout, b.String())
			return err
		},
	}
}

func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i+1]
	}
	return strings.TrimSuffix(s, ".")
}

func newMethods(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "methods [NAME]",
		Short: "List the methods, or show one",
		Long: `List the methods: update, settings with defaults and ranges, what each needs of a
problem besides the loss and its gradient, and the source. With NAME, only that one.`,
		Example: `  sweep methods
  sweep methods newton
  sweep methods pg-numeric`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("NAME")(cmd, args)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, m := range batch.Methods() {
				names = append(names, m.Name+"\t"+m.Doc)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			methods := batch.Methods()
			if len(args) > 0 {
				m, err := batch.Lookup(args[0])
				if err != nil {
					return usage(err)
				}
				methods = []*batch.Method{m}
			}
			var b strings.Builder
			for i, m := range methods {
				if i > 0 {
					b.WriteString("\n")
				}
				describeMethod(&b, m)
			}
			_, err := io.WriteString(stdout, b.String())
			return err
		},
	}
}

func describeMethod(b *strings.Builder, m *batch.Method) {
	fmt.Fprintf(b, "%s\n", m.Name)
	row := func(label, text string) { b.WriteString(hang(fmt.Sprintf("  %-9s ", label), text) + "\n") }
	row("update", m.Doc)
	for i, s := range m.Settings {
		row(first(i, "settings"), fmt.Sprintf("%s=%s  %s (%s)", s.Name, exact(s.Default), s.Doc, strings.TrimSuffix(s.Range(), ",")))
	}
	if needs := needsOf(m); needs != "" {
		row("needs", needs)
	}
	row("source", m.Source)
}

// needsOf lists what a method takes of the problem besides the loss and its gradient.
func needsOf(m *batch.Method) string {
	var s []string
	for _, q := range []struct {
		want graph.Want
		name string
	}{
		{graph.Y, "y"}, {graph.Hess, "d2L/dx2"}, {graph.Jac, "dy/dx"}, {graph.GradY, "dL/dy"}, {graph.HessY, "d2L/dy2"},
	} {
		if m.Want&q.want != 0 {
			s = append(s, q.name)
		}
	}
	if m.Inverse {
		s = append(s, "the problem's local inverse (`inverse` in its file)")
	}
	return strings.Join(s, ", ")
}
