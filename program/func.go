// Package program holds what Invar runs: a flat list of scalar operations for
// ONE sample, which engines run for many samples at once.
//
// A [Builder] writes a [Func], merging common subexpressions and folding constants as it goes; [Optimize] fuses
// multiply-adds, hoists what does not change and removes dead code. A [Program]
// is the pair of functions (Setup, Step) that make one optimisation run, and an
// [Engine] runs a Program over a [Batch] of samples.
package program

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Value names the result of an instruction: its position in Func.Instrs.
type Value int32

// NoValue stands for "no operand".
const NoValue Value = -1

// Instr is one instruction. Its result is named by its position.
type Instr struct {
	Op      Op
	Type    Type // of the result; None where there is none
	Strict  bool // this multiplication must never be fused into an fma
	A, B, C Value
	Imm     uint64
}

// Arg returns operand i, 0..2.
func (in *Instr) Arg(i int) Value {
	switch i {
	case 0:
		return in.A
	case 1:
		return in.B
	}
	return in.C
}

// Affine is an integer that is the same in every sample: Const + the sum of
// Coef times the counter of an enclosing loop. It addresses local arrays and
// bounds inner loops.
type Affine struct {
	Const int
	Terms []Term
}

// Term is one loop's part of an Affine.
type Term struct {
	Loop int // index into Func.Loops
	Coef int
}

// Loop is a counted loop: its counter runs over Lo, Lo+1, ... Hi-1. The bounds
// may depend on the counters of enclosing loops.
type Loop struct{ Lo, Hi Affine }

// Func is a function of one sample in SSA form: inputs to outputs, no memory
// from one call to the next. Local arrays hold garbage at the start of a call.
type Func struct {
	Name    string
	In      []Type   // types of the inputs
	InNames []string // their names, for dumps
	Instrs  []Instr
	Out     []Value
	Loops   []Loop
	Affines []Affine // operands of OpIndex, OpLoad and OpStore
	Arrays  []LocalArray
	Tables  [][]float64
}

// LocalArray is an array of a Func: how many numbers, of type F64 or F32.
type LocalArray struct {
	Len  int
	Type Type
}

// Precision is the type of the numbers that in works on, F64 or F32: that of its result, else of its first operand (of
// comparisons, OpBits and OpStore). For OpWiden and OpNarrow it is that of the result, for
// operations without numbers neither of the two.
func (f *Func) Precision(in *Instr) Type {
	if in.Type.IsFloat() || in.A < 0 {
		return in.Type
	}
	return f.Instrs[in.A].Type
}

// Has reports whether a value of f is of type t.
func (f *Func) Has(t Type) bool {
	return slices.ContainsFunc(f.Instrs, func(in Instr) bool { return in.Type == t })
}

// Trips is how often each instruction is executed by one call, blocks of guards being entered. Where the bounds of a loop
// depend on an outer one, they are taken at its middle.
func (f *Func) Trips() []float64 {
	trips, times := make([]float64, len(f.Instrs)), []float64{1}
	middle := make([]int, len(f.Loops))
	for i := range f.Instrs {
		in := &f.Instrs[i]
		switch in.Op {
		case OpLoop:
			l := f.Loops[in.Imm]
			lo, hi := l.Lo.At(middle), l.Hi.At(middle)
			middle[in.Imm] = (lo + hi) / 2
			times = append(times, times[len(times)-1]*float64(max(0, hi-lo)))
		case OpEndLoop:
			times = times[:len(times)-1]
		}
		trips[i] = times[len(times)-1]
	}
	return trips
}

// Count is how many of the operations for which counts holds one call executes, as by Trips. Blocks of guards count if entered, else
// they are taken to be skipped.
func (f *Func) Count(entered bool, counts func(Op) bool) (total float64) {
	guards := 0
	for i, trips := range f.Trips() {
		switch op := f.Instrs[i].Op; {
		case op == OpGuard:
			guards++
		case op == OpEndGuard:
			guards--
		case counts(op) && (entered || guards == 0):
			total += trips
		}
	}
	return total
}

// Computes reports whether op makes a value of others: it neither moves one nor marks a place.
func (op Op) Computes() bool {
	switch op {
	case OpInput, OpConst, OpPhi, OpLoopOut, OpGuard, OpEndGuard, OpMerge, OpIndex, OpLoad, OpStore, OpLoop, OpEndLoop:
		return false
	}
	return true
}

