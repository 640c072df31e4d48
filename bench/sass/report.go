package main

import (
	"fmt"
	"strings"
)

// steps is how many steps a sample takes for the limits.
const steps = 100

// report is the page.
func report(rows []*row, version string) string {
	var s strings.Builder
	fmt.Fprintf(&s, `# What a GPU executes

Written by `+"`make bench-sass`"+`. Nothing here was measured: no GPU is needed to count instructions.

Each kernel, as Invar writes it, is set beside the same program written by hand in CUDA C ([sass/hand](sass/hand)) and compiled by
NVIDIA's nvcc %s with -O3. Both go through the same ptxas; nvdisasm lists the instructions of the GPU. The programs by hand do the
same work: compiled for a processor, they end at Invar's points to the bit, after as many iterations and with the same status,
for %d starts and parameters; this is checked before anything is counted. What may be left out without changing that is left out.

**How it is counted.** A kernel is one loop, in which each thread runs one step of its sample; a sample that ends writes its results and
the thread takes the next. Counted is one way around that loop, that of a sample that goes on: it stores no result, takes no sample
and calls no function (what is called is for rare operands of divisions and roots). Of the ways that remain it is the one
with the most divisions and roots, so that none of a step is left out, and of these the shortest, so that code for rare
arguments of exp and sin is. The loop over the time steps of pendulum counts 100 times. Arithmetic is what works on float64:
DADD, DMUL, DFMA, DSETP, conversions, and the approximations (MUFU) that divisions and roots begin with. A step is an
iteration, but for lm, where it is a trial.

`, version, samples)
	s.WriteString("| program | for | arithmetic | by hand | ratio | instructions | by hand | ratio | registers | by hand |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s | %s | %d | %d | %.2f | %d | %d | %.2f | %s | %s |\n", r.it.hand, r.arch,
			r.ours.double, r.hand.double, float64(r.ours.double)/float64(r.hand.double),
			r.ours.total, r.hand.total, float64(r.ours.total)/float64(r.hand.total), r.ours.registers, r.hand.registers)
	}
	fmt.Fprintf(&s, `
At most %g times the program by hand is allowed; `+"`make test-sass`"+` fails beyond, and where this page is not what is found.

## What follows for known cards

**Computed, not measured.** Million samples a second, of %d steps each, that a card could do at most: if every scheduler issued an
instruction in every clock, and if the units for float64 were never idle; the lower of the two, with i where it is the
issue. Latencies, memory, the ends of samples and lower clocks come on top. A real card will stay below; how far, only a measurement
says (`+"`make bench-gpu`"+`). Cards of sm_70 (V100) are missing: nvdisasm no longer lists their instructions.

`, most, steps)
	s.WriteString("| program |")
	for _, c := range cards {
		fmt.Fprintf(&s, " %s |", c.name)
	}
	s.WriteString("\n|---|" + strings.Repeat("--:|", len(cards)) + "\n")
	for i := range items {
		fmt.Fprintf(&s, "| %s |", items[i].hand)
		for _, c := range cards {
			for _, r := range rows {
				if r.it == &items[i] && r.arch == c.arch {
					n, arithmetic := c.limit(r.ours.count, steps)
					mark := " i"
					if arithmetic {
						mark = ""
					}
					fmt.Fprintf(&s, " %s%s |", digits(n/1e6), mark)
				}
			}
		}
		s.WriteString("\n")
	}
	s.WriteString("\n| card | architecture | multiprocessors | boost clock, GHz | float64 a clock and multiprocessor | float64, TFLOPS | source |\n|---|---|--:|--:|--:|--:|---|\n")
	for _, c := range cards {
		fmt.Fprintf(&s, "| %s | %s | %d | %.3f | %d | %.3g | %s |\n", c.name, c.arch, c.cores, c.clock, doubles[c.arch],
			2*float64(c.cores*doubles[c.arch])*c.clock/1e3, c.source)
	}
	s.WriteString("\nFloat64 results a clock: CUDA C++ Programming Guide, throughput of native arithmetic instructions. A multiprocessor issues four\ninstructions a clock, each for 32 threads. TFLOPS count a multiply-add as two, as data sheets do.\n")
	return s.String()
}

// digits is x with three significant digits, without an exponent.
func digits(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
