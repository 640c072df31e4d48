package plot

import (
	"bytes"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"image/png"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"invar/batch"
	"invar/internal/plural"
)

//go:embed report/report.html report/report.css report/report.js
var reportFiles embed.FS

//go:embed vega/vega.min.js vega/vega-lite.min.js vega/vega-embed.min.js
//go:embed vega/LICENSE-vega.txt vega/LICENSE-vega-lite.txt vega/LICENSE-vega-embed.txt vega/LICENSES-bundled.txt
var vegaFiles embed.FS

// What a report holds at most, so that it stays a few megabytes large.
const (
	reportPoints  = 13
	reportSamples = 24_000
	reportStarts  = 400  // of one method at one point
	reportRows    = 2000 // of the table
)

// num is a number in JSON with six digits; null where it is not finite.
type num float64

// MarshalJSON implements json.Marshaler.
func (n num) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', 6, 64), nil
}

func nums(x []float64) []num {
	r := make([]num, len(x))
	for i, v := range x {
		r[i] = num(v)
	}
	return r
}

// The report's data, as report.js reads it. Methods and points are named by their indices.
type reportData struct {
	Problem string         `json:"problem"`
	Inputs  []string       `json:"inputs"`
	Outputs int            `json:"outputs"`
	Axis    string         `json:"axis"`
	Log     bool           `json:"log"`
	Limit   int            `json:"limit"`
	Methods []reportMethod `json:"methods"`
	Points  []reportPoint  `json:"points"` // those that can be chosen
	At      int            `json:"at"`     // the one chosen at first
	Starts  map[int][]num  `json:"starts"`
	Curve   []reportCell   `json:"curve"`
	Samples []reportCloud  `json:"samples"`
	Paths   []reportPath   `json:"paths"`
	Classes []reportClass  `json:"classes"`
}

type reportMethod struct {
	Label string  `json:"label"`
	Color string  `json:"color"`
	Dash  []int   `json:"dash"`
	Shape string  `json:"shape"`
	Width float64 `json:"width"`
}

type reportPoint struct {
	Label  string  `json:"label"`
	X      *field2 `json:"x"`
	Y      *field2 `json:"y"`
	Minima [][]num `json:"minima"`
}

// field2 is a backdrop: its frame, and its picture as a data URL, or in one dimension a curve.
type field2 struct {
	View  [4]num   `json:"view"`
	Image string   `json:"image,omitempty"`
	Curve [][2]num `json:"curve,omitempty"`
	Marks [][2]num `json:"marks"`
}

type reportCell struct {
	Method     int `json:"m"`
	Value      num `json:"v"`
	Iterations num `json:"it"`
	P90        num `json:"p90"`
	Converged  num `json:"c"`
	Loss       num `json:"loss"`
	Samples    int `json:"n"`
}

// reportCloud are the samples of one method at one point, column by column.
type reportCloud struct {
	Method      int     `json:"m"`
	Point       int     `json:"p"`
	Start       []int   `json:"s"`
	X           [][]num `json:"x"`
	Loss        []num   `json:"loss"`
	Iterations  []int64 `json:"it"`
	Evaluations []int64 `json:"ev"`
	Status      []int   `json:"st"`
	Class       []int   `json:"c"`
}

type reportPath struct {
	Method int      `json:"m"`
	Point  int      `json:"p"`
	Start  int      `json:"s"`
	Status string   `json:"st"`
	Step   []int    `json:"k"`
	X      [][2]num `json:"x"` // on the page
	Y      [][2]num `json:"y"`
	Loss   []num    `json:"loss"`
	Far    []int    `json:"far"` // indices of iterates far outside of the frame: x or y is where the way there leaves its surroundings
}

type reportClass struct {
	Class int    `json:"c"`
	Point int    `json:"p"`
	Label string `json:"label"`
	Color string `json:"color"`
}

