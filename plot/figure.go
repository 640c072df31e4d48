package plot

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is one picture: a title, a caption, rows of panels, and below them a legend, so that it
// covers no data.
type Figure struct {
	Name    string // of its file, without the ending
	Title   string
	Caption string // what is drawn, in a sentence or two

	panels      [][]*plot.Plot
	panelHeight vg.Length // of the data
	legend      []entry
}

// entry is one line of a legend.
type entry struct {
	label string
	width vg.Length                            // of the icon
	icon  func(c *draw.Canvas, r vg.Rectangle) // draws into r
}

// Margins of a page and of what is on it.
const (
	margin    = vg.Length(10)
	iconWidth = vg.Length(30)
	entryGap  = vg.Length(14)
	lineStep  = vg.Length(14)
)

// wrap breaks a text into lines of at most a width.
func wrap(s string, st text.Style, width vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && st.Width(longer) > width {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// legendRows deals the entries out to rows.
func (f *Figure) legendRows() [][]entry {
	st := textStyle(textSize, false, ink)
	var rows [][]entry
	x := vg.Length(0)
	for _, e := range f.legend {
		w := e.width + 4 + st.Width(e.label)
		if len(rows) == 0 || x+w > pageWidth-2*margin {
			rows = append(rows, nil)
			x = 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		x += w + entryGap
	}
	return rows
}

// axesHeight is about what an axis with its label takes, and the title of a panel.
const axesHeight = vg.Length(50)

// size is the page's, as its parts need it.
func (f *Figure) size() (w, h vg.Length) {
	h = margin + titleHeight*vg.Length(len(f.titleLines())) + lineStep*vg.Length(len(f.captionLines())) + 4
	h += (f.panelHeight + axesHeight) * vg.Length(len(f.panels))
	h += lineStep*vg.Length(len(f.legendRows())) + 8 + margin
	return pageWidth, h
}

const titleHeight = vg.Length(18)

func (f *Figure) titleLines() []string {
	return wrap(f.Title, textStyle(titleSize, true, ink), pageWidth-2*margin)
}

func (f *Figure) captionLines() []string {
	return wrap(f.Caption, textStyle(textSize, false, faint), pageWidth-2*margin)
}

// draw puts the figure onto a canvas of its size.
func (f *Figure) draw(c draw.Canvas) {
	c.SetColor(color.White)
	c.Fill(rectangle(c.Rectangle))
	y := c.Max.Y - margin
	for _, l := range f.titleLines() {
		st := textStyle(titleSize, true, ink)
		c.FillText(st, vg.Point{X: c.Min.X + margin, Y: y - titleHeight + 5}, l)
		y -= titleHeight
	}
	for _, l := range f.captionLines() {
		c.FillText(textStyle(textSize, false, faint), vg.Point{X: c.Min.X + margin, Y: y - lineStep + 3}, l)
		y -= lineStep
	}
	y -= 4
	rows := f.legendRows()
	bottom := c.Min.Y + margin + lineStep*vg.Length(len(rows)) + 8
	at := bottom - 8
	for _, row := range rows {
		x := c.Min.X + margin
		for _, e := range row {
			e.icon(&c, vg.Rectangle{Min: vg.Point{X: x, Y: at - lineStep}, Max: vg.Point{X: x + e.width, Y: at}})
			x += e.width + 4
			st := textStyle(textSize, false, ink)
			st.YAlign = draw.YCenter
			c.FillText(st, vg.Point{X: x, Y: at - lineStep/2}, e.label)
			x += st.Width(e.label) + entryGap
		}
		at -= lineStep
	}
	area := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
		Min: vg.Point{X: c.Min.X + margin, Y: bottom}, Max: vg.Point{X: c.Max.X - margin, Y: y}}}
	tiles := draw.Tiles{Rows: len(f.panels), Cols: len(f.panels[0]), PadX: 12, PadY: 8, PadRight: 6}
	canvases := plot.Align(f.panels, tiles, area)
	for j, row := range f.panels {
		for i, p := range row {
			if p != nil {
				centreTitle(p, canvases[j][i])
				p.Draw(canvases[j][i])
			}
		}
	}
}

// centreTitle moves a panel's title from the middle of all that belongs to the panel, labels of the axes included,
// towards the middle of its frame, as far as there is room.
func centreTitle(p *plot.Plot, c draw.Canvas) {
	width := p.Title.TextStyle.Width(p.Title.Text)
	room := max(0, (c.Size().X-width)/2)
	frame := p.DataCanvas(c)
	shift := min(frame.Center().X-c.Center().X, room)
	p.Title.TextStyle.XAlign = draw.XCenter
	if width > 0 {
		p.Title.TextStyle.XAlign += draw.XAlignment(shift / width)
	}
}

// WritePNG writes the figure as a PNG picture, 1200 pixels wide.
func (f *Figure) WritePNG(w io.Writer) error {
	width, height := f.size()
	img := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))
	f.draw(draw.New(img))
	return png.Encode(w, paletted(img.Image()))
}

