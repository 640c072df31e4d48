package program

import (
	"fmt"
	"math"
)

// Validate checks what engines rely on: types, order and scope of operands,
// matching ends, phis directly after their loop and loopouts and merges directly after their block,
// table lengths, and that no array index leaves its array whatever the loop counters. It returns an *Error for the
// first fault. A Func from a Builder passes unless an index leaves its array or
// what a guard stores is read outside of it.
func (f *Func) Validate() (err error) {
	defer Catch(&err)
	v := validator{f: f, block: make([]int, len(f.Instrs)), parent: map[int]int{-1: -1}, used: make([]bool, len(f.Loops))}
	v.run()
	return nil
}

type validator struct {
	f      *Func
	block  []int       // position of the OpLoop or OpGuard around each instruction, -1 at the top
	parent map[int]int // the block around each block
	open   []int       // blocks around the current instruction, outermost first
	used   []bool      // loops seen
	closed int         // block whose loopouts or merges may follow here, -1: none
	phis   bool        // phis may follow here

}

func (v *validator) run() {
	f := v.f
	for i, t := range f.In {
		if !t.IsFloat() && t != I64 && t != Bool {
			fail("%s: input %d has type %s", f.Name, i, t)
		}
	}
	for i, a := range f.Arrays {
		if a.Len < 1 || !a.Type.IsFloat() {
			fail("%s: array %d has %d elements of type %s", f.Name, i, a.Len, a.Type)
		}
	}
	for i, t := range f.Tables {
		if n := len(t); n == 0 || n&(n-1) != 0 {
			fail("%s: table %d has %d entries; the length must be a power of two", f.Name, i, n)
		}
	}
	v.closed = -1
	for i := range f.Instrs {
		v.instr(i)
	}
	if len(v.open) > 0 {
		fail("%s: the block at %d is not closed", f.Name, v.open[len(v.open)-1])
	}
	for _, o := range f.Out {
		if o < 0 || int(o) >= len(f.Instrs) || f.Instrs[o].Type == None || v.block[o] != -1 {
			fail("%s: output v%d is not a value in scope at the end", f.Name, o)
		}
	}
	v.guards()
}

func (v *validator) here() int {
	if len(v.open) == 0 {
		return -1
	}
	return v.open[len(v.open)-1]
}

func (v *validator) fail(i int, format string, args ...any) {
	in := &v.f.Instrs[i]
	name := fmt.Sprintf("op %d", in.Op)
	if in.Op < NumOps {
		name = in.Op.String()
	}
	fail("%s: v%d (%s): %s", v.f.Name, i, name, fmt.Sprintf(format, args...))
}

// inside reports whether block b is at or around block at.
func (v *validator) inside(at, b int) bool {
	for ; at != b; at = v.parent[at] {
		if at == -1 {
			return false
		}
	}
	return true
}

// operand checks that a value exists and is in scope in block at.
func (v *validator) operand(i, k, at int) *Instr {
	f := v.f
	a := f.Instrs[i].Arg(k)
	if a < 0 || int(a) >= len(f.Instrs) || f.Instrs[a].Type == None {
		v.fail(i, "operand %d (v%d) is not a value", k, a)
	}
	if int(a) >= i {
		v.fail(i, "operand %d (v%d) is defined later", k, a)
	}
	if !v.inside(at, v.block[a]) {
		v.fail(i, "operand %d (v%d) is out of scope", k, a)
	}
	return &f.Instrs[a]
}

