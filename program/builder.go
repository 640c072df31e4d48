package program

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// MaxInstrs bounds the length of one function. A longer one is refused with an
// [Error]: it comes from a formula or a problem that is too large.
const MaxInstrs = 2_000_000

// Error is what a Builder panics with when a function cannot be written;
// [Catch] turns it back into an error.
type Error struct{ Msg string }

func (e *Error) Error() string { return "program: " + e.Msg }

// Catch, deferred, stores a Builder's *Error in *err and lets other panics pass.
func Catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
	default:
		panic(r)
	}
}

func fail(format string, args ...any) { panic(&Error{fmt.Sprintf(format, args...)}) }

// Builder writes a Func. Equal pure operations in scope are written once,
// constants are folded, and identities that are exact in IEEE-754 (x*1, x/1,
// --x, select of equals) disappear. A method named after an operation writes it: Add is OpAdd, whose comment says what it
// computes, F64 or F32 as its operands are. What has no operands to go by (F, Inputs, FromBits, Table, NewArray, ToFloat) is
// of the Builder's own type, [Builder.Float]. Misuse (a wrong type, an operand out of scope) panics with an *Error.
type Builder struct {
	f      *Func
	strict bool
	float  Type
	nscope int32
	*notes
}

// notes are the function of a Builder until it finishes, and what it knows of its values; the memory serves the next one.
type notes struct {
	unfinished Func
	known      written
	scopes     []scope         // innermost last
	where      []int32         // the scope of each value, see inScope
	sign       []bool          // of each value: it is +0, positive or NaN for certain
	affine     map[string]int  // index in Func.Affines
	guards     map[Value][]int // positions of the guards of each condition
	equals     []Value         // see sameGuard
	mem        workspace
}

var oldNotes = sync.Pool{New: func() any { return &notes{affine: map[string]int{}, guards: map[Value][]int{}} }}

type scope struct {
	id    int32
	start int // position of its OpLoop or OpGuard
}

// NewBuilder starts a function of F64s with the given name.
func NewBuilder(name string) *Builder { return NewBuilderOf(F64, name) }

// someInstrs is room for a function of unknown length.
const someInstrs = 256

// NewBuilderOf starts a function whose numbers are of type float, F64 or F32.
func NewBuilderOf(float Type, name string) *Builder {
	b := newBuilder(name, someInstrs)
	b.float = float
	return b
}

// newBuilder starts a function of F64s and about n instructions.
func newBuilder(name string, n int) *Builder {
	n += n / 8 // a rewrite may become a little longer than what it was made from
	b := &Builder{float: F64, notes: oldNotes.Get().(*notes)}
	b.f = &b.unfinished
	b.f.Name = name
	b.f.Instrs = slices.Grow(b.f.Instrs, n)
	b.known.clear(n)
	b.scopes = append(b.scopes[:0], scope{id: 0, start: -1})
	b.where, b.sign = slices.Grow(b.where[:0], n), slices.Grow(b.sign[:0], n)
	clear(b.affine)
	clear(b.guards)
	b.mem.reset()
	return b
}

// Float is the type of the constants, arrays and the like that are written: F64 or F32. Code that is
// to serve both asks for it where it declares inputs.
func (b *Builder) Float() Type { return b.float }

// With runs write with the Builder's own type set to float. Values of the other type come in and
// go out by Widen and Narrow.
func (b *Builder) With(float Type, write func()) {
	old := b.float
	b.float = float
	write()
	b.float = old
}

// Input adds an input of type t.
func (b *Builder) Input(name string, t Type) Value {
	if len(b.scopes) != 1 {
		fail("input %s inside a block", name)
	}
	b.f.In = append(b.f.In, t)
	b.f.InNames = append(b.f.InNames, name)
	return b.append(OpInput, t, uint64(len(b.f.In)-1), NoValue, NoValue, NoValue)
}

// inputsOf adds the inputs of f.
func (b *Builder) inputsOf(f *Func) []Value {
	v := make([]Value, len(f.In))
	for i, t := range f.In {
		v[i] = b.Input(f.inName(i), t)
	}
	return v
}

