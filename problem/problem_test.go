package problem

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// full uses every field of the format.
const full = `name = "full"
description = "every field"
source = "none"
inputs = ["x0", "x1"]
let = ["a = alpha*x1", "b = a + x0"]
outputs = ["q + b", "p"]
target = ["alpha", 2]
loss = "(y0 - t0)^2 + (y1 - t1)^4"
inverse = ["q + 0*y0", "p"]
minima = [[0, "alpha"], [-1.5, "-alpha^2"]]
box = [[-1, 1], [0, 2.5]]

[params]
beta = 2
alpha = 0.5

[method.gd]
lr = 0.01

[method.newton]

[simulate]
state = ["q", "p"]
initial = ["x0", "a"]
steps = 3
let = ["h = beta*q"]
step = ["q + p", "p + h"]

[simulate.reverse]
final = ["y0 - b", "y1"]
let = ["h = (beta - 1)*q"]
step = ["q - p", "p - h"]
`

func TestParseFull(t *testing.T) {
	p, err := Parse("full.toml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "full" || p.Description != "every field" || p.Source != "none" || p.N() != 2 || p.M() != 2 {
		t.Errorf("name %q, description %q, source %q, n %d, m %d", p.Name, p.Description, p.Source, p.N(), p.M())
	}
	if want := []Param{{"alpha", 0.5}, {"beta", 2}}; !slices.Equal(p.Params, want) {
		t.Errorf("params %v, want %v", p.Params, want)
	}
	if want := [][2]float64{{-1, 1}, {0, 2.5}}; !slices.Equal(p.Box, want) {
		t.Errorf("box %v, want %v", p.Box, want)
	}
	if len(p.Methods) != 2 || p.Methods["gd"]["lr"] != 0.01 || len(p.Methods["newton"]) != 0 {
		t.Errorf("methods %v", p.Methods)
	}
	text := fmt.Sprint(p.Let, p.Outputs, p.Target, p.Loss, p.Inverse, p.Minima, p.Simulate.State, p.Simulate.Initial, p.Simulate.Let,
		p.Simulate.Step, p.Simulate.Steps, p.Simulate.Reverse.Final, p.Simulate.Reverse.Let, p.Simulate.Reverse.Step)
	want := "[{a alpha*x1} {b a + x0}] [q + b p] [alpha 2] (y0 - t0)^2 + (y1 - t1)^4 [q + 0*y0 p] [[0 alpha] [-1.5 -alpha^2]] " +
		"[q p] [x0 a] [{h beta*q}] [q + p p + h] 3 [y0 - b y1] [{h (beta - 1)*q}] [q - p p - h]"
	if text != want {
		t.Errorf("formulas\n%s\nwant\n%s", text, want)
	}

	// x = (1, 2), alpha = 1/2, beta = 3: a = 1, b = 2; (q, p) = (1, 1), (2, 4), (6, 10), (16, 28).
	params := map[string]float64{"beta": 3}
	y, loss := mustEval(t, p, params, []float64{1, 2})
	if want := []float64{18, 28}; !slices.Equal(y, want) || loss != 17.5*17.5+26*26*26*26 {
		t.Errorf("y = %v, L = %v", y, loss)
	}
	// Back from y = (7, 3): (q, p) = (5, 3), then each (q - p, p - 2 q) of the old: (2, -7), (9, -11), (20, -29).
	if got := mustInverse(t, p, params, []float64{1, 2}, []float64{7, 3}); !slices.Equal(got, []float64{20, -29}) {
		t.Errorf("inverse: %v", got)
	}
	minima, err := p.EvalMinima(map[string]float64{"alpha": 3})
	if err != nil || fmt.Sprint(minima) != "[[0 3] [-1.5 -9]]" {
		t.Errorf("minima: %v, %v", minima, err)
	}
}

const small = `inputs = ["x0", "x1"]
outputs = ["x0", "alpha*x1"]
target = [1, "alpha"]
box = [[-1, 1], [-1, 1]]
[params]
alpha = 2
`

