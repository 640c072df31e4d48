package program_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// A program run by its stages gives the bits that it gives as a whole, and keeps no
// slot that only a result looks at.
func TestStage(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	between := 0
	for round := range 300 {
		p := progtest.Program(r, 1+r.IntN(3), 60, program.F64, program.F32)
		if round%2 == 0 {
			p.Optimize()
		}
		between += sameByStages(t, r, p, 4)
		p = progtest.Iteration(r, 1+r.IntN(3), []program.Type{program.F64, program.F32}[round%2])
		between += sameByStages(t, r, p, 4)
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

// sameByStages runs n samples of p by its stages and as a whole.
func sameByStages(t *testing.T, r *rand.Rand, p *program.Program, n int) (between int) {
	t.Helper()
	s := p.Stage()
	s.MakeRun(p)
	for _, f := range []*program.Func{s.Setup, s.Step, s.Final, s.Run} {
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
	}
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
			x := p.Number(p.Results[i], v)
			if !progtest.SameF64(x, b.Out[i][k]) {
				t.Fatalf("%s, sample %d: %s is %v, want %v", p.Name, k, p.Slots[p.Results[i]].Name, x, b.Out[i][k])
			}
		}
	}
	return between
}

// trials is a program whose trial point is accepted now and then, or never; loss and root are of what was
// accepted last. Where counted is set, iteration counts the accepted ones; where other is, root depends on one more slot.
func trials(counted, other bool) *program.Program {
	names := []string{"trial", "x", "loss", "root", "other", "one", "start", "iteration", "steps", "status"}
	step := program.NewBuilder("step")
	var in []program.Value
	var slots []program.Slot
	for i, name := range names {
		typ := program.F64
		if i >= 7 {
			typ = program.I64
		}
		in = append(in, step.Input(name, typ))
		slots = append(slots, program.Slot{Name: name, Type: typ, Fixed: i == 5 || i == 6})
	}
	trial, x, loss, root, o, iteration, n := in[0], in[1], in[2], in[3], in[4], in[7], in[8]
	accept := step.Lt(step.Sub(trial, step.Floor(trial)), step.F(0.3))
	square := step.Mul(trial, trial)
	from := square
	if other {
		from = step.Add(square, o)
	}
	one := step.I(1)
	if counted {
		one = step.Select(accept, step.I(1), step.I(0))
	}
	steps := step.IAdd(n, step.I(1))
	p := &program.Program{
		Name: "trials", In: []string{"start"}, Slots: slots, Status: 9, Iteration: 7, Results: []int{1, 2, 3, 7, 9},
		Step: step.Finish(step.Sub(step.Mul(trial, step.F(0.75)), step.F(0.25)), step.Select(accept, trial, x), step.Select(accept, step.FMA(in[5], in[6], square), loss),
			step.Select(accept, step.Sqrt(from), root), step.Add(o, step.F(1)), step.IAdd(iteration, one), steps,
			step.Select(step.ILt(steps, step.I(3)), step.I(0), step.I(1))),
	}
	set := program.NewBuilder("setup")
	v := set.Input("start", program.F64)
	p.Setup = set.Finish(v, v, set.F(-1), set.F(-2), set.F(0), set.F(1), v, set.I(-1), set.I(0), set.I(0))
	return p
}

// What a sample reports of the point that it accepted last is computed again at its end, unless that cannot be.
func TestStageRecalls(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, c := range []struct {
		counted, other bool
		kept           string
	}{
		{true, false, "start trial x iteration steps"},
		{true, true, "start trial x root other iteration steps"},
		{false, false, "start trial x loss root iteration"},
	} {
		p := trials(c.counted, c.other)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		sameByStages(t, r, p, 200)
		s := p.Stage()
		var kept []string
		for _, k := range s.Kept {
			kept = append(kept, p.Slots[k].Name)
		}
		if got := strings.Join(kept, " "); got != c.kept {
			t.Errorf("counted %v, other %v: %q are kept, want %q", c.counted, c.other, got, c.kept)
		}
	}
}

// The comparison with a root is the comparison with its square, whatever the number.
func TestStageRoots(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, typ := range []program.Type{program.F64, program.F32} {
		for range 200 {
			c := typ.Bits(math.Exp(r.NormFloat64() * 20))
			if c < 3 || math.IsInf(typ.Float(c), 1) {
				continue
			}
			b := program.NewBuilderOf(typ, "step")
			x, _, n := b.Input("x", typ), b.Input("status", program.I64), b.Input("iteration", program.I64)
			root := b.Sqrt(b.Mul(x, x))
			p := &program.Program{
				Name: "root", In: []string{"x"}, Status: 1, Iteration: 2, Results: []int{2},
				Slots: []program.Slot{{Name: "x", Type: typ, Fixed: true}, {Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}},
				Step:  b.Finish(b.Select(b.Le(root, b.F(typ.Float(c))), b.I(1), b.I(0)), b.IAdd(n, b.I(1))),
			}
			b = program.NewBuilder("setup")
			x = b.Input("x", program.F64)
			if typ == program.F32 {
				x = b.Narrow(x)
			}
			p.Setup = b.Finish(x, b.I(0), b.I(0))
			s := p.Stage()
			for i := range s.Step.Instrs {
				if s.Step.Instrs[i].Op == program.OpSqrt {
					t.Fatal("the root is still taken")
				}
			}
			for near := c - 3; near < c+4; near++ {
				for _, x := range []uint64{near, typ.Bits(-typ.Float(near)), typ.Bits(math.NaN()), typ.Bits(math.Inf(1)), 0, 1} {
					want := p.Step.Eval(x, 0, 0)[0] == 0
					if got := s.Step.Eval(x, 0); (got[len(got)-1] != 0) != want {
						t.Fatalf("limit %v, x = %v: goes on %v, want %v", typ.Float(c), typ.Float(x), got[len(got)-1] != 0, want)
					}
				}
			}
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
