package ptx

import (
	"math"
	"strings"

	"invar/program"
)

// Integers of a program have 64 bits, a GPU's registers 32: each operation on two of them is two instructions or
// more. Those that certainly fit 32 bits, such as the count of iterations, are kept and computed in 32. An operand that
// is narrow is a %w register; constants are either.

func isNarrow(a string) bool { return strings.HasPrefix(a, "%w") }

// wide is a 64-bit operand for a, which may be narrow.
func (e *emitter) wide(a string) string {
	if !isNarrow(a) {
		return a
	}
	d := e.register(program.I64)
	e.line("cvt.s64.s32 %s, %s;", d, a)
	return d
}

var anything = span{math.Inf(-1), math.Inf(1)}

func (s span) fits() bool { return s.lo >= math.MinInt32 && s.hi <= math.MaxInt32 }

// spans bounds the I64 values of f, given its inputs; what nothing is known of may be anything.
func spans(f *program.Func, input func(i int) span) []span {
	all := make([]span, len(f.Instrs))
	for i := range f.Instrs {
		in := &f.Instrs[i]
		s := anything
		switch {
		case in.Type != program.I64:
		case in.Op == program.OpInput:
			s = input(int(in.Imm))
		case in.Op == program.OpConst:
			s = span{float64(int64(in.Imm)), float64(int64(in.Imm))}
		case in.Op == program.OpIAdd:
			a, b := all[in.A], all[in.B]
			s = span{a.lo + b.lo, a.hi + b.hi}
		case in.Op == program.OpSelect:
			b, c := all[in.B], all[in.C]
			s = span{min(b.lo, c.lo), max(b.hi, c.hi)}
		}
		if !s.fits() { // so that sums are exact
			s = anything
		}
		all[i] = s
	}
	return all
}

// counters bounds the I64 slots that count: those that begin at a constant and change by constants in each step, where
// the test whether the sample goes on limits one that grows in every step, and so the number of steps. The bounds hold
// before the sample's last step.
func counters(s *program.Stages) map[int]span {
	f := s.Step
	all := spans(f, func(int) span { return anything })
	type counting struct {
		from float64
		by   span
	}
	slots := map[int]counting{}     // by their number in s.Kept
	next := map[program.Value]int{} // the slot whose next value it is
	for k := s.Fixed; k < len(s.Kept); k++ {
		v := f.Out[k-s.Fixed]
		in := &f.Instrs[v]
		start := &s.Setup.Instrs[s.Setup.Out[k]]
		if in.Op != program.OpIAdd || start.Op != program.OpConst {
			continue
		}
		slot, by := &f.Instrs[in.A], in.B
		if slot.Op != program.OpInput || slot.Imm != uint64(k) {
			slot, by = &f.Instrs[in.B], in.A
		}
		if slot.Op == program.OpInput && slot.Imm == uint64(k) && all[by].fits() {
			slots[k] = counting{float64(int64(start.Imm)), all[by]}
			next[v] = k
		}
	}
	steps := math.Inf(1)
	todo := []program.Value{f.Out[len(f.Out)-1]}
	for len(todo) > 0 {
		in := &f.Instrs[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		limited, limit := program.NoValue, program.NoValue
		switch in.Op {
		case program.OpAnd:
			todo = append(todo, in.A, in.B)
		case program.OpILt: // the next count is below the limit
			limited, limit = in.A, in.B
		case program.OpNot: // the limit is not below the next count
			if t := &f.Instrs[in.A]; t.Op == program.OpILt {
				limited, limit = t.B, t.A
			}
		}
		if k, ok := next[limited]; ok && f.Instrs[limit].Op == program.OpConst && slots[k].by.lo >= 1 {
			steps = min(steps, max(0, all[limit].hi-slots[k].from)/slots[k].by.lo)
		}
	}
	bounds := map[int]span{}
	for k, c := range slots {
		b := span{c.from + min(0, c.by.lo*steps), c.from + max(0, c.by.hi*steps)}
		if after := (span{b.lo + c.by.lo, b.hi + c.by.hi}); b.fits() && after.fits() {
			bounds[k] = b
		}
	}
	return bounds
}
