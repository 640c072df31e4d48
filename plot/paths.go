package plot

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"

	"invar/batch"
	"invar/internal/plural"
)

// space is the inputs or the outputs of the problem: what paths run through.
type space struct {
	s     *study
	point int
	dims  int
	input bool
	names []string
	rest  []float64 // coordinates beyond the drawn ones, at which the contours are cut
	cut   string    // what these are, in words
}

func (s *study) inputs(point int) space {
	p := s.Sweep.Model.Problem()
	sp := space{s: s, point: point, dims: p.N(), input: true, names: p.Inputs}
	sp.rest, sp.cut = make([]float64, p.N()), ""
	if minima := s.minima(point); len(minima) > 0 {
		sp.rest, sp.cut = minima[0], "the first known minimum"
	} else if x := s.lowest(point); x != nil {
		sp.rest, sp.cut = x.X[len(x.X)-1], "the lowest end of a path"
	}
	return sp
}

func (s *study) outputs(point int) space {
	p := s.Sweep.Model.Problem()
	sp := space{s: s, point: point, dims: p.M()}
	for i := range p.M() {
		sp.names = append(sp.names, fmt.Sprintf("y%d", i))
	}
	sp.rest = make([]float64, p.M())
	if minima := s.minima(point); len(minima) > 0 {
		if y, _, err := p.Eval(s.byName(point), minima[0]); err == nil && finite(y...) {
			sp.rest, sp.cut = y, "the first known minimum"
			return sp
		}
	}
	if x := s.lowest(point); x != nil {
		sp.rest, sp.cut = x.Y[len(x.Y)-1], "the lowest end of a path"
	}
	return sp
}

// minima are the known minima at a point; those that are not finite are left out.
func (s *study) minima(point int) [][]float64 {
	all, err := s.Sweep.Model.Problem().EvalMinima(s.byName(point))
	if err != nil {
		return nil
	}
	var good [][]float64
	for _, m := range all {
		if finite(m...) {
			good = append(good, m)
		}
	}
	return good
}

// lowest is the path at the point that ends with the least loss, of those that end at a finite place; nil if there
// are none. The loss about the end of a path that has run away would tell nothing of the others.
func (s *study) lowest(point int) *batch.Path {
	var best *batch.Path
	for m := range s.paths {
		for _, p := range s.paths[m][point] {
			end := len(p.X) - 1
			if finite(p.X[end]...) && finite(p.Y[end]...) && finite(p.Loss[end]) && (best == nil || p.Loss[end] < best.Loss[len(best.Loss)-1]) {
				best = p
			}
		}
	}
	return best
}

// at is where iterate k of a path lies on the page: its first two coordinates or, in one dimension,
// the coordinate and the loss.
func (sp space) at(p *batch.Path, k int) [2]float64 {
	x := p.X[k]
	if !sp.input {
		x = p.Y[k]
	}
	if sp.dims == 1 {
		return [2]float64{x[0], p.Loss[k]}
	}
	return [2]float64{x[0], x[1]}
}

func (sp space) line(p *batch.Path) [][2]float64 {
	var l [][2]float64
	for k := range p.X {
		l = append(l, sp.at(p, k))
	}
	return l
}

// marks are the known minima on the page.
func (sp space) marks() [][2]float64 {
	var m [][2]float64
	for _, x := range sp.s.minima(sp.point) {
		y, loss, err := sp.s.Sweep.Model.Problem().Eval(sp.s.byName(sp.point), x)
		if err != nil {
			continue
		}
		if !sp.input {
			x = y
		}
		if sp.dims == 1 {
			m = append(m, [2]float64{x[0], loss})
		} else {
			m = append(m, [2]float64{x[0], x[1]})
		}
	}
	return m
}

// view covers the starts, the minima, in the inputs the box that starts are drawn from, and what
// else of the paths is near.
func (sp space) view(paths []*batch.Path) view {
	base := emptyView()
	if box := sp.s.Sweep.Model.Problem().Box; sp.input && sp.dims > 1 {
		base.add(box[0][0], box[1][0])
		base.add(box[0][1], box[1][1])
	}
	var rest [][2]float64
	for _, p := range paths {
		first := sp.at(p, 0)
		base.add(first[0], first[1])
		l := sp.line(p)
		if p.Status == batch.Converged {
			last := l[len(l)-1]
			base.add(last[0], last[1])
		}
		rest = append(rest, l...)
	}
	for _, m := range sp.marks() {
		base.add(m[0], m[1])
	}
	if !(base.xmin <= base.xmax) { // no start has a finite place here
		for _, p := range rest {
			base.add(p[0], p[1])
		}
	}
	if sp.dims > 1 {
		return frame(base, rest)
	}
	// In one dimension: the loss over the box, and the paths near it.
	p := sp.s.Sweep.Model.Problem()
	over := view{xmin: base.xmin, xmax: base.xmax}
	for _, x := range p.Box[0] {
		if p.N() != 1 {
			break
		}
		if !sp.input {
			y, _, err := p.Eval(sp.s.byName(sp.point), []float64{x})
			if err != nil || !finite(y...) {
				continue
			}
			x = y[0]
		}
		over.xmin, over.xmax = min(over.xmin, x), max(over.xmax, x)
	}
	if curve, err := sp.curve(over.grown(0)); err == nil {
		for _, q := range curve {
			base.add(q[0], q[1])
		}
	}
	return frame(base, rest)
}