// Inputs adds n inputs of type [Builder.Float], called name0, name1, ...
func (b *Builder) Inputs(name string, n int) []Value {
	v := make([]Value, n)
	for i := range v {
		v[i] = b.Input(fmt.Sprintf("%s%d", name, i), b.float)
	}
	return v
}

// Finish ends the function with the given outputs.
func (b *Builder) Finish(out ...Value) *Func { return b.finish(new(Func), out) }

// finish is Finish into the memory of another function, as recycled gives it.
func (b *Builder) finish(to *Func, out []Value) *Func {
	if len(b.scopes) != 1 {
		fail("%s: a block is not closed", b.f.Name)
	}
	for _, v := range out {
		b.use(v)
	}
	f := b.f
	*to = Func{
		Name: f.Name, In: append(to.In[:0], f.In...), InNames: append(to.InNames[:0], f.InNames...),
		Instrs: append(to.Instrs[:0], f.Instrs...), Out: append(to.Out[:0], out...),
		Loops: f.Loops, Affines: f.Affines, Arrays: f.Arrays, Tables: f.Tables,
	}
	*f = Func{In: f.In[:0], InNames: f.InNames[:0], Instrs: f.Instrs[:0]}
	oldNotes.Put(b.notes)
	b.f, b.notes = nil, nil
	return to
}

var drafts = sync.Pool{New: func() any { return new(Func) }}

// recycled is a function to be written over: for what only the next pass reads, which then recycles it.
func recycled() *Func { return drafts.Get().(*Func) }

// recycle gives up f, which nobody may look at any more.
func (f *Func) recycle() { drafts.Put(f) }

// Type returns the type of v.
func (b *Builder) Type(v Value) Type { return b.f.Instrs[v].Type }

// Len is the number of instructions so far.
func (b *Builder) Len() int { return len(b.f.Instrs) }

// ConstValue reports v's value if it is a constant of type F64 or F32.
func (b *Builder) ConstValue(v Value) (float64, bool) {
	in := &b.f.Instrs[v]
	if in.Op == OpConst && in.Type.IsFloat() {
		return in.Type.Float(in.Imm), true
	}
	return 0, false
}

// Strict runs write; multiplications written meanwhile are never fused with an
// addition. Error-free transformations and elementary functions need it.
func (b *Builder) Strict(write func()) {
	old := b.strict
	b.strict = true
	write()
	b.strict = old
}

// append writes an instruction, field by field: what has just been written so a processor cannot copy as a whole
// without waiting for it.
func (b *Builder) append(op Op, typ Type, imm uint64, x, y, z Value) Value {
	n := len(b.f.Instrs)
	if n >= MaxInstrs {
		fail("%s is too large: more than %d operations", b.f.Name, MaxInstrs)
	}
	if n == cap(b.f.Instrs) {
		b.f.Instrs = slices.Grow(b.f.Instrs, n+1) // append would grow by a quarter
	}
	b.f.Instrs = b.f.Instrs[:n+1]
	to := &b.f.Instrs[n]
	to.Op, to.Type, to.Strict, to.A, to.B, to.C, to.Imm = op, typ, false, x, y, z, imm
	b.where = append(b.where, b.scopes[len(b.scopes)-1].id)
	b.sign = append(b.sign, nonNegative(to, b.sign))
	return Value(n)
}

// use checks that v is in scope.
func (b *Builder) use(v Value) {
	if v < 0 || int(v) >= len(b.f.Instrs) {
		fail("%s: operand v%d does not exist", b.f.Name, v)
	}
	if b.inScope(v) {
		return
	}
	fail("%s: operand v%d (%s) is used outside its block", b.f.Name, v, b.f.instr(&b.f.Instrs[v]))
}

// inScope reports whether the block that v was written in is open.
func (b *Builder) inScope(v Value) bool {
	if b.where[v] == 0 { // outside of all blocks
		return true
	}
	for i := range b.scopes[1:] {
		if b.scopes[i+1].id == b.where[v] {
			return true
		}
	}
	return false
}

