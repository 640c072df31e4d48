// Package formula parses the formulas of problem files into trees: a string such as
// "alpha*x1^2 + if(x0 > 0, sin(x0), 0)" goes in, an *Expr or an *Error comes out.
//
// # The language
//
// From the loosest binding to the tightest:
//
//	a < b  a <= b  a > b  a >= b  a == b  a != b    1 or 0; comparisons do not chain
//	a + b  a - b                                    from the left
//	a * b  a / b                                    from the left
//	-a                                              -x^2 is -(x^2)
//	a ^ b                                           from the right: 2^3^2 is 2^9; 2^-1 is allowed
//	1  .5  2.  1e-3  pi  e  name  f(a, b)  (a)
//
// Names begin with an ASCII letter or _ and go on with letters, digits and _. White space, line
// breaks included, separates and means nothing else. [Functions] lists the functions; if(c, a, b)
// is a where c != 0, else b. There is no assignment and no loop, so evaluating a formula takes time
// proportional to its length.
//
// # Bounds
//
// Formulas come from strangers. [MaxSource], [MaxDepth] and [MaxNodes] bound what [Parse] accepts;
// whatever lies beyond is an error like any other. A tree within them can be walked by plain
// recursion.
package formula

import (
	"math"
	"strconv"
	"strings"
)

// Bounds on one formula.
const (
	MaxSource = 64 << 10 // bytes of source
	MaxDepth  = 200      // levels of the tree; a+b+c has three, for sums and products lean left
	MaxNodes  = 20_000   // nodes of the tree
)

// Expr is a node of a parsed formula. Trees from [Parse] are never shared or cyclic and hold only
// the operations listed at Op.
type Expr struct {
	// Op is "num" (Value holds it, pi and e included), "name" (Name holds it), an operator
	//	add sub mul div pow neg lt le gt ge eq ne
	// or a function named in [Functions]. pow(a, b) and a^b are the same operation.
	Op    string
	Value float64 // of Op "num": finite and not negative (-1 is neg of 1)
	Name  string  // of Op "name"
	Args  []*Expr // the operands: as many as the operation takes, two for min and max
	Pos   int     // byte offset in the source: of the operator, the name, or the number; for messages
}

// Function describes one function of the language.
type Function struct {
	Name    string // as written in formulas, and the Op of its nodes
	MinArgs int
	MaxArgs int // 0: no upper limit (min and max; the parser folds them to two operands from the left)
	Doc     string
}

// Functions lists the functions of the language in the order in which help shows them. Treat it as
// a constant.
var Functions = []Function{
	{"if", 3, 3, "if(c, a, b): a where c != 0 (a NaN counts as true), else b"},
	{"sqrt", 1, 1, "square root"},
	{"exp", 1, 1, "e^a"},
	{"expm1", 1, 1, "e^a - 1, accurate near 0"},
	{"log", 1, 1, "natural logarithm"},
	{"log1p", 1, 1, "log(1 + a), accurate near 0"},
	{"log2", 1, 1, "logarithm to base 2"},
	{"log10", 1, 1, "logarithm to base 10"},
	{"sin", 1, 1, "sine, radians"},
	{"cos", 1, 1, "cosine, radians"},
	{"tan", 1, 1, "tangent, radians"},
	{"asin", 1, 1, "arc sine, in [-pi/2, pi/2]"},
	{"acos", 1, 1, "arc cosine, in [0, pi]"},
	{"atan", 1, 1, "arc tangent, in [-pi/2, pi/2]"},
	{"atan2", 2, 2, "atan2(y, x): the angle of the point (x, y), in [-pi, pi]"},
	{"sinh", 1, 1, "hyperbolic sine"},
	{"cosh", 1, 1, "hyperbolic cosine"},
	{"tanh", 1, 1, "hyperbolic tangent"},
	{"abs", 1, 1, "absolute value"},
	{"sign", 1, 1, "1, -1, or a itself where a is zero or NaN"},
	{"min", 2, 0, "min(a, b): a where a < b, else b; more operands fold from the left"},
	{"max", 2, 0, "max(a, b): a where a > b, else b; more operands fold from the left"},
	{"pow", 2, 2, "pow(a, b): the same as a^b"},
	{"hypot", 2, 2, "sqrt(a^2 + b^2) without needless overflow"},
	{"sigmoid", 1, 1, "1/(1 + e^-a)"},
	{"softplus", 1, 1, "log(1 + e^a)"},
	{"relu", 1, 1, "a where a > 0, else 0"},
}

var (
	functions = map[string]Function{}
	constants = map[string]float64{"pi": math.Pi, "e": math.E}
)

func init() {
	for _, f := range Functions {
		functions[f.Name] = f
	}
}

// Reserved says what the language itself uses name for ("a function", "a constant"), or "" when the
// name is free.
func Reserved(name string) string {
	if _, ok := functions[name]; ok {
		return "a function"
	}
	if _, ok := constants[name]; ok {
		return "a constant"
	}
	return ""
}

// IsName reports whether s has the form of a name: an ASCII letter or _, then letters, digits, _.
func IsName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i])) {
			return false
		}
	}
	return s != ""
}

// Walk calls visit for e and every node below it, operands after their operation, from the left.
func (e *Expr) Walk(visit func(*Expr)) {
	visit(e)
	for _, a := range e.Args {
		a.Walk(visit)
	}
}

// Nodes returns the number of nodes of the tree.
func (e *Expr) Nodes() int {
	n := 1
	for _, a := range e.Args {
		n += a.Nodes()
	}
	return n
}

// infix lists the infix operators: how they are written, and how tightly they bind.
var infix = map[string]struct {
	text string
	prec int
}{
	"lt": {" < ", precCompare}, "le": {" <= ", precCompare}, "gt": {" > ", precCompare},
	"ge": {" >= ", precCompare}, "eq": {" == ", precCompare}, "ne": {" != ", precCompare},
	"add": {" + ", precSum}, "sub": {" - ", precSum},
	"mul": {"*", precProduct}, "div": {"/", precProduct},
	"pow": {"^", precPower},
}

const (
	precCompare = 1 + iota
	precSum
	precProduct
	precNegate
	precPower
	precAtom
)

// String writes the tree as a formula with the fewest parentheses. Parse(e.String()) gives the same
// tree, positions aside, for every tree that Parse returned.
func (e *Expr) String() string {
	var b strings.Builder
	e.write(&b, precCompare)
	return b.String()
}

// write appends e, in parentheses if it binds more loosely than least.
func (e *Expr) write(b *strings.Builder, least int) {
	prec := precAtom
	op, isInfix := infix[e.Op]
	switch {
	case isInfix:
		prec = op.prec
	case e.Op == "neg", e.Op == "num" && math.Signbit(e.Value):
		prec = precNegate
	}
	if prec < least {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	switch {
	case e.Op == "num":
		b.WriteString(strconv.FormatFloat(e.Value, 'g', -1, 64))
	case e.Op == "name":
		b.WriteString(e.Name)
	case e.Op == "neg":
		b.WriteByte('-')
		e.Args[0].write(b, precNegate)
	case isInfix:
		// What the grammar takes on either side without parentheses.
		left, right := prec, prec+1
		switch prec {
		case precCompare:
			left = precSum
		case precPower:
			left, right = precAtom, precNegate
		}
		e.Args[0].write(b, left)
		b.WriteString(op.text)
		e.Args[1].write(b, right)
	default:
		b.WriteString(e.Op)
		b.WriteByte('(')
		for i, a := range e.Args {
			if i > 0 {
				b.WriteString(", ")
			}
			a.write(b, precCompare)
		}
		b.WriteByte(')')
	}
}
