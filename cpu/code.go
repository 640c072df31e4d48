package cpu

import (
	"math"
	"unsafe"

	"invar/program"
)

// kernel is what one instruction of the interpreter does. The suffix says where
// the operands are: C in a column (a value a lane), S a scalar (one value for all lanes: a constant or
// what was made of loop counters).
type kernel uint8

const (
	kAddCC kernel = iota
	kAddCS
	kSubCC
	kSubCS
	kSubSC
	kMulCC
	kMulCS
	kDivCC
	kDivCS
	kDivSC
	kFMACCC
	kFMACCS
	kFMACSC
	kFMACSS
	kFMA32 // of F32s, columns all
	kSqrt
	kNeg
	kAbs
	kRound
	kFloor
	kTrunc
	kLtCC
	kLtCS
	kLtSC
	kLeCC
	kLeCS
	kLeSC
	kEqCC
	kEqCS
	kAnd
	kOr
	kNot
	kSelectCC
	kSelectCS
	kSelectSC
	kSelectSS
	kSelectBool
	kIAddCC
	kIAddCS
	kISubCC
	kISubCS
	kISubSC
	kMulU32CC
	kMulU32CS
	kIAndCC
	kIAndCS
	kIOrCC
	kIOrCS
	kIXorCC
	kIXorCS
	kShlCC
	kShlCS
	kShrCC
	kShrCS
	kILtCC
	kILtCS
	kILtSC
	kIEqCC
	kIEqCS
	kTable     // d = table imm at a
	kScalar    // scalar d = op imm of scalars a, b, c
	kTableS    // scalar d = table imm at scalar a
	kIndex     // scalar d = index expression imm
	kWiden     // F32 to F64
	kNarrow    // F64 to F32
	kBits      // of an F32; an F64 and its bits share a column
	kFromBits  // likewise
	kMove      // column d = column a
	kFill      // column d = scalar a
	kLoad      // column d = column at index expression imm
	kStore     // column at index expression imm = column a
	kStoreS    // column at index expression imm = scalar a
	kLoop      // loop imm: to instruction a if it has no trip
	kEndLoop   // next trip of loop imm: to instruction a if there is one
	kGuard     // to instruction b if column a is false in all lanes
	kGuardS    // to instruction b if scalar a is false
	numKernels //
)

// inst is one instruction of the interpreter. Columns are named by the offset of
// their first lane in their file, scalars by their index.
type inst struct {
	op         kernel
	typ        program.Type // of the columns that are moved; else the instruction's precision
	d, a, b, c int
	imm        int
}

// code is a function made ready for blocks of at most stride lanes.
type code struct {
	insts   []inst
	stride  int
	size    [numFiles]int // lengths of the files
	scalars int
	consts  []constant // scalars and columns to fill once
	index   []program.Affine
	loops   []program.Loop
	tables  [][]float64
	in, out []place
}

// The files that columns lie in, by the type of their values.
const (
	words = iota // F64 and I64
	bools
	singles // F32
	numFiles
)

func fileOf(t program.Type) int {
	switch t {
	case program.Bool:
		return bools
	case program.F32:
		return singles
	}
	return words
}

// place is where an input or output is: in a column of its file, or a scalar.
type place struct {
	typ    program.Type
	scalar bool
	at     int
}

// constant is a value that stays in a machine for good.
type constant struct {
	place
	bits uint64
}

// machine is the memory of one run of a code. It is not shared between
// goroutines.
type machine struct {
	f       []float64 // columns of F64s
	u       []uint64  // the same memory: I64s and the bits of F64s
	g       []float32 // columns of F32s
	w       []uint32  // the same memory
	t       []uint8   // columns of Bools, 0 or 1
	s       []uint64  // scalars as bits
	counter []int
	limit   []int
}

func (c *code) newMachine() *machine {
	m := &machine{
		u: make([]uint64, c.size[words]+1), w: make([]uint32, c.size[singles]+1), t: make([]uint8, c.size[bools]), s: make([]uint64, c.scalars),
		counter: make([]int, len(c.loops)), limit: make([]int, len(c.loops)),
	}
	m.f = unsafe.Slice((*float64)(unsafe.Pointer(&m.u[0])), len(m.u)) // so that Bits and FromBits cost nothing
	m.g = unsafe.Slice((*float32)(unsafe.Pointer(&m.w[0])), len(m.w))
	for _, k := range c.consts {
		if k.scalar {
			m.s[k.at] = k.bits
		} else {
			m.fill(k.typ, k.at, c.stride, k.bits)
		}
	}
	return m
}

