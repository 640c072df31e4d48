package plot

import (
	"hash/fnv"
	"image/color"
	"math"
	"slices"
	"strconv"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"invar/batch"
)

// Okabe and Ito's colours, which the colour-blind can tell apart (Color Universal Design, 2008); for
// their yellow, which a white page swallows, a dark red.
var okabeIto = []color.RGBA{
	{0, 114, 178, 255},   // blue
	{213, 94, 0, 255},    // vermillion
	{0, 158, 115, 255},   // bluish green
	{204, 121, 167, 255}, // reddish purple
	{230, 159, 0, 255},   // orange
	{86, 180, 233, 255},  // sky blue
	{0, 0, 0, 255},       // black
	{136, 34, 85, 255},   // dark red
}

var dashes = [][]vg.Length{
	nil, {6, 2.5}, {2, 2}, {7, 2, 1.5, 2}, {10, 3}, {4, 2, 1.5, 2, 1.5, 2}, {1, 2.5},
}

// markers are filled shapes; the report has the same, by Vega's names.
var markers = []polygon{
	{"circle", regular(16, 1, 1, 0)},
	{"square", regular(4, 1.2, 1.2, 45)},
	{"triangle-up", regular(3, 1.3, 1.3, 90)},
	{"diamond", regular(4, 1.35, 1.35, 0)},
	{"triangle-down", regular(3, 1.3, 1.3, 270)},
	{"cross", plusSign},
	{"triangle-right", regular(3, 1.3, 1.3, 0)},
	{"triangle-left", regular(3, 1.3, 1.3, 180)},
}

// polygon is a marker with corners on a scale where the radius is 1.
type polygon struct {
	name    string
	corners []vg.Point
}

// regular are n corners at alternating radii, the first at an angle in degrees.
func regular(n int, r1, r2, angle float64) (p []vg.Point) {
	for k := range n {
		r := r1
		if k%2 == 1 {
			r = r2
		}
		sin, cos := math.Sincos((angle + float64(k)*360/float64(n)) * math.Pi / 180)
		p = append(p, vg.Point{X: vg.Length(r * cos), Y: vg.Length(r * sin)})
	}
	return p
}

var plusSign = []vg.Point{{X: 1.25, Y: .42}, {X: .42, Y: .42}, {X: .42, Y: 1.25}, {X: -.42, Y: 1.25}, {X: -.42, Y: .42}, {X: -1.25, Y: .42},
	{X: -1.25, Y: -.42}, {X: -.42, Y: -.42}, {X: -.42, Y: -1.25}, {X: .42, Y: -1.25}, {X: .42, Y: -.42}, {X: 1.25, Y: -.42}}

var star = polygon{"star", regular(10, 1.3, 0.52, 90)}

// DrawGlyph implements draw.GlyphDrawer. A white edge sets a marker off from the lines below it.
func (m polygon) DrawGlyph(c *draw.Canvas, g draw.GlyphStyle, at vg.Point) {
	var p vg.Path
	for k, d := range m.corners {
		q := vg.Point{X: at.X + g.Radius*d.X, Y: at.Y + g.Radius*d.Y}
		if k == 0 {
			p.Move(q)
		} else {
			p.Line(q)
		}
	}
	p.Close()
	c.SetLineStyle(draw.LineStyle{Color: color.White, Width: 1.4})
	c.Stroke(p)
	c.SetColor(g.Color)
	c.Fill(p)
}

// look is how a method is drawn: by colour, dash and marker, any of which would do.
type look struct {
	color  color.RGBA
	dash   []vg.Length
	marker polygon
}

// lookOrder gives each built-in method a look of its own, the same in every picture. Methods eight places apart share a colour:
// few lists have both.
var lookOrder = []string{
	"gd", "adam", "bfgs", "newton", "lm", "gn", "ig", "pg",
	"lbfgs", "newton-ls", "hig", "momentum", "nesterov", "adagrad", "rmsprop", "pg-numeric",
}

// newLook is colour i, with a dash and a marker that differ from those of the same colour with another turn, 0 to 6.
func newLook(i, turn int) look {
	i %= len(okabeIto)
	return look{okabeIto[i], dashes[(i+turn)%len(dashes)], markers[(i+turn)%len(markers)]}
}

