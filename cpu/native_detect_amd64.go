//go:build linux || darwin || windows

package cpu

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func xgetbv() uint32

// sets are the instruction sets of this processor that the emitter knows, best first. They are looked up once: in a virtual machine
// each question to the processor takes microseconds.
var sets = sync.OnceValues(func() ([]*isa, error) {
	if n, _, _, _ := cpuid(0, 0); n < 7 {
		return nil, errors.New("the processor has no AVX2")
	}
	_, _, c1, _ := cpuid(1, 0)
	_, b7, _, _ := cpuid(7, 0)
	has := func(word uint32, bit uint) bool { return word>>bit&1 != 0 }
	var missing []string
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"FMA", has(c1, 12)}, {"OSXSAVE", has(c1, 27)}, {"AVX", has(c1, 28)},
		{"BMI1", has(b7, 3)}, {"AVX2", has(b7, 5)},
	} {
		if !f.ok {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the processor has no %s", strings.Join(missing, ", "))
	}
	const ymm, zmm = 0x06, 0xe6 // state that the system saves
	x := xgetbv()
	if x&ymm != ymm {
		return nil, errors.New("the system does not save AVX registers")
	}
	s := []*isa{&avx2}
	if x&zmm == zmm && has(b7, 16) && has(b7, 17) && has(b7, 31) { // F, DQ, VL
		s = []*isa{&avx512, &avx2}
	}
	return s, nil
})
