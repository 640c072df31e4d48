package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/graph"
	"invar/problem"
	"invar/problem/formula"
	"invar/program"
)

var showFormats = []string{"text", "dot"}

func newShow(stdout io.Writer) *cobra.Command {
	var format, method, dtype string
	cmd := &cobra.Command{
		Use:   "show PROBLEM",
		Short: "Show a problem's formulas, derivatives and programs",
		Long: `Show the formulas of PROBLEM, a built-in problem or a file (.toml), with its
derivatives as they were found, and how many operations each quantity takes. With
--method, show the program of that method instead: what one sample executes.
With --format dot either is drawn by Graphviz: pipe it into dot -Tsvg.`,
		Example: `  sweep show square
  sweep show square --method newton:lr=0.5
  sweep show rosenbrock --format dot > rosenbrock.dot`,
		Args:              oneArg("PROBLEM"),
		ValidArgsFunction: completeProblem,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(showFormats, format) {
				return usage(formatError(format, showFormats))
			}
			p, err := problem.Load(args[0])
			if err != nil {
				return usage(err)
			}
			m, err := graph.New(p)
			if err != nil {
				return usage(err)
			}
			var b strings.Builder
			switch {
			case method != "":
				prog, err := programOf(m, method, dtype)
				if err != nil {
					return usage(err)
				}
				if format == "dot" {
					dotProgram(&b, prog)
				} else {
					showProgram(&b, prog)
				}
			case format == "dot":
				err = dotProblem(&b, m)
			default:
				err = showProblem(&b, m)
			}
			if err != nil {
				return usage(err)
			}
			_, err = io.WriteString(stdout, b.String())
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "output: "+strings.Join(showFormats, ", "))
	cmd.Flags().StringVarP(&method, "method", "m", "", "show the program of this method, `NAME[:setting=value,...]`")
	cmd.Flags().StringVar(&dtype, "dtype", batch.DTypes[0], "numbers of that program: "+strings.Join(batch.DTypes, ", "))
	completeValues(cmd, "format", showFormats...)
	return cmd
}

// programOf is the program of one method with the default limits.
func programOf(m *graph.Model, method, dtype string) (*program.Program, error) {
	specs, err := batch.ParseMethods(method)
	if err != nil {
		return nil, err
	}
	if len(specs) != 1 {
		return nil, fmt.Errorf("--method %s: one method is wanted", method)
	}
	float, err := batch.ParseDType(dtype)
	if err != nil {
		return nil, fmt.Errorf("--%s", plain(err))
	}
	return batch.Compile(m, specs[0], batch.Options{Limits: batch.DefaultLimits(len(m.Problem().Minima) > 0), DType: float})
}

