//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"invar/batch"
	"invar/graph"
	"invar/kernels/ptx"
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
	{"a narrow number is widened without its sign", replace(`cvt\.s64\.s32`, "cvt.u64.u32")},

	// Memory.
	{"a table is read one on", replace(`(and\.b64 %l\d+, %l\d+, )(\d+);\n\tshl`, "${1}0;\n\tshl")},
	{"a table's index is not taken modulo", replace(`and\.b64 (%l\d+), (%l\d+), \d+;\n\tshl`, "mov.b64 $1, $2;\n\tshl")},
	{"elements of an array of f64 are 4 bytes", replace(`(mad\.wide\.s32 \S+, \S+, )8,`, "${1}4,")},
	{"elements of an array of f32 are 8 bytes", replace(`(mad\.wide\.s32 \S+, \S+, )4,`, "${1}8,")},
	{"elements of a table of f64 are 4 bytes", replace(`(and\.b64 %l\d+, %l\d+, \d+;\n\tshl\.b64 \S+, \S+,) 3;`, "$1 2;")},
	{"elements of a table of f32 are 8 bytes", replace(`(and\.b64 %l\d+, %l\d+, \d+;\n\tshl\.b64 \S+, \S+,) 2;`, "$1 3;")},
	{"a load of an f64 is one element on", replace(`(ld\.local\.f64 \S+, \[\S+)\]`, "$1+8]")},
	{"a load of an f32 is one element on", replace(`(ld\.local\.f32 \S+, \[\S+)\]`, "$1+4]")},
	{"a load of an f32 takes the other half", replace(`(ld\.local)\.f32 %f\d+`, "$1.f64 %d0")},
	{"a saved f32 is the word's other half", replace(`(ld\.global\.f32 \S+, \[%l\d+)\]`, "$1+4]")},
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
	{"an fma of f32 is rounded to f64 first", throughF64},

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

// throughF64 computes fmas of f32 in f64, whose rounding the one to f32 follows.
func throughF64(text string) string {
	text = replace(`fma\.rn\.f32 (\S+), (\S+), (\S+), (\S+);`, "cvt.f64.f32 %wide0, $2; cvt.f64.f32 %wide1, $3; cvt.f64.f32 %wide2, $4; "+
		"fma.rn.f64 %wide0, %wide0, %wide1, %wide2; cvt.rn.f32.f64 $1, %wide0;")(text)
	return replace(`(?s)^(.*?\{\n)(.*%wide)`, "$1\t.reg .f64 %wide<3>;\n$2")(text)
}

// TestMutations breaks the kernels in every way of the list; each must show in the results, or as an error.
func TestMutations(t *testing.T) {
	if onGPU { // a broken kernel takes the context with it, and the interpreter alone checks addresses
		return
	}
	standin(t, "order=shuffle,quiet")
	programs, batches := samplePrograms(t)
	for _, m := range mutations {
		changed := false
		caught := shows(t, programs, batches, broken, func(text string) string {
			edited := m.edit(text)
			changed = changed || edited != text
			return edited
		})
		switch {
		case !changed:
			t.Errorf("%s: no kernel has what this changes", m.name)
		case !caught:
			t.Errorf("%s: not caught", m.name)
		}
	}
}

// broken is the time that a spoilt kernel has for a small batch: some go on for ever.
const broken = 2 * time.Second

// shows reports whether edited kernels of the programs differ from the CPU somewhere, fail, or do not end within the limit.
func shows(t *testing.T, programs []*program.Program, batches []*program.Batch, limit time.Duration, edit func(text string) string) bool {
	t.Helper()
	for i, p := range programs {
		e, err := New(0)
		if err != nil {
			t.Fatal(err)
		}
		e.budget = 3
		e.edit = edit
		ctx, stop := context.WithTimeout(context.Background(), limit)
		d, err := differWithin(ctx, e, p, batches[i], i%2 == 0)
		stop()
		e.Close() // fails where the context is lost
		if d != "" || err != nil {
			return true
		}
	}
	return false
}

