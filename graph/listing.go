package graph

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"invar/problem"
	"invar/problem/formula"
)

// Part is a part of a problem as it is evaluated: formulas in order, of which the later may refer to
// the earlier ones.
type Part struct {
	Title    string
	Formulas []problem.Binding
}

// Listing returns the wanted values and derivatives as formulas, as differentiation left them
// before they are lowered, with factors in order and without needless ones: for people to read. Names read "y0", "L", "dL/dx0", "d2L/dx1dx0"; s1, s2, ... are
// subexpressions that are used more than once. Without a simulation the derivatives are by the inputs. With one
// they are by the state as well, step by step: the chain rule joins the parts when the program is
// written. Derivatives that are zero everywhere are left out.
func (m *Model) Listing(want Want) ([]Part, error) {
	outputs, byY, state := want.orders(m.p.M())
	p := m.p
	ys := outputNames(p.M())
	var stateNames []string
	var parts []Part
	add := func(title string, k kind, vars, out []string, orders ...order) error {
		s, err := m.system(k, orders...)
		if err == nil {
			parts = append(parts, Part{title, newListing(p, s, vars).formulas(s, vars, out)})
		}
		return err
	}
	if p.Simulate != nil {
		stateNames = p.Simulate.State
		next := make([]string, len(stateNames))
		for i, name := range stateNames {
			next[i] = name + "'"
		}
		if err := add("the state before the first step", initial, p.Inputs, stateNames, state); err != nil {
			return nil, err
		}
		if err := add(fmt.Sprintf("one of %d steps, from the state to the next (')", p.Simulate.Steps), step,
			slices.Concat(stateNames, p.Inputs), next, state); err != nil {
			return nil, err
		}
	}
	title := "outputs and loss"
	if p.Simulate != nil {
		title += ", from the final state"
	}
	if err := add(title, final, slices.Concat(stateNames, p.Inputs), append(slices.Clone(ys), "L"), outputs...); err != nil {
		return nil, err
	}
	if byY != unwanted {
		if err := add("loss as a function of the outputs", lossOfY, ys, []string{"L"}, byY); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// listing turns nodes into formulas.
type listing struct {
	names map[*node]string // inputs and what has a name
	uses  map[*node]int
	taken []string
	out   []problem.Binding
}

func newListing(p *problem.Problem, s *system, vars []string) *listing {
	l := &listing{names: map[*node]string{}, uses: map[*node]int{}, taken: slices.Clone(vars)}
	for i, n := range s.params {
		l.names[n] = p.Params[i].Name
		l.taken = append(l.taken, p.Params[i].Name)
	}
	for i, n := range s.vars {
		l.names[n] = vars[i]
	}
	return l
}

// formulas lists the system's outputs and derivatives, each after the subexpressions that it is the
// first to need.
func (l *listing) formulas(s *system, vars, out []string) []problem.Binding {
	type row struct {
		name string
		n    *node
	}
	var rows []row
	for q, n := range s.out {
		if n != nil {
			rows = append(rows, row{out[q], n})
		}
	}
	for q := range s.out {
		for u, n := range s.d1[q] {
			if n != nil {
				rows = append(rows, row{fmt.Sprintf("d%s/d%s", out[q], vars[u]), n})
			}
		}
	}
	for q := range s.out {
		for u := range vars {
			for v := range u + 1 {
				if s.d2[q] != nil && s.d2[q][tri(u, v)] != nil {
					rows = append(rows, row{fmt.Sprintf("d2%s/d%sd%s", out[q], vars[u], vars[v]), s.d2[q][tri(u, v)]})
				}
			}
		}
	}
	for _, r := range rows {
		l.count(r.n)
	}
	for _, r := range rows {
		l.share(r.n)
		l.out = append(l.out, problem.Binding{Name: r.name, Expr: l.expr(r.n)})
		if r.n.op != nil && l.names[r.n] == "" && formula.IsName(r.name) {
			l.names[r.n] = r.name // y0 in the loss reads better than its formula again
		}
	}
	return l.out
}

func (l *listing) count(n *node) {
	l.uses[n]++
	if l.uses[n] == 1 {
		for _, a := range n.args {
			l.count(a)
		}
	}
}

// share names those operands below n that are used more than once and longer than a product.
func (l *listing) share(n *node) {
	const short = 3
	if l.names[n] != "" {
		return
	}
	for _, a := range n.args {
		l.share(a)
	}
	for _, a := range n.args {
		if l.uses[a] < 2 || a.op == nil || l.names[a] != "" {
			continue
		}
		if e := l.expr(a); e.Nodes() > short {
			name := l.fresh()
			l.out = append(l.out, problem.Binding{Name: name, Expr: e})
			l.names[a] = name
		}
	}
}

func (l *listing) fresh() string {
	for i := 1; ; i++ {
		name := fmt.Sprintf("s%d", i)
		if !slices.Contains(l.taken, name) {
			l.taken = append(l.taken, name)
			return name
		}
	}
}

// expr is n as a formula of what has a name.
func (l *listing) expr(n *node) *formula.Expr {
	if name := l.names[n]; name != "" {
		return &formula.Expr{Op: "name", Name: name}
	}
	if n.konst {
		return &formula.Expr{Op: "num", Value: n.value}
	}
	e := &formula.Expr{Op: n.op.name}
	for _, a := range n.args {
		e.Args = append(e.Args, l.expr(a))
	}
	power := func(k float64) { e.Op, e.Args = "pow", append(e.Args, &formula.Expr{Op: "num", Value: k}) }
	switch e.Op {
	case "square":
		power(2)
	case "cube":
		power(3)
	case "select":
		e.Op = "if"
	case "mul":
		return product(e.Args[0], e.Args[1])
	case "sub":
		if b := e.Args[1]; b.Op == "num" && b.Value == 0 {
			return e.Args[0]
		}
	case "neg":
		if a := e.Args[0]; a.Op == "neg" {
			return a.Args[0]
		}
	}
	return e
}

// product is a*b as one writes it by hand: the number first, then the other factors in the order of
// their lengths.
func product(a, b *formula.Expr) *formula.Expr {
	var numbers, others []*formula.Expr
	var collect func(e *formula.Expr)
	collect = func(e *formula.Expr) {
		switch e.Op {
		case "mul":
			collect(e.Args[0])
			collect(e.Args[1])
		case "num":
			numbers = append(numbers, e)
		default:
			others = append(others, e)
		}
	}
	collect(a)
	collect(b)
	for len(numbers) > 1 {
		x, y := numbers[0].Value, numbers[1].Value
		if math.FMA(x, y, -(x*y)) != 0 {
			break // 0.1*3 is better left than written as 0.30000000000000004
		}
		numbers = append([]*formula.Expr{{Op: "num", Value: x * y}}, numbers[2:]...)
	}
	slices.SortStableFunc(others, func(a, b *formula.Expr) int {
		return cmp.Or(a.Nodes()-b.Nodes(), strings.Compare(a.String(), b.String()))
	})
	others = powers(others)
	minus := false
	if len(numbers) == 1 && len(others) > 0 && math.Abs(numbers[0].Value) == 1 {
		minus, numbers = numbers[0].Value < 0, nil
	}
	all := append(numbers, others...)
	e := all[0]
	for _, f := range all[1:] {
		e = &formula.Expr{Op: "mul", Args: []*formula.Expr{e, f}}
	}
	if minus {
		e = &formula.Expr{Op: "neg", Args: []*formula.Expr{e}}
	}
	return e
}

// powers joins equal neighbours: x*x is x^2.
func powers(factors []*formula.Expr) []*formula.Expr {
	var out []*formula.Expr
	for i := 0; i < len(factors); {
		k := i + 1
		for k < len(factors) && factors[k].String() == factors[i].String() {
			k++
		}
		f := factors[i]
		if k > i+1 {
			f = &formula.Expr{Op: "pow", Args: []*formula.Expr{f, {Op: "num", Value: float64(k - i)}}}
		}
		out = append(out, f)
		i = k
	}
	return out
}
