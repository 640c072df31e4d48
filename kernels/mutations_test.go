//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"invar/batch"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/program/progtest"
)

// edit changes a kernel's text.
type edit func(text string) string

// replace is a mutation by a regular expression; where it says TYPE, one for each type of numbers.
func replace(from, to string) []edit {
	var all []edit
	for _, typ := range []string{"f64", "f32"} {
		re, to := regexp.MustCompile(strings.ReplaceAll(from, "TYPE", typ)), strings.ReplaceAll(to, "TYPE", typ)
		all = append(all, func(text string) string { return re.ReplaceAllString(text, to) })
		if !strings.Contains(from, "TYPE") {
			break
		}
	}
	return all
}

// mutations are faults that the emitter could have, made in what it wrote.
var mutations = []struct {
	name  string
	edits []edit
}{
	// The table: each row's instruction by one that is nearly right.
	{"add rounds toward zero", replace(`add\.rn\.TYPE`, "add.rz.TYPE")},
	{"add is sub", replace(`add\.rn\.TYPE`, "sub.rn.TYPE")},
	{"sub rounds down", replace(`sub\.rn\.TYPE`, "sub.rm.TYPE")},
	{"sub the other way round", replace(`sub\.rn\.TYPE (\S+), (\S+), (\S+);`, "sub.rn.TYPE $1, $3, $2;")},
	{"mul rounds up", replace(`mul\.rn\.TYPE`, "mul.rp.TYPE")},
	{"div rounds toward zero", replace(`div\.rn\.TYPE`, "div.rz.TYPE")},
	{"div the other way round", replace(`div\.rn\.TYPE (\S+), (\S+), (\S+);`, "div.rn.TYPE $1, $3, $2;")},
	{"sqrt rounds toward zero", replace(`sqrt\.rn\.TYPE`, "sqrt.rz.TYPE")},
	{"fma rounds toward zero", replace(`fma\.rn\.TYPE`, "fma.rz.TYPE")},
	{"fma with its operands exchanged", replace(`fma\.rn\.TYPE (\S+), (\S+), (\S+), (\S+);`, "fma.rn.TYPE $1, $2, $4, $3;")},
	{"fma in two roundings", replace(`fma\.rn\.TYPE (\S+), (\S+), (\S+), (\S+);`, "mul.rn.TYPE %TYPEscratch0, $2, $3; add.rn.TYPE $1, %TYPEscratch0, $4;")},
	{"neg is abs", replace(`neg\.TYPE`, "abs.TYPE")},
	{"abs is neg", replace(`abs\.TYPE`, "neg.TYPE")},
	{"round truncates", replace(`cvt\.rni\.TYPE`, "cvt.rzi.TYPE")},
	{"round goes up", replace(`cvt\.rni\.TYPE`, "cvt.rpi.TYPE")},
	{"floor truncates", replace(`cvt\.rmi\.TYPE`, "cvt.rzi.TYPE")},
	{"trunc floors", replace(`cvt\.rzi\.TYPE`, "cvt.rmi.TYPE")},
	{"lt is le", replace(`setp\.lt\.TYPE`, "setp.le.TYPE")},
	{"lt holds with a NaN", replace(`setp\.lt\.TYPE`, "setp.ltu.TYPE")},
	{"le is lt", replace(`setp\.le\.TYPE`, "setp.lt.TYPE")},
	{"le holds with a NaN", replace(`setp\.le\.TYPE`, "setp.leu.TYPE")},
	{"eq holds with a NaN", replace(`setp\.eq\.TYPE`, "setp.equ.TYPE")},
	{"eq is le", replace(`setp\.eq\.TYPE`, "setp.le.TYPE")},
	{"and is or", replace(`and\.pred`, "or.pred")},
	{"or is xor", replace(`or\.pred`, "xor.pred")},
	{"not is nothing", replace(`not\.pred`, "mov.pred")},
	{"iadd is isub", replace(`add\.s64 (%l\d+), (%l\d+), (-?\d+|0x\w+);`, "sub.s64 $1, $2, $3;")},
	{"isub is iadd", replace(`sub\.s64`, "add.s64")},
	{"mulu32 is signed", replace(`mul\.wide\.u32`, "mul.wide.s32")},
	{"iand is ior", replace(`and\.b64`, "or.b64")},
	{"ior is ixor", replace(`(\s)or\.b64`, "${1}xor.b64")},
	{"ixor is ior", replace(`xor\.b64`, "or.b64")},
	{"a shift by 64 is one by 63", replace(`, 64; ?`, ", 63;")},
	{"a shift count is signed", replace(`min\.u64`, "min.s64")},
	{"shl shifts right", replace(`shl\.b64 (\S+), (\S+), %w`, "shr.u64 $1, $2, %w")},
	{"shr is arithmetic", replace(`shr\.u64`, "shr.s64")},
	{"ilt is unsigned", replace(`setp\.lt\.s64`, "setp.lt.u64")},
	{"ilt is ile", replace(`setp\.lt\.s64`, "setp.le.s64")},
	{"ieq is ine", replace(`setp\.eq\.s64 (%p\d+), (%l\d+), (%l\d+)`, "setp.ne.s64 $1, $2, $3")},
	{"select of numbers the other way round", replace(`selp\.TYPE (\S+), (\S+), (\S+), `, "selp.TYPE $1, $3, $2, ")},
	{"select of integers the other way round", replace(`selp\.b64 (\S+), (%l\d+), (%l\d+), `, "selp.b64 $1, $3, $2, ")},
	{"a narrow sum is a difference", replace(`add\.s32 (%w\d+), (%w\d+), (%w\d+);`, "sub.s32 $1, $2, $3;")},
	{"a narrow comparison is unsigned", replace(`setp\.lt\.s32`, "setp.lt.u32")},
	{"a narrow select the other way round", replace(`selp\.b32 (\S+), (\S+), (\S+), `, "selp.b32 $1, $3, $2, ")},
	{"a narrow number is widened without its sign", replace(`cvt\.s64\.s32`, "cvt.u64.u32")},

	// What is different for f32.
	{"add flushes subnormal numbers", replace(`add\.rn\.f32`, "add.rn.ftz.f32")},
	{"sub flushes subnormal numbers", replace(`sub\.rn\.f32`, "sub.rn.ftz.f32")},
	{"mul flushes subnormal numbers", replace(`mul\.rn\.f32`, "mul.rn.ftz.f32")},
	{"div flushes subnormal numbers", replace(`div\.rn\.f32`, "div.rn.ftz.f32")},
	{"sqrt flushes subnormal numbers", replace(`sqrt\.rn\.f32`, "sqrt.rn.ftz.f32")},
	{"fma flushes subnormal numbers", replace(`fma\.rn\.f32`, "fma.rn.ftz.f32")},
	{"neg flushes subnormal numbers", replace(`neg\.f32`, "neg.ftz.f32")},
	{"abs flushes subnormal numbers", replace(`abs\.f32`, "abs.ftz.f32")},
	{"floor flushes subnormal numbers", replace(`cvt\.rmi\.f32`, "cvt.rmi.ftz.f32")},
	{"comparisons flush subnormal numbers", replace(`setp\.(lt|le|eq)\.f32`, "setp.$1.ftz.f32")},
	{"widen flushes subnormal numbers", replace(`cvt\.f64\.f32`, "cvt.ftz.f64.f32")},
	{"narrow flushes subnormal numbers", replace(`cvt\.rn\.f32\.f64`, "cvt.rn.ftz.f32.f64")},
	{"narrow rounds toward zero", replace(`cvt\.rn\.f32\.f64`, "cvt.rz.f32.f64")},
	{"fma is rounded to f64 first", replace(`fma\.rn\.f32 (\S+), (\S+), (\S+), (\S+);`, "cvt.f64.f32 %f64scratch0, $2; cvt.f64.f32 %f64scratch1, $3; "+
		"cvt.f64.f32 %f64scratch2, $4; fma.rn.f64 %f64scratch0, %f64scratch0, %f64scratch1, %f64scratch2; cvt.rn.f32.f64 $1, %f64scratch0;")},
	{"an f32 goes into a register of an f64", replace(`(add|neg|selp|mov|ld\.local)((\.rn)?\.f32) %f\d+`, "$1$2 %f64scratch0")},
	{"an f64 goes into a register of an f32", replace(`(add|neg|selp|mov|ld\.local)((\.rn)?\.f64) %d\d+`, "$1$2 %f32scratch0")},
	{"the bits of an f32 have a sign", replace(`cvt\.u64\.u32`, "cvt.s64.s32")},

	// Memory.
	{"a table is read one on", replace(`(and\.b64 %l\d+, %l\d+, )(\d+);\n\tshl`, "${1}0;\n\tshl")},
	{"a table's index is not taken modulo", replace(`and\.b64 (%l\d+), (%l\d+), \d+;\n\tshl`, "mov.b64 $1, $2;\n\tshl")},
	{"elements of an array of f64 are 4 bytes", replace(`(mad\.wide\.s32 \S+, \S+, )8,`, "${1}4,")},
	{"elements of an array of f32 are 8 bytes", replace(`(mad\.wide\.s32 \S+, \S+, )4,`, "${1}8,")},
	{"elements of a table of f64 are 4 bytes", replace(`(and\.b64 %l\d+, %l\d+, \d+;\n\tshl\.b64 \S+, \S+,) 3;`, "$1 2;")},
	{"elements of a table of f32 are 8 bytes", replace(`(and\.b64 %l\d+, %l\d+, \d+;\n\tshl\.b64 \S+, \S+,) 2;`, "$1 3;")},
	{"a load is further on", replace(`(ld\.local\.TYPE \S+, \[\S+)\]`, "$1+8]")},
	{"a constant offset is left out", replace(`(\[%l\d+)\+\d+\]`, "$1+0]")},
	{"arrays share their memory", replace(`\barray[1-9]\b`, "array0")},

	// Loops, guards, assignments.
	{"loops go once too often", replace(`setp\.lt\.s32`, "setp.le.s32")},
	{"loops count by two", replace(`add\.s32 (%w\d+), (%w\d+), 1;\n\tsetp`, "add.s32 $1, $2, 2;\n\tsetp")},
	{"loops go at least once", replace(`@!(%p\d+) bra endloop_\d+;`, "")},
	{"an index forgets its factor", replace(`mad\.lo\.s32 (\S+), (\S+), \S+, (\S+);`, "add.s32 $1, $2, $3;")},
	{"an index forgets its sign", replace(`mad\.lo\.s32 (\S+), (\S+), -`, "mad.lo.s32 $1, $2, ")},
	{"guards are the other way round", replace(`@!(%p\d+) bra else_`, "@$1 bra else_")},
	{"guards always run and merge", replace(`@!%p\d+ bra else_\d+;`, "")},
	{"guards fall through into their else", replace(`bra endguard_\d+;`, "")},
	{"what moves at once moves one by one", []edit{oneByOne}},

	// The frame around the program.
	{"every other sample is skipped", replace(`(atom\.global\.add\.u64 \S+, \[%l3\], )1;`, "${1}2;")},
	{"one sample too many", replace(`setp\.ge\.u64 (%p\d+), (%l\d+), %l2;`, "setp.gt.u64 $1, $2, %l2;")},
	{"one sample too few", replace(`(setp\.ge\.u64 %p\d+), (%l\d+), (%l2);`, "add.s64 $2, $2, 1; $1, $2, $3; sub.s64 $2, $2, 1;")},
	{"columns overlap", replace(`(shl\.b64 %l\d+, %l2, )3;`, "${1}2;")},
	{"a thread takes another's saved sample", replace(`mad\.lo\.u32 (%w\d+), (%w\d+), (%w\d+), %w\d+;`, "mul.lo.u32 $1, $2, $3;")},
	{"saved words overlap", replace(`mul\.wide\.u32 (%l\d+), (%w\d+), 8;`, "mul.wide.u32 $1, $2, 0;")},
	{"saved samples are not counted", replace(`atom\.global\.add\.u64 \S+, \[%l3\+8\], %l\d+;`, "")},
	{"a saved sample is forgotten", replace(`add\.s64 (%l\d+), (%l\d+), 1;(\n\tst\.global\.u64 \[%l\d+\], %l\d+;\n\tadd)`, "mov.b64 $1, 0;$3")},
	{"a saved sample is the one before", replace(`add\.s64 (%l\d+), (%l\d+), 1;(\n\tst\.global\.u64 \[%l\d+\], %l\d+;\n\tadd)`, "mov.b64 $1, $2;$3")},
	{"who leaves saves a sample", replace(`mov\.b64 (%l\d+), 0;(\n\tst\.global\.u64 \[%l\d+\], %l\d+;\n\tret)`, "mov.b64 $1, 1;$2")},
	{"no sample is taken for one", replace(`@(%p\d+) bra first_`, "@!$1 bra first_")},
	{"a sample that ends goes on", replace(`@%p\d+ bra (on|going)_`, "bra ${1}_")},
	{"a running sample is given up", replace(`@(%p\d+) bra (on|going)_`, "@!$1 bra ${2}_")},
	{"integers are reported as their bits", replace(`cvt\.rn\.f64\.s64`, "mov.b64")},
	{"integers are reported rounded down", replace(`cvt\.rn\.f64\.s64`, "cvt.rm.f64.s64")},
	{"a trace keeps its shortest length", replace(`max\.u64`, "min.u64")},
	{"a trace is one row longer", replace(`setp\.ge\.u64 (%p\d+), (%l\d+), (%l\d+); // or`, "setp.gt.u64 $1, $2, $3; // or")},
	{"a trace takes negative rows", replace(`setp\.ge\.u64 (%p\d+), (%l\d+), (%l\d+); // or`, "setp.ge.s64 $1, $2, $3; // or")},
}