// panel is an empty panel with the loss behind; caption says what its contours are.
func (sp space) panel(title string, v view) (p *plot.Plot, caption string, err error) {
	unit := " (problem units)"
	if sp.dims == 1 {
		p = panel(title, sp.names[0]+unit, "loss L"+unit, v)
		p.X.Tick.Marker = linearTicks{6, 240}
		curve, err := sp.curve(v)
		if err != nil {
			return nil, "", err
		}
		p.Add(gridLines{true, true}, polyline{curve, draw.LineStyle{Color: contourLine, Width: 1.2}})
		return p, "the grey line is L", nil
	}
	p = panel(title, sp.names[0]+unit, sp.names[1]+unit, v)
	p.X.Tick.Marker = linearTicks{6, 240}
	loss := sp.s.lossY(sp.point, sp.rest)
	if sp.input {
		loss = sp.s.lossX(sp.point, sp.rest)
	}
	f, err := newField(v, loss)
	if err != nil {
		return nil, "", err
	}
	p.Add(newBackdrop(f))
	caption = f.caption
	if sp.dims > 2 {
		caption += fmt.Sprintf(", with %s as at %s", sp.beyond(), sp.cut)
		if sp.cut == "" {
			caption = strings.TrimSuffix(caption, " as at ") + " 0"
		}
	}
	return p, caption, nil
}

// beyond names the coordinates that are not drawn.
func (sp space) beyond() string {
	if sp.dims == 3 {
		return sp.names[2]
	}
	return sp.names[2] + " to " + sp.names[sp.dims-1]
}

// curve is the loss in one dimension.
func (sp space) curve(v view) ([][2]float64, error) {
	const n = 401
	var pts [][2]float64
	for i := range n {
		t := float64(i) / (n - 1)
		pts = append(pts, [2]float64{v.xmin*(1-t) + v.xmax*t})
	}
	var z []float64
	var err error
	if sp.input {
		xs := make([][]float64, n)
		for i, p := range pts {
			xs[i] = p[:1]
		}
		z, err = sp.s.lossAt(sp.point, xs)
	} else {
		z, err = sp.s.lossY(sp.point, sp.rest)(pts)
	}
	if err != nil {
		return nil, err
	}
	for i := range pts {
		pts[i][1] = z[i]
	}
	return pts, nil
}

// thinPath drops iterates that lie too near to the last one kept to be told from it; the last iterate
// stays.
func thinPath(l [][2]float64, v view) [][2]float64 {
	var kept [][2]float64
	for i, p := range l {
		if i > 0 && i < len(l)-1 {
			last := kept[len(kept)-1]
			dx, dy := (p[0]-last[0])/(v.xmax-v.xmin), (p[1]-last[1])/(v.ymax-v.ymin)
			if math.Hypot(dx, dy) < 0.003 {
				continue
			}
		}
		kept = append(kept, p)
	}
	return kept
}

// minimumGlyph marks known minima.
var minimumGlyph = draw.GlyphStyle{Color: ink, Radius: 4, Shape: star}

// startGlyph marks where a path starts.
func startGlyph(l look) draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: 4, Shape: draw.RingGlyph{}}
}

