package sampling

import "invar/program"

const (
	m0, m1 = 0xD2511F53, 0xCD9E8D57 // multipliers of Philox
	w0, w1 = 0x9E3779B9, 0xBB67AE85 // Weyl increments of its key: golden ratio, sqrt(3)-1
	rounds = 10
)

// philox is Philox4x32-10 of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E.
// Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11: a bijection of the
// counter under a key, whose values on different counters are independent random
// numbers.
func philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	c0, c1, c2, c3 := counter[0], counter[1], counter[2], counter[3]
	k0, k1 := key[0], key[1]
	for range rounds {
		p0, p1 := uint64(c0)*m0, uint64(c2)*m1
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += w0
		k1 += w1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// emitPhilox writes philox for a counter of I64s, of which the lower 32 bits count, as they do of the results. What is
// above them is not cut off on the way: a multiplication does not look at it.
func emitPhilox(b *program.Builder, c [4]program.Value, key [2]uint32) [4]program.Value {
	for range rounds {
		p0, p1 := b.MulU32(c[0], b.I(m0)), b.MulU32(c[2], b.I(m1))
		high := func(p, c program.Value, k uint32) program.Value {
			return b.IXor(b.IXor(b.Shr(p, b.I(32)), c), b.I(int64(k)))
		}
		c = [4]program.Value{high(p1, c[1], key[0]), p1, high(p0, c[3], key[1]), p0}
		key[0] += w0
		key[1] += w1
	}
	return c
}

// The streams keep apart what is drawn from one seed for different purposes.
const (
	streamUniform = iota
	streamShift
	streamDigits
	streamRounds
	streamJitter
)

// draw gives two random 64-bit numbers for point i: the same for the same seed,
// stream, point and block, whatever was drawn before.
func draw(seed uint64, stream int, i uint64, block int) [2]uint64 {
	r := philox([4]uint32{uint32(i), uint32(i >> 32), uint32(block), uint32(stream)}, [2]uint32{uint32(seed), uint32(seed >> 32)})
	return [2]uint64{uint64(r[0]) | uint64(r[1])<<32, uint64(r[2]) | uint64(r[3])<<32}
}

// unit is the upper 53 bits of x as a number in [0, 1), a multiple of 2^-53.
func unit(x uint64) float64 { return float64(x>>11) * 0x1p-53 }

// emitDraw writes what unit makes of the two numbers of draw, for the point of number i.
func emitDraw(b *program.Builder, seed uint64, stream int, i program.Value, block int) []program.Value {
	r := emitPhilox(b, [4]program.Value{i, b.Shr(i, b.I(32)), b.I(int64(block)), b.I(int64(stream))}, [2]uint32{uint32(seed), uint32(seed >> 32)})
	return []program.Value{emitUnit(b, r[0], r[1]), emitUnit(b, r[2], r[3])}
}

// emitUnit writes unit of a number given as its lower and upper 32 bits: the upper ones count 2^-32, of the lower ones the
// upper 21 count 2^-53. Put behind the binary point of a number whose last bit counts as much, they are
// what is left when that number is taken away; and their sum has 53 bits: nothing is rounded.
func emitUnit(b *program.Builder, low, high program.Value) program.Value {
	part := func(bits program.Value, n int, base float64) program.Value {
		bits = b.IAnd(bits, b.I(1<<n-1))
		return b.Sub(b.FromBits(b.IOr(bits, b.Bits(b.F(base)))), b.F(base))
	}
	return b.Add(part(high, 32, 0x1p20), part(b.Shr(low, b.I(11)), 21, 0x1p-1))
}
