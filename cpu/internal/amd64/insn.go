package amd64

import (
	"fmt"
	"strings"
)

// Instructions that every program needs. Those that stand for one operation are rows of
// the emitter's table instead.
var (
	Load      = Insn{Name: "vmovupd", PP: P66, Map: M0F, W: 1, Op: 0x10, Imm: -1, Operands: DstRM, Mem: Whole}
	Store     = Insn{Name: "vmovupd", PP: P66, Map: M0F, W: 1, Op: 0x11, Imm: -1, Operands: RMDst, Mem: Whole}
	Move      = Insn{Name: "vmovapd", PP: P66, Map: M0F, W: 1, Op: 0x28, Imm: -1, Operands: DstRM, Mem: Whole}
	LoadY     = Insn{Name: "vmovupd", PP: P66, Map: M0F, Op: 0x10, Imm: -1, Operands: DstRM, Mem: Whole}
	StoreY    = Insn{Name: "vmovupd", PP: P66, Map: M0F, Op: 0x11, Imm: -1, Operands: RMDst, Mem: Whole}
	MoveY     = Insn{Name: "vmovapd", PP: P66, Map: M0F, Op: 0x28, Imm: -1, Operands: DstRM, Mem: Whole}
	Broadcast = Insn{Name: "vbroadcastsd", PP: P66, Map: M0F38, W: 1, Op: 0x19, Imm: -1, Operands: DstRM, RM: Xmm, Mem: Number}

	// Masks: registers, bytes in memory, general registers, and sign bits of lanes.
	LoadK     = Insn{Name: "kmovb", PP: P66, Map: M0F, Op: 0x90, Imm: -1, Operands: DstRM, Dst: Mask, RM: Mask, Mem: Byte}
	StoreK    = Insn{Name: "kmovb", PP: P66, Map: M0F, Op: 0x91, Imm: -1, Operands: RMDst, Dst: Mask, RM: Mask, Mem: Byte}
	KToReg    = Insn{Name: "kmovb", PP: P66, Map: M0F, Op: 0x93, Imm: -1, Operands: DstRM, Dst: General32, RM: Mask, Mem: Never}
	KOrTest   = Insn{Name: "kortestb", PP: P66, Map: M0F, Op: 0x98, Imm: -1, Operands: DstRM, Dst: Mask, RM: Mask, Mem: Never}
	KOr       = Insn{Name: "korb", PP: P66, Map: M0F, Op: 0x45, Imm: -1, Dst: Mask, RM: Mask, Mem: Never}
	KAnd      = Insn{Name: "kandb", PP: P66, Map: M0F, Op: 0x41, Imm: -1, Dst: Mask, RM: Mask, Mem: Never}
	KAndN     = Insn{Name: "kandnb", PP: P66, Map: M0F, Op: 0x42, Imm: -1, Dst: Mask, RM: Mask, Mem: Never} // ^src & rm
	KXor      = Insn{Name: "kxorb", PP: P66, Map: M0F, Op: 0x47, Imm: -1, Dst: Mask, RM: Mask, Mem: Never}
	KXnor     = Insn{Name: "kxnorb", PP: P66, Map: M0F, Op: 0x46, Imm: -1, Dst: Mask, RM: Mask, Mem: Never}
	LanesToK  = Insn{Name: "vpmovq2m", PP: PF3, Map: M0F38, W: 1, Op: 0x39, Imm: -1, Operands: DstRM, Dst: Mask, Mem: Never}
	KToLanes  = Insn{Name: "vpmovm2q", PP: PF3, Map: M0F38, W: 1, Op: 0x38, Imm: -1, Operands: DstRM, RM: Mask, Mem: Never}
	SignsY    = Insn{Name: "vmovmskpd", PP: P66, Map: M0F, Op: 0x50, Imm: -1, Operands: DstRM, Dst: General32, Mem: Never}
	FromReg   = Insn{Name: "vpbroadcastq", PP: P66, Map: M0F38, W: 1, Op: 0x7c, Imm: -1, Operands: DstRM, RM: General, Mem: Never}
	FromRegX  = Insn{Name: "vmovq", PP: P66, Map: M0F, W: 1, Op: 0x6e, Imm: -1, Operands: DstRM, RM: General, Mem: Never}
	SplatY    = Insn{Name: "vpbroadcastq", PP: P66, Map: M0F38, Op: 0x59, Imm: -1, Operands: DstRM, RM: Xmm, Mem: Never}
	ToReg     = Insn{Name: "vmovq", PP: P66, Map: M0F, W: 1, Op: 0x7e, Imm: -1, Operands: RMDst, RM: General, Mem: Never} // from dst to the general register rm
	MaxZ      = Insn{Name: "vpmaxsq", PP: P66, Map: M0F38, W: 1, Op: 0x3d, Imm: -1}
	MinZ      = Insn{Name: "vpminsq", PP: P66, Map: M0F38, W: 1, Op: 0x39, Imm: -1}
	RotateZ   = Insn{Name: "valignq", PP: P66, Map: M0F3A, W: 1, Op: 0x03}                 // by Imm lanes, src and rm the same
	PermuteY  = Insn{Name: "vpermq", PP: P66, Map: M0F3A, W: 1, Op: 0x00, Operands: DstRM} // lane i from lane Imm>>2i&3
	SignedY   = Insn{Name: "vpmovsxdq", PP: P66, Map: M0F38, Op: 0x25, Imm: -1, Half: HalfRM, Operands: DstRM, Mem: Whole}
	PackZ     = Insn{Name: "vpmovqd", PP: PF3, Map: M0F38, Op: 0x35, Imm: -1, Half: HalfRM, Operands: RMDst, Mem: Never} // from dst to rm
	EvenY     = Insn{Name: "vshufps", PP: PNone, Map: M0F, Op: 0xc6, Imm: 0x88}                                          // of each half of src and rm the even 32-bit numbers
	zeroUpper = []byte{0xc5, 0xf8, 0x77}
)

