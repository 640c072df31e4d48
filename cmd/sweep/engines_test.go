package main

import (
	"bytes"
	"context"
	"testing"

	"invar/batch"
	"invar/cpu"
	"invar/program"
	"invar/program/progtest"
)

// A program that is too large for native code runs on the portable engine, with one line that says so; where native code was asked for
// by name it is the user's to choose again.
func TestUnfitProgram(t *testing.T) {
	if _, err := cpu.NewNative(); err != nil {
		t.Logf("no native code here, nothing can be unfit for it: %v", err)
		return
	}
	b := program.NewBuilder("f")
	x := b.Input("x", program.F64)
	p := progtest.Wrap(b.Finish(b.Add(x, b.ToFloat(b.IndexValue(program.At(1<<40))))))
	p.Name = "large"
	const why = "large: an index with the number 1099511627776, at most 2147483647 is allowed in native code"

	var said []string
	var sw batch.Sweep
	if note, err := setEngine(&sw, "auto", "cpu", func(note string) { said = append(said, note) }); err != nil || note != "" {
		t.Fatalf("note %q, error %v", note, err)
	}
	exe, err := sw.Engine.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	one := p.NewBatch(1)
	one.In[0][0] = 2
	if err := exe.Run(context.Background(), one); err != nil || one.Out[0][0] != 2+(1<<40) {
		t.Errorf("result %v, error %v, want 2 + 2^40", one.Out[0][0], err)
	}
	if _, err := sw.Engine.Compile(p); err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || said[0] != "on the portable engine: "+why || sw.Engine.Name() != "portable" {
		t.Errorf("said %q, engine %s", said, sw.Engine.Name())
	}

	if _, err := setEngine(&sw, "native", "cpu", nil); err != nil {
		t.Fatal(err)
	}
	_, err = sw.Engine.Compile(p)
	var stderr bytes.Buffer
	if code, want := exitCode(err, &stderr), "sweep: "+why+"; --engine auto runs it on another engine\n"; code != exitUsage || stderr.String() != want {
		t.Errorf("exit code %d with %q, want %d with %q", code, stderr.String(), exitUsage, want)
	}
}