func (b *Builder) emit(op Op, typ Type, imm uint64, args ...Value) Value {
	operands := [3]Value{NoValue, NoValue, NoValue}
	want := ops[op].args
	for i, v := range args {
		b.use(v)
		t := want[i]
		if t == float && b.Type(args[0]).IsFloat() {
			t = b.Type(args[0])
		}
		if t != None && t != b.Type(v) {
			fail("%s: operand %d of %s is %s, want %s", b.f.Name, i, op, b.Type(v), t)
		}
		operands[i] = v
	}
	return b.write(op, typ, imm, operands[0], operands[1], operands[2])
}

// write is emit without its checks, for operands that are known to fit.
func (b *Builder) write(op Op, typ Type, imm uint64, x, y, z Value) Value {
	if !op.Pure() && op != OpIndex {
		return b.append(op, typ, imm, x, y, z)
	}
	var in Instr // put together as append does it
	in.Op, in.Type, in.A, in.B, in.C, in.Imm = op, typ, x, y, z, imm
	if v, ok := b.fold(&in); ok {
		return v
	}
	if commutes(op) && x > y {
		x, y = y, x
		in.A, in.B = x, y
	}
	strict := b.strict && op == OpMul
	v, at := b.find(&in)
	if v != NoValue {
		b.f.Instrs[v].Strict = b.f.Instrs[v].Strict || strict
		return v
	}
	v = b.append(op, typ, imm, x, y, z)
	b.f.Instrs[v].Strict = strict
	b.remember(v, at)
	return v
}

// commutes: a NaN's payload aside, exchanging the operands changes nothing.
func commutes(op Op) bool {
	switch op {
	case OpAdd, OpMul, OpFMA, OpEq, OpAnd, OpOr, OpIAdd, OpMulU32, OpIAnd, OpIOr, OpIXor, OpIEq:
		return true
	}
	return false
}

func (b *Builder) constant(v Value) (uint64, bool) {
	if v < 0 {
		return 0, false
	}
	in := &b.f.Instrs[v]
	return in.Imm, in.Op == OpConst
}

// exactReciprocal is 1/x for the number x of type t where x is a power of two and 1/x is normal: then a
// product gives the bits of the quotient.
func exactReciprocal(t Type, bits uint64) (float64, bool) {
	x := t.Float(bits)
	m, _ := math.Frexp(x)
	r := 1 / x
	return r, math.Abs(m) == 0.5 && math.Abs(r) >= MinNormal(t) && !math.IsInf(t.Float(t.Bits(r)), 0)
}

