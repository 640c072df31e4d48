package cpu

import "invar/program"

// compile turns f into code for blocks of stride lanes. outTo names for each
// output the input whose column it is to end up in, for a function that is applied
// to its own state again and again, or is nil.
//
// A value is named by its position in f.Instrs. Values that are the same bits share a root: LoopOut, and Bits and FromBits of
// F64s, are free, and the next value of a phi is computed straight into the
// phi's column where nothing needs the old one any more.
func compile(f *program.Func, stride int, outTo []int) (*code, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	n := len(f.Instrs)
	c := &compiler{
		f: f, n: n,
		code:    &code{stride: stride, loops: f.Loops, tables: f.Tables},
		inputs:  make([]int, len(f.In)),
		root:    make([]int, n),
		uniform: make([]bool, n),
		loop:    make([]int, n),
		outer:   map[int]int{},
		end:     map[int]int{},
		def:     make([]int, 2*n),
		last:    make([]int, 2*n),
		uses:    make([][]use, 2*n),
		group:   make([]int, 2*n),
		reg:     make([]int, 2*n),
		scalar:  make([]int, n),
	}
	for i := range c.group {
		c.group[i] = i
	}
	c.blocks()
	c.roots()
	c.plan()
	c.reads()
	c.coalesce(outTo)
	c.allocate()
	c.emit(outTo)
	return c.code, nil
}

type use struct{ at, by int } // position up to which a value is needed, and by whom

type compiler struct {
	f    *program.Func
	n    int
	code *code

	loop  []int       // innermost loop around each position, -1: none
	outer map[int]int // the loop around each loop
	end   map[int]int // of loops

	inputs  []int  // value of each input, -1: not used
	root    []int  // value that holds the same bits
	uniform []bool // the same in all lanes: a scalar
	choices []choice

	// Columns are named by the value they hold, n + the value where that is a
	// scalar that some kernel wants in a column.
	def, last []int // first and last position where it is needed; def -1: an input; last -1: never
	uses      [][]use
	group     []int         // column that it shares its memory with
	reg       []int         // offset in its file
	scalar    []int         // of each scalar value: its index
	next      int           // free scalar
	temp      [numFiles]int // a column of each file, for moves
	array     []int         // offset of each array
}

// choice is the kernel for an instruction and which operands it takes as scalars.
type choice struct {
	op   kernel
	args [3]program.Value
	s    [3]bool
	n    int
}

func (c *compiler) blocks() {
	at := -1
	for i := range c.f.Instrs {
		c.loop[i] = at
		switch c.f.Instrs[i].Op {
		case program.OpLoop: // its bounds are evaluated outside of it
			c.outer[i] = at
			at = i
		case program.OpEndLoop: // still belongs to it
			c.end[at] = i
			at = c.outer[at]
		}
	}
}

func (c *compiler) roots() {
	f := c.f
	for i := range c.inputs {
		c.inputs[i] = -1
	}
	for i := range f.Instrs {
		in := &f.Instrs[i]
		c.root[i] = i
		switch in.Op {
		case program.OpInput:
			if c.inputs[in.Imm] >= 0 {
				c.root[i] = c.inputs[in.Imm]
			} else {
				c.inputs[in.Imm] = i
			}
		case program.OpIndex:
			c.uniform[i] = true
		default:
			if c.free(in) {
				c.root[i] = c.root[in.A]
				c.uniform[i] = c.uniform[in.A]
				break
			}
			u := in.Op.Pure()
			for k := 0; k < in.Op.NumArgs() && u; k++ {
				u = c.uniform[in.Arg(k)]
			}
			c.uniform[i] = u
		}
		if c.uniform[i] && c.root[i] == i {
			c.scalar[i] = c.next
			c.next++
			if in.Op == program.OpConst {
				c.code.consts = append(c.code.consts, constant{place{in.Type, true, c.scalar[i]}, in.Imm})
			}
		}
	}
}

