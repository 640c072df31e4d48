//go:build linux || darwin || windows

package cpu

import (
	"strings"

	"invar/cpu/internal/amd64"
	"invar/program"
)

// shape is how a row's instruction takes its operands. d is the result, a, b, c
// the operation's operands.
type shape uint8

const (
	shBinary  shape = iota // d = a, b
	shCommute              // d = a, b, which may be exchanged
	shUnary                // d = a
	shConst                // d = a, the constant row.with
	shFMA                  // d = a*b + c; the signs of a*b and c may be flipped
	shCompare              // d = a, b; a Bool
	shLogic                // d = a, b; Bools
	shNot                  // d = not a; Bools
	shBlend                // d = a ? b : c
	shGather               // d = table at a
)

// row says how one operation becomes one instruction: on zmm registers
// (AVX-512, Bools in mask registers), and on ymm registers (AVX2, Bools as lanes of ones or zeros).
// F32s stand in the lower halves of the registers, so that lanes are the same for all types.
type row struct {
	op    program.Op
	shape shape
	with  uint64 // second operand of shConst
	zmm   form
	ymm   form
}

// form is an instruction with its variants: the one with a first thing the other way round, with a second, and with both. Of a
// comparison the first is the order of its operands and the second its truth, of an FMA they are the signs of the product and of
// the addend, and of an And the second is the truth of its first operand. A variant without a name does not exist.
type form struct {
	amd64.Insn
	first, second, both amd64.Insn
}

// variants are the instructions of f, of an FMA in the order of node.neg.
func (f *form) variants() []*amd64.Insn { return []*amd64.Insn{&f.Insn, &f.first, &f.second, &f.both} }

const (
	w0 = 0
	w1 = 1
)

func insn(name string, pp, opmap, w, op uint8) amd64.Insn {
	return amd64.Insn{Name: name, PP: pp, Map: opmap, W: w, Op: op, Imm: -1}
}

// f64 is an instruction of the 0F map on F64s; q one on I64s.
func f64(name string, w, op uint8) form {
	return form{Insn: insn(name, amd64.P66, amd64.M0F, w, op)}
}

func q(name string, opmap, w, op uint8) form { return form{Insn: insn(name, amd64.P66, opmap, w, op)} }

// noSource is an instruction without a source besides its register or memory operand.
func noSource(f form) form {
	f.Operands = amd64.DstRM
	return f
}

// round is an instruction that rounds to an integer. Its mode stands in the low bits, 8: no inexact exception.
func round(name string, w uint8, mode int16) form {
	in := insn(name, amd64.P66, amd64.M0F3A, w, 0x09)
	in.Imm = 8 | mode
	return noSource(form{Insn: in})
}

// cmp is vcmppd with a predicate, quiet, so that it raises no flag that anybody
// could have unmasked: ordered ones are false with a NaN, unordered ones true.
func cmp(w uint8, to amd64.Class, name string, predicate int16) amd64.Insn {
	in := insn("vcmp"+name+"pd", amd64.P66, amd64.M0F, w, 0xc2)
	in.Imm, in.Hide, in.Dst = predicate, true, to
	return in
}

func compare(w uint8, to amd64.Class) (lt, le, eq form) {
	c := func(name string, predicate int16) amd64.Insn { return cmp(w, to, name, predicate) }
	lt = form{c("lt_oq", 17), c("gt_oq", 30), c("nlt_uq", 21), c("ngt_uq", 26)}
	le = form{c("le_oq", 18), c("ge_oq", 29), c("nle_uq", 22), c("nge_uq", 25)}
	eq = form{c("eq", 0), c("eq", 0), c("neq", 4), c("neq", 4)}
	return lt, le, eq
}

func cmpq(name string, predicate int16) amd64.Insn {
	in := insn("vpcmp"+name+"q", amd64.P66, amd64.M0F3A, w1, 0x1f)
	in.Imm, in.Hide, in.Dst = predicate, true, amd64.Mask
	return in
}

// fma's variants stand in the order of the signs of product and addend: ++, -+, +-, --; each is the 231 form, whose
// result is the addend's register (213 is 0x10 less, 132 0x20 less).
func fma() form {
	n := func(name string, op uint8) amd64.Insn { return insn(name, amd64.P66, amd64.M0F38, w1, op) }
	return form{n("vfmadd231pd", 0xb8), n("vfnmadd231pd", 0xbc), n("vfmsub231pd", 0xba), n("vfnmsub231pd", 0xbe)}
}

