// Package sampling draws starting points: point i of a sampler has the same bits
// whatever other points are drawn, in whatever order and however many at a time,
// so that a run can be split, resumed and repeated.
//
// [New] makes a sampler for a number of points from its name and a seed; Fill
// writes a range of points into columns, one a dimension, scaled to a box.
package sampling

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"invar/internal/nearest"
	"invar/program"
)

// Sampler draws the points of one sample set. It is safe for concurrent use.
type Sampler interface {
	// Name is the name that New takes.
	Name() string
	// Fill writes points first..first+n-1: out[d][k] is coordinate d of point
	// first+k, in box[d] = {lo, hi}. With u in [0, 1) the sampler's coordinate in the unit cube, it is
	// lo + (hi-lo)*u with three roundings, at most hi. It refuses points outside of the
	// sampler's, a box that is not finite with lo <= hi, and columns that do not fit.
	Fill(first, n int, box [][2]float64, out [][]float64) error
	// Emit writes the operations that make the coordinates of point i, an I64 within the sampler's points, in a
	// box that Fill takes: the same bits. It writes nothing and returns nil if the sampler cannot be written so.
	Emit(b *program.Builder, i program.Value, box [][2]float64) []program.Value
}

// Names lists the samplers, the default first.
func Names() []string {
	names := make([]string, len(samplers))
	for i, s := range samplers {
		names[i] = s.name
	}
	return names
}

// point writes the coordinates of point i in the unit cube to u.
type point func(i uint64, u []float64)

// Those without emit divide integers, or loop as long as it takes: a program can do neither.
var samplers = []struct {
	name string
	make func(seed uint64, total, dims int) (point, error)
	emit func(b *program.Builder, seed uint64, i program.Value, dims int) []program.Value
}{
	{"uniform", uniform, emitUnits},
	{"halton", halton, nil},
	{"lhs", lhs, nil},
	{"grid", grid, nil},
}

// New makes a sampler of total points in dims dimensions.
//
//   - uniform: independent points, from the Philox generator.
//   - halton: the Halton sequence from its point 1 on, up to 16 dimensions. Seed 0 is the
//     classical sequence; others permute the digits and shift each coordinate at random.
//   - lhs: a Latin hypercube: each coordinate has one point in each of total equal intervals.
//   - grid: the centres of a regular lattice of m cells a dimension, m the least number whose power holds all points;
//     the last dimension has only as many layers as it needs. The first coordinate
//     changes fastest; cells of the last layer that no point is left for stay empty. No seed.
func New(name string, seed uint64, total, dims int) (Sampler, error) {
	for _, s := range samplers {
		if s.name != name {
			continue
		}
		if total < 0 || total > 1<<53 {
			return nil, fmt.Errorf("sampling: %d points, want 0 to 2^53", total)
		}
		if dims < 1 {
			return nil, fmt.Errorf("sampling: %d dimensions, want 1 or more", dims)
		}
		at, err := s.make(seed, total, dims)
		if err != nil {
			return nil, err
		}
		return &sampler{name: name, seed: seed, at: at, emit: s.emit, total: total, dims: dims}, nil
	}
	return nil, fmt.Errorf("sampling: no sampler %q%s; there are %s", name, nearest.Hint(name, Names()), strings.Join(Names(), ", "))
}

type sampler struct {
	name        string
	seed        uint64
	at          point
	emit        func(b *program.Builder, seed uint64, i program.Value, dims int) []program.Value // what at does; may be nil
	total, dims int
}

func (s *sampler) Name() string { return s.name }

func (s *sampler) Fill(first, n int, box [][2]float64, out [][]float64) error {
	if first < 0 || n < 0 || n > s.total || first > s.total-n {
		return fmt.Errorf("sampling: %d points from %d on, want points within 0..%d", n, first, s.total-1)
	}
	if len(box) != s.dims || len(out) != s.dims {
		return fmt.Errorf("sampling: a box of %d and columns of %d dimensions, want %d", len(box), len(out), s.dims)
	}
	for d, b := range box {
		if w := b[1] - b[0]; !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("sampling: dimension %d ranges over [%v, %v], want finite bounds in order", d, b[0], b[1])
		}
		if len(out[d]) < n {
			return fmt.Errorf("sampling: column %d holds %d points, want %d", d, len(out[d]), n)
		}
	}
	u := make([]float64, s.dims)
	for k := range n {
		s.at(uint64(first+k), u)
		for d, b := range box {
			w := b[1] - b[0]
			out[d][k] = min(b[1], b[0]+float64(w*u[d]))
		}
	}
	return nil
}

func (s *sampler) Emit(b *program.Builder, i program.Value, box [][2]float64) []program.Value {
	if s.emit == nil {
		return nil
	}
	x := s.emit(b, s.seed, i, s.dims)
	for d, u := range x {
		x[d] = b.Min(b.Add(b.F(box[d][0]), b.Mul(b.F(box[d][1]-box[d][0]), u)), b.F(box[d][1]))
	}
	return x
}

func uniform(seed uint64, _, _ int) (point, error) {
	return func(i uint64, u []float64) { units(seed, streamUniform, i, u) }, nil
}

// emitUnits writes units of the uniform stream.
func emitUnits(b *program.Builder, seed uint64, i program.Value, dims int) []program.Value {
	var u []program.Value
	for d := 0; d < dims; d += 2 {
		u = append(u, emitDraw(b, seed, streamUniform, i, d/2)...)
	}
	return u[:dims]
}

