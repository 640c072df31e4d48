package sampling

// philox is Philox4x32-10 of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E.
// Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11: a bijection of the
// counter under a key, whose values on different counters are independent random
// numbers.
func philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57 // multipliers
		w0, w1 = 0x9E3779B9, 0xBB67AE85 // Weyl increments of the key: golden ratio, sqrt(3)-1
		rounds = 10
	)
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
