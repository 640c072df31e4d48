//go:build linux || darwin || windows

package cpu

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"invar/cpu/internal/amd64"
	"invar/cpu/internal/amd64/disasm"
	"invar/program"
	"invar/program/progtest"
)

// variant is one way to compile a program.
type variant struct {
	isa *isa
	emitOptions
}

func (s variant) String() string {
	return fmt.Sprintf("%s x%d, calls of %d", s.isa.name, s.vectors, s.call)
}

// variants lists the instruction sets of this machine with all numbers of vectors in a strip, and with runs and constants in registers
// wherever they fit.
func variants(t testing.TB) (all []variant) {
	s, err := sets()
	if err != nil {
		t.Fatalf("these tests need a processor with AVX2: %v", err)
	}
	for _, isa := range s {
		for v := 1; v <= 5 && v*5 <= isa.regs; v++ {
			all = append(all, variant{isa, emitOptions{vectors: v, strips: 1 + v%3, allRuns: true, allSpares: true}})
			if v <= 2 { // calls so short that they end inside of steps, after every few operations
				all = append(all, variant{isa, emitOptions{vectors: v, strips: 1 + v%3, call: 40 * v * v}})
			}
		}
	}
	return all
}

func (s variant) compile(t testing.TB, p *program.Program) *nativeExecutable {
	t.Helper()
	n, err := emitProgram(p, s.isa, s.emitOptions)
	if err != nil {
		t.Fatal(err)
	}
	x, err := newNativeExecutable(p, n, 1)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// randomBatch is n samples of any numbers, special ones among them.
func randomBatch(r *rand.Rand, p *program.Program, n int) *program.Batch {
	b := p.NewBatch(n)
	for i := range b.In {
		for k := range b.In[i] {
			b.In[i][k] = progtest.Number(r)
		}
	}
	return b
}

// difference runs x on the samples of want and says where it gives something
// else, all NaNs being one value.
func difference(x program.Executable, p *program.Program, want *program.Batch) error {
	got := p.NewBatch(want.N)
	got.In = want.In
	if err := x.Run(context.Background(), got); err != nil {
		return err
	}
	for k := range want.Out {
		for s := range want.N {
			if g, w := got.Out[k][s], want.Out[k][s]; !progtest.SameF64(g, w) {
				return fmt.Errorf("sample %d of %d: %s = %v, want %v", s, want.N, p.Slots[p.Results[k]].Name, g, w)
			}
		}
	}
	return nil
}

// The native engine is an engine like the others.
func TestNativeEngine(t *testing.T) {
	s, err := sets()
	if err != nil {
		t.Fatal(err)
	}
	for _, isa := range s {
		t.Run(isa.name, func(t *testing.T) {
			progtest.Engine(t, onlyNative{t, Native{Set: isa.name}}, 120, program.F64, program.F32)
		})
	}
}

// onlyNative is an engine that has no other run its programs.
type onlyNative struct {
	t *testing.T
	Native
}

func (e onlyNative) Compile(p *program.Program) (program.Executable, error) {
	x, err := e.Native.Compile(p)
	if _, ok := x.(*nativeExecutable); !ok && err == nil {
		e.t.Errorf("%s is a %T, want native code", p.Name, x)
	}
	return x, err
}

// agree holds all variants of a random program against its definition.
func agree(t *testing.T, seed uint64, all []variant) {
	t.Helper()
	agreeOn(t, seed, all, func(r *rand.Rand) *program.Program {
		return progtest.Program(r, 1+r.IntN(4), 20+r.IntN(150), someFloats(r)...)
	})
}

// someFloats are types of numbers for a random program.
func someFloats(r *rand.Rand) []program.Type {
	return [][]program.Type{{program.F64}, {program.F32}, {program.F64, program.F32}}[r.IntN(3)]
}

// iteration is a random program with runs.
func iteration(r *rand.Rand) *program.Program {
	return progtest.Iteration(r, 1+r.IntN(3), []program.Type{program.F64, program.F32}[r.IntN(2)])
}

func agreeOn(t *testing.T, seed uint64, all []variant, write func(r *rand.Rand) *program.Program) (runs int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	p := write(r)
	if seed%2 == 0 {
		p.Optimize()
	}
	want := randomBatch(r, p, 1+r.IntN(200))
	if seed%4 == 1 { // samples that are alike end together
		for _, c := range want.In {
			for s := range c {
				c[s] = c[0]
			}
		}
	}
	progtest.Reference(p, want)
	for _, v := range all {
		x := v.compile(t, p)
		if x.runs {
			runs++
		}
		if err := difference(x, p, want); err != nil {
			t.Fatalf("seed %d, %v: %v", seed, v, err)
		}
	}
	return runs
}

// Random programs give the bits of their definition, whatever the instruction set and the
// number of vectors in flight.
func TestNativeRandom(t *testing.T) {
	all := variants(t)
	for seed := range uint64(150) {
		agree(t, seed, all)
	}
}

// Programs with runs give the bits of their definition: counters at their bounds, samples that
// end one by one or all together, rare steps, and lanes without a sample.
func TestNativeRuns(t *testing.T) {
	all := variants(t)
	runs := 0
	for seed := range uint64(150) {
		runs += agreeOn(t, seed, all, iteration)
	}
	// Short calls have none, and few fit the registers of three vectors of AVX2.
	usual := slices.DeleteFunc(all, func(v variant) bool { return v.call > 0 || !v.isa.zmm && v.vectors > 2 })
	if runs < 150*len(usual)/2 {
		t.Errorf("%d of %d variants have runs, want half of them", runs, 150*len(usual))
	}
}

// Loops that carry more than the registers hold, some values from one to the next, where what they carry to the next trip is known
// long before its end: it takes the place of what they have been given, but not too early.
func TestNativeCarried(t *testing.T) {
	all := variants(t)
	for seed := range uint64(60) {
		agreeOn(t, seed, all, func(r *rand.Rand) *program.Program {
			n := 6 + r.IntN(16)
			b := program.NewBuilder("f")
			out := b.Loop(program.At(0), program.At(1+r.IntN(4)), b.Inputs("x", n), func(_ program.Affine, c []program.Value) []program.Value {
				old := func() program.Value { return c[r.IntN(n)] }
				var tests []program.Value // of the old values, read at the end
				for range n {
					tests = append(tests, b.Lt(old(), old()))
				}
				next := make([]program.Value, n)
				for i := range next {
					if next[i] = old(); r.IntN(2) == 0 {
						next[i] = b.FMA(old(), old(), old())
					}
				}
				var between []program.Value
				for range n {
					between = append(between, b.Sub(b.Mul(old(), next[r.IntN(n)]), b.F(r.Float64())))
				}
				last := old()
				for i := range n {
					last = b.Select(tests[i], between[i], b.Add(last, b.F(0.5)))
				}
				next[r.IntN(n)] = last
				return next
			})
			return progtest.Wrap(b.Finish(out...))
		})
	}
}

func FuzzNative(f *testing.F) {
	all := variants(f)
	f.Add(uint64(1000))
	f.Fuzz(func(t *testing.T, seed uint64) {
		agree(t, seed, all)
		agreeOn(t, seed, all, iteration)
	})
}

// Every number of samples up to several blocks, in batches that threads share too.
func TestNativeSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	p := progtest.Program(r, 2, 80)
	const most = 600
	want := randomBatch(r, p, most)
	progtest.Reference(p, want)
	cut := func(n int) *program.Batch {
		b := &program.Batch{N: n}
		for _, c := range want.In {
			b.In = append(b.In, c[:n])
		}
		for _, c := range want.Out {
			b.Out = append(b.Out, c[:n])
		}
		return b
	}
	for _, v := range variants(t) {
		x := v.compile(t, p)
		for _, threads := range []int{1, 3} {
			x.threads = threads
			w := x.width()
			var sizes []int
			for n := range 2*w*x.strips + 2 {
				sizes = append(sizes, n)
			}
			for _, n := range append(sizes, x.poolLen-1, x.poolLen, x.poolLen+1, most) {
				if err := difference(x, p, cut(min(n, most))); err != nil {
					t.Fatalf("%v, %d threads: %v", v, threads, err)
				}
			}
		}
	}
}

