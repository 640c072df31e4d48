package plot

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"invar/batch"
)

// What is kept of a sweep, however large it is.
const (
	maxSamples  = 400_000 // samples in all
	cellSamples = 4000    // of one method at one grid point
	maxPoints   = 61      // grid points, along the axis

	pathPoints   = 9         // grid points whose paths are traced
	pathStarts   = 6         // starts of which paths are traced
	tracedNumber = 4_000_000 // numbers that a trace may take
)

// line is a row of grid points: one parameter varies, the others stay at the reference point.
type line struct {
	axis   int // index into the grid; -1 if there is nothing that varies
	name   string
	points []int // grid points, in the grid's order
	values []float64
	at     int // index into points of the chosen one
}

// newLine finds the points that are drawn.
func newLine(sw *batch.Sweep, o Options) (line, error) {
	p := sw.Model.Problem()
	l := line{axis: -1, points: []int{0}, values: []float64{math.NaN()}}
	for i, a := range sw.Grid {
		switch {
		case o.Axis != "":
			if a.Name == o.Axis {
				l.axis = i
			}
		case l.axis < 0 || len(a.Values) > 1 && a.Name == "alpha" ||
			len(a.Values) > len(sw.Grid[l.axis].Values) && !(sw.Grid[l.axis].Name == "alpha" && len(sw.Grid[l.axis].Values) > 1):
			l.axis = i
		}
	}
	if l.axis < 0 {
		switch {
		case o.Axis != "" && len(sw.Grid) == 0:
			return l, fmt.Errorf("plot: axis %q; this sweep has one grid point only", o.Axis)
		case o.Axis != "":
			return l, fmt.Errorf("plot: axis %q; the sweep's axes are: %s", o.Axis, strings.Join(axisNames(sw.Grid), ", "))
		case o.At != nil:
			return l, fmt.Errorf("plot: at %v; this sweep has one grid point only", *o.At)
		}
		return l, nil
	}
	axis := sw.Grid[l.axis]
	l.name, l.values, l.points = axis.Name, axis.Values, nil
	reference := sw.Grid.Reference(p.Defaults())
	stride := 1
	for _, a := range sw.Grid[l.axis+1:] {
		stride *= len(a.Values)
	}
	own := reference / stride % len(axis.Values)
	for i := range axis.Values {
		l.points = append(l.points, reference+(i-own)*stride)
	}
	l.at = own
	if o.At != nil {
		for i, v := range axis.Values {
			if separation(v, *o.At) < separation(axis.Values[l.at], *o.At) {
				l.at = i
			}
		}
	}
	return l.thin(maxPoints), nil
}

// separation is in decades between numbers of one sign, and plain otherwise.
func separation(a, b float64) float64 {
	if a*b > 0 {
		return math.Abs(math.Log10(a / b))
	}
	return math.Abs(a-b) + 1e3
}

// thin keeps up to n points, both ends and the chosen one among them.
func (l line) thin(n int) line {
	keep := spread(len(l.points), n, l.at)
	t := line{axis: l.axis, name: l.name}
	for i, k := range keep {
		if k == l.at {
			t.at = i
		}
		t.points, t.values = append(t.points, l.points[k]), append(t.values, l.values[k])
	}
	return t
}