func TestDefaults(t *testing.T) {
	p, err := Parse("some/folder/small.toml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "small" {
		t.Errorf("name %q, want that of the file", p.Name)
	}
	if got, want := p.Loss.String(), "0.5*((y0 - t0)^2 + (y1 - t1)^2)"; got != want {
		t.Errorf("loss %s, want %s", got, want)
	}
	if _, loss := mustEval(t, p, nil, []float64{3, 4}); loss != 0.5*(2*2+6*6) {
		t.Errorf("L = %v, want 20", loss)
	}
	if p.Simulate != nil || p.Inverse != nil || p.Minima != nil || p.Methods != nil {
		t.Errorf("what the file lacks is not nil: %+v", p)
	}
	if minima, err := p.EvalMinima(nil); err != nil || len(minima) != 0 {
		t.Errorf("minima: %v, %v", minima, err)
	}
}

func TestEvalErrors(t *testing.T) {
	p, err := Parse("small.toml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	full, err := Parse("full.toml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{1, 2}
	for _, c := range []struct {
		call func() error
		want string
	}{
		{func() error { _, _, err := p.Eval(nil, x[:1]); return err }, "problem: small takes 2 inputs, 1 are given"},
		{func() error { _, _, err := p.Eval(map[string]float64{"alhpa": 1}, x); return err },
			`problem: small has no parameter "alhpa", did you mean "alpha"?; it has: alpha`},
		{func() error { _, err := p.EvalMinima(map[string]float64{"x": 1}); return err }, `problem: small has no parameter "x"; it has: alpha`},
		{func() error { _, err := p.EvalInverse(nil, x, x); return err }, "problem: small has no inverse"},
		{func() error { _, err := full.EvalInverse(nil, x, x[:1]); return err }, "problem: full has 2 outputs, 1 are given"},
		{func() error { _, err := full.EvalInverse(nil, x[:1], x); return err }, "problem: full takes 2 inputs, 1 are given"},
	} {
		if err := c.call(); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

// Each case changes one thing of the full file and gives the whole message.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		// TOML itself.
		{`loss = "(`, `loss = (`, "problem: f.toml:8: not TOML: unexpected character U+0028 '(' at start of value\n    loss = (y0 - t0)^2 + (y1 - t1)^4\"\n           ^"},
		{"beta = 2", "beta = 2\nbeta = 3", "problem: f.toml:15: not TOML: key beta is already defined\n    beta = 3\n    ^"},

		// Fields.
		{"loss =", "los =", `problem: f.toml:8: los: unknown field "los", did you mean "loss"?; allowed: name description source inputs params let outputs target loss inverse minima box method simulate`},
		{"steps = 3", "steps = 3\nstpe = 1", `problem: f.toml:26: simulate.stpe: unknown field "stpe", did you mean "step"?; allowed: state initial steps let step reverse`},
		{"final =", "finally =", `problem: f.toml:30: simulate.reverse.finally: unknown field "finally", did you mean "final"?; allowed: final let step`},
		{"box = [[-1, 1], [0, 2.5]]", "", `problem: f.toml: the field "box" is missing`},
		{"steps = 3\n", "", `problem: f.toml:22: simulate: the field "steps" is missing`},
		{"target = [\"alpha\", 2]\nloss = \"(y0 - t0)^2 + (y1 - t1)^4\"", "", `problem: f.toml: the field "loss" is missing; it may be left out only where there is a target`},

		// Types.
		{`inputs = ["x0", "x1"]`, `inputs = 2`, "problem: f.toml:4: inputs: a list is expected, as in inputs = [...], found 2"},
		{`inputs = ["x0", "x1"]`, `inputs = ["x0", 1]`, "problem: f.toml:4: inputs[1]: a string is expected, found 1"},
		{`name = "full"`, `name = ["full"]`, "problem: f.toml:1: name: a string is expected, found a list of 1"},
		{`name = "full"`, `name = "../full"`, `problem: f.toml:1: name: the string "../full": a name has 1 to 64 letters, digits, and . _ - after the first`},
		{"beta = 2", "beta = '2'", `problem: f.toml:14: params.beta: a number is expected, found the string "2"`},
		{"beta = 2", "beta = nan", `problem: f.toml:14: params.beta: a finite number is expected, found NaN`},
		{"lr = 0.01", "lr = true", `problem: f.toml:18: method.gd.lr: a number is expected, found true`},
		{"[method.gd]\nlr = 0.01\n\n[method.newton]", "[method]\ngd = 2", `problem: f.toml:18: method.gd: a table is expected, as in [method.gd], found 2`},
		{`"(y0 - t0)^2 + (y1 - t1)^4"`, "1979-05-27", "problem: f.toml:8: loss: a formula is expected (a string or a number), found a date or time"},
		{`target = ["alpha", 2]`, `target = ["alpha", inf]`, "problem: f.toml:7: target[1]: a finite number is expected, found +Inf"},
		{"steps = 3", "steps = 2.5", "problem: f.toml:25: simulate.steps: a whole number is expected, found 2.5"},
		{"steps = 3", "steps = 0", "problem: f.toml:25: simulate.steps: 0 steps, 1 to 1000000 are allowed"},
		{"steps = 3", "steps = 1000001", "problem: f.toml:25: simulate.steps: 1000001 steps, 1 to 1000000 are allowed"},
		{`"b = a + x0"`, `"a + x0"`, `problem: f.toml:5: let[1]: expected "name = formula", found the string "a + x0"`},
		{`"b = a + x0"`, `"b == a + x0"`, `problem: f.toml:5: let[1]: expected "name = formula", found the string "b == a + x0"`},
		{`"b = a + x0"`, `3`, `problem: f.toml:5: let[1]: expected "name = formula", found 3`},

		// Lengths.
		{`inputs = ["x0", "x1"]`, `inputs = []`, "problem: f.toml:4: inputs: 1 to 16 entries are allowed, found 0"},
		{`outputs = ["q + b", "p"]`, `outputs = []`, "problem: f.toml:6: outputs: 1 to 64 entries are allowed, found 0"},
		{`target = ["alpha", 2]`, `target = [2]`, "problem: f.toml:7: target: 2 entries are expected, one for each output, found 1"},
		{`inverse = ["q + 0*y0", "p"]`, `inverse = ["q"]`, "problem: f.toml:9: inverse: 2 entries are expected, one for each input, found 1"},
		{`initial = ["x0", "a"]`, `initial = ["x0"]`, "problem: f.toml:24: simulate.initial: 2 entries are expected, one for each state, found 1"},
		{`step = ["q + p", "p + h"]`, `step = []`, "problem: f.toml:27: simulate.step: 2 entries are expected, one for each state, found 0"},
		{`final = ["y0 - b", "y1"]`, `final = ["y0 - b"]`, "problem: f.toml:30: simulate.reverse.final: 2 entries are expected, one for each state, found 1"},
		{`[-1.5, "-alpha^2"]`, `[-1.5]`, "problem: f.toml:10: minima[1]: a list of 2 formulas is expected, one for each input, found a list of 1"},
		{"[0, 2.5]]", "[0, 2.5], [0, 1]]", "problem: f.toml:11: box: 2 entries are expected, one [lo, hi] for each input, found 3"},
		{"[0, 2.5]]", "[0]]", "problem: f.toml:11: box[1]: [lo, hi] is expected, found a list of 1"},
		{"[0, 2.5]]", "[2.5, 0]]", "problem: f.toml:11: box[1]: [2.5, 0] is empty: lo < hi is expected"},
		{"[0, 2.5]]", "[-1e308, 1e308]]", "problem: f.toml:11: box[1]: [-1e+308, 1e+308] is too wide: its width must be finite"},
		{"[0, 2.5]]", "[0, 'pi']]", `problem: f.toml:11: box[1][1]: a number is expected, found the string "pi"`},

		// Names.
		{`"x0", "x1"]`, `"x0", "1x"]`, `problem: f.toml:4: inputs[1]: "1x" is not a name: names have letters, digits and _, and no digit first`},
		{`"x0", "x1"]`, `"x0", "y7"]`, `problem: f.toml:4: inputs[1]: the name "y7" is reserved: y0, y1, ... are the outputs`},
		{"beta = 2", "t0 = 2", `problem: f.toml:14: params.t0: the name "t0" is reserved: t0, t1, ... are the targets`},
		{"beta = 2", "pi = 2", `problem: f.toml:14: params.pi: the name "pi" is reserved: it is a constant of the formula language`},
		{`"b = a + x0"`, `"sin = a + x0"`, `problem: f.toml:5: let[1]: the name "sin" is reserved: it is a function of the formula language`},
		{`"b = a + x0"`, `"a = a + x0"`, `problem: f.toml:5: let[1]: the name "a" is taken: let[0] declares a let`},
		{`"x0", "x1"]`, `"x0", "x0"]`, `problem: f.toml:4: inputs[1]: the name "x0" is taken: inputs[0] declares an input`},
		{`state = ["q", "p"]`, `state = ["q", "beta"]`, `problem: f.toml:23: simulate.state[1]: the name "beta" is taken: params.beta declares a parameter`},
		{`let = ["h = beta*q"]`, `let = ["b = beta*q"]`, `problem: f.toml:26: simulate.let[0]: the name "b" is taken: let[1] declares a let`},
		{"beta = 2", strings.Repeat("b", 65) + " = 2", `problem: f.toml:14: params.` + strings.Repeat("b", 65) + `: the name "` + strings.Repeat("b", 40) + `..." has 65 letters, at most 64 are allowed`},

		// Formulas.
		{`"p"]` + "\ntarget", `"p +"]` + "\ntarget", "problem: f.toml:6: outputs[1]: expected an operand (a number, a name, a function or \"(\"), found the end of the formula\n    p +\n       ^"},
		{`"a = alpha*x1"`, `"a = aplha*x1"`, "problem: f.toml:5: let[0] a: the name \"aplha\" is not defined, did you mean \"alpha\"?; allowed here: x0 x1 beta alpha\n     aplha*x1\n     ^"},
		{`"a = alpha*x1"`, `"a = b*x1"`, "problem: f.toml:5: let[0] a: the name \"b\" is not defined yet (but by let[1]); allowed here: x0 x1 beta alpha\n     b*x1\n     ^"},
		{`"a = alpha*x1"`, `"a = 2*a"`, "problem: f.toml:5: let[0] a: the name \"a\" is not defined yet (but by let[0]); allowed here: x0 x1 beta alpha\n     2*a\n       ^"},
		{`"a = alpha*x1"`, `"a = q*x1"`, "problem: f.toml:5: let[0] a: the name \"q\" is not defined yet (but by simulate.state[0]); allowed here: x0 x1 beta alpha\n     q*x1\n     ^"},
		{`target = ["alpha", 2]`, `target = ["alpha", "b"]`, "problem: f.toml:7: target[1]: the name \"b\" is a let (let[1]), which may not be used here; allowed here: beta alpha\n    b\n    ^"},
		{`"(y0 - t0)^2`, `"(y2 - t0)^2`, "problem: f.toml:8: loss: the name \"y2\": the outputs are y0 to y1; allowed here: y0 y1 t0 t1 beta alpha\n    (y2 - t0)^2 + (y1 - t1)^4\n     ^"},
		{`"(y0 - t0)^2`, `"(x0 - t0)^2`, "problem: f.toml:8: loss: the name \"x0\" is an input (inputs[0]), which may not be used here; allowed here: y0 y1 t0 t1 beta alpha\n    (x0 - t0)^2 + (y1 - t1)^4\n     ^"},
		{`"q + b"`, `"q + y1"`, "problem: f.toml:6: outputs[0]: the name \"y1\" is one of the outputs, which may not be used here; allowed here: x0 x1 beta alpha a b q p\n    q + y1\n        ^"},
		{`"q + b"`, `"q + h"`, "problem: f.toml:6: outputs[0]: the name \"h\" is a let of a step (simulate.let[0]), which may not be used here; allowed here: x0 x1 beta alpha a b q p\n    q + h\n        ^"},
		{`[0, "alpha"]`, `[0, "t0"]`, "problem: f.toml:10: minima[0][1]: the name \"t0\" is one of the targets, which may not be used here; allowed here: beta alpha\n    t0\n    ^"},

		// Unused names.
		{`"b = a + x0"`, `"b = a + x0", "c = a"`, `problem: f.toml:5: let[2]: the let "c" is not used`},
		{"beta = 2", "beta = 2\ngamma = 3", `problem: f.toml:15: params.gamma: the parameter "gamma" is not used`},
		{"minima = [[0, \"alpha\"], [-1.5, \"-alpha^2\"]]\nbox = [[-1, 1], [0, 2.5]]\n\n[params]\n", "minima = [[0, 'gamma']]\nbox = [[-1, 1], [0, 2.5]]\n[params]\ngamma = 1\n",
			`problem: f.toml:13: params.gamma: the parameter "gamma" is not used`},
		{`"x0", "x1"]`, `"x0", "x1", "x2"]` + "\n#", `problem: f.toml:4: inputs[2]: the input "x2" is not used by let, simulate or outputs`},
		{`"h = beta*q"`, `"h = beta*q", "g = h"`, `problem: f.toml:26: simulate.let[1]: the let of a step "g" is not used`},
		{`let = ["h = (beta - 1)*q"]`, `let = ["h = (beta - 1)*q", "g = h"]`, `problem: f.toml:31: simulate.reverse.let[1]: the let of a reverse step "g" is not used`},
		{`"(y0 - t0)^2`, `"y0^2`, `problem: f.toml:7: target[0]: the target t0 is not used by loss`},
		{`"q + b", "p"]`, `"b", "a"]`, `problem: f.toml:6: outputs: no output uses the state that [simulate] leads to; allowed here: q p`},
		{`inverse = ["q + 0*y0", "p"]`, `inverse = ["y0", "y1"]`, `problem: f.toml:9: inverse: no formula uses the initial state that [simulate.reverse] recovers; allowed here: q p`},
		{`inverse = ["q + 0*y0", "p"]`, ``, `problem: f.toml:29: simulate.reverse: there is no inverse to use it: give inverse as formulas of the recovered initial state q p`},
	} {
		text := strings.Replace(full, c.old, c.new, 1)
		if text == full {
			t.Errorf("the file has no %q", c.old)
			continue
		}
		_, err := Parse("f.toml", []byte(text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n%v\nwant\n%s", c.new, err, c.want)
		}
	}
}

// A state that leads nowhere, and one that only feeds another.
func TestUnusedState(t *testing.T) {
	const text = `inputs = ["x"]
outputs = ["q"]
loss = "y0"
box = [[0, 1]]
[simulate]
state = ["q", "r"]
initial = ["x", 0]
steps = 2
step = [%q, %q]
`
	for _, c := range []struct{ q, r, err string }{
		{"q + r", "1", ""},
		{"q", "1", `problem: s.toml:6: simulate.state[1]: the state "r" is used by nothing, its own step aside`},
		{"q", "r + 1", `problem: s.toml:6: simulate.state[1]: the state "r" is used by nothing, its own step aside`},
	} {
		_, err := Parse("s.toml", fmt.Appendf(nil, text, c.q, c.r))
		if got := fmt.Sprint(err); got != c.err && !(err == nil && c.err == "") {
			t.Errorf("%s, %s: error %v, want %s", c.q, c.r, err, c.err)
		}
	}
}

// Files that try to exhaust time or memory are refused at once.
func TestBounds(t *testing.T) {
	sum := func(name string, terms int) string { return name + strings.Repeat("+"+name, terms-1) }
	var lets strings.Builder
	for i := range 200 {
		fmt.Fprintf(&lets, "%q, ", fmt.Sprintf("l%d = %s", i, sum("x", 150)))
	}
	var params strings.Builder
	for i := range MaxParams + 1 {
		fmt.Fprintf(&params, "p%d = 1\n", i)
	}
	points := strings.Repeat("[0], ", MaxMinima+1)
	base := "inputs = ['x']\nloss = 'y0'\nbox = [[0, 1]]\n"
	for _, c := range []struct{ name, text, want string }{
		{"nodes", base + "let = [" + lets.String() + "]\noutputs = ['x']", "at most 50000 are allowed"},
		{"work", base + "outputs = ['q']\n[simulate]\nstate = ['q']\ninitial = ['x']\nsteps = 1000000\nstep = ['" + sum("q", 60) + "']", "1000000 steps of 119 numbers, names and operations each are 119000000, at most 100000000 are allowed"},
		{"params", base + "outputs = ['x']\n[params]\n" + params.String(), "at most 64 parameters are allowed, found 65"},
		{"minima", base + "outputs = ['x']\nminima = [" + points + "]", "at most 256 entries are allowed, found 257"},
		{"outputs", base + "outputs = [" + strings.Repeat("'x', ", 65) + "]", "1 to 64 entries are allowed, found 65"},
		{"brackets", strings.Repeat("[", MaxFile), "not TOML"},
		{"list", "inputs = " + strings.Repeat("[", MaxFile-10), "not TOML"},
		{"nested lists", base + "outputs = ['x']\nminima = " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "minima[0][0]: a formula is expected (a string or a number), found a list of 1"},
		{"dots", "inputs" + strings.Repeat(".a", MaxFile/2-10) + " = 1", `the field "outputs" is missing`},
		{"file", "#" + strings.Repeat(" ", MaxFile), "larger than 1048576 bytes"},
		{"entries", base + "outputs = ['x']\nlet = [" + strings.Repeat("0,", MaxFile/2-50) + "]", `expected "name = formula", found 0`},
	} {
		began := time.Now()
		_, err := Parse("f.toml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %.300v, want one with %q", c.name, err, c.want)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%s: a message of %d bytes", c.name, len(err.Error()))
		}
		// A generous bound: what it catches is quadratic work on a megabyte.
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %v", c.name, took)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(file, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(file); err != nil || p.Name != "mine" {
		t.Errorf("Load(%s) = %v, %v", file, p, err)
	}
	if p, err := Load("square"); err != nil || p.Name != "square" {
		t.Errorf("Load(square) = %v, %v", p, err)
	}
	for name, want := range map[string]string{
		"sqaure":           `problem: no problem "sqaure", did you mean "square"?; built in: beale exponential heat`,
		"":                 `problem: no problem ""; built in: `,
		"nosuchfile":       `the name of a file ends in .toml or contains a "/"`,
		"nosuch.toml":      "problem: open nosuch.toml: no such file",
		"./nosuchfile":     "problem: open ./nosuchfile: no such file",
		filepath.Dir(file): "is a directory",
	} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%q): error %v, want one with %q", name, err, want)
		}
	}
	t.Chdir(filepath.Dir(file))
	if _, err := Load("mine"); err == nil || !strings.Contains(err.Error(), `did you mean the file "mine.toml"?`) {
		t.Errorf("Load(mine) beside mine.toml: error %v", err)
	}
	if _, err := Builtin("sqaure"); err == nil || !strings.Contains(err.Error(), `did you mean "square"`) {
		t.Errorf("Builtin(sqaure): error %v", err)
	}
	if data, err := BuiltinFile("square"); err != nil || !strings.Contains(string(data), `name = "square"`) {
		t.Errorf("BuiltinFile(square): %v", err)
	}
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(small))
	for _, name := range Builtins() {
		data, err := BuiltinFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("inputs = ['x']\n[[params]]\na.b = {c = [1, {d = 2}]}\n"))
	f.Add([]byte("\ufeffinputs = ['x']\r\nlet = [\r\n# comment\r\n'a=', \"\\u0000\"]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("fuzz.toml", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "problem: fuzz.toml") || len(err.Error()) > 1000+2*len(data) {
				t.Fatalf("a poor error: %v", err)
			}
			return
		}
		x := make([]float64, p.N())
		for i, b := range p.Box {
			x[i] = b[0] + 0.5*(b[1]-b[0])
			if !(b[0] <= x[i] && x[i] <= b[1]) {
				t.Fatalf("the middle of %v is %v", b, x[i])
			}
		}
		if p.Simulate != nil && p.Simulate.Steps > 1000 {
			p.Simulate.Steps = 1000 // the work is bounded, but a fuzzer wants it quick
		}
		y, loss, err := p.Eval(nil, x)
		if err != nil || len(y) != p.M() {
			t.Fatalf("Eval: %v, %v", y, err)
		}
		again, lossAgain, _ := p.Eval(p.Defaults(), x)
		if d := largestDifference(y, again); d > 0 || loss != lossAgain && !math.IsNaN(loss) {
			t.Fatalf("Eval gives %v, %v, then %v, %v", y, loss, again, lossAgain)
		}
		if p.Inverse != nil {
			if v, err := p.EvalInverse(nil, x, y); err != nil || len(v) != p.N() {
				t.Fatalf("EvalInverse: %v, %v", v, err)
			}
		}
		minima, err := p.EvalMinima(nil)
		if err != nil || len(minima) != len(p.Minima) {
			t.Fatalf("EvalMinima: %v, %v", minima, err)
		}
	})
}
