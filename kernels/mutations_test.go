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

// replace is a mutation by a regular expression.
func replace(from, to string) func(string) string {
	re := regexp.MustCompile(from)
	return func(text string) string { return re.ReplaceAllString(text, to) }
}

// mutations are faults that the emitter could have, made in what it wrote.
var mutations = []struct {
	name string
	edit func(string) string
}{
	// The table: each row's instruction by one that is nearly right.
	{"add rounds toward zero", replace(`add\.rn`, "add.rz")},
	{"add is sub", replace(`add\.rn`, "sub.rn")},
	{"sub rounds down", replace(`sub\.rn`, "sub.rm")},
	{"sub the other way round", replace(`sub\.rn\.f64 (\S+), (\S+), (\S+);`, "sub.rn.f64 $1, $3, $2;")},
	{"mul rounds up", replace(`mul\.rn`, "mul.rp")},
	{"div rounds toward zero", replace(`div\.rn`, "div.rz")},
	{"div the other way round", replace(`div\.rn\.f64 (\S+), (\S+), (\S+);`, "div.rn.f64 $1, $3, $2;")},
	{"sqrt rounds toward zero", replace(`sqrt\.rn`, "sqrt.rz")},
	{"fma rounds toward zero", replace(`fma\.rn`, "fma.rz")},
	{"fma with its operands exchanged", replace(`fma\.rn\.f64 (\S+), (\S+), (\S+), (\S+);`, "fma.rn.f64 $1, $2, $4, $3;")},
	{"fma in two roundings", replace(`fma\.rn\.f64 (\S+), (\S+), (\S+), (\S+);`, "mul.rn.f64 %d0x, $2, $3; add.rn.f64 $1, %d0x, $4;")},
	{"neg is abs", replace(`neg\.f64`, "abs.f64")},
	{"abs is neg", replace(`abs\.f64`, "neg.f64")},
	{"round truncates", replace(`cvt\.rni`, "cvt.rzi")},
	{"round goes up", replace(`cvt\.rni`, "cvt.rpi")},
	{"floor truncates", replace(`cvt\.rmi`, "cvt.rzi")},
	{"trunc floors", replace(`cvt\.rzi`, "cvt.rmi")},
	{"lt is le", replace(`setp\.lt\.f64`, "setp.le.f64")},
	{"lt holds with a NaN", replace(`setp\.lt\.f64`, "setp.ltu.f64")},
	{"le is lt", replace(`setp\.le\.f64`, "setp.lt.f64")},
	{"le holds with a NaN", replace(`setp\.le\.f64`, "setp.leu.f64")},
	{"eq holds with a NaN", replace(`setp\.eq\.f64`, "setp.equ.f64")},
	{"eq is le", replace(`setp\.eq\.f64`, "setp.le.f64")},
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
	{"select of numbers the other way round", replace(`selp\.f64 (\S+), (\S+), (\S+), `, "selp.f64 $1, $3, $2, ")},
	{"select of integers the other way round", replace(`selp\.b64 (\S+), (%l\d+), (%l\d+), `, "selp.b64 $1, $3, $2, ")},
	{"a narrow sum is a difference", replace(`add\.s32 (%w\d+), (%w\d+), (%w\d+);`, "sub.s32 $1, $2, $3;")},
	{"a narrow comparison is unsigned", replace(`setp\.lt\.s32`, "setp.lt.u32")},
	{"a narrow select the other way round", replace(`selp\.b32 (\S+), (\S+), (\S+), `, "selp.b32 $1, $3, $2, ")},
	{"a narrow number is widened without its sign", replace(`cvt\.s64\.s32`, "cvt.u64.u32")},

	// Memory.
	{"a table is read one on", replace(`(and\.b64 %l\d+, %l\d+, )(\d+);\n\tshl`, "${1}0;\n\tshl")},
	{"a table's index is not taken modulo", replace(`and\.b64 (%l\d+), (%l\d+), \d+;\n\tshl`, "mov.b64 $1, $2;\n\tshl")},
	{"array elements are 4 bytes", replace(`(mad\.wide\.s32 \S+, \S+, )8,`, "${1}4,")},
	{"a load is one element on", replace(`(ld\.local\.f64 \S+, \[\S+)\]`, "$1+8]")},
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
	{"what moves at once moves one by one", oneByOne},

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
	move := regexp.MustCompile(`mov\.\w+ (%[dlp]\d+), (%[dlp]\d+);`)
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
		changed, caught := false, false
		for i, p := range programs {
			e, err := New(0)
			if err != nil {
				t.Fatal(err)
			}
			e.budget = 3
			e.edit = func(text string) string {
				edited := m.edit(text)
				if strings.Contains(edited, "%d0x") {
					edited = strings.Replace(edited, "{\n", "{\n\t.reg .f64 %d0x<1>;\n", 1)
					edited = strings.ReplaceAll(strings.ReplaceAll(edited, "%d0x<1>", "%scratch<1>"), "%d0x", "%scratch0")
				}
				changed = changed || edited != text
				return edited
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
			t.Errorf("%s: no kernel has what this changes", m.name)
		case !caught:
			t.Errorf("%s: not caught", m.name)
		}
	}
}

// samplePrograms are small programs that together use everything.
func samplePrograms(t *testing.T) (programs []*program.Program, batches []*program.Batch) {
	t.Helper()
	add := func(p *program.Program, b *program.Batch) {
		programs, batches = append(programs, p), append(batches, b)
	}
	for k := range uint64(60) {
		r := rand.New(rand.NewPCG(21, k))
		p := progtest.Program(r, 1+r.IntN(4), 20+r.IntN(150))
		if k%3 == 0 {
			p = progtest.Wrap(progtest.Func(r, progtest.Types(r, 1+r.IntN(6)), progtest.Types(r, 4), 20+r.IntN(150)))
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
		prog, err := batch.Compile(m, specs[0], batch.Options{Limits: batch.Limits{Iterations: 12, GTol: 1e-6}})
		if err != nil {
			t.Fatal(err)
		}
		add(prog, starts(rand.New(rand.NewPCG(1, 1)), p, prog, 20))
	}
	p, _ := everyOperation()
	add(p, everyValue(p, 3))
	for range 2 { // traced and not
		p = countingUp()
		add(p, p.NewBatch(5))
	}
	return programs, batches
}

// countingUp is a program whose count is negative where all of its 64 bits matter.
func countingUp() *program.Program {
	set, step := program.NewBuilder("setup"), program.NewBuilder("step")
	p := &program.Program{Name: "counting up", Status: 0, Iteration: 1, Results: []int{0, 1, 2},
		Slots: []program.Slot{{Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}, {Name: "bits", Type: program.I64}}}
	p.Setup = set.Finish(set.I(0), set.I(-3), set.I(0))
	step.Input("status", program.I64)
	count := step.Input("iteration", program.I64)
	next := step.IAdd(count, step.I(1))
	bits := step.IXor(step.Input("bits", program.I64), step.Shr(count, step.I(40)))
	p.Step = step.Finish(step.Select(step.ILt(next, step.I(5)), step.I(0), step.I(1)), next, bits)
	return p
}