// free reports whether in's result is, bit for bit, the same column as its operand.
func (c *compiler) free(in *program.Instr) bool {
	switch in.Op {
	case program.OpBits, program.OpFromBits:
		return c.f.Precision(in) == program.F64
	}
	return in.Op == program.OpLoopOut
}

// binary lists the kernels of the operations of two operands: both in columns,
// the second a scalar, the first a scalar.
var binary = map[program.Op]struct{ cc, cs, sc kernel }{
	program.OpAdd:    {kAddCC, kAddCS, swap},
	program.OpSub:    {kSubCC, kSubCS, kSubSC},
	program.OpMul:    {kMulCC, kMulCS, swap},
	program.OpDiv:    {kDivCC, kDivCS, kDivSC},
	program.OpLt:     {kLtCC, kLtCS, kLtSC},
	program.OpLe:     {kLeCC, kLeCS, kLeSC},
	program.OpEq:     {kEqCC, kEqCS, swap},
	program.OpAnd:    {kAnd, none, none},
	program.OpOr:     {kOr, none, none},
	program.OpIAdd:   {kIAddCC, kIAddCS, swap},
	program.OpISub:   {kISubCC, kISubCS, kISubSC},
	program.OpMulU32: {kMulU32CC, kMulU32CS, swap},
	program.OpIAnd:   {kIAndCC, kIAndCS, swap},
	program.OpIOr:    {kIOrCC, kIOrCS, swap},
	program.OpIXor:   {kIXorCC, kIXorCS, swap},
	program.OpShl:    {kShlCC, kShlCS, none},
	program.OpShr:    {kShrCC, kShrCS, none},
	program.OpILt:    {kILtCC, kILtCS, kILtSC},
	program.OpIEq:    {kIEqCC, kIEqCS, swap},
}

const (
	swap = numKernels + iota // exchange the operands
	none                     // copy the scalar to a column
)

var unary = map[program.Op]kernel{
	program.OpSqrt: kSqrt, program.OpNeg: kNeg, program.OpAbs: kAbs, program.OpRound: kRound,
	program.OpFloor: kFloor, program.OpTrunc: kTrunc, program.OpNot: kNot, program.OpTable: kTable,
	program.OpWiden: kWiden, program.OpNarrow: kNarrow, program.OpBits: kBits, program.OpFromBits: kFromBits,
}

// plan chooses each instruction's kernel.
func (c *compiler) plan() {
	c.choices = make([]choice, c.n)
	for i := range c.f.Instrs {
		in := &c.f.Instrs[i]
		s := choice{n: in.Op.NumArgs(), args: [3]program.Value{in.A, in.B, in.C}}
		var u [3]bool
		for k := 0; k < s.n; k++ {
			u[k] = c.uniform[s.args[k]]
		}
		exchange := func() {
			s.args[0], s.args[1] = s.args[1], s.args[0]
			u[0], u[1] = u[1], u[0]
		}
		if c.free(in) {
			s.n = 0 // no code of its own
			c.choices[i] = s
			continue
		}
		switch in.Op {
		case program.OpInput, program.OpConst, program.OpPhi:
			s.n = 0
		case program.OpFMA:
			if in.Type == program.F32 {
				s.op = kFMA32
				break
			}
			if u[0] {
				exchange()
			}
			u[0] = false // of two scalars one goes to a column
			s.s = u
			switch {
			case u[1] && u[2]:
				s.op = kFMACSS
			case u[1]:
				s.op = kFMACSC
			case u[2]:
				s.op = kFMACCS
			default:
				s.op = kFMACCC
			}
		case program.OpSelect, program.OpMerge:
			switch {
			case in.Type == program.Bool:
				s.op = kSelectBool
			case u[1] && u[2]:
				s.op, s.s = kSelectSS, [3]bool{false, true, true}
			case u[1]:
				s.op, s.s = kSelectSC, [3]bool{false, true, false}
			case u[2]:
				s.op, s.s = kSelectCS, [3]bool{false, false, true}
			default:
				s.op = kSelectCC
			}
		case program.OpStore:
			s.op = kStore
			if u[0] {
				s.op, s.s = kStoreS, u
			}
		case program.OpGuard:
			s.op = kGuard
			if u[0] {
				s.op, s.s = kGuardS, u
			}
		case program.OpLoad:
			s.op = kLoad
		case program.OpIndex:
			s.op = kIndex
		default:
			b, ok := binary[in.Op]
			if !ok {
				s.op = unary[in.Op]
				break
			}
			s.op = b.cc
			if u[0] && b.sc == swap {
				exchange()
			}
			switch {
			case u[1] && b.cs != none:
				s.op, s.s = b.cs, [3]bool{false, true}
			case u[0] && b.sc != none && b.sc != swap:
				s.op, s.s = b.sc, [3]bool{true, false}
			}
		}
		if c.uniform[i] && s.n > 0 { // an operation on scalars
			s.op = kScalar
			if in.Op == program.OpTable {
				s.op = kTableS
			}
			s.args = [3]program.Value{in.A, in.B, in.C}
			s.s = [3]bool{true, true, true}
		}
		c.choices[i] = s
	}
}