// ALU is a scalar operation on 64-bit registers.
type ALU uint8

// Scalar operations: their opcode with a register as the source.
const (
	Add ALU = 0x01
	Or  ALU = 0x09
	And ALU = 0x21
	Sub ALU = 0x29
	Xor ALU = 0x31
	Cmp ALU = 0x39
)

var aluNames = map[ALU]string{Add: "add", Or: "or", And: "and", Sub: "sub", Xor: "xor", Cmp: "cmp"}

// Cond is a condition of a jump.
type Cond uint8

// Conditions: no carry, equal (zero), not equal, signed less, greater or equal.
const (
	NC Cond = 3
	EQ Cond = 4
	NE Cond = 5
	LT Cond = 12
	GE Cond = 13
)

var condNames = map[Cond]string{NC: "jae", EQ: "je", NE: "jne", LT: "jl", GE: "jge"}

// rex writes REX.W op ModRM.
func (a *Asm) rex(op []byte, reg uint8, rm Arg) {
	b, x := rm.high()
	code := append(append(a.code(), 0x48|reg>>3&1<<2|x<<1|b), op...)
	a.cur.b = appendModRM(code, reg, rm, 1)
}

func gp(r Reg) Arg { return Arg{kind: inReg, reg: uint8(r)} }

// MovRM loads r, MovMR stores it.
func (a *Asm) MovRM(r Reg, m Arg) {
	a.rex([]byte{0x8b}, uint8(r), m)
	a.scalarLine("mov", r.String(), a.qword(m))
}
func (a *Asm) MovMR(m Arg, r Reg) {
	a.rex([]byte{0x89}, uint8(r), m)
	a.scalarLine("mov", a.qword(m), r.String())
}

// Prefetch brings the cache line at m closer, PrefetchW for writing; neither fails, whatever is there.
func (a *Asm) Prefetch(m Arg)  { a.prefetch("prefetcht0", 0x18, m) }
func (a *Asm) PrefetchW(m Arg) { a.prefetch("prefetchw", 0x0d, m) }

func (a *Asm) prefetch(name string, op byte, m Arg) {
	if b, x := m.high(); b|x != 0 {
		a.put(0x40 | x<<1 | b)
	}
	a.put(0x0f, op)
	a.cur.b = appendModRM(a.code(), 1, m, 1)
	if a.List {
		a.line(name, "BYTE PTR "+m.address(""))
	}
}

