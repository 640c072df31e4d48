package batch

import (
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"invar/internal/selection"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want map[int]float64
	}{
		{"0.01:100", 41, map[int]float64{0: 0.01, 10: 0.1, 20: 1, 30: 10, 40: 100}},
		{"1:10", 11, map[int]float64{0: 1, 10: 10}},
		{"0.5:2:3", 3, map[int]float64{0: 0.5, 1: 1, 2: 2}},
		{"lin:-1:1:5", 5, map[int]float64{0: -1, 1: -0.5, 2: 0, 4: 1}},
		{"3,1,2", 3, map[int]float64{0: 3, 1: 1, 2: 2}},
		{"-2.5", 1, map[int]float64{0: -2.5}},
		{"5:5", 1, map[int]float64{0: 5}},
		{"0.3:7", 15, map[int]float64{0: 0.3, 14: 7}},
		{"1:1.01", 2, map[int]float64{0: 1, 1: 1.01}},
		{"1e-300:1e300", 6001, map[int]float64{0: 1e-300, 3000: 1, 6000: 1e300}}, // the quotient overflows
	} {
		v, err := ParseRange(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if len(v) != c.n {
			t.Errorf("%s: %d values, want %d", c.in, len(v), c.n)
			continue
		}
		for i, want := range c.want {
			if v[i] != want {
				t.Errorf("%s: value %d is %v, want %v", c.in, i, v[i], want)
			}
		}
	}
	for in, says := range map[string]string{
		"": "not a finite number", "a": "not a finite number", "1:": "not a finite number", "2:1": "greater", "0:1": "lin:0:1:count",
		"-1:1:5": "lin:-1:1:5", "1:2:0": "whole number", "1:2:x": "whole number", "1:2:3:4": "too many", "lin:1:2": "lo:hi:count",
		"1,2:3": "mixed", "nan": "not a finite number", "inf": "not a finite number", "1:inf": "not a finite number", "1:2:1": "cannot hold",
		"1:2:99999999": "whole number",
	} {
		if _, err := ParseRange(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one that says %q", in, err, says)
		}
	}
}

func TestGrid(t *testing.T) {
	g := Grid{{"alpha", []float64{0.1, 1, 10}}, {"phi", []float64{0, 2}}}
	if g.Len() != 6 {
		t.Fatalf("%d points, want 6", g.Len())
	}
	want := [][]float64{{0.1, 0}, {0.1, 2}, {1, 0}, {1, 2}, {10, 0}, {10, 2}}
	for i := range want {
		if v := g.At(i); v[0] != want[i][0] || v[1] != want[i][1] {
			t.Errorf("point %d is %v, want %v", i, v, want[i])
		}
	}
	if r := g.Reference(map[string]float64{"alpha": 5, "phi": 1.5}); r != 3 {
		t.Errorf("reference is point %d, want 3 (alpha = 1, phi nearest to its default)", r)
	}
}

// On a logarithmic range, value i is lo (hi/lo)^(i/(n-1)), to the rounding of its decimal logarithm.
func TestLogarithmicRange(t *testing.T) {
	for _, s := range []string{"0.01:100", "0.3:7", "0.05:20:27", "1e-300:1e300:61", "5e-324:1e308:10"} {
		v, err := ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := math.Log2(v[0]), math.Log2(v[len(v)-1])
		for i, x := range v {
			want := lo + (hi-lo)*float64(i)/float64(len(v)-1)
			if !(math.Abs(math.Log2(x)-want) <= 1e-15*max(1, math.Abs(lo), math.Abs(hi))) {
				t.Errorf("%s: value %d is %v, want 2^%v", s, i, x, want)
			}
		}
	}
}

