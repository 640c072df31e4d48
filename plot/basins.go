package plot

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"invar/batch"
)

// basinColors tell minima apart, also in grey: they are near okabeIto's, in steps of lightness. Further minima share the last.
var basinColors = []color.RGBA{
	{0, 95, 170, 255},    // blue
	{235, 165, 30, 255},  // orange
	{95, 20, 85, 255},    // plum
	{30, 170, 125, 255},  // green
	{250, 235, 110, 255}, // yellow
	{150, 210, 245, 255}, // pale blue
}

var (
	elsewhereColor = okabeIto[6]
	lostColor      = color.RGBA{175, 180, 188, 255}
)

// Classes of samples beside the minima that are told apart by number.
const (
	lost      = -1 // not converged
	elsewhere = -2 // converged, but at no minimum of the list
)

// goals are the minima that samples can reach: the known ones or, where none is known, the places
// where samples converged. A new place is one further than a thousandth of the box from all before it.
func (s *study) goals(point int) (minima [][]float64, near float64, known bool) {
	var diagonal float64
	for _, b := range s.Sweep.Model.Problem().Box {
		diagonal = math.Hypot(diagonal, b[1]-b[0])
	}
	near = math.Max(1e-3*diagonal, 2*s.Sweep.Limits.DTol)
	if minima = s.minima(point); len(minima) > 0 {
		return minima, near, true
	}
	for m := range s.samples {
		for _, x := range s.samples[m][point] {
			if x.Status != batch.Converged || !finite(x.X...) || len(minima) >= len(basinColors) {
				continue
			}
			if _, d := nearest(minima, x.X); !(d <= near) {
				minima = append(minima, x.X)
			}
		}
	}
	return minima, near, false
}

// nearest finds the minimum next to x; -1 if there is none.
func nearest(minima [][]float64, x []float64) (which int, distance float64) {
	which, distance = -1, math.Inf(1)
	for i, m := range minima {
		d := 0.0
		for k := range m {
			d = math.Hypot(d, x[k]-m[k])
		}
		if d < distance {
			which, distance = i, d
		}
	}
	return which, distance
}

// class is the minimum that a sample reached, or lost, or elsewhere.
func class(x *Sample, minima [][]float64, near float64) int {
	if x.Status != batch.Converged {
		return lost
	}
	if k, d := nearest(minima, x.X); d <= near {
		return k
	}
	return elsewhere
}

// basinPanel is the most starts that one panel shows.
const basinPanel = 3000