// MovRR copies s to d, MovRI sets it to v.
func (a *Asm) MovRR(d, s Reg) {
	a.rex([]byte{0x89}, uint8(s), gp(d))
	a.scalarLine("mov", d.String(), s.String())
}
func (a *Asm) MovRI(d Reg, v int32) {
	a.rex([]byte{0xc7}, 0, gp(d))
	a.put32(v)
	a.scalarLine("mov", d.String(), a.hex(v))
}

// MovMI stores v.
func (a *Asm) MovMI(m Arg, v int32) {
	a.rex([]byte{0xc7}, 0, m)
	a.put32(v)
	a.scalarLine("mov", a.qword(m), a.hex(v))
}

// RR is d = d op s, RI d = d op v, RM d = d op memory, MI memory = memory op v.
func (a *Asm) RR(op ALU, d, s Reg) {
	a.rex([]byte{byte(op)}, uint8(s), gp(d))
	a.scalarLine(aluNames[op], d.String(), s.String())
}
func (a *Asm) RI(op ALU, d Reg, v int32) {
	a.aluImm(op, gp(d), v)
	a.scalarLine(aluNames[op], d.String(), a.hex(v))
}
func (a *Asm) RM(op ALU, d Reg, m Arg) {
	a.rex([]byte{byte(op) + 2}, uint8(d), m)
	a.scalarLine(aluNames[op], d.String(), a.qword(m))
}
func (a *Asm) MI(op ALU, m Arg, v int32) {
	a.aluImm(op, m, v)
	a.scalarLine(aluNames[op], a.qword(m), a.hex(v))
}

func (a *Asm) aluImm(op ALU, rm Arg, v int32) {
	if v >= -128 && v <= 127 {
		a.rex([]byte{0x83}, byte(op)>>3, rm)
		a.put(byte(v))
		return
	}
	a.rex([]byte{0x81}, byte(op)>>3, rm)
	a.put32(v)
}

// IMul is d = s * v.
func (a *Asm) IMul(d, s Reg, v int32) {
	a.rex([]byte{0x69}, uint8(d), gp(s))
	a.put32(v)
	a.scalarLine("imul", d.String(), s.String(), a.hex(v))
}

// Shl is d <<= n.
func (a *Asm) Shl(d Reg, n uint8) {
	a.rex([]byte{0xc1}, 4, gp(d))
	a.put(n)
	a.scalarLine("shl", d.String(), a.hex(int32(n)))
}

// Test sets the flags from r.
func (a *Asm) Test(r Reg) {
	a.rex([]byte{0x85}, uint8(r), gp(r))
	a.scalarLine("test", r.String(), r.String())
}

// TrailingZeros is d = the index of s's lowest bit.
func (a *Asm) TrailingZeros(d, s Reg) {
	a.put(0xf3)
	a.rex([]byte{0x0f, 0xbc}, uint8(d), gp(s))
	a.scalarLine("tzcnt", d.String(), s.String())
}

// ClearLowest is d = s without its lowest bit; it sets the flags.
func (a *Asm) ClearLowest(d, s Reg) {
	in := Insn{PP: PNone, Map: M0F38, W: 1, Op: 0xf3, Imm: -1}
	list := a.List
	a.List = false
	a.vex(&in, X, 1, uint8(d), gp(s), none)
	a.List = list
	a.scalarLine("blsr", d.String(), s.String())
}

// ClearBit clears bit n (modulo 64) of d.
func (a *Asm) ClearBit(d, n Reg) {
	a.rex([]byte{0x0f, 0xb3}, uint8(n), gp(d))
	a.scalarLine("btr", d.String(), n.String())
}

// Jump goes to l, JumpIf if the flags say so.
func (a *Asm) Jump(l Label) { a.put(0xe9); a.rel("jmp", l) }
func (a *Asm) JumpIf(c Cond, l Label) {
	a.put(0x0f, 0x80|byte(c))
	name := ""
	if a.List {
		name = condNames[c]
	}
	a.rel(name, l)
}

func (a *Asm) rel(name string, l Label) {
	a.cur.fix = append(a.cur.fix, fixup{len(a.cur.b), l, len(a.cur.text)})
	a.put32(0)
	if a.List {
		a.cur.text = append(a.cur.text, name+" ")
	}
}