// showProblem writes the problem for people.
func showProblem(b *strings.Builder, m *graph.Model) error {
	p := m.Problem()
	fmt.Fprintf(b, "%s\n\n", p.Name)
	if p.Description != "" {
		b.WriteString(wrap(p.Description, "  ", helpWidth) + "\n")
	}
	if p.Source != "" {
		b.WriteString(wrap("Source: "+p.Source, "  ", helpWidth) + "\n")
	}
	if p.Description != "" || p.Source != "" {
		b.WriteString("\n")
	}
	b.WriteString(hang("inputs      ", strings.Join(p.Inputs, ", ")) + "\n")
	b.WriteString(hang("box         ", boxText(p.Box)) + "\n")
	for i, q := range p.Params {
		fmt.Fprintf(b, "%-12s%s = %s\n", first(i, "parameters"), q.Name, exact(q.Default))
	}
	i := 0
	for _, name := range sortedKeys(p.Methods) {
		spec := batch.Spec{Method: &batch.Method{Name: name}, Set: p.Methods[name]}
		fmt.Fprintf(b, "%-12s%s\n", first(i, "settings"), spec)
		i++
	}

	b.WriteString("\nFormulas\n")
	bindings(b, "", p.Let)
	if s := p.Simulate; s != nil {
		fmt.Fprintf(b, "  %d steps of the state %s, from\n", s.Steps, strings.Join(s.State, ", "))
		namedFormulas(b, "    ", s.State, s.Initial)
		b.WriteString("  one step (' is the next)\n")
		bindings(b, "  ", s.Let)
		namedFormulas(b, "    ", primed(s.State), s.Step)
		b.WriteString("  outputs of the final state\n")
	}
	namedFormulas(b, "  ", indexed("y", p.M()), p.Outputs)
	namedFormulas(b, "  ", indexed("t", len(p.Target)), p.Target)
	equation(b, "  ", "L", p.Loss)
	if p.Inverse != nil {
		b.WriteString("\nInverse, near the current inputs (' is the new)\n")
		if s := p.Simulate; s != nil && s.Reverse != nil {
			b.WriteString("  final state\n")
			namedFormulas(b, "    ", primed(s.State), s.Reverse.Final)
			b.WriteString("  one step back\n")
			bindings(b, "  ", s.Reverse.Let)
			namedFormulas(b, "    ", primed(s.State), s.Reverse.Step)
			b.WriteString("  inputs of the state so recovered\n")
		}
		namedFormulas(b, "  ", primed(p.Inputs), p.Inverse)
	}
	if len(p.Minima) > 0 {
		b.WriteString("\nMinima\n")
		for _, x := range p.Minima {
			var s []string
			for _, e := range x {
				s = append(s, e.String())
			}
			b.WriteString("  (" + strings.Join(s, ", ") + ")\n")
		}
	}

	parts, err := m.Listing(shownDerivatives)
	if err != nil {
		return err
	}
	b.WriteString("\nDerivatives\n")
	for _, part := range parts {
		fmt.Fprintf(b, "  # %s\n", part.Title)
		for _, f := range part.Formulas {
			equation(b, "  ", f.Name, f.Expr)
		}
	}
	b.WriteString("\nOperations of one evaluation\n")
	t := &table{header: []string{"  quantity", "numbers", "operations"}, left: []int{0}}
	for _, q := range shownQuantities {
		f, err := lowered(m, q.want)
		if err != nil {
			return err
		}
		t.add("  "+q.name, strconv.Itoa(len(f.Out)), big(work(f)))
	}
	return t.write(b)
}

const shownDerivatives = graph.Y | graph.Loss | graph.Grad | graph.Hess | graph.GradY | graph.HessY

var shownQuantities = []struct {
	name string
	want graph.Want
}{
	{"y", graph.Y}, {"L", graph.Loss}, {"dL/dx, with L", graph.Loss | graph.Grad}, {"d2L/dx2, with both", graph.Loss | graph.Grad | graph.Hess},
	{"dy/dx, with y", graph.Y | graph.Jac}, {"dL/dy", graph.GradY}, {"d2L/dy2", graph.HessY},
}

// lowered is the code of the wanted quantities: of the parameters and x.
func lowered(m *graph.Model, want graph.Want) (*program.Func, error) {
	p := m.Problem()
	b := program.NewBuilder(p.Name)
	var params []program.Value
	for _, q := range p.Params {
		params = append(params, b.Input(q.Name, program.F64))
	}
	q, err := m.Emit(b, params, b.Inputs("x", p.N()), want)
	if err != nil {
		return nil, err
	}
	return program.Optimize(b.Finish(q.Flat(want)...), true), nil
}

// first is the label on the first line, and nothing on those that follow.
func first(i int, label string) string {
	if i == 0 {
		return label
	}
	return ""
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func indexed(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = prefix + strconv.Itoa(i)
	}
	return s
}

func primed(names []string) []string {
	s := make([]string, len(names))
	for i, n := range names {
		s[i] = n + "'"
	}
	return s
}

func bindings(b *strings.Builder, indent string, list []problem.Binding) {
	for _, l := range list {
		equation(b, "  "+indent, l.Name, l.Expr)
	}
}

func namedFormulas(b *strings.Builder, indent string, names []string, es []*formula.Expr) {
	for i, e := range es {
		equation(b, indent, names[i], e)
	}
}

// equation writes name = formula, long ones on several lines.
func equation(b *strings.Builder, indent, name string, e *formula.Expr) {
	head := indent + name + " = "
	body := wrap(e.String(), indent+"    ", helpWidth)
	b.WriteString(head + strings.TrimLeft(body, " ") + "\n")
}

