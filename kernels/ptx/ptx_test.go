package ptx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// Every operation of a program has its instruction, those on numbers for either type.
func TestEveryOperation(t *testing.T) {
	elsewhere := map[program.Op]bool{ // written by function.one, loop and guard
		program.OpInput: true, program.OpConst: true, program.OpTable: true, program.OpIndex: true,
		program.OpLoad: true, program.OpStore: true, program.OpLoop: true, program.OpPhi: true, program.OpEndLoop: true, program.OpLoopOut: true,
		program.OpGuard: true, program.OpEndGuard: true,
	}
	for op := range program.NumOps {
		for _, typ := range []program.Type{program.F64, program.F32} {
			row := rowOf(op, typ)
			if (row == "") != elsewhere[op] || strings.Contains(row, "$t") {
				t.Errorf("%s of %s: instruction %q", op, typ, row)
			}
		}
	}
	for typ := program.F64; typ <= program.Bool; typ++ {
		if row := rowOf(program.OpSelect, typ); row == "" || row != rowOf(program.OpMerge, typ) {
			t.Errorf("select of %s: instruction %q", typ, row)
		}
	}
}

var (
	label    = regexp.MustCompile(`(?m)^(\w+):$`)
	branch   = regexp.MustCompile(`\bbra (\w+);`)
	rounded  = regexp.MustCompile(`\b(add|sub|mul|div|sqrt|fma|mad)(\.\w+)*\.f(64|32)\b|\bcvt(\.\w+)*\.f32\.f64`)
	register = regexp.MustCompile(`%[dflpw](\d+)\b`)
	declared = regexp.MustCompile(`\.reg \.\w+ (%[dflpw])<(\d+)>`)
)

// What random programs become keeps the rules: rounding spelled out, nothing approximate or flushed to
// zero, labels that are there once, no register that is not declared.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	floats := [][]program.Type{{program.F64}, {program.F32}, {program.F64, program.F32}}
	for k := range uint64(300) {
		r := rand.New(rand.NewPCG(3, k))
		p := progtest.Program(r, 1+r.IntN(4), 10+r.IntN(200), floats[k/2%3]...)
		var trace []int
		if k%2 == 1 {
			p.Optimize()
			trace = p.Results
		}
		kernel, err := Compile(p, trace)
		if err != nil {
			t.Fatal(err)
		}
		text := kernel.Text
		for _, word := range []string{".approx", ".ftz", ".sat", "call"} {
			if strings.Contains(text, word) {
				t.Fatalf("the kernel says %s", word)
			}
		}
		for _, m := range rounded.FindAllString(text, -1) {
			seen[m] = true
			if !regexp.MustCompile(`^(cvt\.rn\.f32\.f64|\w+\.rn\.f(64|32))$`).MatchString(m) {
				t.Fatalf("%s does not round to nearest", m)
			}
		}
		there := map[string]int{}
		for _, m := range label.FindAllStringSubmatch(text, -1) {
			if there[m[1]]++; there[m[1]] > 1 {
				t.Fatalf("label %s is there twice", m[1])
			}
		}
		for _, m := range branch.FindAllStringSubmatch(text, -1) {
			if there[m[1]] == 0 {
				t.Fatalf("label %s is missing", m[1])
			}
		}
		most := map[string]int{}
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			var n int
			if _, err := fmt.Sscan(m[2], &n); err != nil {
				t.Fatal(err)
			}
			most[m[1]] = n
		}
		for _, m := range register.FindAllStringSubmatch(text, -1) {
			var n int
			if _, err := fmt.Sscan(m[1], &n); err != nil {
				t.Fatal(err)
			}
			if n >= most[m[0][:2]] {
				t.Fatalf("register %s is not declared", m[0])
			}
		}
		if kernel.Inputs != len(p.In) || kernel.Results != len(p.Results) || kernel.Traced != len(trace) || kernel.Saved < 1 {
			t.Fatalf("%+v does not describe the program", kernel)
		}
	}
	for _, op := range []string{"add", "sub", "mul", "div", "sqrt", "fma"} {
		for _, typ := range []string{"f64", "f32"} {
			if !seen[op+".rn."+typ] {
				t.Errorf("no program has %s.rn.%s", op, typ)
			}
		}
	}
	if !seen["cvt.rn.f32.f64"] {
		t.Error("no program has cvt.rn.f32.f64")
	}
}

