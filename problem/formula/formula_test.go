package formula

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// lisp writes a tree so that its shape can be seen.
func lisp(e *Expr) string {
	switch e.Op {
	case "num":
		return fmt.Sprint(e.Value)
	case "name":
		return e.Name
	}
	s := "(" + e.Op
	for _, a := range e.Args {
		s += " " + lisp(a)
	}
	return s + ")"
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ src, tree, text string }{
		{"1", "1", "1"},
		{" x_0\n", "x_0", "x_0"},
		{"_", "_", "_"},
		{".5", "0.5", "0.5"},
		{"2.", "2", "2"},
		{"1e-3", "0.001", "0.001"},
		{"1.5E+2", "150", "150"},
		{"2.e1", "20", "20"},
		{"1e-400", "0", "0"},
		{"1e300", "1e+300", "1e+300"},
		{"pi", "3.141592653589793", "3.141592653589793"},
		{"e", "2.718281828459045", "2.718281828459045"},
		{"a+b-c", "(sub (add a b) c)", "a + b - c"},
		{"a-(b-c)", "(sub a (sub b c))", "a - (b - c)"},
		{"a-(b*c)", "(sub a (mul b c))", "a - b*c"},
		{"a/b*c", "(mul (div a b) c)", "a/b*c"},
		{"a/(b*c)", "(div a (mul b c))", "a/(b*c)"},
		{"(a+b)*c", "(mul (add a b) c)", "(a + b)*c"},
		{"a+b*c^d", "(add a (mul b (pow c d)))", "a + b*c^d"},
		{"-x^2", "(neg (pow x 2))", "-x^2"},
		{"(-x)^2", "(pow (neg x) 2)", "(-x)^2"},
		{"2^3^2", "(pow 2 (pow 3 2))", "2^3^2"},
		{"(2^3)^2", "(pow (pow 2 3) 2)", "(2^3)^2"},
		{"2^-1", "(pow 2 (neg 1))", "2^-1"},
		{"2^-x^2", "(pow 2 (neg (pow x 2)))", "2^-x^2"},
		{"--x", "(neg (neg x))", "--x"},
		{"a--b", "(sub a (neg b))", "a - -b"},
		{"-a*b", "(mul (neg a) b)", "-a*b"},
		{"-(a*b)", "(neg (mul a b))", "-(a*b)"},
		{"a*-b", "(mul a (neg b))", "a*-b"},
		{"a<b", "(lt a b)", "a < b"},
		{"a<=b+1", "(le a (add b 1))", "a <= b + 1"},
		{"a>b", "(gt a b)", "a > b"},
		{"a>=b", "(ge a b)", "a >= b"},
		{"a==b", "(eq a b)", "a == b"},
		{"a!=b", "(ne a b)", "a != b"},
		{"(a<b)+(b<c)", "(add (lt a b) (lt b c))", "(a < b) + (b < c)"},
		{"(a<b)<c", "(lt (lt a b) c)", "(a < b) < c"},
		{"a<(b<c)", "(lt a (lt b c))", "a < (b < c)"},
		{"if(x>0,x,-x)", "(if (gt x 0) x (neg x))", "if(x > 0, x, -x)"},
		{"min(a,b)", "(min a b)", "min(a, b)"},
		{"max(a,b,c,d)", "(max (max (max a b) c) d)", "max(max(max(a, b), c), d)"},
		{"pow(a+1,b)", "(pow (add a 1) b)", "(a + 1)^b"},
		{"atan2( y , x )", "(atan2 y x)", "atan2(y, x)"},
		{"((((x))))", "x", "x"},
		{"exp (x)", "(exp x)", "exp(x)"},
	} {
		e, err := Parse(c.src)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.src, err)
			continue
		}
		if got := lisp(e); got != c.tree {
			t.Errorf("Parse(%q) = %s, want %s", c.src, got, c.tree)
		}
		if got := e.String(); got != c.text {
			t.Errorf("Parse(%q).String() = %q, want %q", c.src, got, c.text)
		}
	}
}

