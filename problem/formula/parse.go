package formula

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"invar/internal/nearest"
)

// Parse reads one formula. The error, if any, is an *[Error].
func Parse(src string) (*Expr, error) {
	if len(src) > MaxSource {
		return nil, &Error{src, MaxSource, fmt.Sprintf("the formula has %d bytes, at most %d are allowed", len(src), MaxSource)}
	}
	p := &parser{src: src}
	if err := p.next(); err != nil {
		return nil, err
	}
	n, err := p.comparison()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("an operator or the end of the formula")
	}
	return n.Expr, nil
}

// node is a finished part of the tree and its number of levels.
type node struct {
	*Expr
	depth int
}

type parser struct {
	src     string
	end     int   // of the token tok
	tok     token // the token to be read next
	prev    token // the one before it
	nodes   int
	nesting int // open parentheses, calls, minus signs and exponents: bounds the recursion
}

type tokenKind int

const (
	tokEnd tokenKind = iota
	tokNumber
	tokName
	tokOperator // one of + - * / ^ ( ) , < <= > >= == !=
)

type token struct {
	kind  tokenKind
	text  string
	pos   int
	value float64 // of a number
}

func (t token) String() string {
	if t.kind == tokEnd {
		return "the end of the formula"
	}
	text := t.text
	const longest = 40
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return strconv.Quote(text)
}

func (p *parser) errorf(pos int, format string, args ...any) error {
	return &Error{p.src, pos, fmt.Sprintf(format, args...)}
}

// hints answer what people write out of habit from other languages.
var hints = map[string]string{
	"=":  `"=" is not an operator: equality is "=="`,
	"!":  `"!" is not an operator: write a == 0 for "not a"`,
	"&":  `"&" is not an operator: write min(a, b) or a*b for "a and b"`,
	"|":  `"|" is not an operator: write max(a, b) for "a or b", abs(a) for the absolute value`,
	"%":  `"%" is not an operator`,
	"?":  `"?" is not an operator: write if(c, a, b)`,
	"[":  `"[" is not part of a formula: group with "(" and ")"`,
	"]":  `"]" is not part of a formula: group with "(" and ")"`,
	"**": `"**" is not an operator: powers are written a^b`,
}

// next reads the token after tok into tok.
func (p *parser) next() error {
	i := p.end
	for i < len(p.src) && (p.src[i] == ' ' || p.src[i] == '\t' || p.src[i] == '\n' || p.src[i] == '\r') {
		i++
	}
	p.prev = p.tok
	p.tok = token{kind: tokEnd, pos: i}
	p.end = i
	if i == len(p.src) {
		return nil
	}
	c := p.src[i]
	following := byte(0)
	if i+1 < len(p.src) {
		following = p.src[i+1]
	}
	switch {
	case isLetter(c):
		for p.end < len(p.src) && (isLetter(p.src[p.end]) || isDigit(p.src[p.end])) {
			p.end++
		}
		p.tok.kind = tokName
	case isDigit(c), c == '.' && isDigit(following):
		return p.number()
	case (c == '<' || c == '>' || c == '=' || c == '!') && following == '=':
		p.end, p.tok.kind = i+2, tokOperator
	case c == '*' && following == '*':
		return p.errorf(i, "%s", hints["**"])
	case c == '+', c == '-', c == '*', c == '/', c == '^', c == '(', c == ')', c == ',', c == '<', c == '>':
		p.end, p.tok.kind = i+1, tokOperator
	default:
		r, size := utf8.DecodeRuneInString(p.src[i:])
		if hint, ok := hints[p.src[i:i+size]]; ok {
			return p.errorf(i, "%s", hint)
		}
		if r == utf8.RuneError && size == 1 {
			return p.errorf(i, "the byte 0x%02x is not UTF-8 text", c)
		}
		return p.errorf(i, "the character %q is not allowed: a formula has ASCII names, numbers, operators and parentheses", r)
	}
	p.tok.text = p.src[i:p.end]
	return nil
}

// number reads digits [. digits] [e [sign] digits], where either side of the point may lack digits.
func (p *parser) number() error {
	i := p.end
	digits := func() (some bool) {
		for ; i < len(p.src) && isDigit(p.src[i]); i++ {
			some = true
		}
		return some
	}
	digits()
	if i < len(p.src) && p.src[i] == '.' {
		i++
		digits()
	}
	if i < len(p.src) && (p.src[i] == 'e' || p.src[i] == 'E') {
		i++
		if i < len(p.src) && (p.src[i] == '+' || p.src[i] == '-') {
			i++
		}
		if !digits() {
			return p.errorf(i, "expected the digits of an exponent, as in 1e-3 (the constant e needs a *, as in 2*e)")
		}
	}
	p.end, p.tok.kind, p.tok.text = i, tokNumber, p.src[p.tok.pos:i]
	v, err := strconv.ParseFloat(p.tok.text, 64)
	if errors.Is(err, strconv.ErrRange) {
		return p.errorf(p.tok.pos, "the number %s is too large: the largest is about 1.8e308", p.tok)
	}
	if err != nil {
		return p.errorf(p.tok.pos, "%s is not a number", p.tok)
	}
	p.tok.value = v
	return nil
}

