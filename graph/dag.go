package graph

import (
	"errors"
	"fmt"
	"math"
	"sync"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"invar/problem/formula"
)

// MaxNodes bounds one expression graph, derivatives included. Beyond it building takes seconds, and
// Gorgonia's 32-bit hashes collide so often that salting them anew (see [build]) stops helping.
const MaxNodes = 30_000

// gorgonia serialises all use of Gorgonia, which keeps unguarded global state.
var gorgonia sync.Mutex

// failure is what building a graph panics with; build turns it into an error.
type failure struct{ err error }

func fail(format string, args ...any) { panic(failure{fmt.Errorf("graph: "+format, args...)}) }

var errCollision = errors.New("two different nodes have one hash")

// node is a node of a Gorgonia graph. Operands have smaller ids than what is made of them.
type node struct {
	id    int
	g     *G.Node
	op    *operation // nil for inputs and constants
	args  []*node
	value float64 // of a constant
	konst bool
}

// dag is a Gorgonia expression graph over vectors with one entry a sample, and what we know of it.
// Every node is a vector of batch entries, constants included.
//
// Gorgonia merges equal nodes by a 32-bit hash alone. So nodes are merged here first, by operation and
// operands, and every node that Gorgonia returns must then have a hash that no other node has.
type dag struct {
	graph  *G.ExprGraph
	batch  int
	salt   string // part of the inputs' names, hence of all hashes
	nodes  []*node
	merged map[nodeKey]*node
	konst  map[uint64]*node
	hashes map[uint32]bool
}

type nodeKey struct {
	op      *operation
	a, b, c int
}

// build runs write on an empty graph. When two nodes collide it starts again with other names for the
// inputs, hence other hashes. It takes the package's mutex.
func build(batch int, write func(d *dag)) error {
	gorgonia.Lock()
	defer gorgonia.Unlock()
	const attempts = 5
	for i := range attempts {
		err := attempt(batch, fmt.Sprintf("'%d", i), write)
		if !errors.Is(err, errCollision) {
			return err
		}
	}
	return fmt.Errorf("graph: %w in each of %d attempts: the problem is too large", errCollision, attempts)
}

func attempt(batch int, salt string, write func(d *dag)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = f.err
		}
	}()
	write(&dag{
		graph: G.NewGraph(), batch: batch, salt: salt,
		merged: map[nodeKey]*node{}, konst: map[uint64]*node{}, hashes: map[uint32]bool{},
	})
	return nil
}

// register gives a node that Gorgonia made its record.
func (d *dag) register(n *node) *node {
	if len(d.nodes) >= MaxNodes {
		fail("the expression graph with its derivatives has more than %d nodes: simplify the formulas, or write a repeated part as [simulate] steps", MaxNodes)
	}
	h := n.g.Hashcode()
	if d.hashes[h] {
		panic(failure{errCollision})
	}
	d.hashes[h] = true
	n.id = len(d.nodes)
	d.nodes = append(d.nodes, n)
	return n
}

// input adds an input vector.
func (d *dag) input(name string) *node {
	return d.register(&node{g: G.NewVector(d.graph, tensor.Float64, G.WithShape(d.batch), G.WithName(name+d.salt))})
}

func (d *dag) inputs(names []string) []*node {
	v := make([]*node, len(names))
	for i, name := range names {
		v[i] = d.input(name)
	}
	return v
}

func (d *dag) constant(v float64) *node {
	bits := math.Float64bits(v)
	if v != v {
		bits = math.Float64bits(math.NaN())
	}
	if n := d.konst[bits]; n != nil {
		return n
	}
	n := d.register(&node{g: constantVector(d.graph, v, d.batch, d.salt), konst: true, value: v})
	d.konst[bits] = n
	return n
}

func (d *dag) do(op string, args ...*node) *node { return d.apply(table[op], args...) }

// apply returns op of args: an equal node that is there already, an operand or a constant where the
// result is one to the bit, or else a new node.
func (d *dag) apply(op *operation, args ...*node) *node {
	if n := d.simplify(op, args); n != nil {
		return n
	}
	key := nodeKey{op, args[0].id, -1, -1}
	children := []*G.Node{args[0].g}
	if len(args) > 1 {
		key.b = args[1].id
		children = append(children, args[1].g)
	}
	if len(args) > 2 {
		key.c = args[2].id
		children = append(children, args[2].g)
	}
	if n := d.merged[key]; n != nil {
		return n
	}
	n := d.register(&node{g: d.applyOp(op, children), op: op, args: args})
	d.merged[key] = n
	return n
}

// applyOp calls Gorgonia, which panics as well as returning errors.
func (d *dag) applyOp(op *operation, children []*G.Node) (n *G.Node) {
	defer func() {
		if r := recover(); r != nil {
			fail("Gorgonia refuses %s: %v", op.name, r)
		}
	}()
	n, err := G.ApplyOp(op.gorgonia(), children...)
	if err != nil {
		panic(err)
	}
	return n
}