// Return clears the upper halves of the vector registers, which mixing with SSE code
// would be slow without, and returns.
func (a *Asm) Return() {
	a.put(zeroUpper...)
	a.scalarLine("vzeroupper")
	a.put(0xc3)
	a.scalarLine("ret")
}

func (a *Asm) scalarLine(name string, args ...string) {
	if a.List {
		a.line(name, args...)
	}
}

var regNames = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

func (r Reg) String() string { return regNames[r] }

// hex and qword are operands in the text, nothing where none is wanted.
func (a *Asm) hex(v int32) string {
	if !a.List {
		return ""
	}
	return fmt.Sprintf("0x%x", uint64(int64(v)))
}

func (a *Asm) qword(m Arg) string {
	if !a.List {
		return ""
	}
	return "QWORD PTR " + m.address("")
}

// address is the text of a memory operand; vector: the index is a register of that name.
func (rm Arg) address(vector string) string {
	var s strings.Builder
	s.WriteString("[" + Reg(rm.reg).String())
	if rm.indexed() {
		x := ""
		if vector != "" {
			x = fmt.Sprintf("%s%d", vector, rm.index)
		} else {
			x = Reg(rm.index).String()
		}
		fmt.Fprintf(&s, "+%s*%d", x, 1<<(rm.kind-inIndexed))
	}
	switch {
	case rm.disp < 0:
		fmt.Fprintf(&s, "-0x%x", -int64(rm.disp))
	case rm.disp > 0 || rm.reg&7 == 5:
		fmt.Fprintf(&s, "+0x%x", rm.disp)
	}
	return s.String() + "]"
}

var vecNames = [3]string{"xmm", "ymm", "zmm"}

// register is the text of register r of class c in an instruction of the given size.
func (c Class) register(r uint8, size Size) string {
	switch c {
	case Xmm:
		return fmt.Sprintf("xmm%d", r)
	case Mask:
		return fmt.Sprintf("k%d", r)
	case General:
		return Reg(r).String()
	case General32:
		if r >= 8 {
			return Reg(r).String() + "d"
		}
		return "e" + Reg(r).String()[1:]
	}
	return fmt.Sprintf("%s%d", vecNames[size], r)
}

// memory is the text of memory operand rm in an instruction of the given size, half: the numbers in it take 32 bits.
func (in *Insn) memory(rm Arg, size Size, half bool) string {
	number := "QWORD"
	if half {
		number = "DWORD"
		size--
	}
	switch {
	case rm.kind == inBroadcast:
		return number + " BCST " + rm.address("")
	case in.Mem == Indexed:
		return "QWORD PTR " + rm.address(vecNames[size])
	case in.Mem == Byte:
		return "BYTE PTR " + rm.address("")
	case in.Mem == Number:
		return "QWORD PTR " + rm.address("")
	}
	return [...]string{"XMMWORD", "YMMWORD", "ZMMWORD"}[size] + " PTR " + rm.address("")
}

func (a *Asm) list(in *Insn, size Size, dst, src, k uint8, rm Arg, fourth Reg) {
	regs, half := size, in.Half&HalfRM != 0
	if in.Half&HalfRegs != 0 {
		regs--
	}
	x := ""
	switch {
	case rm.kind != inReg:
		x = in.memory(rm, size, half)
	case half:
		x = in.RM.register(rm.reg, size-1)
	default:
		x = in.RM.register(rm.reg, size)
	}
	to := in.Dst.register(dst, regs)
	if k != 0 {
		to += fmt.Sprintf("{k%d}", k)
	}
	var args []string
	switch {
	case in.Operands == RMDst:
		args = []string{x, to}
	case in.Mem == Indexed && size == Y: // the mask is a vector register
		args = []string{to, x, Vector.register(src, regs)}
	case in.Operands == DstRM:
		args = []string{to, x}
	default:
		args = []string{to, in.RM.register(src, regs), x}
	}
	if fourth != none {
		args = append(args, Vector.register(uint8(fourth), regs))
	}
	if in.Imm >= 0 && !in.Hide {
		args = append(args, a.hex(int32(in.Imm)))
	}
	a.line(in.Name, args...)
}
