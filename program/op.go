package program

import (
	"math"
)

// Type is the type of a value: every value belongs to one sample and is a scalar.
type Type uint8

// The types of values.
const (
	None Type = iota // of instructions that yield nothing (loop and guard marks, stores)
	F64              // IEEE-754 binary64
	F32              // IEEE-754 binary32, with its subnormal numbers
	I64              // 64-bit integer, wrapping; also the bits of a number
	Bool             // true or false

	float // in the table of operations: F64 or F32, one of them throughout an instruction
)

func (t Type) String() string {
	return [...]string{"none", "f64", "f32", "i64", "bool", "floating point"}[t]
}

// IsFloat reports whether t is F64 or F32.
func (t Type) IsFloat() bool { return t == F64 || t == F32 }

// Bits returns x, rounded to t, as bits: those of a float32 are the low 32. T is F64 or F32.
func (t Type) Bits(x float64) uint64 {
	if t == F32 {
		return uint64(math.Float32bits(float32(x)))
	}
	return math.Float64bits(x)
}

// Float is the number with the given bits of t, F64 or F32.
func (t Type) Float(bits uint64) float64 {
	if t == F32 {
		return float64(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}

// Op is an operation. Arithmetic operations are those whose result IEEE-754
// fixes to the bit, so that every engine gives the same bits (all NaNs count as
// one value). Those on numbers exist for F64 and for F32; the types of operands and result say
// which (see [Func.Precision]), and only OpWiden and OpNarrow mix them.
type Op uint8

// The operations. a, b, c are the operands in order.
const (
	OpInput    Op = iota // Imm = index of the input
	OpConst              // Imm = bits of the F64, of the F32 (the low 32), the I64, or 0/1 for Bool
	OpAdd                // a + b, round to nearest even, as all that follow
	OpSub                // a - b
	OpMul                // a * b
	OpDiv                // a / b
	OpSqrt               // square root
	OpFMA                // a*b + c with one rounding
	OpNeg                // sign bit flipped
	OpAbs                // sign bit cleared
	OpRound              // to integral, ties to even
	OpFloor              // to integral, down
	OpTrunc              // to integral, toward zero
	OpWiden              // the F64 of the value of an F32
	OpNarrow             // the F32 nearest to an F64, ties to even
	OpLt                 // a < b, false with a NaN
	OpLe                 // a <= b, false with a NaN
	OpEq                 // a == b, false with a NaN
	OpAnd                // of Bools
	OpOr                 // of Bools
	OpNot                // of a Bool
	OpSelect             // a ? b : c; a is a Bool; b and c are of one type, any
	OpIAdd               // a + b, wrapping
	OpISub               // a - b, wrapping
	OpMulU32             // (a & 0xffffffff) * (b & 0xffffffff), as unsigned numbers
	OpIAnd               // bitwise
	OpIOr                // bitwise
	OpIXor               // bitwise
	OpShl                // a << b; 0 when b is outside 0..63
	OpShr                // a >> b, zeros shifted in; 0 when b is outside 0..63
	OpILt                // a < b, signed
	OpIEq                // a == b
	OpBits               // the bits of a number as I64; those above the 32 of an F32 are 0
	OpFromBits           // the F64 with the bits of an I64, or the F32 with its low 32 bits
	OpTable              // Func.Tables[Imm][a & (len-1)], rounded to the result's type; a is an I64, the length a power of two
	OpIndex              // Func.Affines[Imm] as I64: the value of a loop index, the same in every sample
	OpLoad               // array Imm&0xffffffff at Func.Affines[Imm>>32]
	OpStore              // the same place := a
	OpLoop               // starts a loop over Func.Loops[Imm]; ends at the matching OpEndLoop
	OpPhi                // a = value on entry, b = value for the next trip (may be defined further down); directly after OpLoop
	OpEndLoop            // Imm = position of the OpLoop
	OpLoopOut            // a = an OpPhi of a finished loop: its value after the last trip (its entry value after none)
	OpGuard              // a = Bool: starts a block that an engine may skip where a is false
	OpEndGuard           // Imm = position of the OpGuard
	OpMerge              // a = the Bool of the guard, b = value from inside its block, c = otherwise: a ? b : c
	NumOps               // how many there are
)

// opInfo describes an operation: its name in dumps, operand types and
// result type.
type opInfo struct {
	name string
	args []Type // None: any type
	typ  Type   // None: depends, or nothing
}

var ops = [NumOps]opInfo{
	OpInput:    {"input", nil, None},
	OpConst:    {"const", nil, None},
	OpAdd:      {"add", []Type{float, float}, float},
	OpSub:      {"sub", []Type{float, float}, float},
	OpMul:      {"mul", []Type{float, float}, float},
	OpDiv:      {"div", []Type{float, float}, float},
	OpSqrt:     {"sqrt", []Type{float}, float},
	OpFMA:      {"fma", []Type{float, float, float}, float},
	OpNeg:      {"neg", []Type{float}, float},
	OpAbs:      {"abs", []Type{float}, float},
	OpRound:    {"round", []Type{float}, float},
	OpFloor:    {"floor", []Type{float}, float},
	OpTrunc:    {"trunc", []Type{float}, float},
	OpWiden:    {"widen", []Type{F32}, F64},
	OpNarrow:   {"narrow", []Type{F64}, F32},
	OpLt:       {"lt", []Type{float, float}, Bool},
	OpLe:       {"le", []Type{float, float}, Bool},
	OpEq:       {"eq", []Type{float, float}, Bool},
	OpAnd:      {"and", []Type{Bool, Bool}, Bool},
	OpOr:       {"or", []Type{Bool, Bool}, Bool},
	OpNot:      {"not", []Type{Bool}, Bool},
	OpSelect:   {"select", []Type{Bool, None, None}, None},
	OpIAdd:     {"iadd", []Type{I64, I64}, I64},
	OpISub:     {"isub", []Type{I64, I64}, I64},
	OpMulU32:   {"mulu32", []Type{I64, I64}, I64},
	OpIAnd:     {"iand", []Type{I64, I64}, I64},
	OpIOr:      {"ior", []Type{I64, I64}, I64},
	OpIXor:     {"ixor", []Type{I64, I64}, I64},
	OpShl:      {"shl", []Type{I64, I64}, I64},
	OpShr:      {"shr", []Type{I64, I64}, I64},
	OpILt:      {"ilt", []Type{I64, I64}, Bool},
	OpIEq:      {"ieq", []Type{I64, I64}, Bool},
	OpBits:     {"bits", []Type{float}, I64},
	OpFromBits: {"frombits", []Type{I64}, float},
	OpTable:    {"table", []Type{I64}, float},
	OpIndex:    {"index", nil, I64},
	OpLoad:     {"load", nil, float},
	OpStore:    {"store", []Type{float}, None},
	OpLoop:     {"loop", nil, None},
	OpPhi:      {"phi", []Type{None, None}, None},
	OpEndLoop:  {"endloop", nil, None},
	OpLoopOut:  {"loopout", []Type{None}, None},
	OpGuard:    {"guard", []Type{Bool}, None},
	OpEndGuard: {"endguard", nil, None},
	OpMerge:    {"merge", []Type{Bool, None, None}, None},
}

func (o Op) String() string { return ops[o].name }

// NumArgs is how many operands the operation has.
func (o Op) NumArgs() int { return len(ops[o].args) }

// Pure reports whether the operation's result depends on its operands (and Imm)
// alone: such an operation may be merged with its equals, folded and moved.
func (o Op) Pure() bool { return o >= OpConst && o <= OpTable }

// Apply is the meaning of every pure operation but OpConst and OpTable: operands and result as bits (a Bool is
// 0 or 1, an F32 its 32 bits). T is the instruction's [Func.Precision]; operations without numbers do not look at it. It is
// the definition that every engine is held against.
func Apply(op Op, t Type, a, b, c uint64) uint64 {
	switch op {
	case OpWiden:
		return F64.Bits(F32.Float(a))
	case OpNarrow:
		return F32.Bits(F64.Float(a))
	case OpAnd, OpIAnd:
		return a & b
	case OpOr, OpIOr:
		return a | b
	case OpNot:
		return a ^ 1
	case OpSelect:
		if a != 0 {
			return b
		}
		return c
	case OpIAdd:
		return a + b
	case OpISub:
		return a - b
	case OpMulU32:
		return (a & 0xffffffff) * (b & 0xffffffff)
	case OpIXor:
		return a ^ b
	case OpShl:
		return a << b
	case OpShr:
		return a >> b
	case OpILt:
		return bit(int64(a) < int64(b))
	case OpIEq:
		return bit(a == b)
	}
	if t == F32 {
		return apply32(op, a, b, c)
	}
	return apply64(op, a, b, c)
}

func apply64(op Op, a, b, c uint64) uint64 {
	x, y := math.Float64frombits(a), math.Float64frombits(b)
	f := math.Float64bits
	switch op {
	case OpAdd:
		return f(x + y)
	case OpSub:
		return f(x - y)
	case OpMul:
		return f(x * y)
	case OpDiv:
		return f(x / y)
	case OpSqrt:
		return f(math.Sqrt(x))
	case OpFMA:
		return f(math.FMA(x, y, math.Float64frombits(c)))
	case OpNeg:
		return a ^ 1<<63
	case OpAbs:
		return a &^ (1 << 63)
	case OpRound:
		return f(math.RoundToEven(x))
	case OpFloor:
		return f(math.Floor(x))
	case OpTrunc:
		return f(math.Trunc(x))
	case OpLt:
		return bit(x < y)
	case OpLe:
		return bit(x <= y)
	case OpEq:
		return bit(x == y)
	case OpBits, OpFromBits:
		return a
	}
	panic("program: Apply: " + op.String() + " is not a plain operation")
}

// apply32 rounds a square root twice, to 53 and to 24 bits, which gives what rounding once does
// (Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30, 1995: 53 >= 2*24+2).
func apply32(op Op, a, b, c uint64) uint64 {
	x, y := math.Float32frombits(uint32(a)), math.Float32frombits(uint32(b))
	f := func(x float32) uint64 { return uint64(math.Float32bits(x)) }
	switch op {
	case OpAdd:
		return f(x + y)
	case OpSub:
		return f(x - y)
	case OpMul:
		return f(x * y)
	case OpDiv:
		return f(x / y)
	case OpSqrt:
		return f(float32(math.Sqrt(float64(x))))
	case OpFMA:
		return f(FMA32(x, y, math.Float32frombits(uint32(c))))
	case OpNeg:
		return a ^ 1<<31
	case OpAbs:
		return a &^ (1 << 31)
	case OpRound:
		return f(float32(math.RoundToEven(float64(x))))
	case OpFloor:
		return f(float32(math.Floor(float64(x))))
	case OpTrunc:
		return f(float32(math.Trunc(float64(x))))
	case OpLt:
		return bit(x < y)
	case OpLe:
		return bit(x <= y)
	case OpEq:
		return bit(x == y)
	case OpBits, OpFromBits:
		return a & 0xffffffff
	}
	panic("program: Apply: " + op.String() + " is not a plain operation")
}

// FMA32 is x*y + z with one rounding.
//
// The product is exact in float64. The sum is rounded to odd there, that is to the neighbour
// whose last bit is set unless it is exact, so that the rounding to float32 sees on which side of
// the middle between two numbers it lies (Boldo & Melquiond, "Emulation of FMA and
// correctly rounded sums: proved algorithms using rounding to odd", IEEE TC 57, 2008).
func FMA32(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	t := s - p
	lost := (p - (s - t)) + (c - t) // p + c - s exactly; NaN where s is not finite
	if lost > 0 || lost < 0 {
		bits := math.Float64bits(s)
		if bits&1 == 0 { // the exact sum lies between s and an odd neighbour
			if lost > 0 == (s > 0) {
				bits++
			} else {
				bits--
			}
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
