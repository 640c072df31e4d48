// Package progtest checks engines: it writes random programs and inputs, says
// what they must give, and holds an engine against that.
//
// [Func] and [Program] write through a program.Builder, so that what they return is valid; [Reference] runs
// a program by Func.Eval, sample by sample; [Engine] is the conformance suite
// that every engine passes.
package progtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"invar/program"
)

// Special holds the values at which arithmetic changes its ways.
var Special = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 1.5, 2.5, -2.5, 0.49999999999999994, 3, 1e-3,
	math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(0xfff8000000000123),
	math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0x1p-1022, -0x1.fffffffffffffp-1023,
	math.MaxFloat64, -math.MaxFloat64, 0x1p52, 0x1p53, -0x1.8p52, 0x1p51 + 0.5, 0x1p63, 1e300, 1e-300, 0x1p-537,
	// where the numbers of binary32 end, and halves of their steps
	math.MaxFloat32, -math.MaxFloat32, 0x1.ffffffp127, 0x1.fffffefp127, 0x1p-126, -0x1.fffffcp-127, 0x1p-149, 0x1p-150, -0x1.8p-150,
	1 + 0x1p-24, 1 + 0x1.8p-23, 0x1p23, -0x1p22 - 0.5, 0x1p24 + 1, 0x1p-75, -1e30, 1e-30,
}

// Number is a random number: often special, else of any size.
func Number(r *rand.Rand) float64 {
	switch r.IntN(8) {
	case 0, 1:
		return Special[r.IntN(len(Special))]
	case 2:
		return math.Float64frombits(r.Uint64())
	case 3:
		return float64(r.IntN(64) - 32)
	default:
		return r.NormFloat64()
	}
}

// NearMiddle is a random product and a number whose sum lies next to the middle between two float32s, subnormal ones
// too: the low end of the product decides how it is rounded, of which rounding to float64 first leaves nothing.
func NearMiddle(r *rand.Rand) (x, y, z float32) {
	near := func() float64 { return 1 + float64(1-2*r.IntN(2))*math.Ldexp(1, -1-r.IntN(23)) }
	e := r.IntN(270) - 148
	z = float32(math.Ldexp(float64(r.IntN(1<<24)|1<<23), min(e, 127)-23))
	half := e - 24
	if e < -126 { // the step of subnormal numbers
		half = -150
	}
	a := half/2 + r.IntN(3) - 1
	x, y = float32(math.Ldexp(near(), a)), float32(math.Ldexp(near(), half-a))
	if r.IntN(2) == 0 {
		x = -x
	}
	return x, y, z
}

// Bits is a random value of type t as bits.
func Bits(r *rand.Rand, t program.Type) uint64 {
	switch t {
	case program.F64:
		return math.Float64bits(Number(r))
	case program.F32:
		if r.IntN(8) == 0 {
			return uint64(r.Uint32())
		}
		return t.Bits(Number(r))
	case program.I64:
		if r.IntN(2) == 0 {
			return uint64(r.IntN(80) - 8)
		}
		return r.Uint64()
	default:
		return uint64(r.IntN(2))
	}
}

// Same reports whether a and b are the same value of type t, all NaNs being one.
func Same(t program.Type, a, b uint64) bool {
	return a == b || t.IsFloat() && math.IsNaN(t.Float(a)) && math.IsNaN(t.Float(b))
}

