package program_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// A function gives the same bits in another order, and chains that do not depend on
// each other are interleaved.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for round := range 300 {
		in, out := progtest.Types(r, 1+r.IntN(5), program.F64, program.F32), progtest.Types(r, 1+r.IntN(5), program.F64, program.F32)
		f := progtest.Func(r, in, out, 120)
		g := program.Order(f, func(program.Op) int { return r.IntN(9) }, 1+r.IntN(30))
		if err := g.Validate(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		x := make([]uint64, len(in))
		for range 5 {
			for i, typ := range in {
				x[i] = progtest.Bits(r, typ)
			}
			got, want := g.Eval(x...), f.Eval(x...)
			for k := range want {
				if !progtest.Same(out[k], got[k], want[k]) {
					t.Fatalf("round %d: output %d is %#x, want %#x", round, k, got[k], want[k])
				}
			}
		}
	}

	// A load, and a store of what is there already, wait for the slow store in front of them.
	m := program.NewBuilder("memory")
	u := m.Input("u", program.F64)
	array, slow := m.NewArray(1), u
	m.Store(array, program.At(0), u)
	for range 5 {
		slow = m.Sqrt(slow)
	}
	m.Store(array, program.At(0), slow)
	loaded := m.Load(array, program.At(0))
	m.Store(array, program.At(0), u)
	f := m.Finish(loaded, m.Load(array, program.At(0)))
	g := program.Order(f, func(program.Op) int { return 9 }, 30)
	four := math.Float64bits(4)
	if got, want := g.Eval(four), f.Eval(four); got[0] != want[0] || got[1] != want[1] {
		t.Errorf("in order, loads yield %#x, want %#x", got, want)
	}

	b := program.NewBuilder("chains")
	x, y := b.Input("x", program.F64), b.Input("y", program.F64)
	for range 20 {
		x = b.Sqrt(x)
	}
	for range 20 {
		y = b.Sqrt(y)
	}
	order := func(live int) (changes int) {
		f := program.Order(b.Finish(x, y), func(program.Op) int { return 4 }, live)
		chain := make([]int, len(f.Instrs))
		for i := range f.Instrs {
			if in := &f.Instrs[i]; in.Op == program.OpInput {
				chain[i] = int(in.Imm)
			} else if chain[i] = chain[in.A]; chain[i] != chain[i-1] {
				changes++
			}
		}
		return changes
	}
	if n := order(10); n < 30 {
		t.Errorf("two chains of 20 change places %d times, want almost 40", n)
	}
}