// single is the instruction on F32s that corresponds to one on F64s: in the 0F map the prefix tells them apart, in the others W,
// and in the one of instructions with an immediate the opcode.
func single(in amd64.Insn) amd64.Insn {
	if in.Name == "" {
		return in
	}
	in.Name, in.W, in.Half = strings.TrimSuffix(in.Name, "pd")+"ps", w0, amd64.HalfAll
	switch in.Map {
	case amd64.M0F:
		in.PP = amd64.PNone
	case amd64.M0F3A:
		in.Op--
	}
	return in
}

var (
	ltZ, leZ, eqZ = compare(w1, amd64.Mask)
	ltY, leY, eqY = compare(w0, amd64.Vector)
	equalY        = insn("vpcmpeqq", amd64.P66, amd64.M0F38, w0, 0x29)
	notZ          = amd64.Insn{Name: "knotb", PP: amd64.P66, Map: amd64.M0F, Op: 0x44, Imm: -1, Operands: amd64.DstRM, Dst: amd64.Mask, RM: amd64.Mask, Mem: amd64.Never}
	widen         = amd64.Insn{Name: "vcvtps2pd", PP: amd64.PNone, Map: amd64.M0F, Op: 0x5a, Imm: -1, Half: amd64.HalfRM, Operands: amd64.DstRM}
	narrow        = amd64.Insn{Name: "vcvtpd2ps", PP: amd64.P66, Map: amd64.M0F, W: w1, Op: 0x5a, Imm: -1, Half: amd64.HalfRegs, Operands: amd64.DstRM}
	unsigned      = amd64.Insn{Name: "vpmovzxdq", PP: amd64.P66, Map: amd64.M0F38, Op: 0x35, Imm: -1, Half: amd64.HalfRM, Operands: amd64.DstRM, Mem: amd64.Whole}
	gather        = amd64.Insn{Name: "vgatherqpd", PP: amd64.P66, Map: amd64.M0F38, W: w1, Op: 0x93, Imm: -1, Operands: amd64.DstRM, Mem: amd64.Indexed}
	blendY        = amd64.Insn{Name: "vblendvpd", PP: amd64.P66, Map: amd64.M0F3A, Op: 0x4b, Imm: -1, Operands: amd64.DstSrcRMSel}
)

// The emitter's table is every operation that computes: rows64, rows32 and rowsOnce. Inputs, constants, LoopOut, and the bits
// of F64s need no instruction; loops, guards, arrays, indices and FromBits of F32s are not in it.

// rows64 are the operations that exist for F64s and for F32s, as they are on F64s. A table holds F64s in any case.
var rows64 = []row{
	{program.OpAdd, shCommute, 0, f64("vaddpd", w1, 0x58), f64("vaddpd", w0, 0x58)},
	{program.OpSub, shBinary, 0, f64("vsubpd", w1, 0x5c), f64("vsubpd", w0, 0x5c)},
	{program.OpMul, shCommute, 0, f64("vmulpd", w1, 0x59), f64("vmulpd", w0, 0x59)},
	{program.OpDiv, shBinary, 0, f64("vdivpd", w1, 0x5e), f64("vdivpd", w0, 0x5e)},
	{program.OpSqrt, shUnary, 0, noSource(f64("vsqrtpd", w1, 0x51)), noSource(f64("vsqrtpd", w0, 0x51))},
	{program.OpFMA, shFMA, 0, fma(), fma()},
	{program.OpNeg, shConst, 1 << 63, f64("vxorpd", w1, 0x57), f64("vxorpd", w0, 0x57)},
	{program.OpAbs, shConst, 1<<63 - 1, f64("vandpd", w1, 0x54), f64("vandpd", w0, 0x54)},
	{program.OpRound, shUnary, 0, round("vrndscalepd", w1, 0), round("vroundpd", w0, 0)},
	{program.OpFloor, shUnary, 0, round("vrndscalepd", w1, 1), round("vroundpd", w0, 1)},
	{program.OpTrunc, shUnary, 0, round("vrndscalepd", w1, 3), round("vroundpd", w0, 3)},
	{program.OpLt, shCompare, 0, ltZ, ltY},
	{program.OpLe, shCompare, 0, leZ, leY},
	{program.OpEq, shCompare, 0, eqZ, eqY},
	{program.OpSelect, shBlend, 0, q("vblendmpd", amd64.M0F38, w1, 0x65), form{Insn: blendY}},
	{program.OpTable, shGather, 0, form{Insn: gather}, form{Insn: gather}},
}