func (v *validator) instr(i int) {
	f := v.f
	in := &f.Instrs[i]
	if in.Op >= NumOps {
		v.fail(i, "no such operation")
	}
	closed, phis := v.closed, v.phis
	v.closed, v.phis = -1, false
	v.block[i] = v.here()
	want := ops[in.Op].typ
	switch in.Op {
	case OpEndLoop, OpEndGuard:
		at := v.here()
		if at < 0 || (in.Op == OpEndLoop) != (f.Instrs[at].Op == OpLoop) || in.Imm != uint64(at) {
			v.fail(i, "does not end the innermost block")
		}
		if in.Op == OpEndLoop {
			for p := at + 1; f.Instrs[p].Op == OpPhi; p++ {
				b := f.Instrs[p].B
				if b < 0 || int(b) >= i || f.Instrs[b].Type != f.Instrs[p].Type || !v.inside(at, v.block[b]) {
					v.fail(p, "next value v%d is not a %s value of the loop", b, f.Instrs[p].Type)
				}
			}
		}
		v.open = v.open[:len(v.open)-1]
		v.block[i] = v.here()
		v.closed = at
	case OpLoop:
		if in.Imm >= uint64(len(f.Loops)) || v.used[in.Imm] {
			v.fail(i, "loop %d does not exist or was used before", in.Imm)
		}
		v.used[in.Imm] = true
		l := f.Loops[in.Imm]
		v.affine(i, l.Lo)
		v.affine(i, l.Hi)
		v.push(i)
		v.phis = true
	case OpGuard:
		v.operand(i, 0, v.here())
		v.push(i)
	case OpPhi:
		if !phis {
			v.fail(i, "not directly after its loop")
		}
		v.phis = true
		if a := v.operand(i, 0, v.parent[v.here()]); a.Type != in.Type {
			v.fail(i, "entry value is %s, not %s", a.Type, in.Type)
		}
		return // the next value is checked at the end of the loop
	case OpLoopOut:
		if closed < 0 || in.A < 0 || int(in.A) >= i || f.Instrs[in.A].Op != OpPhi || v.block[in.A] != closed {
			v.fail(i, "not directly after the loop of v%d", in.A)
		}
		if in.Type != f.Instrs[in.A].Type {
			v.fail(i, "is %s of a %s", in.Type, f.Instrs[in.A].Type)
		}
		v.closed = closed
		return
	case OpMerge:
		if closed < 0 || f.Instrs[closed].Op != OpGuard || f.Instrs[closed].A != in.A {
			v.fail(i, "not directly after a guard of v%d", in.A)
		}
		if b, c := v.operand(i, 1, closed), v.operand(i, 2, v.here()); b.Type != in.Type || c.Type != in.Type {
			v.fail(i, "is %s of %s and %s", in.Type, b.Type, c.Type)
		}
		v.closed = closed
		return
	case OpInput:
		if in.Imm >= uint64(len(f.In)) || v.here() != -1 {
			v.fail(i, "input %d does not exist or stands in a block", in.Imm)
		}
		want = f.In[in.Imm]
	case OpConst:
		want = in.Type
		if !want.IsFloat() && want != I64 && want != Bool || want == Bool && in.Imm > 1 || want == F32 && in.Imm > math.MaxUint32 {
			v.fail(i, "%s constant %#x", in.Type, in.Imm)
		}
	case OpSelect:
		if b, c := v.operand(i, 1, v.here()), v.operand(i, 2, v.here()); b.Type != in.Type || c.Type != in.Type {
			v.fail(i, "is %s of %s and %s", in.Type, b.Type, c.Type)
		}
		want = in.Type
	case OpTable:
		if in.Imm >= uint64(len(f.Tables)) {
			v.fail(i, "table %d does not exist", in.Imm)
		}
	case OpIndex:
		v.affineID(i, in.Imm)
	case OpLoad, OpStore:
		a := v.affineID(i, in.Imm>>32)
		id := in.Imm & 0xffffffff
		if id >= uint64(len(f.Arrays)) {
			v.fail(i, "array %d does not exist", id)
		}
		v.bounds(i, a, f.Arrays[id].Len)
		if in.Op == OpLoad {
			want = f.Arrays[id].Type
		} else if x := v.operand(i, 0, v.block[i]); x.Type != f.Arrays[id].Type {
			v.fail(i, "stores %s in array %d of %s", x.Type, id, f.Arrays[id].Type)
		}
	}
	if in.Type != want && !(want == float && in.Type.IsFloat()) {
		v.fail(i, "has type %s, want %s", in.Type, want)
	}
	for k, t := range ops[in.Op].args {
		a := v.operand(i, k, v.block[i])
		if t == float {
			t = v.f.Precision(in)
			if !t.IsFloat() {
				t = float
			}
		}
		if t != None && a.Type != t {
			v.fail(i, "operand %d is %s, want %s", k, a.Type, t)
		}
	}
}

func (v *validator) push(i int) {
	v.parent[i] = v.here()
	v.open = append(v.open, i)
}

func (v *validator) affineID(i int, id uint64) Affine {
	if id >= uint64(len(v.f.Affines)) {
		v.fail(i, "index expression %d does not exist", id)
	}
	v.affine(i, v.f.Affines[id])
	return v.f.Affines[id]
}

// affine checks that a uses counters of enclosing loops only.
func (v *validator) affine(i int, a Affine) {
next:
	for _, t := range a.Terms {
		for _, o := range v.open {
			if in := &v.f.Instrs[o]; in.Op == OpLoop && in.Imm == uint64(t.Loop) {
				continue next
			}
		}
		v.fail(i, "index %s uses a counter of a loop that is not around it", a)
	}
}

// maxTrips bounds the exact check of an index: longer loops must pass the quick
// one.
const maxTrips = 1 << 20

// bounds checks 0 <= a < n for all counters of the enclosing loops.
func (v *validator) bounds(i int, a Affine, n int) {
	var loops []int
	for _, o := range v.open {
		if in := &v.f.Instrs[o]; in.Op == OpLoop {
			loops = append(loops, int(in.Imm))
		}
	}
	if v.extreme(a, loops, false) >= 0 && v.extreme(a, loops, true) < n {
		return
	}
	// The quick check counts trips that an empty inner loop prevents: look at each.
	left := maxTrips
	counter := make([]int, len(v.f.Loops))
	var walk func(loops []int)
	walk = func(loops []int) {
		if left--; left < 0 {
			v.fail(i, "cannot show that index %s stays within 0..%d", a, n-1)
		}
		if len(loops) == 0 {
			if k := a.At(counter); k < 0 || k >= n {
				v.fail(i, "index %s reaches %d, outside 0..%d", a, k, n-1)
			}
			return
		}
		l := v.f.Loops[loops[0]]
		hi := l.Hi.At(counter)
		for k := l.Lo.At(counter); k < hi; k++ {
			counter[loops[0]] = k
			walk(loops[1:])
		}
	}
	walk(loops)
}

