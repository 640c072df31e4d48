package graph

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"invar/problem"
	"invar/program"
)

// descent is gradient descent on the problem, written as fused step and as update: 5 iterations, or
// until the loss is below a threshold.
func descent(t *testing.T, m *Model) *program.Program {
	t.Helper()
	p := m.Problem()
	n := p.N()
	want := Loss | Grad
	prog := &program.Program{Name: "descent", Quantities: want.Names(n, p.M())}
	for i, q := range p.Params {
		prog.Param = append(prog.Param, i)
		prog.In = append(prog.In, q.Name)
		prog.Slots = append(prog.Slots, program.Slot{Name: q.Name, Type: program.F64, Fixed: true})
	}
	for _, name := range p.Inputs {
		prog.Trial = append(prog.Trial, len(prog.Slots))
		prog.In = append(prog.In, name)
		prog.Slots = append(prog.Slots, program.Slot{Name: name, Type: program.F64})
	}
	at := len(prog.Slots)
	prog.Slots = append(prog.Slots,
		program.Slot{Name: "loss", Type: program.F64},
		program.Slot{Name: "iteration", Type: program.I64},
		program.Slot{Name: "status", Type: program.I64})
	prog.Iteration, prog.Status = at+1, at+2
	prog.Results = append(append([]int(nil), prog.Trial...), at, at+1, at+2)

	b := program.NewBuilder("setup")
	var out []program.Value
	for _, name := range prog.In {
		out = append(out, b.Input(name, program.F64))
	}
	prog.Setup = b.Finish(append(out, b.F(0), b.I(-1), b.I(0))...)

	write := func(split bool) *program.Func {
		b := program.NewBuilder("step")
		var slots []program.Value
		for _, s := range prog.Slots {
			slots = append(slots, b.Input(s.Name, s.Type))
		}
		var q Quantities
		if split {
			var v []program.Value
			for _, name := range prog.Quantities {
				v = append(v, b.Input(name, program.F64))
			}
			q = Unflatten(want, n, p.M(), v)
		} else {
			var err error
			if q, err = m.Emit(b, slots[:len(p.Params)], slots[len(p.Params):at], want); err != nil {
				t.Fatal(err)
			}
		}
		iteration := b.IAdd(slots[at+1], b.I(1))
		status := b.Select(b.IEq(iteration, b.I(5)), b.I(2), b.I(0))
		status = b.Select(b.Lt(q.Loss, b.F(0.05)), b.I(1), status)
		var out []program.Value
		for i := range n {
			out = append(out, b.Sub(slots[len(p.Params)+i], b.Mul(b.F(0.02), q.Grad[i])))
		}
		return b.Finish(append(out, q.Loss, iteration, status)...)
	}
	prog.Step, prog.Update = write(false), write(true)
	prog.Optimize()
	return prog
}

// The engine runs update on the tape's quantities as the program's own step would, for any number of
// samples; the trace holds each iterate.
func TestTapeEngine(t *testing.T) {
	builtins(t, func(t *testing.T, p *problem.Problem, m *Model) {
		prog := descent(t, m)
		exe, err := NewTapeEngine(m, 3).Compile(prog)
		if err != nil {
			t.Fatal(err)
		}
		const n, rows = 8, 4
		batch := prog.NewBatch(n)
		loss := prog.Slot("loss")
		batch.Trace = program.NewTrace(n, rows, []int{prog.Iteration, loss})
		r := rand.New(rand.NewPCG(11, 12))
		for s := range n {
			params, x := builtinPoints(p, r)
			for i, v := range append(params, x...) {
				batch.In[i][s] = v
			}
		}
		batch.In[len(p.Params)][n-1] = math.NaN() // stays in its own sample
		if err := exe.Run(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
		for s := range n {
			var in []uint64
			for i := range batch.In {
				in = append(in, math.Float64bits(batch.In[i][s]))
			}
			slots := prog.Setup.Eval(in...)
			traced := 0
			for slots[prog.Status] == 0 {
				next := prog.Step.Eval(slots...)
				for i := range slots {
					if !prog.Slots[i].Fixed {
						slots[i], next = next[0], next[1:]
					}
				}
				if traced < rows {
					row := batch.Trace.Data[s][2*traced:]
					if l := math.Float64frombits(slots[loss]); row[0] != float64(traced) || !same(row[1], l, 1e-9, 1) {
						t.Errorf("sample %d: row %d of the trace is %v, want %d, %v", s, traced, row[:2], traced, l)
					}
					traced++
				}
			}
			if batch.Trace.Len[s] != traced {
				t.Errorf("sample %d: %d rows of trace, want %d", s, batch.Trace.Len[s], traced)
			}
			for k, slot := range prog.Results {
				want := math.Float64frombits(slots[slot])
				if prog.Slots[slot].Type == program.I64 {
					want = float64(int64(slots[slot]))
				}
				if got := batch.Out[k][s]; !same(got, want, 1e-9, 1) {
					t.Errorf("sample %d: %s is %v, want %v", s, prog.Slots[slot].Name, got, want)
				}
			}
		}
	})
}

func TestTapeEngineRefuses(t *testing.T) {
	p, err := problem.Builtin("rosenbrock")
	m := model(t, p, err)
	prog := descent(t, m)
	engine := NewTapeEngine(m, 2)
	exe, err := engine.Compile(prog)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batch := prog.NewBatch(5)
	batch.Out[0][0] = 7
	if err := exe.Run(ctx, batch); !errors.Is(err, context.Canceled) || batch.Out[0][0] != 0 {
		t.Errorf("a run that was cancelled: error %v, result %v", err, batch.Out[0][0])
	}
	batch.In[0] = batch.In[0][:2]
	if err := exe.Run(context.Background(), batch); err == nil {
		t.Error("a short column is taken")
	}
	for what, spoil := range map[string]func(p *program.Program){
		"no update":          func(p *program.Program) { p.Update, p.Quantities = nil, nil },
		"unknown quantities": func(p *program.Program) { p.Quantities = append([]string{"mass"}, p.Quantities[1:]...) },
		"another problem":    func(p *program.Program) { p.Trial = p.Trial[1:] },
	} {
		spoilt := *prog
		spoil(&spoilt)
		if _, err := engine.Compile(&spoilt); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := NewTapeEngine(m, 1).Compile(prog); err == nil {
		t.Error("a tape of one sample: no error")
	}
}

// Nodes whose hashes collide are never merged: the graph is built again with other hashes, and given
// up only if that does not help.
func TestCollision(t *testing.T) {
	attempts := 0
	err := build(symbolicBatch, func(d *dag) {
		attempts++
		x := d.input("x")
		y := d.do("exp", x)
		if attempts < 3 { // as if the next node had y's hash
			d.hashes[d.do("sin", x).g.Hashcode()] = true
			d.merged = map[nodeKey]*node{}
			d.do("sin", x)
		}
		if d.do("exp", x) != y {
			t.Error("equal nodes are not merged")
		}
	})
	if err != nil || attempts != 3 {
		t.Errorf("%d attempts, error %v, want 3 and none", attempts, err)
	}
	err = build(symbolicBatch, func(d *dag) {
		x := d.input("x")
		d.do("sin", x)
		d.merged = map[nodeKey]*node{}
		d.do("sin", x)
	})
	if !errors.Is(err, errCollision) {
		t.Errorf("collisions in every attempt: error %v, want %v", err, errCollision)
	}
}