func hex(c interface{ RGBA() (r, g, b, a uint32) }) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// WriteReport writes the report: one HTML file that needs nothing else, and no network.
func WriteReport(w io.Writer, d *Data, o Options) error {
	s, err := newStudy(d, o)
	if err != nil {
		return err
	}
	data, err := s.report()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	text := func(fs embed.FS, name string) string {
		b, err := fs.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		return string(b)
	}
	p := d.Sweep.Model.Problem()
	t, err := template.New("report").Parse(text(reportFiles, "report/report.html"))
	if err != nil {
		return err
	}
	var statuses []string
	for i := batch.Running; len(statuses) <= len(batch.Statuses()); i++ {
		statuses = append(statuses, i.String())
	}
	statusJSON, err := json.Marshal(statuses)
	if err != nil {
		return err
	}
	header, rows, left := s.table()
	var licences []string
	for _, name := range []string{"vega", "vega-lite", "vega-embed"} {
		licences = append(licences, name+"\n\n"+text(vegaFiles, "vega/LICENSE-"+name+".txt"))
	}
	licences = append(licences, "Built into vega.min.js and vega-embed.min.js:\n\n"+text(vegaFiles, "vega/LICENSES-bundled.txt"))
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Problem":     p.Name,
		"Description": strings.TrimSpace(p.Description),
		"Source":      p.Source,
		"Summary":     s.summary(),
		"Axis":        s.name,
		"Samples":     len(data.Samples) > 0,
		"Shown":       s.shown(data),
		"Paths":       len(data.Paths) > 0,
		"Curve":       len(s.points) > 1 && len(data.Curve) > 0,
		"Points":      len(data.Points) > 1,
		"Header":      header, "Rows": rows, "Left": left,
		"Config": d.Config, "Command": d.Command,
		"Licences": strings.Join(licences, "\n"+strings.Repeat("=", 72)+"\n"),
		"CSS":      template.CSS(text(reportFiles, "report/report.css")),
		"Scripts": []template.JS{template.JS(text(vegaFiles, "vega/vega.min.js")),
			template.JS(text(vegaFiles, "vega/vega-lite.min.js")), template.JS(text(vegaFiles, "vega/vega-embed.min.js"))},
		// json.Marshal escapes <, > and &, so that no text of a problem can end the script.
		"Data":   template.JS("const report = " + string(raw) + ", statuses = " + string(statusJSON) + ";"),
		"Script": template.JS(text(reportFiles, "report/report.js")),
	})
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// summary says in a line what was run.
func (s *study) summary() string {
	sw := s.Sweep
	n := 0
	if sw.Starts != nil {
		n = sw.Starts.Len()
	}
	t := fmt.Sprintf("%s, %s, %s, at most %s a sample", plural.Of(len(s.specs), "method"), plural.Of(sw.Grid.Len(), "grid point"),
		plural.Of(n, "start"), plural.Of(sw.Limits.Iterations, "iteration"))
	for _, q := range []struct {
		name  string
		value float64
		means string
	}{
		{"dtol", sw.Limits.DTol, "distance to the nearest known minimum"}, {"gtol", sw.Limits.GTol, "gradient relative to its start"},
		{"ltol", sw.Limits.LTol, "loss"},
	} {
		if q.value > 0 {
			t += fmt.Sprintf("; converged: %s at most %s", q.means, number(q.value))
		}
	}
	return t + "."
}

// shown says how many starts of a method the report has at a grid point.
func (s *study) shown(data *reportData) string {
	most := 0
	for _, c := range data.Samples {
		most = max(most, len(c.Start))
	}
	return s.drawn(most)
}