// paletted is the picture in 256 colours, which makes its file a third as large: the most frequent
// ones, and for the others, mixtures at the edges of letters and lines, the nearest of these.
func paletted(img image.Image) image.Image {
	b := img.Bounds()
	rgba, ok := img.(*image.RGBA)
	if !ok {
		rgba = image.NewRGBA(b)
		imagedraw.Draw(rgba, b, img, b.Min, imagedraw.Src)
	}
	at := func(i int) color.RGBA { return color.RGBA{rgba.Pix[i], rgba.Pix[i+1], rgba.Pix[i+2], 255} }
	// Most neighbours have one colour, so the last one is remembered.
	count := map[color.RGBA]int{}
	last, run := color.RGBA{}, 0
	for i := 0; i < len(rgba.Pix); i += 4 {
		if c := at(i); c == last {
			run++
		} else {
			count[last] += run
			last, run = c, 1
		}
	}
	count[last] += run
	var all []color.RGBA
	for c, n := range count {
		if n > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var pal color.Palette
	for _, c := range all[:min(len(all), 256)] {
		pal = append(pal, c)
	}
	index := map[color.RGBA]uint8{}
	for i, c := range all {
		index[c] = uint8(i)
		if i >= len(pal) {
			index[c] = closest(all[:len(pal)], c)
		}
	}
	p := image.NewPaletted(image.Rect(0, 0, b.Dx(), b.Dy()), pal)
	last = color.RGBA{}
	var k uint8
	for i := 0; i < len(rgba.Pix); i += 4 {
		if c := at(i); c != last {
			last, k = c, index[c]
		}
		p.Pix[i/4] = k
	}
	return p
}

// closest is the index of the colour of a palette with the least distance to c.
func closest(pal []color.RGBA, c color.RGBA) uint8 {
	best, at := math.MaxInt, 0
	for i, p := range pal {
		r, g, b := int(p.R)-int(c.R), int(p.G)-int(c.G), int(p.B)-int(c.B)
		if d := r*r + g*g + b*b; d < best {
			best, at = d, i
		}
	}
	return uint8(at)
}

// WriteSVG writes the figure as an SVG picture.
func (f *Figure) WriteSVG(w io.Writer) error {
	width, height := f.size()
	c := &measured{Canvas: vgsvg.New(width, height)}
	f.draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	// A viewer without Liberation Sans has one of those that it was made to replace, or another, in which
	// texts keep their lengths. The picture that vgsvg calls a JPEG is a PNG, and it fills its frame, whose sides
	// are in another proportion than its own. A title names the picture to those who cannot see it.
	s := b.String()
	s = strings.ReplaceAll(s, "font-family:Liberation Sans", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif")
	s = strings.ReplaceAll(s, "data:image/jpg;base64", "data:image/png;base64")
	s = strings.ReplaceAll(s, "<image ", `<image preserveAspectRatio="none" `)
	s = c.fit(s)
	var title bytes.Buffer
	if err := xml.EscapeText(&title, []byte(f.Title+". "+f.Caption)); err != nil {
		return err
	}
	if i := strings.Index(s, "<svg"); i >= 0 {
		if k := strings.Index(s[i:], ">"); k >= 0 {
			s = s[:i+k+1] + "\n<title>" + title.String() + "</title>" + s[i+k+1:]
		}
	}
	_, err := io.WriteString(w, s)
	return err
}

// measured is an SVG canvas that remembers how long its texts are.
type measured struct {
	*vgsvg.Canvas
	lengths []vg.Length
}

// FillString implements vg.Canvas.
func (m *measured) FillString(f font.Face, at vg.Point, text string) {
	m.lengths = append(m.lengths, f.Width(text))
	m.Canvas.FillString(f, at, text)
}

// fit writes the lengths into the SVG file, so that no viewer's font makes a text run over its neighbour.
func (m *measured) fit(svg string) string {
	parts := strings.Split(svg, "<text ")
	if len(parts) != len(m.lengths)+1 {
		return svg
	}
	var b strings.Builder
	b.WriteString(parts[0])
	for i, p := range parts[1:] {
		fmt.Fprintf(&b, `<text textLength="%.4g" lengthAdjust="spacingAndGlyphs" %s`, m.lengths[i].Points(), p)
	}
	return b.String()
}

func rectangle(r vg.Rectangle) vg.Path {
	var p vg.Path
	p.Move(r.Min)
	p.Line(vg.Point{X: r.Max.X, Y: r.Min.Y})
	p.Line(r.Max)
	p.Line(vg.Point{X: r.Min.X, Y: r.Max.Y})
	p.Close()
	return p
}

// methodEntry is a method in a legend.
func methodEntry(label string, l look, width vg.Length) entry {
	return entry{label, iconWidth, func(c *draw.Canvas, r vg.Rectangle) {
		y := (r.Min.Y + r.Max.Y) / 2
		c.StrokeLine2(l.line(width), r.Min.X, y, r.Max.X, y)
		c.DrawGlyph(draw.GlyphStyle{Color: l.color, Radius: 3, Shape: l.marker}, vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: y})
	}}
}

// glyphEntry is a marker in a legend.
func glyphEntry(label string, g draw.GlyphStyle) entry {
	return entry{label, 12, func(c *draw.Canvas, r vg.Rectangle) {
		c.DrawGlyph(g, vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: (r.Min.Y + r.Max.Y) / 2})
	}}
}