// column is the name of the column that holds v.
func (c *compiler) column(v program.Value) int {
	if c.uniform[v] {
		return c.n + c.root[v]
	}
	return c.root[v]
}

// read notes that the instruction by, at position at in the given loop, needs the column of v: from v's
// definition to there, and to the end of each loop that began in between.
func (c *compiler) read(v program.Value, at, loop, by int) {
	col := c.column(v)
	for l := loop; l > c.def[col]; l = c.outer[l] {
		at = max(at, c.end[l])
	}
	c.last[col] = max(c.last[col], at)
	c.uses[col] = append(c.uses[col], use{at, by})
}

func (c *compiler) phis(loop int) (p []int) {
	for i := loop + 1; c.f.Instrs[i].Op == program.OpPhi; i++ {
		p = append(p, i)
	}
	return p
}

// reads finds how long each column is needed.
func (c *compiler) reads() {
	f := c.f
	for i := range f.Instrs {
		c.last[i], c.last[c.n+i] = -1, -1
		c.def[i], c.def[c.n+i] = i, i
		switch f.Instrs[i].Op {
		case program.OpInput:
			c.def[i] = -1
		case program.OpPhi:
			c.def[i] = c.loop[i]
		}
	}
	for i := range f.Instrs {
		in, s := &f.Instrs[i], &c.choices[i]
		for k := 0; k < s.n; k++ {
			if !s.s[k] {
				c.read(s.args[k], i, c.loop[i], i)
			}
		}
		switch in.Op {
		case program.OpPhi: // on entry, outside of the loop
			if !c.uniform[in.A] {
				c.read(in.A, i, c.outer[c.loop[i]], i)
			}
		case program.OpEndLoop:
			for _, p := range c.phis(int(in.Imm)) {
				c.last[p] = max(c.last[p], i)
				if v := f.Instrs[p].B; !c.uniform[v] {
					c.read(v, i, c.loop[i], i)
				}
			}
		}
	}
	for _, v := range f.Out {
		if !c.uniform[v] {
			c.read(v, c.n, -1, c.n)
		}
	}
}

// find is the column that col shares its memory with.
func (c *compiler) find(col int) int {
	for c.group[col] != col {
		col = c.group[col]
	}
	return col
}