// fold finds an operation's value without writing it.
func (b *Builder) fold(in *Instr) (Value, bool) {
	if in.Op == OpConst || in.Op == OpIndex {
		return 0, false
	}
	ca, ka := b.constant(in.A)
	cb, kb := b.constant(in.B)
	cc, kc := b.constant(in.C)
	n := in.Op.NumArgs()
	t := b.f.Precision(in)
	is := func(known bool, bits uint64, x float64) bool { return known && t.IsFloat() && bits == t.Bits(x) }
	if ka && (n < 2 || kb) && (n < 3 || kc) {
		if in.Op == OpTable {
			table := b.f.Tables[in.Imm]
			return b.konst(t, t.Bits(table[ca&uint64(len(table)-1)])), true
		}
		return b.konst(in.Type, Apply(in.Op, t, ca, cb, cc)), true
	}
	switch in.Op {
	case OpMul:
		if is(ka, ca, 1) {
			return in.B, true
		}
		if is(kb, cb, 1) {
			return in.A, true
		}
		if is(ka, ca, -1) {
			return b.Neg(in.B), true
		}
		if is(kb, cb, -1) {
			return b.Neg(in.A), true
		}
	case OpDiv:
		if is(kb, cb, 1) {
			return in.A, true
		}
		if kb {
			if r, ok := exactReciprocal(t, cb); ok {
				return b.Mul(in.A, b.konst(t, t.Bits(r))), true
			}
		}
	case OpFMA:
		if is(ka, ca, 1) || is(kb, cb, 1) || is(ka, ca, -1) || is(kb, cb, -1) {
			return b.Add(b.Mul(in.A, in.B), in.C), true
		}
	case OpAdd: // x + (-0) is x for every x
		if is(ka, ca, negZero) {
			return in.B, true
		}
		if is(kb, cb, negZero) {
			return in.A, true
		}
		if d := b.f.Instrs[in.B]; d.Op == OpNeg {
			return b.Sub(in.A, d.A), true
		}
		if d := b.f.Instrs[in.A]; d.Op == OpNeg {
			return b.Sub(in.B, d.A), true
		}
	case OpSub: // x - (+0) is x for every x
		if kb && cb == 0 {
			return in.A, true
		}
		if d := b.f.Instrs[in.B]; d.Op == OpNeg {
			return b.Add(in.A, d.A), true
		}
	case OpNeg:
		if d := b.f.Instrs[in.A]; d.Op == OpNeg {
			return d.A, true
		}
	case OpAbs:
		if d := b.f.Instrs[in.A]; d.Op == OpAbs {
			return in.A, true
		} else if d.Op == OpNeg {
			return b.Abs(d.A), true
		} else if b.sign[in.A] {
			return in.A, true
		}
	case OpSelect:
		if ka {
			if ca != 0 {
				return in.B, true
			}
			return in.C, true
		}
		if in.B == in.C {
			return in.B, true
		}
		if d := b.f.Instrs[in.A]; d.Op == OpNot {
			return b.emit(OpSelect, in.Type, 0, d.A, in.C, in.B), true
		}
	case OpAnd:
		switch {
		case in.A == in.B, kb && cb == 1, ka && ca == 0:
			return in.A, true
		case ka && ca == 1, kb && cb == 0:
			return in.B, true
		}
	case OpOr:
		switch {
		case in.A == in.B, kb && cb == 0, ka && ca == 1:
			return in.A, true
		case ka && ca == 0, kb && cb == 1:
			return in.B, true
		}
	case OpNot:
		if d := b.f.Instrs[in.A]; d.Op == OpNot {
			return d.A, true
		}
	case OpBits:
		if d := b.f.Instrs[in.A]; d.Op == OpFromBits && t == F64 {
			return d.A, true
		} else if d.Op == OpFromBits {
			return b.IAnd(d.A, b.I(math.MaxUint32)), true
		}
	case OpFromBits:
		if d := b.f.Instrs[in.A]; d.Op == OpBits && b.Type(d.A) == t {
			return d.A, true
		}
	case OpNarrow:
		if d := b.f.Instrs[in.A]; d.Op == OpWiden {
			return d.A, true
		}
	case OpIAdd:
		if kb && cb == 0 {
			return in.A, true
		}
		if ka && ca == 0 {
			return in.B, true
		}
	}
	return 0, false
}

func (b *Builder) konst(t Type, bits uint64) Value {
	if t.IsFloat() && math.IsNaN(t.Float(bits)) {
		bits = t.Bits(math.NaN()) // one NaN
	}
	return b.emit(OpConst, t, bits)
}

// negZero is what adds nothing to any number: x + (-0) is x, -0 + (+0) is +0.
var negZero = math.Copysign(0, -1)

// F is the constant x of type [Builder.Float], rounded to it. A finite x that would become infinite is an *Error.
func (b *Builder) F(x float64) Value {
	bits := b.float.Bits(x)
	if math.IsInf(b.float.Float(bits), 0) && !math.IsInf(x, 0) {
		fail("%s: the constant %v is too large for %s", b.f.Name, x, b.float)
	}
	return b.konst(b.float, bits)
}

// Eps is the distance from 1 to the next number of type [Builder.Float].
func (b *Builder) Eps() float64 { return Eps(b.float) }

// MinNormal is the least positive number of type [Builder.Float] that is not subnormal.
func (b *Builder) MinNormal() float64 { return MinNormal(b.float) }

// Eps is the distance from 1 to the next number of type t, F64 or F32.
func Eps(t Type) float64 {
	if t == F32 {
		return 0x1p-23
	}
	return 0x1p-52
}

