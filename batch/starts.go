package batch

import (
	"invar/program"
	"invar/sampling"
)

// Written are Starts that a program can make by itself.
type Written interface {
	Starts
	// Emit writes the operations that make the coordinates of start i, an I64: the bits of Fill. It writes nothing
	// and returns nil where that is not possible.
	Emit(b *program.Builder, i program.Value) []program.Value
}

// Sampled are starts drawn in a box.
type Sampled struct {
	Sampler sampling.Sampler
	N       int
	Box     [][2]float64 // [coordinate] lower and upper end
}

// Len is the number of starts.
func (s *Sampled) Len() int { return s.N }

// Fill implements Starts.
func (s *Sampled) Fill(first int, out [][]float64) error {
	return s.Sampler.Fill(first, len(out[0]), s.Box, out)
}

// Emit implements Written.
func (s *Sampled) Emit(b *program.Builder, i program.Value) []program.Value {
	return s.Sampler.Emit(b, i, s.Box)
}

// startInput names the input that stands for the coordinates in a program that makes its starts.
const startInput = "start"

// making is p with one input, the start's index, in the place of the coordinates of starts; nil if they are not written.
func making(p *program.Program, starts Starts) *program.Program {
	w, ok := starts.(Written)
	if !ok {
		return nil
	}
	b := program.NewBuilder(p.Setup.Name)
	q := *p
	q.In = nil
	var in []program.Value
	for _, name := range p.In[:len(p.Param)] {
		q.In = append(q.In, name)
		in = append(in, b.Input(name, program.F64))
	}
	q.In = append(q.In, startInput)
	x := w.Emit(b, b.ToInt(b.Input(startInput, program.F64)))
	if x == nil {
		return nil
	}
	q.Setup = program.Optimize(b.Finish(b.Inline(p.Setup, append(in, x...)...)...), false)
	return &q
}