func TestPositions(t *testing.T) {
	e, err := Parse("a + sin(bc)*2 < -d")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"lt": 14, "add": 2, "a": 0, "mul": 11, "sin": 4, "bc": 8, "num": 12, "neg": 16, "d": 17}
	e.Walk(func(e *Expr) {
		key := e.Op
		if key == "name" {
			key = e.Name
		}
		if e.Pos != want[key] {
			t.Errorf("%s at %d, want %d", key, e.Pos, want[key])
		}
	})
}

// The caret stands under the place, and the message says what is allowed.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", `
formula: expected an operand (a number, a name, a function or "("), found the end of the formula
    
    ^`},
		{"x0 +", `
formula: expected an operand (a number, a name, a function or "("), found the end of the formula
    x0 +
        ^`},
		{"sin()", `
formula: expected an operand (a number, a name, a function or "("), found ")"
    sin()
        ^`},
		{"sin(x0, 3)", `
formula: too many arguments: expected sin(a)
    sin(x0, 3)
          ^`},
		{"atan2(x0)", `
formula: too few arguments: expected atan2(a, b)
    atan2(x0)
            ^`},
		{"min(x0)", `
formula: too few arguments: expected min(a, b, ...)
    min(x0)
          ^`},
		{"if(x0 > 0, 1)", `
formula: too few arguments: expected if(c, a, b)
    if(x0 > 0, 1)
                ^`},
		{"sin + 1", `
formula: sin is a function: expected sin(a)
    sin + 1
    ^`},
		{"2*snh(x)", `
formula: "snh" is not a function: did you mean "sinh"?
    2*snh(x)
      ^`},
		{"x0 (x1)", `
formula: "x0" is not a function: a product needs its "*"
    x0 (x1)
    ^`},
		{"pi(2)", `
formula: "pi" is a constant, not a function: a product needs its "*"
    pi(2)
    ^`},
		{"2x0", `
formula: expected an operator or the end of the formula, found "x0": a product needs its "*"
    2x0
     ^`},
		{"(a)(b)", `
formula: expected an operator or the end of the formula, found "(": a product needs its "*"
    (a)(b)
       ^`},
		{"(a + b", `
formula: expected an operator or ")", found the end of the formula
    (a + b
          ^`},
		{"max(a; b)", `
formula: the character ';' is not allowed: a formula has ASCII names, numbers, operators and parentheses
    max(a; b)
         ^`},
		{"sin(a b)", `
formula: expected an operator, "," or ")", found "b": a product needs its "*"
    sin(a b)
          ^`},
		{"a)", `
formula: expected an operator or the end of the formula, found ")"
    a)
     ^`},
		{"a < b < c", `
formula: comparisons do not chain: write (a < b)*(b < c) for a < b < c
    a < b < c
          ^`},
		{"a = b", `
formula: "=" is not an operator: equality is "=="
    a = b
      ^`},
		{"a**2", `
formula: "**" is not an operator: powers are written a^b
    a**2
     ^`},
		{"a && b", `
formula: "&" is not an operator: write min(a, b) or a*b for "a and b"
    a && b
      ^`},
		{"+a", `
formula: expected an operand, found "+": there is no sign "+"
    +a
    ^`},
		{"2*1e999", `
formula: the number "1e999" is too large: the largest is about 1.8e308
    2*1e999
      ^`},
		{"2e", `
formula: expected the digits of an exponent, as in 1e-3 (the constant e needs a *, as in 2*e)
    2e
      ^`},
		{"1.2.3", `
formula: expected an operator or the end of the formula, found ".3": a product needs its "*"
    1.2.3
       ^`},
		{"ä + β*x", `
formula: the character 'ä' is not allowed: a formula has ASCII names, numbers, operators and parentheses
    ä + β*x
    ^`},
		{"x + \xff", `
