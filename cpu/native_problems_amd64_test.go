//go:build linux || darwin || windows

package cpu_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/cpu/internal/amd64/disasm"
	"invar/problem"
	"invar/program"
	"invar/program/progtest"
)

// Every built-in problem with every method gives the same bits in AVX-512, AVX2 and
// portable code, in float64 and in float32, traced or not, also from starts that are not numbers, and a disassembler reads
// the code as it was meant.
func TestNativeProblems(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	tool := disasm.Tool()
	pairs := 0
	for _, name := range problem.Builtins() {
		for _, method := range batch.Methods() {
			for _, float := range []program.Type{program.F64, program.F32} {
				p, q, ok := builtin(t, name, method.Name, float)
				if !ok {
					continue
				}
				pairs++
				const n = 150
				want := samplesOf(p, q, n)
				for s := range n {
					for i := range q.Params {
						want.In[i][s] *= math.Exp(r.NormFloat64())
					}
					if s%4 == 0 {
						want.In[r.IntN(len(want.In))][s] = progtest.Number(r)
					}
				}
				const rows = 30
				want.Trace = program.NewTrace(n, rows, p.Results)
				portable, err := cpu.Portable{}.Compile(p)
				if err != nil {
					t.Fatal(err)
				}
				if err := portable.Run(context.Background(), want); err != nil {
					t.Fatal(err)
				}
				for _, set := range cpu.Sets() {
					x, err := cpu.Native{Set: set}.Compile(p)
					if err != nil {
						t.Fatal(err)
					}
					for _, traced := range []bool{false, true} {
						got := p.NewBatch(n)
						got.In = want.In
						if traced {
							got.Trace = program.NewTrace(n, rows, p.Results)
							if !cpu.TracesNatively(x, got) {
								t.Errorf("%s %s of %v on %s: another engine makes the traces", name, method.Name, float, set)
							}
						}
						if err := x.Run(context.Background(), got); err != nil {
							t.Fatal(err)
						}
						for s := range n {
							for k := range want.Out {
								if !progtest.SameF64(got.Out[k][s], want.Out[k][s]) {
									t.Fatalf("%s %s of %v on %s, sample %d: %s = %v, want %v", name, method.Name, float, set, s,
										p.Slots[p.Results[k]].Name, got.Out[k][s], want.Out[k][s])
								}
							}
							if !traced {
								continue
							}
							if got.Trace.Len[s] != want.Trace.Len[s] {
								t.Fatalf("%s %s of %v on %s, sample %d: a trace of %d rows, want %d", name, method.Name, float, set, s, got.Trace.Len[s], want.Trace.Len[s])
							}
							for k, v := range want.Trace.Data[s] {
								if !progtest.SameF64(got.Trace.Data[s][k], v) {
									t.Fatalf("%s %s of %v on %s, sample %d: %s of row %d = %v, want %v", name, method.Name, float, set, s,
										p.Slots[p.Results[k%len(p.Results)]].Name, k/len(p.Results), got.Trace.Data[s][k], v)
								}
							}
						}
					}
					got := p.NewBatch(n)
					got.In = want.In
					if n, most, err := cpu.LongestCall(p, set, got); err != nil || n > most || n == 0 {
						t.Errorf("%s %s of %v on %s: a call of %d operations, want at most %d (error %v)", name, method.Name, float, set, n, most, err)
					}
					if tool == "" || pairs%7 != 0 || method.Name == "lbfgs" || method.Name == "momentum" { // one of a kind is enough
						continue
					}
					code, text, err := cpu.Listing(p, set)
					if err != nil {
						t.Fatal(err)
					}
					if err := disasm.Compare(tool, code, text); err != nil {
						t.Fatalf("%s %s of %v on %s: %v", name, method.Name, float, set, err)
					}
				}
			}
		}
	}
	if pairs < 200 {
		t.Errorf("%d of problem, method and type of numbers, want more", pairs)
	}
}