// operation writes a function that applies op to its operands in every way that
// the emitter tells apart: in registers, as constants, twice the same, and folded
// into its neighbours. Its numbers are of the given type.
func operation(op program.Op, typ program.Type) *program.Func {
	b := program.NewBuilderOf(typ, op.String())
	x, y, z := b.Input("x", typ), b.Input("y", typ), b.Input("z", typ)
	i, j := b.Input("i", program.I64), b.Input("j", program.I64)
	p, q, s := b.Input("p", program.Bool), b.Input("q", program.Bool), b.Input("s", program.Bool)
	var out []program.Value
	add := func(v ...program.Value) { out = append(out, v...) }
	type binary = func(x, y program.Value) program.Value
	float := func(f binary) { add(f(x, y), f(y, x), f(x, b.F(1.5)), f(b.F(-2.5), x), f(x, x), f(b.Mul(x, y), z)) }
	integer := func(f binary) {
		add(f(i, j), f(j, i), f(i, b.I(5)), f(b.I(-7), j), f(i, i), f(b.IXor(i, j), j))
	}
	compare := func(f binary, c, d, e, k program.Value, late binary) {
		for _, v := range []program.Value{f(c, d), f(d, c), f(c, k), f(k, c), f(c, c)} {
			add(v, b.Not(v), b.And(v, p), b.And(q, b.Not(v)))
		}
		add(b.Not(f(c, e)), b.And(p, f(e, c)), b.And(b.And(q, f(d, e)), b.Not(f(e, d)))) // not used otherwise
		u, v, w := late(c, d), late(d, e), late(e, k)                                    // in registers when they are compared
		add(f(k, u), f(u, k), f(c, u), f(u, c), b.Or(p, b.Not(f(k, v))), b.Or(p, b.Not(f(v, k))), b.Or(q, b.Not(f(c, v))), b.Or(q, b.Not(f(v, c))),
			b.And(p, f(k, w)), b.And(s, f(w, k)), b.And(s, b.Not(f(c, w))), b.And(p, b.Not(f(w, c))), f(u, v), b.Or(p, b.Not(f(v, w))))
	}
	unary := func(f func(x program.Value) program.Value) { add(f(x), f(b.Mul(x, y)), f(b.Add(z, z))) }
	switch op {
	case program.OpAdd:
		float(b.Add)
		add(b.Add(x, b.Neg(y)), b.Add(b.Neg(x), z))
	case program.OpSub:
		float(b.Sub)
		add(b.Sub(x, b.Neg(z)))
	case program.OpMul:
		float(b.Mul)
	case program.OpDiv:
		float(b.Div)
	case program.OpSqrt:
		unary(b.Sqrt)
	case program.OpNeg:
		unary(b.Neg)
	case program.OpAbs:
		unary(b.Abs)
	case program.OpRound:
		unary(b.Round)
	case program.OpFloor:
		unary(b.Floor)
	case program.OpTrunc:
		unary(b.Trunc)
	case program.OpFMA:
		k := b.F(0.75)
		for _, n := range []func(program.Value) program.Value{func(v program.Value) program.Value { return v }, b.Neg} {
			for _, m := range []func(program.Value) program.Value{func(v program.Value) program.Value { return v }, b.Neg} {
				u := b.Mul(x, b.F(1.25))
				add(b.FMA(n(x), y, m(z)), b.FMA(n(u), y, m(z)), b.FMA(x, n(b.Sub(y, z)), m(x)), b.FMA(n(x), x, m(x)), b.FMA(n(x), k, m(y)),
					b.FMA(n(x), y, m(k)), b.FMA(n(k), y, m(b.Add(x, y))), b.FMA(n(x), x, m(b.Div(y, z))))
				v := b.Sub(z, y) // in a register that is needed after the FMA, whose result goes over that of its first operand
				add(b.Mul(b.FMA(n(b.Div(x, b.F(float64(3+len(out))))), k, m(v)), v))
			}
		}
	case program.OpLt:
		compare(b.Lt, x, y, z, b.F(1), b.Mul)
	case program.OpLe:
		compare(b.Le, x, y, z, b.F(1), b.Mul)
	case program.OpEq:
		compare(b.Eq, x, y, z, b.F(1), b.Mul)
	case program.OpILt:
		compare(b.ILt, i, j, b.ISub(i, j), b.I(3), b.IXor)
	case program.OpIEq:
		compare(b.IEq, i, j, b.ISub(i, j), b.I(3), b.IXor)
	case program.OpAnd:
		add(b.And(p, q), b.And(b.Not(p), q), b.And(q, b.Not(b.Or(p, s))), b.And(b.Not(q), b.Not(s)))
	case program.OpOr:
		add(b.Or(p, q), b.Or(b.Not(p), s))
	case program.OpNot:
		add(b.Or(b.Not(p), q), b.Or(s, b.Not(b.Or(p, q)))) // a Select or And would take it in
	case program.OpSelect:
		add(b.Select(p, x, y), b.Select(q, x, b.F(2)), b.Select(p, b.F(3), x), b.Select(p, q, s), b.Select(q, p, s), b.Select(b.Lt(x, y), i, j), b.Select(s, b.B(true), q))
	case program.OpIAdd:
		integer(b.IAdd)
	case program.OpISub:
		integer(b.ISub)
	case program.OpMulU32:
		integer(b.MulU32)
	case program.OpIAnd:
		integer(b.IAnd)
	case program.OpIOr:
		integer(b.IOr)
	case program.OpIXor:
		integer(b.IXor)
	case program.OpShl:
		integer(b.Shl)
	case program.OpShr:
		integer(b.Shr)
	case program.OpWiden:
		unary(b.Widen)
	case program.OpNarrow:
		unary(b.Narrow)
	case program.OpBits: // and FromBits, which is no row
		unary(func(x program.Value) program.Value { return b.Bits(b.Select(b.IsNaN(x), b.F(0), x)) })
		add(b.FromBits(i), b.FromBits(b.IAdd(i, j)), b.Add(b.FromBits(i), x))
	case program.OpTable:
		var t [8]float64
		for k := range t {
			t[k] = float64(k*k) + 0.1
		}
		id := b.NewTable(t[:])
		add(b.Table(id, i), b.Table(id, b.IAdd(i, j)))
	default:
		panic("no function for " + op.String())
	}
	return b.Finish(out...)
}