// report collects the data of the figures.
func (s *study) report() (*reportData, error) {
	p := s.Sweep.Model.Problem()
	r := &reportData{Problem: p.Name, Inputs: p.Inputs, Outputs: p.M(), Axis: s.name, Log: logarithmic(s.values),
		Limit: s.Sweep.Limits.Iterations, Starts: map[int][]num{}, Methods: []reportMethod{}, Points: []reportPoint{},
		Curve: []reportCell{}, Samples: []reportCloud{}, Paths: []reportPath{}, Classes: []reportClass{}}
	for m, label := range s.labels {
		l := s.looks[m]
		dash := []int{}
		for _, x := range l.dash {
			dash = append(dash, int(math.Round(float64(x))))
		}
		r.Methods = append(r.Methods, reportMethod{label, hex(l.color), dash, l.marker.name, float64(taper(m, len(s.specs), 1.6, 4))})
		for k, c := range s.cells[m] {
			if c != nil && s.axis >= 0 {
				r.Curve = append(r.Curve, reportCell{m, num(s.values[k]), num(c.IterationsMedian), num(c.IterationsP90),
					num(float64(c.Status[batch.Converged]) / float64(max(c.Samples, 1))), num(c.LossMedian), c.Samples})
			}
		}
	}
	traced, near := s.traced()
	if len(traced) == 0 {
		traced, near = make([]int, len(s.points)), s.at
		for i := range traced {
			traced[i] = i
		}
	}
	var points []int
	for _, i := range spread(len(traced), reportPoints, near) {
		if i == near {
			r.At = len(points)
		}
		points = append(points, traced[i])
	}
	each := min(reportStarts, max(reportSamples/max(len(points)*len(s.specs), 1), 20))
	for i, point := range points {
		at, err := s.reportPoint(point)
		if err != nil {
			return nil, err
		}
		r.Points = append(r.Points, at)
		r.Classes = append(r.Classes, s.classes(i, point)...)
		minima, within, _ := s.goals(point)
		for m := range s.specs {
			if list := s.samples[m][point]; len(list) > 0 {
				c := reportCloud{Method: m, Point: i}
				for _, x := range list[:min(each, len(list))] {
					r.Starts[x.Start] = nums(x.X0)
					c.Start, c.X, c.Loss = append(c.Start, x.Start), append(c.X, nums(x.X)), append(c.Loss, num(x.Loss))
					c.Iterations, c.Evaluations = append(c.Iterations, x.Iterations), append(c.Evaluations, x.Evaluations)
					c.Status, c.Class = append(c.Status, int(x.Status)), append(c.Class, min(class(x, minima, within), len(basinColors)-1))
				}
				r.Samples = append(r.Samples, c)
			}
			for _, path := range s.paths[m][point] {
				r.Paths = append(r.Paths, s.reportPath(m, i, point, path, at))
			}
		}
	}
	return r, nil
}

// reportPath is a path without the iterates that cannot be told apart on the page, and without those
// that are not finite.
func (s *study) reportPath(m, i, point int, path *batch.Path, at reportPoint) reportPath {
	r := reportPath{Method: m, Point: i, Start: path.Start, Status: path.Status.String(), Step: []int{}, X: [][2]num{}, Y: [][2]num{}, Loss: []num{}, Far: []int{}}
	in, out := s.inputs(point), s.outputs(point)
	frame := func(f *field2) view {
		return view{float64(f.View[0]), float64(f.View[1]), float64(f.View[2]), float64(f.View[3])}
	}
	vx, vy := frame(at.X), frame(at.Y)
	var lastX, lastY [2]float64
	for k := range path.X {
		x, y := in.at(path, k), out.at(path, k)
		if !finite(x[0], x[1], y[0], y[1]) {
			continue
		}
		if k > 1 && k < len(path.X)-1 && (close2(x, lastX, vx) && close2(y, lastY, vy) || beyond(x, lastX, vx) && beyond(y, lastY, vy)) {
			continue
		}
		// A browser cannot draw to any place that a path may have run away to.
		nearX, nearY := x, y
		if k > 0 {
			var okX, okY bool
			if _, nearX, okX = clipSegment(lastX, x, vx.grown(10)); !okX {
				continue
			}
			if _, nearY, okY = clipSegment(lastY, y, vy.grown(10)); !okY {
				continue
			}
		}
		if nearX != x || nearY != y {
			r.Far = append(r.Far, len(r.Step))
		}
		x, y = nearX, nearY
		lastX, lastY = x, y
		r.Step = append(r.Step, k)
		r.X, r.Y = append(r.X, [2]num{num(x[0]), num(x[1])}), append(r.Y, [2]num{num(y[0]), num(y[1])})
		r.Loss = append(r.Loss, num(path.Loss[k]))
	}
	return r
}

// beyond reports whether the way from a to b lies on one side of the frame.
func beyond(a, b [2]float64, v view) bool {
	return a[0] > v.xmax && b[0] > v.xmax || a[0] < v.xmin && b[0] < v.xmin || a[1] > v.ymax && b[1] > v.ymax || a[1] < v.ymin && b[1] < v.ymin
}

func close2(a, b [2]float64, v view) bool {
	return math.Hypot((a[0]-b[0])/(v.xmax-v.xmin), (a[1]-b[1])/(v.ymax-v.ymin)) < 0.004
}

