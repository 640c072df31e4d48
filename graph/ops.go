package graph

import (
	"fmt"
	"hash"
	"hash/fnv"
	"math"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"invar/internal/elementary"
	"invar/program"
)

// operation is one elementwise operation of the graphs. An operation has a value, a rule for its
// derivative and a lowering; the rows of the table below are all there are.
//
// Those with native set are Gorgonia's own, with Gorgonia's value and, unless rule is set, Gorgonia's
// derivative. The others are elementwise operations of ours, see [elementwise].
type operation struct {
	name   string
	arity  int
	native func(in ...*G.Node) (*G.Node, error)
	eval   func(a, b, c float64) float64
	exact  bool // the lowered value has the bits of eval, so that constants may be folded in the graph
	truth  bool // the value is 1 or 0 and the lowered value a Bool
	lower  func(b *program.Builder, v []program.Value) program.Value
	// rule gives the derivatives by the inputs times grad, nil for those that are zero everywhere. An
	// operation with neither native nor rule does not pass derivatives on.
	rule func(in G.Nodes, out, grad *G.Node) G.Nodes

	op G.Op // as applied to vectors; set on first use, under the package's mutex
}

// table holds the operations by name. Filled by init, for rules refer to it.
var table map[string]*operation

func init() {
	table = map[string]*operation{}
	for _, o := range operations() {
		table[o.name] = o
	}
}