// namedRow is a row with the type of the numbers that its function in these tests is about.
type namedRow struct {
	*row
	typ program.Type
}

func (r namedRow) String() string { return fmt.Sprintf("%v of %v", r.op, r.typ) }

// allRows is the emitter's table.
func allRows() (all []namedRow) {
	for i := range rows64 {
		all = append(all, namedRow{&rows64[i], program.F64}, namedRow{&rows32[i], program.F32})
	}
	for i := range rowsOnce {
		r := namedRow{&rowsOnce[i], program.F64}
		if r.op == program.OpWiden || r.op == program.OpBits {
			r.typ = program.F32
		}
		all = append(all, r)
	}
	return all
}

// operations is a program for op with its results on special and random numbers.
func operations(op program.Op, typ program.Type) (*program.Program, *program.Batch) {
	p := progtest.Wrap(operation(op, typ))
	r := rand.New(rand.NewPCG(uint64(op), 5))
	n := len(progtest.Special)
	b := randomBatch(r, p, n*n)
	for s := range b.N {
		b.In[0][s], b.In[1][s] = progtest.Special[s/n], progtest.Special[s%n]
		for k, t := range []program.Type{program.I64, program.I64, program.Bool, program.Bool, program.Bool} {
			v := math.Float64frombits(progtest.Bits(r, t)) // what Wrap takes for an I64
			if t == program.Bool {
				v = float64(r.IntN(2))
			}
			b.In[3+k][s] = v
		}
	}
	progtest.Reference(p, b)
	return p, b
}

