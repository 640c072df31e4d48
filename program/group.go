package program

// groupFixed returns f with the factors of products that depend on Fixed slots alone multiplied with each other first, where that costs
// no operation: of a*(a*(x*x)) it makes (a*a)*(x*x), and a*a is computed once a sample. Products
// that differ in the order of their factors become one, as the parts of a second derivative often are.
func groupFixed(f *Func, fixed func(input int) bool) *Func {
	b := newBuilder(f.Name, len(f.Instrs))
	args := b.inputsOf(f)
	g := grouper{b: b, fixed: fixed, of: map[Value]product{}}
	c := copier{b: b, f: f, live: liveness(f, &b.mem), edit: g.edit}
	return b.Finish(c.run(args)...)
}

// product is a value taken apart: fixed * rest.
type product struct{ fixed, rest Value }

type grouper struct {
	b     *Builder
	fixed func(input int) bool
	is    []bool // of each value so far: it depends on Fixed slots alone
	of    map[Value]product
}

func (g *grouper) isFixed(v Value) bool {
	for i := len(g.is); i <= int(v); i++ {
		in := &g.b.f.Instrs[i]
		is := in.Op.Pure() || in.Op == OpInput && g.fixed(int(in.Imm))
		for k := range in.Op.NumArgs() {
			is = is && g.is[in.Arg(k)]
		}
		g.is = append(g.is, is)
	}
	return g.is[v]
}

// edit is the copier's.
func (g *grouper) edit(in *Instr, args []Value) (Value, bool) {
	if in.Op != OpMul || in.Strict || args[0] == args[1] { // a square mostly stands in a sum, and ends in a multiply-add
		return NoValue, false
	}
	x, y := args[0], args[1]
	if g.isFixed(y) {
		x, y = y, x
	}
	b := g.b
	if g.isFixed(y) {
		return NoValue, false
	}
	p, known := g.of[y]
	if g.isFixed(x) {
		if known {
			p.fixed = b.Mul(x, p.fixed)
		} else {
			p = product{x, y}
		}
		return g.join(p), true
	}
	q, also := g.of[x]
	switch {
	case known && also:
		p.fixed = b.Mul(p.fixed, q.fixed)
		x, y = q.rest, p.rest
	case known:
		y = p.rest
	case also:
		p, x = q, q.rest
	default:
		return NoValue, false
	}
	// The rest must be there already.
	if x > y {
		x, y = y, x
	}
	v, _ := b.find(&Instr{Op: OpMul, Type: in.Type, A: x, B: y, C: NoValue})
	if v == NoValue || b.where[v] != 0 {
		return NoValue, false
	}
	p.rest = v
	return g.join(p), true
}

func (g *grouper) join(p product) Value {
	v := g.b.Mul(p.fixed, p.rest)
	if v != p.rest {
		g.of[v] = p
	}
	return v
}
