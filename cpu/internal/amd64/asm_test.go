package amd64_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"invar/cpu/internal/amd64"
	"invar/cpu/internal/amd64/disasm"
)

var update = flag.Bool("update", false, "write testdata/encodings.txt after objdump has read the code")

// vectors are the package's vector instructions and how the emitter writes them: with EVEX for size Z, else with VEX.
var vectors = map[string]struct {
	in   *amd64.Insn
	size amd64.Size
}{
	"Load": {&amd64.Load, amd64.Z}, "Store": {&amd64.Store, amd64.Z}, "Move": {&amd64.Move, amd64.Z},
	"LoadY": {&amd64.LoadY, amd64.Y}, "StoreY": {&amd64.StoreY, amd64.Y}, "MoveY": {&amd64.MoveY, amd64.Y},
	"Broadcast": {&amd64.Broadcast, amd64.Z},
	"LoadK":     {&amd64.LoadK, amd64.X}, "StoreK": {&amd64.StoreK, amd64.X}, "KToReg": {&amd64.KToReg, amd64.X}, "KOrTest": {&amd64.KOrTest, amd64.X},
	"KOr": {&amd64.KOr, amd64.Y}, "KAnd": {&amd64.KAnd, amd64.Y}, "KAndN": {&amd64.KAndN, amd64.Y}, "KXor": {&amd64.KXor, amd64.Y}, "KXnor": {&amd64.KXnor, amd64.Y},
	"LanesToK": {&amd64.LanesToK, amd64.Z}, "KToLanes": {&amd64.KToLanes, amd64.Z}, "SignsY": {&amd64.SignsY, amd64.Y},
	"FromReg": {&amd64.FromReg, amd64.Z}, "FromRegX": {&amd64.FromRegX, amd64.X}, "SplatY": {&amd64.SplatY, amd64.Y}, "ToReg": {&amd64.ToReg, amd64.X},
	"MaxZ": {&amd64.MaxZ, amd64.Z}, "MinZ": {&amd64.MinZ, amd64.Z}, "RotateZ": {&amd64.RotateZ, amd64.Z}, "PermuteY": {&amd64.PermuteY, amd64.Y},
	"SignedY": {&amd64.SignedY, amd64.Y}, "PackZ": {&amd64.PackZ, amd64.Z}, "EvenY": {&amd64.EvenY, amd64.Y},
}

// others are instructions of kinds that only rows of the emitter's table are: they gather, compare, select by a fourth register, and
// have halves of vectors as operands.
func others(a *amd64.Asm) {
	gather := amd64.Insn{Name: "vgatherqpd", PP: amd64.P66, Map: amd64.M0F38, W: 1, Op: 0x93, Imm: -1, Operands: amd64.DstRM, Mem: amd64.Indexed}
	compare := amd64.Insn{Name: "vcmplt_oqps", PP: amd64.PNone, Map: amd64.M0F, Op: 0xc2, Imm: 17, Hide: true, Half: amd64.HalfAll}
	blend := amd64.Insn{Name: "vblendvps", PP: amd64.P66, Map: amd64.M0F3A, Op: 0x4a, Imm: -1, Half: amd64.HalfAll, Operands: amd64.DstSrcRMSel}
	widen := amd64.Insn{Name: "vcvtps2pd", PP: amd64.PNone, Map: amd64.M0F, Op: 0x5a, Imm: -1, Half: amd64.HalfRM, Operands: amd64.DstRM}
	narrow := amd64.Insn{Name: "vcvtpd2ps", PP: amd64.P66, Map: amd64.M0F, W: 1, Op: 0x5a, Imm: -1, Half: amd64.HalfRegs, Operands: amd64.DstRM}
	for _, in := range []amd64.Insn{gather, compare, blend, widen, narrow} {
		disasm.Every(a, in, amd64.Y)
		if in.Operands == amd64.DstSrcRMSel {
			continue
		}
		if in.Hide {
			in.Dst = amd64.Mask
		}
		disasm.Every(a, in, amd64.Z)
	}
}

// No vector instruction of the package is missing above.
func TestVectorsComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "insn.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != len(spec.Values) {
			return true
		}
		for i, v := range spec.Values {
			lit, ok := v.(*ast.CompositeLit)
			if !ok {
				continue
			}
			if typ, ok := lit.Type.(*ast.Ident); !ok || typ.Name != "Insn" {
				continue
			}
			found++
			if _, ok := vectors[spec.Names[i].Name]; !ok {
				t.Errorf("no test writes %s", spec.Names[i].Name)
			}
		}
		return true
	})
	if found != len(vectors) {
		t.Errorf("%d instructions in insn.go, %d here", found, len(vectors))
	}
}

