package plot

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
)

// figure finds a figure by name.
func figure(t *testing.T, list []*Figure, name string) *Figure {
	t.Helper()
	for _, f := range list {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no figure %s", name)
	return nil
}

func figures(t *testing.T, d *Data, o Options) []*Figure {
	t.Helper()
	list, err := Figures(d, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		checkFigure(t, f)
	}
	return list
}

// checkFigure draws a figure in every way: all that is drawn lies on the page, the SVG is XML with the
// labels of the legend in it, the PNG is as wide as it should be.
func checkFigure(t *testing.T, f *Figure) {
	t.Helper()
	w, h := f.size()
	var rec recorder.Canvas
	f.draw(draw.NewCanvas(&rec, w, h))
	outside := 0
	for _, p := range strokes(&rec) {
		const edge = 1.5 // half the width of a line
		if !(p.X >= -edge && p.X <= w+edge && p.Y >= -edge && p.Y <= h+edge) {
			outside++
		}
	}
	if outside > 0 {
		t.Errorf("%s: %d points are drawn outside the page", f.Name, outside)
	}
	for _, row := range f.panels {
		for _, p := range row {
			if p != nil && !(finite(p.X.Min, p.X.Max, p.Y.Min, p.Y.Max) && p.X.Min < p.X.Max && p.Y.Min < p.Y.Max) {
				t.Errorf("%s: axes from (%v, %v) to (%v, %v)", f.Name, p.X.Min, p.Y.Min, p.X.Max, p.Y.Max)
			}
		}
	}
	var svg bytes.Buffer
	if err := f.WriteSVG(&svg); err != nil {
		t.Fatal(err)
	}
	if n, m := bytes.Count(svg.Bytes(), []byte("<text ")), bytes.Count(svg.Bytes(), []byte(" textLength=")); n != m || n == 0 {
		t.Errorf("%s: %d of %d texts have a length", f.Name, m, n)
	}
	if n, m := bytes.Count(svg.Bytes(), []byte("<image ")), bytes.Count(svg.Bytes(), []byte("<image preserveAspectRatio=\"none\" ")); n != m {
		t.Errorf("%s: %d of %d backgrounds fill their frame", f.Name, m, n)
	}
	text := svgText(t, f.Name, svg.Bytes())
	for _, e := range f.legend {
		if !strings.Contains(text, e.label) {
			t.Errorf("%s: the SVG lacks the label %q", f.Name, e.label)
		}
	}
	if strings.Contains(text, "NaN") && !strings.Contains(f.Caption, "NaN") {
		t.Errorf("%s: a NaN is written: %s", f.Name, text)
	}
}

// strokes are the corners of all paths that a recorder holds, on the page.
func strokes(rec *recorder.Canvas) []vg.Point {
	type affine [6]float64 // x' = a x + c y + e; y' = b x + d y + f
	at := affine{1, 0, 0, 1, 0, 0}
	var stack []affine
	var all []vg.Point
	add := func(p vg.Path) {
		for _, c := range p {
			if c.Type == vg.CloseComp {
				continue
			}
			x, y := float64(c.Pos.X), float64(c.Pos.Y)
			all = append(all, vg.Point{X: vg.Length(at[0]*x + at[2]*y + at[4]), Y: vg.Length(at[1]*x + at[3]*y + at[5])})
		}
	}
	for _, a := range rec.Actions {
		switch a := a.(type) {
		case *recorder.Push:
			stack = append(stack, at)
		case *recorder.Pop:
			at, stack = stack[len(stack)-1], stack[:len(stack)-1]
		case *recorder.Translate:
			x, y := float64(a.Point.X), float64(a.Point.Y)
			at[4], at[5] = at[0]*x+at[2]*y+at[4], at[1]*x+at[3]*y+at[5]
		case *recorder.Rotate:
			sin, cos := math.Sincos(a.Angle)
			at = affine{at[0]*cos + at[2]*sin, at[1]*cos + at[3]*sin, at[2]*cos - at[0]*sin, at[3]*cos - at[1]*sin, at[4], at[5]}
		case *recorder.Scale:
			at = affine{at[0] * a.X, at[1] * a.X, at[2] * a.Y, at[3] * a.Y, at[4], at[5]}
		case *recorder.Stroke:
			add(a.Path)
		case *recorder.Fill:
			add(a.Path)
		}
	}
	return all
}

// svgText parses an SVG file as XML and returns its text, attributes of paths included.
func svgText(t *testing.T, name string, data []byte) string {
	t.Helper()
	var b strings.Builder
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("%s: not XML: %v", name, err)
		}
		switch token := token.(type) {
		case xml.CharData:
			b.Write(token)
			b.WriteByte('\n')
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Local == "d" {
					b.WriteString(a.Value + "\n")
				}
			}
		}
	}
}