// extreme bounds a from above (max) or below: it replaces the innermost counter by
// its last or first value, an Affine of the outer ones, and so on outward.
func (v *validator) extreme(a Affine, loops []int, max bool) int {
	for k := len(loops) - 1; k >= 0; k-- {
		coef := 0
		rest := Affine{Const: a.Const}
		for _, t := range a.Terms {
			if t.Loop == loops[k] {
				coef += t.Coef
			} else {
				rest.Terms = append(rest.Terms, t)
			}
		}
		if l := v.f.Loops[loops[k]]; coef != 0 && coef > 0 == max {
			rest = rest.Add(l.Hi.Plus(-1).Times(coef))
		} else if coef != 0 {
			rest = rest.Add(l.Lo.Times(coef))
		}
		a = rest
	}
	return a.Const
}

// guards checks that arrays stored to in a guard are loaded only in that guard:
// an engine may run the block for samples that did not ask for it.
func (v *validator) guards() {
	f := v.f
	stored := map[uint64]map[int]bool{} // array -> guards that its stores stand in
	for i := range f.Instrs {
		if f.Instrs[i].Op != OpStore {
			continue
		}
		g := v.block[i]
		for g >= 0 && f.Instrs[g].Op != OpGuard {
			g = v.parent[g]
		}
		if g >= 0 {
			array := f.Instrs[i].Imm & 0xffffffff
			if stored[array] == nil {
				stored[array] = map[int]bool{}
			}
			stored[array][g] = true
		}
	}
	for i := range f.Instrs {
		if f.Instrs[i].Op != OpLoad {
			continue
		}
		array := f.Instrs[i].Imm & 0xffffffff
		for g := range stored[array] {
			if !v.inside(v.block[i], g) {
				v.fail(i, "reads array %d outside the guard at v%d that stores it", array, g)
			}
		}
	}
}

// Validate checks the functions of p and that they fit its slots: Setup makes
// every slot from the F64 inputs, Step and Update the slots that are not Fixed; Status and Iteration are I64, and what is reported is a number or I64.
func (p *Program) Validate() (err error) {
	defer Catch(&err)
	slot := func(what string, i int, types ...Type) {
		if i < 0 || i >= len(p.Slots) {
			fail("%s: %s slot %d does not exist", p.Name, what, i)
		}
		for _, t := range types {
			if p.Slots[i].Type == t {
				return
			}
		}
		fail("%s: %s slot %s is %s, want one of %v", p.Name, what, p.Slots[i].Name, p.Slots[i].Type, types)
	}
	slot("status", p.Status, I64)
	slot("iteration", p.Iteration, I64)
	if p.Slots[p.Status].Fixed {
		fail("%s: the status slot is fixed: no sample would end", p.Name)
	}
	for _, r := range p.Results {
		slot("result", r, F64, F32, I64)
	}
	for _, r := range p.Rare {
		slot("rare", r, I64)
	}
	var all, moving []Type
	for _, s := range p.Slots {
		all = append(all, s.Type)
		if !s.Fixed {
			moving = append(moving, s.Type)
		}
	}
	in := make([]Type, len(p.In))
	for i := range in {
		in[i] = F64
	}
	p.fits("setup", p.Setup, in, all)
	p.fits("step", p.Step, all, moving)
	if p.Update == nil {
		return nil
	}
	n := len(p.Update.In) - len(p.Quantities)
	if n < 0 || n > len(all) {
		fail("%s: update takes %d inputs with %d quantities, more than %d slots", p.Name, len(p.Update.In), len(p.Quantities), len(all))
	}
	in = append([]Type(nil), all[:n]...)
	for range p.Quantities {
		in = append(in, F64)
	}
	p.fits("update", p.Update, in, moving)
	for _, i := range append(append([]int(nil), p.Trial...), p.Param...) {
		slot("trial or parameter", i, F64, F32)
	}
	return nil
}

func (p *Program) fits(what string, f *Func, in, out []Type) {
	if f == nil {
		fail("%s: %s is missing", p.Name, what)
	}
	if err := f.Validate(); err != nil {
		fail("%s: %s: %s", p.Name, what, err.(*Error).Msg)
	}
	same := func(which string, got, want []Type) {
		if len(got) != len(want) {
			fail("%s: %s has %d %s, want %d", p.Name, what, len(got), which, len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				fail("%s: %s: %s %d is %s, want %s", p.Name, what, which, i, got[i], want[i])
			}
		}
	}
	same("inputs", f.In, in)
	same("outputs", f.OutTypes(), out)
}