func TestNativeOperations(t *testing.T) {
	for _, r := range allRows() {
		p, want := operations(r.op, r.typ)
		for _, v := range variants(t) {
			if err := difference(v.compile(t, p), p, want); err != nil {
				t.Errorf("%v, %v: %v", r, v, err)
			}
		}
	}
}

// mutations lists ways to spoil a row's instruction.
func mutations(r *row, f *form) map[string]func() {
	m := map[string]func(){}
	other := func(name string, in amd64.Insn) { m["as "+name] = func() { f.Insn = in } }
	switch r.shape {
	case shBinary, shCommute, shLogic:
		for _, o := range allRows() {
			g := &o.zmm
			if f == &r.ymm {
				g = &o.ymm
			}
			if o.row != r && (o.shape == r.shape || o.shape == shBinary && r.shape == shCommute || o.shape == shCommute && r.shape == shBinary) && g.Name != "" {
				other(fmt.Sprintf("%s of %v", g.Name, o.typ), g.Insn)
			}
		}
		if r.shape == shBinary {
			m["operands exchanged"] = func() { r.shape = shCommute }
		}
		if f.second.Name != "" {
			m["negated operand"] = func() { f.Insn = f.second }
			m["no negated operand"] = func() { f.second = f.Insn }
		}
	case shUnary:
		if f.Imm >= 0 {
			for mode := range int16(4) {
				if 8|mode != f.Imm {
					m[fmt.Sprintf("rounding mode %d", mode)] = func() { f.Imm = 8 | mode }
				}
			}
			break
		}
		if f == &r.zmm {
			other("a move", amd64.Move)
		} else {
			other("a move", amd64.MoveY)
		}
	case shConst, shNot:
		if r.with != 0 && (r.shape == shConst || f == &r.ymm) {
			m["another constant"] = func() { r.with ^= 1<<63 | 1<<40 | 1<<31 }
		}
		if r.shape == shNot && f == &r.zmm {
			other("a copy", amd64.Insn{Name: "kmovb", PP: f.PP, Map: f.Map, W: f.W, Op: 0x90, Imm: -1})
		}
		if r.shape == shConst {
			m["as or"] = func() { f.Op = 0x56 }
		}
	case shFMA:
		m["the addend's sign"] = func() { f.Insn = f.second }
		m["the product's sign"] = func() { f.Insn = f.first }
		m["fnmadd for fmadd"] = func() { f.first = f.Insn }
		m["fmsub for fmadd"] = func() { f.second = f.Insn }
		m["fnmsub for fmsub"] = func() { f.both = f.second }
		m["order of operands"] = func() { fmaOrders["213"], fmaOrders["132"] = 0x20, 0x10 }
	case shCompare:
		if f.Name != "" && f.Imm >= 0 {
			for p := range int16(8) {
				if p != f.Imm%8 && !(f.W == 1 && f.Map == amd64.M0F3A && p == f.Imm) {
					m[fmt.Sprintf("predicate %d", p)] = func() { f.Imm = p }
				}
			}
		}
		for name, in := range map[string]*amd64.Insn{"exchanged": &f.first, "negated": &f.second, "both": &f.both} {
			if in.Name == "" || in.Imm < 0 {
				continue
			}
			m[name+" ones with the wrong predicate"] = func() { in.Imm ^= 4 }
		}
		if f.first.Name != "" && f.first.Imm < 0 {
			m["exchanged ones as another comparison"] = func() { f.first.Op ^= 0x37 ^ 0x29 }
		}
	case shBlend:
		if f == &r.zmm {
			other("vminpd", f64("vminpd", w1, 0x5d).Insn)
		} else {
			other("vpalignr", insn("vpalignr", amd64.P66, amd64.M0F3A, w0, 0x0f))
		}
	case shGather:
		m["32-bit indices"] = func() { f.Op = 0x92 }
	}
	return m
}

