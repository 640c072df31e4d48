// Package amd64 writes x86-64 machine code: the vector instructions (AVX-512,
// AVX2) that programs are made of and the few scalar ones that hold them together.
//
// An [Asm] collects code in sections, each a run of instructions that control does not fall out of; [Asm.Code]
// joins them and resolves the jumps. With [Asm.List] set it also writes each
// instruction as text, the way objdump's Intel syntax shows it, so that a
// disassembler can check every byte.
package amd64

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Reg is a general register, 0..15.
type Reg uint8

// The general registers.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	none Reg = 255
)

// Arg is an operand that may be a register or memory. Four fields are what the Go compiler keeps in registers.
type Arg struct {
	kind  kind
	reg   uint8 // the register, or the base of an address
	index uint8 // general or (gathers) vector register
	disp  int32
}

type kind uint8

const (
	inReg       kind = iota
	inBroadcast      // one number in memory for all lanes
	inMem
	inIndexed // memory at an address with an index, times 1; the next three kinds: times 2, 4 and 8
)

// indexed reports whether a is memory at an address with an index.
func (a Arg) indexed() bool { return a.kind >= inIndexed }

// V is vector (or mask) register r.
func V(r uint8) Arg { return Arg{kind: inReg, reg: r} }

// M is the memory at base + disp.
func M(base Reg, disp int32) Arg { return Arg{kind: inMem, reg: uint8(base), disp: disp} }

// MX is the memory at base + index*scale + disp; index is not RSP, scale 1, 2, 4 or 8.
func MX(base, index Reg, scale uint8, disp int32) Arg {
	return Arg{kind: inIndexed + kind(bits.TrailingZeros8(scale)), reg: uint8(base), index: uint8(index), disp: disp}
}

// B is the number at base + disp, repeated in all lanes (AVX-512 only).
func B(base Reg, disp int32) Arg { return Arg{kind: inBroadcast, reg: uint8(base), disp: disp} }

// Plus is a moved by d bytes.
func (a Arg) Plus(d int) Arg {
	a.disp += int32(d)
	return a
}

// Number is the number itself where a repeats it in all lanes.
func (a Arg) Number() Arg {
	a.kind = inMem
	return a
}

// IsReg reports whether a is a register.
func (a Arg) IsReg() bool { return a.kind == inReg }

// IsBroadcast reports whether a is a number repeated in all lanes.
func (a Arg) IsBroadcast() bool { return a.kind == inBroadcast }

// Insn is a vector instruction's row: its name, its encoding and its operands.
type Insn struct {
	Name string
	PP   uint8 // implied prefix
	Map  uint8 // opcode map
	W    uint8
	Op   uint8
	Imm  int16 // immediate operand, -1: none
	Hide bool  // the immediate is part of the name (vcmplt_oqpd)
	Half Half

	Operands Operands
	Dst, RM  Class
	Mem      Mem
}

// Operands says which operands an instruction has, in the order in which its text names them.
type Operands uint8

// The operands: a register, a source register and a register or memory; without the source; without it, to the
// register or memory; with a register that selects after them.
const (
	DstSrcRM Operands = iota
	DstRM
	RMDst
	DstSrcRMSel
)

// Class is a kind of register. A source is of the class of RM.
type Class uint8

// The classes: vectors of the instruction's size, xmm whatever the size, masks, and general registers, of which
// the text names 64 or 32 bits.
const (
	Vector Class = iota
	Xmm
	Mask
	General
	General32
)

// Mem says what an instruction finds in memory. It scales the displacements that EVEX encodes in a byte.
type Mem uint8

// What is in memory: a vector, or one number for all lanes (Full); a vector (Whole); one number; a byte; numbers at indices in a
// vector register; nothing, for only registers are meant.
const (
	Full Mem = iota
	Whole
	Number
	Byte
	Indexed
	Never
)

// Half says which operands of an instruction are halves of vector registers: float32s, or other 32-bit
// numbers, as many as a whole one has 64-bit numbers.
type Half uint8

// The halves: of the registers among the first operands, of the last one (register or memory), of all.
const (
	HalfRegs Half = 1
	HalfRM   Half = 2
	HalfAll  Half = HalfRegs | HalfRM
)

