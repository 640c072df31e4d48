package plot

import (
	"fmt"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"invar/batch"
)

// landscapePanels is how many grid points are drawn side by side.
const landscapePanels = 4

// landscapes draws the loss at several grid points, with the first update of each method from one start.
func landscapes(s *study) ([]*Figure, error) {
	traced, near := s.traced()
	if len(traced) == 0 {
		return nil, nil
	}
	var chosen []int
	for _, i := range spread(len(traced), landscapePanels, near) {
		chosen = append(chosen, traced[i])
	}
	start, _, _ := s.sameStart(traced[near])
	f := &Figure{Name: "landscapes", panelHeight: 245}
	what := "loss landscape"
	if len(chosen) > 1 {
		what = "loss landscapes"
	}
	f.Title = fmt.Sprintf("%s: %s with the first update of each method from start %d%s", s.Sweep.Model.Problem().Name, what, start, comma(s.others()))
	if len(chosen) == 1 {
		f.Title = fmt.Sprintf("%s: %s with the first update of each method from start %d%s", s.Sweep.Model.Problem().Name, what, start, comma(s.where(chosen[0])))
	}

	drawn, kinds := map[int]bool{}, map[headKind]bool{}
	var row []*plot.Plot
	var missing []string
	for _, point := range chosen {
		arrows, methods := s.updates(point, start)
		p, heads, none, err := s.landscape(point, start, arrows, methods)
		if err != nil {
			return nil, err
		}
		for _, m := range methods {
			drawn[m] = true
		}
		for _, k := range heads {
			kinds[k] = true
		}
		for _, m := range none {
			missing = append(missing, s.labels[m]+" at "+s.here(point))
		}
		row = append(row, p)
	}
	cols := 2
	if len(row) == 1 {
		cols = 1
	}
	for len(row)%cols != 0 {
		row = append(row, nil)
	}
	for i := 0; i < len(row); i += cols {
		f.panels = append(f.panels, row[i:i+cols])
	}
	if sp := s.inputs(chosen[0]); sp.dims > 2 {
		f.Caption = fmt.Sprintf("The first two of %d inputs, with %s as at the start. ", sp.dims, sp.beyond())
	}
	if s.Sweep.Model.Problem().N() == 1 {
		f.Caption += "The grey line is L."
	} else {
		f.Caption += "Grey: contours of L, apart as each title says."
	}
	if len(missing) > 0 {
		f.Caption += " Without an arrow, as the step is zero, failed or is not finite: " + strings.Join(missing, ", ") + "."
	}
	for m := range s.specs {
		if drawn[m] {
			f.legend = append(f.legend, arrowEntry(s.labels[m], s.looks[m], taper(m, len(s.specs), 1.4, 4), exactHead))
		}
	}
	grey := look{color: faint}
	if kinds[shortHead] {
		f.legend = append(f.legend, arrowEntry("shorter than drawn", grey, 1.4, shortHead))
	}
	if kinds[longHead] {
		f.legend = append(f.legend, arrowEntry("goes on beyond the frame", grey, 1.4, longHead))
	}
	f.legend = append(f.legend, glyphEntry("start", draw.GlyphStyle{Color: ink, Radius: 3, Shape: draw.CircleGlyph{}}))
	if len(s.minima(chosen[0])) > 0 {
		f.legend = append(f.legend, glyphEntry("known minimum", minimumGlyph))
	}
	return []*Figure{f}, nil
}

// here names a grid point among the others of a figure.
func (s *study) here(point int) string {
	if s.axis >= 0 {
		return s.name + " = " + number(s.values[point])
	}
	return s.where(point)
}

// updates are the paths from a start at a grid point, with their methods.
func (s *study) updates(point, start int) (list []*batch.Path, methods []int) {
	for m := range s.specs {
		for _, p := range s.paths[m][point] {
			if p.Start == start {
				list, methods = append(list, p), append(methods, m)
				break
			}
		}
	}
	return list, methods
}

// landscape is the panel of one grid point.
func (s *study) landscape(point, start int, list []*batch.Path, methods []int) (p *plot.Plot, heads []headKind, none []int, err error) {
	sp := s.inputs(point)
	var all []*batch.Path
	for m := range s.paths {
		for _, path := range s.paths[m][point] {
			if path.Start == start {
				all = append(all, &batch.Path{X: path.X[:1], Y: path.Y[:1], Loss: path.Loss[:1]})
				if finite(path.X[0]...) {
					sp.rest = path.X[0]
				}
			}
		}
	}
	v := sp.view(all)
	p, caption, err := sp.panel(s.here(point), v)
	if err != nil {
		return nil, nil, nil, err
	}
	if _, apart, ok := strings.Cut(caption, ": "); ok {
		apart, _, _ = strings.Cut(apart, " apart")
		p.Title.Text += " (contours " + apart + " apart)"
	}
	// The size of the panel decides which heads the arrows get; half the page is near enough.
	about := draw.Canvas{Rectangle: vg.Rectangle{Max: vg.Point{X: 245, Y: 245}}}
	for i, path := range list {
		if len(path.X) < 2 {
			none = append(none, methods[i])
			continue
		}
		a := arrow{sp.at(path, 0), sp.at(path, 1), s.looks[methods[i]], taper(methods[i], len(s.specs), 1.4, 4)}
		if _, _, kind, ok := a.place(about, p); ok {
			heads = append(heads, kind)
		} else {
			none = append(none, methods[i])
		}
		p.Add(a)
	}
	if len(all) > 0 {
		p.Add(dots{[][2]float64{sp.at(all[0], 0)}, draw.GlyphStyle{Color: ink, Radius: 3, Shape: draw.CircleGlyph{}}})
	}
	p.Add(dots{sp.marks(), minimumGlyph}, border{})
	return p, heads, none, nil
}

func arrowEntry(label string, l look, width vg.Length, kind headKind) entry {
	return entry{label, iconWidth, func(c *draw.Canvas, r vg.Rectangle) {
		y := (r.Min.Y + r.Max.Y) / 2
		drawArrow(c, l, width, vg.Point{X: r.Min.X, Y: y}, vg.Point{X: r.Max.X, Y: y}, kind)
	}}
}
