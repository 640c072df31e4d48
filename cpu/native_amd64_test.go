//go:build linux || darwin || windows

package cpu

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"invar/cpu/internal/amd64/disasm"
	"invar/program"
	"invar/program/progtest"
)

// natives lists the instruction sets of this machine and the shapes of strips to try.
func natives(t testing.TB) (all []isaShape) {
	s, err := sets()
	if err != nil {
		t.Fatalf("these tests need a processor with AVX2: %v", err)
	}
	for _, isa := range s {
		for v := 1; v <= 4; v++ {
			all = append(all, isaShape{isa, emitOptions{vectors: v, strips: 1 + v%3}})
		}
	}
	return all
}

type isaShape struct {
	isa *isa
	emitOptions
}

func (s isaShape) String() string { return fmt.Sprintf("%s x%d", s.isa.name, s.vectors) }

func (s isaShape) compile(t testing.TB, p *program.Program) program.Executable {
	t.Helper()
	n, err := emitProgram(p, s.isa, s.emitOptions)
	if err != nil {
		t.Fatal(err)
	}
	x, err := newNativeExecutable(p, n, 1)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// randomBatch is n samples of any numbers, special ones among them.
func randomBatch(r *rand.Rand, p *program.Program, n int) *program.Batch {
	b := p.NewBatch(n)
	for i := range b.In {
		for k := range b.In[i] {
			b.In[i][k] = progtest.Number(r)
		}
	}
	return b
}

// sameResults says where got differs from want, all NaNs being one value.
func sameResults(p *program.Program, got, want *program.Batch) error {
	for k := range want.Out {
		for s := range want.N {
			if g, w := got.Out[k][s], want.Out[k][s]; !progtest.SameF64(g, w) {
				return fmt.Errorf("sample %d: %s = %v, want %v", s, p.Slots[p.Results[k]].Name, g, w)
			}
		}
	}
	return nil
}

func TestNativeRandom(t *testing.T) {
	shapes := natives(t)
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := progtest.Program(r, 1+r.IntN(4), 20+r.IntN(150))
		if seed%2 == 0 {
			p.Optimize()
		}
		want := randomBatch(r, p, 1+r.IntN(70))
		progtest.Reference(p, want)
		for _, s := range shapes {
			b := p.NewBatch(want.N)
			b.In = want.In
			if err := s.compile(t, p).Run(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			if err := sameResults(p, b, want); err != nil {
				t.Fatalf("seed %d, %v: %v", seed, s, err)
			}
		}
	}
}

func TestNativeListing(t *testing.T) {
	tool := disasm.Tool()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		p := progtest.Program(r, 1+r.IntN(4), 300)
		for _, isa := range []*isa{&avx512, &avx2} {
			n, err := emitProgram(p, isa, emitOptions{vectors: 1 + r.IntN(2), list: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := disasm.Compare(tool, n.code, n.text); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, isa.name, err)
			}
		}
	}
}
