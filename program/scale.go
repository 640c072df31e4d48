package program

import (
	"math"
	"slices"
)

// factorOut returns f with factors that are powers of two moved towards the results: (2a)*(2b) becomes 4(ab), and
// (2a)*0.1 becomes a*0.2. Derivatives are full of such factors, which meet and cancel on their way or end in another
// constant. Multiplying by a power of two is exact: every value keeps its bits, except where one on the way leaves
// the range of normal numbers by such a factor.
//
// Where somebody needs a value with its factor, everybody may better take it so, else the factor is moved out only to come
// back: what is found to be so stays whole in a second attempt, and what has fewer operations counts.
func factorOut(f *Func) *Func {
	mem := newWorkspace()
	defer mem.release()
	once, whole := factorOutBut(f, nil, mem)
	if !slices.Contains(whole, true) {
		return once
	}
	twice, _ := factorOutBut(f, whole, mem)
	if operations(twice, mem) < operations(once, mem) {
		once, twice = twice, once
	}
	twice.recycle()
	return once
}

// factorOutBut does so with all values of f but those in kept, and tells which ones are needed with their factor.
func factorOutBut(f *Func, kept []bool, mem *workspace) (g *Func, whole []bool) {
	b := newBuilder(f.Name, len(f.Instrs))
	args := b.inputsOf(f)
	n := 2 * len(f.Instrs) // mostly enough
	s := scaler{b: b, without: b.mem.values.Make(n)[:0], exp: b.mem.places.Make(n)[:0]}
	c := copier{b: b, f: f, live: liveness(f, &b.mem)}
	c.edit = func(in *Instr, args []Value) (Value, bool) {
		v, ok := s.edit(in, args)
		if ok && kept != nil && kept[c.at] && int(v) < len(s.exp) {
			s.exp[v] = 0
		}
		return v, ok
	}
	out := c.run(args)
	apart := mem.values.Make(len(f.Instrs)) // new values that have a factor
	for i, v := range c.to {
		if apart[i] = NoValue; v != NoValue && s.apart(v).exp != 0 {
			apart[i] = v
		}
	}
	g = b.finish(recycled(), out)
	live := liveness(g, mem)
	whole = mem.marks.Make(len(f.Instrs))
	for i, v := range apart {
		whole[i] = v != NoValue && live[v]
	}
	return g, whole
}

// Differentiation makes the factors 2, 4, 8 and their reciprocals; others, such as
// changes of units, stay where they are. The sum of the exponents that are moved together is bounded too, and so how
// far inside the range of numbers a value must lie for certain to keep its bits.
const (
	maxFactor = 3
	maxScale  = 32
)

// scaled is a value taken apart: v * 2^exp.
type scaled struct {
	v   Value
	exp int
}

type scaler struct {
	b *Builder
	// Of each value so far: what it is without its factor, and the factor's exponent. With exponent 0 it was not taken apart.
	without []Value
	exp     []int32
}

func (s *scaler) apart(v Value) scaled {
	if int(v) < len(s.exp) && s.exp[v] != 0 {
		return scaled{s.without[v], int(s.exp[v])}
	}
	return scaled{v, 0}
}

// whole is x as one value, for those who need it.
func (s *scaler) whole(x scaled) Value {
	if x.exp == 0 {
		return x.v
	}
	c, _ := s.times(x.v, 1, x.exp) // a power of two within bounds is normal in both types
	return s.note(s.b.Mul(x.v, c), x)
}

// times is the constant c * 2^exp of the type of v, unless that is not exact.
func (s *scaler) times(v Value, c float64, exp int) (Value, bool) {
	t := s.b.Type(v)
	x := math.Ldexp(c, exp)
	if ax := math.Abs(x); !(ax >= MinNormal(t)) || math.IsInf(t.Float(t.Bits(x)), 0) {
		return NoValue, false
	}
	return s.b.konst(t, t.Bits(x)), true
}