// Whatever is spoilt in the emitter's table, row by row, shows.
func TestNativeMutations(t *testing.T) {
	all, err := sets()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, r := range allRows() {
		p, want := operations(r.op, r.typ)
		for _, isa := range all {
			f := &r.zmm
			if !isa.zmm {
				f = &r.ymm
			}
			good := *r.row
			names := mutations(r.row, f)
			if len(names) == 0 {
				t.Errorf("%v: nothing to spoil", r)
			}
			for name, spoil := range names {
				spoil()
				caught := false
				for v := 1; v <= 2 && !caught; v++ {
					caught = difference(variant{isa, emitOptions{vectors: v, strips: 2}}.compile(t, p), p, want) != nil
				}
				if !caught {
					t.Errorf("%v on %s: %s does not show", r, isa.name, name)
				}
				*r.row = good
				fmaOrders["213"], fmaOrders["132"] = 0x10, 0x20
				count++
			}
		}
	}
	if count < 300 {
		t.Errorf("%d mutations, want more", count)
	}
}

// objdump, which every platform's continuous integration installs, is required
// there and used here where it is.
func disassembler(t *testing.T) string {
	tool := disasm.Tool()
	if tool == "" && os.Getenv("CI") != "" {
		t.Fatal("GNU objdump is missing: install binutils")
	}
	return tool
}

// written are the instructions that f's row stands for: its variants, and of those of an FMA the orders of operands.
func written(r *row, f *form) (all []amd64.Insn) {
	for _, in := range f.variants() {
		switch {
		case in.Name == "":
		case r.shape == shFMA:
			for order := range fmaOrders {
				all = append(all, fmaOrder(*in, order))
			}
		default:
			all = append(all, *in)
		}
	}
	return all
}

// A disassembler reads every instruction of the table, with every register and kind of operand, as it was meant.
func TestEncodings(t *testing.T) {
	tool := disassembler(t)
	a := &amd64.Asm{List: true}
	for _, r := range allRows() {
		for _, in := range written(r.row, &r.zmm) {
			size := amd64.Z
			if in.RM == amd64.Mask { // no EVEX
				if size = amd64.X; in.Operands == amd64.DstSrcRM {
					size = amd64.Y
				}
			}
			disasm.Every(a, in, size)
		}
		for _, in := range written(r.row, &r.ymm) {
			disasm.Every(a, in, amd64.Y)
		}
	}
	if code := a.Code(); tool != "" {
		if err := disasm.Compare(tool, code, a.Text); err != nil {
			t.Fatal(err)
		}
	}
}

// A disassembler reads in the code of programs what the emitter meant to write, and there is nothing in the table that
// no program writes.
func TestNativeListing(t *testing.T) {
	tool := disassembler(t)
	for _, isa := range []*isa{&avx512, &avx2} {
		seen := map[string]bool{}
		runs := 0
		list := func(p *program.Program, vectors int) {
			t.Helper()
			n, err := emitProgram(p, isa, emitOptions{vectors: vectors, list: true})
			if err != nil {
				t.Fatal(err)
			}
			if tool != "" {
				if err := disasm.Compare(tool, n.code, n.text); err != nil {
					t.Fatalf("%s on %s: %v", p.Name, isa.name, err)
				}
			}
			if n.runs {
				runs++
			}
			for _, line := range n.text {
				name, _, _ := strings.Cut(line, " ")
				seen[name] = true
			}
		}
		for _, r := range allRows() {
			p := progtest.Wrap(operation(r.op, r.typ))
			list(p, 1)
			list(p, 2)
		}
		for seed := range uint64(16) {
			r := rand.New(rand.NewPCG(seed, 2))
			list(progtest.Program(r, 1+r.IntN(4), 400, someFloats(r)...), 1+r.IntN(2))
			list(iteration(r), 1+r.IntN(2))
		}
		if runs < 8 {
			t.Errorf("%d programs have runs on %s, want more", runs, isa.name)
		}
		for _, r := range allRows() {
			f := &r.zmm
			if !isa.zmm {
				f = &r.ymm
			}
			for _, in := range written(r.row, f) {
				if !seen[in.Name] {
					t.Errorf("%v on %s: no program writes %s", r, isa.name, in.Name)
				}
			}
		}
	}
}