// MinNormal is the least positive number of type t, F64 or F32, that is not subnormal.
func MinNormal(t Type) float64 {
	if t == F32 {
		return 0x1p-126
	}
	return 0x1p-1022
}

// I is a constant I64.
func (b *Builder) I(x int64) Value { return b.konst(I64, uint64(x)) }

// B is a constant Bool.
func (b *Builder) B(x bool) Value { return b.konst(Bool, bit(x)) }

// arith writes an operation whose result has the type of its operands.
func (b *Builder) arith(op Op, args ...Value) Value {
	b.use(args[0])
	return b.emit(op, b.Type(args[0]), 0, args...)
}

// Arithmetic on F64s or on F32s; see the operations of the same name.

func (b *Builder) Add(x, y Value) Value    { return b.arith(OpAdd, x, y) }
func (b *Builder) Sub(x, y Value) Value    { return b.arith(OpSub, x, y) }
func (b *Builder) Mul(x, y Value) Value    { return b.arith(OpMul, x, y) }
func (b *Builder) Div(x, y Value) Value    { return b.arith(OpDiv, x, y) }
func (b *Builder) Sqrt(x Value) Value      { return b.arith(OpSqrt, x) }
func (b *Builder) FMA(x, y, z Value) Value { return b.arith(OpFMA, x, y, z) }
func (b *Builder) Neg(x Value) Value       { return b.arith(OpNeg, x) }
func (b *Builder) Abs(x Value) Value       { return b.arith(OpAbs, x) }
func (b *Builder) Round(x Value) Value     { return b.arith(OpRound, x) }
func (b *Builder) Floor(x Value) Value     { return b.arith(OpFloor, x) }
func (b *Builder) Trunc(x Value) Value     { return b.arith(OpTrunc, x) }

// Widen makes an F32 an F64, Narrow an F64 an F32.

func (b *Builder) Widen(x Value) Value  { return b.emit(OpWiden, F64, 0, x) }
func (b *Builder) Narrow(x Value) Value { return b.emit(OpNarrow, F32, 0, x) }

// Comparisons of numbers; those with a NaN are false, Ne's true.

func (b *Builder) Lt(x, y Value) Value { return b.emit(OpLt, Bool, 0, x, y) }
func (b *Builder) Le(x, y Value) Value { return b.emit(OpLe, Bool, 0, x, y) }
func (b *Builder) Gt(x, y Value) Value { return b.Lt(y, x) }
func (b *Builder) Ge(x, y Value) Value { return b.Le(y, x) }
func (b *Builder) Eq(x, y Value) Value { return b.emit(OpEq, Bool, 0, x, y) }
func (b *Builder) Ne(x, y Value) Value { return b.Not(b.Eq(x, y)) }

// IsNaN and IsFinite classify a number.

func (b *Builder) IsNaN(x Value) Value { return b.Ne(x, x) }
func (b *Builder) IsFinite(x Value) Value {
	a := b.Abs(x)
	return b.Lt(a, b.konst(b.Type(a), b.Type(a).Bits(math.Inf(1))))
}

// Logic on Bool; And and Or take any number.

func (b *Builder) And(x ...Value) Value {
	r := b.B(true)
	for _, v := range x {
		r = b.emit(OpAnd, Bool, 0, r, v)
	}
	return r
}
func (b *Builder) Or(x ...Value) Value {
	r := b.B(false)
	for _, v := range x {
		r = b.emit(OpOr, Bool, 0, r, v)
	}
	return r
}
func (b *Builder) Not(x Value) Value { return b.emit(OpNot, Bool, 0, x) }

// Select is cond ? x : y, of any type.
func (b *Builder) Select(cond, x, y Value) Value {
	b.sameType(OpSelect, x, y)
	return b.emit(OpSelect, b.Type(x), 0, cond, x, y)
}

func (b *Builder) sameType(op Op, x, y Value) {
	if b.Type(x) != b.Type(y) {
		fail("%s: %s of %s and %s", b.f.Name, op, b.Type(x), b.Type(y))
	}
}

// Min is x < y ? x : y, so a NaN in either yields y.
func (b *Builder) Min(x, y Value) Value { return b.Select(b.Lt(x, y), x, y) }