// coalesce lets the next value of a phi (or of a state input) be computed into
// the column of the old one, if the old one is not needed any more by then.
func (c *compiler) coalesce(outTo []int) {
	try := func(old int, v program.Value, end int) {
		next := c.root[v]
		if c.uniform[v] || c.def[next] <= c.def[old] {
			return
		}
		for _, u := range c.uses[old] {
			entry := u.by == next && c.f.Instrs[next].Op == program.OpPhi // passed on to an inner loop
			if u.at > c.def[next] && u.at <= end && !entry {              // after end it is the new one
				return
			}
		}
		c.group[next] = old // of two that could, the later one
	}
	for i := range c.f.Instrs {
		if c.f.Instrs[i].Op == program.OpLoop {
			for _, p := range c.phis(i) {
				try(p, c.f.Instrs[p].B, c.end[i])
			}
		}
	}
	for k, i := range outTo {
		if old := c.inputs[i]; old >= 0 {
			try(old, c.f.Out[k], c.n)
		}
	}
	for col := range c.group {
		g := c.find(col)
		c.last[g] = max(c.last[g], c.last[col])
	}
}

// allocate gives each column memory, the same to columns that are not needed at
// the same time.
func (c *compiler) allocate() {
	f, stride := c.f, c.code.stride
	size := [numFiles]int{}
	free := [numFiles][]int{}
	take := func(k int) int {
		if n := len(free[k]); n > 0 {
			r := free[k][n-1]
			free[k] = free[k][:n-1]
			return r
		}
		size[k] += stride
		return size[k] - stride
	}
	for i, t := range f.In {
		r := take(fileOf(t))
		c.code.in = append(c.code.in, place{typ: t, at: r})
		if v := c.inputs[i]; v >= 0 {
			c.reg[v] = r
		}
	}
	for k := range c.temp {
		if k != singles || f.Has(program.F32) {
			c.temp[k] = take(k)
		}
	}
	for _, a := range f.Arrays {
		k := fileOf(a.Type)
		c.array = append(c.array, size[k])
		size[k] += a.Len * stride
	}
	begin := make([][]int, c.n) // columns by first and last position
	end := make([][]int, c.n+1)
	for col := range c.group {
		i := col % c.n
		in := &f.Instrs[i]
		switch {
		case in.Type == program.None || in.Op == program.OpInput || c.root[i] != i || c.group[col] != col:
		case col >= c.n && c.last[col] < 0: // nobody wants the scalar in a column
		case col < c.n && c.uniform[i]:
		case in.Op == program.OpConst:
			c.reg[col] = take(fileOf(in.Type))
			c.code.consts = append(c.code.consts, constant{place{in.Type, false, c.reg[col]}, in.Imm})
		default:
			begin[c.def[col]] = append(begin[c.def[col]], col)
			last := max(c.last[col], c.def[col])
			end[last] = append(end[last], col)
		}
	}
	release := func(at int, old bool) {
		for _, col := range end[at] {
			if c.def[col] < at == old {
				k := fileOf(f.Instrs[col%c.n].Type)
				free[k] = append(free[k], c.reg[col])
			}
		}
	}
	for i := range f.Instrs {
		release(i, true) // what is read here for the last time may be overwritten here, lane by lane
		for _, col := range begin[i] {
			c.reg[col] = take(fileOf(f.Instrs[col%c.n].Type))
		}
		release(i, false)
	}
	for col := range c.group {
		c.reg[col] = c.reg[c.find(col)]
	}
	c.code.size, c.code.scalars = size, c.next
}

func (c *compiler) put(in inst) int {
	c.code.insts = append(c.code.insts, in)
	return len(c.code.insts) - 1
}

