package main

import (
	"math"
	"os"
	"strings"
	"testing"
)

func listing(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/loop.sass")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The way of a sample that goes on is counted by hand: not the call, not the block for rare arguments (of two DADD), not
// the store; the loop within as often as it is run.
func TestIteration(t *testing.T) {
	blocks, err := parse(listing(t), "invar")
	if err != nil {
		t.Fatal(err)
	}
	for _, trips := range []int{1, 100} {
		got, err := iteration(blocks, trips)
		if err != nil {
			t.Fatal(err)
		}
		// Before the loop 5 (DMUL, MUFU and DFMA are arithmetic), BSYNC, DSETP and BRA, IMAD; behind it DSETP and BRA, two IMAD,
		// CALL of a label, BRA.
		if want := (count{total: 9 + 4*trips + 6, double: 5 + trips, seeds: 1}); got != want {
			t.Errorf("%d trips: %+v, want %+v", trips, got, want)
		}
	}
}

// What is not understood is refused rather than counted wrongly.
func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		what, from, to string
		trips          int
		word           string
	}{
		{"no kernel", ".text.invar:", ".text.other:", 1, "no code"},
		{"a loop that is not expected", "", "", 0, "none is expected"},
		{"an indirect branch", "BRA `(.L_x_7)", "BRX R2 -0x10", 1, "BRX"},
		{"a branch to nowhere", "BRA `(.L_x_7)", "BRA `(.L_x_9)", 1, "not there"},
		{"a barrier that ends elsewhere", "BSSY B1, `(.L_x_1)", "BSSY B1, `(.L_x_9)", 1, "0 places"},
		{"no way around", "IMAD.MOV.U32 R4, RZ, RZ, R2", "STG.E.64 [R10.64], R4", 1, "no way around"},
	} {
		text := strings.Replace(listing(t), c.from, c.to, 1)
		blocks, err := parse(text, "invar")
		if err == nil {
			_, err = iteration(blocks, c.trips)
		}
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want an error about %q", c.what, err, c.word)
		}
	}
	if _, err := iteration([]block{{}}, 0); err == nil || err.Error() != "no loop" {
		t.Errorf("without a loop: %v", err)
	}
}

// Divisions are not skipped, and a longer way is taken for their sake.
func TestBetter(t *testing.T) {
	short, divides := count{total: 10, double: 5}, count{total: 30, double: 15, seeds: 1}
	if short.better(divides) || !divides.better(short) || !short.better(short.plus(count{total: 1})) {
		t.Error("the way with a division, or the shorter one, is not preferred")
	}
}

// The limit of a card is that of its units for float64 or of its schedulers, whichever is reached first.
func TestLimit(t *testing.T) {
	c := card{"test", "sm_80", 100, 2, ""} // 100 multiprocessors at 2 GHz, 128 instructions or 32 results a clock
	for _, k := range []struct {
		count
		want       float64
		arithmetic bool
	}{
		{count{total: 128, double: 16}, 2e9, false},
		{count{total: 128, double: 64}, 1e9, true},
	} {
		if got, arithmetic := c.limit(k.count, 100); math.Abs(got-k.want) > 1e-3 || arithmetic != k.arithmetic {
			t.Errorf("%+v: %g samples a second (arithmetic: %v), want %g (%v)", k.count, got, arithmetic, k.want, k.arithmetic)
		}
	}
	for _, c := range cards {
		if doubles[c.arch] == 0 {
			t.Errorf("%s: nothing is known of %s", c.name, c.arch)
		}
	}
}

// Too many instructions are an error that names the program.
func TestJudge(t *testing.T) {
	it := &item{hand: "program"}
	fine := &row{it: it, arch: "sm_80", ours: code{count: count{total: 110, double: 11}}, hand: code{count: count{total: 100, double: 10}}}
	if err := judge([]*row{fine}); err != nil {
		t.Error(err)
	}
	long := *fine
	long.ours.double = 12
	if err := judge([]*row{fine, &long}); err == nil || !strings.Contains(err.Error(), "program for sm_80: 12 arithmetic instructions, by hand 10") {
		t.Errorf("12 instead of 10: %v", err)
	}
}
