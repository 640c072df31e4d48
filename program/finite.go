package program

import "math"

// nonNegative reports whether an operation's result is +0, positive or NaN, whatever its operands; sign says so of values.
func nonNegative(in *Instr, sign []bool) bool {
	switch in.Op {
	case OpConst:
		return in.Type.IsFloat() && !math.Signbit(in.Type.Float(in.Imm))
	case OpAbs:
		return true
	case OpSqrt:
		return sign[in.A]
	case OpMul:
		return in.A == in.B || sign[in.A] && sign[in.B]
	case OpAdd:
		return sign[in.A] && sign[in.B]
	case OpFMA:
		return (in.A == in.B || sign[in.A] && sign[in.B]) && sign[in.C]
	}
	return false
}

// AllFinite reports whether all of x are finite. A value that makes another one of them infinite or
// NaN when it is so itself needs no test of its own.
func (b *Builder) AllFinite(x ...Value) Value {
	shown := map[Value]bool{} // by another of x
	for _, v := range x {
		todo := []Value{v}
		seen := map[Value]bool{v: true}
		for len(todo) > 0 {
			in := &b.f.Instrs[todo[len(todo)-1]]
			todo = todo[:len(todo)-1]
			for k := range passesOn(in.Op) {
				if a := in.Arg(k); !seen[a] {
					seen[a] = true
					shown[a] = true
					todo = append(todo, a)
				}
			}
		}
	}
	var left []Value
	for _, v := range x {
		if !shown[v] {
			left = append(left, v)
		}
	}
	if len(left) == 1 {
		return b.IsFinite(left[0])
	}
	// Zero times each is zero, and stays so in the sum.
	zero := b.F(0)
	sum := b.Mul(left[0], zero)
	for _, v := range left[1:] {
		sum = b.FMA(v, zero, sum)
	}
	return b.Eq(sum, zero)
}

// passesOn is how many of an operation's operands, the first ones, cannot be infinite or NaN
// without its result being so.
func passesOn(op Op) int {
	switch op {
	case OpAdd, OpSub, OpMul, OpSqrt, OpFMA, OpNeg, OpAbs, OpRound, OpFloor, OpTrunc:
		return op.NumArgs()
	case OpDiv:
		return 1
	}
	return 0
}
