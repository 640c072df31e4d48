package amd64

import (
	"fmt"
	"strings"
)

// Instructions that every program needs. Those that stand for one operation are rows of
// the emitter's table instead.
var (
	Load      = Insn{Name: "vmovupd", PP: P66, Map: M0F, W: 1, Op: 0x10, Imm: -1}
	Store     = Insn{Name: "vmovupd", PP: P66, Map: M0F, W: 1, Op: 0x11, Imm: -1}
	Move      = Insn{Name: "vmovapd", PP: P66, Map: M0F, W: 1, Op: 0x28, Imm: -1}
	LoadY     = Insn{Name: "vmovupd", PP: P66, Map: M0F, Op: 0x10, Imm: -1}
	StoreY    = Insn{Name: "vmovupd", PP: P66, Map: M0F, Op: 0x11, Imm: -1}
	MoveY     = Insn{Name: "vmovapd", PP: P66, Map: M0F, Op: 0x28, Imm: -1}
	Broadcast = Insn{Name: "vbroadcastsd", PP: P66, Map: M0F38, W: 1, Op: 0x19, Imm: -1}

	// Masks: registers, bytes in memory, general registers, and sign bits of lanes.
	LoadK     = Insn{Name: "kmovb", PP: P66, Map: M0F, Op: 0x90, Imm: -1}
	StoreK    = Insn{Name: "kmovb", PP: P66, Map: M0F, Op: 0x91, Imm: -1}
	KToReg    = Insn{Name: "kmovb", PP: P66, Map: M0F, Op: 0x93, Imm: -1}
	KOrTest   = Insn{Name: "kortestb", PP: P66, Map: M0F, Op: 0x98, Imm: -1}
	KOr       = Insn{Name: "korb", PP: P66, Map: M0F, Op: 0x45, Imm: -1}
	KAnd      = Insn{Name: "kandb", PP: P66, Map: M0F, Op: 0x41, Imm: -1}
	KAndN     = Insn{Name: "kandnb", PP: P66, Map: M0F, Op: 0x42, Imm: -1} // ^src & rm
	KXor      = Insn{Name: "kxorb", PP: P66, Map: M0F, Op: 0x47, Imm: -1}
	KXnor     = Insn{Name: "kxnorb", PP: P66, Map: M0F, Op: 0x46, Imm: -1}
	LanesToK  = Insn{Name: "vpmovq2m", PP: PF3, Map: M0F38, W: 1, Op: 0x39, Imm: -1}
	KToLanes  = Insn{Name: "vpmovm2q", PP: PF3, Map: M0F38, W: 1, Op: 0x38, Imm: -1}
	SignsY    = Insn{Name: "vmovmskpd", PP: P66, Map: M0F, Op: 0x50, Imm: -1}
	OrY       = Insn{Name: "vorpd", PP: P66, Map: M0F, Op: 0x56, Imm: -1}
	AndY      = Insn{Name: "vandpd", PP: P66, Map: M0F, Op: 0x54, Imm: -1}
	XorY      = Insn{Name: "vxorpd", PP: P66, Map: M0F, Op: 0x57, Imm: -1}
	EqY       = Insn{Name: "vpcmpeqq", PP: P66, Map: M0F38, Op: 0x29, Imm: -1}
	FromReg   = Insn{Name: "vpbroadcastq", PP: P66, Map: M0F38, W: 1, Op: 0x7c, Imm: -1}
	FromRegX  = Insn{Name: "vmovq", PP: P66, Map: M0F, W: 1, Op: 0x6e, Imm: -1}
	SplatY    = Insn{Name: "vpbroadcastq", PP: P66, Map: M0F38, Op: 0x59, Imm: -1}
	ToReg     = Insn{Name: "vmovq", PP: P66, Map: M0F, W: 1, Op: 0x7e, Imm: -1} // from dst to the general register rm
	MaxZ      = Insn{Name: "vpmaxsq", PP: P66, Map: M0F38, W: 1, Op: 0x3d, Imm: -1}
	MinZ      = Insn{Name: "vpminsq", PP: P66, Map: M0F38, W: 1, Op: 0x39, Imm: -1}
	RotateZ   = Insn{Name: "valignq", PP: P66, Map: M0F3A, W: 1, Op: 0x03} // by Imm lanes, src and rm the same
	PermuteY  = Insn{Name: "vpermq", PP: P66, Map: M0F3A, W: 1, Op: 0x00}  // lane i from lane Imm>>2i&3
	Widen     = Insn{Name: "vcvtps2pd", PP: PNone, Map: M0F, Op: 0x5a, Imm: -1, Half: HalfRM}
	Narrow    = Insn{Name: "vcvtpd2ps", PP: P66, Map: M0F, W: 1, Op: 0x5a, Imm: -1, Half: HalfRegs}
	SignedY   = Insn{Name: "vpmovsxdq", PP: P66, Map: M0F38, Op: 0x25, Imm: -1, Half: HalfRM}
	PackZ     = Insn{Name: "vpmovqd", PP: PF3, Map: M0F38, Op: 0x35, Imm: -1, Half: HalfRM} // from dst to rm
	EvenY     = Insn{Name: "vshufps", PP: PNone, Map: M0F, Op: 0xc6, Imm: 0x88}             // of each half of src and rm the even 32-bit numbers
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

// Swap exchanges x and y.
func (a *Asm) Swap(x, y Reg) {
	a.rex([]byte{0x87}, uint8(y), gp(x))
	a.scalarLine("xchg", x.String(), y.String())
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

// shape says what an instruction's operands are, for its text: v a vector
// register, k a mask, r a general register, x the register or memory operand;
// d the first, s the second source.
func (in *Insn) shape(size Size) (dst, src string) {
	n := in.Name
	switch {
	case strings.HasPrefix(n, "k"):
		return "k", "k"
	case n == "vpmovq2m", size == Z && (strings.HasPrefix(n, "vcmp") || strings.HasPrefix(n, "vpcmp")):
		return "k", "v"
	}
	return "v", "v"
}

var unary = map[string]bool{
	"vmovupd": true, "vmovapd": true, "vbroadcastsd": true, "kmovb": true, "kortestb": true, "knotb": true, "vpmovq2m": true, "vpmovm2q": true,
	"vmovmskpd": true, "vpbroadcastq": true, "vmovq": true, "vsqrtpd": true, "vrndscalepd": true, "vroundpd": true,
	"vpermq": true, "vsqrtps": true, "vrndscaleps": true, "vroundps": true, "vcvtps2pd": true, "vcvtpd2ps": true, "vpmovzxdq": true, "vpmovsxdq": true,
	"vpmovqd": true,
}

func (in *Insn) store() bool {
	return in.Op == 0x11 || in.Name == "vmovq" && in.Op == 0x7e || in.Name == "vpmovqd" || in.Name == "kmovb" && in.Op == 0x91
}

func (a *Asm) list(in *Insn, size Size, dst, src, k uint8, rm Arg, fourth Reg) {
	regSize, rmSize := size, size
	if in.Half&HalfRegs != 0 {
		regSize--
	}
	number := "QWORD"
	if in.Half&HalfRM != 0 {
		rmSize--
		number = "DWORD"
	}
	d, s := in.shape(size)
	named := func(kind string, r uint8, size Size) string {
		if kind == "k" {
			return fmt.Sprintf("k%d", r)
		}
		return fmt.Sprintf("%s%d", vecNames[size], r)
	}
	name := func(kind string, r uint8) string { return named(kind, r, regSize) }
	var x string
	switch {
	case rm.kind == inReg:
		x = named(s, rm.reg, rmSize)
		switch in.Name {
		case "vpmovm2q":
			x = fmt.Sprintf("k%d", rm.reg)
		case "vmovq":
			x = Reg(rm.reg).String()
		case "vpbroadcastq":
			if size == Z {
				x = Reg(rm.reg).String()
			} else {
				x = fmt.Sprintf("xmm%d", rm.reg)
			}
		}
	case rm.kind == inBroadcast:
		x = number + " BCST " + rm.address("")
	case in.vsib():
		x = "QWORD PTR " + rm.address(vecNames[size])
	case in.Name == "kmovb":
		x = "BYTE PTR " + rm.address("")
	case in.scalar():
		x = "QWORD PTR " + rm.address("")
	default:
		x = [...]string{"XMMWORD", "YMMWORD", "ZMMWORD"}[rmSize] + " PTR " + rm.address("")
	}
	to := name(d, dst)
	switch {
	case in.Name == "vmovmskpd", in.Name == "kmovb" && in.Op == 0x93:
		to = map[bool]string{true: "e", false: "r"}[dst < 8] + regNames[dst][1:]
		if dst >= 8 {
			to += "d"
		}
	}
	if k != 0 {
		to += fmt.Sprintf("{k%d}", k)
	}
	args := []string{to}
	switch {
	case in.store():
		args = []string{x, to}
	case in.vsib() && size == Y: // the mask is a vector register
		args = append(args, x, name("v", src))
	case unary[in.Name], in.vsib(): // with a mask register
		args = append(args, x)
	default:
		args = append(args, name(s, src), x)
	}
	if fourth != none {
		args = append(args, name("v", uint8(fourth)))
	}
	if in.Imm >= 0 && !in.Hide {
		args = append(args, a.hex(int32(in.Imm)))
	}
	a.line(in.Name, args...)
}