// reportPoint draws the backdrops of a grid point.
func (s *study) reportPoint(point int) (reportPoint, error) {
	r := reportPoint{Label: s.where(point), Minima: [][]num{}}
	for _, m := range s.minima(point) {
		r.Minima = append(r.Minima, nums(m))
	}
	var list []*batch.Path
	for m := range s.paths {
		list = append(list, s.paths[m][point]...)
	}
	for _, sp := range []space{s.inputs(point), s.outputs(point)} {
		f := &field2{Marks: [][2]num{}}
		v := sp.view(list)
		f.View = [4]num{num(v.xmin), num(v.xmax), num(v.ymin), num(v.ymax)}
		for _, q := range sp.marks() {
			if finite(q[0], q[1]) {
				f.Marks = append(f.Marks, [2]num{num(q[0]), num(q[1])})
			}
		}
		switch {
		case len(list) == 0 && !sp.input: // nothing to put it behind
		case sp.dims == 1:
			curve, err := sp.curve(v)
			if err != nil {
				return r, err
			}
			for _, q := range curve {
				f.Curve = append(f.Curve, [2]num{num(q[0]), num(q[1])})
			}
		default:
			loss := s.lossY(point, sp.rest)
			if sp.input {
				loss = s.lossX(point, sp.rest)
			}
			fd, err := newField(v, loss)
			if err != nil {
				return r, err
			}
			var b bytes.Buffer
			if err := png.Encode(&b, fd.bands(300)); err != nil {
				return r, err
			}
			f.Image = "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
		}
		if sp.input {
			r.X = f
		} else {
			r.Y = f
		}
	}
	return r, nil
}

// classes are the outcomes that samples at a point can have.
func (s *study) classes(i, point int) []reportClass {
	var list []reportClass
	minima, _, _ := s.goals(point)
	for c := range min(len(minima), len(basinColors)) {
		at := make([]string, len(minima[c]))
		for k, x := range minima[c] {
			at[k] = short(x)
		}
		label := "reached (" + strings.Join(at, ", ") + ")"
		if c == len(basinColors)-1 && len(minima) > len(basinColors) {
			label = "reached another minimum"
		}
		list = append(list, reportClass{c, i, label, hex(basinColors[c])})
	}
	return append(list, reportClass{elsewhere, i, "converged elsewhere", hex(elsewhereColor)}, reportClass{lost, i, "not converged", hex(lostColor)})
}

// tableCell is what a table shows, and what it sorts by.
type tableCell struct {
	Text string
	Key  string
}

// table is the summary; left says how many rows it leaves out.
func (s *study) table() (header []string, rows [][]tableCell, left int) {
	header = []string{"method"}
	for _, q := range s.Sweep.Model.Problem().Params {
		header = append(header, q.Name)
	}
	header = append(header, "samples", "converged", "iterations (median)", "iterations (90 %)", "loss (median)", "distance (median)",
		"diverged", "fallbacks", "path deviation")
	value := func(x float64) tableCell {
		switch {
		case math.IsNaN(x):
			return tableCell{"–", ""}
		case math.IsInf(x, 1):
			return tableCell{"∞", "1e999"}
		case math.IsInf(x, -1):
			return tableCell{"−∞", "-1e999"}
		}
		return tableCell{number(x), strconv.FormatFloat(x, 'g', -1, 64)}
	}
	label := map[string]string{}
	for m, spec := range s.specs {
		label[spec.String()] = s.labels[m]
	}
	for i, c := range s.Cells {
		if i >= reportRows {
			return header, rows, len(s.Cells) - i
		}
		name := c.Method.Method.Name
		if spec, err := c.Method.Resolve(s.Sweep.Model.Problem()); err == nil && label[spec.String()] != "" {
			name = label[spec.String()]
		}
		row := []tableCell{{name, name}}
		for _, v := range c.Params {
			row = append(row, value(v))
		}
		converged := value(float64(c.Status[batch.Converged]))
		converged.Text = percentage(c.Status[batch.Converged], c.Samples) + " %"
		row = append(row, value(float64(c.Samples)), converged, value(c.IterationsMedian), value(c.IterationsP90), value(c.LossMedian),
			value(c.DistanceMedian), value(float64(c.Status[batch.Diverged])), value(float64(c.Fallbacks)), value(c.PathDeviation))
		rows = append(rows, slices.Clip(row))
	}
	return header, rows, 0
}
