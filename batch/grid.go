package batch

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"invar/internal/elementary"
)

// A grid is the same to the bit on every machine, so these are not those of package math, and no product below may be
// fused with a sum.
var log10, pow = elementary.Scalar("log10"), elementary.Scalar("pow")

// Axis is one parameter with the values that a sweep gives it.
type Axis struct {
	Name   string
	Values []float64
}

// MaxAxis is the largest number of values on one axis.
const MaxAxis = 1_000_000

// pointsPerDecade is the density of a logarithmic range without a count.
const pointsPerDecade = 10

const rangeForms = "lo:hi (logarithmic, 10 points a decade), lo:hi:count, lin:lo:hi:count, a,b,c, or one number"

// ParseRange reads the values of an axis: lo:hi is logarithmic with both ends and 10 points a decade; lo:hi:count
// has count points; lin:lo:hi:count is linear; a,b,c lists values; a number is
// itself. The ends of a range are exact, and so is each power of ten on a lo:hi range that starts on one.
func ParseRange(s string) ([]float64, error) {
	bad := func(format string, args ...any) ([]float64, error) {
		return nil, fmt.Errorf("batch: range %q: %s; allowed is %s", s, fmt.Sprintf(format, args...), rangeForms)
	}
	number := func(t string) (float64, error) {
		x, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, fmt.Errorf("%q is not a finite number", t)
		}
		return x, nil
	}
	if strings.Contains(s, ",") {
		if strings.Contains(s, ":") {
			return bad("a list and a range cannot be mixed")
		}
		var v []float64
		for _, t := range strings.Split(s, ",") {
			x, err := number(t)
			if err != nil {
				return bad("%v", err)
			}
			v = append(v, x)
		}
		return v, nil
	}
	parts := strings.Split(s, ":")
	linear := len(parts) > 1 && strings.TrimSpace(parts[0]) == "lin"
	if linear {
		parts = parts[1:]
		if len(parts) != 3 {
			return bad("lin: takes lo:hi:count")
		}
	}
	if len(parts) > 3 {
		return bad("too many parts")
	}
	lo, err := number(parts[0])
	if err != nil {
		return bad("%v", err)
	}
	if len(parts) == 1 {
		return []float64{lo}, nil
	}
	hi, err := number(parts[1])
	if err != nil {
		return bad("%v", err)
	}
	if lo > hi {
		return bad("lo %v is greater than hi %v", lo, hi)
	}
	if !linear && lo <= 0 {
		return bad("a logarithmic range needs lo > 0, got %v; use lin:%s", lo, linearForm(parts))
	}
	var count int
	if len(parts) == 3 {
		c, err := strconv.Atoi(strings.TrimSpace(parts[2]))
		if err != nil || c < 1 || c > MaxAxis {
			return bad("count %q is not a whole number from 1 to %d", parts[2], MaxAxis)
		}
		count = c
	} else {
		count = 1 + int(math.Round(pointsPerDecade*(log10(hi)-log10(lo)))) // hi/lo may overflow
		if lo < hi {
			count = max(count, 2)
		}
	}
	if lo == hi {
		return []float64{lo}, nil
	}
	if count == 1 {
		return bad("one point cannot hold both %v and %v", lo, hi)
	}
	at := func(lo, hi float64, i int) float64 {
		t := float64(i) / float64(count-1)
		return float64(lo*(1-t)) + float64(hi*t)
	}
	v := make([]float64, count)
	if linear {
		for i := range v {
			v[i] = at(lo, hi, i)
		}
	} else {
		from, to := log10(lo), log10(hi)
		for i := range v {
			v[i] = tidy(pow(10, at(from, to, i)))
		}
	}
	v[0], v[count-1] = lo, hi
	return v, nil
}

func linearForm(parts []string) string {
	f := strings.Join(parts, ":")
	if len(parts) == 2 {
		f += ":count"
	}
	return f
}

// tidy takes away the rounding of a power: a value within a few ulp of a decimal number of
// up to 12 digits becomes that number, so that 1 is 1 on 0.01:100.
func tidy(x float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 12, 64), 64)
	if err == nil && math.Abs(r-x) <= 8e-16*math.Abs(x) {
		return r
	}
	return x
}

// Grid is the product of axes: the points of a sweep. The last axis varies
// fastest.
type Grid []Axis

// Len is the number of points.
func (g Grid) Len() int {
	n := 1
	for _, a := range g {
		n *= len(a.Values)
	}
	return n
}

// At is point i: one value an axis.
func (g Grid) At(i int) []float64 {
	v := make([]float64, len(g))
	for k := len(g) - 1; k >= 0; k-- {
		n := len(g[k].Values)
		v[k] = g[k].Values[i%n]
		i /= n
	}
	return v
}

// Reference is the index of the point that path deviations refer to: the one
// nearest to alpha = 1 and to the defaults of the other parameters, on each axis the first such value. Distance is
// measured in decades between numbers of one sign, and plainly otherwise.
func (g Grid) Reference(defaults map[string]float64) int {
	point := 0
	for _, axis := range g {
		want := defaults[axis.Name]
		if axis.Name == "alpha" {
			want = 1
		}
		best, at := math.Inf(1), 0
		for i, v := range axis.Values {
			d := math.Abs(v - want)
			if v*want > 0 {
				d = math.Abs(log10(v / want))
			}
			if d < best {
				best, at = d, i
			}
		}
		point = point*len(axis.Values) + at
	}
	return point
}