formula: the byte 0xff is not UTF-8 text
    x + ` + "\uFFFD" + `
        ^`},
		{"x +\n\t)\x00", `
formula: expected an operand (a number, a name, a function or "("), found ")"
    x +  )` + "\uFFFD" + `
         ^`},
		{strings.Repeat("abc + ", 20) + ")" + strings.Repeat(" + abc", 20), `
formula: expected an operand (a number, a name, a function or "("), found ")"
    ...abc + abc + abc + abc + abc + abc + ) + abc + abc + abc + abc + abc + ab...
                                           ^`},
	} {
		_, err := Parse(c.src)
		var fe *Error
		if !errors.As(err, &fe) {
			t.Errorf("Parse(%q): error %v, want an *Error", c.src, err)
			continue
		}
		if got := "\n" + err.Error(); got != c.want {
			t.Errorf("Parse(%q):%s\nwant%s", c.src, got, c.want)
		}
	}
}

// What is just allowed, and what is just not.
func TestBounds(t *testing.T) {
	sum := func(terms int) string { return "x" + strings.Repeat("+x", terms-1) }
	// A balanced tree: sums of 100 terms, 3 below each "max".
	wide := func(nodes int) string {
		// max of k sums is k*(2*100-1) + k-1 nodes: 200 for each but the first, 199 for that.
		parts := make([]string, nodes/200)
		for i := range parts {
			parts[i] = sum(100)
		}
		for len(parts) > 1 {
			var next []string
			for i := 0; i+1 < len(parts); i += 2 {
				next = append(next, "max("+parts[i]+","+parts[i+1]+")")
			}
			if len(parts)%2 == 1 {
				next = append(next, parts[len(parts)-1])
			}
			parts = next
		}
		return parts[0]
	}
	for _, c := range []struct{ name, src, err string }{
		{"depth", sum(MaxDepth), ""},
		{"depth", sum(MaxDepth + 1), "levels deep"},
		{"signs", strings.Repeat("-", MaxDepth-1) + "x", ""},
		{"signs", strings.Repeat("-", MaxDepth) + "x", "levels deep"},
		{"signs", strings.Repeat("-", MaxSource-1) + "x", "nests more than"},
		{"powers", "x" + strings.Repeat("^x", MaxDepth-1), ""},
		{"powers", "x" + strings.Repeat("^x", MaxSource/2-1), "nests more than"},
		{"parentheses", strings.Repeat("(", 2*MaxDepth) + "x" + strings.Repeat(")", 2*MaxDepth), ""},
		{"parentheses", strings.Repeat("(", 2*MaxDepth+1) + "x" + strings.Repeat(")", 2*MaxDepth+1), "nests more than"},
		{"parentheses", strings.Repeat("(", MaxSource), "nests more than"},
		{"calls", strings.Repeat("sin(", MaxSource/4), "nests more than"},
		{"arguments", "max(" + strings.Repeat("x,", MaxDepth) + "x)", "levels deep"},
		{"nodes", wide(MaxNodes), ""},
		{"nodes", wide(MaxNodes) + "+x", "numbers, names and operations"},
		{"source", "x" + strings.Repeat(" ", MaxSource-1), ""},
		{"source", "x" + strings.Repeat(" ", MaxSource), "65537 bytes, at most 65536"},
	} {
		e, err := Parse(c.src)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.err)
		case err == nil && e.Nodes() > MaxNodes:
			t.Errorf("%s: %d nodes", c.name, e.Nodes())
		case err != nil && len(err.Error()) > 400:
			t.Errorf("%s: a message of %d bytes", c.name, len(err.Error()))
		}
	}
}

func TestEval(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	negZero := math.Copysign(0, -1)
	env := map[string]float64{"a": 3, "b": -2, "nan": nan, "inf": inf, "nz": negZero}
	for src, want := range map[string]float64{
		"a + b": 1, "a - b": 5, "a*b": -6, "a/b": -1.5, "-a": -3, "a^b": 1. / 9, "2^3^2": 512, "-a^2": -9,
		"a < b": 0, "a > b": 1, "a <= 3": 1, "a >= 4": 0, "a == 3": 1, "a != 3": 0, "nan == nan": 0, "nan != nan": 1,
		"if(a, 1, 2)": 1, "if(0, 1, 2)": 2, "if(nan, 1, 2)": 1, "if(nz, 1, 2)": 2, "if(0, 1/0, 2)": 2,
		"sqrt(16)": 4, "exp(0)": 1, "expm1(0)": 0, "log(e)": 1, "log1p(0)": 0, "log2(8)": 3, "log10(1000)": 3,
		"sin(0)": 0, "cos(0)": 1, "tan(0)": 0, "asin(1)": math.Pi / 2, "acos(1)": 0, "atan(inf)": math.Pi / 2,
		"atan2(1, -1)": 3 * math.Pi / 4, "sinh(0)": 0, "cosh(0)": 1, "tanh(inf)": 1, "abs(b)": 2, "hypot(3, 4)": 5,
		"sign(a)": 1, "sign(b)": -1, "sign(0)": 0, "sign(nz)": negZero, "sign(nan)": nan,
		// Compare and select: the second operand where the comparison fails, NaN included.
		"min(a, b)": -2, "min(nan, 1)": 1, "min(1, nan)": nan, "min(0, nz)": negZero, "min(nz, 0)": 0,
		"max(a, b)": 3, "max(nan, 1)": 1, "max(1, nan)": nan, "max(nz, 0)": 0, "max(1, 5, a)": 5,
		"relu(a)": 3, "relu(b)": 0, "relu(nan)": 0,
		"sigmoid(0)": 0.5, "sigmoid(-800)": 0, "sigmoid(800)": 1, "sigmoid(nan)": nan,
		"softplus(0)": math.Ln2, "softplus(800)": 800, "softplus(-800)": 0, "softplus(nan)": nan,
		"sqrt(-1)": nan, "1/0": inf, "log(0)": -inf, "pow(2, 10)": 1024,
	} {
		e, err := Parse(src)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := e.Eval(env)
		if err != nil {
			t.Error(err)
			continue
		}
		same := got == want && math.Signbit(got) == math.Signbit(want) || got != got && want != want
		if !same && !(math.Abs(got-want) <= 4e-16*math.Abs(want)) {
			t.Errorf("%s = %v, want %v", src, got, want)
		}
	}
	for _, e := range []*Expr{{Op: "name", Name: "c"}, {Op: "cube", Args: []*Expr{{Op: "num"}}}, {Op: "add", Args: make([]*Expr, 4)}} {
		if _, err := e.Eval(env); err == nil {
			t.Errorf("%s of %d: no error", e.Op, len(e.Args))
		}
	}
}

// Every function of the table can be called with its number of arguments and evaluated.
func TestFunctionsAreComplete(t *testing.T) {
	for _, f := range Functions {
		src := f.Name + "(0.5" + strings.Repeat(", 0.25", f.MinArgs-1) + ")"
		e, err := Parse(src)
		if err != nil {
			t.Error(err)
			continue
		}
		if v, err := e.Eval(nil); err != nil || math.IsNaN(v) {
			t.Errorf("%s = %v, %v", src, v, err)
		}
		if f.Doc == "" || Reserved(f.Name) != "a function" {
			t.Errorf("%s: doc %q, reserved %q", f.Name, f.Doc, Reserved(f.Name))
		}
	}
	if Reserved("pi") != "a constant" || Reserved("x") != "" {
		t.Errorf(`Reserved: pi %q, x %q`, Reserved("pi"), Reserved("x"))
	}
}

// sameTree compares trees but for positions.
func sameTree(a, b *Expr) bool {
	if a.Op != b.Op || a.Value != b.Value || a.Name != b.Name || len(a.Args) != len(b.Args) {
		return false
	}
	for i := range a.Args {
		if !sameTree(a.Args[i], b.Args[i]) {
			return false
		}
	}
	return true
}

// randomTree draws any tree that Parse could return.
func randomTree(t *rapid.T, levels int) *Expr {
	ops := []string{"num", "name"}
	if levels > 0 {
		ops = append(ops, "neg")
		for op := range infix {
			ops = append(ops, op)
		}
		for _, f := range Functions {
			ops = append(ops, f.Name)
		}
	}
	// Map order must not decide what rapid replays.
	slices.Sort(ops)
	op := rapid.SampledFrom(ops).Draw(t, "op")
	e := &Expr{Op: op}
	args := 2
	switch {
	case op == "num":
		e.Value = rapid.Float64Range(0, math.MaxFloat64).Draw(t, "value")
		return e
	case op == "name":
		e.Name = rapid.SampledFrom([]string{"x0", "alpha", "_", "e1", "E"}).Draw(t, "name")
		return e
	case op == "neg":
		args = 1
	case infix[op].text == "":
		args = functions[op].MinArgs
	}
	for range args {
		e.Args = append(e.Args, randomTree(t, levels-1))
	}
	return e
}

func TestStringParsesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := randomTree(t, 5)
		text := e.String()
		back, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if !sameTree(e, back) {
			t.Fatalf("%s is written %s and read %s", lisp(e), text, lisp(back))
		}
		// No pair of parentheses can be spared: without it, the text means something else.
		for i := range text {
			if text[i] != '(' || i > 0 && (isLetter(text[i-1]) || isDigit(text[i-1])) {
				continue // a call
			}
			depth, j := 0, i
			for ; ; j++ {
				if text[j] == '(' {
					depth++
				} else if text[j] == ')' {
					if depth--; depth == 0 {
						break
					}
				}
			}
			less := text[:i] + text[i+1:j] + text[j+1:]
			if other, err := Parse(less); err == nil && sameTree(e, other) {
				t.Fatalf("%s has needless parentheses: %s is the same", text, less)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, src := range []string{
		"alpha*x1^2", "if(x0 > 0, sin(x0), -x0^-2)", "max(1, 2., .3e-4, pi)", "2^3^2", "--x", "((x))", "a<b<c", "1e999",
		"sin(", "x = 1", "\xff", "ä", "+", "1e", "-(-(-x)^2)^2", strings.Repeat("(", 500), strings.Repeat("-", 500) + "x",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			var fe *Error
			if !errors.As(err, &fe) || fe.Pos < 0 || fe.Pos > len(src) && len(src) <= MaxSource || len(err.Error()) > 1000 {
				t.Fatalf("a poor error: %v", err)
			}
			return
		}
		env := map[string]float64{}
		nodes := 0
		e.Walk(func(e *Expr) {
			nodes++
			if e.Op == "name" {
				env[e.Name] = 0.5
			}
			if e.Op == "num" && !(e.Value >= 0 && e.Value <= math.MaxFloat64) {
				t.Fatalf("the number %v", e.Value)
			}
		})
		if nodes > MaxNodes {
			t.Fatalf("%d nodes", nodes)
		}
		want, err := e.Eval(env)
		if err != nil {
			t.Fatal(err)
		}
		text := e.String()
		if len(text) > MaxSource {
			return // spaces around operators may make a long formula longer than is allowed
		}
		back, err := Parse(text)
		if err != nil {
			t.Fatalf("%q is written %q, which is refused: %v", src, text, err)
		}
		if !sameTree(e, back) {
			t.Fatalf("%q is written %q, which is another tree", src, text)
		}
		if got, err := back.Eval(env); err != nil || math.Float64bits(got) != math.Float64bits(want) && !(got != got && want != want) {
			t.Fatalf("%q is %v, written %q it is %v, %v", src, want, text, got, err)
		}
	})
}