// oneByOne takes the temporary registers out of assignments of several registers at once.
func oneByOne(text string) string {
	move := regexp.MustCompile(`mov\.\w+ (%[dflp]\d+), (%[dflp]\d+);`)
	for _, m := range move.FindAllStringSubmatch(text, -1) {
		// A temporary is written once and read once, by a move.
		uses := regexp.MustCompile(regexp.QuoteMeta(m[1])+`\b`).FindAllStringIndex(text, -1)
		if len(uses) == 2 && move.MatchString(text[strings.LastIndexByte(text[:uses[1][0]], '\n'):]) {
			text = text[:uses[1][0]] + m[2] + text[uses[1][1]:]
		}
	}
	return text
}

// TestMutations breaks the kernels in every way of the list; each must show in the results, or as an error.
func TestMutations(t *testing.T) {
	if onGPU { // a broken kernel takes the context with it, and the interpreter alone checks addresses
		return
	}
	standin(t, "order=shuffle,quiet")
	programs, batches := samplePrograms(t)
	for _, m := range mutations {
		for k, edit := range m.edits {
			changed, caught := false, false
			for i, p := range programs {
				e, err := New(0)
				if err != nil {
					t.Fatal(err)
				}
				e.budget = 3
				e.edit = func(text string) string {
					edited := edit(text)
					changed = changed || edited != text
					return strings.Replace(edited, "{\n", "{\n\t.reg .f64 %f64scratch<3>;\n\t.reg .f32 %f32scratch<1>;\n", 1)
				}
				ctx, stop := context.WithTimeout(context.Background(), 2e9)
				d, err := differWithin(ctx, e, p, batches[i], i%2 == 0)
				stop()
				e.Close() // fails where the context is lost
				if caught = d != "" || err != nil; caught {
					break
				}
			}
			switch {
			case !changed:
				t.Errorf("%s (%d of %d): no kernel has what this changes", m.name, k+1, len(m.edits))
			case !caught:
				t.Errorf("%s (%d of %d): not caught", m.name, k+1, len(m.edits))
			}
		}
	}
}

