package plot

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"invar/batch"
	"invar/internal/plural"
)

// scale puts numbers on a linear axis or on a logarithmic one. With a unit it is linear below that
// and logarithmic above, on both sides of 0.
type scale struct {
	log  bool
	unit float64
}

// signedScale is a scale for losses of both signs: linear, unless they span many decades.
func signedScale(loss [][]float64) scale {
	var size []float64
	for _, list := range loss {
		for _, l := range list {
			if finite(l) && l != 0 {
				size = append(size, math.Abs(l))
			}
		}
	}
	slices.Sort(size)
	if small := size[len(size)/10]; size[len(size)-1] > 1e4*small {
		return scale{unit: math.Pow(10, math.Floor(math.Log10(small)))}
	}
	return scale{}
}

// logarithmic reports whether values are better shown on a logarithmic axis: all of one sign, and at
// least half a decade between them.
func logarithmic(values []float64) bool {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo > 0 && hi >= 3*lo
}

func (s scale) at(v float64) float64 {
	if s.log {
		return math.Log10(v)
	}
	if s.unit > 0 {
		r := math.Log10(1 + math.Abs(v)/s.unit)
		if math.IsInf(r, 1) { // the quotient is too large, its logarithm is not
			r = math.Log10(math.Abs(v)) - math.Log10(s.unit)
		}
		return math.Copysign(r, v)
	}
	return v
}

func (s scale) ticks(n int) plot.Ticker {
	if s.log {
		return logTicks(n)
	}
	if s.unit > 0 {
		return signedTicks{n, s.unit}
	}
	return linearTicks{n, 480}
}

// curves draws the median of the iterations and the fraction that converged along the axis.
func curves(s *study) ([]*Figure, error) {
	if s.axis < 0 || len(s.points) < 2 {
		return nil, nil
	}
	x := scale{log: logarithmic(s.values)}
	var medians []float64
	have := false
	for m := range s.cells {
		for _, c := range s.cells[m] {
			if c != nil {
				have = true
				medians = append(medians, c.IterationsMedian)
			}
		}
	}
	if !have {
		return nil, nil
	}
	limit := float64(s.Sweep.Limits.Iterations)
	y := scale{log: logarithmic(append(medians, limit))}

	xs, top := emptyView(), emptyView()
	for _, v := range s.values {
		xs.add(x.at(v), 0)
	}
	top.add(0, y.at(limit))
	if !y.log {
		top.add(0, 0)
	}
	type curve struct{ iterations, converged [][2]float64 }
	lines := make([]curve, len(s.specs))
	for m := range s.specs {
		for k, c := range s.cells[m] {
			at := x.at(s.values[k])
			a, b := [2]float64{at, math.NaN()}, [2]float64{at, math.NaN()}
			if c != nil {
				a[1] = y.at(c.IterationsMedian)
				if c.Samples > 0 {
					b[1] = float64(c.Status[batch.Converged]) / float64(c.Samples)
				}
				top.add(at, a[1])
			}
			lines[m].iterations = append(lines[m].iterations, a)
			lines[m].converged = append(lines[m].converged, b)
		}
	}
	top.xmin, top.xmax = xs.xmin, xs.xmax
	top = top.grown(0.04)
	if !y.log {
		top.ymin = max(top.ymin, -0.04*top.ymax)
	}
	bottom := view{top.xmin, top.xmax, -0.04, 1.04}

	axis := s.name + " (parameter of the problem)"
	if x.log {
		axis = s.name + " (parameter of the problem, log scale)"
	}
	ylabel := "median iterations"
	if y.log {
		ylabel += " (log)"
	}
	upper, lower := panel("", "", ylabel, top), panel("", axis, "fraction converged", bottom)
	upper.X.Tick.Marker, lower.X.Tick.Marker = x.ticks(9), x.ticks(9)
	upper.Y.Tick.Marker = y.ticks(6)
	upper.Add(gridLines{true, true})
	lower.Add(gridLines{true, true})
	limitStyle := draw.LineStyle{Color: faint, Width: 1, Dashes: []vg.Length{3, 3}}
	upper.Add(polyline{[][2]float64{{top.xmin, y.at(limit)}, {top.xmax, y.at(limit)}}, limitStyle})
	f := &Figure{Name: "iterations", panelHeight: 165, panels: [][]*plot.Plot{{upper}, {lower}},
		Title: fmt.Sprintf("%s: iterations and convergence against %s%s", s.Sweep.Model.Problem().Name, s.name, comma(s.others())),
		Caption: fmt.Sprintf("Medians are of the converged samples; a line stops where none converged. %s at each point. Where lines coincide, the thinner lies on the thicker.",
			plural.Of(s.starts(), "start"))}
	for m := range s.specs {
		l := s.looks[m]
		width := taper(m, len(s.specs), 1.4, 3.6)
		for _, q := range []struct {
			p    *plot.Plot
			line [][2]float64
		}{{upper, lines[m].iterations}, {lower, lines[m].converged}} {
			q.p.Add(polyline{q.line, l.line(width)}, dots{sparse(q.line, m, len(s.specs)), draw.GlyphStyle{Color: l.color, Radius: 3, Shape: l.marker}})
		}
		f.legend = append(f.legend, methodEntry(s.labels[m], l, width))
	}
	f.legend = append(f.legend, entry{"iteration limit " + number(limit), iconWidth, func(c *draw.Canvas, r vg.Rectangle) {
		y := (r.Min.Y + r.Max.Y) / 2
		c.StrokeLine2(limitStyle, r.Min.X, y, r.Max.X, y)
	}})
	upper.Add(border{})
	lower.Add(border{})
	return []*Figure{f}, nil
}

// sparse chooses the points of line m of n that get a marker: all if there are few, else every
// so many, at other places for each line, and every point without a neighbour, which no line shows.
func sparse(l [][2]float64, m, n int) [][2]float64 {
	step := max(len(l)/8, 1)
	good := func(i int) bool { return i >= 0 && i < len(l) && finite(l[i][0], l[i][1]) }
	var some [][2]float64
	for i, p := range l {
		alone := !good(i-1) && !good(i+1)
		if good(i) && (alone || (i+m*step/max(n, 1))%step == 0) {
			some = append(some, p)
		}
	}
	return some
}

// starts is how many samples each cell has.
func (s *study) starts() int {
	for m := range s.cells {
		for _, c := range s.cells[m] {
			if c != nil {
				return c.Samples
			}
		}
	}
	return 0
}

// drawn says how many starts are drawn, and of how many.
func (s *study) drawn(n int) string {
	if all := s.Sweep.Starts; all != nil && n < all.Len() {
		return fmt.Sprintf("the first %d of %s", n, plural.Of(all.Len(), "start"))
	}
	return plural.Of(n, "start")
}
