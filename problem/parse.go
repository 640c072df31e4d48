package problem

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"invar/problem/formula"
)

// Parse reads and checks a problem file. name is its name for messages, and, without .toml, the
// problem's name where the file gives none. The work is bounded by a small multiple of the file's
// size, whatever the file holds.
func Parse(name string, data []byte) (*Problem, error) {
	f, top, err := decode(name, data)
	if err != nil {
		return nil, err
	}
	b := &builder{file: f, top: top, names: map[string]*symbol{}, later: map[string]string{}}
	for _, step := range []func() error{
		b.fields, b.about, b.declare, b.simulation, b.physics, b.loss, b.reverse, b.minima, b.box, b.methods, b.unused, b.work,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &b.p, nil
}

// symbol is a name that formulas can refer to.
type symbol struct {
	name  string
	kind  string // "input", "parameter", "let", "state", "let of a step", "let of a reverse step", "output", "target"
	field string // where it is declared
	used  bool   // by a formula other than its own
}

// scope is what a formula may refer to.
type scope struct {
	names   []string // in order of declaration, for messages
	symbols map[string]*symbol
}

func newScope(groups ...[]*symbol) *scope {
	s := &scope{symbols: map[string]*symbol{}}
	for _, g := range groups {
		s.add(g...)
	}
	return s
}

func (s *scope) add(symbols ...*symbol) {
	for _, sym := range symbols {
		s.names = append(s.names, sym.name)
		s.symbols[sym.name] = sym
	}
}

// builder holds a problem while it is read.
type builder struct {
	p    Problem
	file *file
	top  table

	// Every declared name of the file. A step and a reverse step may use the same names for their
	// lets; then this holds the last.
	names map[string]*symbol
	// later has the fields that declare names which are still to be read, for messages.
	later map[string]string

	inputs, params, lets, states, outputs, targets []*symbol
	stepLets                                       []*symbol // of both kinds of step

	nodes        int // of all formulas so far
	stepNodes    int // of one step of the simulation
	reverseNodes int // of one reverse step
}

func (b *builder) fields() error {
	if err := b.top.allow("name", "description", "source", "inputs", "params", "let", "outputs", "target",
		"loss", "inverse", "minima", "box", "method", "simulate"); err != nil {
		return err
	}
	return b.top.require("inputs", "outputs", "box")
}

func (b *builder) about() (err error) {
	if b.p.Description, err = b.top.text("description"); err != nil {
		return err
	}
	if b.p.Source, err = b.top.text("source"); err != nil {
		return err
	}
	if b.p.Name, err = b.top.text("name"); err != nil {
		return err
	}
	_, given := b.top.fields["name"]
	if !given {
		b.p.Name = strings.TrimSuffix(filepath.Base(b.file.name), ".toml")
	}
	if given && !isProblemName(b.p.Name) {
		return b.file.errorf("name", "%s: a name has 1 to %d letters, digits, and . _ - after the first", describe(b.p.Name), maxName)
	}
	return nil
}

// maxName is the longest name of a problem or of a quantity, in bytes.
const maxName = 64

// isProblemName keeps to what is safe in file names and on a command line.
func isProblemName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", r)) {
			return false
		}
	}
	return true
}

// declareName checks a new name and adds it to the file's names.
func (b *builder) declareName(name, kind, field string) (*symbol, error) {
	quoted := describe(name)[len("the string "):]
	switch {
	case !formula.IsName(name):
		return nil, b.file.errorf(field, "%s is not a name: names have letters, digits and _, and no digit first", quoted)
	case len(name) > maxName:
		return nil, b.file.errorf(field, "the name %s has %d letters, at most %d are allowed", quoted, len(name), maxName)
	case formula.Reserved(name) != "":
		return nil, b.file.errorf(field, "the name %s is reserved: it is %s of the formula language", quoted, formula.Reserved(name))
	case isIndexed(name, 'y'):
		return nil, b.file.errorf(field, "the name %s is reserved: y0, y1, ... are the outputs", quoted)
	case isIndexed(name, 't'):
		return nil, b.file.errorf(field, "the name %s is reserved: t0, t1, ... are the targets", quoted)
	}
	if old := b.names[name]; old != nil && !isStepLet(old.kind, kind) {
		return nil, b.file.errorf(field, "the name %s is taken: %s declares %s %s", quoted, old.field, article(old.kind), old.kind)
	}
	sym := &symbol{name: name, kind: kind, field: field}
	b.names[name] = sym
	delete(b.later, name)
	return sym, nil
}