// unexpected is the error for finding tok where something else was expected.
func (p *parser) unexpected(expected string) error {
	// Two operands in a row are nearly always a forgotten sign of multiplication.
	operand := func(t token) bool { return t.kind == tokNumber || t.kind == tokName }
	if (operand(p.prev) || p.prev.text == ")") && (operand(p.tok) || p.tok.text == "(") {
		return p.errorf(p.tok.pos, `expected %s, found %s: a product needs its "*"`, expected, p.tok)
	}
	return p.errorf(p.tok.pos, "expected %s, found %s", expected, p.tok)
}

// accept reads the operator text if it is the next token.
func (p *parser) accept(text string) (bool, error) {
	if p.tok.kind != tokOperator || p.tok.text != text {
		return false, nil
	}
	return true, p.next()
}

// make builds a node and enforces the bounds.
func (p *parser) make(e Expr, args ...node) (node, error) {
	depth := 0
	for _, a := range args {
		e.Args = append(e.Args, a.Expr)
		depth = max(depth, a.depth)
	}
	if depth++; depth > MaxDepth {
		return node{}, p.errorf(e.Pos, "the formula is more than %d levels deep (a sum of n terms has n levels): split it", MaxDepth)
	}
	if p.nodes++; p.nodes > MaxNodes {
		return node{}, p.errorf(e.Pos, "the formula has more than %d numbers, names and operations: split it", MaxNodes)
	}
	return node{&e, depth}, nil
}

// enter counts one level of recursion. The bound leaves room for a tree of MaxDepth levels in which
// each level has its own parentheses, so that String of such a tree can be read again.
func (p *parser) enter(pos int) error {
	if p.nesting++; p.nesting > 2*MaxDepth {
		return p.errorf(pos, "the formula nests more than %d levels of parentheses, calls, signs and exponents", 2*MaxDepth)
	}
	return nil
}

func (p *parser) leave() { p.nesting-- }

