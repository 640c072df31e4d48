package graph

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	gonum "gonum.org/v1/gonum/graph"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// symbolicBatch is the length of the vectors of graphs that are only lowered: anything but 1, which
// Gorgonia confuses with a scalar.
const symbolicBatch = 3

// rule is an operation's derivative as Gorgonia's SymDiff gives it, read once from a graph of its own
// and from then on written with the nodes of the graph that needs it. So each node of our graphs goes
// through [dag.apply], which checks what Gorgonia does not, and Node.deriv, which makes a second
// G.Grad wrong, is never touched.
type rule struct {
	steps []ruleStep
	by    []int // for each operand the step with the derivative by it, -1 if that is zero
}

// ruleStep is one value of a rule: an operation on earlier steps, or if op is nil what is given.
type ruleStep struct {
	op    *operation
	args  []int
	slot  int // 0, 1, 2: operands; slotOut, slotGrad, slotConst
	value float64
}

const (
	slotOut = 3 + iota
	slotGrad
	slotConst
)

// rules caches what readRule found; guarded by the package's mutex.
var rules = map[*operation]*rule{}

func (o *operation) derivative() (*rule, error) {
	if r, ok := rules[o]; ok {
		return r, nil
	}
	r, err := readRule(o, o.rule)
	if err == nil {
		rules[o] = r
	}
	return r, err
}

// readRule applies o's rule once. Own is the rule to be used instead of Gorgonia's, or nil.
func readRule(o *operation, own func(in G.Nodes, out, grad *G.Node) G.Nodes) (r *rule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("graph: the derivative of %s: %v", o.name, p)
		}
	}()
	g := G.NewGraph()
	vector := func(name string) *G.Node {
		return G.NewVector(g, tensor.Float64, G.WithShape(symbolicBatch), G.WithName(name))
	}
	in := make(G.Nodes, o.arity)
	slots := map[*G.Node]int{}
	for i := range in {
		in[i] = vector(fmt.Sprintf("in%d", i))
		slots[in[i]] = i
	}
	out := G.Must(G.ApplyOp(o.gorgonia(), in...))
	grad := vector("grad")
	slots[out], slots[grad] = slotOut, slotGrad
	sd, ok := out.Op().(G.SDOp)
	if !ok {
		return nil, fmt.Errorf("graph: %s has no derivative", o.name)
	}
	differentiable := sd.DiffWRT(o.arity)
	var d G.Nodes
	if own != nil {
		d = own(in, out, grad)
	} else if d, err = sd.SymDiff(in, out, grad); err != nil {
		return nil, fmt.Errorf("graph: the derivative of %s: %w", o.name, err)
	}
	r = &rule{by: make([]int, o.arity)}
	seen := map[*G.Node]int{}
	var read func(n *G.Node) int
	read = func(n *G.Node) int {
		if i, ok := seen[n]; ok {
			return i
		}
		var s ruleStep
		slot, given := slots[n]
		switch {
		case given:
			s.slot = slot
		case n.IsVar() && strings.HasPrefix(n.Name(), constantPrefix):
			bits, err := strconv.ParseUint(strings.TrimPrefix(n.Name(), constantPrefix), 16, 64)
			if err != nil {
				panic(err)
			}
			s.slot, s.value = slotConst, math.Float64frombits(bits)
		case n.Value() != nil && len(children(n)) == 0:
			s.slot, s.value = slotConst, n.Value().Data().(float64)
		default:
			s.op = byGorgonia(n.Op())
			if s.op == nil {
				panic(fmt.Sprintf("%s (%T) is not in the table of operations", n.Op(), n.Op()))
			}
			for _, c := range children(n) {
				s.args = append(s.args, read(c))
			}
		}
		r.steps = append(r.steps, s)
		seen[n] = len(r.steps) - 1
		return seen[n]
	}
	for i := range r.by {
		r.by[i] = -1
		if i < len(d) && d[i] != nil && (own != nil || differentiable[i]) {
			r.by[i] = read(d[i])
		}
	}
	return r, nil
}

// children returns n's operands in order.
func children(n *G.Node) []*G.Node {
	it := n.Graph().From(n.ID())
	if it == nil {
		return nil
	}
	var c []*G.Node
	for _, x := range gonum.NodesOf(it) {
		c = append(c, x.(*G.Node))
	}
	return c
}

// byGorgonia finds the operation that Gorgonia's op is, whatever the types of its operands.
func byGorgonia(op G.Op) *operation {
	if e, ok := op.(elementwise); ok {
		return e.operation
	}
	if op.String() == "÷ false" {
		return table["div"]
	}
	for _, o := range table {
		if o.native != nil && o.gorgonia().String() == op.String() {
			return o
		}
	}
	return nil
}

// write writes the rule for one use of its operation and returns the derivatives by the operands that
// are wanted, nil for the others and for those that are zero.
func (r *rule) write(d *dag, n, grad *node, wanted []bool) []*node {
	at := make([]*node, len(r.steps))
	var step func(i int) *node
	step = func(i int) *node {
		if at[i] != nil {
			return at[i]
		}
		s := &r.steps[i]
		switch {
		case s.op != nil:
			args := make([]*node, len(s.args))
			for k, a := range s.args {
				args[k] = step(a)
			}
			at[i] = d.apply(s.op, args...)
		case s.slot == slotConst:
			at[i] = d.constant(s.value)
		case s.slot == slotOut:
			at[i] = n
		case s.slot == slotGrad:
			at[i] = grad
		default:
			at[i] = n.args[s.slot]
		}
		return at[i]
	}
	out := make([]*node, len(r.by))
	for i, s := range r.by {
		if s >= 0 && wanted[i] {
			out[i] = step(s)
		}
	}
	return out
}