// looping is a program whose step has a loop over an array of n elements.
func looping(n int) *program.Program {
	b := program.NewBuilder("step")
	x, _, _ := b.Input("x", program.F64), b.Input("status", program.I64), b.Input("iteration", program.I64)
	a := b.NewArray(n)
	sum := b.Loop(program.At(0), program.At(n), []program.Value{x}, func(i program.Affine, v []program.Value) []program.Value {
		b.Store(a, i, v[0])
		return []program.Value{b.Add(v[0], b.Load(a, i))}
	})
	step := b.Finish(sum[0], b.I(1), b.I(0))
	b = program.NewBuilder("setup")
	return &program.Program{
		Name: "loop", In: []string{"x"}, Status: 1, Iteration: 2, Results: []int{0},
		Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
		Setup: b.Finish(b.Input("x", program.F64), b.I(0), b.I(-1)), Step: step,
	}
}

// A loop stays a loop: its text does not grow with its trips.
func TestLoopsStayLoops(t *testing.T) {
	var lines []int
	for _, n := range []int{4, 4000} {
		k, err := Compile(looping(n), nil)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Count(k.Text, "\n"))
	}
	if lines[0] != lines[1] {
		t.Errorf("%d lines for 4 trips, %d for 4000", lines[0], lines[1])
	}
}

// Names stand in comments, whatever they are.
func TestNames(t *testing.T) {
	p := looping(4)
	p.Name, p.In[0], p.Slots[0].Name = "a\nret;", "\u03b1", "b\n}"
	for _, trace := range [][]int{nil, {0}} {
		k, err := Compile(p, trace)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(k.Text, "\n") {
			if line == "ret;" || strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
				t.Errorf("a name became the line %q", line)
			}
		}
		if n := strings.Count(k.Text, "\n}"); n != 1 {
			t.Errorf("%d lines close a block, want 1", n)
		}
	}
}

// A step's operations are counted with the trips of their loops.
func TestOperations(t *testing.T) {
	for _, n := range []int{10, 1000} {
		k, err := Compile(looping(n), nil)
		if err != nil {
			t.Fatal(err)
		}
		if k.Step < 3*n || k.Step > 5*n+20 {
			t.Errorf("%d operations for %d trips of three", k.Step, n)
		}
	}
}

// What a GPU cannot run is refused.
func TestRefusals(t *testing.T) {
	for what, spoil := range map[string]func(*program.Program){
		"an invalid program":     func(p *program.Program) { p.Step.Out[0] = 1000 },
		"too large an array":     func(p *program.Program) { p.Step = looping(MaxLocal).Step },
		"an index over 32 bits":  func(p *program.Program) { p.Step.Loops[0].Lo.Const = -1 << 40; p.Step.Loops[0].Hi.Const = -1 << 40 },
		"a trace of what is not": nil,
	} {
		p := looping(4)
		var trace []int
		if spoil == nil {
			trace = []int{7}
		} else {
			spoil(p)
		}
		if _, err := Compile(p, trace); err == nil {
			t.Errorf("%s was compiled", what)
		}
	}
}

// Moves that happen at once read all before they write any.
func TestAssign(t *testing.T) {
	var e emitter
	for range 4 {
		e.register(program.F64)
	}
	e.assign([]assignment{{program.F64, "%d0", "%d1"}, {program.F64, "%d1", "%d0"}, {program.F64, "%d2", "%d3"}, {program.F64, "%d3", "%d3"}})
	value := map[string]string{"%d0": "a", "%d1": "b", "%d2": "c", "%d3": "d"}
	for _, m := range regexp.MustCompile(`mov\.f64 (\S+), (\S+);`).FindAllStringSubmatch(e.body.String(), -1) {
		value[m[1]] = value[m[2]]
	}
	if value["%d0"] != "b" || value["%d1"] != "a" || value["%d2"] != "d" || value["%d3"] != "d" {
		t.Errorf("%v after\n%s", value, e.body.String())
	}
}