var (
	compareOps = map[string]string{"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
	sumOps     = map[string]string{"+": "add", "-": "sub"}
	productOps = map[string]string{"*": "mul", "/": "div"}
)

// operator reads the next token if it is one of ops and returns its operation and place.
func (p *parser) operator(ops map[string]string) (op string, pos int, err error) {
	if p.tok.kind != tokOperator {
		return "", 0, nil
	}
	op, pos = ops[p.tok.text], p.tok.pos
	if op != "" {
		err = p.next()
	}
	return op, pos, err
}

// comparison = sum [ compareOp sum ] .
func (p *parser) comparison() (node, error) {
	left, err := p.sum()
	if err != nil {
		return node{}, err
	}
	op, pos, err := p.operator(compareOps)
	if err != nil || op == "" {
		return left, err
	}
	right, err := p.sum()
	if err != nil {
		return node{}, err
	}
	if p.tok.kind == tokOperator && compareOps[p.tok.text] != "" {
		return node{}, p.errorf(p.tok.pos, "comparisons do not chain: write (a < b)*(b < c) for a < b < c")
	}
	return p.make(Expr{Op: op, Pos: pos}, left, right)
}

// sum = product { ("+" | "-") product } .
func (p *parser) sum() (node, error) { return p.leftAssociative(sumOps, p.product) }

// product = unary { ("*" | "/") unary } .
func (p *parser) product() (node, error) { return p.leftAssociative(productOps, p.unary) }

func (p *parser) leftAssociative(ops map[string]string, operand func() (node, error)) (node, error) {
	left, err := operand()
	for err == nil {
		var op string
		var pos int
		if op, pos, err = p.operator(ops); err != nil || op == "" {
			break
		}
		var right node
		if right, err = operand(); err == nil {
			left, err = p.make(Expr{Op: op, Pos: pos}, left, right)
		}
	}
	return left, err
}

// unary = "-" unary | power .
func (p *parser) unary() (node, error) {
	pos := p.tok.pos
	minus, err := p.accept("-")
	if err != nil {
		return node{}, err
	}
	if !minus {
		return p.power()
	}
	if err := p.enter(pos); err != nil {
		return node{}, err
	}
	defer p.leave()
	arg, err := p.unary()
	if err != nil {
		return node{}, err
	}
	return p.make(Expr{Op: "neg", Pos: pos}, arg)
}

// power = operand [ "^" unary ] .
func (p *parser) power() (node, error) {
	base, err := p.operand()
	if err != nil {
		return node{}, err
	}
	pos := p.tok.pos
	hat, err := p.accept("^")
	if err != nil || !hat {
		return base, err
	}
	if err := p.enter(pos); err != nil {
		return node{}, err
	}
	defer p.leave()
	exponent, err := p.unary()
	if err != nil {
		return node{}, err
	}
	return p.make(Expr{Op: "pow", Pos: pos}, base, exponent)
}

// operand = number | name | function "(" comparison { "," comparison } ")" | "(" comparison ")" .
func (p *parser) operand() (node, error) {
	tok := p.tok
	switch {
	case tok.kind == tokNumber:
		if err := p.next(); err != nil {
			return node{}, err
		}
		return p.make(Expr{Op: "num", Value: tok.value, Pos: tok.pos})
	case tok.kind == tokName:
		if err := p.next(); err != nil {
			return node{}, err
		}
		return p.named(tok)
	case tok.kind == tokOperator && tok.text == "(":
		if err := p.enter(tok.pos); err != nil {
			return node{}, err
		}
		defer p.leave()
		if err := p.next(); err != nil {
			return node{}, err
		}
		inner, err := p.comparison()
		if err != nil {
			return node{}, err
		}
		closed, err := p.accept(")")
		if err == nil && !closed {
			err = p.unexpected(`an operator or ")"`)
		}
		return inner, err
	case tok.kind == tokOperator && tok.text == "+":
		return node{}, p.errorf(tok.pos, `expected an operand, found "+": there is no sign "+"`)
	}
	return node{}, p.unexpected(`an operand (a number, a name, a function or "(")`)
}

// named reads what follows a name: the arguments of a function, or nothing.
func (p *parser) named(name token) (node, error) {
	f, isFunction := functions[name.text]
	call := p.tok.kind == tokOperator && p.tok.text == "("
	if isFunction && !call {
		return node{}, p.errorf(name.pos, "%s is a function: expected %s", name.text, usage(f))
	}
	if !call {
		if v, ok := constants[name.text]; ok {
			return p.make(Expr{Op: "num", Value: v, Pos: name.pos})
		}
		return p.make(Expr{Op: "name", Name: name.text, Pos: name.pos})
	}
	if !isFunction {
		if _, ok := constants[name.text]; ok {
			return node{}, p.errorf(name.pos, "%s is a constant, not a function: a product needs its \"*\"", name)
		}
		known := make([]string, len(Functions))
		for i, f := range Functions {
			known[i] = f.Name
		}
		if near := nearest.Name(name.text, known); near != "" {
			return node{}, p.errorf(name.pos, "%s is not a function: did you mean %q?", name, near)
		}
		return node{}, p.errorf(name.pos, "%s is not a function: a product needs its \"*\"", name)
	}
	if err := p.enter(name.pos); err != nil {
		return node{}, err
	}
	defer p.leave()
	if err := p.next(); err != nil {
		return node{}, err
	}
	folds := f.MaxArgs == 0
	var args []node
	count := 0
	for {
		arg, err := p.comparison()
		if err != nil {
			return node{}, err
		}
		args = append(args, arg)
		count++
		if folds && len(args) == 2 {
			both, err := p.make(Expr{Op: f.Name, Pos: name.pos}, args...)
			if err != nil {
				return node{}, err
			}
			args = []node{both}
		}
		comma := p.tok
		more, err := p.accept(",")
		if err != nil {
			return node{}, err
		}
		if !more {
			break
		}
		if !folds && count == f.MaxArgs {
			return node{}, p.errorf(comma.pos, "too many arguments: expected %s", usage(f))
		}
	}
	closing := p.tok
	closed, err := p.accept(")")
	if err != nil {
		return node{}, err
	}
	if !closed {
		return node{}, p.unexpected(`an operator, "," or ")"`)
	}
	if count < f.MinArgs {
		return node{}, p.errorf(closing.pos, "too few arguments: expected %s", usage(f))
	}
	if folds {
		return args[0], nil
	}
	return p.make(Expr{Op: f.Name, Pos: name.pos}, args...)
}

// usage shows how a function is called.
func usage(f Function) string {
	switch {
	case f.Name == "if":
		return "if(c, a, b)"
	case f.MaxArgs == 0:
		return f.Name + "(a, b, ...)"
	case f.MinArgs == 2:
		return f.Name + "(a, b)"
	}
	return f.Name + "(a)"
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