// Emulators have read an index in register 4 as none (see gather). The code for AVX2 never has one there, and the mask
// often.
func TestNativeGathers(t *testing.T) {
	mask := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := progtest.Program(r, 1+r.IntN(4), 200)
		n, err := emitProgram(p, &avx2, emitOptions{vectors: 1 + r.IntN(3), list: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range n.text {
			if !strings.HasPrefix(line, "vgather") {
				continue
			}
			if strings.Contains(line, "ymm4*") {
				t.Errorf("seed %d: %s", seed, line)
			}
			if strings.HasSuffix(line, ",ymm4") {
				mask++
			}
		}
	}
	if mask < 20 {
		t.Errorf("%d gathers have their mask in ymm4, want more", mask)
	}
}

// forever is a program whose samples take the given number of steps of some work.
func forever(steps float64, work int) (*program.Program, *program.Batch) {
	b := program.NewBuilder("step")
	x, n, limit, _ := b.Input("x", program.F64), b.Input("iteration", program.I64), b.Input("limit", program.F64), b.Input("status", program.I64)
	y := x
	for range work {
		y = b.FMA(y, b.F(0.999), b.F(0.25))
	}
	next := b.IAdd(n, b.I(1))
	p := &program.Program{
		Name: "forever", In: []string{"x", "limit"}, Status: 3, Iteration: 1, Results: []int{0, 1, 3},
		Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "iteration", Type: program.I64}, {Name: "limit", Type: program.F64, Fixed: true}, {Name: "status", Type: program.I64}},
		Step:  b.Finish(y, next, b.Select(b.Lt(b.ToFloat(next), limit), b.I(0), b.I(1))),
	}
	b = program.NewBuilder("setup")
	x = b.Input("x", program.F64)
	p.Setup = b.Finish(x, b.I(0), b.Input("limit", program.F64), b.I(0))
	batch := p.NewBatch(500)
	for s := range batch.N {
		batch.In[0][s], batch.In[1][s] = float64(s), steps
	}
	return p, batch
}

// Garbage collection, profiling and preemption find nothing that disturbs them in
// native code, and nothing in it is disturbed: the results stay the same. Run it
// with the race detector too.
func TestNativeUnderCollection(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	done := make(chan struct{})
	defer func() {
		stop.Store(true)
		<-done
		pprof.StopCPUProfile()
		text, err := gzip.NewReader(&profile)
		if err != nil {
			t.Fatal(err)
		}
		names, err := io.ReadAll(text)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(names, []byte("runtime._ExternalCode")) { // what Go calls code that it has not compiled
			t.Error("the profile has no sample in native code")
		}
	}()
	go func() {
		defer close(done)
		var keep [][]byte
		for !stop.Load() {
			keep = append(keep[:len(keep)%64], make([]byte, 1<<12))
			runtime.GC()
		}
	}()
	r := rand.New(rand.NewPCG(7, 8))
	p := progtest.Program(r, 3, 200)
	want := randomBatch(r, p, 3000)
	progtest.Reference(p, want)
	long, longBatch := forever(20000, 20)
	for _, v := range variants(t) {
		x := v.compile(t, p)
		x.threads = 4
		y := v.compile(t, long)
		y.threads = 2
		for range 3 {
			if err := difference(x, p, want); err != nil {
				t.Fatalf("%v: %v", v, err)
			}
		}
		if err := y.Run(context.Background(), longBatch); err != nil {
			t.Fatal(err)
		}
		for s, n := range longBatch.Out[1] {
			if n != 20000 {
				t.Fatalf("%v: sample %d took %v steps, want 20000", v, s, n)
			}
		}
	}
}

// Where the time is in a loop, the values and Bools alive at once are counted in it, apart from those of all the function.
func TestLoopPressure(t *testing.T) {
	for _, c := range []struct {
		trips int
		loops bool
	}{
		{100, true},
		{1, false},
	} {
		b := program.NewBuilder("f")
		x := b.Inputs("x", 4)
		loop := b.Loop(program.At(0), program.At(c.trips), x[:1], func(_ program.Affine, v []program.Value) []program.Value {
			sum := b.Add(v[0], x[1])
			return []program.Value{b.Select(b.Lt(v[0], sum), sum, v[0])}
		})
		var roots, tests []program.Value
		for _, v := range append(x[1:], loop[0]) {
			roots = append(roots, b.Sqrt(v))
		}
		for i, v := range roots {
			tests = append(tests, b.Lt(v, roots[(i+1)%len(roots)]))
		}
		out := b.Select(b.And(tests...), roots[0], x[0])
		w := workspaces.Get().(*workspace)
		l := lower(w, b.Finish(out), 1, false, false)
		if l.loops() != c.loops {
			t.Errorf("%d trips: in loops is %v", c.trips, l.loops())
		}
		// Four roots and four Bools; in the loop what it carries, the sum, and a Bool.
		if l.pressure != 4 || l.masks != 4 || l.loopPressure != 2 || l.loopMasks != 1 {
			t.Errorf("%d values and %d Bools alive at once, want 4 of each, and %d and %d in loops, want 2 and 1", l.pressure, l.masks, l.loopPressure, l.loopMasks)
		}
		w.release()
	}
}

