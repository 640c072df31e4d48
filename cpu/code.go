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
	kMove      // 64-bit column d = column a
	kFill      // 64-bit column d = scalar a
	kMoveBool  // the same for Bools
	kFillBool  //
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
// their first lane, scalars by their index.
type inst struct {
	op         kernel
	d, a, b, c int
	imm        int
}

// code is a function made ready for blocks of at most stride lanes.
type code struct {
	insts   []inst
	stride  int
	words   int // length of the 64-bit file
	bools   int // length of the Bool file
	scalars int
	consts  []constant // scalars and columns to fill once
	index   []program.Affine
	loops   []program.Loop
	tables  [][]float64
	in, out []place
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
	u       []uint64  // columns of F64s and I64s
	f       []float64 // the same memory
	t       []uint8   // columns of Bools, 0 or 1
	s       []uint64  // scalars as bits
	counter []int
	limit   []int
}

func (c *code) newMachine() *machine {
	m := &machine{
		u: make([]uint64, c.words+1), t: make([]uint8, c.bools), s: make([]uint64, c.scalars),
		counter: make([]int, len(c.loops)), limit: make([]int, len(c.loops)),
	}
	m.f = unsafe.Slice((*float64)(unsafe.Pointer(&m.u[0])), len(m.u)) // so that Bits and FromBits cost nothing
	for _, k := range c.consts {
		switch {
		case k.scalar:
			m.s[k.at] = k.bits
		case k.typ == program.Bool:
			fillBool(m.t[k.at:][:c.stride], uint8(k.bits))
		default:
			fill(m.u[k.at:][:c.stride], k.bits)
		}
	}
	return m
}

// run executes the code for lanes 0..n-1.
func (c *code) run(m *machine, n int) {
	f, u, t, s := m.f, m.u, m.t, m.s
	for pc := 0; pc < len(c.insts); pc++ {
		in := &c.insts[pc]
		switch in.op {
		case kAddCC:
			addCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kAddCS:
			addCS(f[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kSubCC:
			subCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kSubCS:
			subCS(f[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kSubSC:
			subSC(f[in.d:][:n], math.Float64frombits(s[in.a]), f[in.b:][:n])
		case kMulCC:
			mulCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kMulCS:
			mulCS(f[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kDivCC:
			divCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kDivCS:
			divCS(f[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kDivSC:
			divSC(f[in.d:][:n], math.Float64frombits(s[in.a]), f[in.b:][:n])
		case kFMACCC:
			fmaCCC(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n], f[in.c:][:n])
		case kFMACCS:
			fmaCCS(f[in.d:][:n], f[in.a:][:n], f[in.b:][:n], math.Float64frombits(s[in.c]))
		case kFMACSC:
			fmaCSC(f[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]), f[in.c:][:n])
		case kFMACSS:
			fmaCSS(f[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]), math.Float64frombits(s[in.c]))
		case kSqrt:
			sqrtC(f[in.d:][:n], f[in.a:][:n])
		case kNeg:
			negC(u[in.d:][:n], u[in.a:][:n])
		case kAbs:
			absC(u[in.d:][:n], u[in.a:][:n])
		case kRound:
			roundC(f[in.d:][:n], f[in.a:][:n])
		case kFloor:
			floorC(f[in.d:][:n], f[in.a:][:n])
		case kTrunc:
			truncC(f[in.d:][:n], f[in.a:][:n])
		case kLtCC:
			ltCC(t[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kLtCS:
			ltCS(t[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kLtSC:
			ltSC(t[in.d:][:n], math.Float64frombits(s[in.a]), f[in.b:][:n])
		case kLeCC:
			leCC(t[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kLeCS:
			leCS(t[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kLeSC:
			leSC(t[in.d:][:n], math.Float64frombits(s[in.a]), f[in.b:][:n])
		case kEqCC:
			eqCC(t[in.d:][:n], f[in.a:][:n], f[in.b:][:n])
		case kEqCS:
			eqCS(t[in.d:][:n], f[in.a:][:n], math.Float64frombits(s[in.b]))
		case kAnd:
			andC(t[in.d:][:n], t[in.a:][:n], t[in.b:][:n])
		case kOr:
			orC(t[in.d:][:n], t[in.a:][:n], t[in.b:][:n])
		case kNot:
			notC(t[in.d:][:n], t[in.a:][:n])
		case kSelectCC:
			selectCC(u[in.d:][:n], t[in.a:][:n], u[in.b:][:n], u[in.c:][:n])
		case kSelectCS:
			selectCS(u[in.d:][:n], t[in.a:][:n], u[in.b:][:n], s[in.c])
		case kSelectSC:
			selectSC(u[in.d:][:n], t[in.a:][:n], s[in.b], u[in.c:][:n])
		case kSelectSS:
			selectSS(u[in.d:][:n], t[in.a:][:n], s[in.b], s[in.c])
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
		case kTable:
			tableC(f[in.d:][:n], u[in.a:][:n], c.tables[in.imm])
		case kScalar:
			s[in.d] = program.Apply(program.Op(in.imm), s[in.a], s[in.b], s[in.c])
		case kTableS:
			table := c.tables[in.imm]
			s[in.d] = math.Float64bits(table[s[in.a]&uint64(len(table)-1)])
		case kIndex:
			s[in.d] = uint64(c.index[in.imm].At(m.counter))
		case kMove:
			copy(u[in.d:][:n], u[in.a:][:n])
		case kFill:
			fill(u[in.d:][:n], s[in.a])
		case kMoveBool:
			copy(t[in.d:][:n], t[in.a:][:n])
		case kFillBool:
			fillBool(t[in.d:][:n], uint8(s[in.a]))
		case kLoad:
			copy(u[in.d:][:n], u[c.index[in.imm].At(m.counter):][:n])
		case kStore:
			copy(u[c.index[in.imm].At(m.counter):][:n], u[in.a:][:n])
		case kStoreS:
			fill(u[c.index[in.imm].At(m.counter):][:n], s[in.a])
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
		}
	}
}