// Implied prefixes and opcode maps.
const (
	PNone = 0
	P66   = 1
	PF3   = 2
	M0F   = 1
	M0F38 = 2
	M0F3A = 3
)

// Asm writes code. The zero value is ready; code goes into section 0.
type Asm struct {
	List     bool
	Text     []string // one line an instruction, in order of the sections after Code
	sections []*Section
	cur      *Section
	labels   []place
}

// Section is a run of code that is placed as a whole.
type Section struct {
	b     []byte
	fix   []fixup
	text  []string
	start int // in what Code returns
}

type place struct {
	sec *Section
	at  int
}

type fixup struct {
	at    int // of the 32-bit displacement
	label Label
	text  int // its line
}

// Label is a place in the code.
type Label int

// Reset makes a empty. What is written next takes the memory of what was written before, sections and labels
// of that time must not be used any more.
func (a *Asm) Reset() {
	a.Text, a.cur = nil, nil
	a.sections, a.labels = a.sections[:0], a.labels[:0]
}

// Section makes a new section, which follows the others.
func (a *Asm) Section() *Section {
	a.init()
	return a.section()
}

func (a *Asm) section() *Section {
	n := len(a.sections)
	if n < cap(a.sections) && a.sections[:n+1][n] != nil { // there was one before Reset
		a.sections = a.sections[:n+1]
		s := a.sections[n]
		*s = Section{b: s.b[:0], fix: s.fix[:0]}
		return s
	}
	s := &Section{}
	a.sections = append(a.sections, s)
	return s
}

// Use makes what follows part of s and returns the section that it was part of.
func (a *Asm) Use(s *Section) (old *Section) {
	a.init()
	old, a.cur = a.cur, s
	return old
}

func (a *Asm) init() {
	if a.cur == nil {
		a.cur = a.section()
	}
}

// Label makes a label, to be placed by Bind.
func (a *Asm) Label() Label {
	a.labels = append(a.labels, place{})
	return Label(len(a.labels) - 1)
}

// Bind places l here.
func (a *Asm) Bind(l Label) {
	a.init()
	a.labels[l] = place{a.cur, len(a.cur.b)}
}

// Len is the number of bytes so far.
func (a *Asm) Len() int {
	n := 0
	for _, s := range a.sections {
		n += len(s.b)
	}
	return n
}

// Code joins the sections and resolves the jumps.
func (a *Asm) Code() []byte {
	a.init()
	out := make([]byte, 0, a.Len())
	for _, s := range a.sections {
		s.start = len(out)
		out = append(out, s.b...)
	}
	a.Text = nil
	for _, s := range a.sections {
		for _, f := range s.fix {
			l := a.labels[f.label]
			to := l.sec.start + l.at
			at := s.start + f.at
			binary.LittleEndian.PutUint32(out[at:], uint32(int32(to-at-4)))
			if a.List {
				s.text[f.text] += fmt.Sprintf("0x%x", to)
			}
		}
		a.Text = append(a.Text, s.text...)
	}
	return out
}

// code is the present section's bytes, with room for an instruction. Who appends to them puts them back.
func (a *Asm) code() []byte {
	a.init()
	b := a.cur.b
	if cap(b)-len(b) < longest {
		b = slices.Grow(b, len(b)+1024) // append would grow by a quarter
	}
	return b
}

// longest is the length in bytes of the longest instruction.
const longest = 15

func (a *Asm) put(b ...byte) { a.cur.b = append(a.code(), b...) }

func (a *Asm) put32(v int32) { a.cur.b = append32(a.code(), v) }

func append32(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }

func (a *Asm) line(name string, args ...string) {
	a.cur.text = append(a.cur.text, strings.TrimSpace(name+" "+strings.Join(args, ",")))
}

