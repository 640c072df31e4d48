package ptx

import (
	"fmt"
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

// negBits is OpNeg of an F64 that is only chosen, kept or stored. An operand of arithmetic takes its sign for nothing; else the
// assembler would make neg.f64 an addition to -0, which the units for float64 are too few for.
var negBits = "mov.b64 $r1, $a; xor.b64 $r1, $r1, 0x8000000000000000; mov.b64 $d, $r1;"

// byType holds what is written differently for each type of value, or of the numbers that an operation works on.
var byType = [program.Bool + 1]struct {
	prefix string // of its registers
	class  string // of its registers, and $t
	size   int    // bytes of an element of an array or table
	move   string
	rows   map[program.Op]string
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

// narrowed holds the rows for operands and, but for comparisons, results of 32 bits (narrow.go).
var narrowed = [program.NumOps]string{
	program.OpIAdd:   "add.s32 $d, $a, $b;",
	program.OpILt:    "setp.lt.s32 $d, $a, $b;",
	program.OpIEq:    "setp.eq.s32 $d, $a, $b;",
	program.OpSelect: "selp.b32 $d, $b, $c, $a;",
}

// rows holds all of the above by type and operation; those that are the same for every type are at None.
var rows = func() (rows [program.Bool + 1][program.NumOps]string) {
	for op, row := range instructions {
		if !strings.Contains(row, "$t") {
			rows[program.None][op] = row
			continue
		}
		for _, t := range []program.Type{program.F64, program.F32} {
			rows[t][op] = strings.ReplaceAll(row, "$t", byType[t].class)
		}
	}
	for t := range byType {
		for op, row := range byType[t].rows {
			rows[t][op] = row
		}
	}
	return rows
}()

// rowOf is how an operation is written; t is the type of the numbers it works on, of OpSelect and OpMerge that of the values.
// It is "" where there is no row.
func rowOf(op program.Op, t program.Type) string {
	if op == program.OpMerge {
		op = program.OpSelect
	}
	if row := rows[t][op]; row != "" {
		return row
	}
	return rows[program.None][op]
}

// Rows are the table's rows by name. They are there for tests, which write faults into them and see who notices.
func Rows() map[string]*string {
	all := map[string]*string{"neg of bits": &negBits}
	for op := range program.NumOps {
		for t := range rows {
			if row := &rows[t][op]; *row != "" {
				all[strings.TrimSuffix(fmt.Sprint(op, " ", program.Type(t)), " none")] = row
			}
		}
		if narrowed[op] != "" {
			all["narrow "+op.String()] = &narrowed[op]
		}
	}
	for t := range byType {
		if byType[t].move != "" {
			all[fmt.Sprint("move ", program.Type(t))] = &byType[t].move
		}
	}
	return all
}