// OutTypes returns the types of the outputs.
func (f *Func) OutTypes() []Type {
	t := make([]Type, len(f.Out))
	for i, v := range f.Out {
		t[i] = f.Instrs[v].Type
	}
	return t
}

// String dumps the function, one instruction a line.
func (f *Func) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "func %s(", f.Name)
	for i, t := range f.In {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%s %s", f.inName(i), t)
	}
	s.WriteString(")\n")
	depth := 1
	for i := range f.Instrs {
		in := &f.Instrs[i]
		if in.Op == OpEndLoop || in.Op == OpEndGuard {
			depth--
		}
		s.WriteString(strings.Repeat("  ", depth))
		if in.Type != None {
			fmt.Fprintf(&s, "v%d = ", i)
		}
		s.WriteString(f.instr(in))
		s.WriteByte('\n')
		if in.Op == OpLoop || in.Op == OpGuard {
			depth++
		}
	}
	s.WriteString("  return")
	for _, v := range f.Out {
		fmt.Fprintf(&s, " v%d", v)
	}
	s.WriteByte('\n')
	return s.String()
}

func (f *Func) inName(i int) string {
	if i < len(f.InNames) && f.InNames[i] != "" {
		return f.InNames[i]
	}
	return fmt.Sprintf("in%d", i)
}

func (f *Func) instr(in *Instr) string {
	var s strings.Builder
	s.WriteString(in.Op.String())
	if in.Strict {
		s.WriteString("!")
	}
	switch in.Op {
	case OpInput:
		s.WriteString(" " + f.inName(int(in.Imm)))
	case OpConst:
		switch in.Type {
		case F64, F32:
			fmt.Fprintf(&s, " %v", in.Type.Float(in.Imm))
		case Bool:
			fmt.Fprintf(&s, " %v", in.Imm != 0)
		default:
			fmt.Fprintf(&s, " %d", int64(in.Imm))
		}
	case OpTable:
		fmt.Fprintf(&s, " t%d", in.Imm)
	case OpIndex:
		fmt.Fprintf(&s, " [%s]", f.Affines[in.Imm])
	case OpLoad, OpStore:
		fmt.Fprintf(&s, " a%d[%s]", in.Imm&0xffffffff, f.Affines[in.Imm>>32])
	case OpLoop:
		l := f.Loops[in.Imm]
		fmt.Fprintf(&s, " i%d = %s..%s", in.Imm, l.Lo, l.Hi)
	}
	for k := range in.Op.NumArgs() {
		fmt.Fprintf(&s, " v%d", in.Arg(k))
	}
	return s.String()
}

func (a Affine) String() string {
	var s strings.Builder
	for _, t := range a.Terms {
		if s.Len() > 0 {
			s.WriteString("+")
		}
		if t.Coef != 1 {
			fmt.Fprintf(&s, "%d*", t.Coef)
		}
		fmt.Fprintf(&s, "i%d", t.Loop)
	}
	if s.Len() == 0 || a.Const != 0 {
		if s.Len() > 0 && a.Const > 0 {
			s.WriteString("+")
		}
		fmt.Fprintf(&s, "%d", a.Const)
	}
	return s.String()
}

// Plus returns a + k.
func (a Affine) Plus(k int) Affine { return Affine{a.Const + k, a.Terms} }

// Add returns a + b.
func (a Affine) Add(b Affine) Affine {
	r := Affine{Const: a.Const + b.Const}
	for _, ts := range [][]Term{a.Terms, b.Terms} {
	next:
		for _, t := range ts {
			for i := range r.Terms {
				if r.Terms[i].Loop == t.Loop {
					r.Terms[i].Coef += t.Coef
					continue next
				}
			}
			r.Terms = append(r.Terms, t)
		}
	}
	return r
}

// Times returns k * a.
func (a Affine) Times(k int) Affine {
	r := Affine{Const: a.Const * k}
	for _, t := range a.Terms {
		r.Terms = append(r.Terms, Term{t.Loop, t.Coef * k})
	}
	return r
}

// At is the value of a for the given loop counters.
func (a Affine) At(counter []int) int {
	v := a.Const
	for _, t := range a.Terms {
		v += t.Coef * counter[t.Loop]
	}
	return v
}

// appendKey appends what tells a from other Affines.
func (a Affine) appendKey(to []byte) []byte {
	for _, t := range a.Terms {
		to = binary.AppendVarint(binary.AppendVarint(to, int64(t.Loop)), int64(t.Coef))
	}
	return binary.AppendVarint(to, int64(a.Const))
}
