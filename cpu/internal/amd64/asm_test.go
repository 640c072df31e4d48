package amd64_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"invar/cpu/internal/amd64"
	"invar/cpu/internal/amd64/disasm"
)

var update = flag.Bool("update", false, "write testdata/listing.txt from what objdump says")

// everything writes each instruction with every register in every place, and
// every way to address memory.
func everything() *amd64.Asm {
	a := &amd64.Asm{List: true}
	add := amd64.Insn{Name: "vaddpd", PP: amd64.P66, Map: amd64.M0F, W: 1, Op: 0x58, Imm: -1}
	addY := add
	addY.W = 0
	blend := amd64.Insn{Name: "vblendmpd", PP: amd64.P66, Map: amd64.M0F38, W: 1, Op: 0x65, Imm: -1}
	blendY := amd64.Insn{Name: "vblendvpd", PP: amd64.P66, Map: amd64.M0F3A, Op: 0x4b, Imm: -1}
	gather := amd64.Insn{Name: "vgatherqpd", PP: amd64.P66, Map: amd64.M0F38, W: 1, Op: 0x93, Imm: -1}
	round := amd64.Insn{Name: "vrndscalepd", PP: amd64.P66, Map: amd64.M0F3A, W: 1, Op: 0x09, Imm: 9}
	// Of float32s, in halves of registers.
	adds := amd64.Insn{Name: "vaddps", PP: amd64.PNone, Map: amd64.M0F, Op: 0x58, Imm: -1, Half: amd64.HalfAll}
	cmps := amd64.Insn{Name: "vcmplt_oqps", PP: amd64.PNone, Map: amd64.M0F, Op: 0xc2, Imm: 17, Hide: true, Half: amd64.HalfAll}
	blends := amd64.Insn{Name: "vblendmps", PP: amd64.P66, Map: amd64.M0F38, Op: 0x65, Imm: -1, Half: amd64.HalfAll}
	blendsY := amd64.Insn{Name: "vblendvps", PP: amd64.P66, Map: amd64.M0F3A, Op: 0x4a, Imm: -1, Half: amd64.HalfAll}
	roots := amd64.Insn{Name: "vsqrtps", PP: amd64.PNone, Map: amd64.M0F, Op: 0x51, Imm: -1, Half: amd64.HalfAll}
	unsigned := amd64.Insn{Name: "vpmovzxdq", PP: amd64.P66, Map: amd64.M0F38, Op: 0x35, Imm: -1, Half: amd64.HalfRM}
	cmp := amd64.Insn{Name: "vcmplt_oqpd", PP: amd64.P66, Map: amd64.M0F, W: 1, Op: 0xc2, Imm: 17, Hide: true}

	general := []amd64.Reg{amd64.RAX, amd64.RCX, amd64.RDX, amd64.RBX, amd64.RSP, amd64.RBP, amd64.RSI, amd64.RDI,
		amd64.R8, amd64.R9, amd64.R10, amd64.R11, amd64.R12, amd64.R13, amd64.R14, amd64.R15}
	var memory []amd64.Arg
	for i, base := range general {
		for _, disp := range []int32{0, 8, 64, -64, 127 * 64, 128 * 64, -128 * 64, -129 * 64, 100, 1 << 20} {
			memory = append(memory, amd64.M(base, disp))
			if index := general[(i*5+3)%16]; index != amd64.RSP {
				memory = append(memory, amd64.MX(base, index, []uint8{1, 2, 4, 8}[i%4], disp))
			}
		}
	}
	for r := range uint8(32) {
		a.EVEX(&add, r, 31-r, 0, amd64.V((r*7+5)%32))
		a.EVEX(&add, r, (r+16)%32, r%8, amd64.V(31-r))
		a.EVEX(&amd64.Move, r, 0, 0, amd64.V((r*11+3)%32))
		a.EVEX(&blend, r, (r*3+1)%32, 1+r%7, amd64.V((r*5+2)%32))
		a.EVEX(&round, r, 0, 0, amd64.V(31-r))
		a.EVEX(&cmp, r%8, r, r/4%8, amd64.V(31-r))
		a.EVEX(&gather, r, 0, 1+r%7, amd64.MX(general[r%16], amd64.Reg(31-r), 8, int32(r)*8*50))
		a.EVEX(&amd64.KToLanes, r, 0, 0, amd64.V(r%8))
		a.EVEX(&amd64.LanesToK, r%8, 0, 0, amd64.V(r))
		a.EVEX(&amd64.FromReg, r, 0, 0, amd64.V(r%16))
		a.EVEX(&adds, r, 31-r, 0, amd64.V((r*7+5)%32))
		a.EVEX(&cmps, r%8, r, r/4%8, amd64.V(31-r))
		a.EVEX(&blends, r, (r*3+1)%32, 1+r%7, amd64.V((r*5+2)%32))
		a.EVEX(&roots, r, 0, 0, amd64.V(31-r))
		for _, in := range []*amd64.Insn{&unsigned, &amd64.Widen, &amd64.Narrow, &amd64.PackZ} {
			a.EVEX(in, r, 0, 0, amd64.V((r*7+3)%32))
		}
	}
	for r := range uint8(16) {
		a.VEX(&addY, amd64.Y, r, 15-r, amd64.V((r*7+5)%16))
		a.VEX(&amd64.MoveY, amd64.Y, r, 0, amd64.V((r*5+2)%16))
		a.VEX4(&blendY, r, (r+3)%16, amd64.V(15-r), (r*5+1)%16)
		a.VEX(&gather, amd64.Y, r, (r+1)%16, amd64.MX(general[r], amd64.Reg((r+2)%16), 8, int32(r)*100))
		a.VEX(&amd64.SignsY, amd64.Y, r, 0, amd64.V(15-r))
		a.VEX(&amd64.FromRegX, amd64.X, r, 0, amd64.V(15-r))
		a.VEX(&amd64.SplatY, amd64.Y, r, 0, amd64.V(15-r))
		a.VEX(&amd64.AndY, amd64.Y, r, 15-r, amd64.V(r))
		a.VEX(&amd64.OrY, amd64.Y, r, 15-r, amd64.V(r))
		a.VEX(&amd64.XorY, amd64.Y, r, 15-r, amd64.V(r))
		a.VEX(&amd64.EqY, amd64.Y, r, 15-r, amd64.V(r))
		a.VEX(&amd64.KToReg, amd64.X, r, 0, amd64.V(r%8))
		a.VEX(&adds, amd64.Y, r, 15-r, amd64.V((r*7+5)%16))
		a.VEX(&cmps, amd64.Y, r, 15-r, amd64.V(r))
		a.VEX4(&blendsY, r, (r+3)%16, amd64.V(15-r), (r*5+1)%16)
		a.VEX(&amd64.EvenY, amd64.Y, r, 15-r, amd64.V((r+1)%16))
		for _, in := range []*amd64.Insn{&roots, &unsigned, &amd64.SignedY, &amd64.Widen, &amd64.Narrow} {
			a.VEX(in, amd64.Y, r, 0, amd64.V(15-r))
		}
	}
	for r := range uint8(8) {
		for _, in := range []*amd64.Insn{&amd64.KOr, &amd64.KAnd, &amd64.KAndN, &amd64.KXor, &amd64.KXnor} {
			a.VEX(in, amd64.Y, r, 7-r, amd64.V((r*3+1)%8))
		}
		a.VEX(&amd64.KOrTest, amd64.X, r, 0, amd64.V(7-r))
		a.VEX(&amd64.LoadK, amd64.X, r, 0, amd64.V(7-r))
	}
	for i, m := range memory {
		r, g := uint8(i%32), general[(i/3)%16]
		for k, write := range []func(){
			func() { a.EVEX(&amd64.Load, r, 0, 0, m) },
			func() { a.MovRM(g, m) },
			func() { a.Prefetch(m) },
			func() { a.PrefetchW(m) },
			func() { a.VEX(&amd64.LoadY, amd64.Y, r%16, 0, m) },
			func() { a.EVEX(&add, r, 31-r, 0, m) },
			func() { a.MovMR(m, g) },
			func() { a.EVEX(&amd64.Store, r, 0, 0, m) },
			func() { a.EVEX(&amd64.Broadcast, r, 0, 0, m) },
			func() { a.MI(amd64.Cmp, m, int32(i-10)) },
			func() { a.VEX(&amd64.StoreY, amd64.Y, r%16, 0, m) },
			func() { a.VEX(&amd64.LoadK, amd64.X, r%8, 0, m) },
			func() { a.MovMI(m, int32(i)) },
			func() { a.RM(amd64.Cmp, g, m) },
			func() { a.VEX(&amd64.StoreK, amd64.X, r%8, 0, m) },
			func() { a.EVEX(&adds, r, 31-r, 0, m) },
			func() { a.VEX(&adds, amd64.Y, r%16, 3, m) },
			func() { a.EVEX(&amd64.Widen, r, 0, 0, m) },
			func() { a.VEX(&amd64.Widen, amd64.Y, r%16, 0, m) },
			func() { a.EVEX(&amd64.Narrow, r, 0, 0, m) },
			func() { a.VEX(&amd64.Narrow, amd64.Y, r%16, 0, m) },
			func() { a.EVEX(&unsigned, r, 0, 0, m) },
		} {
			if (i+k)%6 == 0 {
				write()
			}
		}
	}
	for i, base := range general {
		for _, disp := range []int32{0, 8, 8 * 127, 8 * 128, -8 * 128, 4} {
			a.EVEX(&add, uint8(i), uint8(i)+16, 0, amd64.B(base, disp))
			a.EVEX(&cmp, uint8(i%8), uint8(i), 3, amd64.B(base, disp))
			a.EVEX(&adds, uint8(i), uint8(i)+16, 0, amd64.B(base, disp))
			a.EVEX(&amd64.Widen, uint8(i), 0, 0, amd64.B(base, disp))
			a.EVEX(&amd64.Narrow, uint8(i), 0, 0, amd64.B(base, disp))
		}
	}
	for i, g := range general {
		h := general[(i*3+5)%16]
		a.MovRR(g, h)
		a.MovRI(g, int32(i)*-1000)
		for _, op := range []amd64.ALU{amd64.Add, amd64.Or, amd64.And, amd64.Sub, amd64.Xor, amd64.Cmp} {
			a.RR(op, g, h)
			if g != amd64.RAX { // the assembler's own form for rax and a long immediate is another one
				a.RI(op, g, 127)
				a.RI(op, g, -129)
			}
		}
		a.IMul(g, h, 12345)
		a.Shl(g, uint8(i))
		a.Test(g)
		a.TrailingZeros(g, h)
		a.ClearLowest(g, h)
		a.ClearBit(g, h)
		a.Swap(g, h)
	}
	near, far := a.Label(), a.Label()
	a.Bind(near)
	a.Jump(far)
	for _, c := range []amd64.Cond{amd64.NC, amd64.EQ, amd64.NE, amd64.LT, amd64.GE} {
		a.JumpIf(c, near)
		a.JumpIf(c, far)
	}
	main := a.Use(a.Section())
	a.Bind(far)
	a.Jump(near)
	a.Use(main)
	a.Return()
	return a
}