// operations are the rows of the table.
//
// Derivatives are taken by applying rules again and again, so rules use operations of the table only.
// Where a rule has a choice it takes the form that keeps the relative accuracy in the tails, such as
// sigmoid(x) sigmoid(-x) rather than y (1 - y).
func operations() []*operation {
	return []*operation{
		{name: "add", arity: 2, exact: true, native: binary2(G.Add),
			eval:  func(a, b, _ float64) float64 { return a + b },
			lower: lower2((*program.Builder).Add)},
		{name: "sub", arity: 2, exact: true, native: binary2(G.Sub),
			eval:  func(a, b, _ float64) float64 { return a - b },
			lower: lower2((*program.Builder).Sub)},
		{name: "mul", arity: 2, exact: true, native: binary2(G.HadamardProd),
			eval:  func(a, b, _ float64) float64 { return a * b },
			lower: lower2((*program.Builder).Mul)},
		// Gorgonia's own division gives +Inf for every division by zero, 0/0 and -1/0 included.
		{name: "div", arity: 2, exact: true,
			eval:  func(a, b, _ float64) float64 { return a / b },
			lower: lower2((*program.Builder).Div),
			rule: func(in G.Nodes, out, g *G.Node) G.Nodes {
				return G.Nodes{div(g, in[1]), neg(mul(div(out, in[1]), g))}
			}},
		{name: "neg", arity: 1, exact: true, native: unary1(G.Neg),
			eval:  func(a, _, _ float64) float64 { return -a },
			lower: lower1((*program.Builder).Neg)},
		{name: "square", arity: 1, exact: true, native: unary1(G.Square),
			eval:  func(a, _, _ float64) float64 { return a * a },
			lower: func(b *program.Builder, v []program.Value) program.Value { return b.Mul(v[0], v[0]) }},
		{name: "cube", arity: 1, exact: true, native: unary1(G.Cube),
			eval: func(a, _, _ float64) float64 { return float64(a*a) * a },
			lower: func(b *program.Builder, v []program.Value) program.Value {
				return b.Mul(b.Mul(v[0], v[0]), v[0])
			}},
		{name: "sqrt", arity: 1, exact: true, native: unary1(G.Sqrt), eval: math1(math.Sqrt), lower: lower1((*program.Builder).Sqrt)},

		{name: "exp", arity: 1, native: unary1(G.Exp), eval: math1(math.Exp), lower: lower1(elementary.Exp)},
		{name: "expm1", arity: 1, native: unary1(G.Expm1), eval: math1(math.Expm1), lower: lower1(elementary.Expm1)},
		{name: "log", arity: 1, native: unary1(G.Log), eval: math1(math.Log), lower: lower1(elementary.Log)},
		{name: "log1p", arity: 1, native: unary1(G.Log1p), eval: math1(math.Log1p), lower: lower1(elementary.Log1p)},
		// Gorgonia's rule divides x by ln 2 where it should multiply.
		{name: "log2", arity: 1, native: unary1(G.Log2), eval: math1(math.Log2), lower: lower1(elementary.Log2),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{div(g, mul(in[0], number(g, math.Ln2)))} }},
		{name: "log10", arity: 1, eval: math1(math.Log10), lower: lower1(elementary.Log10),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{div(g, mul(in[0], number(g, math.Ln10)))} }},
		{name: "sin", arity: 1, native: unary1(G.Sin), eval: math1(math.Sin), lower: lower1(elementary.Sin)},
		{name: "cos", arity: 1, native: unary1(G.Cos), eval: math1(math.Cos), lower: lower1(elementary.Cos)},
		{name: "tan", arity: 1, eval: math1(math.Tan), lower: lower1(elementary.Tan),
			rule: func(in G.Nodes, out, g *G.Node) G.Nodes { return G.Nodes{mul(g, add(number(g, 1), mul(out, out)))} }},
		{name: "asin", arity: 1, eval: math1(math.Asin), lower: lower1(elementary.Asin),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{div(g, cathetus(in[0]))} }},
		{name: "acos", arity: 1, eval: math1(math.Acos), lower: lower1(elementary.Acos),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{neg(div(g, cathetus(in[0])))} }},
		{name: "atan", arity: 1, eval: math1(math.Atan), lower: lower1(elementary.Atan),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes {
				return G.Nodes{div(g, add(number(g, 1), mul(in[0], in[0])))}
			}},
		{name: "sinh", arity: 1, eval: math1(math.Sinh), lower: lower1(elementary.Sinh),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{mul(g, apply("cosh", in[0]))} }},
		{name: "cosh", arity: 1, eval: math1(math.Cosh), lower: lower1(elementary.Cosh),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{mul(g, apply("sinh", in[0]))} }},
		{name: "tanh", arity: 1, native: unary1(G.Tanh), eval: math1(math.Tanh), lower: lower1(elementary.Tanh)},
		// Gorgonia's sigmoid and softplus stop short: 0 below -709, and x itself above 16.
		{name: "sigmoid", arity: 1, eval: math1(sigmoid), lower: lower1(elementary.Sigmoid),
			rule: func(in G.Nodes, out, g *G.Node) G.Nodes {
				return G.Nodes{mul(g, mul(out, apply("sigmoid", neg(in[0]))))}
			}},
		{name: "softplus", arity: 1, lower: lower1(elementary.Softplus),
			eval: func(a, _, _ float64) float64 { return math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) },
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{mul(g, apply("sigmoid", in[0]))} }},

		{name: "atan2", arity: 2, eval: math2(math.Atan2), lower: lower2(elementary.Atan2),
			// By the hypotenuse, for y^2 + x^2 overflows.
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes {
				y, x := in[0], in[1]
				h := apply("hypot", y, x)
				return G.Nodes{mul(g, div(div(x, h), h)), neg(mul(g, div(div(y, h), h)))}
			}},
		{name: "hypot", arity: 2, eval: math2(math.Hypot), lower: lower2(elementary.Hypot),
			rule: func(in G.Nodes, out, g *G.Node) G.Nodes {
				return G.Nodes{mul(g, div(in[0], out)), mul(g, div(in[1], out))}
			}},
		{name: "pow", arity: 2, eval: math2(math.Pow), lower: lower2(elementary.Pow), rule: powRule},

		{name: "abs", arity: 1, exact: true, eval: math1(math.Abs), lower: lower1((*program.Builder).Abs),
			rule: func(in G.Nodes, _, g *G.Node) G.Nodes { return G.Nodes{mul(g, apply("sign", in[0]))} }},
		{name: "sign", arity: 1, exact: true,
			eval: func(a, _, _ float64) float64 {
				if a > 0 {
					return 1
				} else if a < 0 {
					return -1
				}
				return a
			},
			lower: func(b *program.Builder, v []program.Value) program.Value {
				zero := b.F(0)
				return b.Select(b.Gt(v[0], zero), b.F(1), b.Select(b.Lt(v[0], zero), b.F(-1), v[0]))
			}},

		{name: "lt", arity: 2, exact: true, truth: true,
			eval: func(a, b, _ float64) float64 { return truth(a < b) }, lower: lower2((*program.Builder).Lt)},
		{name: "le", arity: 2, exact: true, truth: true,
			eval: func(a, b, _ float64) float64 { return truth(a <= b) }, lower: lower2((*program.Builder).Le)},
		{name: "eq", arity: 2, exact: true, truth: true,
			eval: func(a, b, _ float64) float64 { return truth(a == b) }, lower: lower2((*program.Builder).Eq)},
		{name: "not", arity: 1, exact: true, truth: true,
			eval: func(a, _, _ float64) float64 { return truth(a == 0) }, lower: lower1((*program.Builder).Not)},
		{name: "and", arity: 2, exact: true, truth: true,
			eval:  func(a, b, _ float64) float64 { return truth(a != 0 && b != 0) },
			lower: func(b *program.Builder, v []program.Value) program.Value { return b.And(v...) }},
		{name: "or", arity: 2, exact: true, truth: true,
			eval:  func(a, b, _ float64) float64 { return truth(a != 0 || b != 0) },
			lower: func(b *program.Builder, v []program.Value) program.Value { return b.Or(v...) }},
		// The first operand is a truth. The sweep has a rule of its own for select, see region.
		{name: "select", arity: 3, exact: true,
			eval: func(a, b, c float64) float64 {
				if a != 0 {
					return b
				}
				return c
			},
			lower: func(b *program.Builder, v []program.Value) program.Value { return b.Select(v[0], v[1], v[2]) }},
	}
}