// spread chooses up to k of 0..n-1, evenly, with both ends and the number must.
func spread(n, k, must int) []int {
	if n <= k {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	chosen := map[int]bool{must: true}
	for i := 0; i < k; i++ {
		at := int(math.Round(float64(i) * float64(n-1) / float64(max(k-1, 1))))
		chosen[at] = true
	}
	var list []int
	for i := range chosen {
		list = append(list, i)
	}
	sort.Ints(list)
	// The one too many that must may have caused: drop the neighbour of must that is no end.
	for i, v := range list {
		if len(list) > k && v != must && v != 0 && v != n-1 && (list[i-1] == must || list[i+1] == must) {
			list = slices.Delete(list, i, i+1)
			break
		}
	}
	return list
}

func axisNames(g batch.Grid) []string {
	names := []string{}
	for _, a := range g {
		names = append(names, a.Name)
	}
	return names
}

// key tells the grid points of a sweep apart by their parameters, as given or rounded to the numbers that samples compute with.
func key(sw *batch.Sweep, params []float64) string {
	var b strings.Builder
	for _, v := range params {
		b.WriteString(strconv.FormatUint(sw.DType.Bits(v), 36) + " ")
	}
	return b.String()
}

// Recorder keeps what the figures need of a running sweep: of each method, at up to 61 grid points,
// the first starts, in bounded memory. Its Chunk is a Sweep.Sink, or is called by one.
type Recorder struct {
	sw      *batch.Sweep
	wanted  map[int]bool    // grid points
	known   map[string]bool // the same by their parameters
	keep    int             // starts of each cell
	samples []Sample
}

// NewRecorder prepares for a sweep; the options are those that the figures will be drawn with.
func NewRecorder(sw *batch.Sweep, o Options) (*Recorder, error) {
	l, err := newLine(sw, o)
	if err != nil {
		return nil, err
	}
	r := &Recorder{sw: sw, wanted: map[int]bool{}, known: map[string]bool{}, keep: keepStarts(len(sw.Methods), len(l.points))}
	for _, p := range l.points {
		r.wanted[p], r.known[key(sw, sw.Params(p))] = true, true
	}
	return r, nil
}

func keepStarts(methods, points int) int {
	return min(cellSamples, max(maxSamples/max(methods*points, 1), 100))
}

// Chunk takes samples; it copies what it keeps.
func (r *Recorder) Chunk(c *batch.Chunk) error {
	n := r.sw.Model.Problem().N()
	starts := int64(r.sw.Starts.Len())
	column := func(name string) []float64 {
		if k := batch.Column(c.Program, name); k >= 0 {
			return c.Batch.Out[k]
		}
		return nil
	}
	loss, distance, status := column("loss"), column("distance"), column("status")
	iterations, evaluations := column("iteration"), column("evaluations")
	var x [][]float64
	for i := range n {
		x = append(x, column(fmt.Sprintf("x%d", i)))
	}
	first := c.Batch.In[len(c.Batch.In)-n:]
	var at []float64
	last := -1
	for k := 0; k < c.Batch.N; k++ {
		sample := c.First + int64(k)
		point, start := int(sample/starts), int(sample%starts)
		if !r.wanted[point] || start >= r.keep {
			continue
		}
		if point != last {
			at, last = r.sw.Params(point), point
		}
		s := Sample{Method: c.Method, Params: at, Start: start, Loss: loss[k], Distance: math.NaN(),
			Iterations: int64(iterations[k]), Evaluations: int64(evaluations[k]), Status: batch.Status(status[k])}
		if distance != nil {
			s.Distance = distance[k]
		}
		for i := range n {
			s.X0, s.X = append(s.X0, first[i][k]), append(s.X, x[i][k])
		}
		r.samples = append(r.samples, s)
	}
	return nil
}

// Add takes one sample, from wherever it comes; it copies what it keeps.
func (r *Recorder) Add(s Sample) {
	if s.Start >= r.keep || !r.known[key(r.sw, s.Params)] {
		return
	}
	s.Params, s.X0, s.X = slices.Clone(s.Params), slices.Clone(s.X0), slices.Clone(s.X)
	r.samples = append(r.samples, s)
}

// Samples are those that were kept.
func (r *Recorder) Samples() []Sample { return r.samples }

// head is the beginning of a list of starts.
type head struct {
	batch.Starts
	n int
}

func (h head) Len() int { return h.n }

// Trace runs the sweep's engine for the paths that the figures show: a few starts at a few grid
// points, with the sweep's own limits.
func Trace(ctx context.Context, sw *batch.Sweep, o Options) ([]batch.Path, error) {
	l, err := newLine(sw, o)
	if err != nil {
		return nil, err
	}
	l = l.thin(pathPoints)
	part := *sw
	part.Progress, part.Sink, part.Load, part.Own = nil, nil, nil, nil
	part.Starts = head{sw.Starts, min(sw.Starts.Len(), pathStarts)}
	part.Grid = nil
	at := sw.Grid.At(l.points[l.at])
	for i, a := range sw.Grid {
		v := []float64{at[i]}
		if i == l.axis {
			v = l.values
		}
		part.Grid = append(part.Grid, batch.Axis{Name: a.Name, Values: v})
	}
	p := sw.Model.Problem()
	perIteration := len(sw.Methods) * len(l.points) * part.Starts.Len() * (p.N() + p.M() + 1)
	part.Limits.Iterations = min(part.Limits.Iterations, max(tracedNumber/perIteration, 10))
	return part.Trace(ctx)
}

// study is Data put in order.
type study struct {
	*Data
	line
	specs   []batch.Spec // resolved
	labels  []string     // by method
	looks   []look       // by method
	params  [][]float64  // by point
	cells   [][]*batch.Cell
	paths   [][][]*batch.Path // [method][point]
	samples [][][]*Sample     // [method][point], by start
}

func newStudy(d *Data, o Options) (*study, error) {
	s := &study{Data: d}
	if d.Sweep == nil || d.Sweep.Model == nil || len(d.Sweep.Methods) == 0 {
		return nil, fmt.Errorf("plot: no sweep; a problem and at least one method are needed")
	}
	var err error
	if s.line, err = newLine(d.Sweep, o); err != nil {
		return nil, err
	}
	p := d.Sweep.Model.Problem()
	at := map[string]int{}
	for i, k := range s.points {
		v := d.Sweep.Params(k)
		s.params = append(s.params, v)
		at[key(d.Sweep, v)] = i
	}
	method := map[string]int{}
	for i, spec := range d.Sweep.Methods {
		spec, err := spec.Resolve(p)
		if err != nil {
			return nil, err
		}
		s.specs = append(s.specs, spec)
		method[spec.String()] = i
		s.cells = append(s.cells, make([]*batch.Cell, len(s.points)))
		s.paths = append(s.paths, make([][]*batch.Path, len(s.points)))
		s.samples = append(s.samples, make([][]*Sample, len(s.points)))
	}
	s.labels, s.looks = labels(s.specs), methodLooks(s.specs)
	find := func(spec batch.Spec, params []float64) (int, int, bool) {
		spec, err := spec.Resolve(p)
		if err != nil {
			return 0, 0, false
		}
		m, ok := method[spec.String()]
		point, there := at[key(d.Sweep, params)]
		return m, point, ok && there
	}
	for i := range d.Cells {
		c := &d.Cells[i]
		if m, k, ok := find(c.Method, c.Params); ok {
			s.cells[m][k] = c
		}
	}
	for i := range d.Paths {
		path := &d.Paths[i]
		if len(path.X) == 0 {
			continue
		}
		if m, k, ok := find(path.Method, path.Params); ok {
			s.paths[m][k] = append(s.paths[m][k], path)
		}
	}
	for i := range d.Samples {
		x := &d.Samples[i]
		if k, ok := at[key(d.Sweep, x.Params)]; ok && x.Method >= 0 && x.Method < len(s.specs) {
			s.samples[x.Method][k] = append(s.samples[x.Method][k], x)
		}
	}
	for _, list := range s.samples {
		for _, l := range list {
			slices.SortStableFunc(l, func(a, b *Sample) int { return a.Start - b.Start })
		}
	}
	return s, nil
}

// labels names methods: by name, and by the settings in which those of one name differ.
func labels(specs []batch.Spec) []string {
	same := map[string][]batch.Spec{}
	for _, s := range specs {
		same[s.Method.Name] = append(same[s.Method.Name], s)
	}
	var all []string
	for _, s := range specs {
		label := s.Method.Name
		for _, q := range s.Method.Settings {
			for _, t := range same[s.Method.Name] {
				if t.Set[q.Name] != s.Set[q.Name] {
					label += fmt.Sprintf(" %s=%.4g", q.Name, s.Set[q.Name])
					break
				}
			}
		}
		all = append(all, label)
	}
	return all
}

// where says in words at which parameters a figure is drawn.
func (s *study) where(point int) string {
	var w []string
	for i, q := range s.Sweep.Model.Problem().Params {
		w = append(w, fmt.Sprintf("%s = %s", q.Name, number(s.params[point][i])))
	}
	return strings.Join(w, ", ")
}

// others says what the parameters that do not vary are; empty if there are none.
func (s *study) others() string {
	var w []string
	for i, q := range s.Sweep.Model.Problem().Params {
		if q.Name != s.name {
			w = append(w, fmt.Sprintf("%s = %s", q.Name, number(s.params[s.at][i])))
		}
	}
	return strings.Join(w, ", ")
}

// byName are the parameters at a point.
func (s *study) byName(point int) map[string]float64 {
	m := map[string]float64{}
	for i, q := range s.Sweep.Model.Problem().Params {
		m[q.Name] = s.params[point][i]
	}
	return m
}

// traced are the points that have paths, and near which of them is the chosen one.
func (s *study) traced() (points []int, at int) {
	for k := range s.points {
		for m := range s.paths {
			if len(s.paths[m][k]) > 0 {
				points = append(points, k)
				break
			}
		}
	}
	for i, k := range points {
		if len(s.points) > 1 && separation(s.values[k], s.values[s.at]) < separation(s.values[points[at]], s.values[s.at]) || k == s.at {
			at = i
		}
	}
	return points, at
}

// number prints a number with four digits.
func number(x float64) string { return strings.TrimPrefix(strconv.FormatFloat(x, 'g', 4, 64), "+") }
