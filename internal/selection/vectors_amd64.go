package selection

import "golang.org/x/sys/cpu"

// vectors is whether the processor and the system know what narrow8 is made of.
var vectors = cpu.X86.HasAVX512F

// atOnce is how many numbers a call of narrow8 gets at most: Go cannot interrupt it.
const atOnce = 1 << 16

// narrow8 is narrow for a number of numbers that is a multiple of eight, above zero.
//
//go:noescape
func narrow8(x, scratch []uint64, lo, hi uint64) (kept, below int)

// narrowVectors does as much of narrow's work as can be done eight numbers at a time, and returns what is left of x.
func narrowVectors(x, scratch []uint64, lo, hi uint64) (rest []uint64, kept, below int) {
	for vectors && len(x) >= 8 {
		n := min(len(x)&^7, atOnce)
		k, b := narrow8(x[:n], scratch[kept:][:n], lo, hi)
		x, kept, below = x[n:], kept+k, below+b
	}
	return x, kept, below
}