// Every encoding reads as it was meant: by testdata/listing.txt, which holds what
// objdump says, and by objdump itself where it is (continuous integration installs it).
func TestEncodings(t *testing.T) {
	a := everything()
	code := a.Code()
	tool := disasm.Tool()
	if tool == "" && os.Getenv("CI") != "" {
		t.Fatal("GNU objdump is missing: install binutils")
	}
	if tool != "" {
		if err := disasm.Compare(tool, code, a.Text); err != nil {
			t.Fatal(err)
		}
	}
	const file = "testdata/listing.txt"
	if *update {
		lines, err := disasm.Lines(tool, code)
		if err != nil {
			t.Fatal(err)
		}
		text := hex.EncodeToString(code) + "\n" + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(golden)), "\n")
	if lines[0] != hex.EncodeToString(code) {
		t.Error("the code is not the one that objdump has seen (-update writes the file anew)")
	}
	if err := disasm.Same(lines[1:], a.Text); err != nil {
		t.Error(err)
	}
	if len(lines) < 1500 {
		t.Errorf("%d instructions, want more", len(lines)-1)
	}
}

func Example() {
	var a amd64.Asm
	loop := a.Label()
	a.MovRI(amd64.RAX, 10)
	a.Bind(loop)
	a.RI(amd64.Sub, amd64.RAX, 1)
	a.JumpIf(amd64.NE, loop)
	a.Return()
	fmt.Printf("%x\n", a.Code())
	// Output: 48c7c00a0000004883e8010f85f6ffffffc5f877c3
}