// Max is x > y ? x : y, so a NaN in either yields y.
func (b *Builder) Max(x, y Value) Value { return b.Select(b.Gt(x, y), x, y) }

// Integer operations on I64.

func (b *Builder) IAdd(x, y Value) Value     { return b.emit(OpIAdd, I64, 0, x, y) }
func (b *Builder) ISub(x, y Value) Value     { return b.emit(OpISub, I64, 0, x, y) }
func (b *Builder) MulU32(x, y Value) Value   { return b.emit(OpMulU32, I64, 0, x, y) }
func (b *Builder) IAnd(x, y Value) Value     { return b.emit(OpIAnd, I64, 0, x, y) }
func (b *Builder) IOr(x, y Value) Value      { return b.emit(OpIOr, I64, 0, x, y) }
func (b *Builder) IXor(x, y Value) Value     { return b.emit(OpIXor, I64, 0, x, y) }
func (b *Builder) Shl(x, n Value) Value      { return b.emit(OpShl, I64, 0, x, n) }
func (b *Builder) Shr(x, n Value) Value      { return b.emit(OpShr, I64, 0, x, n) }
func (b *Builder) ILt(x, y Value) Value      { return b.emit(OpILt, Bool, 0, x, y) }
func (b *Builder) IEq(x, y Value) Value      { return b.emit(OpIEq, Bool, 0, x, y) }
func (b *Builder) Bits(x Value) Value        { return b.emit(OpBits, I64, 0, x) }
func (b *Builder) FromBits(x Value) Value    { return b.emit(OpFromBits, b.float, 0, x) }
func (b *Builder) IndexValue(a Affine) Value { return b.emit(OpIndex, I64, uint64(b.affineID(a))) }

const shifter = 3 << 51 // 1.5 * 2^52: adding it to an F64 puts an integer into the low bits

// ToInt converts an integral number of magnitude at most 2^51 to I64; other
// arguments give some integer.
func (b *Builder) ToInt(x Value) (i Value) {
	if b.use(x); b.Type(x) == F32 {
		x = b.Widen(x)
	}
	b.With(F64, func() { i = b.ISub(b.Bits(b.Add(x, b.F(shifter))), b.Bits(b.F(shifter))) })
	return i
}

// ToFloat converts an I64 of magnitude at most 2^51 to [Builder.Float], rounding to nearest; other arguments
// give some number.
func (b *Builder) ToFloat(i Value) (x Value) {
	b.With(F64, func() { x = b.Sub(b.FromBits(b.IAdd(i, b.Bits(b.F(shifter)))), b.F(shifter)) })
	if b.float == F32 {
		x = b.Narrow(x)
	}
	return x
}

// FromInt is the F64 nearest to an I64, ties to even: its halves, each in the low bits of a power
// of two, joined with one rounding.
func (b *Builder) FromInt(i Value) (x Value) {
	const low, high = 0x433 << 52, 0x453 << 52 // the bits of 2^52 and 2^84
	b.With(F64, func() {
		lo := b.FromBits(b.IOr(b.IAnd(i, b.I(1<<32-1)), b.I(low)))
		hi := b.FromBits(b.IXor(b.Shr(i, b.I(32)), b.I(high|1<<31))) // the sign is a part of the number plus 2^63
		x = b.Add(b.Sub(hi, b.F(0x1p84+0x1p63+0x1p52)), lo)
	})
	return x
}

// NewTable adds a table of constants, its length a power of two. The functions keep t, which must not change any more.
func (b *Builder) NewTable(t []float64) int {
	if n := len(t); n == 0 || n&(n-1) != 0 {
		fail("%s: a table of %d entries; the length must be a power of two", b.f.Name, n)
	}
	same := func(u []float64) bool {
		return len(u) == len(t) && (&u[0] == &t[0] ||
			slices.EqualFunc(u, t, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }))
	}
	if i := slices.IndexFunc(b.f.Tables, same); i >= 0 {
		return i
	}
	b.f.Tables = append(b.f.Tables, t)
	return len(b.f.Tables) - 1
}