// Every figure of every built-in problem can be drawn.
func TestBuiltins(t *testing.T) {
	for _, name := range problem.Builtins() {
		t.Run(name, func(t *testing.T) {
			methods := serving(t, name, "gd", "newton", "lm", "pg")
			d := run(t, name, "0.1:10:3", 12, Options{}, methods...)
			list := figures(t, d, Options{})
			want := 1 + len(methods) + 3 // all paths, each method's, landscapes, iterations, waterfall
			if d.Sweep.Model.Problem().N() == 2 {
				want++
			}
			if len(list) != want {
				t.Errorf("%d figures, want %d", len(list), want)
			}
			// As many paths start in the panel as there are.
			p := figure(t, list, "paths-gd")
			if !strings.Contains(p.Title, name) || !strings.Contains(p.Title, "gd") || !strings.Contains(p.Title, "alpha = 1") {
				t.Errorf("title %q", p.Title)
			}
			if len(p.panels[0]) != 2 {
				t.Errorf("%d panels, want x and y", len(p.panels[0]))
			}
		})
	}
}

// What a panel holds: the axes cover the starts, every path is there once.
func TestPathsPanel(t *testing.T) {
	d := run(t, "square", "0.1:10:3", 12, Options{}, "gd", "pg")
	s, err := newStudy(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.values[s.at] != 1 {
		t.Fatalf("drawn at alpha = %v, want the reference 1", s.values[s.at])
	}
	for m := range s.specs {
		list := s.paths[m][s.at]
		if len(list) != pathStarts {
			t.Fatalf("%d paths, want %d", len(list), pathStarts)
		}
		for _, sp := range []space{s.inputs(s.at), s.outputs(s.at)} {
			v := sp.view(list)
			for _, path := range list {
				if q := sp.at(path, 0); !v.contains(q[0], q[1]) {
					t.Errorf("start %v lies outside %v", q, v)
				}
			}
			for _, q := range sp.marks() {
				if !v.contains(q[0], q[1]) {
					t.Errorf("minimum %v lies outside %v", q, v)
				}
			}
		}
		lines := 0
		panels, _, off, err := s.pathPair(s.at, list, make([]look, len(list)), func(int) draw.LineStyle { lines++; return draw.LineStyle{Width: 1} })
		if err != nil || len(panels) != 2 || off != 0 {
			t.Fatalf("%d panels, %d cut, %v", len(panels), off, err)
		}
		if lines != 2*len(list) {
			t.Errorf("%d lines for %d paths in two panels", lines, len(list))
		}
	}
}

// With no known minimum, what is not drawn of more than two inputs is as at the lowest end of a path, not of one
// that came to nothing.
func TestCut(t *testing.T) {
	p, err := problem.Parse("fit.toml", []byte("inputs = [\"a\", \"b\", \"c\"]\noutputs = [\"a\", \"a + b\", \"b*c\"]\ntarget = [1, 2, 3]\nbox = [[0, 3], [0, 3], [0, 3]]\n"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.New(p)
	if err != nil {
		t.Fatal(err)
	}
	methods, err := batch.ParseMethods("gd:lr=0.0001")
	if err != nil {
		t.Fatal(err)
	}
	lm, err := batch.ParseMethods("lm")
	if err != nil {
		t.Fatal(err)
	}
	d := finishRun(t, &batch.Sweep{Model: m, Engine: &cpu.Portable{}, Starts: batch.Points{{2, 2, 2}, {0.5, 2.5, 1}}, Limits: batch.Limits{GTol: 1e-9, Iterations: 20},
		Methods: append(methods, lm...)}, Options{})
	s, err := newStudy(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{1, 1, 3} {
		if got := s.inputs(0).rest[i]; !(math.Abs(got-want) <= 1e-3) {
			t.Errorf("input %d is cut at %v, want %v", i, got, want)
		}
	}
	for i, want := range []float64{1, 2, 3} {
		if got := s.outputs(0).rest[i]; !(math.Abs(got-want) <= 1e-3) {
			t.Errorf("output %d is cut at %v, want %v", i, got, want)
		}
	}
}

// The field behind the paths is the problem's loss, in x and in y.
func TestFieldIsTheLoss(t *testing.T) {
	for _, name := range []string{"square", "exponential", "heat", "pendulum"} {
		d := run(t, name, "0.5:2:2", 3, Options{}, "gd")
		s, err := newStudy(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := d.Sweep.Model.Problem()
		rest := make([]float64, p.N())
		for i := range rest {
			rest[i] = 0.1 * float64(i)
		}
		for k := range s.points {
			pts := [][2]float64{{0.3, -0.2}, {1, 1}, {-0.7, 0.4}}
			in, err := s.lossX(k, rest)(pts)
			if err != nil {
				t.Fatal(err)
			}
			for i, q := range pts {
				x := append([]float64{q[0], q[1]}, rest[2:]...)
				y, want, err := p.Eval(s.byName(k), x)
				if err != nil {
					t.Fatal(err)
				}
				if d := math.Abs(in[i] - want); !(d <= 1e-12*math.Abs(want)) {
					t.Errorf("%s: L(P(%v)) = %v, want %v", name, x, in[i], want)
				}
				out, err := s.lossY(k, y)([][2]float64{{y[0], y[1]}})
				if err != nil {
					t.Fatal(err)
				}
				if d := math.Abs(out[0] - want); !(d <= 1e-12*math.Abs(want)) {
					t.Errorf("%s: L(%v) = %v, want %v", name, y, out[0], want)
				}
			}
		}
	}
}

// A contour of x^2 + y^2 is a circle, in one piece and closed.
func TestContour(t *testing.T) {
	f, err := newField(view{-2, 2, -2, 2}, func(pts [][2]float64) ([]float64, error) {
		z := make([]float64, len(pts))
		for i, p := range pts {
			z[i] = p[0]*p[0] + p[1]*p[1]
		}
		return z, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.levels) < 4 || len(f.levels) > 12 {
		t.Errorf("%d levels", len(f.levels))
	}
	lines := f.contour(0) // log10 L = 0
	if len(lines) != 1 || len(lines[0]) < 100 || lines[0][0] != lines[0][len(lines[0])-1] {
		t.Fatalf("%d pieces, want one closed line", len(lines))
	}
	for _, p := range lines[0] {
		if d := math.Abs(math.Hypot(p[0], p[1]) - 1); !(d <= 1e-3) {
			t.Errorf("%v is %g off the circle", p, d)
		}
	}
	// What is not finite has no contour and breaks nothing.
	for i := range f.z {
		switch i % 3 {
		case 0:
			f.z[i] = math.NaN()
		case 1:
			f.z[i] = math.Inf(1)
		}
	}
	if lines := f.contours(); len(lines) != 0 {
		t.Errorf("%d contours among holes", len(lines))
	}
	f.bands(50)
}

func TestLevels(t *testing.T) {
	for _, z := range [][]float64{
		{}, {math.NaN(), math.Inf(1)}, {0, 0, 0}, {1, 1, 1}, {0, 1e-300, 1e300}, {1e308, -1e308}, {-1, 0, 1, 2}, {5e-324, 1},
	} {
		_, at, caption := levels(z)
		if len(at) > 25 || caption == "" {
			t.Errorf("%v: %d levels, %q", z, len(at), caption)
		}
		for i := 1; i < len(at); i++ {
			if !(at[i] > at[i-1]) {
				t.Errorf("%v: levels %v do not rise", z, at)
			}
		}
	}
}

// Lines end at the frame, wherever they come from.
func TestClip(t *testing.T) {
	v := view{0, 1, 0, 2}
	for _, c := range []struct {
		line [][2]float64
		want [][][2]float64
	}{
		{[][2]float64{{0.5, 0.5}, {0.6, 0.6}}, [][][2]float64{{{0.5, 0.5}, {0.6, 0.6}}}},
		{[][2]float64{{-1, 1}, {2, 1}}, [][][2]float64{{{0, 1}, {1, 1}}}},
		{[][2]float64{{0.5, 1}, {0.5, 5}, {0.75, 5}, {0.75, 1}}, [][][2]float64{{{0.5, 1}, {0.5, 2}}, {{0.75, 2}, {0.75, 1}}}},
		{[][2]float64{{0.5, 1}, {math.NaN(), 1}, {0.25, 1}, {0.25, 1.5}}, [][][2]float64{{{0.25, 1}, {0.25, 1.5}}}},
		{[][2]float64{{2, 2}, {3, 1}}, nil},
		{[][2]float64{{0.5, 1}, {math.Inf(1), 1}}, nil},
	} {
		if got := clip(c.line, v); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v: %v, want %v", c.line, got, c.want)
		}
	}
	for _, huge := range []float64{1e300, math.MaxFloat64} {
		for _, piece := range clip([][2]float64{{0.5, 1}, {huge, -huge}, {-huge, huge}}, v) {
			for _, p := range piece {
				if !v.contains(p[0], p[1]) {
					t.Errorf("%v lies outside the frame", p)
				}
			}
		}
	}
}

// Methods can be told apart by more than colour, also where they come with several settings.
func TestLooks(t *testing.T) {
	var all, settings []batch.Spec
	for _, m := range batch.Methods() {
		all = append(all, batch.Spec{Method: m})
		if !slices.Contains(lookOrder, m.Name) {
			t.Errorf("method %s has no look of its own", m.Name)
		}
	}
	for i := range 8 {
		settings = append(settings, batch.Spec{Method: all[0].Method, Set: map[string]float64{"lr": float64(i + 1)}})
	}
	for _, list := range [][]batch.Spec{all, settings, append(settings, all[1:]...)} {
		seen := map[string]string{}
		for i, l := range methodLooks(list) {
			for _, k := range []string{fmt.Sprint(l.color, l.dash), fmt.Sprint(l.color, l.marker.name)} {
				if other, ok := seen[k]; ok {
					t.Errorf("%s and %s look alike: %s", other, list[i], k)
				}
				seen[k] = list[i].String()
			}
		}
	}
	for _, list := range []string{strings.Join(lookOrder[:8], ","), "gd,momentum,nesterov,adagrad,rmsprop,adam", "newton,newton-ls,bfgs,lbfgs", "gd,newton,gn,ig,pg,hig"} {
		specs, err := batch.ParseMethods(list)
		if err != nil {
			t.Fatal(err)
		}
		colors := map[any]bool{}
		for _, l := range methodLooks(specs) {
			colors[l.color] = true
		}
		if len(colors) != len(specs) {
			t.Errorf("%s: %d colours", list, len(colors))
		}
	}
}

// Printed in grey, minima can be told apart.
func TestBasinColorsInGrey(t *testing.T) {
	var grey []int
	for _, c := range append([]color.RGBA{elsewhereColor}, basinColors...) {
		grey = append(grey, int(color.GrayModel.Convert(c).(color.Gray).Y))
	}
	slices.Sort(grey)
	for i := 1; i < len(grey); i++ {
		if !(grey[i]-grey[i-1] >= 20) {
			t.Errorf("greys %v: two are nearly one", grey)
		}
	}
}

// A method looks the same whatever the others are, and so does one of one's own.
func TestLooksStay(t *testing.T) {
	specs := []batch.Spec{{Method: &batch.Method{Name: "mine"}}}
	for _, m := range batch.Methods() {
		specs = append(specs, batch.Spec{Method: m})
	}
	all := methodLooks(specs)
	for i, s := range specs {
		if alone := methodLooks([]batch.Spec{s})[0]; !reflect.DeepEqual(alone, all[i]) {
			t.Errorf("%s: %v alone, %v among all", s.Method.Name, alone, all[i])
		}
	}
}

func TestTicks(t *testing.T) {
	for _, r := range [][2]float64{{0, 1}, {-3.2, 3.2}, {0.0123, 0.0129}, {1e-9, 2e-9}, {1e6, 9e6}, {-1e300, 1e300}, {0, 5e-290}} {
		tick := linearTicks{6, 0}.Ticks(r[0], r[1])
		labels := map[string]bool{}
		for _, k := range tick {
			labels[k.Label] = true
			if k.Value < r[0]-1e-9*(r[1]-r[0]) || k.Value > r[1]+1e-9*(r[1]-r[0]) {
				t.Errorf("%v: tick %v lies outside", r, k)
			}
		}
		if len(tick) < 2 || len(tick) > 8 || len(labels) != len(tick) {
			t.Errorf("%v: ticks %v", r, tick)
		}
	}
	if n, m := len(linearTicks{8, 60}.Ticks(0, 1)), len(linearTicks{8, 0}.Ticks(0, 1)); n >= m {
		t.Errorf("%d ticks on a narrow axis, %d on a wide one", n, m)
	}
	for _, r := range [][2]float64{{-2, 2}, {0, 0.4}, {-300, 300}, {0.3, 1.2}, {0.001, 0.0011}} {
		n := 0
		for _, k := range logTicks(8).Ticks(r[0], r[1]) {
			if k.Label != "" {
				n++
			}
		}
		if n < 2 || n > 14 {
			t.Errorf("1e%v to 1e%v: %d labels", r[0], r[1], n)
		}
	}
}

// Whatever samples and paths came to, the figures are drawn, on the page.
func TestExtremes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	base := func() *Data { return run(t, "square", "1:100:3", 5, Options{}, "gd", "pg") }
	for name, change := range map[string]func(*Data){
		"nothing but a sweep": func(d *Data) { d.Cells, d.Paths, d.Samples = nil, nil, nil },
		"a cell is missing":   func(d *Data) { d.Cells = d.Cells[:4] },
		"losses not finite": func(d *Data) {
			for i := range d.Samples {
				d.Samples[i].Loss = []float64{nan, inf, -inf}[i%3]
			}
		},
		"losses of zero": func(d *Data) {
			for i := range d.Samples {
				d.Samples[i].Loss = 0
			}
		},
		"losses of both signs": func(d *Data) {
			for i := range d.Samples {
				d.Samples[i].Loss = []float64{-1e300, -1e-300, 0, 1, 1e300}[i%5]
			}
		},
		"losses far apart": func(d *Data) {
			for i := range d.Samples {
				d.Samples[i].Loss = []float64{5e-324, 0, 1e308}[i%3]
			}
		},
		"paths run away": func(d *Data) {
			for _, p := range d.Paths {
				for k := 1; k < len(p.X); k++ {
					s := math.Pow(-1e40, float64(k))
					p.X[k][0], p.Y[k][1], p.Loss[k] = s, s, s*s
				}
			}
		},
		"paths are NaN": func(d *Data) {
			for _, p := range d.Paths {
				for k := range p.X {
					p.X[k][0], p.Y[k][1], p.Loss[k] = nan, inf, nan
				}
			}
		},
		"paths are points": func(d *Data) {
			for i := range d.Paths {
				p := &d.Paths[i]
				p.X, p.Y, p.Loss = p.X[:1], p.Y[:1], p.Loss[:1]
			}
		},
		"ends are NaN": func(d *Data) {
			for i := range d.Samples {
				d.Samples[i].X = []float64{nan, nan}
			}
		},
		"no medians": func(d *Data) {
			for i := range d.Cells {
				d.Cells[i].IterationsMedian, d.Cells[i].Status = nan, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := base()
			change(d)
			figures(t, d, Options{})
			checkReport(t, d, Options{})
		})
	}
	t.Run("one point, one start", func(t *testing.T) {
		d := run(t, "rosenbrock", "1", 1, Options{}, "lm")
		list := figures(t, d, Options{})
		for _, f := range list {
			if f.Name == "iterations" {
				t.Error("one grid point has no line")
			}
		}
		checkReport(t, d, Options{})
	})
	t.Run("one dimension", func(t *testing.T) {
		d := run(t, "linear1d", "1:10:2", 4, Options{}, "gd", "newton", "pg")
		figures(t, d, Options{})
		checkReport(t, d, Options{})
	})
	t.Run("sixteen methods", func(t *testing.T) {
		var all []string
		for _, m := range batch.Methods() {
			all = append(all, m.Name)
		}
		figures(t, run(t, "square", "1:10:2", 3, Options{}, all...), Options{})
	})
}

// A waterfall shows zeros and losses that are not finite at places with names.
func TestWaterfallEdges(t *testing.T) {
	d := run(t, "square", "1", 6, Options{}, "gd")
	for i := range d.Samples {
		d.Samples[i].Loss = []float64{0, 1e-8, 1e-4, 1, math.Inf(1), math.NaN()}[i]
	}
	f := figure(t, figures(t, d, Options{}), "waterfall")
	y := f.panels[0][0].Y
	places := map[string]float64{}
	for _, k := range y.Tick.Marker.Ticks(y.Min, y.Max) {
		places[k.Label] = k.Value
	}
	zero, ok1 := places["0"]
	lost, ok2 := places["not finite"]
	if !ok1 || !ok2 || !(zero < -8) || !(lost > 0) || !(zero > y.Min) || !(lost < y.Max) {
		t.Errorf("ticks %v on an axis from %v to %v", places, y.Min, y.Max)
	}
	for _, s := range []scale{{log: true}, {}, {unit: 1e-3}} {
		line := lossLine([]float64{math.Inf(-1), 0, 1e-300, 1, 1e300, math.Inf(1)}, s, -500, 1e301)
		for i, q := range line {
			if !finite(q[0], q[1]) || i > 0 && (q[0] <= line[i-1][0] || q[1] < line[i-1][1]) {
				t.Errorf("%+v: %v", s, line)
			}
		}
	}
}

// The basins of Himmelblau's function: near each minimum the colour is that minimum's.
func TestBasins(t *testing.T) {
	d := run(t, "himmelblau", "1", 200, Options{}, "lm", "newton")
	s, err := newStudy(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	minima, near, known := s.goals(0)
	if len(minima) != 4 || !known {
		t.Fatalf("%d minima, known: %v", len(minima), known)
	}
	counts := map[int]int{}
	for _, x := range s.samples[0][0] {
		c := class(x, minima, near)
		counts[c]++
		if c >= 0 {
			if d := math.Hypot(x.X[0]-minima[c][0], x.X[1]-minima[c][1]); !(d <= 1e-6) {
				t.Errorf("a sample of minimum %d ends %g away from it", c, d)
			}
		}
		if (c == lost) != (x.Status != batch.Converged) {
			t.Errorf("class %d with status %v", c, x.Status)
		}
	}
	strayed := 0
	for _, x := range s.samples[1][0] {
		c := class(x, minima, near)
		if (c == lost) != (x.Status != batch.Converged) {
			t.Errorf("class %d with status %v", c, x.Status)
		}
		if c == lost {
			strayed++
		}
	}
	if strayed == 0 {
		t.Error("newton converged everywhere: the test needs samples that do not")
	}
	for c := range minima {
		if counts[c] == 0 {
			t.Errorf("no start reached minimum %d: %v", c, counts)
		}
	}
	// Where no minimum is known, the places that were reached are found.
	places := [][2]float64{{1, 1}, {1, 1 + 1e-9}, {-2, 2}}
	d.Samples = nil
	for i, p := range places {
		d.Samples = append(d.Samples, Sample{Params: []float64{1}, Start: i, X0: []float64{0, 0}, X: p[:], Status: batch.Converged})
	}
	s, err = newStudy(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Sweep.Model.Problem().Minima, minima = nil, nil
	if minima, _, known = s.goals(0); len(minima) != 2 || known {
		t.Errorf("%d places, want 2", len(minima))
	}
}

// The line of points that is drawn, on a grid of two parameters.
func TestLine(t *testing.T) {
	d := run(t, "exponential", "0.1:10:5", 2, Options{}, "lm")
	sw := *d.Sweep
	sw.Grid = append(batch.Grid{{Name: "phi", Values: []float64{0, 0.5, 1}}}, sw.Grid...)
	at := 9.0
	l, err := newLine(&sw, Options{At: &at})
	if err != nil {
		t.Fatal(err)
	}
	if l.name != "alpha" || len(l.points) != 5 || l.values[l.at] != 10 {
		t.Errorf("line %+v", l)
	}
	for i, k := range l.points {
		if v := sw.Grid.At(k); v[0] != 0.5 || v[1] != l.values[i] {
			t.Errorf("point %d is %v, want phi = 0.5 and alpha = %v", k, v, l.values[i])
		}
	}
	if l, err = newLine(&sw, Options{Axis: "phi"}); err != nil || len(l.points) != 3 || l.values[l.at] != 0.5 {
		t.Errorf("along phi: %+v, %v", l, err)
	}
	for i, k := range l.points {
		if v := sw.Grid.At(k); v[1] != 1 || v[0] != l.values[i] {
			t.Errorf("point %d is %v", k, v)
		}
	}
	if _, err = newLine(&sw, Options{Axis: "beta"}); err == nil || !strings.Contains(err.Error(), "phi, alpha") {
		t.Errorf("an unknown axis: %v", err)
	}
	for _, c := range [][3]int{{1000, 61, 500}, {5, 9, 2}, {100, 4, 1}, {100, 4, 99}, {10, 1, 3}} {
		got := spread(c[0], c[1], c[2])
		has := false
		for i, k := range got {
			has = has || k == c[2]
			if i > 0 && k <= got[i-1] {
				t.Errorf("spread%v = %v", c, got)
			}
		}
		if !has || len(got) > max(c[1], 3) || got[0] != 0 {
			t.Errorf("spread%v = %v", c, got)
		}
	}
}

// A recorder keeps the samples that the engine gave, and no more than it may.
func TestRecorder(t *testing.T) {
	d := run(t, "rosenbrock", "0.1:10:4", 40, Options{}, "lm", "gd")
	if len(d.Samples) != 4*40*2 {
		t.Fatalf("%d samples, want %d", len(d.Samples), 4*40*2)
	}
	p := d.Sweep.Model.Problem()
	for _, x := range d.Samples {
		_, loss, err := p.Eval(map[string]float64{"alpha": x.Params[0]}, x.X)
		if err != nil {
			t.Fatal(err)
		}
		if finite(x.Loss, loss) {
			if d := math.Abs(loss - x.Loss); !(d <= 1e-6*math.Abs(loss)+1e-25) {
				t.Errorf("%+v: the loss at its end is %v", x, loss)
			}
		}
	}
	r, err := NewRecorder(d.Sweep, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.keep = 3
	for _, x := range d.Samples {
		r.Add(x)
	}
	if len(r.Samples()) != 4*3*2 {
		t.Errorf("%d samples, want %d", len(r.Samples()), 4*3*2)
	}
}

// The samples of a sweep in float32 may come with its parameters as they were computed with; they belong to the grid points all
// the same.
func TestRecorderFloat32(t *testing.T) {
	d := run(t, "rosenbrock", "0.1,0.2", 3, Options{}, "lm")
	d.Sweep.DType = program.F32
	r, err := NewRecorder(d.Sweep, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range d.Samples {
		x.Params = []float64{float64(float32(x.Params[0]))}
		r.Add(x)
	}
	if d.Samples = r.Samples(); len(d.Samples) != 2*3 {
		t.Errorf("%d samples are kept, want %d", len(d.Samples), 2*3)
	}
	figure(t, figures(t, d, Options{}), "waterfall")
}

// checkReport writes a report and looks through it.
func checkReport(t *testing.T, d *Data, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteReport(&b, d, o); err != nil {
		t.Fatal(err)
	}
	s := b.String()
	_, data, ok := strings.Cut(s, "<script>const report = ")
	data, _, ok2 := strings.Cut(data, ", statuses = ")
	if !ok || !ok2 {
		t.Fatal("the report has no data")
	}
	var r reportData
	if err := json.Unmarshal([]byte(data), &r); err != nil {
		t.Fatalf("the report's data: %v", err)
	}
	if len(r.Methods) != len(d.Sweep.Methods) || r.At >= len(r.Points) {
		t.Errorf("%d methods, point %d of %d", len(r.Methods), r.At, len(r.Points))
	}
	return s
}

func TestReport(t *testing.T) {
	d := run(t, "himmelblau", "0.1:10:5", 50, Options{}, "gd", "lm")
	d.Command = "sweep --problem '</script><script>alert(1)</script>'"
	d.Config = "name = \"<b>\""
	s := checkReport(t, d, Options{})
	if strings.Contains(s, "<script>alert") || strings.Contains(s, "<b>\"") {
		t.Error("text of the user's became markup")
	}
	// Nothing is fetched: no element has a source, and the policy forbids it.
	head, _, _ := strings.Cut(s, "<script>")
	for _, bad := range []string{" src=", "<link", "@import", "url("} {
		if strings.Contains(head, bad) {
			t.Errorf("the report has %q", bad)
		}
	}
	if !strings.Contains(head, "default-src 'none'") || strings.Count(head, "<td ") != (2+9)*len(d.Cells) {
		t.Errorf("the policy or the table is missing: %d fields for %d cells", strings.Count(head, "<td "), len(d.Cells))
	}
	if !strings.Contains(head, "All methods at the grid point chosen, from 50 starts;") {
		t.Error("the report does not say how many starts it shows")
	}
	if !strings.Contains(s, "University of Washington") || !strings.Contains(s, "Bostock") {
		t.Error("the licences are missing")
	}
}

// What is drawn of many starts is said to be a part of them.
func TestSomeStarts(t *testing.T) {
	d := run(t, "square", "1:10:2", reportStarts+1, Options{}, "pg")
	some := fmt.Sprintf("the first %d of %d starts", reportStarts, reportStarts+1)
	if s := checkReport(t, d, Options{}); strings.Count(s, some) != 2 {
		t.Errorf("the report says %d times that it shows %s, want 2", strings.Count(s, some), some)
	}
	d.Samples = slices.DeleteFunc(d.Samples, func(s Sample) bool { return s.Start >= 7 })
	some = fmt.Sprintf("the first 7 of %d starts", reportStarts+1)
	for _, f := range figures(t, d, Options{}) {
		if (f.Name == "basins" || f.Name == "waterfall") && !strings.Contains(f.Caption, some) {
			t.Errorf("%s: %s; want %s", f.Name, f.Caption, some)
		}
	}
}

// The JavaScript is what its README says.
func TestVendored(t *testing.T) {
	sums, err := os.ReadFile("vega/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	if len(lines) != 3 {
		t.Errorf("%d checksums, want 3", len(lines))
	}
	for _, l := range lines {
		f := strings.Fields(l)
		data, err := vegaFiles.ReadFile("vega/" + f[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != f[0] {
			t.Errorf("%s has the checksum %s, want %s", f[1], got, f[0])
		}
		// These would end the script element.
		for _, bad := range []string{"</script", "<!--"} {
			if bytes.Contains(bytes.ToLower(data), []byte(bad)) {
				t.Errorf("%s contains %q", f[1], bad)
			}
		}
	}
}

// Write leaves whole files only, of the size that was promised.
func TestWrite(t *testing.T) {
	d := run(t, "square", "0.1:10:3", 10, Options{}, "gd", "pg")
	dir := filepath.Join(t.TempDir(), "a", "b")
	names, err := Write(t.Context(), dir, d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) || names[len(names)-1] != "report.html" {
		t.Errorf("files %v, reported %v", entries, names)
	}
	for _, n := range names {
		if filepath.Ext(n) != ".png" {
			continue
		}
		f, err := os.Open(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if img.Bounds().Dx() != 1200 {
			t.Errorf("%s is %d pixels wide, want 1200", n, img.Bounds().Dx())
		}
	}
	if err := writeFile(filepath.Join(dir, "x"), func(io.Writer) error { return io.ErrUnexpectedEOF }); err == nil {
		t.Error("a failed write is no error")
	}
	if again, _ := os.ReadDir(dir); len(again) != len(entries) {
		t.Error("a failed write left a file")
	}
}

func TestErrors(t *testing.T) {
	if _, err := Figures(&Data{}, Options{}); err == nil {
		t.Error("no sweep is no error")
	}
	d := run(t, "square", "1", 2, Options{}, "gd")
	d.Sweep.Grid = nil
	at := 3.0
	if _, err := Figures(d, Options{At: &at}); err == nil || !strings.Contains(err.Error(), "one grid point") {
		t.Errorf("a value on no axis: %v", err)
	}
}