// appendModRM appends the ModRM byte and what follows: register field reg, operand rm,
// displacements of one byte in units of n.
func appendModRM(b []byte, reg uint8, rm Arg, n int32) []byte {
	r := reg & 7 << 3
	if rm.kind == inReg {
		return append(b, 0xc0|r|rm.reg&7)
	}
	base := rm.reg
	sib := rm.indexed() || base&7 == 4
	lo := base & 7
	if sib {
		lo = 4
	}
	mod := byte(0x80)
	small := rm.disp%n == 0 && rm.disp/n >= -128 && rm.disp/n <= 127
	switch {
	case rm.disp == 0 && base&7 != 5:
		mod = 0
	case small:
		mod = 0x40
	}
	b = append(b, mod|r|lo)
	if sib {
		x := byte(0x20) // none
		if rm.indexed() {
			x = uint8(rm.kind-inIndexed)<<6 | rm.index&7<<3
		}
		b = append(b, x|base&7)
	}
	switch mod {
	case 0x40:
		b = append(b, byte(rm.disp/n))
	case 0x80:
		b = append32(b, rm.disp)
	}
	return b
}

// high returns bits 3 of base (or register) and index.
func (rm Arg) high() (b, x uint8) {
	if rm.indexed() {
		x = rm.index >> 3 & 1
	}
	return rm.reg >> 3 & 1, x
}

// Size is the size of a vector operand in an instruction.
type Size uint8

// Sizes: of xmm, ymm and zmm registers.
const (
	X Size = 0
	Y Size = 1
	Z Size = 2
)

// EVEX writes in (AVX-512) for zmm registers or halves of them: dst and src are registers, rm a register or memory.
// Mask k, unless 0, keeps the lanes of dst that it does not select. An instruction with one source has src = 0.
func (a *Asm) EVEX(in *Insn, dst, src, k uint8, rm Arg) {
	n := int32(64)
	if rm.kind == inBroadcast || in.Mem == Number || in.Mem == Indexed {
		n = 8
	}
	if in.Half&HalfRM != 0 {
		n /= 2
	}
	b, x := rm.high()
	if rm.kind == inReg {
		x = rm.reg >> 4 & 1
	}
	v := src >> 4 & 1
	if in.Mem == Indexed {
		v = rm.index >> 4 & 1
	}
	p0 := in.Map | (^dst>>3&1)<<7 | (^x&1)<<6 | (^b&1)<<5 | (^dst>>4&1)<<4
	p1 := in.W<<7 | (^src&15)<<3 | 4 | in.PP
	p2 := byte(in.size(Z))<<5 | (^v&1)<<3 | k
	if rm.kind == inBroadcast {
		p2 |= 0x10
	}
	code := appendModRM(append(a.code(), 0x62, p0, p1, p2, in.Op), dst, rm, n)
	if in.Imm >= 0 {
		code = append(code, byte(in.Imm))
	}
	a.cur.b = code
	if a.List {
		a.list(in, Z, dst, src, k, rm, none)
	}
}

// VEX writes in (AVX, AVX2, mask instructions) for registers of the given size or halves of them; a Y mask instruction has three operands.
func (a *Asm) VEX(in *Insn, size Size, dst, src uint8, rm Arg) { a.vex(in, size, dst, src, rm, none) }

// VEX4 writes an instruction with a fourth register: rm where the sign bits of sel say so, else src.
func (a *Asm) VEX4(in *Insn, dst, src uint8, rm Arg, sel uint8) {
	a.vex(in, Y, dst, src, rm, Reg(sel))
}

func (a *Asm) vex(in *Insn, size Size, dst, src uint8, rm Arg, fourth Reg) {
	b, x := rm.high()
	code := append(a.code(), 0xc4, (^dst>>3&1)<<7|(^x&1)<<6|(^b&1)<<5|in.Map, in.W<<7|(^src&15)<<3|uint8(in.size(size))<<2|in.PP, in.Op)
	code = appendModRM(code, dst, rm, 1)
	if fourth != none {
		code = append(code, byte(fourth)<<4)
	}
	if in.Imm >= 0 {
		code = append(code, byte(in.Imm))
	}
	a.cur.b = code
	if a.List {
		a.list(in, size, dst, src, 0, rm, fourth)
	}
}

// size is what the encoding says where whole registers have size s.
func (in *Insn) size(s Size) Size {
	if in.Half == HalfAll {
		return s - 1
	}
	return s
}

// At is the offset of l, which must have been placed, in what Code returned.
func (a *Asm) At(l Label) int { return a.labels[l].sec.start + a.labels[l].at }
