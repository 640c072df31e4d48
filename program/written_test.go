package program_test

import (
	"math/rand/v2"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// No operation stands in the scope of its equal, however long the function is, and however many
// blocks were closed or taken back before.
func TestEqualsWrittenOnce(t *testing.T) {
	type key struct {
		op      program.Op
		typ     program.Type
		a, b, c program.Value
		imm     uint64
	}
	r := rand.New(rand.NewPCG(31, 32))
	for round, size := range []int{50, 50, 50, 500, 500, 5000} {
		in, out := progtest.Types(r, 4, program.F64, program.F32), progtest.Types(r, 3, program.F64, program.F32)
		f := progtest.Func(r, in, out, size)
		for _, f := range []*program.Func{f, program.Optimize(f, false)} {
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
			scopes := []map[key]int{{}}
			for i, x := range f.Instrs {
				switch x.Op {
				case program.OpLoop, program.OpGuard:
					scopes = append(scopes, map[key]int{})
				case program.OpEndLoop, program.OpEndGuard:
					scopes = scopes[:len(scopes)-1]
				}
				if !x.Op.Pure() {
					continue
				}
				k := key{x.Op, x.Type, x.A, x.B, x.C, x.Imm}
				for _, s := range scopes {
					if j, ok := s[k]; ok {
						t.Fatalf("round %d: v%d of %d repeats v%d", round, i, len(f.Instrs), j)
					}
				}
				scopes[len(scopes)-1][k] = i
			}
		}
	}

	// Operations that differ in one place only.
	b := program.NewBuilder("long")
	x, y := b.Input("x", program.F64), b.Input("y", program.F64)
	write := func(i int) []program.Value {
		c := b.F(float64(i))
		return []program.Value{c, b.Sub(x, c), b.Sub(c, x), b.FMA(x, y, c), b.FMA(c, y, x)}
	}
	written := map[program.Value]int{}
	for i := 2; i < 1000; i++ {
		for range r.IntN(4) { // so that positions are no regular series, which hashes well
			b.Input("z", program.F64)
		}
		for _, v := range write(i) {
			if j, ok := written[v]; ok {
				t.Fatalf("v%d is written for %d and for %d", v, j, i)
			}
			written[v] = i
		}
	}
	for i := 2; i < 1000; i++ {
		for _, v := range write(i) {
			if written[v] != i {
				t.Fatalf("v%d is another one of %d", v, i)
			}
		}
	}
}
