package results

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"invar/batch"
	"invar/program"
)

// ParamColumns names the columns of the parameters in a table that has the others, too: by the parameters' own
// names, with param_ before those that other columns have.
func ParamColumns(params, others []string) []string {
	var names []string
	for _, p := range params {
		name := p
		for slices.Contains(others, name) || name != p && slices.Contains(params, name) {
			name = "param_" + name
		}
		names = append(names, name)
	}
	return names
}

// BestColumns names the columns of the best sample of a cell, for n inputs.
func BestColumns(n int) []string {
	names := []string{"best_start", "best_loss"}
	for _, c := range numbered("best_x", n, double) {
		names = append(names, c.name)
	}
	return names
}

// BestRow is what is in BestColumns for a cell: NaN where all samples diverged.
func BestRow(b *batch.Best, n int) []string {
	if b == nil {
		return slices.Repeat([]string{"NaN"}, 2+n)
	}
	row := []string{strconv.Itoa(b.Start)}
	for _, x := range append([]float64{b.Loss}, b.X...) {
		row = append(row, strconv.FormatFloat(x, 'g', -1, 64))
	}
	return row
}

// withParams puts the columns of the parameters between the method's and the others.
func withParams(params []string, others []column) []column {
	cols := []column{{name: "method", kind: label}}
	taken := []string{"method"}
	for _, c := range others {
		taken = append(taken, c.name)
	}
	for _, name := range ParamColumns(params, taken) {
		cols = append(cols, column{name: name, kind: given})
	}
	return append(cols, others...)
}

func numbered(name string, n int, k kind) []column {
	var cols []column
	for i := range n {
		cols = append(cols, column{name: fmt.Sprintf("%s_%d", name, i), kind: k})
	}
	return cols
}

// sampleColumns are those of samples.parquet for n inputs, of a problem that names minima or does not.
func sampleColumns(params []string, n int, minima bool) []column {
	distance := absent
	if minima {
		distance = double
	}
	rest := []column{{name: "start", kind: integer}}
	rest = append(rest, numbered("x0", n, given)...)
	rest = append(rest, numbered("x", n, double)...)
	rest = append(rest, column{name: "loss", kind: double}, column{name: "grad_norm", kind: double}, column{name: "distance", kind: distance},
		column{name: "iterations", kind: integer}, column{name: "evaluations", kind: integer}, column{name: "fallbacks", kind: integer}, column{name: "status", kind: label})
	return withParams(params, rest)
}

// pathColumns are those of paths.parquet for n inputs and m outputs.
func pathColumns(params []string, n, m int) []column {
	rest := []column{{name: "start", kind: integer}, {name: "iteration", kind: integer}}
	rest = append(rest, numbered("x", n, double)...)
	rest = append(rest, numbered("y", m, double)...)
	rest = append(rest, column{name: "loss", kind: double}, column{name: "status", kind: label})
	return withParams(params, rest)
}

// sampleWriter writes samples.parquet.
type sampleWriter struct {
	*parquetFile
	sweep   *batch.Sweep
	results []string // the columns of a program that follow the start, in order
	runs    [][]run  // of each parameter and the start in a chunk
}

// newSamples begins samples.parquet for a sweep that is resolved.
func newSamples(dir, temp string, sw *batch.Sweep, labels []string, e *encoders) (*sampleWriter, error) {
	p := sw.Model.Problem()
	s := &sampleWriter{sweep: sw, runs: make([][]run, len(p.Params)+1)}
	for i := range p.N() {
		s.results = append(s.results, fmt.Sprintf("x%d", i))
	}
	s.results = append(s.results, "loss", "grad_norm", "distance", "iteration", "evaluations", "fallbacks", "status")
	columns := sampleColumns(paramNames(sw), p.N(), len(p.Minima) > 0)
	columns[0].labels, columns[len(columns)-1].labels = labels, statusLabels()
	var err error
	s.parquetFile, err = newParquet(filepath.Join(dir, samplesFile), temp, columns, e)
	return s, err
}

func paramNames(sw *batch.Sweep) []string {
	var names []string
	for _, q := range sw.Model.Problem().Params {
		names = append(names, q.Name)
	}
	return names
}

// statusLabels are the names of the statuses by their numbers.
func statusLabels() []string {
	names := []string{batch.Running.String()}
	for _, s := range batch.Statuses() {
		names = append(names, s.String())
	}
	return names
}