// fill gives n lanes of the column at d, of type t, the value with the given bits.
func (m *machine) fill(t program.Type, d, n int, bits uint64) {
	switch fileOf(t) {
	case bools:
		fill(m.t[d:][:n], uint8(bits))
	case singles:
		fill(m.w[d:][:n], uint32(bits))
	default:
		fill(m.u[d:][:n], bits)
	}
}

// copy copies n lanes of the column at a of from, of type t, to those at d.
func (m *machine) copy(t program.Type, d int, from *machine, a, n int) {
	switch fileOf(t) {
	case bools:
		copy(m.t[d:][:n], from.t[a:])
	case singles:
		copy(m.w[d:][:n], from.w[a:])
	default:
		copy(m.u[d:][:n], from.u[a:])
	}
}

// bits is the value of a lane of a column of type t.
func (m *machine) bits(t program.Type, at int) uint64 {
	switch fileOf(t) {
	case bools:
		return uint64(m.t[at])
	case singles:
		return uint64(m.w[at])
	}
	return m.u[at]
}

// patience is how many instructions are executed between two looks at whether to stop: a few milliseconds of work at most.
const patience = 1000

// run executes the code for lanes 0..n-1. If done is closed before it comes to the end, it stops early and reports false.
func (c *code) run(m *machine, n int, done <-chan struct{}) bool {
	u, t, s := m.u, m.t, m.s
	left := patience
	for pc := 0; pc < len(c.insts); pc++ {
		if left--; left == 0 {
			select {
			case <-done:
				return false
			default:
				left = patience
			}
		}
		in := &c.insts[pc]
		switch in.op {
		case kFMACCC:
			fmaCCC(m.f[in.d:][:n], m.f[in.a:][:n], m.f[in.b:][:n], m.f[in.c:][:n])
		case kFMACCS:
			fmaCCS(m.f[in.d:][:n], m.f[in.a:][:n], m.f[in.b:][:n], math.Float64frombits(s[in.c]))
		case kFMACSC:
			fmaCSC(m.f[in.d:][:n], m.f[in.a:][:n], math.Float64frombits(s[in.b]), m.f[in.c:][:n])
		case kFMACSS:
			fmaCSS(m.f[in.d:][:n], m.f[in.a:][:n], math.Float64frombits(s[in.b]), math.Float64frombits(s[in.c]))
		case kFMA32:
			fma32(m.g[in.d:][:n], m.g[in.a:][:n], m.g[in.b:][:n], m.g[in.c:][:n])
		case kAnd:
			andC(t[in.d:][:n], t[in.a:][:n], t[in.b:][:n])
		case kOr:
			orC(t[in.d:][:n], t[in.a:][:n], t[in.b:][:n])
		case kNot:
			notC(t[in.d:][:n], t[in.a:][:n])
		case kSelectBool:
			selectBool(t[in.d:][:n], t[in.a:][:n], t[in.b:][:n], t[in.c:][:n])
		case kIAddCC:
			iaddCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kIAddCS:
			iaddCS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kISubCC:
			isubCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kISubCS:
			iaddCS(u[in.d:][:n], u[in.a:][:n], -s[in.b])
		case kISubSC:
			isubSC(u[in.d:][:n], s[in.a], u[in.b:][:n])
		case kMulU32CC:
			mulu32CC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kMulU32CS:
			mulu32CS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kIAndCC:
			iandCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kIAndCS:
			iandCS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kIOrCC:
			iorCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kIOrCS:
			iorCS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kIXorCC:
			ixorCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kIXorCS:
			ixorCS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kShlCC:
			shlCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kShlCS:
			shlCS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kShrCC:
			shrCC(u[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kShrCS:
			shrCS(u[in.d:][:n], u[in.a:][:n], s[in.b])
		case kILtCC:
			iltCC(t[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kILtCS:
			iltCS(t[in.d:][:n], u[in.a:][:n], s[in.b])
		case kILtSC:
			iltSC(t[in.d:][:n], s[in.a], u[in.b:][:n])
		case kIEqCC:
			ieqCC(t[in.d:][:n], u[in.a:][:n], u[in.b:][:n])
		case kIEqCS:
			ieqCS(t[in.d:][:n], u[in.a:][:n], s[in.b])
		case kScalar:
			s[in.d] = program.Apply(program.Op(in.imm), in.typ, s[in.a], s[in.b], s[in.c])
		case kTableS:
			table := c.tables[in.imm]
			s[in.d] = in.typ.Bits(table[s[in.a]&uint64(len(table)-1)])
		case kIndex:
			s[in.d] = uint64(c.index[in.imm].At(m.counter))
		case kWiden:
			widenC(m.f[in.d:][:n], m.g[in.a:][:n])
		case kNarrow:
			narrowC(m.g[in.d:][:n], m.f[in.a:][:n])
		case kBits:
			bitsC(u[in.d:][:n], m.w[in.a:][:n])
		case kFromBits:
			fromBitsC(m.w[in.d:][:n], u[in.a:][:n])
		case kMove:
			m.copy(in.typ, in.d, m, in.a, n)
		case kFill:
			m.fill(in.typ, in.d, n, s[in.a])
		case kLoad:
			m.copy(in.typ, in.d, m, c.index[in.imm].At(m.counter), n)
		case kStore:
			m.copy(in.typ, c.index[in.imm].At(m.counter), m, in.a, n)
		case kStoreS:
			m.fill(in.typ, c.index[in.imm].At(m.counter), n, s[in.a])
		case kLoop:
			l := &c.loops[in.imm]
			lo, hi := l.Lo.At(m.counter), l.Hi.At(m.counter)
			m.counter[in.imm], m.limit[in.imm] = lo, hi
			if lo >= hi {
				pc = in.a - 1
			}
		case kEndLoop:
			if m.counter[in.imm]++; m.counter[in.imm] < m.limit[in.imm] {
				pc = in.a - 1
			}
		case kGuard:
			if !anyTrue(t[in.a:][:n]) {
				pc = in.b - 1
			}
		case kGuardS:
			if s[in.a] == 0 {
				pc = in.b - 1
			}
		default:
			if in.typ == program.F32 {
				numbers(in, m.g, m.w, 1<<31, t, u, s, c.tables, n)
			} else {
				numbers(in, m.f, u, 1<<63, t, u, s, c.tables, n)
			}
		}
	}
	return true
}

// numbers executes one of the instructions that there are for F64 and for F32: on the columns f and, as bits, w, with
// the bit that is a number's sign. (The selects of I64s are among them.)
func numbers[T number, W word](in *inst, f []T, w []W, sign W, t []uint8, u, s []uint64, tables [][]float64, n int) {
	switch in.op {
	case kAddCC:
		addCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kAddCS:
		addCS(f[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kSubCC:
		subCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kSubCS:
		subCS(f[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kSubSC:
		subSC(f[in.d:][:n], toNumber[T](s[in.a]), f[in.b:][:n])
	case kMulCC:
		mulCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kMulCS:
		mulCS(f[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kDivCC:
		divCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kDivCS:
		divCS(f[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kDivSC:
		divSC(f[in.d:][:n], toNumber[T](s[in.a]), f[in.b:][:n])
	case kSqrt:
		sqrtC(f[in.d:][:n], f[in.a:][:n])
	case kRound:
		roundC(f[in.d:][:n], f[in.a:][:n])
	case kFloor:
		floorC(f[in.d:][:n], f[in.a:][:n])
	case kTrunc:
		truncC(f[in.d:][:n], f[in.a:][:n])
	case kLtCC:
		ltCC(t[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kLtCS:
		ltCS(t[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kLtSC:
		ltSC(t[in.d:][:n], toNumber[T](s[in.a]), f[in.b:][:n])
	case kLeCC:
		leCC(t[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kLeCS:
		leCS(t[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kLeSC:
		leSC(t[in.d:][:n], toNumber[T](s[in.a]), f[in.b:][:n])
	case kEqCC:
		eqCC(t[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
	case kEqCS:
		eqCS(t[in.d:][:n], f[in.a:][:n], toNumber[T](s[in.b]))
	case kNeg:
		negC(w[in.d:][:n], w[in.a:][:n], sign)
	case kAbs:
		absC(w[in.d:][:n], w[in.a:][:n], sign)
	case kSelectCC:
		selectCC(w[in.d:][:n], t[in.a:][:n], w[in.b:][:n], w[in.c:][:n])
	case kSelectCS:
		selectCS(w[in.d:][:n], t[in.a:][:n], w[in.b:][:n], W(s[in.c]))
	case kSelectSC:
		selectSC(w[in.d:][:n], t[in.a:][:n], W(s[in.b]), w[in.c:][:n])
	case kSelectSS:
		selectSS(w[in.d:][:n], t[in.a:][:n], W(s[in.b]), W(s[in.c]))
	case kTable:
		tableC(f[in.d:][:n], u[in.a:][:n], tables[in.imm])
	}
}
