package ptx

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"invar/program"
)

// emitter writes one kernel: functions are written in line, one after another,
// each value into a register of its own. What the registers of a GPU hold in the end is the assembler's choice.
type emitter struct {
	body   strings.Builder
	regs   [program.Bool + 1]int // how many of each type
	words  int                   // 32-bit registers
	labels int
	arrays []program.LocalArray
	tables []table         // of all functions
	bounds map[string]span // of narrow registers that are inputs of functions
}

// table is a table in the module's memory: its entries, rounded to the type that it is stored in.
type table struct {
	typ     program.Type
	entries []uint64
}

// line writes one instruction, or label, or comment.
func (e *emitter) line(format string, args ...any) {
	if !strings.HasSuffix(format, ":") {
		e.body.WriteByte('\t')
	}
	fmt.Fprintf(&e.body, format, args...)
	e.body.WriteByte('\n')
}

func (e *emitter) register(t program.Type) string {
	e.regs[t]++
	return fmt.Sprintf("%s%d", byType[t].prefix, e.regs[t]-1)
}

// word is a new 32-bit register: loop counters and scratch.
func (e *emitter) word() string {
	e.words++
	return fmt.Sprintf("%%w%d", e.words-1)
}

func (e *emitter) label(what string) string {
	e.labels++
	return fmt.Sprintf("%s_%d", what, e.labels-1)
}

// write writes a row of the table for the given result and operands.
func (e *emitter) write(template, d string, args ...string) {
	pairs := []string{"$d", d}
	for i, a := range args {
		pairs = append(pairs, "$"+string(rune('a'+i)), a)
	}
	for _, s := range []struct {
		name string
		new  func() string
	}{
		{"$r1", func() string { return e.register(program.I64) }}, {"$r2", func() string { return e.register(program.I64) }},
		{"$w1", e.word}, {"$w2", e.word},
		{"$p1", func() string { return e.register(program.Bool) }}, {"$p2", func() string { return e.register(program.Bool) }},
	} {
		if strings.Contains(template, s.name) {
			pairs = append(pairs, s.name, s.new())
		}
	}
	for _, t := range strings.SplitAfter(strings.NewReplacer(pairs...).Replace(template), ";") {
		if t = strings.TrimSpace(t); t != "" {
			e.line("%s", t)
		}
	}
}

// move moves a to d; both are narrow or both are not, unless d is not and a is.
func (e *emitter) move(t program.Type, d, a string) {
	switch {
	case d == a:
	case isNarrow(d):
		e.line("mov.s32 %s, %s;", d, a)
	default:
		e.write(byType[t].move, d, e.wide(a))
	}
}

// inRegister is an operand for instructions that take no constants.
func (e *emitter) inRegister(t program.Type, a string) string {
	if strings.HasPrefix(a, "%") {
		return a
	}
	d := e.register(t)
	e.move(t, d, a)
	return d
}

// like is a new register of the width that a has.
func (e *emitter) like(a string, t program.Type) string {
	if isNarrow(a) {
		return e.word()
	}
	return e.register(t)
}

// assignment is one part of an assignment of several registers at once.
type assignment struct {
	typ  program.Type
	d, a string
}

// assign moves all as if each source were read before any register is written.
func (e *emitter) assign(all []assignment) {
	written := map[string]bool{}
	for _, m := range all {
		written[m.d] = true
	}
	for i, m := range all {
		if m.a != m.d && written[m.a] {
			t := e.like(m.a, m.typ)
			e.move(m.typ, t, m.a)
			all[i].a = t
		}
	}
	for _, m := range all {
		e.move(m.typ, m.d, m.a)
	}
}

// constant is how a constant is written as an operand.
func constant(t program.Type, b uint64) string {
	switch t {
	case program.F64:
		return fmt.Sprintf("0d%016X", b)
	case program.F32:
		return fmt.Sprintf("0f%08X", b)
	}
	if v := int64(b); v >= -1<<31 && v < 1<<31 {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("0x%X", b)
}

// function is a Func being written.
type function struct {
	*emitter
	f        *program.Func
	in       []string // operands that stand for the inputs
	ref      []string // operand that stands for each value
	spans    []span   // of its I64 values
	written  []bool
	computed []bool   // values that arithmetic works on
	counter  []string // register of each loop's counter
	array    []int    // number of each array in the kernel
	end      map[int]int
}

// call writes f in line. in names its inputs, registers that f does not change; the operands that stand for its
// outputs are returned.
func (e *emitter) call(f *program.Func, in []string) ([]string, error) {
	w, err := e.function(f, in)
	if err != nil {
		return nil, err
	}
	return w.values(f.Out), nil
}

// function prepares f for being written in line, in parts.
func (e *emitter) function(f *program.Func, in []string) (*function, error) {
	if err := checkCounters(f); err != nil {
		return nil, err
	}
	known := spans(f, func(i int) span {
		if b, ok := e.bounds[in[i]]; ok {
			return b
		}
		return anything
	})
	n := len(f.Instrs)
	w := &function{emitter: e, f: f, in: in, spans: known, ref: make([]string, n), written: make([]bool, n), computed: make([]bool, n), counter: make([]string, len(f.Loops)), end: map[int]int{}}
	for _, a := range f.Arrays {
		w.array = append(w.array, len(e.arrays))
		e.arrays = append(e.arrays, a)
	}
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if in.Op == program.OpEndLoop || in.Op == program.OpEndGuard {
			w.end[int(in.Imm)] = i
		}
		if row := instructions[in.Op]; strings.Contains(row, "$t") || strings.Contains(row, ".f64") {
			for k := range in.Op.NumArgs() {
				w.computed[in.Arg(k)] = true
			}
		}
	}
	return w, nil
}