// methodLooks are the looks of methods, which depend on their names. Where a method comes again with other settings, these
// have the colours that follow. Of two methods with one colour, dash and marker differ.
func methodLooks(specs []batch.Spec) []look {
	var looks []look
	again := map[string]int{}
	for _, s := range specs {
		name, n := s.Method.Name, len(okabeIto)
		i := slices.Index(lookOrder, name)
		if i < 0 { // a method of one's own
			h := fnv.New32a()
			h.Write([]byte(name))
			i = len(lookOrder) + int(h.Sum32()%uint32(5*n))
		}
		turn := i / n
		if k := again[name]; k > 0 {
			i, turn = i+k, 2+(i+k/n)%5
		}
		again[name]++
		looks = append(looks, newLook(i, turn))
	}
	return looks
}

func (l look) line(width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: l.color, Width: width, Dashes: l.dash}
}

// taper is the line width of method i of n: where lines coincide, the later and thinner one lies on
// the earlier and thicker one, and both are seen.
func taper(i, n int, thin, thick vg.Length) vg.Length {
	if n < 2 {
		return (thin + thick) / 2
	}
	return thick - (thick-thin)*vg.Length(i)/vg.Length(n-1)
}

// Sizes. A page is 600 points wide, which is 600 pixels at the least size that must be legible.
const (
	pageWidth = vg.Length(600)
	dpi       = 144
	titleSize = 13
	textSize  = 10
	tickSize  = 9.5
)

var (
	ink   = color.RGBA{30, 33, 38, 255}
	faint = color.RGBA{85, 92, 102, 255}
	grid  = color.RGBA{225, 228, 232, 255}
)

// textStyle is the one typeface in its sizes.
func textStyle(size vg.Length, bold bool, c color.Color) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: c, Font: f, XAlign: draw.XLeft, YAlign: draw.YBottom, Handler: plot.DefaultTextHandler}
}

// panel is an empty plot of a view.
func panel(title, xlabel, ylabel string, v view) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle = textStyle(textSize, true, ink)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.Title.Padding = 3
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = v.xmin, v.xmax, v.ymin, v.ymax
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		align, rotation := a.Label.TextStyle, a.Label.TextStyle.Rotation
		a.Label.TextStyle = textStyle(textSize, false, ink)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign, a.Label.TextStyle.Rotation = align.XAlign, align.YAlign, rotation
		a.Label.Padding = 3
		align = a.Tick.Label
		a.Tick.Label = textStyle(tickSize, false, ink)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = align.XAlign, align.YAlign
		a.Tick.Length = 4
		a.Tick.LineStyle = draw.LineStyle{Color: ink, Width: 0.6}
		a.LineStyle = draw.LineStyle{Color: ink, Width: 0.6}
		a.Padding = 0
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = linearTicks{6, 0}, linearTicks{6, 0}
	p.X.Label.Text, p.Y.Label.Text = xlabel, ylabel
	return p
}

// linearTicks are up to about n labelled ticks at round numbers; fewer if their labels would not fit
// into the width, unless that is 0.
type linearTicks struct {
	n     int
	width vg.Length
}

// Ticks implements plot.Ticker.
func (l linearTicks) Ticks(lo, hi float64) []plot.Tick {
	for n := l.n; ; n-- {
		t := l.ticks(lo, hi, n)
		var room vg.Length
		for _, k := range t {
			room += textStyle(tickSize, false, ink).Width(k.Label) + 8
		}
		if n <= 1 || l.width == 0 || room <= l.width {
			return t
		}
	}
}

func (linearTicks) ticks(lo, hi float64, n int) []plot.Tick {
	span := hi - lo
	if !finite(lo, hi, span) || !(span > 0) {
		return nil
	}
	step := niceStep(span / float64(n))
	var t []plot.Tick
	for k := math.Ceil(lo/step - 1e-9); k*step <= hi+1e-9*step && len(t) < 50; k++ {
		v := k * step
		t = append(t, plot.Tick{Value: v, Label: tickLabel(v, step)})
	}
	return t
}