// SameF64 reports whether a and b have the same bits or are both NaN.
func SameF64(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// Types returns n random types, those of numbers among floats: F64 if there are none.
func Types(r *rand.Rand, n int, floats ...program.Type) []program.Type {
	t := make([]program.Type, n)
	for i := range t {
		t[i] = []program.Type{program.F64, program.F64, program.F64, program.I64, program.Bool}[r.IntN(5)]
		if t[i] == program.F64 && len(floats) > 0 {
			t[i] = floats[r.IntN(len(floats))]
		}
	}
	return t
}

// Func writes a random function of the given inputs and outputs with about size operations. Every operation
// occurs sooner or later: nested loops that carry values and permute them, arrays with affine indices, guards,
// tables. The bits of a NaN, which IEEE-754 does not fix, never reach an integer. Its numbers are of the types in in
// and out, or F64.
func Func(r *rand.Rand, in, out []program.Type, size int) *program.Func {
	g := newWriter(r, "random", in, nil, floatsIn(in, out))
	g.write(size)
	var v []program.Value
	for _, t := range out {
		v = append(v, g.pick(t))
	}
	return g.b.Finish(v...)
}

// floatsIn are the types of numbers that occur, F64 if there are none.
func floatsIn(types ...[]program.Type) (floats []program.Type) {
	all := slices.Concat(types...)
	for _, t := range []program.Type{program.F64, program.F32} {
		if slices.Contains(all, t) {
			floats = append(floats, t)
		}
	}
	if floats == nil {
		floats = []program.Type{program.F64}
	}
	return floats
}

// Program writes a random program of n F64 inputs that ends every sample after at
// most 12 steps, for one of several reasons, some of them in Setup. Its slots have all types,
// its numbers those among floats (F64 if there are none); its results are the slots that are not Bool.
func Program(r *rand.Rand, n, size int, floats ...program.Type) *program.Program {
	p := &program.Program{Name: "random"}
	slot := func(name string, t program.Type, fixed bool) {
		p.Slots = append(p.Slots, program.Slot{Name: name, Type: t, Fixed: fixed})
	}
	in := make([]program.Type, n)
	for i := range in {
		in[i] = program.F64
		p.In = append(p.In, fmt.Sprintf("in%d", i))
	}
	for i := range 1 + r.IntN(3) {
		slot(fmt.Sprintf("p%d", i), floatsIn(floats)[r.IntN(len(floatsIn(floats)))], true)
	}
	slot("limit", program.I64, true)
	for i, t := range Types(r, 1+r.IntN(6), floats...) {
		slot(fmt.Sprintf("s%d", i), t, r.IntN(4) == 0)
	}
	p.Status, p.Iteration = len(p.Slots), len(p.Slots)+1
	slot("status", program.I64, false)
	slot("iteration", program.I64, false)
	slot("steps", program.I64, false)

	// end is the status: the limit, or a rare condition on a number.
	end := func(g *writer, over program.Value, why int64) program.Value {
		b := g.b
		bad := b.Not(b.IsFinite(g.pick(g.float())))
		return b.Select(over, b.I(why), b.Select(b.And(bad, g.pick(program.Bool)), b.I(why+1), b.I(0)))
	}
	g := newWriter(r, "setup", in, p.In, floatsIn(in, floats))
	g.write(size / 2)
	b := g.b
	var v []program.Value
	for i, s := range p.Slots {
		switch {
		case s.Name == "limit":
			v = append(v, b.IAnd(g.integer(g.val[program.F64][r.IntN(n)]), b.I(11)))
		case i == p.Status:
			v = append(v, end(g, b.B(false), 3))
		case i == p.Iteration:
			v = append(v, b.I(int64(r.IntN(4)-2)))
		case s.Name == "steps":
			v = append(v, b.I(0))
		default:
			v = append(v, g.pick(s.Type))
		}
	}
	p.Setup = b.Finish(v...)

	var types []program.Type
	var names []string
	for _, s := range p.Slots {
		types = append(types, s.Type)
		names = append(names, s.Name)
	}
	g = newWriter(r, "step", types, names, floatsIn(types, floats))
	b = g.b
	input := func(name string) program.Value { return g.input[p.Slot(name)] }
	g.write(size)
	steps := b.IAdd(input("steps"), b.I(1))
	v = v[:0]
	for i, s := range p.Slots {
		switch {
		case s.Fixed:
		case i == p.Status:
			v = append(v, end(g, b.ILt(input("limit"), steps), 1))
		case i == p.Iteration:
			v = append(v, b.IAdd(input("iteration"), b.Select(g.pick(program.Bool), b.I(1), b.I(0))))
		case s.Name == "steps":
			v = append(v, steps)
		default:
			v = append(v, g.pick(s.Type))
		}
	}
	p.Step = b.Finish(v...)
	for i, s := range p.Slots {
		if s.Type != program.Bool {
			p.Results = append(p.Results, i)
		}
	}
	return p
}

// Iteration writes a random program of n F64 inputs that is like a method with few operations: a state of a few numbers of the given type that
// shrinks until it is small, counters that are compared with constants, one of them of steps that are taken
// otherwise, and an iteration limit. Its samples make up to some 100 steps.
func Iteration(r *rand.Rand, n int, float program.Type) *program.Program {
	p := &program.Program{Name: "iteration", Status: 0, Iteration: 1, Results: []int{1, 2, 3}, Rare: []int{3}}
	slot := func(name string, t program.Type, fixed bool) {
		p.Slots = append(p.Slots, program.Slot{Name: name, Type: t, Fixed: fixed})
	}
	slot("status", program.I64, false)
	slot("iteration", program.I64, false)
	slot("steps", program.I64, false)
	slot("rare", program.I64, false)
	state := 1 + r.IntN(3)
	for i := range state {
		p.Results = append(p.Results, len(p.Slots))
		slot(fmt.Sprintf("s%d", i), float, false)
	}
	slot("first", float, false)
	p.Results = append(p.Results, len(p.Slots)-1)
	set, b := program.NewBuilderOf(float, "setup"), program.NewBuilderOf(float, "step")
	start := []program.Value{set.I(0), set.I(-1), set.I(int64(r.IntN(3))), set.I(0)}
	var in []program.Value
	for i := range n {
		p.In = append(p.In, fmt.Sprintf("in%d", i))
		in = append(in, fromF64(set, set.Input(p.In[i], program.F64), float))
	}
	for range state {
		start = append(start, in[r.IntN(n)])
	}
	start = append(start, set.F(0))
	for i := range n {
		slot(p.In[i], float, true)
		start = append(start, in[i])
	}
	p.Setup = set.Finish(start...)

	var v []program.Value
	for _, s := range p.Slots {
		v = append(v, b.Input(s.Name, s.Type))
	}
	iteration, steps, rare, first, fixed := v[1], v[2], v[3], v[4+state], v[5+state:]
	s := v[4 : 4+state]
	pool := append(append([]program.Value{b.F(1), b.F(-0.5)}, s...), fixed...)
	pick := func() program.Value { return pool[r.IntN(len(pool))] }
	for range 2 + r.IntN(12) {
		x, y := pick(), pick()
		switch r.IntN(6) {
		case 0:
			x = b.Mul(x, y)
		case 1:
			x = b.Sub(x, y)
		case 2:
			x = b.FMA(x, y, pick())
		case 3:
			x = b.Select(b.Lt(x, y), x, pick())
		case 4:
			x = b.Sqrt(b.Abs(x))
		case 5:
			x = b.Div(x, b.Add(b.Abs(y), b.F(1)))
		}
		pool = append(pool, x)
	}
	odd := b.Lt(pick(), b.F(-4*r.Float64()))
	if r.IntN(2) == 0 {
		odd = b.Not(b.And(b.Le(pick(), b.F(3)), b.Le(b.F(-3), pick())))
	}
	atFirst := b.ILt(iteration, b.I(0))
	begin := b.Select(atFirst, pick(), first)
	next := make([]program.Value, state)
	for i := range next {
		step := b.Mul(b.F(0.05*r.Float64()), pick())
		next[i] = b.FMA(s[i], b.F(0.5+0.5*r.Float64()), b.Select(odd, b.Neg(step), step))
	}
	after := b.IAdd(iteration, b.I(1))
	small := b.Le(b.Abs(next[r.IntN(state)]), b.Mul(b.F(0.02), b.Abs(begin)))
	status := b.Select(b.ILt(after, b.I(int64(20+r.IntN(80)))), b.I(0), b.I(3))
	status = b.Select(b.ILt(b.I(int64(10+r.IntN(120))), b.IAdd(steps, b.I(2))), b.I(4), status)
	status = b.Select(small, b.I(1), status)
	status = b.Select(b.Not(b.AllFinite(next...)), b.I(2), status)
	goesOn := b.IEq(status, b.I(0))
	out := []program.Value{status, after, b.IAdd(steps, b.I(1)), b.IAdd(rare, b.Select(b.And(goesOn, odd), b.I(1), b.I(0)))}
	p.Step = b.Finish(append(append(out, next...), begin)...)
	return p
}

// Wrap makes a program that runs f once, so that an engine can be tried on it.
// Its inputs are f's: a number as it is (rounded to F32 if f wants that), an I64 as the F64 with its bits (0 for a NaN), a Bool as
// not zero. Its results are f's outputs in the same way.
func Wrap(f *program.Func) *program.Program {
	p := &program.Program{Name: "wrap"}
	set := program.NewBuilder("setup")
	step := program.NewBuilder("step")
	var state, args []program.Value
	for i, t := range f.In {
		name := fmt.Sprintf("x%d", i)
		p.In = append(p.In, name)
		x := set.Input(name, program.F64)
		state = append(state, fromF64(set, x, t))
		p.Slots = append(p.Slots, program.Slot{Name: name, Type: t, Fixed: true})
	}
	for _, s := range p.Slots {
		args = append(args, step.Input(s.Name, s.Type))
	}
	p.Status, p.Iteration = len(args), len(args)+1
	p.Slots = append(p.Slots, program.Slot{Name: "status", Type: program.I64}, program.Slot{Name: "iteration", Type: program.I64})
	state = append(state, set.I(0), set.I(-1))
	step.Input("status", program.I64)
	step.Input("iteration", program.I64)
	out := []program.Value{step.I(1), step.I(0)}
	for i, t := range f.OutTypes() {
		name := fmt.Sprintf("y%d", i)
		p.Results = append(p.Results, len(p.Slots))
		if t != program.F32 {
			t = program.F64
		}
		p.Slots = append(p.Slots, program.Slot{Name: name, Type: t})
		set.With(t, func() { state = append(state, set.F(0)) })
		step.Input(name, t)
	}
	for _, v := range step.Inline(f, args...) {
		switch step.Type(v) {
		case program.I64:
			v = step.FromBits(v)
		case program.Bool:
			v = step.Select(v, step.F(1), step.F(0))
		}
		out = append(out, v)
	}
	p.Setup, p.Step = set.Finish(state...), step.Finish(out...)
	return p
}

func fromF64(b *program.Builder, x program.Value, t program.Type) program.Value {
	switch t {
	case program.F32:
		return b.Narrow(x)
	case program.I64:
		return b.Bits(b.Select(b.IsNaN(x), b.F(0), x))
	case program.Bool:
		return b.Ne(x, b.F(0))
	}
	return x
}

// counter is a loop counter in scope with bounds on its values.
type counter struct {
	a      program.Affine
	lo, hi int // lo <= hi, both included
}

type array struct {
	id    program.Array
	n     int
	typ   program.Type
	guard int // number of guards around its making
}

// writer writes random operations on the values in scope.
type writer struct {
	r      *rand.Rand
	b      *program.Builder
	floats []program.Type // types of numbers to write
	input  []program.Value
	val    [program.Bool + 1][]program.Value // by type, those in scope
	loops  []counter
	arrays []array
	tables []int
	guards int
	depth  int
	left   int // operations still to write
}

func newWriter(r *rand.Rand, name string, in []program.Type, names []string, floats []program.Type) *writer {
	g := &writer{r: r, b: program.NewBuilder(name), floats: floats}
	for i, t := range in {
		n := fmt.Sprintf("x%d", i)
		if names != nil {
			n = names[i]
		}
		v := g.b.Input(n, t)
		g.input = append(g.input, v)
		g.add(v)
	}
	return g
}

// float is a type of numbers.
func (g *writer) float() program.Type { return g.floats[g.r.IntN(len(g.floats))] }

func (g *writer) add(v ...program.Value) {
	for _, v := range v {
		t := g.b.Type(v)
		g.val[t] = append(g.val[t], v)
	}
}

// pick chooses a value in scope, a recent one rather than an old one, now and
// then a constant.
func (g *writer) pick(t program.Type) program.Value {
	v := g.val[t]
	if len(v) == 0 || g.r.IntN(10) == 0 {
		x := Bits(g.r, t)
		switch t {
		case program.I64:
			return g.b.I(int64(x))
		case program.Bool:
			return g.b.B(x != 0)
		}
		var c program.Value
		g.b.With(t, func() { c = g.b.F(t.Float(x)) })
		return c
	}
	if g.r.IntN(2) == 0 {
		return v[len(v)-1-g.r.IntN(min(4, len(v)))]
	}
	return v[g.r.IntN(len(v))]
}

// integer is the bits of x, 0 for a NaN.
func (g *writer) integer(x program.Value) (i program.Value) {
	g.b.With(g.b.Type(x), func() { i = g.b.Bits(g.b.Select(g.b.IsNaN(x), g.b.F(0), x)) })
	return i
}

func (g *writer) write(n int) {
	g.left = n
	for g.left > 0 {
		g.statement()
	}
}

// block runs body with what it adds going out of scope afterwards.
func (g *writer) block(body func()) {
	val, arrays := g.val, g.arrays
	g.depth++
	body()
	g.depth--
	for t := range val { // appends may not show in the slices kept here
		g.val[t] = val[t][:len(val[t]):len(val[t])]
	}
	g.arrays = arrays[:len(arrays):len(arrays)]
}

// statement writes an operation. What there is for both types of numbers is written for one of them.
func (g *writer) statement() {
	g.left--
	float := g.float()
	g.b.With(float, func() { g.operation(float) })
}

func (g *writer) operation(float program.Type) {
	b, r := g.b, g.r
	f := func() program.Value { return g.pick(float) }
	n := func() program.Value { return g.pick(program.I64) }
	c := func() program.Value { return g.pick(program.Bool) }
	switch r.IntN(47 + len(g.floats)) {
	case 0, 1:
		g.add(b.Add(f(), f()))
	case 2, 3:
		g.add(b.Sub(f(), f()))
	case 4, 5:
		g.add(b.Mul(f(), f()))
	case 6:
		g.add(b.Div(f(), f()))
	case 7:
		g.add(b.Sqrt(f()))
	case 8:
		g.add(b.FMA(f(), f(), f()))
	case 9:
		g.add(b.Neg(f()))
	case 10:
		g.add(b.Abs(f()))
	case 11:
		g.add(b.Round(f()))
	case 12:
		g.add(b.Floor(f()))
	case 13:
		g.add(b.Trunc(f()))
	case 14, 15:
		g.add(b.Lt(f(), f()))
	case 16:
		g.add(b.Le(f(), f()))
	case 17:
		g.add(b.Eq(f(), f()))
	case 18:
		g.add(b.And(c(), c()))
	case 19:
		g.add(b.Or(c(), c()))
	case 20:
		g.add(b.Not(c()))
	case 21:
		g.add(b.Select(c(), f(), f()))
	case 22:
		g.add(b.Select(c(), n(), n()))
	case 23:
		g.add(b.Select(c(), c(), c()))
	case 24:
		g.add(b.IAdd(n(), n()))
	case 25:
		g.add(b.ISub(n(), n()))
	case 26:
		g.add(b.MulU32(n(), n()))
	case 27:
		g.add(b.IAnd(n(), n()))
	case 28:
		g.add(b.IOr(n(), n()))
	case 29:
		g.add(b.IXor(n(), n()))
	case 30:
		g.add(b.Shl(n(), g.shift()))
	case 31:
		g.add(b.Shr(n(), g.shift()))
	case 32:
		g.add(b.ILt(n(), n()))
	case 33:
		g.add(b.IEq(n(), n()))
	case 34:
		g.add(g.integer(f()))
	case 35:
		g.add(b.FromBits(n()))
	case 36:
		if len(g.tables) == 0 || r.IntN(4) == 0 {
			t := make([]float64, 1<<r.IntN(5))
			for i := range t {
				t[i] = Number(r)
			}
			g.tables = append(g.tables, b.NewTable(t))
		}
		g.add(b.Table(g.tables[r.IntN(len(g.tables))], n()))
	case 37:
		i, _ := g.affine(-1)
		g.add(b.IndexValue(i))
	case 38:
		b.Strict(func() { g.add(b.Add(b.Mul(f(), f()), f())) })
	case 39, 40:
		if a, i, ok := g.element(true); ok {
			b.Store(a.id, i, g.pick(a.typ))
		}
	case 41, 42:
		if a, i, ok := g.element(false); ok {
			g.add(b.Load(a.id, i))
		}
	case 43:
		if len(g.arrays) < 4 {
			g.newArray()
		}
	case 44, 45:
		if g.depth < 3 {
			g.loop()
		}
	case 46, 47:
		if g.depth < 3 {
			g.guard()
		}
	case 48:
		if float == program.F32 {
			g.add(b.Widen(f()))
		} else {
			g.add(b.Narrow(f()))
		}
	}
}

func (g *writer) shift() program.Value {
	if g.r.IntN(2) == 0 {
		return g.b.I(int64(g.r.IntN(70) - 3))
	}
	return g.pick(program.I64)
}

// affine is a random index expression with values in 0..n-1; n < 0: any values.
func (g *writer) affine(n int) (a program.Affine, ok bool) {
	lo, hi := 0, 0
	for _, c := range g.loops {
		if k := g.r.IntN(5) - 2; k != 0 && g.r.IntN(2) == 0 {
			a = a.Add(c.a.Times(k))
			if k > 0 {
				lo, hi = lo+k*c.lo, hi+k*c.hi
			} else {
				lo, hi = lo+k*c.hi, hi+k*c.lo
			}
		}
	}
	if n < 0 {
		return a.Plus(g.r.IntN(7) - 3), true
	}
	if hi-lo >= n {
		return program.At(g.r.IntN(n)), true
	}
	return a.Plus(-lo + g.r.IntN(n-(hi-lo))), true
}

// element chooses an array element that may be stored to or loaded from here.
func (g *writer) element(store bool) (array, program.Affine, bool) {
	if len(g.arrays) == 0 {
		return array{}, program.Affine{}, false
	}
	a := g.arrays[g.r.IntN(len(g.arrays))]
	if store && a.guard != g.guards {
		return array{}, program.Affine{}, false
	}
	i, ok := g.affine(a.n)
	return a, i, ok
}

func (g *writer) newArray() {
	n := 1 + g.r.IntN(7)
	a := g.b.NewArray(n)
	v := g.pick(g.b.Float())
	g.b.Loop(program.At(0), program.At(n), []program.Value{v}, func(i program.Affine, c []program.Value) []program.Value {
		g.b.Store(a, i, c[0])
		return []program.Value{g.b.Add(c[0], g.b.F(0.75))}
	})
	g.arrays = append(g.arrays, array{a, n, g.b.Float(), g.guards})
}

func (g *writer) loop() {
	r := g.r
	var init []program.Value
	for _, t := range Types(r, r.IntN(5), g.floats...) {
		init = append(init, g.pick(t))
	}
	c := counter{lo: r.IntN(5) - 2}
	lo := program.At(c.lo)
	c.hi = c.lo + r.IntN(7) - 1
	hi := program.At(c.hi + 1)
	if len(g.loops) > 0 && r.IntN(2) == 0 { // a triangle
		o := g.loops[len(g.loops)-1]
		if r.IntN(2) == 0 {
			c.lo, c.hi = o.lo, o.hi
			lo, hi = o.a, program.At(o.hi+1)
		} else {
			c.lo, c.hi = o.lo, o.hi
			lo, hi = program.At(o.lo), o.a
		}
	}
	c.hi = max(c.hi, c.lo)
	var out []program.Value
	g.block(func() {
		out = g.b.Loop(lo, hi, init, func(i program.Affine, carried []program.Value) []program.Value {
			c.a = i
			g.loops = append(g.loops, c)
			g.add(carried...)
			for k := 1 + r.IntN(12); k > 0 && g.left > 0; k-- {
				g.statement()
			}
			g.loops = g.loops[:len(g.loops)-1]
			next := make([]program.Value, len(carried))
			for k := range next {
				t := g.b.Type(carried[k])
				next[k] = g.pick(t)
				if r.IntN(3) == 0 { // another carried value: the next trip's are assigned at once
					if o := carried[r.IntN(len(carried))]; g.b.Type(o) == t {
						next[k] = o
					}
				}
			}
			return next
		})
	})
	g.add(out...)
}

func (g *writer) guard() {
	cond := g.pick(program.Bool)
	types := Types(g.r, 1+g.r.IntN(3), g.floats...)
	var orElse, out []program.Value
	for _, t := range types {
		orElse = append(orElse, g.pick(t))
	}
	g.block(func() {
		g.guards++
		out = g.b.Guard(cond, orElse, func() []program.Value {
			for k := 1 + g.r.IntN(12); k > 0 && g.left > 0; k-- {
				g.statement()
			}
			var v []program.Value
			for _, t := range types {
				v = append(v, g.pick(t))
			}
			return v
		})
		g.guards--
	})
	g.add(out...)
}
