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
	I64              // 64-bit integer, wrapping; also the bits of an F64
	Bool             // true or false
)

func (t Type) String() string { return [...]string{"none", "f64", "i64", "bool"}[t] }

// Op is an operation. Arithmetic operations are those whose result IEEE-754
// fixes to the bit, so that every engine gives the same bits (all NaNs count as
// one value).
type Op uint8

// The operations. a, b, c are the operands in order.
const (
	OpInput    Op = iota // Imm = index of the input
	OpConst              // Imm = bits of the F64, the I64, or 0/1 for Bool
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
	OpBits               // the bits of an F64 as I64
	OpFromBits           // the F64 with the bits of an I64
	OpTable              // Func.Tables[Imm][a & (len-1)], an F64; a is an I64, the length a power of two
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

// opInfo describes an operation: its name in dumps, operand types (F64 stands
// for "same type as the result" in OpSelect and the like, see Validate) and
// result type.
type opInfo struct {
	name string
	args []Type // None: any type
	typ  Type   // None: depends, or nothing
}

var ops = [NumOps]opInfo{
	OpInput:    {"input", nil, None},
	OpConst:    {"const", nil, None},
	OpAdd:      {"add", []Type{F64, F64}, F64},
	OpSub:      {"sub", []Type{F64, F64}, F64},
	OpMul:      {"mul", []Type{F64, F64}, F64},
	OpDiv:      {"div", []Type{F64, F64}, F64},
	OpSqrt:     {"sqrt", []Type{F64}, F64},
	OpFMA:      {"fma", []Type{F64, F64, F64}, F64},
	OpNeg:      {"neg", []Type{F64}, F64},
	OpAbs:      {"abs", []Type{F64}, F64},
	OpRound:    {"round", []Type{F64}, F64},
	OpFloor:    {"floor", []Type{F64}, F64},
	OpTrunc:    {"trunc", []Type{F64}, F64},
	OpLt:       {"lt", []Type{F64, F64}, Bool},
	OpLe:       {"le", []Type{F64, F64}, Bool},
	OpEq:       {"eq", []Type{F64, F64}, Bool},
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
	OpBits:     {"bits", []Type{F64}, I64},
	OpFromBits: {"frombits", []Type{I64}, F64},
	OpTable:    {"table", []Type{I64}, F64},
	OpIndex:    {"index", nil, I64},
	OpLoad:     {"load", nil, F64},
	OpStore:    {"store", []Type{F64}, None},
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
// 0 or 1). It is the definition that every engine is held against.
func Apply(op Op, a, b, c uint64) uint64 {
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
	case OpBits, OpFromBits:
		return a
	}
	panic("program: Apply: " + op.String() + " is not a plain operation")
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