// units fills u with the random numbers of point i.
func units(seed uint64, stream int, i uint64, u []float64) {
	for d := 0; d < len(u); d += 2 {
		r := draw(seed, stream, i, d/2)
		u[d] = unit(r[0])
		if d+1 < len(u) {
			u[d+1] = unit(r[1])
		}
	}
}

var primes = [16]uint64{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53}

// below is the largest number less than 1.
const below = 1 - 0x1p-53

// halton is the radical inverse in the first primes (J. H. Halton, Numer. Math. 2
// (1960) 84). With a seed the digits of each base are permuted, 0 staying 0
// (E. Braaten and G. Weller, J. Comput. Phys. 33 (1979) 249, at random), which breaks the pattern of large bases,
// and the whole is shifted modulo 1 (R. Cranley and T. N. L. Patterson, SIAM J. Numer. Anal. 13 (1976) 904).
func halton(seed uint64, _, dims int) (point, error) {
	if dims > len(primes) {
		return nil, fmt.Errorf("sampling: halton in %d dimensions, want 1 to %d: beyond, its points are too regular; use uniform or lhs", dims, len(primes))
	}
	digits := make([][]uint64, dims)
	shift := make([]float64, dims)
	for d := range digits {
		base := primes[d]
		p := make([]uint64, base)
		for k := range p {
			p[k] = uint64(k)
		}
		if seed != 0 {
			for k := base - 1; k > 1; k-- { // Fisher and Yates on the digits 1..base-1
				hi, _ := bits.Mul64(draw(seed, streamDigits, uint64(d), int(k))[0], k)
				p[k], p[1+hi] = p[1+hi], p[k]
			}
			shift[d] = unit(draw(seed, streamShift, uint64(d), 0)[0])
		}
		digits[d] = p
	}
	return func(i uint64, u []float64) {
		for d, p := range digits {
			base := primes[d]
			numerator, denominator := uint64(0), uint64(1)
			for j := i + 1; j > 0; j /= base {
				numerator = numerator*base + p[j%base]
				denominator *= base
			}
			u[d] = float64(numerator)/float64(denominator) + shift[d]
			if u[d] >= 1 {
				u[d]--
			}
			u[d] = min(u[d], below)
		}
	}, nil
}

// lhs is a Latin hypercube (M. D. McKay, R. J. Beckman and W. J. Conover,
// Technometrics 21 (1979) 239) whose permutations are computed, not stored.
func lhs(seed uint64, total, dims int) (point, error) {
	n := uint64(total)
	perm := make([]permutation, dims)
	for d := range perm {
		perm[d] = newPermutation(seed, d, n)
	}
	return func(i uint64, u []float64) {
		units(seed, streamJitter, i, u)
		for d := range u {
			k := float64(perm[d].at(i))
			x := k + u[d]
			if x >= k+1 { // rounded out of its interval
				x = math.Nextafter(k+1, 0)
			}
			u[d] = min(x/float64(n), below)
		}
	}, nil
}

// permutation is a keyed permutation of 0..n-1 in no memory: a Feistel network
// on the least power of two that holds n, applied until it hits a number below n
// (cycle walking: J. Black and P. Rogaway, CT-RSA 2002).
type permutation struct {
	n           uint64
	left, right int // bits of the two halves
	keys        [8]uint64
}

func newPermutation(seed uint64, d int, n uint64) permutation {
	p := permutation{n: n}
	if n > 1 {
		b := bits.Len64(n - 1)
		p.left, p.right = (b+1)/2, b/2
	}
	for r := range p.keys {
		p.keys[r] = draw(seed, streamRounds, uint64(d), r)[0]
	}
	return p
}

func (p *permutation) at(i uint64) uint64 {
	for {
		l, r := i>>p.right, i&(1<<p.right-1)
		for k := 0; k < len(p.keys); k += 2 {
			l ^= mix(r^p.keys[k]) >> 32 & (1<<p.left - 1)
			r ^= mix(l^p.keys[k+1]) >> 32 & (1<<p.right - 1)
		}
		if i = l<<p.right | r; i < p.n {
			return i
		}
	}
}

// mix is the finaliser of SplitMix64 (G. L. Steele, D. Lea and C. H. Flood,
// OOPSLA 2014): each bit of the result depends on all bits of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func grid(_ uint64, total, dims int) (point, error) {
	n := uint64(total)
	m := uint64(math.Ceil(math.Pow(float64(total), 1/float64(dims)))) // up to rounding
	for power(m, dims, n) < n {
		m++
	}
	for m > 1 && power(m-1, dims, n) >= n {
		m--
	}
	layer := power(m, dims-1, n) // cells of one layer
	layers := (n + layer - 1) / layer
	return func(i uint64, u []float64) {
		u[dims-1] = (float64(i/layer) + 0.5) / float64(layers)
		for d := range dims - 1 {
			u[d] = (float64(i%m) + 0.5) / float64(m)
			i /= m
		}
	}, nil
}

// power is the lesser of m^e and top, but at least 1.
func power(m uint64, e int, top uint64) uint64 {
	p := uint64(1)
	for range e {
		hi, lo := bits.Mul64(p, m)
		if hi != 0 || lo >= top {
			return max(1, top)
		}
		p = lo
	}
	return p
}