// simplify returns a node that equals op of args to the bit and is cheaper, or nil.
func (d *dag) simplify(op *operation, args []*node) *node {
	is := func(n *node, v float64) bool { return n.konst && n.value == v }
	if op.exact {
		folds := true
		var v [3]float64
		for i, a := range args {
			folds = folds && a.konst
			v[i] = a.value
		}
		if folds {
			return d.constant(op.eval(v[0], v[1], v[2]))
		}
	}
	// Signs move outwards through products, where a sum takes them up. Rules are full of them.
	minus := func(n *node) *node {
		if n.op != nil && n.op.name == "neg" {
			return n.args[0]
		}
		return nil
	}
	switch op.name {
	case "mul", "div":
		if is(args[1], 1) {
			return args[0]
		}
		if op.name == "mul" && is(args[0], 1) {
			return args[1]
		}
		if a := minus(args[0]); a != nil {
			return d.do("neg", d.apply(op, a, args[1]))
		}
		if b := minus(args[1]); b != nil {
			return d.do("neg", d.apply(op, args[0], b))
		}
	case "add":
		if b := minus(args[1]); b != nil {
			return d.do("sub", args[0], b)
		}
		if a := minus(args[0]); a != nil {
			return d.do("sub", args[1], a)
		}
	case "sub":
		if b := minus(args[1]); b != nil {
			return d.do("add", args[0], b)
		}
	case "neg", "not":
		if args[0].op == op && (op.name == "neg" || args[0].args[0].truth()) {
			return args[0].args[0]
		}
	case "pow":
		return d.power(args[0], args[1])
	case "select":
		switch {
		case args[0].konst && args[0].value != 0, args[1] == args[2]:
			return args[1]
		case args[0].konst:
			return args[2]
		}
	case "and", "or":
		for i, a := range args {
			other := args[1-i]
			if !a.konst && a != other {
				continue
			}
			if a == other || (a.value != 0) == (op.name == "and") {
				return other
			}
			return a
		}
	}
	return nil
}

// power writes small constant powers as products; nil if b is no such power.
func (d *dag) power(a, b *node) *node {
	if !b.konst {
		return nil
	}
	switch b.value {
	case 0:
		return d.constant(1)
	case 1:
		return a
	case 2:
		return d.do("square", a)
	case 3:
		return d.do("cube", a)
	case 4:
		return d.do("square", d.do("square", a))
	case -1:
		return d.do("div", d.constant(1), a)
	case -2:
		return d.do("div", d.constant(1), d.do("square", a))
	}
	return nil
}

// truth reports whether n is 1 or 0 by construction.
func (n *node) truth() bool {
	return n.op != nil && n.op.truth || n.konst && (n.value == 0 || n.value == 1)
}

// condition is the truth n != 0.
func (d *dag) condition(n *node) *node {
	switch {
	case n.truth():
		return n
	case n.op != nil && n.op.name == "mul" && n.args[0].truth() && n.args[1].truth(): // (a < b)*(b < c)
		return d.do("and", n.args...)
	}
	return d.do("not", d.do("eq", n, d.constant(0)))
}

// env gives the names in formulas their nodes.
type env map[string]*node

// with returns a copy of e with more names.
func (e env) with(names []string, nodes []*node) env {
	c := make(env, len(e)+len(names))
	for k, v := range e {
		c[k] = v
	}
	for i, name := range names {
		c[name] = nodes[i]
	}
	return c
}

// formula writes a formula.
func (d *dag) formula(e *formula.Expr, names env) *node {
	switch e.Op {
	case "num":
		return d.constant(e.Value)
	case "name":
		n := names[e.Name]
		if n == nil {
			fail("the name %q has no value here", e.Name)
		}
		return n
	}
	a := make([]*node, len(e.Args))
	for i, arg := range e.Args {
		a[i] = d.formula(arg, names)
	}
	switch e.Op {
	case "gt":
		return d.do("lt", a[1], a[0])
	case "ge":
		return d.do("le", a[1], a[0])
	case "ne":
		return d.do("not", d.do("eq", a[0], a[1]))
	case "if":
		return d.do("select", d.condition(a[0]), a[1], a[2])
	// By compare and select, so that the derivative is the chosen operand's.
	case "min":
		return d.do("select", d.do("lt", a[0], a[1]), a[0], a[1])
	case "max":
		return d.do("select", d.do("lt", a[1], a[0]), a[0], a[1])
	case "relu":
		zero := d.constant(0)
		return d.do("select", d.do("lt", zero, a[0]), a[0], zero)
	}
	op := table[e.Op]
	if op == nil || op.arity != len(a) {
		fail("operation %q of %d operands is not known", e.Op, len(a))
	}
	return d.apply(op, a...)
}

func (d *dag) formulas(es []*formula.Expr, names env) []*node {
	n := make([]*node, len(es))
	for i, e := range es {
		n[i] = d.formula(e, names)
	}
	return n
}