// pathPair are the two panels of some paths, in x and in y.
func (s *study) pathPair(point int, list []*batch.Path, looks []look, widths func(i int) draw.LineStyle) (panels []*plot.Plot, captions []string, off int, err error) {
	for _, sp := range []space{s.inputs(point), s.outputs(point)} {
		v := sp.view(list)
		title := "in the inputs x"
		if !sp.input {
			title = "in the outputs y = P(x)"
		}
		if sp.dims > 2 {
			title += fmt.Sprintf(", first two of %d", sp.dims)
		}
		p, caption, err := sp.panel(title, v)
		if err != nil {
			return nil, nil, 0, err
		}
		for i, path := range list {
			l := sp.line(path)
			out := false
			for _, q := range l {
				out = out || !v.contains(q[0], q[1])
			}
			if out && sp.input {
				off++
			}
			l = thinPath(l, v)
			p.Add(polyline{l, widths(i)},
				dots{l[1:], draw.GlyphStyle{Color: looks[i].color, Radius: 1.8, Shape: draw.CircleGlyph{}}},
				dots{l[:1], startGlyph(looks[i])})
		}
		p.Add(dots{sp.marks(), minimumGlyph}, border{})
		panels, captions = append(panels, p), append(captions, caption)
	}
	return panels, captions, off, nil
}

// paths draws, for each method, its paths from some starts, and all methods from one start.
func paths(s *study) ([]*Figure, error) {
	traced, near := s.traced()
	if len(traced) == 0 {
		return nil, nil
	}
	point := traced[near]
	var all []*Figure
	problem := s.Sweep.Model.Problem().Name
	finish := func(name, title string, panels []*plot.Plot, captions []string, off, paths int, legend []entry) {
		caption := "In x: " + captions[0] + ". In y: " + captions[1] + ". Dots are iterates."
		if off > 0 {
			caption += fmt.Sprintf(" %d of %s cut off at the frame.", off, plural.Of(paths, "path"))
			if off == 1 {
				caption = strings.Replace(caption, " cut off", " is cut off", 1)
			} else {
				caption = strings.Replace(caption, " cut off", " are cut off", 1)
			}
		}
		legend = append(legend, glyphEntry("start", startGlyph(look{color: faint})))
		if len(s.minima(point)) > 0 {
			legend = append(legend, glyphEntry("known minimum", minimumGlyph))
		}
		all = append(all, &Figure{Name: name, Title: title, Caption: caption, panels: [][]*plot.Plot{panels}, panelHeight: 245, legend: legend})
	}

	if start, list, which := s.sameStart(point); len(list) > 1 {
		var looks []look
		var legend []entry
		for i, m := range which {
			l := s.looks[m]
			looks = append(looks, l)
			legend = append(legend, methodEntry(s.labels[m], look{l.color, l.dash, markers[0]}, taper(i, len(which), 1.2, 3)))
		}
		panels, captions, off, err := s.pathPair(point, list, looks, func(i int) draw.LineStyle {
			return looks[i].line(taper(i, len(list), 1.2, 3))
		})
		if err != nil {
			return nil, err
		}
		finish("paths", fmt.Sprintf("%s: paths of all methods from start %d%s", problem, start, comma(s.where(point))), panels, captions, off, len(list), legend)
	}
	for m := range s.specs {
		list := s.paths[m][point]
		if len(list) == 0 {
			continue
		}
		l := s.looks[m]
		l.dash = nil
		looks := make([]look, len(list))
		for i := range looks {
			looks[i] = l
		}
		panels, captions, off, err := s.pathPair(point, list, looks, func(int) draw.LineStyle { return l.line(1.2) })
		if err != nil {
			return nil, err
		}
		finish("paths-"+fileName(s.labels[m]), fmt.Sprintf("%s: paths of %s%s", problem, s.specLabel(m), comma(s.where(point))), panels, captions, off, len(list),
			[]entry{methodEntry(s.labels[m], look{l.color, nil, markers[0]}, 1.2)})
	}
	return all, nil
}

// specLabel is a method with the settings that the step size depends on.
func (s *study) specLabel(m int) string {
	label := s.labels[m]
	if lr, ok := s.specs[m].Set["lr"]; ok && !strings.Contains(label, "lr=") {
		label += " (lr = " + number(lr) + ")"
	}
	return label
}

// sameStart finds the first start from which the most methods have a path, and these paths.
func (s *study) sameStart(point int) (start int, list []*batch.Path, methods []int) {
	count := map[int]int{}
	for m := range s.specs {
		for _, p := range s.paths[m][point] {
			count[p.Start]++
		}
	}
	start = -1
	for k, n := range count {
		if start < 0 || n > count[start] || n == count[start] && k < start {
			start = k
		}
	}
	for m := range s.specs {
		for _, p := range s.paths[m][point] {
			if p.Start == start {
				list, methods = append(list, p), append(methods, m)
				break
			}
		}
	}
	return start, list, methods
}

// comma is ", s", or nothing.
func comma(s string) string {
	if s == "" {
		return ""
	}
	return ", " + s
}

// fileName keeps letters, digits, dots and signs of a label.
func fileName(label string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-.=+", r):
			return r
		}
		return '_'
	}, label)
}