// note remembers that v is x.
func (s *scaler) note(v Value, x scaled) Value {
	if _, constant := s.b.constant(v); !constant && max(x.exp, -x.exp) <= maxScale {
		for len(s.exp) <= int(v) {
			s.without, s.exp = append(s.without, NoValue), append(s.exp, 0)
		}
		s.without[v], s.exp[v] = x.v, int32(x.exp)
	}
	return v
}

// edit is the copier's: it writes in with the factors of its operands outside.
func (s *scaler) edit(in *Instr, args []Value) (Value, bool) {
	b := s.b
	if !in.Type.IsFloat() && in.Op != OpLt && in.Op != OpLe && in.Op != OpEq || in.Op == OpMul && in.Strict {
		return NoValue, false
	}
	var x [3]scaled
	any := false
	for i, v := range args {
		x[i] = s.apart(v)
		any = any || x[i].exp != 0
	}
	if in.Op == OpMul {
		for i := range 2 { // a constant takes the other's factor, or is one
			c, ok := b.ConstValue(args[i])
			if !ok {
				continue
			}
			o := x[1-i]
			if m, e := math.Frexp(c); m == 0.5 && max(e-1, 1-e) <= maxFactor {
				return s.whole(scaled{o.v, o.exp + e - 1}), true
			}
			if o.exp == 0 {
				return NoValue, false
			}
			k, ok := s.times(o.v, c, o.exp)
			if !ok {
				return NoValue, false
			}
			return s.note(b.Mul(o.v, k), scaled{b.Mul(o.v, args[i]), o.exp}), true
		}
	}
	if !any {
		return NoValue, false
	}
	switch in.Op {
	case OpMul:
		if args[0] == args[1] { // a square mostly stands in a sum, and ends in a multiply-add
			return NoValue, false
		}
		return s.whole(scaled{b.Mul(x[0].v, x[1].v), x[0].exp + x[1].exp}), true
	case OpDiv:
		return s.whole(scaled{b.Div(x[0].v, x[1].v), x[0].exp - x[1].exp}), true
	case OpNeg:
		return s.note(b.Neg(args[0]), scaled{b.Neg(x[0].v), x[0].exp}), true
	case OpAbs:
		return s.note(b.Abs(args[0]), scaled{b.Abs(x[0].v), x[0].exp}), true
	case OpSqrt:
		if x[0].exp%2 == 0 {
			return s.whole(scaled{b.Sqrt(x[0].v), x[0].exp / 2}), true
		}
	case OpAdd, OpSub: // the smaller factor is common
		e := min(x[0].exp, x[1].exp)
		if e == 0 {
			return NoValue, false
		}
		l := s.whole(scaled{x[0].v, x[0].exp - e})
		r := s.whole(scaled{x[1].v, x[1].exp - e})
		return s.whole(scaled{b.emit(in.Op, in.Type, 0, l, r), e}), true
	case OpFMA: // one operand takes the other's factor
		if e := x[0].exp + x[1].exp; e == x[2].exp {
			return s.whole(scaled{b.FMA(x[0].v, x[1].v, x[2].v), e}), true
		} else if x[0].exp != 0 && x[1].exp != 0 {
			r := s.whole(scaled{x[1].v, e})
			return b.FMA(x[0].v, r, args[2]), true
		}
		for i := range 2 {
			if c, ok := b.ConstValue(args[i]); ok && x[1-i].exp != 0 {
				if k, ok := s.times(x[1-i].v, c, x[1-i].exp); ok {
					return b.FMA(x[1-i].v, k, args[2]), true
				}
			}
		}
	case OpSelect:
		if x[1].exp == x[2].exp {
			return s.whole(scaled{b.Select(args[0], x[1].v, x[2].v), x[1].exp}), true
		}
	case OpLt, OpLe, OpEq:
		if x[0].exp == x[1].exp {
			return b.emit(in.Op, Bool, 0, x[0].v, x[1].v), true
		}
	}
	return NoValue, false
}