// tickLabel prints a multiple of step with the digits that step needs.
func tickLabel(v, step float64) string {
	digits := -int(math.Floor(math.Log10(step) + 1e-9))
	if a := math.Abs(v); a == 0 && digits > 4 {
		return "0"
	} else if a != 0 && (a >= 1e5 || digits > 4) {
		precision := max(int(math.Floor(math.Log10(a)+1e-9))+digits, 0)
		return tidyExponent(strconv.FormatFloat(v, 'e', min(precision, 15), 64))
	}
	return strconv.FormatFloat(v+0, 'f', max(digits, 0), 64)
}

// tidyExponent writes 1e+06 as 1e6.
func tidyExponent(s string) string {
	m, e := s, ""
	for i := range s {
		if s[i] == 'e' {
			m, e = s[:i], s[i+1:]
		}
	}
	x, err := strconv.Atoi(e)
	if err != nil {
		return s
	}
	return m + "e" + strconv.Itoa(x)
}

// power is the label of 10^k.
func power(k int) string {
	if k >= -3 && k <= 4 {
		return strconv.FormatFloat(math.Pow(10, float64(k)), 'f', max(-k, 0), 64)
	}
	return "1e" + strconv.Itoa(k)
}

// logTicks are ticks of an axis that holds log10 of the data, about n of them labelled.
type logTicks int

// Ticks implements plot.Ticker.
func (n logTicks) Ticks(lo, hi float64) []plot.Tick {
	if !finite(lo, hi) || !(hi > lo) {
		return nil
	}
	var t []plot.Tick
	first, last := int(math.Ceil(lo-1e-9)), int(math.Floor(hi+1e-9))
	if hi-lo < 1.5 { // too few powers of ten: label some of their multiples too
		for k := first - 1; k <= last; k++ {
			for m := 1; m <= 9; m++ {
				v := float64(k) + math.Log10(float64(m))
				if v < lo-1e-9 || v > hi+1e-9 {
					continue
				}
				label := ""
				if m == 1 || m == 2 || m == 5 || hi-lo < 0.6 {
					label = tickLabel(float64(m)*math.Pow(10, float64(k)), math.Pow(10, float64(k)))
				}
				t = append(t, plot.Tick{Value: v, Label: label})
			}
		}
		if len(t) > 0 {
			return t
		}
		return []plot.Tick{{Value: lo, Label: number(math.Pow(10, lo))}, {Value: hi, Label: number(math.Pow(10, hi))}}
	}
	stride := 1
	for (last-first)/stride+1 > int(n) {
		stride++
	}
	for k := first; k <= last; k++ {
		label := ""
		if (k-last)%stride == 0 {
			label = power(k)
		}
		if label != "" || stride <= 5 {
			t = append(t, plot.Tick{Value: float64(k), Label: label})
		}
		if hi-lo <= 6 {
			for m := 2.0; m <= 9; m++ {
				if v := float64(k) + math.Log10(m); v <= hi {
					t = append(t, plot.Tick{Value: v})
				}
			}
		}
	}
	return t
}

// extraTicks adds ticks with words to those of an axis.
type extraTicks struct {
	plot.Ticker
	lo, hi float64 // where the axis's own ticks are wanted
	more   []plot.Tick
}

// Ticks implements plot.Ticker.
func (e extraTicks) Ticks(lo, hi float64) []plot.Tick {
	var t []plot.Tick
	for _, k := range e.Ticker.Ticks(e.lo, e.hi) {
		if k.Value >= e.lo && k.Value <= e.hi {
			t = append(t, k)
		}
	}
	return append(t, e.more...)
}

// signedTicks are ticks of an axis with a signed logarithmic scale.
type signedTicks struct {
	n    int
	unit float64
}

// Ticks implements plot.Ticker.
func (s signedTicks) Ticks(lo, hi float64) []plot.Tick {
	if !finite(lo, hi) {
		return nil
	}
	t := []plot.Tick{{Value: 0, Label: "0"}}
	stride := max(int(math.Ceil((math.Max(hi, 0)-math.Min(lo, 0))/float64(s.n))), 1)
	first := int(math.Round(math.Log10(s.unit)))
	for k := stride; float64(k) <= math.Max(hi, -lo)+1; k += stride {
		for _, sign := range []float64{-1, 1} {
			if at := sign * math.Log10(1+math.Pow(10, float64(k))); at >= lo && at <= hi {
				label := power(first + k)
				if sign < 0 {
					label = "-" + label
				}
				t = append(t, plot.Tick{Value: at, Label: label})
			}
		}
	}
	return t
}