// What operations wait for is the longest chain, in a loop once a trip, through arrays too, without what guards skip.
func TestWait(t *testing.T) {
	root, sum := float64(latency(program.OpSqrt)), float64(latency(program.OpAdd))
	for _, c := range []struct {
		name  string
		write func(b *program.Builder, x, y program.Value) program.Value
		want  float64
	}{
		{"side by side", func(b *program.Builder, x, y program.Value) program.Value { return b.Add(b.Sqrt(b.Sqrt(x)), b.Sqrt(y)) }, 2*root + sum},
		{"loop", func(b *program.Builder, x, y program.Value) program.Value {
			out := b.Loop(program.At(0), program.At(7), []program.Value{x}, func(_ program.Affine, v []program.Value) []program.Value {
				return []program.Value{b.Add(b.Sqrt(v[0]), y)}
			})
			return b.Add(out[0], y)
		}, 7*(root+sum) + sum},
		{"array", func(b *program.Builder, x, y program.Value) program.Value {
			a := b.NewArray(1)
			b.Store(a, program.At(0), b.Sqrt(x))
			return b.Sqrt(b.Load(a, program.At(0)))
		}, 2*root + float64(latency(program.OpStore)+latency(program.OpLoad))},
		{"guard", func(b *program.Builder, x, y program.Value) program.Value {
			return b.Guard(b.Lt(x, y), []program.Value{y}, func() []program.Value { return []program.Value{b.Sqrt(b.Sqrt(x))} })[0]
		}, float64(latency(program.OpLt) + latency(program.OpMerge))},
	} {
		b := program.NewBuilder(c.name)
		x, y := b.Input("x", program.F64), b.Input("y", program.F64)
		w := workspaces.Get().(*workspace)
		if got := lower(w, b.Finish(c.write(b, x, y)), 1, true, false).wait(); got != c.want {
			t.Errorf("%s: %g, want %g", c.name, got, c.want)
		}
		w.release()
	}
}

// A call ends when its runs have made the steps that they may make, and not many ordinary steps later.
func TestNativeRunBudget(t *testing.T) {
	p, b := forever(1e15, 3)
	runs := 0
	for _, v := range variants(t) {
		x := v.compile(t, p)
		if !x.runs {
			continue
		}
		runs++
		w := x.worker()
		w.begin()
		var next atomic.Int64
		w.fill(b, &next, 1)
		w.place()
		const budget = 10
		f := &w.frame
		f.poolLimit, f.strips, f.steps, f.runBudget = math.MaxInt, w.strips, 1000, budget
		w.call(x.step)
		c := slices.Index(x.stages.Kept, p.Iteration)
		for s := range w.strips {
			if n := *w.slot(w.now(), c, s, 0); n < 1 || n > budget+1 {
				t.Errorf("%v: %d steps of strip %d in a call with %d for runs", v, n, s, budget)
			}
		}
		w.release()
	}
	if runs == 0 {
		t.Error("no variant has runs")
	}
}

// Batches of many blocks give every sample its results, whichever core makes them, whether strips end
// together or one by one; when ctx ends, nothing is left of what had been in the results of the others.
func TestNativeBlocks(t *testing.T) {
	p, _ := forever(0, 3)
	want := p.NewBatch(50_001)
	for s := range want.N {
		want.In[0][s], want.In[1][s] = float64(s), 4
		if s/3000%2 == 1 || s%1000 == 0 {
			want.In[1][s] = 4 + float64(s%5)
		}
	}
	progtest.Reference(p, want)
	for _, v := range variants(t) {
		x := v.compile(t, p)
		for _, threads := range []int{1, 2, 5} {
			x.threads = threads
			if err := difference(x, p, want); err != nil {
				t.Fatalf("%v, %d threads: %v", v, threads, err)
			}
			if want.N/(2*threads) < 2*x.poolLen {
				t.Fatalf("%v, %d threads: a batch of %d has no block longer than a pool", v, threads, want.N)
			}
			got := p.NewBatch(want.N)
			copy(got.In[0], want.In[0])
			const first = 20_000 // of those that never end
			for s := range got.N {
				got.In[1][s] = want.In[1][s]
				if s >= first {
					got.In[1][s] = 1e15
				}
				for _, col := range got.Out {
					col[s] = math.NaN()
				}
			}
			ctx, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
			if err := x.Run(ctx, got); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%v, %d threads: error %v, want %v", v, threads, err, context.DeadlineExceeded)
			}
			stop()
			for s := range got.N {
				ended := got.Out[2][s] == 1
				for k, col := range got.Out {
					if ended && (s >= first || col[s] != want.Out[k][s]) || !ended && col[s] != 0 {
						t.Fatalf("%v, %d threads, sample %d of an abandoned batch: result %d is %v", v, threads, s, k, col[s])
					}
				}
			}
		}
	}
}

// Setup and what results take may be so long that they, too, are made in several calls.
func TestNativeLongSetup(t *testing.T) {
	p, _ := forever(0, 1)
	work := func(b *program.Builder, x program.Value) program.Value {
		for range 5000 {
			x = b.FMA(x, b.F(0.999), b.F(0.25))
		}
		return x
	}
	b := program.NewBuilder("setup")
	x := b.Input("x", program.F64)
	p.Setup = b.Finish(work(b, x), b.I(0), b.Input("limit", program.F64), b.I(0), b.F(0))
	b = program.NewBuilder("step")
	slots := make([]program.Value, len(p.Slots))
	for i, s := range p.Slots {
		slots[i] = b.Input(s.Name, s.Type)
	}
	b.Input("reported", program.F64)
	p.Step = b.Finish(append(b.Inline(p.Step, slots...), work(b, slots[0]))...)
	p.Slots = append(p.Slots, program.Slot{Name: "reported", Type: program.F64})
	p.Results = append(p.Results, len(p.Slots)-1)
	want := p.NewBatch(600)
	for s := range want.N {
		want.In[0][s], want.In[1][s] = float64(s), 4
	}
	progtest.Reference(p, want)
	for _, v := range variants(t) {
		x := v.compile(t, p)
		for _, k := range []int{0, 2} {
			if n := x.budget(x.cost[k]) * x.width(); n >= x.poolLen {
				t.Fatalf("%v: %d of %d samples in one call", v, n, x.poolLen)
			}
		}
		if err := difference(x, p, want); err != nil {
			t.Fatalf("%v: %v", v, err)
		}
	}
}