// samplePrograms are small programs that together use everything.
func samplePrograms(t *testing.T) (programs []*program.Program, batches []*program.Batch) {
	t.Helper()
	add := func(p *program.Program, b *program.Batch) {
		programs, batches = append(programs, p), append(batches, b)
	}
	for k := range uint64(90) {
		r := rand.New(rand.NewPCG(21, k))
		floats := [][]program.Type{{program.F64}, {program.F32}, {program.F64, program.F32}}[k/3%3]
		p := progtest.Program(r, 1+r.IntN(4), 20+r.IntN(150), floats...)
		if k%3 == 0 {
			p = progtest.Wrap(progtest.Func(r, progtest.Types(r, 1+r.IntN(6), floats...), progtest.Types(r, 4, floats...), 20+r.IntN(150)))
		}
		if k%3 == 1 {
			p.Optimize()
		}
		b := p.NewBatch(40)
		for i := range b.In {
			for s := range b.In[i] {
				b.In[i][s] = progtest.Number(r)
			}
		}
		add(p, b)
	}
	for _, c := range [][2]string{{"sine", "newton"}, {"heat", "hig"}, {"square", "lbfgs"}} {
		p, err := problem.Builtin(c[0])
		if err != nil {
			t.Fatal(err)
		}
		m, err := graph.New(p)
		if err != nil {
			t.Fatal(err)
		}
		specs, err := batch.ParseMethods(c[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, dtype := range []program.Type{program.F64, program.F32} {
			prog, err := batch.Compile(m, specs[0], batch.Options{Limits: batch.Limits{Iterations: 12, GTol: 1e-6}, DType: dtype})
			if err != nil {
				t.Fatal(err)
			}
			add(prog, starts(rand.New(rand.NewPCG(1, 1)), p, prog, 20))
		}
	}
	p, _ := everyOperation()
	add(p, everyValue(p, 3))
	p = countdown()
	b := p.NewBatch(20)
	for s := range b.N {
		b.In[0][s] = float64(s)
	}
	add(p, b)
	return programs, batches
}

// countdown is a program that reports a narrow count, which is negative for most samples: of halvings of x until it
// is below 1, from -4 on and at most ten.
func countdown() *program.Program {
	step := program.NewBuilder("step")
	x, n := step.Input("x", program.F64), step.Input("n", program.I64)
	step.Input("status", program.I64)
	step.Input("iteration", program.I64)
	x, n = step.Mul(x, step.F(0.5)), step.IAdd(n, step.I(1))
	over := step.Or(step.Lt(x, step.F(1)), step.Not(step.ILt(n, step.I(6))))
	set := program.NewBuilder("setup")
	return &program.Program{
		Name: "countdown", In: []string{"x"}, Status: 2, Iteration: 3, Results: []int{1},
		Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "n", Type: program.I64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
		Setup: set.Finish(set.Input("x", program.F64), set.I(-4), set.I(0), set.I(-1)),
		Step:  step.Finish(x, n, step.Select(over, step.I(1), step.I(0)), step.I(0)),
	}
}