// Table is entry i (taken modulo the table's length) of a table, of type [Builder.Float].
func (b *Builder) Table(table int, i Value) Value { return b.emit(OpTable, b.float, uint64(table), i) }

func (b *Builder) affineID(a Affine) int {
	for _, t := range a.Terms {
		if !b.inLoop(t.Loop) {
			fail("%s: index %s is used outside its loop", b.f.Name, a)
		}
	}
	var space [64]byte
	key := a.appendKey(space[:0])
	if i, ok := b.affine[string(key)]; ok {
		return i
	}
	b.f.Affines = append(b.f.Affines, a)
	b.affine[string(key)] = len(b.f.Affines) - 1
	return len(b.f.Affines) - 1
}

func (b *Builder) inLoop(loop int) bool {
	for _, s := range b.scopes {
		if s.start >= 0 && b.f.Instrs[s.start].Op == OpLoop && int(b.f.Instrs[s.start].Imm) == loop {
			return true
		}
	}
	return false
}

// Array is a local array of numbers of one type; what it holds does not outlive one call of the
// function. What is stored inside a Guard may be read only inside that guard.
type Array int

// NewArray adds a local array of n elements of type [Builder.Float].
func (b *Builder) NewArray(n int) Array { return b.newArray(LocalArray{n, b.float}) }

func (b *Builder) newArray(a LocalArray) Array {
	if a.Len < 1 {
		fail("%s: an array of %d elements", b.f.Name, a.Len)
	}
	b.f.Arrays = append(b.f.Arrays, a)
	return Array(len(b.f.Arrays) - 1)
}

// Load reads element i of an array.
func (b *Builder) Load(a Array, i Affine) Value {
	return b.emit(OpLoad, b.f.Arrays[a].Type, uint64(b.affineID(i))<<32|uint64(a))
}

// Store writes element i of an array.
func (b *Builder) Store(a Array, i Affine, v Value) {
	if b.use(v); b.Type(v) != b.f.Arrays[a].Type {
		fail("%s: %s stored in an array of %s", b.f.Name, b.Type(v), b.f.Arrays[a].Type)
	}
	b.emit(OpStore, None, uint64(b.affineID(i))<<32|uint64(a), v)
}

// At is the constant index i.
func At(i int) Affine { return Affine{Const: i} }

// open begins a block with an OpLoop or OpGuard.
func (b *Builder) open(op Op, imm uint64, cond Value) int {
	at := b.append(op, None, imm, cond, NoValue, NoValue)
	b.nscope++
	b.scopes = append(b.scopes, scope{id: b.nscope, start: int(at)})
	return int(at)
}

func (b *Builder) close(op Op) {
	s := b.scopes[len(b.scopes)-1]
	b.scopes = b.scopes[:len(b.scopes)-1]
	b.append(op, None, uint64(s.start), NoValue, NoValue, NoValue)
}

// Loop runs body for i = lo..hi-1, carrying values from trip to trip: body gets
// the index and the carried values (first those of init) and returns the values
// for the next trip, as many and of the same types. Loop returns them after the last trip.
func (b *Builder) Loop(lo, hi Affine, init []Value, body func(i Affine, carried []Value) []Value) []Value {
	for _, v := range init {
		b.use(v)
	}
	for _, a := range []Affine{lo, hi} {
		b.affineID(a)
	}
	id := len(b.f.Loops)
	b.f.Loops = append(b.f.Loops, Loop{lo, hi})
	b.open(OpLoop, uint64(id), NoValue)
	phi := make([]Value, len(init))
	for i, v := range init {
		phi[i] = b.append(OpPhi, b.Type(v), 0, v, NoValue, NoValue)
	}
	next := body(Affine{Terms: []Term{{id, 1}}}, append([]Value(nil), phi...))
	if len(next) != len(init) {
		fail("%s: a loop carries %d values and returns %d", b.f.Name, len(init), len(next))
	}
	for i, v := range next {
		b.use(v)
		b.sameType(OpPhi, phi[i], v)
		b.f.Instrs[phi[i]].B = v
	}
	b.close(OpEndLoop)
	out := make([]Value, len(phi))
	for i, p := range phi {
		out[i] = b.append(OpLoopOut, b.f.Instrs[p].Type, 0, p, NoValue, NoValue)
	}
	return out
}