// The plotters below know their panel's view and draw nothing outside of it.

func inside(p *plot.Plot) view { return view{p.X.Min, p.X.Max, p.Y.Min, p.Y.Max} }

// polyline joins points; it is interrupted where one is not finite, and cut at the frame.
type polyline struct {
	points [][2]float64
	style  draw.LineStyle
}

// Plot implements plot.Plotter.
func (l polyline) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	var path vg.Path
	for _, piece := range clip(l.points, inside(p)) {
		for i, q := range piece {
			at := vg.Point{X: tx(q[0]), Y: ty(q[1])}
			if i == 0 {
				path.Move(at)
			} else {
				path.Line(at)
			}
		}
	}
	if len(path) == 0 {
		return
	}
	c.SetLineStyle(l.style)
	c.Stroke(path)
	c.SetLineDash(nil, 0)
}

// clip cuts a polyline at a rectangle, segment by segment (Liang, Barsky, ACM TOG 3 (1984) 1-22).
func clip(pts [][2]float64, v view) [][][2]float64 {
	var pieces [][][2]float64
	open := false
	for i := 1; i < len(pts); i++ {
		a, b, ok := clipSegment(pts[i-1], pts[i], v)
		if !ok {
			open = false
			continue
		}
		if !open || a != pts[i-1] {
			pieces = append(pieces, [][2]float64{a})
		}
		last := len(pieces) - 1
		pieces[last] = append(pieces[last], b)
		open = b == pts[i]
	}
	return pieces
}

func clipSegment(a, b [2]float64, v view) (p, q [2]float64, ok bool) {
	if !finite(a[0], a[1], b[0], b[1]) {
		return a, b, false
	}
	t0, t1 := 0.0, 1.0
	for k, lim := range [2][2]float64{{v.xmin, v.xmax}, {v.ymin, v.ymax}} {
		// Halves, so that the difference of two huge numbers stays finite.
		d := b[k]/2 - a[k]/2
		if d == 0 {
			if a[k] < lim[0] || a[k] > lim[1] {
				return a, b, false
			}
			continue
		}
		u, w := (lim[0]/2-a[k]/2)/d, (lim[1]/2-a[k]/2)/d
		t0, t1 = max(t0, min(u, w)), min(t1, max(u, w))
	}
	if !(t0 <= t1) {
		return a, b, false
	}
	at := func(t float64) [2]float64 {
		switch t {
		case 0:
			return a
		case 1:
			return b
		}
		return [2]float64{snap(a[0]*(1-t)+b[0]*t, v.xmin, v.xmax), snap(a[1]*(1-t)+b[1]*t, v.ymin, v.ymax)}
	}
	return at(t0), at(t1), true
}