// basins draws, for problems with two inputs, which minimum each start led to.
func basins(s *study) ([]*Figure, error) {
	p := s.Sweep.Model.Problem()
	if p.N() != 2 {
		return nil, nil
	}
	minima, near, known := s.goals(s.at)
	var methods []int
	v := emptyView()
	v.add(p.Box[0][0], p.Box[1][0])
	v.add(p.Box[0][1], p.Box[1][1])
	most, shown := 0, 0
	for m := range s.samples {
		if n := len(s.samples[m][s.at]); n > 0 {
			methods = append(methods, m)
			most = max(most, n)
		}
		for _, x := range s.samples[m][s.at] {
			v.add(x.X0[0], x.X0[1])
		}
	}
	if len(methods) == 0 {
		return nil, nil
	}
	v = v.grown(0.03)
	shown = min(most, basinPanel)
	// The more starts, the smaller the squares: about half of the area is covered.
	cols := min(3, len(methods))
	side := float64(pageWidth) / float64(cols) * 0.75
	radius := vg.Length(math.Min(2.2, math.Max(0.8, 0.36*side/math.Sqrt(float64(shown)))))

	f := &Figure{Name: "basins", panelHeight: vg.Length(side)}
	f.Title = fmt.Sprintf("%s: which minimum each start reached%s", p.Name, comma(s.where(s.at)))
	f.Caption = fmt.Sprintf("A mark is a start; for each method %s.", s.drawn(shown))
	if !known && len(minima) > 0 {
		f.Caption += " No minimum is known: places where samples converged are told apart."
	}
	seen := map[int]bool{}
	var row []*plot.Plot
	for i, m := range methods {
		groups := map[int][][2]float64{}
		reached, n := 0, 0
		for k, x := range s.samples[m][s.at] {
			if k >= basinPanel {
				break
			}
			c := class(x, minima, near)
			if c >= len(basinColors) {
				c = len(basinColors) - 1
			}
			groups[c] = append(groups[c], [2]float64{x.X0[0], x.X0[1]})
			seen[c] = true
			n++
			if c != lost {
				reached++
			}
		}
		ylabel := ""
		if i%cols == 0 {
			ylabel = p.Inputs[1] + " (problem units)"
		}
		xlabel := ""
		if i+cols >= len(methods) {
			xlabel = p.Inputs[0] + " (problem units)"
		}
		q := panel(fmt.Sprintf("%s: %s%% converged", s.labels[m], percentage(reached, n)), xlabel, ylabel, v)
		q.X.Tick.Marker = linearTicks{6, vg.Length(side)}
		for _, c := range []int{lost, elsewhere, 0, 1, 2, 3, 4, 5} {
			q.Add(basinMark(c, radius, groups[c]))
		}
		q.Add(dots{plane(minima), minimumGlyph}, numbers{plane(minima), len(basinColors)}, border{})
		row = append(row, q)
	}
	for len(row)%cols != 0 {
		row = append(row, nil)
	}
	for i := 0; i < len(row); i += cols {
		f.panels = append(f.panels, row[i:i+cols])
	}
	for c := range basinColors {
		if !seen[c] || c >= len(minima) {
			continue
		}
		at := fmt.Sprintf("%d: reached (%s, %s)", c+1, short(minima[c][0]), short(minima[c][1]))
		if c == len(basinColors)-1 && len(minima) > len(basinColors) {
			at = fmt.Sprintf("%d: reached another minimum", c+1)
		}
		f.legend = append(f.legend, basinMark(c, 3, nil).entry(at))
	}
	if seen[elsewhere] {
		f.legend = append(f.legend, basinMark(elsewhere, 3, nil).entry("converged elsewhere"))
	}
	if seen[lost] {
		f.legend = append(f.legend, basinMark(lost, 3, nil).entry("not converged"))
	}
	if len(minima) > 0 {
		name := "known minimum"
		if !known {
			name = "where samples converged"
		}
		f.legend = append(f.legend, glyphEntry(name, minimumGlyph))
	}
	return []*Figure{f}, nil
}

// percentage never rounds up to 100.
func percentage(k, n int) string {
	return fmt.Sprintf("%.3g", math.Floor(1000*float64(k)/float64(max(n, 1)))/10)
}

// short prints a coordinate with three digits.
func short(x float64) string {
	if math.Abs(x) < 1e-12 {
		return "0"
	}
	return fmt.Sprintf("%.3g", x)
}

func basinMark(class int, radius vg.Length, points [][2]float64) speckle {
	switch class {
	case lost:
		return speckle{points, lostColor, radius, true}
	case elsewhere:
		return speckle{points, elsewhereColor, radius, false}
	}
	return speckle{points, basinColors[class], radius, false}
}

// numbers are those of points, counted from 1, beside them; the last one stands for all that follow.
type numbers struct {
	points [][2]float64
	most   int
}

// Plot implements plot.Plotter.
func (n numbers) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	v := inside(p)
	for i, q := range n.points {
		if !v.contains(q[0], q[1]) {
			continue
		}
		label, at := strconv.Itoa(min(i+1, n.most)), vg.Point{X: tx(q[0]) + 5, Y: ty(q[1]) + 2}
		for k := range 8 { // a white edge, as that of markers
			sin, cos := math.Sincos(float64(k) * math.Pi / 4)
			c.FillText(textStyle(textSize, true, color.White), vg.Point{X: at.X + vg.Length(1.2*cos), Y: at.Y + vg.Length(1.2*sin)}, label)
		}
		c.FillText(textStyle(textSize, true, ink), at, label)
	}
}

// plane are the first two coordinates of points.
func plane(xs [][]float64) [][2]float64 {
	var l [][2]float64
	for _, x := range xs {
		l = append(l, [2]float64{x[0], x[1]})
	}
	return l
}
