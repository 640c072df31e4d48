// Package selection finds the k-th smallest of many numbers: what quantiles are made of.
//
// Numbers go in as uint64s, for these can be compared without branches; the bits of float64s without a sign are in their order.
package selection

import (
	"math"
	"math/bits"
	"slices"
)

// A sample of SampleSize numbers tells between which two of them a rank lies: those margin before and after
// its place there. The margin is two and a half standard deviations of the rank of a median.
const (
	SampleSize = 64
	margin     = 10
)

// Kth is the k-th smallest of x, from zero, which it reorders; scratch is as long as x, and apart from it.
//
// Two numbers of a small sample enclose the wanted one; what lies between them, about a third, is kept, in one pass without branches
// that depend on the data; and so on (after R. W. Floyd and R. L. Rivest, "Expected time bounds for selection",
// CACM 18, 1975). Hoare's selection does the rest, and all of it where the sample misleads.
func Kth(x, scratch []uint64, k int) uint64 {
	for len(x) >= 4*SampleSize {
		var sample [SampleSize]uint64
		for i := range sample {
			sample[i] = x[i*len(x)/SampleSize]
		}
		slices.Sort(sample[:])
		lo, hi := uint64(0), uint64(math.MaxUint64)
		at := k * SampleSize / len(x)
		if at >= margin {
			lo = sample[at-margin]
		}
		if at+margin < SampleSize {
			hi = sample[at+margin]
		}
		kept, below := narrow(x, scratch, lo, hi)
		if k < below || k >= below+kept {
			break
		}
		if lo == hi {
			return lo
		}
		if kept > len(x)/2 {
			break
		}
		x, scratch, k = scratch[:kept], x, k-below
	}
	return hoare(x, k)
}

// narrow copies the numbers of x from lo to hi, both included, to the front of scratch, in their order. It returns how many they are, and
// how many numbers of x are below lo.
func narrow(x, scratch []uint64, lo, hi uint64) (kept, below int) {
	x, kept, below = narrowVectors(x, scratch, lo, hi)
	scratch = scratch[kept:][:len(x)]
	out := uint64(0) // numbers that are not kept
	for i, v := range x {
		d, less := bits.Sub64(v, lo, 0)
		below += int(less)
		scratch[uint64(i)-out] = v
		_, outside := bits.Sub64(hi-lo, d, 0) // lo <= v <= hi: d wraps where v < lo
		out += outside
	}
	return kept + len(x) - int(out), below
}

// hoare is the k-th smallest of x, which it reorders, by Hoare's selection.
func hoare(x []uint64, k int) uint64 {
	lo, hi := 0, len(x)-1
	for lo < hi {
		pivot := x[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return x[k]
		}
	}
	return x[k]
}
