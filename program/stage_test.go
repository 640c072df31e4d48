package program_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// A program run by its stages gives the bits that it gives as a whole, and keeps no
// slot that only a result looks at.
func TestStage(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	between := 0
	for round := range 600 {
		p := progtest.Program(r, 1+r.IntN(3), 60)
		if round%4 < 2 {
			p = progtest.Iteration(r, 1+r.IntN(3))
		}
		if round%2 == 0 {
			p.Optimize()
		}
		s := p.Stage()
		s.MakeRun(p)
		for _, f := range []*program.Func{s.Setup, s.Step, s.Final, s.Run} {
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		const n = 4
		b := p.NewBatch(n)
		for i := range b.In {
			for k := range b.In[i] {
				b.In[i][k] = progtest.Number(r)
			}
		}
		progtest.Reference(p, b)
		for k := range n {
			in := make([]uint64, len(p.In))
			for i := range in {
				in[i] = math.Float64bits(b.In[i][k])
			}
			state := s.Setup.Eval(in...)
			if s.Ended {
				status := state[len(state)-1]
				if all := p.Setup.Eval(in...); all[p.Status] != status {
					t.Fatalf("status %d after setup, want %d", status, all[p.Status])
				}
				if status != 0 {
					continue
				}
				state = state[:len(state)-1]
			}
			for {
				next := s.Step.Eval(state...)
				between += checkRun(t, s, state, next)
				if next[len(next)-1] == 0 {
					break
				}
				copy(state[s.Fixed:], next[:len(next)-1])
			}
			for i, v := range s.Final.Eval(state...) {
				x := math.Float64frombits(v)
				if !progtest.SameF64(x, b.Out[i][k]) {
					t.Fatalf("round %d, sample %d: %s is %v, want %v", round, k, p.Slots[p.Results[i]].Name, x, b.Out[i][k])
				}
			}
		}
	}

	if between < 5000 {
		t.Errorf("%d steps with counters between their bounds, too few to mean anything", between)
	}

	// A slot that is only reported is not kept.
	b := program.NewBuilder("step")
	x, _, st, it := b.Input("x", program.F64), b.Input("root", program.F64), b.Input("status", program.I64), b.Input("iteration", program.I64)
	_ = st
	half := b.Mul(x, b.F(0.5))
	p := &program.Program{
		Name: "halves", In: []string{"x"},
		Slots:  []program.Slot{{Name: "x", Type: program.F64}, {Name: "root", Type: program.F64}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
		Status: 2, Iteration: 3, Results: []int{1},
		Step: b.Finish(half, b.Sqrt(half), b.Select(b.Lt(half, b.F(1)), b.I(7), b.I(0)), b.IAdd(it, b.I(1))),
	}
	b = program.NewBuilder("setup")
	x = b.Input("x", program.F64)
	p.Setup = b.Finish(x, b.F(0), b.I(0), b.I(0))
	s := p.Stage()
	if len(s.Kept) != 1 || s.Kept[0] != 0 || s.Ended {
		t.Errorf("slots %v are kept (ended at once: %v), want slot 0 alone", s.Kept, s.Ended)
	}
	for i := range s.Step.Instrs {
		if op := s.Step.Instrs[i].Op; op == program.OpSqrt || op == program.OpSelect {
			t.Errorf("a running sample computes %s", op)
		}
	}
}

// The comparison with a root is the comparison with its square, whatever the number.
func TestStageRoots(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		c := math.Exp(r.NormFloat64() * 20)
		b := program.NewBuilder("step")
		x, _, n := b.Input("x", program.F64), b.Input("status", program.I64), b.Input("iteration", program.I64)
		root := b.Sqrt(b.Mul(x, x))
		p := &program.Program{
			Name: "root", In: []string{"x"}, Status: 1, Iteration: 2, Results: []int{2},
			Slots: []program.Slot{{Name: "x", Type: program.F64, Fixed: true}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
			Step:  b.Finish(b.Select(b.Le(root, b.F(c)), b.I(1), b.I(0)), b.IAdd(n, b.I(1))),
		}
		b = program.NewBuilder("setup")
		x = b.Input("x", program.F64)
		p.Setup = b.Finish(x, b.I(0), b.I(0))
		s := p.Stage()
		for i := range s.Step.Instrs {
			if s.Step.Instrs[i].Op == program.OpSqrt {
				t.Fatal("the root is still taken")
			}
		}
		near := c
		for range 3 {
			near = math.Nextafter(near, 0)
		}
		for range 7 {
			for _, x := range []float64{near, -near, math.NaN(), math.Inf(1), 0, 5e-324} {
				want := p.Step.Eval(math.Float64bits(x), 0, 0)[0] == 0
				if got := s.Step.Eval(math.Float64bits(x), 0); (got[len(got)-1] != 0) != want {
					t.Fatalf("limit %v, x = %v: goes on %v, want %v", c, x, got[len(got)-1] != 0, want)
				}
			}
			near = math.Nextafter(near, math.Inf(1))
		}
	}
}

// checkRun compares Run with Step in one state, and returns 1 where it may be compared.
func checkRun(t *testing.T, s *program.Stages, state, next []uint64) int {
	t.Helper()
	counter := map[int]bool{}
	for _, c := range s.Counters {
		v := int64(state[c.Kept])
		if v < c.From || v >= c.To {
			return 0
		}
		if got := int64(next[c.Kept-s.Fixed]); got != v+1 {
			t.Fatalf("counter %d goes from %d to %d", c.Kept, v, got)
		}
		counter[c.Kept] = true
	}
	run := s.Run.Eval(state...)
	if usual := run[len(run)-1]; usual == 0 {
		return 0
	}
	run = run[:len(run)-1]
	for _, k := range s.Unmoved {
		if next[len(next)-1] != 0 && next[k-s.Fixed] != state[k] {
			t.Fatalf("slot %d moves from %d to %d where nothing rare happens", k, state[k], next[k-s.Fixed])
		}
		counter[k] = true
	}
	if got, want := run[len(run)-1], next[len(next)-1]; got != want {
		t.Fatalf("with counters %v Run says %d, Step %d\n%v\n%v", s.Counters, got, want, s.Run, s.Step)
	}
	if next[len(next)-1] == 0 {
		return 1
	}
	for k := s.Fixed; k < len(s.Kept); k++ {
		if counter[k] {
			continue
		}
		typ := s.Step.Instrs[s.Step.Out[k-s.Fixed]].Type
		if !progtest.Same(typ, run[0], next[k-s.Fixed]) {
			t.Fatalf("slot %d: Run says %#x, Step %#x\n%v\n%v", k, run[0], next[k-s.Fixed], s.Run, s.Step)
		}
		run = run[1:]
	}
	return 1
}