// chunk writes a chunk.
func (s *sampleWriter) chunk(c *batch.Chunk) error {
	n, np, starts := c.Batch.N, len(s.runs)-1, int64(s.sweep.Starts.Len())
	for k := range s.runs {
		s.runs[k] = s.runs[k][:0]
	}
	for at := 0; at < n; { // from one grid point to the next
		point, start := (c.First+int64(at))/starts, (c.First+int64(at))%starts
		k := int(min(int64(n-at), starts-start))
		var given []float64
		if s.sweep.DType == program.F32 { // which rounds what samples compute with
			given = s.sweep.Params(int(point))
		}
		for i, x := range c.Batch.In[:np] {
			v := x[at]
			if given != nil {
				v = given[i]
			}
			s.runs[i] = append(s.runs[i], run{first: v, n: k})
		}
		s.runs[np] = append(s.runs[np], run{first: float64(start), n: k, up: true})
		at += k
	}
	columns := []series{constant(float64(c.Method), n)}
	for _, r := range s.runs {
		columns = append(columns, series{runs: r})
	}
	for _, x := range c.Batch.In[np:] {
		columns = append(columns, series{numbers: x})
	}
	for _, name := range s.results {
		var x []float64
		if k := batch.Column(c.Program, name); k >= 0 {
			x = c.Batch.Out[k]
		}
		columns = append(columns, series{numbers: x})
	}
	return s.add(n, columns)
}

// constant is a number n times.
func constant(x float64, n int) series { return series{runs: []run{{first: x, n: n}}} }

// pathWriter writes paths.parquet.
type pathWriter struct {
	*parquetFile
	points []float64 // coordinates of a path
}

// newPaths begins paths.parquet for a sweep that is resolved.
func newPaths(dir, temp string, sw *batch.Sweep, labels []string, e *encoders) (*pathWriter, error) {
	p := sw.Model.Problem()
	columns := pathColumns(paramNames(sw), p.N(), p.M())
	columns[0].labels, columns[len(columns)-1].labels = labels, statusLabels()
	f, err := newParquet(filepath.Join(dir, pathsFile), temp, columns, e)
	return &pathWriter{parquetFile: f}, err
}

// path writes one path.
func (w *pathWriter) path(method int, p *batch.Path) error {
	n := len(p.X)
	columns := []series{constant(float64(method), n)}
	for _, v := range p.Params {
		columns = append(columns, constant(v, n))
	}
	columns = append(columns, constant(float64(p.Start), n), series{runs: []run{{n: n, up: true}}})
	w.points = slices.Grow(w.points[:0], n*(len(p.X[0])+len(p.Y[0])))
	for _, points := range [][][]float64{p.X, p.Y} {
		for i := range points[0] {
			from := len(w.points)
			for _, point := range points {
				w.points = append(w.points, point[i])
			}
			columns = append(columns, series{numbers: w.points[from:]})
		}
	}
	return w.add(n, append(columns, series{numbers: p.Loss}, constant(float64(p.Status), n)))
}

// parquetReader reads a Parquet file column by column, a batch of rows at a time.
type parquetReader struct {
	file   *os.File
	pq     *parquet.File
	name   string
	groups []parquet.RowGroup
	pages  []*pageReader // of the open row group
	left   int64         // rows of it
}

type pageReader struct {
	pages  parquet.Pages
	values parquet.ValueReader
	buffer []parquet.Value
}

// openParquet opens a file that must have the given columns.
func openParquet(path string, columns []column) (*parquetReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	r := &parquetReader{file: f, name: path}
	info, err := f.Stat()
	if err == nil {
		r.pq, err = parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true))
	}
	if err == nil {
		same := func(have, want parquet.Field) bool {
			return have.Name() == want.Name() && have.Leaf() && have.Type().Kind() == want.Type().Kind() && !have.Repeated()
		}
		if !slices.EqualFunc(r.pq.Schema().Fields(), schema("", columns, nil).Fields(), same) {
			err = fmt.Errorf("the columns are not those of this sweep: %v", r.pq.Schema())
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("results: %s: %w", path, err)
	}
	r.groups = r.pq.RowGroups()
	return r, nil
}

func (r *parquetReader) close() {
	for _, p := range r.pages {
		p.pages.Close()
	}
	r.file.Close()
}

// next gives up to most rows as columns, fewer at the end of a row group, nil at the end of the file.
// They are overwritten by the next call.
func (r *parquetReader) next(most int) ([][]parquet.Value, error) {
	for r.left == 0 {
		if len(r.groups) == 0 {
			return nil, nil
		}
		for _, p := range r.pages {
			p.pages.Close()
		}
		r.pages = r.pages[:0]
		for _, c := range r.groups[0].ColumnChunks() {
			r.pages = append(r.pages, &pageReader{pages: c.Pages()})
		}
		r.left = r.groups[0].NumRows()
		r.groups = r.groups[1:]
	}
	n := int(min(int64(most), r.left))
	cols := make([][]parquet.Value, len(r.pages))
	for i, p := range r.pages {
		if err := p.fill(n); err != nil {
			return nil, fmt.Errorf("results: %s: %w", r.name, err)
		}
		cols[i] = p.buffer
	}
	r.left -= int64(n)
	return cols, nil
}

// fill reads n values.
func (p *pageReader) fill(n int) error {
	p.buffer = slices.Grow(p.buffer[:0], n)[:n]
	for at := 0; at < n; {
		if p.values == nil {
			page, err := p.pages.ReadPage()
			if err != nil {
				return err
			}
			p.values = page.Values()
		}
		k, err := p.values.ReadValues(p.buffer[at:])
		at += k
		if err != nil || k == 0 {
			p.values = nil
		}
	}
	return nil
}