// The reference is the nearest value on each axis, the first of two that are equally near.
func TestReference(t *testing.T) {
	for _, c := range []struct {
		alpha, beta []float64
		want        int
	}{
		{[]float64{0.5, 2, 3}, []float64{-1, 1, 0}, 2},             // |log 0.5| = |log 2|; beta = 0 by its distance
		{[]float64{1000, 0.01, -0.5}, []float64{3}, 2},             // three decades, two decades, 1.5
		{[]float64{1e300, 1e-300, 1e301}, []float64{7, -7, 6}, 2},  // products that would overflow
		{[]float64{-5e-324, 2}, []float64{math.MaxFloat64, -2}, 3}, // the least number of the other sign is 1 away
	} {
		g := Grid{{"alpha", c.alpha}, {"beta", c.beta}}
		if got := g.Reference(map[string]float64{"beta": 0}); got != c.want {
			t.Errorf("the reference of %v is point %d, want %d", g, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{3, 1}, []float64{0, 5}, 5},
		{[]float64{1, 2, 3}, []float64{1, 2, 3}, 0},
		{[]float64{3e300, 0}, []float64{0, 4e300}, 5e300},
		{[]float64{3 * 5e-324, 0}, []float64{0, 4 * 5e-324}, 5 * 5e-324},
		{[]float64{1e300, 1}, []float64{0, 1e-300}, 1e300},
		{[]float64{math.MaxFloat64}, []float64{-math.MaxFloat64}, inf},
		{[]float64{inf, 0}, []float64{0, 0}, inf},
		{[]float64{0, 0}, []float64{0, nan}, inf},
		{[]float64{inf, 0}, []float64{1, nan}, 0},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("the distance of %v and %v is %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// Scaled by a power of two, so far that squares overflow or vanish, points have the same distance, scaled.
func TestDistanceScales(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		a, b, far, near := make([]float64, 3), make([]float64, 3), [2][]float64{}, [2][]float64{}
		for i := range a {
			a[i] = rnd.NormFloat64() * math.Ldexp(1, rnd.IntN(60)-30)
			b[i] = a[i] + rnd.NormFloat64()*math.Ldexp(1, rnd.IntN(60)-60)
			far[0], far[1] = append(far[0], math.Ldexp(a[i], 700)), append(far[1], math.Ldexp(b[i], 700))
			near[0], near[1] = append(near[0], math.Ldexp(a[i], -700)), append(near[1], math.Ldexp(b[i], -700))
		}
		want := distance(a, b)
		if got := math.Ldexp(distance(far[0], far[1]), -700); got != want {
			t.Fatalf("the distance of %v and %v is %v, scaled by 2^700 %v", a, b, want, got)
		}
		if got := math.Ldexp(distance(near[0], near[1]), 700); got != want {
			t.Fatalf("the distance of %v and %v is %v, scaled by 2^-700 %v", a, b, want, got)
		}
	}
}

func TestQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := 1; n < 60; n++ {
		x := make([]float64, n)
		counts := make([]int64, 10)
		for i := range x {
			v := rnd.IntN(10)
			x[i] = float64(v)
			counts[v]++
			if rnd.IntN(10) == 0 {
				x[i] = math.Inf(1)
				counts[v]--
			}
		}
		sorted := append([]float64(nil), x...)
		sort.Float64s(sorted)
		finite := sorted[:sort.SearchFloat64s(sorted, math.Inf(1))]
		for _, q := range []float64{0.5, 0.9} {
			at := func(s []float64) float64 {
				if len(s) == 0 {
					return math.NaN()
				}
				k := 0
				for float64(k+1) < q*float64(len(s)) {
					k++
				}
				return s[k]
			}
			if got, want := quantileOf(x, q), at(sorted); got != want {
				t.Errorf("quantile %v of %v = %v, want %v", q, sorted, got, want)
			}
			got, want := histogramQuantile(counts, q), at(finite)
			if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("histogram quantile %v of %v = %v, want %v", q, finite, got, want)
			}
		}
	}
}

// quantileOf is the quantile of numbers as a tally computes it.
func quantileOf(x []float64, q float64) float64 {
	t := newTally(len(x), 1, false)
	t.signed = copyBits(t.loss, x)
	return t.quantile(t.loss, q)
}

// Quantiles of many numbers, among them such as mislead the sample that selection begins with.
func TestQuantilesOfMany(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for name, at := range map[string]func(i, n int) float64{
		"random":      func(int, int) float64 { return rnd.NormFloat64() },
		"far apart":   func(int, int) float64 { return math.Exp(600 * rnd.NormFloat64()) },
		"equal":       func(int, int) float64 { return -1.5 },
		"two values":  func(int, int) float64 { return float64(rnd.IntN(2)) },
		"mostly zero": func(int, int) float64 { return max(0, rnd.Float64()-0.7) },
		"rising":      func(i, _ int) float64 { return float64(i) },
		"falling":     func(i, _ int) float64 { return -float64(i) },
		"NaN":         func(i, _ int) float64 { return math.NaN() },
		"some lost":   func(i, _ int) float64 { return []float64{rnd.Float64(), math.NaN(), math.Inf(1), math.Inf(-1)}[i%4] },
		"misleading": func(i, n int) float64 { // the sample sees the smallest
			if i*selection.SampleSize%n < selection.SampleSize {
				return rnd.Float64()
			}
			return 1 + rnd.Float64()
		},
	} {
		for _, n := range []int{1, 2, 255, 256, 257, 1000, 10000, 12345} {
			x := make([]float64, n)
			for i := range x {
				x[i] = at(i, n)
			}
			sorted := make([]float64, n)
			for i, v := range x {
				sorted[i] = orInf(v)
			}
			sort.Float64s(sorted)
			for _, q := range []float64{0.01, 0.5, 0.9, 1} {
				if got, want := quantileOf(x, q), sorted[rank(int64(n), q)]; got != want {
					t.Errorf("%s: quantile %v of %d = %v, want %v", name, q, n, got, want)
				}
			}
		}
	}
}

func TestStatusTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range append(Statuses(), Running) {
		if s.String() == "" || s.Predicate() == "" || (s.Remedy() == "") != (s == Converged) {
			t.Errorf("status %d lacks a name, a predicate or a remedy", int(s))
		}
		if seen[s.String()] {
			t.Errorf("status %q is there twice", s)
		}
		seen[s.String()] = true
	}
	if Status(99).String() == "" {
		t.Error("an unknown status has no name")
	}
}

