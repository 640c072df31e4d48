//go:build cgo && linux && (amd64 || arm64) && !nocuda

package kernels

import (
	"context"
	"errors"
	"fmt"
	"math"

	"invar/program"
)

// Check runs every operation, on numbers of each type, on the values at which arithmetic changes its ways, on each device, and compares
// the bits with what program.Func.Eval gives. It says of these GPUs with this driver what no test elsewhere can.
// A device that computes wrongly is an error, one that fails only if all do.
func (e *Engine) Check() error {
	failed := map[*device]error{}
	var last error
	for i, d := range e.devices {
		one := &Engine{devices: e.devices[i : i+1], shared: e.shared}
		if err := one.check(); errors.Is(err, program.ErrDevice) {
			failed[d], last = err, err
		} else if err != nil {
			return err
		}
	}
	if len(failed) == len(e.devices) {
		return last
	}
	for d, err := range failed {
		e.tell(d, err)
	}
	return nil
}

func (e *Engine) check() error {
	p, f := everyOperation()
	exe, err := e.Compile(p)
	if err != nil {
		return err
	}
	b := everyValue(p, 19)
	if err := exe.Run(context.Background(), b); err != nil {
		return err
	}
	for s := range b.N {
		var in []uint64
		for _, c := range b.In {
			in = append(in, math.Float64bits(c[s]))
		}
		for k, want := range f.Eval(in...) {
			got, w := b.Out[k][s], p.Number(p.Results[k], want)
			if math.Float64bits(got) != math.Float64bits(w) && !(w != w && got != got) {
				return fmt.Errorf("kernels: %s computes %v (%#x) for result %d of %v, %v, %v; %v (%#x) is right: the GPU or its driver is faulty, use --device cpu",
					e.Name(), got, math.Float64bits(got), k, b.In[0][s], b.In[1][s], b.In[2][s], w, math.Float64bits(w))
			}
		}
	}
	return nil
}

// special holds the values that Check combines.
var special = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 1.5, 2.5, -2.5, 0.49999999999999994, 3, 1e-3, math.Inf(1), math.Inf(-1), math.NaN(),
	math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0x1p-1022, -0x1.fffffffffffffp-1023,
	math.MaxFloat64, -math.MaxFloat64, 0x1p52, 0x1p53, -0x1.8p52, 0x1p51 + 0.5, 0x1p63, 1e300, 1e-300, 0x1p-537,
	// where the numbers of float32 end, and halves of their steps
	math.MaxFloat32, 0x1.ffffffp127, -0x1.fffffefp127, 0x1p-126, -0x1.fffffcp-127, 0x1p-149, 0x1p-150, -0x1.8p-150,
	1 + 0x1p-23, 1 + 0x1p-24, -1 - 0x1.8p-23, 0x1p22 + 0.5, 0x1p24 + 1, 0x1p-75,
}

// everyOperation is a program of one step that applies each operation to its inputs x, y, z, as numbers of each type, as their
// bits and as truth values, and the same as a function whose outputs are numbers.
func everyOperation() (*program.Program, *program.Func) {
	b := program.NewBuilder("every")
	var in []program.Value
	names := []string{"x", "y", "z"}
	for _, name := range names {
		in = append(in, b.Input(name, program.F64))
	}
	var out []program.Value
	for _, t := range []program.Type{program.F64, program.F32} {
		b.With(t, func() { out = append(out, operations(b, in[0], in[1], in[2])...) })
	}
	for k, v := range out { // as numbers
		switch b.Type(v) {
		case program.I64:
			out[k] = b.FromBits(v)
		case program.Bool:
			out[k] = b.Select(v, b.F(1), b.F(0))
		}
	}
	f := b.Finish(out...)

	set, step := program.NewBuilder("setup"), program.NewBuilder("step")
	prog := &program.Program{Name: "every operation", In: names, Status: len(names), Iteration: len(names) + 1}
	var state, args []program.Value
	for _, name := range names {
		prog.Slots = append(prog.Slots, program.Slot{Name: name, Type: program.F64, Fixed: true})
		state = append(state, set.Input(name, program.F64))
		args = append(args, step.Input(name, program.F64))
	}
	prog.Slots = append(prog.Slots, program.Slot{Name: "status", Type: program.I64}, program.Slot{Name: "iteration", Type: program.I64})
	state = append(state, set.I(0), set.I(-1))
	next := []program.Value{step.I(1), step.IAdd(step.IAdd(step.Input("status", program.I64), step.Input("iteration", program.I64)), step.I(1))}
	for k, t := range f.OutTypes() {
		prog.Results = append(prog.Results, len(prog.Slots))
		name := fmt.Sprintf("y%d", k)
		prog.Slots = append(prog.Slots, program.Slot{Name: name, Type: t})
		set.With(t, func() { state = append(state, set.F(0)) })
		step.Input(name, t)
	}
	prog.Setup, prog.Step = set.Finish(state...), step.Finish(append(next, step.Inline(f, args...)...)...)
	return prog, f
}

// operations writes each operation on x, y and z, which are F64 and narrowed where b writes F32.
func operations(b *program.Builder, x, y, z program.Value) []program.Value {
	var out []program.Value
	if b.Float() == program.F32 {
		x, y, z = b.Narrow(x), b.Narrow(y), b.Narrow(z)
		out = append(out, x, b.Widen(b.Add(x, y)))
	}
	// A NaN's bits are anybody's: no program looks at them.
	bits := func(v program.Value) program.Value { return b.Bits(b.Select(b.IsNaN(v), b.F(3), v)) }
	i, j := bits(x), bits(y)
	small := b.IAnd(b.ToInt(b.Round(b.FromBits(j))), b.I(127))
	p, q := b.Lt(x, b.F(1)), b.Le(b.F(0), y)
	return append(out,
		b.Add(x, y), b.Sub(x, y), b.Mul(x, y), b.Div(x, y), b.Sqrt(x), b.FMA(x, y, z), b.Neg(x), b.Abs(x), b.Round(x), b.Floor(x), b.Trunc(x),
		b.Lt(x, y), b.Le(x, y), b.Eq(x, y), b.And(p, q), b.Or(p, q), b.Not(p),
		b.Select(p, x, y), b.Select(p, i, j), b.Select(p, q, b.Eq(x, z)),
		b.IAdd(i, j), b.ISub(i, j), b.MulU32(i, j), b.IAnd(i, j), b.IOr(i, j), b.IXor(i, j),
		b.Shl(i, j), b.Shr(i, j), b.Shl(i, small), b.Shr(i, small), b.ILt(i, j), b.IEq(i, j),
		b.FromBits(b.IXor(i, b.I(1<<40|1))), b.Table(b.NewTable([]float64{1, -2, 0.1, math.Inf(1)}), i),
	)
}

// everyValue is a batch of all pairs of special values, with every n-th of them as z.
func everyValue(p *program.Program, n int) *program.Batch {
	var in [3][]float64
	for i, x := range special {
		for j, y := range special {
			for k := (i + j) % n; k < len(special); k += n {
				in[0], in[1], in[2] = append(in[0], x), append(in[1], y), append(in[2], special[k])
			}
		}
	}
	b := p.NewBatch(len(in[0]))
	copy(b.In, in[:])
	return b
}
