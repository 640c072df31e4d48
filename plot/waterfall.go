package plot

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
)

// waterfall draws the sorted final losses of each method at the chosen point.
func waterfall(s *study) ([]*Figure, error) {
	loss := make([][]float64, len(s.specs))
	lo, hi, most := math.Inf(1), math.Inf(-1), 0
	zeros, lost, bottomless := false, false, false
	for m := range s.specs {
		for _, x := range s.samples[m][s.at] {
			l := x.Loss
			if math.IsNaN(l) {
				l = math.Inf(1)
			}
			loss[m] = append(loss[m], l)
			switch {
			case math.IsInf(l, 1):
				lost = true
			case math.IsInf(l, -1):
				bottomless = true
			case l == 0:
				zeros = true
			default:
				lo, hi = min(lo, l), max(hi, l)
			}
		}
		slices.Sort(loss[m])
		most = max(most, len(loss[m]))
	}
	if most == 0 {
		return nil, nil
	}
	y := scale{log: lo > 0 && !bottomless}
	if lo < 0 {
		y = signedScale(loss)
	}
	v := view{0, 1, y.at(lo), y.at(hi)}
	if bottomless {
		f := math.Min(lo, 0)
		v.ymin, lo = math.Min(v.ymin, f), f
	}
	if !(finite(v.ymin, v.ymax) && lo <= hi) { // nothing but zeros and infinities
		v.ymin, v.ymax = -1, 1
	}
	if !y.log && zeros {
		v.ymin, v.ymax = min(v.ymin, 0), max(v.ymax, 0) // 0 is at 0 on the other scales
	}
	if v.ymax-v.ymin < 1e-9*math.Max(math.Abs(v.ymin), 1) {
		v.ymin, v.ymax = v.ymin-1, v.ymax+1
	}
	own := v
	step := 0.08 * (v.ymax - v.ymin)
	var more []plot.Tick
	floor, ceiling := v.ymin-step, v.ymax+step
	if y.log && zeros {
		more = append(more, plot.Tick{Value: floor, Label: "0"})
		v.ymin = floor
	}
	if bottomless {
		more = append(more, plot.Tick{Value: floor, Label: "-infinity"})
		v.ymin = floor
	}
	if lost {
		more = append(more, plot.Tick{Value: ceiling, Label: "not finite"})
		v.ymax = ceiling
	}
	margin := 0.03 * (v.ymax - v.ymin)
	v.ymin, v.ymax = v.ymin-margin, v.ymax+margin
	v.xmin, v.xmax = -0.02, 1.02

	label := "final loss L (problem units)"
	switch {
	case y.log:
		label = "final loss L (problem units, log scale)"
	case y.unit > 0:
		label = "final loss L (problem units, signed log scale)"
	}
	p := panel("", "fraction of the starts, sorted by final loss", label, v)
	p.Y.Tick.Marker = extraTicks{y.ticks(9), own.ymin - margin/2, own.ymax + margin/2, more}
	p.Add(gridLines{true, true})
	f := &Figure{Name: "waterfall", panelHeight: 270, panels: [][]*plot.Plot{{p}},
		Title:   fmt.Sprintf("%s: sorted final losses%s", s.Sweep.Model.Problem().Name, comma(s.where(s.at))),
		Caption: fmt.Sprintf("A line is a method, from %s: a flat step is a minimum that many of them reached.", s.drawn(most))}
	if y.log && zeros {
		f.Caption += " Losses of exactly zero are drawn at the line labelled 0, below the scale."
	}
	if lost {
		f.Caption += " Losses that are infinite or NaN are drawn at the line labelled not finite, above it."
	}
	for m := range s.specs {
		if len(loss[m]) == 0 {
			continue
		}
		line := lossLine(loss[m], y, floor, ceiling)
		lk := s.looks[m]
		width := taper(m, len(s.specs), 1.4, 3.6)
		p.Add(polyline{stairs(line, v), lk.line(width)}, dots{sparse(line, m, len(s.specs)), draw.GlyphStyle{Color: lk.color, Radius: 3, Shape: lk.marker}})
		f.legend = append(f.legend, methodEntry(s.labels[m], lk, width))
	}
	p.Add(border{})
	return []*Figure{f}, nil
}

// lossLine places sorted losses; what the scale cannot show is at the floor or at the ceiling.
func lossLine(loss []float64, y scale, floor, ceiling float64) (line [][2]float64) {
	for i, l := range loss {
		q := [2]float64{0.5, 0}
		if n := len(loss); n > 1 {
			q[0] = float64(i) / float64(n-1)
		}
		switch {
		case math.IsInf(l, 1):
			q[1] = ceiling
		case math.IsInf(l, -1), l == 0 && y.log:
			q[1] = floor
		default:
			q[1] = y.at(l)
		}
		line = append(line, q)
	}
	return line
}

// stairs drops points of a sorted line that no eye could tell from the one before.
func stairs(l [][2]float64, v view) [][2]float64 {
	var kept [][2]float64
	for i, p := range l {
		if i > 0 && i < len(l)-1 {
			last := kept[len(kept)-1]
			if math.Abs(p[0]-last[0]) < 0.001*(v.xmax-v.xmin) && math.Abs(p[1]-last[1]) < 0.001*(v.ymax-v.ymin) {
				continue
			}
		}
		kept = append(kept, p)
	}
	return kept
}