// spoilt lists what may be wrong with a row of the table: what to look for in it, and what stands there instead.
var spoilt = []struct{ name, from, to string }{
	{"rounds toward zero", `\.rn\.`, ".rz."},
	{"rounds up", `\.rn\.`, ".rp."},
	{"truncates", `\.r[nm]i`, ".rzi"},
	{"floors", `\.r[nz]i`, ".rmi"},
	{"goes up", `\.r[nmz]i`, ".rpi"},
	{"subtracts", `\badd\.`, "sub."},
	{"adds", `\bsub\.|\bmul\.(rn)`, "add.$1"},
	{"multiplies", `\bdiv\.`, "mul."},
	{"rounds the product too", `fma\.rn\.(f\d\d) \$d, \$a, \$b, \$c;`, "mul.rn.$1 $$d, $$a, $$b; add.rn.$1 $$d, $$d, $$c;"},
	{"flushes subnormal numbers", `^(add|sub|mul|div|sqrt|fma|neg|abs|cvt|setp)(\.\w+?)??\.f(32|64\.f32)`, "$1$2.ftz.f$3"},
	{"is of the other type", `\.f32`, ".f64"},
	{"is of the other type", `\.f64`, ".f32"},
	{"takes no root", `sqrt\.rn\.`, "mov."},
	{"negates", `\babs\.|\bmov\.(f)`, "neg.$1"},
	{"forgets the sign", `\bneg\.`, "abs."},
	{"does not negate", `\bnot\.pred`, "mov.pred"},
	{"negates the predicate", `\bmov\.pred`, "not.pred"},
	{"is or", `\b(and|xor)\.`, "or."},
	{"is xor", `\bor\.`, "xor."},
	{"is and", `\b(or|xor)\.`, "and."},
	{"shifts right", `\bshl\.b64`, "shr.u64"},
	{"shifts left", `\bshr\.u64`, "shl.b64"},
	{"shifts the sign in", `\bshr\.u64`, "shr.s64"},
	{"shifts by 63 at most", `, 64;`, ", 63;"},
	{"has a signed count", `\bmin\.u64`, "min.s64"},
	{"is signed", `\bmul\.wide\.u32`, "mul.wide.s32"},
	{"extends the sign", `\bcvt\.u64\.u32`, "cvt.s64.s32"},
	{"is unsigned", `\b(setp\.lt)\.s`, "$1.u"},
	{"holds for equals", `\bsetp\.lt`, "setp.le"},
	{"holds not for equals", `\bsetp\.le`, "setp.lt"},
	{"holds for less", `\bsetp\.eq`, "setp.le"},
	{"holds the other way round", `\bsetp\.l`, "setp.g"},
	{"holds with a NaN", `\b(setp\.\w+)\.f`, "${1}u.f"},
	{"is the opposite", `\bsetp\.eq`, "setp.ne"},
	{"takes the first operand twice", `\$b`, "$$a"},
	{"takes the second operand twice", `\$a`, "$$b"},
	{"takes the third operand twice", `\$b`, "$$c"},
}

// faults are the spoilt forms of a row by what is wrong with them.
func faults(row string) map[string]string {
	all := map[string]string{}
	for _, s := range spoilt {
		wrong := regexp.MustCompile(s.from).ReplaceAllString(row, s.to)
		if wrong != row && !strings.Contains(s.name, "operand twice") {
			all[s.name] = wrong
		} else if wrong != row && strings.Contains(row, strings.TrimPrefix(s.to, "$")) {
			all[s.name] = wrong
		}
	}
	if commutes := regexp.MustCompile(`^(add|mul|fma|and|or|xor|setp\.eq)\.|mul\.wide`); !commutes.MatchString(row) && strings.Contains(row, "$b") && !strings.Contains(row, "$c") {
		all["has its operands exchanged"] = strings.NewReplacer("$a", "$b", "$b", "$a").Replace(row)
	}
	if strings.Contains(row, "$c") {
		all["has its last operands exchanged"] = strings.NewReplacer("$b", "$c", "$c", "$b").Replace(row)
	}
	parts := strings.SplitAfter(strings.TrimSuffix(row, ";"), ";")
	for i := range parts {
		rest := strings.Join(append(append([]string{}, parts[:i]...), parts[i+1:]...), "")
		all[fmt.Sprintf("lacks instruction %d", i)] = " " + rest
	}
	return all
}

// Whatever is spoilt in the emitter's table, row by row, shows.
func TestRows(t *testing.T) {
	if onGPU {
		return
	}
	standin(t, "order=shuffle,quiet")
	programs, batches := samplePrograms(t)
	right := map[string]bool{} // the kernels
	if shows(t, programs, batches, time.Minute, func(text string) string {
		right[text] = true
		return text
	}) {
		t.Fatal("the table is wrong as it is")
	}
	count := 0
	for name, row := range ptx.Rows() {
		good := *row
		all := faults(good)
		if name == "select bool" { // of its two halves one is always false
			delete(all, "is xor")
		}
		if name == "round f32" || name == "trunc f32" { // of a subnormal number they are zero with its sign
			delete(all, "flushes subnormal numbers")
		}
		for what, wrong := range all {
			*row = wrong
			changed := false
			caught := shows(t, programs, batches, broken, func(text string) string {
				changed = changed || !right[text]
				return text
			})
			*row = good
			switch {
			case !changed:
				t.Errorf("%s: no kernel uses this row", name)
			case !caught:
				t.Errorf("%s %s (%s): not caught", name, what, wrong)
			}
			count++
		}
	}
	if count <= 300 { // docs/gpu.md says so
		t.Errorf("%d faults, want over 300", count)
	}
}

// samplePrograms are small programs that together use everything.
func samplePrograms(t *testing.T) (programs []*program.Program, batches []*program.Batch) {
	t.Helper()
	add := func(p *program.Program, b *program.Batch) {
		programs, batches = append(programs, p), append(batches, b)
	}
	every, _ := everyOperation()
	add(every, everyValue(every, 19)) // first, for it shows most faults of rows
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
	for _, c := range [][2]string{{"sine", "newton"}, {"heat", "hig"}, {"square", "lbfgs"}, {"rosenbrock", "lm"}} {
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
	b := program.NewBuilder("negative")
	sum := b.Loop(program.At(-3), program.At(2), []program.Value{b.Input("x", program.F64)}, func(i program.Affine, v []program.Value) []program.Value {
		return []program.Value{b.FMA(v[0], v[0], b.ToFloat(b.IndexValue(i)))}
	})
	p := progtest.Wrap(b.Finish(sum...))
	add(p, p.NewBatch(2))
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