// snap takes away the rounding of a point that was computed to lie on the frame.
func snap(x, lo, hi float64) float64 {
	near := 1e-12 * (hi - lo)
	switch {
	case x <= lo+near:
		return lo
	case x >= hi-near:
		return hi
	}
	return x
}

// dots are markers at points; those outside the panel are left out.
type dots struct {
	points [][2]float64
	style  draw.GlyphStyle
}

// Plot implements plot.Plotter.
func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	v := inside(p)
	for _, q := range d.points {
		if v.contains(q[0], q[1]) {
			c.DrawGlyphNoClip(d.style, vg.Point{X: tx(q[0]), Y: ty(q[1])})
		}
	}
}

// speckle is dots of many points in one path, which keeps an SVG file small: squares, or crosses.
type speckle struct {
	points [][2]float64
	color  color.Color
	radius vg.Length
	cross  bool
}

// Plot implements plot.Plotter.
func (d speckle) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	v := inside(p)
	var path vg.Path
	for _, q := range d.points {
		if v.contains(q[0], q[1]) {
			d.add(&path, vg.Point{X: tx(q[0]), Y: ty(q[1])})
		}
	}
	d.paint(&c, path)
}

func (d speckle) add(path *vg.Path, at vg.Point) {
	r := d.radius
	if d.cross {
		path.Move(vg.Point{X: at.X - r, Y: at.Y - r})
		path.Line(vg.Point{X: at.X + r, Y: at.Y + r})
		path.Move(vg.Point{X: at.X - r, Y: at.Y + r})
		path.Line(vg.Point{X: at.X + r, Y: at.Y - r})
		return
	}
	*path = append(*path, rectangle(vg.Rectangle{Min: vg.Point{X: at.X - r, Y: at.Y - r}, Max: vg.Point{X: at.X + r, Y: at.Y + r}})...)
}

func (d speckle) paint(c *draw.Canvas, path vg.Path) {
	switch {
	case len(path) == 0:
	case d.cross:
		c.SetLineStyle(draw.LineStyle{Color: d.color, Width: 0.7})
		c.Stroke(path)
	default:
		c.SetColor(d.color)
		c.Fill(path)
	}
}

func (d speckle) entry(label string) entry {
	return entry{label, 12, func(c *draw.Canvas, r vg.Rectangle) {
		var path vg.Path
		d.add(&path, vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: (r.Min.Y + r.Max.Y) / 2})
		d.paint(c, path)
	}}
}

// backdrop is a field's bands and contours.
type backdrop struct {
	bands    image.Image
	contours [][][2]float64
	view     view
}

func newBackdrop(f *field) backdrop { return backdrop{f.bands(360), f.contours(), f.view} }

// Plot implements plot.Plotter.
func (b backdrop) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	v := b.view
	c.DrawImage(vg.Rectangle{Min: vg.Point{X: tx(v.xmin), Y: ty(v.ymin)}, Max: vg.Point{X: tx(v.xmax), Y: ty(v.ymax)}}, b.bands)
	for _, l := range b.contours {
		polyline{l, draw.LineStyle{Color: contourLine, Width: 0.5}}.Plot(c, p)
	}
}

// gridLines are drawn at the labelled ticks.
type gridLines struct{ x, y bool }

// Plot implements plot.Plotter.
func (g gridLines) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	st := draw.LineStyle{Color: grid, Width: 0.6}
	if g.x {
		for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
			if t.Label != "" && t.Value >= p.X.Min && t.Value <= p.X.Max {
				c.StrokeLine2(st, tx(t.Value), c.Min.Y, tx(t.Value), c.Max.Y)
			}
		}
	}
	if g.y {
		for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if t.Label != "" && t.Value >= p.Y.Min && t.Value <= p.Y.Max {
				c.StrokeLine2(st, c.Min.X, ty(t.Value), c.Max.X, ty(t.Value))
			}
		}
	}
}