// takesTruth reports whether operand i is a truth rather than a number.
func (o *operation) takesTruth(i int) bool {
	switch o.name {
	case "not", "and", "or":
		return true
	case "select":
		return i == 0
	}
	return false
}

// powRule: b a^(b-1) by a, and a^b log(a) by b. At a = 0 the first is zero for b = 0 and the second
// for b > 0, where the formulas have 0*Inf.
func powRule(in G.Nodes, out, g *G.Node) G.Nodes {
	a, b := in[0], in[1]
	zero := number(g, 0)
	aIsZero := apply("eq", a, zero)
	byA := mul(b, apply("pow", a, apply("sub", b, number(g, 1))))
	byA = apply("select", apply("and", aIsZero, apply("eq", b, zero)), zero, byA)
	byB := mul(out, apply("log", apply("select", aIsZero, number(g, 1), a)))
	return G.Nodes{mul(g, byA), mul(g, byB)}
}

// cathetus is sqrt(1 - x^2), accurate near |x| = 1.
func cathetus(x *G.Node) *G.Node {
	one := number(x, 1)
	return apply("sqrt", mul(apply("sub", one, x), add(one, x)))
}

func sigmoid(x float64) float64 {
	small := math.Exp(-math.Abs(x))
	if x < 0 {
		return small / (1 + small)
	}
	return 1 / (1 + small)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func math1(f func(float64) float64) func(a, b, c float64) float64 {
	return func(a, _, _ float64) float64 { return f(a) }
}

func math2(f func(a, b float64) float64) func(a, b, c float64) float64 {
	return func(a, b, _ float64) float64 { return f(a, b) }
}

func lower1(f func(*program.Builder, program.Value) program.Value) func(*program.Builder, []program.Value) program.Value {
	return func(b *program.Builder, v []program.Value) program.Value { return f(b, v[0]) }
}

func lower2(f func(b *program.Builder, x, y program.Value) program.Value) func(*program.Builder, []program.Value) program.Value {
	return func(b *program.Builder, v []program.Value) program.Value { return f(b, v[0], v[1]) }
}

func unary1(f func(*G.Node) (*G.Node, error)) func(...*G.Node) (*G.Node, error) {
	return func(in ...*G.Node) (*G.Node, error) { return f(in[0]) }
}

func binary2(f func(a, b *G.Node) (*G.Node, error)) func(...*G.Node) (*G.Node, error) {
	return func(in ...*G.Node) (*G.Node, error) { return f(in[0], in[1]) }
}

// The functions below write rules onto Gorgonia's nodes. They panic where Gorgonia refuses, which a
// rule of fixed shape either always or never meets; readRule turns the panic into an error.

func apply(name string, in ...*G.Node) *G.Node {
	return G.Must(G.ApplyOp(table[name].gorgonia(), in...))
}
func add(a, b *G.Node) *G.Node { return apply("add", a, b) }
func mul(a, b *G.Node) *G.Node { return apply("mul", a, b) }
func div(a, b *G.Node) *G.Node { return apply("div", a, b) }
func neg(a *G.Node) *G.Node    { return apply("neg", a) }

// number is a constant in the graph of like.
func number(like *G.Node, v float64) *G.Node {
	return constantVector(like.Graph(), v, like.Shape()[0], "")
}

// constantVector is a constant as an input vector whose name tells the bits. Gorgonia's own constants
// are told apart by their printed values, and scalars bring in broadcasts and sums over the samples.
func constantVector(g *G.ExprGraph, v float64, batch int, salt string) *G.Node {
	name := fmt.Sprintf("%s%016x%s", constantPrefix, math.Float64bits(v), salt)
	return G.NewVector(g, tensor.Float64, G.WithShape(batch), G.WithName(name))
}

// constantPrefix begins no name of a formula.
const constantPrefix = "#"

// gorgonia returns the operation as applied to vectors.
func (o *operation) gorgonia() G.Op {
	if o.op != nil {
		return o.op
	}
	if o.native == nil {
		o.op = elementwise{o}
		return o.op
	}
	g := G.NewGraph()
	in := make([]*G.Node, o.arity)
	for i := range in {
		in[i] = G.NewVector(g, tensor.Float64, G.WithShape(symbolicBatch), G.WithName(fmt.Sprintf("in%d", i)))
	}
	o.op = G.Must(o.native(in...)).Op()
	return o.op
}

// elementwise is a Gorgonia operation on vectors, entry by entry, that Gorgonia lacks.
type elementwise struct{ *operation }

var _ G.SDOp = elementwise{}

func (e elementwise) Arity() int { return e.arity }

// Type is vector -> ... -> vector, of float64.
func (e elementwise) Type() hm.Type {
	t := make([]hm.Type, e.arity+1)
	for i := range t {
		t[i] = G.TensorType{Dims: 1, Of: tensor.Float64}
	}
	return hm.NewFnType(t...)
}

func (e elementwise) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	s, ok := in[0].(tensor.Shape)
	if !ok {
		return nil, fmt.Errorf("graph: %s of operands without shape", e.name)
	}
	return s.Clone(), nil
}