// Programs that machine code cannot hold are refused with an error that says why: numbers that instructions cannot hold, arrays and
// slots that no memory could, and guards that are longer than a call.
func TestNativeLimits(t *testing.T) {
	function := func(write func(b *program.Builder, x program.Value) program.Value) *program.Program {
		b := program.NewBuilder("f")
		return progtest.Wrap(b.Finish(write(b, b.Input("x", program.F64))))
	}
	slots := func(n int) *program.Program {
		b, p := program.NewBuilder("step"), &program.Program{Name: "slots", In: []string{"x"}}
		setup := program.NewBuilder("setup")
		x := setup.Input("x", program.F64)
		var step, start []program.Value
		for k := range n {
			p.Slots = append(p.Slots, program.Slot{Name: fmt.Sprintf("x%d", k), Type: program.F64})
			step, start = append(step, b.Mul(b.Input(p.Slots[k].Name, program.F64), b.F(float64(k)))), append(start, x)
			p.Results = append(p.Results, k)
		}
		p.Status, p.Iteration = n, n+1
		p.Slots = append(p.Slots, program.Slot{Name: "status", Type: program.I64}, program.Slot{Name: "iteration", Type: program.I64})
		b.Input("status", program.I64)
		p.Step = b.Finish(append(step, b.I(1), b.IAdd(b.Input("iteration", program.I64), b.I(1)))...)
		p.Setup = setup.Finish(append(start, setup.I(0), setup.I(0))...)
		return p
	}
	for _, c := range []struct {
		want string
		p    *program.Program
	}{
		{"an index with the number 1099511627776, at most 2147483647 is allowed in native code", function(func(b *program.Builder, x program.Value) program.Value {
			return b.Add(x, b.ToFloat(b.IndexValue(program.At(1<<40))))
		})},
		{"local arrays of more than 268435456 bytes, which are allowed in native code", function(func(b *program.Builder, x program.Value) program.Value {
			a := b.NewArray(1 << 30)
			b.Store(a, program.At(7), x)
			return b.Load(a, program.At(7))
		})},
		{"a guard of 100052 operations on vectors, at most 100000 are allowed in native code", function(guarded(straight(callOperations+50, add)))},
		{"20001 slots, at most 12500 are allowed in native code", slots(20000)},
	} {
		_, err := emitProgram(c.p, &avx512, emitOptions{vectors: 1})
		if limit := limitError(""); !errors.As(err, &limit) || err.Error() != c.want {
			t.Errorf("error %q, want the limit %q", err, c.want)
		}
	}
}

// With INVAR_TEST_SET the best instruction set of this processor is known from elsewhere: make test-emulated chooses it.
func TestNativeNames(t *testing.T) {
	all, err := sets()
	if err != nil {
		t.Fatal(err)
	}
	if want := os.Getenv("INVAR_TEST_SET"); want != "" && all[0].name != want {
		t.Errorf("%s is found to be the best instruction set, want %s", all[0].name, want)
	}
	e, err := NewNative()
	if err != nil {
		t.Fatal(err)
	}
	if want := "native " + all[0].name; e.Name() != want || (Native{}).Name() != want {
		t.Errorf("the engine is called %q, want %q", e.Name(), want)
	}
	if e, note := Auto(); note != "" || e.Name() != "native "+all[0].name {
		t.Errorf("%s is chosen (%s), want native %s", e.Name(), note, all[0].name)
	}
	p, _ := forever(1, 1)
	if _, err := (Native{Set: "avx1024"}).Compile(p); err == nil || !strings.Contains(err.Error(), "avx1024") {
		t.Errorf("error %v for an unknown instruction set", err)
	}
	if _, err := (Native{Threads: -1}).Compile(p); err == nil {
		t.Error("-1 threads are accepted")
	}
}

// A system that forbids executable pages is found out before anything is
// compiled, and the note says why.
func TestNativeForbidden(t *testing.T) {
	if err := try(executablePages); err != nil {
		t.Fatal(err)
	}
	forbid := errors.New("the system forbids executable pages: permission denied")
	if err := try(func([]byte) ([]byte, error) { return nil, forbid }); err != forbid {
		t.Errorf("error %v, want %v", err, forbid)
	}
	e, note := automatic(func() (string, error) { return "", forbid })
	if want := "cpu: no native code: the system forbids executable pages: permission denied; using the portable engine"; note != want || e.Name() != "portable" {
		t.Errorf("engine %s with the note %q, want portable with %q", e.Name(), note, want)
	}
}