// border closes the frame of a panel.
type border struct{}

// Plot implements plot.Plotter.
func (border) Plot(c draw.Canvas, p *plot.Plot) {
	c.SetLineStyle(draw.LineStyle{Color: ink, Width: 0.6})
	r := rectangle(c.Rectangle)
	c.Stroke(r)
}

// What an arrow's head says about its length.
type headKind int

const (
	exactHead headKind = iota
	shortHead          // the step is shorter than the arrow: open head
	longHead           // the step is longer: the arrow ends at the frame, double head
)

// arrow is a step from one point to another.
type arrow struct {
	from, to [2]float64
	look     look
	width    vg.Length
}

// leastArrow is the shortest arrow that can be seen.
const leastArrow = vg.Length(22)

// place finds where the arrow is drawn.
func (a arrow) place(c draw.Canvas, p *plot.Plot) (from, to vg.Point, kind headKind, ok bool) {
	v := inside(p)
	if !v.contains(a.from[0], a.from[1]) || !finite(a.to[0], a.to[1]) || a.from == a.to {
		return from, to, kind, false
	}
	tx, ty := p.Transforms(&c)
	_, end, ok := clipSegment(a.from, a.to, v)
	if !ok {
		return from, to, kind, false
	}
	if end != a.to {
		kind = longHead
	}
	from, to = vg.Point{X: tx(a.from[0]), Y: ty(a.from[1])}, vg.Point{X: tx(end[0]), Y: ty(end[1])}
	d := to.Sub(from)
	length := vg.Length(math.Hypot(float64(d.X), float64(d.Y)))
	if kind == exactHead && length < leastArrow {
		// The direction on the page, from the differences: the points may be nearly one.
		dx := (a.to[0] - a.from[0]) / (v.xmax - v.xmin) * float64(c.Max.X-c.Min.X)
		dy := (a.to[1] - a.from[1]) / (v.ymax - v.ymin) * float64(c.Max.Y-c.Min.Y)
		h := math.Hypot(dx, dy)
		if h == 0 {
			return from, to, kind, false
		}
		to = vg.Point{X: from.X + leastArrow*vg.Length(dx/h), Y: from.Y + leastArrow*vg.Length(dy/h)}
		if !c.Contains(to) {
			return from, to, kind, false
		}
		kind = shortHead
	}
	return from, to, kind, true
}

// Plot implements plot.Plotter.
func (a arrow) Plot(c draw.Canvas, p *plot.Plot) {
	if from, to, kind, ok := a.place(c, p); ok {
		drawArrow(&c, a.look, a.width, from, to, kind)
	}
}

func drawArrow(c *draw.Canvas, l look, width vg.Length, from, to vg.Point, kind headKind) {
	d := to.Sub(from)
	h := vg.Length(math.Hypot(float64(d.X), float64(d.Y)))
	if h == 0 {
		return
	}
	u := vg.Point{X: d.X / h, Y: d.Y / h}
	n := vg.Point{X: -u.Y, Y: u.X}
	size := 5 + 1.3*width
	tip := func(at vg.Point) vg.Path {
		var p vg.Path
		base := at.Sub(u.Scale(size))
		p.Move(base.Add(n.Scale(0.45 * size)))
		p.Line(at)
		p.Line(base.Sub(n.Scale(0.45 * size)))
		return p
	}
	c.StrokeLine2(l.line(width), from.X, from.Y, to.X-u.X*size*0.7, to.Y-u.Y*size*0.7)
	c.SetLineStyle(draw.LineStyle{Color: l.color, Width: max(width*0.6, 1.1)})
	switch kind {
	case shortHead:
		c.Stroke(tip(to))
	case longHead:
		c.SetColor(l.color)
		c.Fill(tip(to))
		c.Fill(tip(to.Sub(u.Scale(size * 0.8))))
	default:
		c.SetColor(l.color)
		c.Fill(tip(to))
	}
}