func (c *compiler) emit(outTo []int) {
	f := c.f
	start := map[int]int{} // first instruction of a loop's body; a guard's own
	for i := range f.Instrs {
		in, s := &f.Instrs[i], &c.choices[i]
		if c.free(in) {
			continue
		}
		x := inst{op: s.op, typ: f.Precision(in), imm: int(in.Imm), d: c.reg[i]}
		for k, p := range []*int{&x.a, &x.b, &x.c} {
			if k < s.n && s.s[k] {
				*p = c.scalar[c.root[s.args[k]]]
			} else if k < s.n {
				*p = c.reg[c.column(s.args[k])]
			}
		}
		switch in.Op {
		case program.OpInput, program.OpConst, program.OpPhi:
			continue
		case program.OpLoop:
			var m []move
			for _, p := range c.phis(i) {
				m = append(m, c.move(f.Instrs[p].A, c.reg[p]))
			}
			c.moves(m)
			x.op = kLoop
			start[i] = c.put(x) + 1
			continue
		case program.OpEndLoop:
			var m []move
			for _, p := range c.phis(int(in.Imm)) {
				m = append(m, c.move(f.Instrs[p].B, c.reg[p]))
			}
			c.moves(m)
			body := start[int(in.Imm)]
			end := c.put(inst{op: kEndLoop, imm: c.code.insts[body-1].imm, a: body})
			c.code.insts[body-1].a = end + 1
			continue
		case program.OpGuard:
			start[i] = c.put(x)
			continue
		case program.OpEndGuard:
			c.code.insts[start[int(in.Imm)]].b = len(c.code.insts)
			continue
		case program.OpIndex:
			x.imm = c.addIndex(f.Affines[in.Imm])
		case program.OpLoad, program.OpStore:
			a := f.Affines[in.Imm>>32].Times(c.code.stride).Plus(c.array[in.Imm&0xffffffff])
			if len(a.Terms) > 0 {
				x.imm = c.addIndex(a)
				break
			}
			switch x.op {
			case kLoad:
				x.op, x.a = kMove, a.Const
			case kStore:
				x.op, x.d = kMove, a.Const
			case kStoreS:
				x.op, x.d = kFill, a.Const
			}
		case program.OpTable:
		default:
			x.imm = int(in.Op)
		}
		if c.uniform[i] {
			x.d = c.scalar[i]
		}
		c.put(x)
		if c.uniform[i] && c.last[c.n+i] >= 0 {
			c.put(inst{op: kFill, typ: in.Type, d: c.reg[c.n+i], a: c.scalar[i]})
		}
	}
	var m []move
	for k, v := range f.Out {
		if outTo != nil {
			m = append(m, c.move(v, c.code.in[outTo[k]].at))
			continue
		}
		p := place{typ: f.Instrs[v].Type, at: c.reg[c.column(v)]}
		if c.uniform[v] {
			p.scalar, p.at = true, c.scalar[c.root[v]]
		}
		c.code.out = append(c.code.out, p)
	}
	c.moves(m)
}

func (c *compiler) addIndex(a program.Affine) int {
	c.code.index = append(c.code.index, a)
	return len(c.code.index) - 1
}

// move is one part of an assignment of several columns at once.
type move struct {
	place     // the source
	to    int // the column
}

func (c *compiler) move(v program.Value, to int) move {
	m := move{place{typ: c.f.Instrs[v].Type, scalar: c.uniform[v]}, to}
	if m.scalar {
		m.at = c.scalar[c.root[v]]
	} else {
		m.at = c.reg[c.column(v)]
	}
	return m
}

// moves assigns all at once: the values move as if each were read before any is
// written.
func (c *compiler) moves(all []move) {
	for k := range numFiles {
		var left []move
		for _, m := range all {
			if fileOf(m.typ) == k && !m.scalar && m.at != m.to {
				left = append(left, m)
			}
		}
		for len(left) > 0 {
			n := len(left)
			for i := 0; i < len(left); {
				read := false // by another one
				for j := range left {
					read = read || j != i && left[j].at == left[i].to
				}
				if read {
					i++
					continue
				}
				c.put(inst{op: kMove, typ: left[i].typ, d: left[i].to, a: left[i].at})
				left = append(left[:i], left[i+1:]...)
			}
			if len(left) == n { // only cycles are left: open one
				c.put(inst{op: kMove, typ: left[0].typ, d: c.temp[k], a: left[0].to})
				for j := range left {
					if left[j].at == left[0].to {
						left[j].at = c.temp[k]
					}
				}
			}
		}
	}
	for _, m := range all {
		if m.scalar {
			c.put(inst{op: kFill, typ: m.typ, d: m.to, a: m.at})
		}
	}
}