// Guard computes the values of body where cond holds and otherwise is those of
// orElse: a Select whose first branch an engine may skip when no sample asks for
// it. Body must be worth skipping: it is written in a block of its own.
func (b *Builder) Guard(cond Value, orElse []Value, body func() []Value) []Value {
	b.use(cond)
	if b.Type(cond) != Bool {
		fail("%s: a guard on %s", b.f.Name, b.Type(cond))
	}
	if c, ok := b.constant(cond); ok {
		if c != 0 {
			return body()
		}
		return append([]Value(nil), orElse...)
	}
	for _, v := range orElse {
		b.use(v)
	}
	at := b.open(OpGuard, 0, cond)
	in := body()
	if len(in) != len(orElse) {
		fail("%s: a guard of %d values has %d otherwise", b.f.Name, len(in), len(orElse))
	}
	for i, v := range in {
		b.use(v)
		b.sameType(OpMerge, v, orElse[i])
	}
	for _, old := range b.guards[cond] {
		if out := b.sameGuard(at, old, in, orElse); out != nil { // written before: take this one back
			b.scopes = b.scopes[:len(b.scopes)-1]
			b.f.Instrs, b.where, b.sign = b.f.Instrs[:at], b.where[:at], b.sign[:at]
			return out
		}
	}
	b.guards[cond] = append(b.guards[cond], at)
	b.close(OpEndGuard)
	out := make([]Value, len(in))
	for i, v := range in {
		out[i] = b.append(OpMerge, b.f.Instrs[v].Type, 0, cond, v, orElse[i])
	}
	return out
}

// sameGuard returns the values of the guard at position old if it is in scope and equals the open guard at position at, whose
// values are in, otherwise orElse; else nil. Equal are only blocks of pure operations: constants by value, because
// a block may or may not be the first to use them, other values of the block by their place in it.
func (b *Builder) sameGuard(at, old int, in, orElse []Value) []Value {
	if !b.inScope(Value(old)) {
		return nil
	}
	b.equals = b.equals[:0] // the value of the old block that each one from at on equals
	same := func(v, w Value) bool {
		c, constant := b.constant(v)
		d, also := b.constant(w)
		switch {
		case constant || also:
			return constant && also && c == d && b.Type(v) == b.Type(w)
		case int(v) >= at:
			return b.equals[int(v)-at] == w
		}
		return v == w
	}
	code := b.f.Instrs
	skip := func() { // past constants; a mark follows
		for code[old].Op == OpConst {
			old++
		}
	}
	for i := at; i < len(code); i++ {
		x := &code[i]
		if x.Op == OpConst {
			b.equals = append(b.equals, NoValue)
			continue
		}
		skip()
		y := &code[old]
		if i > at && !x.Op.Pure() || x.Op != y.Op || x.Type != y.Type || x.Imm != y.Imm {
			return nil
		}
		first := same(x.A, y.A) && same(x.B, y.B)
		if !(first || commutes(x.Op) && same(x.A, y.B) && same(x.B, y.A)) || !same(x.C, y.C) {
			return nil
		}
		b.equals = append(b.equals, Value(old))
		old++
	}
	if skip(); code[old].Op != OpEndGuard {
		return nil
	}
	out := make([]Value, 0, len(in))
	for old++; code[old].Op == OpMerge; old++ {
		k := len(out)
		if k == len(in) || !same(in[k], code[old].B) || !same(orElse[k], code[old].C) {
			return nil
		}
		out = append(out, Value(old))
	}
	if len(out) < len(in) {
		return nil
	}
	return out
}

// Inline writes f's instructions here with args as its inputs and returns its
// outputs.
func (b *Builder) Inline(f *Func, args ...Value) []Value {
	if len(args) != len(f.In) {
		fail("%s: %s takes %d inputs, got %d", b.f.Name, f.Name, len(f.In), len(args))
	}
	c := copier{b: b, f: f}
	return c.run(args)
}