// values writes what the given values need and has not been written, and returns the operands that stand for them.
func (w *function) values(out []program.Value) []string {
	need := w.needs(out)
	for i := 0; i < len(need); i++ {
		last := w.block(i)
		if need[i] && !w.written[i] {
			w.run(i, last+1)
			for k := i; k <= last; k++ {
				w.written[k] = true
			}
		}
		i = last
	}
	refs := make([]string, len(out))
	for i, v := range out {
		refs[i] = w.ref[v]
	}
	return refs
}

// block is the last instruction of what is written as a whole with the one at i, which is in no block: a loop, a guard
// with its merges, or the instruction alone.
func (w *function) block(i int) int {
	switch w.f.Instrs[i].Op {
	case program.OpLoop:
		i = w.end[i]
	case program.OpGuard:
		for i = w.end[i]; i+1 < len(w.f.Instrs) && w.f.Instrs[i+1].Op == program.OpMerge; i++ {
		}
	}
	return i
}

// needs marks what the values are made of: blocks as a whole, and with one access of an array all of them.
func (w *function) needs(out []program.Value) []bool {
	f := w.f
	first := make([]int, len(f.Instrs)) // of the block
	for i := 0; i < len(f.Instrs); i++ {
		last := w.block(i)
		for k := i; k <= last; k++ {
			first[k] = i
		}
		i = last
	}
	accesses := make([][]int, len(f.Arrays))
	for i := range f.Instrs {
		if op := f.Instrs[i].Op; op == program.OpLoad || op == program.OpStore {
			a := f.Instrs[i].Imm & 0xffffffff
			accesses[a] = append(accesses[a], i)
		}
	}
	need := make([]bool, len(f.Instrs))
	var todo []int
	mark := func(i int) {
		i = first[i]
		if need[i] {
			return
		}
		for k := i; k <= w.block(i); k++ {
			need[k] = true
			todo = append(todo, k)
		}
	}
	for _, v := range out {
		mark(int(v))
	}
	for len(todo) > 0 {
		in := &f.Instrs[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		for k := range in.Op.NumArgs() {
			mark(int(in.Arg(k)))
		}
		if in.Op == program.OpLoad || in.Op == program.OpStore {
			for _, i := range accesses[in.Imm&0xffffffff] {
				mark(i)
			}
		}
	}
	return need
}

// addTable gives the number of a table with these entries as numbers of type t.
func (e *emitter) addTable(t program.Type, entries []float64) int {
	rounded := make([]uint64, len(entries))
	for i, x := range entries {
		rounded[i] = t.Bits(x)
	}
	for i, u := range e.tables {
		if u.typ == t && slices.Equal(u.entries, rounded) {
			return i
		}
	}
	e.tables = append(e.tables, table{t, rounded})
	return len(e.tables) - 1
}

func (w *function) run(from, to int) {
	for i := from; i < to; i++ {
		switch w.f.Instrs[i].Op {
		case program.OpLoop:
			w.loop(i, w.end[i])
			i = w.end[i]
		case program.OpGuard:
			i = w.guard(i, w.end[i])
		default:
			w.one(i)
		}
	}
}

// one writes a plain instruction.
func (w *function) one(i int) {
	in := &w.f.Instrs[i]
	switch in.Op {
	case program.OpInput:
		w.ref[i] = w.in[in.Imm]
		return
	case program.OpLoopOut: // the loop is over: its carried value stays as it is
		w.ref[i] = w.ref[in.A]
		return
	case program.OpIndex:
		if a := w.f.Affines[in.Imm]; len(a.Terms) == 0 {
			w.ref[i] = constant(program.I64, uint64(a.Const))
			return
		}
	case program.OpConst:
		if in.Type != program.Bool {
			w.ref[i] = constant(in.Type, in.Imm)
			return
		}
	}
	t := w.f.Precision(in)
	class := byType[t].class
	if in.Op == program.OpStore {
		w.line("st.local.%s %s, %s;", class, w.element(in), w.inRegister(t, w.ref[in.A]))
		return
	}
	if w.narrow(i) {
		return
	}
	d := w.register(in.Type)
	w.ref[i] = d
	switch in.Op {
	case program.OpConst: // a predicate has no constants
		w.line("setp.eq.u32 %s, %d, 1;", d, in.Imm)
	case program.OpIndex:
		w.line("cvt.s64.s32 %s, %s;", d, w.affine(w.f.Affines[in.Imm]))
	case program.OpLoad:
		w.line("ld.local.%s %s, %s;", class, d, w.element(in))
	case program.OpTable:
		entries := w.f.Tables[in.Imm]
		at := w.register(program.I64)
		base := w.register(program.I64)
		w.line("and.b64 %s, %s, %d;", at, w.wide(w.ref[in.A]), len(entries)-1)
		w.line("shl.b64 %s, %s, %d;", at, at, bits.TrailingZeros(uint(byType[t].size)))
		w.line("mov.u64 %s, table%d;", base, w.addTable(t, entries))
		w.line("add.s64 %s, %s, %s;", base, base, at)
		w.line("ld.global.%s %s, [%s];", class, d, base)
	default:
		if in.Op == program.OpSelect || in.Op == program.OpMerge {
			t = in.Type
		}
		row := rowOf(in.Op, t)
		if in.Op == program.OpNeg && t == program.F64 && !w.computed[i] {
			row = negBits
		}
		if row == "" {
			panic("ptx: no instruction for " + in.Op.String())
		}
		args := make([]string, in.Op.NumArgs())
		for k := range args {
			args[k] = w.wide(w.ref[in.Arg(k)])
		}
		w.write(row, d, args...)
	}
}

// narrow writes an instruction on integers that fit 32 bits, if it is one.
func (w *function) narrow(i int) bool {
	in := &w.f.Instrs[i]
	template := narrowed[in.Op]
	if template == "" || in.Type == program.I64 && !w.spans[i].fits() || in.Type.IsFloat() || in.Op == program.OpSelect && in.Type == program.Bool {
		return false
	}
	args := make([]string, in.Op.NumArgs())
	for k := range args {
		v := in.Arg(k)
		args[k] = w.ref[v]
		if w.f.Instrs[v].Type == program.I64 && (!w.spans[v].fits() || !isNarrow(args[k]) && w.f.Instrs[v].Op != program.OpConst) {
			return false
		}
	}
	if in.Type == program.I64 {
		w.ref[i] = w.word()
	} else {
		w.ref[i] = w.register(in.Type)
	}
	w.write(template, w.ref[i], args...)
	return true
}

// affine writes the sum of an index expression, 32 bits wide.
func (w *function) affine(a program.Affine) string {
	sum := fmt.Sprint(a.Const)
	for k, t := range a.Terms {
		c := w.counter[t.Loop]
		switch {
		case t.Coef == 0:
			continue
		case t.Coef == 1 && k == 0 && a.Const == 0:
			sum = c
			continue
		}
		r := w.word()
		if t.Coef == 1 {
			w.line("add.s32 %s, %s, %s;", r, c, sum)
		} else {
			w.line("mad.lo.s32 %s, %s, %d, %s;", r, c, t.Coef, sum)
		}
		sum = r
	}
	return sum
}

// element writes the address of an array element.
func (w *function) element(in *program.Instr) string {
	a := w.f.Affines[in.Imm>>32]
	array := w.array[in.Imm&0xffffffff]
	size := byType[w.arrays[array].Type].size
	if len(a.Terms) == 0 {
		return fmt.Sprintf("[array%d+%d]", array, size*a.Const)
	}
	index := w.affine(program.Affine{Terms: a.Terms}) // the constant part goes into the instruction
	base, at := w.register(program.I64), w.register(program.I64)
	w.line("mov.u64 %s, array%d;", base, array)
	w.line("mad.wide.s32 %s, %s, %d, %s;", at, index, size, base)
	return fmt.Sprintf("[%s+%d]", at, size*a.Const)
}

func (w *function) loop(at, end int) {
	f := w.f
	id := int(f.Instrs[at].Imm)
	l := f.Loops[id]
	first, last := at+1, at+1
	for ; f.Instrs[last].Op == program.OpPhi; last++ {
		in := &f.Instrs[last]
		w.ref[last] = w.register(in.Type)
		w.move(in.Type, w.ref[last], w.ref[in.A])
	}
	counter, again, out := w.word(), w.label("loop"), w.label("endloop")
	more := w.register(program.Bool)
	w.line("mov.s32 %s, %s;", counter, w.affine(l.Lo))
	hi := w.affine(l.Hi)
	if len(l.Lo.Terms) > 0 || len(l.Hi.Terms) > 0 || l.Lo.Const >= l.Hi.Const { // else the first trip is certain
		w.line("setp.lt.s32 %s, %s, %s;", more, counter, hi)
		w.line("@!%s bra %s;", more, out)
	}
	w.counter[id] = counter
	w.line("%s:", again)
	w.run(last, end)
	var next []assignment
	for i := first; i < last; i++ {
		next = append(next, assignment{f.Instrs[i].Type, w.ref[i], w.ref[f.Instrs[i].B]})
	}
	w.assign(next)
	w.line("add.s32 %s, %s, 1;", counter, counter)
	w.line("setp.lt.s32 %s, %s, %s;", more, counter, hi)
	w.line("@%s bra %s;", more, again)
	w.line("%s:", out)
}

// guard writes a guarded block, which threads that do not ask for it branch around, and its merges; it returns
// the position of the last of these.
func (w *function) guard(at, end int) int {
	f := w.f
	orElse, out := w.label("else"), w.label("endguard")
	w.line("@!%s bra %s;", w.ref[f.Instrs[at].A], orElse)
	w.run(at+1, end)
	last := end
	for last+1 < len(f.Instrs) && f.Instrs[last+1].Op == program.OpMerge {
		last++
		w.ref[last] = w.register(f.Instrs[last].Type)
	}
	for i := end + 1; i <= last; i++ {
		w.move(f.Instrs[i].Type, w.ref[i], w.ref[f.Instrs[i].B])
	}
	w.line("bra %s;", out)
	w.line("%s:", orElse)
	for i := end + 1; i <= last; i++ {
		w.move(f.Instrs[i].Type, w.ref[i], w.ref[f.Instrs[i].C])
	}
	w.line("%s:", out)
	return last
}

// span is an interval of integers, both ends included.
type span struct{ lo, hi float64 }

// bound is the interval of an index expression for counters within their spans.
func bound(a program.Affine, counters []span) span {
	s := span{float64(a.Const), float64(a.Const)}
	for _, t := range a.Terms {
		x, y := float64(t.Coef)*counters[t.Loop].lo, float64(t.Coef)*counters[t.Loop].hi
		s.lo += min(x, y)
		s.hi += max(x, y)
	}
	return s
}

// trips is the interval of a loop's counter.
func trips(l program.Loop, counters []span) span {
	lo := bound(l.Lo, counters).lo
	return span{lo, max(lo, bound(l.Hi, counters).hi-1)}
}

// operations is how many operations a call of f takes, at most.
func operations(f *program.Func) int {
	counters := make([]span, len(f.Loops))
	times := []float64{1}
	sum := 0.0
	for i := range f.Instrs {
		in := &f.Instrs[i]
		switch in.Op {
		case program.OpLoop:
			c := trips(f.Loops[in.Imm], counters)
			counters[in.Imm] = c
			times = append(times, times[len(times)-1]*(c.hi-c.lo+1))
		case program.OpEndLoop:
			times = times[:len(times)-1]
		default:
			sum += times[len(times)-1]
		}
	}
	return int(min(sum, 1<<50))
}

// checkCounters makes sure that loop counters, their bounds and index
// expressions fit into 32 bits.
func checkCounters(f *program.Func) error {
	counters := make([]span, len(f.Loops))
	of := func(a program.Affine) span { return bound(a, counters) }
	check := func(a program.Affine) error {
		if s := of(a); !(s.lo > math.MinInt32 && s.hi < math.MaxInt32) {
			return fmt.Errorf("ptx: %s: index %s reaches from %g to %g, 32 bits are allowed", f.Name, a, s.lo, s.hi)
		}
		return nil
	}
	for i := range f.Instrs {
		in := &f.Instrs[i]
		var err error
		switch in.Op {
		case program.OpLoop:
			l := f.Loops[in.Imm]
			if err = check(l.Lo); err == nil {
				err = check(l.Hi)
			}
			counters[in.Imm] = trips(l, counters)
		case program.OpIndex:
			err = check(f.Affines[in.Imm])
		case program.OpLoad, program.OpStore:
			err = check(f.Affines[in.Imm>>32])
		}
		if err != nil {
			return err
		}
	}
	total := 0
	for _, a := range f.Arrays {
		total += a.Len * byType[a.Type].size
	}
	if total > MaxLocal {
		return fmt.Errorf("ptx: %s: local arrays of %d bytes, %d are allowed on a GPU", f.Name, total, MaxLocal)
	}
	return nil
}

// MaxLocal is how many bytes of local memory the arrays of one function may
// take: what every GPU has for one thread is 512 KiB.
const MaxLocal = 256 << 10