// Shown as an example of what is written.
func ExampleCompile() {
	b := program.NewBuilder("step")
	x, _, n := b.Input("x", program.F64), b.Input("status", program.I64), b.Input("iteration", program.I64)
	next := b.FMA(x, x, b.F(-0.75))
	step := b.Finish(next, b.Select(b.Lt(b.Abs(b.Sub(next, x)), b.F(0.5)), b.I(1), b.I(0)), b.IAdd(n, b.I(1)))
	b = program.NewBuilder("setup")
	p := &program.Program{
		Name: "x*x-3/4", In: []string{"x"}, Status: 1, Iteration: 2, Results: []int{0},
		Slots: []program.Slot{{Name: "x", Type: program.F64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
		Setup: b.Finish(b.Input("x", program.F64), b.I(0), b.I(-1)), Step: step,
	}
	k, err := Compile(p, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, text, _ := strings.Cut(k.Text, "// step\n")
	step1, _, _ := strings.Cut(text, "\t// ")
	fmt.Print(strings.ReplaceAll(step1, "\t", ""))
	// Output:
	// fma.rn.f64 %d2, %d0, %d0, 0dBFE8000000000000;
	// sub.rn.f64 %d3, %d2, %d0;
	// abs.f64 %d4, %d3;
	// setp.lt.f64 %p2, %d4, 0d3FE0000000000000;
	// not.pred %p3, %p2;
	// @%p3 bra on_4;
}

// counting is a program whose step counts by one up to a limit, twice it by two, and z it leaves to the input.
func counting(limit int64) *program.Program {
	names := []string{"x", "n", "twice", "z", "status", "iteration"}
	step := program.NewBuilder("step")
	var in []program.Value
	var slots []program.Slot
	for i, name := range names {
		typ := program.I64
		if i == 0 {
			typ = program.F64
		}
		in = append(in, step.Input(name, typ))
		slots = append(slots, program.Slot{Name: name, Type: typ})
	}
	n := step.IAdd(in[1], step.I(1))
	twice := step.IAdd(in[2], step.Select(step.Lt(in[0], step.F(0)), step.I(-2), step.I(2)))
	z := step.IAdd(in[3], step.I(1))
	end := step.Not(step.ILt(n, step.I(limit)))
	x := step.Select(step.ILt(twice, z), in[0], step.Neg(in[0]))
	set := program.NewBuilder("setup")
	v := set.Input("x", program.F64)
	return &program.Program{
		Name: "counting", In: []string{"x"}, Slots: slots, Status: 4, Iteration: 5, Results: []int{0, 1, 2, 3},
		Setup: set.Finish(v, set.I(-3), set.I(7), set.Bits(v), set.I(0), set.I(-1)),
		Step:  step.Finish(x, n, twice, z, step.Select(end, step.I(1), step.I(0)), step.I(0)),
	}
}

// A count that is limited, and what changes with it, is 32 bits wide if it fits; what begins at an input is not.
func TestCounters(t *testing.T) {
	for _, c := range []struct {
		limit int64
		want  string // the slots that are narrow
	}{
		{100, "n[-3 100] twice[-199 213]"},
		{1<<30 - 10, "n[-3 1.073741814e+09] twice[-2.147483627e+09 2.147483641e+09]"},
		{1 << 30, "n[-3 1.073741824e+09]"},
		{math.MaxInt32, ""},
		{1 << 40, ""},
	} {
		p := counting(c.limit)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		s := p.Stage()
		var got []string
		for k, b := range counters(s) {
			got = append(got, fmt.Sprintf("%s[%v %v]", p.Slots[s.Kept[k]].Name, b.lo, b.hi))
		}
		slices.Sort(got)
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("limit %d: narrow are %q, want %q", c.limit, g, c.want)
		}
	}
}
