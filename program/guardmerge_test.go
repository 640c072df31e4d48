package program_test

import (
	"math"
	"testing"

	"invar/program"
)

// Equal guards are written once, and only equal ones are: those that differ in
// the condition, in the body, in which of its values they return or in what they
// return otherwise stay apart.
func TestGuardsMerge(t *testing.T) {
	b := program.NewBuilder("f")
	x, y, c, d := b.Input("x", f64), b.Input("y", f64), b.Input("c", boo), b.Input("d", boo)
	guard := func(cond, orElse program.Value, factor float64, second bool) program.Value {
		return b.Guard(cond, []program.Value{orElse}, func() []program.Value {
			p := b.Mul(x, b.F(factor))
			q := b.Add(b.F(1), p)
			if second {
				return []program.Value{q}
			}
			b.Sub(q, x) // the bodies are the same up to here
			return []program.Value{p}
		})[0]
	}
	first := guard(c, x, 3, true)
	b.F(3) // now a constant outside: the next body does not write its own
	b.Add(b.F(1), y)
	if again := guard(c, x, 3, true); again != first {
		t.Error("the same guard is written twice")
	}
	out := []program.Value{
		first, guard(d, x, 3, true), guard(c, y, 3, true), guard(c, x, 5, true), guard(c, x, 3, false),
		b.Guard(c, []program.Value{x}, func() []program.Value {
			p := b.Mul(x, b.F(3))
			b.Add(b.F(1), p)
			return []program.Value{p}
		})[0],
	}
	f := b.Finish(out...)
	for i, want := range []float64{7, 2, 7, 11, 6, 6} {
		if got := program.Optimize(f, false); f.Eval(math.Float64bits(2), math.Float64bits(4), 1, 0)[i] != math.Float64bits(want) || got.Eval(math.Float64bits(2), math.Float64bits(4), 1, 0)[i] != math.Float64bits(want) {
			t.Errorf("output %d is not %v", i, want)
		}
	}
	for i, want := range []float64{2, 7, 4, 2, 2, 2} {
		if f.Eval(math.Float64bits(2), math.Float64bits(4), 0, 1)[i] != math.Float64bits(want) {
			t.Errorf("output %d is not %v where d holds", i, want)
		}
	}
	guards := 0
	for _, in := range f.Instrs {
		if in.Op == program.OpGuard {
			guards++
		}
	}
	if guards != len(out) {
		t.Errorf("%d guards, want %d", guards, len(out))
	}
}