// notScalar are the methods of Asm that write no code, and those that write the vector instructions.
var notScalar = []string{"At", "Bind", "Code", "Label", "Len", "Reset", "Section", "Use", "EVEX", "VEX", "VEX4"}

// scalar writes an instruction by each method of Asm that is one, with every value of each operand.
func scalar(t *testing.T, a *amd64.Asm) {
	values := map[reflect.Type]reflect.Value{}
	add := func(list any) { v := reflect.ValueOf(list); values[v.Type().Elem()] = v }
	add(disasm.General())
	add(disasm.Memory())
	add(amd64.ALUs)
	add(amd64.Conds)
	add([]int32{0, 1, -1, 127, 128, -128, -129, 12345, math.MaxInt32, math.MinInt32})
	add([]uint8{1, 2, 4, 8, 16, 31, 32, 63})
	near, far := a.Label(), a.Label()
	add([]amd64.Label{near, far})

	a.Bind(near)
	v := reflect.ValueOf(a)
	for m := range v.NumMethod() {
		name, method := v.Type().Method(m).Name, v.Method(m)
		if slices.Contains(notScalar, name) {
			continue
		}
		// The first operand that is an operation or a condition goes with all of the others; those go through their
		// values side by side, each with a stride of its own that divides no list's length, so that no two are always the same.
		var lists []reflect.Value
		outer, most := 1, 1
		for k := range method.Type().NumIn() {
			list, ok := values[method.Type().In(k)]
			if !ok {
				t.Fatalf("no operands for %s, which takes %v", name, method.Type())
			}
			lists = append(lists, list)
			if k == 0 && (list.Type().Elem() == reflect.TypeFor[amd64.ALU]() || list.Type().Elem() == reflect.TypeFor[amd64.Cond]()) {
				outer = list.Len()
			} else {
				most = max(most, list.Len())
			}
		}
		for o := range outer {
			for i := range most {
				var args []reflect.Value
				for k, list := range lists {
					at := i*[]int{7, 11, 13}[k] + k
					if k == 0 && outer > 1 {
						at = o
					}
					args = append(args, list.Index(at%list.Len()))
				}
				before := a.Len()
				method.Call(args)
				if a.Len() <= before {
					t.Fatalf("%s writes no code, and is not among those that do not", name)
				}
			}
		}
	}
	main := a.Use(a.Section())
	a.Bind(far)
	a.Jump(near)
	a.Use(main)
}

// Every encoding reads as it was meant: by objdump where it is (continuous integration installs it), else by
// testdata/encodings.txt, which holds digests of code and text that objdump has found to be the same.
func TestEncodings(t *testing.T) {
	a := &amd64.Asm{List: true}
	scalar(t, a)
	for _, name := range slices.Sorted(maps.Keys(vectors)) {
		disasm.Every(a, *vectors[name].in, vectors[name].size)
	}
	others(a)
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
	seen := fmt.Sprintf("%d instructions\ncode %x\ntext %x\n", len(a.Text), sha256.Sum256(code), sha256.Sum256([]byte(strings.Join(a.Text, "\n"))))
	const file = "testdata/encodings.txt"
	if *update {
		if tool == "" {
			t.Fatal("-update needs GNU objdump")
		}
		if err := os.WriteFile(file, []byte(seen), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(golden) != seen {
		t.Errorf("%s is not of this code (-update, with objdump, writes it anew):\n%swant\n%s", file, golden, seen)
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

// What is written after Reset does not depend on what was there before.
func TestReset(t *testing.T) {
	write := func(a *amd64.Asm, n int) []byte {
		far := a.Label()
		a.Jump(far)
		old := a.Use(a.Section())
		a.Bind(far)
		for i := range int32(n) {
			a.MovRI(amd64.RAX, i)
		}
		a.Use(old)
		a.Return()
		return a.Code()
	}
	var a, b amd64.Asm
	for _, n := range []int{1000, 1, 10} {
		a.Reset()
		b = amd64.Asm{}
		if got, want := write(&a, n), write(&b, n); !bytes.Equal(got, want) {
			t.Errorf("%d instructions: %x after Reset, %x by themselves", n, got[:20], want[:20])
		}
	}
}
