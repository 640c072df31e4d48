package ptx

import (
	"fmt"

	"invar/program"
)

// instructions is how each operation is written. $d is the result and $a, $b, $c are the operands, registers or
// constants; $r1, $r2 (64 bits), $w1, $w2 (32 bits) and $p1, $p2 (predicates) are scratch registers of this one use.
//
// Rounding is always spelled out: an addition without it may be contracted into an fma by the assembler, one with
// `.rn` never is. Nothing is approximate and nothing flushes denormals. What is missing here is
// control flow, memory or constants, written by emitter.one.
var instructions = [program.NumOps]string{
	program.OpAdd:   "add.rn.f64 $d, $a, $b;",
	program.OpSub:   "sub.rn.f64 $d, $a, $b;",
	program.OpMul:   "mul.rn.f64 $d, $a, $b;",
	program.OpDiv:   "div.rn.f64 $d, $a, $b;",
	program.OpSqrt:  "sqrt.rn.f64 $d, $a;",
	program.OpFMA:   "fma.rn.f64 $d, $a, $b, $c;",
	program.OpNeg:   "neg.f64 $d, $a;",
	program.OpAbs:   "abs.f64 $d, $a;",
	program.OpRound: "cvt.rni.f64.f64 $d, $a;", // to nearest, ties to even
	program.OpFloor: "cvt.rmi.f64.f64 $d, $a;", // toward minus infinity
	program.OpTrunc: "cvt.rzi.f64.f64 $d, $a;", // toward zero

	program.OpWiden:  "cvt.f64.f32 $d, $a;",
	program.OpNarrow: "cvt.rn.f32.f64 $d, $a;",
	program.OpLt:     "setp.lt.f64 $d, $a, $b;", // lt, le, eq are the ordered ones: false with a NaN
	program.OpLe:     "setp.le.f64 $d, $a, $b;",
	program.OpEq:     "setp.eq.f64 $d, $a, $b;",

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

	program.OpBits:     "mov.b64 $d, $a;",
	program.OpFromBits: "mov.b64 $d, $a;",
}

// negBits is OpNeg of what is only chosen, kept or stored. An operand of arithmetic takes its sign for nothing; else the
// assembler would make neg.f64 an addition to -0, which the units for float64 are too few for.
var negBits = "mov.b64 $r1, $a; xor.b64 $r1, $r1, 0x8000000000000000; mov.b64 $d, $r1;"

// byType holds what is written differently for each type of value.
var byType = [program.Bool + 1]struct {
	prefix string // of its registers
	class  string // of its registers
	move   string
	choose string // OpSelect
}{
	program.F64:  {"%d", "f64", "mov.f64 $d, $a;", "selp.f64 $d, $b, $c, $a;"},
	program.I64:  {"%l", "b64", "mov.b64 $d, $a;", "selp.b64 $d, $b, $c, $a;"},
	program.Bool: {"%p", "pred", "mov.pred $d, $a;", "and.pred $p1, $a, $b; not.pred $p2, $a; and.pred $p2, $p2, $c; or.pred $d, $p1, $p2;"},
}

// narrowed holds the rows for operands and, but for comparisons, results of 32 bits (narrow.go).
var narrowed = [program.NumOps]string{
	program.OpIAdd:   "add.s32 $d, $a, $b;",
	program.OpILt:    "setp.lt.s32 $d, $a, $b;",
	program.OpIEq:    "setp.eq.s32 $d, $a, $b;",
	program.OpSelect: "selp.b32 $d, $b, $c, $a;",
}

// Rows are the table's rows by name. They are there for tests, which write faults into them and see who notices.
func Rows() map[string]*string {
	rows := map[string]*string{"neg of bits": &negBits}
	for op := range program.NumOps {
		if instructions[op] != "" {
			rows[op.String()] = &instructions[op]
		}
		if narrowed[op] != "" {
			rows["narrow "+op.String()] = &narrowed[op]
		}
	}
	for t := range byType {
		if r := &byType[t]; r.move != "" {
			rows[fmt.Sprint("move ", program.Type(t))], rows[fmt.Sprint("select ", program.Type(t))] = &r.move, &r.choose
		}
	}
	return rows
}