func (e elementwise) Do(in ...G.Value) (G.Value, error) {
	if len(in) != e.arity {
		return nil, fmt.Errorf("graph: %s of %d operands, it takes %d", e.name, len(in), e.arity)
	}
	var v [3][]float64
	for i, x := range in {
		data, ok := x.Data().([]float64)
		if !ok || i > 0 && len(data) != len(v[0]) {
			return nil, fmt.Errorf("graph: %s of a %T with shape %v, want a vector of float64", e.name, x.Data(), x.Shape())
		}
		v[i] = data
	}
	out := make([]float64, len(v[0]))
	for k := range out {
		var b, c float64
		if e.arity > 1 {
			b = v[1][k]
		}
		if e.arity > 2 {
			c = v[2][k]
		}
		out[k] = e.eval(v[0][k], b, c)
	}
	return tensor.New(tensor.WithShape(len(out)), tensor.WithBacking(out)), nil
}

func (e elementwise) ReturnsPtr() bool     { return true }
func (e elementwise) CallsExtern() bool    { return false }
func (e elementwise) OverwritesInput() int { return -1 }
func (e elementwise) String() string       { return "invar." + e.name }

func (e elementwise) WriteHash(h hash.Hash) { fmt.Fprintf(h, "invar.%s", e.name) }

func (e elementwise) Hashcode() uint32 {
	h := fnv.New32a()
	e.WriteHash(h)
	return h.Sum32()
}

func (e elementwise) DiffWRT(inputs int) []bool {
	d := make([]bool, inputs)
	for i := range d {
		d[i] = e.rule != nil
	}
	return d
}

func (e elementwise) SymDiff(in G.Nodes, out, grad *G.Node) (d G.Nodes, err error) {
	if e.rule == nil {
		return nil, fmt.Errorf("graph: %s has no derivative", e.name)
	}
	return e.rule(in, out, grad), nil
}