// isStepLet reports whether the kinds are the lets of a step and of a reverse step, which do not see
// each other.
func isStepLet(old, kind string) bool {
	return old == "let of a step" && kind == "let of a reverse step"
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// isIndexed reports whether name is letter and a number, as in y12.
func isIndexed(name string, letter byte) bool {
	return len(name) > 1 && name[0] == letter && strings.Trim(name[1:], "0123456789") == ""
}

// declare reads the names that everything else refers to.
func (b *builder) declare() error {
	names, err := b.top.strings("inputs", MaxInputs)
	if err != nil {
		return err
	}
	b.p.Inputs = names
	for i, name := range names {
		sym, err := b.declareName(name, "input", element("inputs", i))
		if err != nil {
			return err
		}
		b.inputs = append(b.inputs, sym)
	}

	if params, ok, err := b.top.table("params"); err != nil {
		return err
	} else if ok {
		if len(params.fields) > MaxParams {
			return b.file.errorf("params", "at most %d parameters are allowed, found %d", MaxParams, len(params.fields))
		}
		for _, name := range params.keys() {
			sym, err := b.declareName(name, "parameter", params.field(name))
			if err != nil {
				return err
			}
			value, err := b.file.number(params.field(name), params.fields[name])
			if err != nil {
				return err
			}
			b.params = append(b.params, sym)
			b.p.Params = append(b.p.Params, Param{name, value})
		}
		sort.Slice(b.p.Params, func(i, j int) bool { return b.p.Params[i].Name < b.p.Params[j].Name })
	}

	outputs, err := b.top.list("outputs")
	if err != nil {
		return err
	}
	if len(outputs) == 0 || len(outputs) > MaxOutputs {
		return b.file.errorf("outputs", "1 to %d entries are allowed, found %d", MaxOutputs, len(outputs))
	}
	for i := range outputs {
		b.outputs = append(b.outputs, &symbol{name: outputName(i), kind: "output", field: element("outputs", i)})
	}
	if target, err := b.top.listOf("target", len(outputs), "one for each output"); err != nil {
		return err
	} else if target != nil {
		for i := range outputs {
			b.targets = append(b.targets, &symbol{name: targetName(i), kind: "target", field: element("target", i)})
		}
	}

	if simulate, ok := b.top.fields["simulate"].(map[string]any); ok {
		states, _ := simulate["state"].([]any)
		for i, v := range states {
			if name, ok := v.(string); ok {
				b.later[name] = element("simulate.state", i)
			}
		}
	}
	b.p.Let, b.lets, err = b.bindings(b.top, "let", newScope(b.inputs, b.params))
	return err
}

// bindings reads a list of "name = formula". Each formula may use what s has; its name joins s.
func (b *builder) bindings(t table, kind string, s *scope) (bindings []Binding, symbols []*symbol, err error) {
	list, err := t.list("let")
	if err != nil {
		return nil, nil, err
	}
	split := func(v any) (name, right string, ok bool) {
		text, _ := v.(string)
		name, right, ok = strings.Cut(text, "=")
		return strings.TrimSpace(name), right, ok && !strings.HasPrefix(right, "=")
	}
	for i, v := range list {
		if name, _, ok := split(v); ok && b.names[name] == nil {
			b.later[name] = element(t.field("let"), i)
		}
	}
	for i, v := range list {
		field := element(t.field("let"), i)
		name, right, ok := split(v)
		if !ok {
			return nil, nil, b.file.errorf(field, `expected "name = formula", found %s`, describe(v))
		}
		expr, err := b.formula(field+" "+name, right, s)
		if err != nil {
			return nil, nil, err
		}
		// Declared after its formula, so that a let that refers to itself is told so.
		sym, err := b.declareName(name, kind, field)
		if err != nil {
			return nil, nil, err
		}
		s.add(sym)
		bindings = append(bindings, Binding{name, expr})
		symbols = append(symbols, sym)
	}
	return bindings, symbols, nil
}

// formulas reads a list of formulas.
func (b *builder) formulas(field string, list []any, s *scope) ([]*formula.Expr, error) {
	if list == nil {
		return nil, nil
	}
	exprs := make([]*formula.Expr, len(list))
	for i, v := range list {
		var err error
		if exprs[i], err = b.formula(element(field, i), v, s); err != nil {
			return nil, err
		}
	}
	return exprs, nil
}

// formula reads one formula: a string, or a number as TOML writes it. Every name must be in s.
func (b *builder) formula(field string, v any, s *scope) (*formula.Expr, error) {
	source, ok := v.(string)
	if !ok {
		if _, isNumber := v.(int64); !isNumber {
			if _, isNumber = v.(float64); !isNumber {
				return nil, b.file.errorf(field, "a formula is expected (a string or a number), found %s", describe(v))
			}
		}
		x, err := b.file.number(field, v)
		if err != nil {
			return nil, err
		}
		source = strconv.FormatFloat(x, 'g', -1, 64)
	}
	expr, err := formula.Parse(source)
	if err != nil {
		return nil, b.formulaError(field, err)
	}
	if b.nodes += expr.Nodes(); b.nodes > MaxNodes {
		return nil, b.file.errorf(field, "the formulas up to here have %d numbers, names and operations together, at most %d are allowed", b.nodes, MaxNodes)
	}
	expr.Walk(func(e *formula.Expr) {
		if e.Op != "name" || err != nil {
			return
		}
		if sym := s.symbols[e.Name]; sym != nil {
			sym.used = true
			return
		}
		err = b.formulaError(field, &formula.Error{Source: source, Pos: e.Pos, Msg: b.undefined(e.Name, s)})
	})
	return expr, err
}

// formulaError adds file, line and field to an error within a formula.
func (b *builder) formulaError(field string, err error) error {
	var fe *formula.Error
	if errors.As(err, &fe) {
		return b.file.errorf(field, "%s\n%s", fe.Msg, fe.Caret())
	}
	return b.file.errorf(field, "%w", err)
}

// undefined says why a formula may not use a name.
func (b *builder) undefined(name string, s *scope) string {
	quoted := describe(name)[len("the string "):]
	allowed := "allowed here: " + enumerate(s.names)
	counted := func(letter byte, what string, n int) (string, bool) {
		switch {
		case !isIndexed(name, letter):
			return "", false
		case n == 0:
			return fmt.Sprintf("the name %s: there are no %s; %s", quoted, what, allowed), true
		}
		for i := range n {
			if name == fmt.Sprintf("%c%d", letter, i) {
				return fmt.Sprintf("the name %s is one of the %s, which may not be used here; %s", quoted, what, allowed), true
			}
		}
		return fmt.Sprintf("the name %s: the %s are %c0 to %c%d; %s", quoted, what, letter, letter, n-1, allowed), true
	}
	if msg, ok := counted('y', "outputs", len(b.outputs)); ok {
		return msg
	}
	if msg, ok := counted('t', "targets", len(b.targets)); ok {
		return msg
	}
	if sym := b.names[name]; sym != nil {
		return fmt.Sprintf("the name %s is %s %s (%s), which may not be used here; %s", quoted, article(sym.kind), sym.kind, sym.field, allowed)
	}
	if field := b.later[name]; field != "" {
		return fmt.Sprintf("the name %s is not defined yet (but by %s); %s", quoted, field, allowed)
	}
	return fmt.Sprintf("the name %s is not defined%s; %s", quoted, didYouMean(name, s.names), allowed)
}

// simulation reads [simulate] but for its reverse.
func (b *builder) simulation() error {
	t, ok, err := b.top.table("simulate")
	if err != nil || !ok {
		return err
	}
	if err := t.allow("state", "initial", "steps", "let", "step", "reverse"); err != nil {
		return err
	}
	if err := t.require("state", "initial", "steps", "step"); err != nil {
		return err
	}
	s := &Simulation{}
	b.p.Simulate = s
	if s.State, err = t.strings("state", MaxState); err != nil {
		return err
	}
	for i, name := range s.State {
		sym, err := b.declareName(name, "state", element(t.field("state"), i))
		if err != nil {
			return err
		}
		b.states = append(b.states, sym)
	}
	steps, ok := t.fields["steps"].(int64)
	if !ok {
		return b.file.errorf(t.field("steps"), "a whole number is expected, found %s", describe(t.fields["steps"]))
	}
	if steps < 1 || steps > MaxSteps {
		return b.file.errorf(t.field("steps"), "%d steps, 1 to %d are allowed", steps, MaxSteps)
	}
	s.Steps = int(steps)

	list, err := t.listOf("initial", len(s.State), "one for each state")
	if err != nil {
		return err
	}
	if s.Initial, err = b.formulas(t.field("initial"), list, newScope(b.inputs, b.params, b.lets)); err != nil {
		return err
	}
	if s.Let, s.Step, b.stepNodes, err = b.step(t, "let of a step"); err != nil {
		return err
	}
	for i, sym := range b.states {
		sym.used = sym.used && b.feeds(i)
	}
	return nil
}

// feeds reports whether state i is used by a let of the step or by the step of another state.
func (b *builder) feeds(i int) bool {
	s := b.p.Simulate
	found := false
	look := func(e *formula.Expr) { found = found || e.Op == "name" && e.Name == s.State[i] }
	for _, l := range s.Let {
		l.Expr.Walk(look)
	}
	for j, e := range s.Step {
		if j != i {
			e.Walk(look)
		}
	}
	return found
}

// step reads the let and step of a table and counts their nodes.
func (b *builder) step(t table, kind string) (let []Binding, step []*formula.Expr, nodes int, err error) {
	before := b.nodes
	visible := newScope(b.inputs, b.params, b.lets, b.states)
	let, symbols, err := b.bindings(t, kind, visible)
	if err != nil {
		return nil, nil, 0, err
	}
	b.stepLets = append(b.stepLets, symbols...)
	list, err := t.listOf("step", len(b.states), "one for each state")
	if err != nil {
		return nil, nil, 0, err
	}
	step, err = b.formulas(t.field("step"), list, visible)
	return let, step, b.nodes - before, err
}

// physics reads the outputs.
func (b *builder) physics() error {
	list, err := b.top.list("outputs")
	if err != nil {
		return err
	}
	// Only what the outputs themselves use shows whether the simulation leads anywhere.
	usedBySteps := make([]bool, len(b.states))
	for i, sym := range b.states {
		usedBySteps[i], sym.used = sym.used, false
	}
	if b.p.Outputs, err = b.formulas("outputs", list, newScope(b.inputs, b.params, b.lets, b.states)); err != nil {
		return err
	}
	seen := len(b.states) == 0
	for i, sym := range b.states {
		seen = seen || sym.used
		sym.used = sym.used || usedBySteps[i]
	}
	if !seen {
		return b.file.errorf("outputs", "no output uses the state that [simulate] leads to; allowed here: %s", enumerate(b.p.Simulate.State))
	}
	for _, sym := range b.inputs {
		if !sym.used {
			return b.file.errorf(sym.field, "the input %q is not used by let, simulate or outputs", sym.name)
		}
	}
	return nil
}

// loss reads target and loss.
func (b *builder) loss() error {
	target, err := b.top.list("target")
	if err != nil {
		return err
	}
	if b.p.Target, err = b.formulas("target", target, newScope(b.params)); err != nil {
		return err
	}
	loss, given := b.top.fields["loss"]
	visible := newScope(b.outputs, b.targets, b.params)
	if given {
		if b.p.Loss, err = b.formula("loss", loss, visible); err != nil {
			return err
		}
		for _, sym := range b.targets {
			if !sym.used {
				return b.file.errorf(sym.field, "the target %s is not used by loss", sym.name)
			}
		}
		return nil
	}
	if target == nil {
		return b.file.errorf("", "the field %q is missing; it may be left out only where there is a target", "loss")
	}
	b.p.Loss, err = b.formula("loss", distance(len(target)), visible)
	return err
}

// distance writes the half squared distance 0.5*((y0-t0)^2 + ...).
func distance(m int) string {
	terms := make([]string, m)
	for i := range terms {
		terms[i] = fmt.Sprintf("(%s - %s)^2", outputName(i), targetName(i))
	}
	return "0.5*(" + strings.Join(terms, " + ") + ")"
}

// reverse reads inverse and [simulate.reverse].
func (b *builder) reverse() error {
	list, err := b.top.listOf("inverse", b.p.N(), "one for each input")
	if err != nil {
		return err
	}
	visible := newScope(b.inputs, b.params, b.lets, b.outputs)
	var t table
	var ok bool
	if b.p.Simulate != nil {
		simulate, _, err := b.top.table("simulate")
		if err != nil {
			return err
		}
		if t, ok, err = simulate.table("reverse"); err != nil {
			return err
		}
	}
	if !ok {
		b.p.Inverse, err = b.formulas("inverse", list, visible)
		return err
	}

	if list == nil {
		return b.file.errorf(t.path, "there is no inverse to use it: give inverse as formulas of the recovered initial state %s", enumerate(b.p.Simulate.State))
	}
	if err := t.allow("final", "let", "step"); err != nil {
		return err
	}
	if err := t.require("final", "step"); err != nil {
		return err
	}
	// Here, too, the states' marks are set aside: a use in the reverse is none in the simulation.
	used := make([]bool, len(b.states))
	for i, sym := range b.states {
		used[i] = sym.used
	}
	r := &Reverse{}
	b.p.Simulate.Reverse = r
	final, err := t.listOf("final", len(b.states), "one for each state")
	if err != nil {
		return err
	}
	if r.Final, err = b.formulas(t.field("final"), final, newScope(b.inputs, b.params, b.lets, b.outputs, b.states)); err != nil {
		return err
	}
	if r.Let, r.Step, b.reverseNodes, err = b.step(t, "let of a reverse step"); err != nil {
		return err
	}
	for _, sym := range b.states {
		sym.used = false
	}
	visible.add(b.states...)
	if b.p.Inverse, err = b.formulas("inverse", list, visible); err != nil {
		return err
	}
	seen := false
	for i, sym := range b.states {
		seen = seen || sym.used
		sym.used = used[i]
	}
	if !seen {
		return b.file.errorf("inverse", "no formula uses the initial state that [%s] recovers; allowed here: %s", t.path, enumerate(b.p.Simulate.State))
	}
	return nil
}

func (b *builder) minima() error {
	list, err := b.top.list("minima")
	if err != nil {
		return err
	}
	if len(list) > MaxMinima {
		return b.file.errorf("minima", "at most %d entries are allowed, found %d", MaxMinima, len(list))
	}
	// A parameter that only the minima use is of no use: its mark does not count.
	used := make([]bool, len(b.params))
	for i, sym := range b.params {
		used[i] = sym.used
	}
	for i, v := range list {
		field := element("minima", i)
		point, ok := v.([]any)
		if !ok || len(point) != b.p.N() {
			return b.file.errorf(field, "a list of %d formulas is expected, one for each input, found %s", b.p.N(), describe(v))
		}
		formulas, err := b.formulas(field, point, newScope(b.params))
		if err != nil {
			return err
		}
		b.p.Minima = append(b.p.Minima, formulas)
	}
	for i, sym := range b.params {
		sym.used = used[i]
	}
	return nil
}

func (b *builder) box() error {
	list, err := b.top.listOf("box", b.p.N(), "one [lo, hi] for each input")
	if err != nil {
		return err
	}
	b.p.Box = make([][2]float64, len(list))
	for i, v := range list {
		field := element("box", i)
		pair, ok := v.([]any)
		if !ok || len(pair) != 2 {
			return b.file.errorf(field, "[lo, hi] is expected, found %s", describe(v))
		}
		for j := range pair {
			if b.p.Box[i][j], err = b.file.number(element(field, j), pair[j]); err != nil {
				return err
			}
		}
		if lo, hi := b.p.Box[i][0], b.p.Box[i][1]; !(lo < hi) {
			return b.file.errorf(field, "[%g, %g] is empty: lo < hi is expected", lo, hi)
		} else if math.IsInf(hi-lo, 0) {
			return b.file.errorf(field, "[%g, %g] is too wide: its width must be finite", lo, hi)
		}
	}
	return nil
}

// methods reads [method.NAME]; which methods and settings there are is not known here.
func (b *builder) methods() error {
	t, ok, err := b.top.table("method")
	if err != nil || !ok {
		return err
	}
	b.p.Methods = map[string]map[string]float64{}
	for _, name := range t.keys() {
		settings, _, err := t.table(name)
		if err != nil {
			return err
		}
		if b.p.Methods[name], err = settings.numbers(); err != nil {
			return err
		}
	}
	return nil
}

// unused refuses declared names that no formula uses.
func (b *builder) unused() error {
	for _, sym := range b.states {
		if !sym.used {
			return b.file.errorf(sym.field, "the state %q is used by nothing, its own step aside", sym.name)
		}
	}
	for _, group := range [][]*symbol{b.params, b.lets, b.stepLets} {
		for _, sym := range group {
			if !sym.used {
				return b.file.errorf(sym.field, "the %s %q is not used", sym.kind, sym.name)
			}
		}
	}
	return nil
}

// work bounds one evaluation.
func (b *builder) work() error {
	s := b.p.Simulate
	if s == nil {
		return nil
	}
	if nodes := max(b.stepNodes, b.reverseNodes, 1); nodes > MaxWork/s.Steps {
		return b.file.errorf("simulate.steps", "%d steps of %d numbers, names and operations each are %d, at most %d are allowed", s.Steps, nodes, s.Steps*nodes, MaxWork)
	}
	return nil
}