// rows32 are the same on F32s.
var rows32 = func() (s []row) {
	for _, r := range rows64 {
		if r.op != program.OpTable { // what it gives is narrowed
			for _, in := range append(r.zmm.variants(), r.ymm.variants()...) {
				*in = single(*in)
			}
			r.with = twice(r.with >> 32)
		}
		s = append(s, r)
	}
	return s
}()

// twice is what stands in memory for the bits of a constant F32: the lower half of a vector of such numbers is a vector of it.
func twice(bits uint64) uint64 { return bits<<32 | bits }

// rowsOnce are the operations that exist once.
var rowsOnce = []row{
	{program.OpWiden, shUnary, 0, form{Insn: widen}, form{Insn: widen}},
	{program.OpNarrow, shUnary, 0, form{Insn: narrow}, form{Insn: narrow}},
	{program.OpBits, shUnary, 0, form{Insn: unsigned}, form{Insn: unsigned}}, // of an F32
	{program.OpILt, shCompare, 0,
		form{cmpq("lt", 1), cmpq("nle", 6), cmpq("nlt", 5), cmpq("le", 2)},
		form{first: insn("vpcmpgtq", amd64.P66, amd64.M0F38, w0, 0x37)}}, // only greater-than exists
	{program.OpIEq, shCompare, 0,
		form{cmpq("eq", 0), cmpq("eq", 0), cmpq("neq", 4), cmpq("neq", 4)},
		form{Insn: equalY, first: equalY}},
	{program.OpAnd, shLogic, 0,
		form{Insn: amd64.KAnd, second: amd64.KAndN},
		form{Insn: f64("vandpd", w0, 0x54).Insn, second: f64("vandnpd", w0, 0x55).Insn}},
	{program.OpOr, shLogic, 0, form{Insn: amd64.KOr}, f64("vorpd", w0, 0x56)},
	{program.OpNot, shNot, 1<<64 - 1, form{Insn: notZ}, f64("vxorpd", w0, 0x57)},
	{program.OpIAdd, shCommute, 0, q("vpaddq", amd64.M0F, w1, 0xd4), q("vpaddq", amd64.M0F, w0, 0xd4)},
	{program.OpISub, shBinary, 0, q("vpsubq", amd64.M0F, w1, 0xfb), q("vpsubq", amd64.M0F, w0, 0xfb)},
	{program.OpMulU32, shCommute, 0, q("vpmuludq", amd64.M0F, w1, 0xf4), q("vpmuludq", amd64.M0F, w0, 0xf4)},
	{program.OpIAnd, shCommute, 0, q("vpandq", amd64.M0F, w1, 0xdb), q("vpand", amd64.M0F, w0, 0xdb)},
	{program.OpIOr, shCommute, 0, q("vporq", amd64.M0F, w1, 0xeb), q("vpor", amd64.M0F, w0, 0xeb)},
	{program.OpIXor, shCommute, 0, q("vpxorq", amd64.M0F, w1, 0xef), q("vpxor", amd64.M0F, w0, 0xef)},
	// Counts outside 0..63, as unsigned numbers, give 0, as they must.
	{program.OpShl, shBinary, 0, q("vpsllvq", amd64.M0F38, w1, 0x47), q("vpsllvq", amd64.M0F38, w1, 0x47)},
	{program.OpShr, shBinary, 0, q("vpsrlvq", amd64.M0F38, w1, 0x45), q("vpsrlvq", amd64.M0F38, w1, 0x45)},
}

// rowOf finds an operation's row, single: that of the operation on F32s. It is nil where there is none.
func rowOf(op program.Op, single bool) *row {
	if single {
		return byOp32[op]
	}
	return byOp64[op]
}

var byOp64, byOp32 = byOp(rows64, rowsOnce), byOp(rows32, rowsOnce)

func byOp(tables ...[]row) (t [program.NumOps]*row) {
	for _, rows := range tables {
		for i := range rows {
			t[rows[i].op] = &rows[i]
		}
	}
	return t
}

// fmaOrders is how much less than that of the 231 form, d = s*x + d, the opcodes
// of the forms are whose registers play other parts: d = s*d + x, d = d*x + s.
var fmaOrders = map[string]uint8{"231": 0, "213": 0x10, "132": 0x20}

// fmaOrder turns the 231 form of a row into another one.
func fmaOrder(in amd64.Insn, order string) amd64.Insn {
	in.Op -= fmaOrders[order]
	b := []byte(in.Name)
	copy(b[len(b)-5:], order)
	in.Name = string(b)
	return in
}
