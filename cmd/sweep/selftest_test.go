package main

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"invar/cpu"
	"invar/program"
)

// wrong is the portable engine with one fault in each batch, made by spoil.
type wrong struct {
	program.Engine
	spoil func(*program.Batch)
}

func (w wrong) Compile(p *program.Program) (program.Executable, error) {
	x, err := w.Engine.Compile(p)
	return wrongExecutable{x, w.spoil}, err
}

type wrongExecutable struct {
	program.Executable
	spoil func(*program.Batch)
}

func (x wrongExecutable) Run(ctx context.Context, b *program.Batch) error {
	err := x.Executable.Run(ctx, b)
	x.spoil(b)
	return err
}

// The self-test passes a right engine, and names the first difference of one that is wrong in one bit of one sample.
func TestSelftest(t *testing.T) {
	dtypes := []program.Type{program.F64, program.F32}
	run := func(spoil func(*program.Batch)) error {
		s := selftest{engine: wrong{cpu.Portable{}, spoil}, notes: &strings.Builder{}, limit: time.Minute}
		pairs, err := builtinPairs(dtypes)
		if err != nil {
			t.Fatal(err)
		}
		if len(pairs) < 200 {
			t.Fatalf("%d pairs of problem and method in either type, want 200 or more", len(pairs))
		}
		_, err = s.pairs(t.Context(), pairs[:15], time.Now())
		return err
	}
	if err := run(func(*program.Batch) {}); err != nil {
		t.Errorf("a right engine: %v", err)
	}
	flip := func(x *float64) { *x = math.Float64frombits(math.Float64bits(*x) ^ 1) }
	last := func(c []float64) *float64 { return &c[len(c)-2] } // the last sample is a hard one, perhaps NaN
	if err := run(func(b *program.Batch) { flip(last(b.Out[0])) }); err == nil || !strings.Contains(err.Error(), "is right") {
		t.Errorf("an engine with a wrong bit: %v", err)
	}
	if err := run(func(b *program.Batch) {
		if b.Trace != nil {
			b.Trace.Len[5]++
		}
	}); err == nil || !strings.Contains(err.Error(), "traced iterates") {
		t.Errorf("an engine that traces too much: %v", err)
	}
	if err := run(func(b *program.Batch) {
		if b.Trace != nil {
			flip(&b.Trace.Data[4][0])
		}
	}); err == nil || !strings.Contains(err.Error(), "traced number 0") {
		t.Errorf("an engine that traces another number: %v", err)
	}
}

// When the time is over it says how far it came.
func TestSelftestTimeLimit(t *testing.T) {
	var out strings.Builder
	s := selftest{engine: cpu.Portable{}, out: &out, notes: &strings.Builder{}, limit: time.Nanosecond, dtypes: []program.Type{program.F64}}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "0 of ") || !strings.Contains(out.String(), "time limit") {
		t.Errorf("%s", out.String())
	}
}
