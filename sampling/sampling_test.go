package sampling

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPhilox: the known answers that Random123 publishes (file kat_vectors) for
// philox4x32 with 10 rounds.
func TestPhilox(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

func columns(dims, n int) [][]float64 {
	c := make([][]float64, dims)
	for d := range c {
		c[d] = make([]float64, n)
	}
	return c
}

func unitBox(dims int) [][2]float64 {
	b := make([][2]float64, dims)
	for d := range b {
		b[d] = [2]float64{0, 1}
	}
	return b
}

func all(t *testing.T, name string, seed uint64, n, dims int) [][]float64 {
	t.Helper()
	s, err := New(name, seed, n, dims)
	if err != nil {
		t.Fatal(err)
	}
	out := columns(dims, n)
	if err := s.Fill(0, n, unitBox(dims), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOrder: a point is the same alone, in any range and in any order.
func TestOrder(t *testing.T) {
	const n, dims = 157, 3
	box := [][2]float64{{-2, 3}, {0, 0}, {1e-3, 1e3}}
	for _, name := range Names() {
		s, err := New(name, 99, n, dims)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name() != name {
			t.Errorf("%s calls itself %s", name, s.Name())
		}
		want := columns(dims, n)
		if err := s.Fill(0, n, box, want); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			first := r.IntN(n)
			m := r.IntN(n - first + 1)
			got := columns(dims, m)
			if err := s.Fill(first, m, box, got); err != nil {
				t.Fatal(err)
			}
			for d := range got {
				for k := range m {
					if got[d][k] != want[d][first+k] {
						t.Fatalf("%s: point %d of %d from %d on: %v, want %v", name, first+k, m, first, got[d][k], want[d][first+k])
					}
				}
			}
		}
		for d, b := range box {
			for _, x := range want[d] {
				if !(x >= b[0] && x <= b[1]) {
					t.Errorf("%s: %v outside [%v, %v]", name, x, b[0], b[1])
				}
			}
		}
	}
}

// TestUniform: the mapping from bits to numbers is fixed, and the numbers have
// the moments of the uniform distribution, independent between dimensions.
func TestUniform(t *testing.T) {
	r := philox([4]uint32{5, 0, 0, 0}, [2]uint32{7, 0})
	want := float64((uint64(r[0])|uint64(r[1])<<32)>>11) / (1 << 53)
	if got := all(t, "uniform", 7, 6, 1)[0][5]; got != want {
		t.Errorf("point 5 of seed 7 is %v, want %v", got, want)
	}
	const n = 100000
	x := all(t, "uniform", 1, n, 3)
	moments(t, x)
	if y := all(t, "uniform", 2, 1, 1); y[0][0] == x[0][0] {
		t.Error("two seeds give the same point")
	}
}

// moments checks means, variances and correlations within five standard errors of independent uniform numbers.
func moments(t *testing.T, x [][]float64) {
	t.Helper()
	n := float64(len(x[0]))
	for d := range x {
		for e := range d + 1 {
			mean, prod := 0.0, 0.0
			for k := range x[d] {
				mean += x[d][k] / n
				prod += 12 * (x[d][k] - 0.5) * (x[e][k] - 0.5) / n
			}
			if !(math.Abs(mean-0.5) <= 5*math.Sqrt(1/(12*n))) {
				t.Errorf("dimension %d has mean %v", d, mean)
			}
			want := 0.0
			if d == e {
				want = 1
			}
			if !(math.Abs(prod-want) <= 5/math.Sqrt(n)) {
				t.Errorf("dimensions %d and %d: covariance %v of the variance, want %v", d, e, prod, want)
			}
		}
	}
}

// TestUnit: the largest number stays below 1.
func TestUnit(t *testing.T) {
	if u := unit(math.MaxUint64); u != 1-0x1p-53 {
		t.Errorf("the largest number is %v", u)
	}
	if u := unit(0); u != 0 {
		t.Errorf("the least number is %v", u)
	}
}

func TestHalton(t *testing.T) {
	x := all(t, "halton", 0, 8, 3)
	for d, want := range [][]float64{
		{1. / 2, 1. / 4, 3. / 4, 1. / 8, 5. / 8, 3. / 8, 7. / 8, 1. / 16},
		{1. / 3, 2. / 3, 1. / 9, 4. / 9, 7. / 9, 2. / 9, 5. / 9, 8. / 9},
		{1. / 5, 2. / 5, 3. / 5, 4. / 5, 1. / 25, 6. / 25, 11. / 25, 16. / 25},
	} {
		if !slices.Equal(x[d], want) {
			t.Errorf("base %d: %v, want %v", primes[d], x[d], want)
		}
	}
	// b^k consecutive points have one point in each interval of length b^-k (the
	// shift of a seed moves the intervals).
	for _, seed := range []uint64{0, 3} {
		s, err := New("halton", seed, 6000, 16)
		if err != nil {
			t.Fatal(err)
		}
		x := columns(16, 6000)
		if err := s.Fill(0, 6000, unitBox(16), x); err != nil {
			t.Fatal(err)
		}
		for d, base := range primes {
			n := int(base * base)
			shift := 0.0
			if seed != 0 {
				shift = unit(draw(seed, streamShift, uint64(d), 0)[0])
			}
			seen := make([]bool, n)
			for _, u := range x[d][n-1 : 2*n-1] { // points n..2n-1 of the sequence
				v := u - shift
				v -= math.Floor(v)
				seen[int(math.Floor(v*float64(n)+1e-6))%n] = true
			}
			if slices.Contains(seen, false) {
				t.Errorf("seed %d, base %d: an interval of %d has no point", seed, base, n)
			}
		}
	}
	plain, seeded := all(t, "halton", 0, 2000, 16), all(t, "halton", 5, 2000, 16)
	if plain[3][9] == seeded[3][9] {
		t.Error("the seed changes nothing")
	}
	moments(t, seeded[:4])
	if _, err := New("halton", 0, 10, 17); err == nil || !strings.Contains(err.Error(), "1 to 16") {
		t.Errorf("17 dimensions: %v", err)
	}
}

// TestLatin: each coordinate has one point in each of n equal intervals, in an
// order of its own.
func TestLatin(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 64, 65, 1000, 4096} {
		for _, seed := range []uint64{0, 1, 1 << 40} {
			x := all(t, "lhs", seed, n, 3)
			for d := range x {
				seen := make([]bool, n)
				for _, u := range x[d] {
					if !(u >= 0 && u < 1) {
						t.Fatalf("n=%d: coordinate %v", n, u)
					}
					seen[int(u*float64(n))] = true
				}
				if slices.Contains(seen, false) {
					t.Errorf("n=%d seed %d dimension %d: an interval has no point", n, seed, d)
				}
			}
		}
	}
	x := all(t, "lhs", 4, 20000, 3)
	moments(t, x)
	sorted := 0
	for k := 1; k < len(x[0]); k++ {
		if x[0][k] > x[0][k-1] {
			sorted++
		}
	}
	if !(math.Abs(float64(sorted)-10000) <= 500) {
		t.Errorf("%d of 20000 points are greater than the one before", sorted)
	}
}

// TestPermutation: small permutations occur about equally often over seeds.
func TestPermutation(t *testing.T) {
	count := map[[3]uint64]int{}
	for seed := range uint64(6000) {
		p := newPermutation(seed, 0, 3)
		count[[3]uint64{p.at(0), p.at(1), p.at(2)}]++
	}
	if len(count) != 6 {
		t.Errorf("%d permutations of 3 occur", len(count))
	}
	for p, c := range count {
		if !(math.Abs(float64(c)-1000) <= 150) {
			t.Errorf("%v occurs %d times in 6000", p, c)
		}
	}
}

func TestGrid(t *testing.T) {
	x := all(t, "grid", 0, 10, 2) // 4 cells a side, 3 layers
	third, quarter := 1./3, 0.25
	for k, want := range [][2]float64{
		{0.5 * quarter, 0.5 * third}, {1.5 * quarter, 0.5 * third}, {2.5 * quarter, 0.5 * third}, {3.5 * quarter, 0.5 * third},
		{0.5 * quarter, 1.5 * third}, {1.5 * quarter, 1.5 * third}, {2.5 * quarter, 1.5 * third}, {3.5 * quarter, 1.5 * third},
		{0.5 * quarter, 2.5 * third}, {1.5 * quarter, 2.5 * third},
	} {
		if !(math.Abs(x[0][k]-want[0]) <= 1e-15) || !(math.Abs(x[1][k]-want[1]) <= 1e-15) {
			t.Errorf("point %d is %v %v, want %v", k, x[0][k], x[1][k], want)
		}
	}
	for _, c := range []struct{ n, dims, m int }{{1, 4, 1}, {8, 3, 2}, {9, 3, 3}, {27, 3, 3}, {1 << 20, 2, 1 << 10}, {1<<20 + 1, 2, 1<<10 + 1}, {7, 1, 7}, {3, 6, 2}} {
		x := all(t, "grid", 0, c.n, c.dims)
		points := map[[6]float64]bool{}
		distinct := map[float64]bool{}
		for k := range c.n {
			var p [6]float64
			for d := range x {
				p[d] = x[d][k]
				if !(p[d] > 0 && p[d] < 1) {
					t.Fatalf("%v: coordinate %v", c, p[d])
				}
			}
			points[p] = true
			distinct[p[0]] = true
		}
		if len(points) != c.n || len(distinct) != c.m {
			t.Errorf("%v: %d points, %d cells a side", c, len(points), len(distinct))
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name        string
		total, dims int
		want        string
	}{
		{"unifrom", 1, 1, `no sampler "unifrom" (did you mean "uniform"?)`},
		{"", 1, 1, "there are uniform, halton, lhs, grid"},
		{"lhs", -1, 1, "-1 points, want 0"},
		{"lhs", 1, 0, "0 dimensions, want 1"},
	} {
		if _, err := New(c.name, 0, c.total, c.dims); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, 0, %d, %d): error %v, want %q", c.name, c.total, c.dims, err, c.want)
		}
	}
	s, err := New("uniform", 0, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	box := unitBox(1)
	for _, c := range []struct {
		first, n int
		box      [][2]float64
		out      [][]float64
		want     string
	}{
		{-1, 2, box, columns(1, 2), "within 0..9"},
		{9, 2, box, columns(1, 2), "within 0..9"},
		{math.MaxInt, 2, box, columns(1, 2), "within 0..9"},
		{0, -1, box, columns(1, 2), "within 0..9"},
		{0, 2, nil, columns(1, 2), "want 1"},
		{0, 2, box, nil, "want 1"},
		{0, 3, box, columns(1, 2), "holds 2 points, want 3"},
		{0, 2, [][2]float64{{1, 0}}, columns(1, 2), "finite bounds in order"},
		{0, 2, [][2]float64{{0, math.NaN()}}, columns(1, 2), "finite bounds in order"},
		{0, 2, [][2]float64{{-math.MaxFloat64, math.MaxFloat64}}, columns(1, 2), "finite bounds in order"},
	} {
		if err := s.Fill(c.first, c.n, c.box, c.out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Fill(%d, %d): error %v, want %q", c.first, c.n, err, c.want)
		}
	}
	if err := s.Fill(10, 0, box, columns(1, 0)); err != nil {
		t.Errorf("no points at the end: %v", err)
	}
}

func BenchmarkFill(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			const n, dims = 1024, 2
			s, err := New(name, 1, 1<<20, dims)
			if err != nil {
				b.Fatal(err)
			}
			out, box := columns(dims, n), unitBox(dims)
			for b.Loop() {
				if err := s.Fill(5000, n, box, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/point")
		})
	}
}
