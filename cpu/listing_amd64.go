//go:build linux || darwin || windows

package cpu

import (
	"errors"
	"slices"

	"invar/program"
)

// StepListing is the code that AVX-512 processors run for a step of p, one instruction a line in Intel's syntax, with one vector of
// samples; where a vector is 8 samples, [Native] takes several side by side, and one alone would not get the run that is shown. It works on any amd64 processor.
func StepListing(p *program.Program) ([]string, error) {
	n, err := emitProgram(p, &avx512, emitOptions{list: true, vectors: 1, allRuns: true})
	if err != nil {
		return nil, err
	}
	// The functions come in the order setup, steps, final.
	begin := slices.Index(n.text, "ret") + 1
	end := slices.Index(n.text[begin:], "ret")
	if begin == 0 || end < 0 {
		return nil, errors.New("cpu: the listing has no second function")
	}
	return n.text[begin : begin+end], nil
}