// showProgram lists what one sample executes.
func showProgram(b *strings.Builder, p *program.Program) {
	fmt.Fprintf(b, "program %s: %s operations to set up, %s a step\n\n", p.Name, big(work(p.Setup)), big(work(p.Step)))
	b.WriteString("# Slots: what is kept from step to step.\n")
	result := map[int]bool{}
	for _, s := range p.Results {
		result[s] = true
	}
	for i, s := range p.Slots {
		note := ""
		switch {
		case s.Fixed:
			note = "fixed"
		case i == p.Status:
			note = "result; 0 while running"
		case result[i]:
			note = "result"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-18s %-5s %s", s.Name, s.Type, note), " ") + "\n")
	}
	b.WriteString("\n# Inputs to slots.\n" + p.Setup.String())
	b.WriteString("\n# Slots to those slots that are not fixed, until the status is not 0.\n" + p.Step.String())
}

// dotProblem draws values and derivatives as a graph.
func dotProblem(b *strings.Builder, m *graph.Model) error {
	parts, err := m.Listing(shownDerivatives)
	if err != nil {
		return err
	}
	d := newDot(b, m.Problem().Name)
	for i, part := range parts {
		d.begin(i, part.Title)
		named := map[string]int{} // by name, within the part
		for _, f := range part.Formulas {
			at := d.expr(f.Expr, named)
			if formula.IsName(f.Name) && f.Expr.Op != "name" {
				named[f.Name] = at
			}
			d.edge(at, d.node(f.Name, "shape=box style=filled fillcolor=\"#cfe3f5\""))
		}
		d.end()
	}
	d.close()
	return nil
}

// dotProgram draws the step of a program.
func dotProgram(b *strings.Builder, p *program.Program) {
	d := newDot(b, p.Name)
	f := p.Step
	at := make([]int, len(f.Instrs))
	for i := range f.Instrs {
		in := &f.Instrs[i]
		label := in.Op.String()
		style := ""
		switch in.Op {
		case program.OpInput:
			label, style = f.InNames[in.Imm], "shape=plain"
		case program.OpConst:
			style = "shape=plain"
			switch in.Type {
			case program.F64:
				label = short(math.Float64frombits(in.Imm))
			case program.Bool:
				label = strconv.FormatBool(in.Imm != 0)
			default:
				label = strconv.FormatInt(int64(in.Imm), 10)
			}
		}
		at[i] = d.node(label, style)
	}
	// Edges last: the value for the next trip of a loop is defined further down.
	for i := range f.Instrs {
		for k := 0; k < f.Instrs[i].Op.NumArgs(); k++ {
			d.edge(at[f.Instrs[i].Arg(k)], at[i])
		}
	}
	out := 0
	for _, s := range p.Slots {
		if s.Fixed {
			continue
		}
		d.edge(at[f.Out[out]], d.node(s.Name, "shape=box style=filled fillcolor=\"#cfe3f5\""))
		out++
	}
	d.close()
}

// dot writes a graph in the language of Graphviz.
type dot struct {
	b *strings.Builder
	n int
}

func newDot(b *strings.Builder, name string) *dot {
	fmt.Fprintf(b, "digraph %q {\n  rankdir=BT\n  node [shape=ellipse fontname=\"Helvetica\" fontsize=11]\n  edge [arrowsize=0.6]\n", name)
	return &dot{b: b}
}

func (d *dot) begin(i int, title string) {
	fmt.Fprintf(d.b, "  subgraph cluster%d {\n  label=%q fontname=\"Helvetica\" color=gray\n", i, title)
}

func (d *dot) end()   { d.b.WriteString("  }\n") }
func (d *dot) close() { d.b.WriteString("}\n") }

func (d *dot) node(label, style string) int {
	if style != "" {
		style = " " + style
	}
	fmt.Fprintf(d.b, "  n%d [label=%q%s]\n", d.n, label, style)
	d.n++
	return d.n - 1
}

func (d *dot) edge(from, to int) { fmt.Fprintf(d.b, "  n%d -> n%d\n", from, to) }

// operators are the labels of operations that are not written as functions.
var operators = map[string]string{"add": "+", "sub": "-", "mul": "*", "div": "/", "neg": "-", "pow": "^",
	"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}

// expr draws a formula and returns the node of its value. Names are drawn once a part.
func (d *dot) expr(e *formula.Expr, named map[string]int) int {
	switch e.Op {
	case "num":
		return d.node(short(e.Value), "shape=plain")
	case "name":
		at, ok := named[e.Name]
		if !ok {
			at = d.node(e.Name, "shape=box")
			named[e.Name] = at
		}
		return at
	}
	var args []int
	for _, a := range e.Args {
		args = append(args, d.expr(a, named))
	}
	label := e.Op
	if s, ok := operators[e.Op]; ok {
		label = s
	}
	at := d.node(label, "")
	for _, a := range args {
		d.edge(a, at)
	}
	return at
}