func TestParseMethods(t *testing.T) {
	s, err := ParseMethods("gd,newton, pg")
	if err != nil || len(s) != 3 || s[2].Method.Name != "pg" {
		t.Errorf("got %v, %v", s, err)
	}
	s, err = ParseMethods("lbfgs:memory=7,c2=0.5")
	if err != nil || len(s) != 1 || s[0].String() != "lbfgs:c2=0.5,memory=7" {
		t.Errorf("got %v, %v", s, err)
	}
	for in, says := range map[string]string{
		"": "unknown method", "newtn": `did you mean "newton"`, "gd:rate=1": "no setting", "gd:lr": "setting=value", "gd:lr=x": "not a number",
		"gd:lr=0": "is allowed", "gd:lr=-1": "is allowed", "gd:lr=nan": "is allowed", "gd:lr=1,lr=2": "twice", "lbfgs:memory=2.5": "whole number", "gd:lr=1,newton": "setting=value",
	} {
		if _, err := ParseMethods(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one that says %q", in, err, says)
		}
	}
	for _, m := range Methods() {
		if m.Name == "" || m.Doc == "" || m.Source == "" || m.Step == nil {
			t.Errorf("method %q lacks its name, doc, source or step", m.Name)
		}
		for _, s := range m.Settings {
			if err := m.check(s.Name, s.Default); err != nil || s.Doc == "" {
				t.Errorf("method %s: the default of %s is not allowed (%v), or it has no doc", m.Name, s.Name, err)
			}
		}
	}
}
