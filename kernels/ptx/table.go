package ptx

import (
	"strings"

	"invar/program"
)

// instructions is how each operation is written. $d is the result and $a, $b, $c are the operands, registers or
// constants; $t is the type of the numbers it works on, f64 or f32; $r1, $r2 (64 bits), $w1, $w2 (32 bits) and $p1, $p2
// (predicates) are scratch registers of this one use.
//
// Rounding is always spelled out: an addition without it may be contracted into an fma by the assembler, one with
// `.rn` never is. Nothing is approximate, and nothing flushes subnormal numbers, which f32 instructions do where they say
// `.ftz`. What is missing here depends on the type throughout (see byType), or is control flow, memory or constants, written
// by emitter.one.
var instructions = [program.NumOps]string{
	program.OpAdd:   "add.rn.$t $d, $a, $b;",
	program.OpSub:   "sub.rn.$t $d, $a, $b;",
	program.OpMul:   "mul.rn.$t $d, $a, $b;",
	program.OpDiv:   "div.rn.$t $d, $a, $b;",
	program.OpSqrt:  "sqrt.rn.$t $d, $a;",
	program.OpFMA:   "fma.rn.$t $d, $a, $b, $c;",
	program.OpNeg:   "neg.$t $d, $a;",
	program.OpAbs:   "abs.$t $d, $a;",
	program.OpRound: "cvt.rni.$t.$t $d, $a;", // to nearest, ties to even
	program.OpFloor: "cvt.rmi.$t.$t $d, $a;", // toward minus infinity
	program.OpTrunc: "cvt.rzi.$t.$t $d, $a;", // toward zero

	program.OpWiden:  "cvt.f64.f32 $d, $a;",
	program.OpNarrow: "cvt.rn.f32.f64 $d, $a;",

	program.OpLt: "setp.lt.$t $d, $a, $b;", // lt, le, eq are the ordered ones: false with a NaN
	program.OpLe: "setp.le.$t $d, $a, $b;",
	program.OpEq: "setp.eq.$t $d, $a, $b;",

	program.OpAnd: "and.pred $d, $a, $b;",
	program.OpOr:  "or.pred $d, $a, $b;",
	program.OpNot: "not.pred $d, $a;",

	program.OpIAdd:   "add.s64 $d, $a, $b;",
	program.OpISub:   "sub.s64 $d, $a, $b;",
	program.OpMulU32: "cvt.u32.u64 $w1, $a; cvt.u32.u64 $w2, $b; mul.wide.u32 $d, $w1, $w2;",
	program.OpIAnd:   "and.b64 $d, $a, $b;",
	program.OpIOr:    "or.b64 $d, $a, $b;",
	program.OpIXor:   "xor.b64 $d, $a, $b;",
	// The shift instructions look at 32 bits of the count and give 0 from 64 on.
	program.OpShl: "min.u64 $r1, $b, 64; cvt.u32.u64 $w1, $r1; shl.b64 $d, $a, $w1;",
	program.OpShr: "min.u64 $r1, $b, 64; cvt.u32.u64 $w1, $r1; shr.u64 $d, $a, $w1;",
	program.OpILt: "setp.lt.s64 $d, $a, $b;",
	program.OpIEq: "setp.eq.s64 $d, $a, $b;",
}

// byType holds what is written differently for each type of value, or of the numbers that an operation works on.
var byType = [program.Bool + 1]struct {
	prefix string // of its registers
	class  string // of its registers, and $t
	size   int    // bytes of an element of an array or table
	move   string
	ops    map[program.Op]string
}{
	program.F64: {"%d", "f64", 8, "mov.f64 $d, $a;", map[program.Op]string{
		program.OpSelect:   "selp.f64 $d, $b, $c, $a;",
		program.OpBits:     "mov.b64 $d, $a;",
		program.OpFromBits: "mov.b64 $d, $a;",
	}},
	program.F32: {"%f", "f32", 4, "mov.f32 $d, $a;", map[program.Op]string{
		program.OpSelect:   "selp.f32 $d, $b, $c, $a;",
		program.OpBits:     "mov.b32 $w1, $a; cvt.u64.u32 $d, $w1;",
		program.OpFromBits: "cvt.u32.u64 $w1, $a; mov.b32 $d, $w1;",
	}},
	program.I64: {"%l", "b64", 0, "mov.b64 $d, $a;", map[program.Op]string{
		program.OpSelect: "selp.b64 $d, $b, $c, $a;",
	}},
	program.Bool: {"%p", "pred", 0, "mov.pred $d, $a;", map[program.Op]string{
		program.OpSelect: "and.pred $p1, $a, $b; not.pred $p2, $a; and.pred $p2, $p2, $c; or.pred $d, $p1, $p2;",
	}},
}

// template is the row of the table for an operation on numbers, or for OpSelect and OpMerge on values, of type t; "" if
// there is none.
func template(op program.Op, t program.Type) string {
	if op == program.OpMerge {
		op = program.OpSelect
	}
	if s := byType[t].ops[op]; s != "" {
		return s
	}
	return strings.ReplaceAll(instructions[op], "$t", byType[t].class)
}
