package results

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"invar/batch"
)

// paramColumns names the columns of the parameters: by the parameters' own names, with param_ before those
// that other columns have.
func paramColumns(params []string, others []column) []column {
	taken := append([]string(nil), params...)
	for _, c := range others {
		taken = append(taken, c.name)
	}
	var cols []column
	for _, p := range params {
		name := p
		for slices.ContainsFunc(others, func(c column) bool { return c.name == name }) || name != p && slices.Contains(taken, name) {
			name = "param_" + name
		}
		cols = append(cols, column{name: name, kind: double})
	}
	return cols
}

func numbered(name string, n int, k kind) []column {
	var cols []column
	for i := range n {
		cols = append(cols, column{name: fmt.Sprintf("%s_%d", name, i), kind: k})
	}
	return cols
}

// sampleColumns are those of samples.parquet for n inputs.
func sampleColumns(params []string, n int) []column {
	rest := []column{{name: "start", kind: integer}}
	rest = append(rest, numbered("x0", n, double)...)
	rest = append(rest, numbered("x", n, double)...)
	rest = append(rest, column{name: "loss", kind: double}, column{name: "grad_norm", kind: double}, column{name: "distance", kind: optional},
		column{name: "iterations", kind: integer}, column{name: "evaluations", kind: integer}, column{name: "fallbacks", kind: integer}, column{name: "status", kind: label})
	cols := append([]column{{name: "method", kind: label}}, paramColumns(params, append([]column{{name: "method", kind: label}}, rest...))...)
	return append(cols, rest...)
}

// pathColumns are those of paths.parquet for n inputs and m outputs.
func pathColumns(params []string, n, m int) []column {
	rest := []column{{name: "start", kind: integer}, {name: "iteration", kind: integer}}
	rest = append(rest, numbered("x", n, double)...)
	rest = append(rest, numbered("y", m, double)...)
	rest = append(rest, column{name: "loss", kind: double}, column{name: "status", kind: label})
	cols := append([]column{{name: "method", kind: label}}, paramColumns(params, append([]column{{name: "method", kind: label}}, rest...))...)
	return append(cols, rest...)
}

// sampleWriter writes samples.parquet.
type sampleWriter struct {
	*parquetFile
	starts int64
	n, np  int                // inputs, parameters
	place  []map[uint64]int32 // by parameter: bits of a value -> its place in the column's list; nil without a list
	from   sync.Pool          // of *scratch
}

// scratch is what encoding a chunk needs.
type scratch struct {
	ints  []int64
	index []int32
}

// newSamples begins samples.parquet for a sweep that is resolved.
func newSamples(dir, temp string, sw *batch.Sweep, labels []string) (*sampleWriter, error) {
	p := sw.Model.Problem()
	s := &sampleWriter{starts: int64(sw.Starts.Len()), n: p.N(), np: len(p.Params)}
	s.from.New = func() any {
		return &scratch{ints: make([]int64, batch.ChunkSize), index: make([]int32, batch.ChunkSize)}
	}
	columns := sampleColumns(paramNames(sw), s.n)
	columns[0].labels = labels
	columns[len(columns)-1].labels = statusLabels()
	s.place = listParams(columns[1:], sw)
	if s.starts <= maxListed { // each comes at every grid point
		x0 := make([][]float64, s.n)
		for i := range x0 {
			x0[i] = make([]float64, s.starts)
		}
		if err := sw.Starts.Fill(0, x0); err != nil {
			return nil, err
		}
		for i, x := range x0 {
			columns[1+s.np+1+i].oneOf(x)
		}
	}
	var err error
	s.parquetFile, err = newParquet(filepath.Join(dir, samplesFile), temp, samplesFile, columns)
	return s, err
}

// listParams gives the columns of the parameters, which come first, their lists: the values on the parameter's axis, or its
// default. It returns the places of the values in each list, nil where there is none.
func listParams(columns []column, sw *batch.Sweep) []map[uint64]int32 {
	var place []map[uint64]int32
	for k, q := range sw.Model.Problem().Params {
		values := []float64{q.Default}
		for _, a := range sw.Grid {
			if a.Name == q.Name {
				values = a.Values
			}
		}
		var list []float64
		at := map[uint64]int32{}
		for _, v := range values {
			if _, ok := at[math.Float64bits(v)]; !ok {
				at[math.Float64bits(v)] = int32(len(list))
				list = append(list, v)
			}
		}
		if columns[k].oneOf(list); columns[k].list == nil {
			at = nil
		}
		place = append(place, at)
	}
	return place
}

func paramNames(sw *batch.Sweep) []string {
	var names []string
	for _, q := range sw.Model.Problem().Params {
		names = append(names, q.Name)
	}
	return names
}

// statusLabels are the names of the statuses that a finished sample may have; see statusIndex.
func statusLabels() []string {
	var names []string
	for _, s := range batch.Statuses() {
		names = append(names, s.String())
	}
	return names
}

// statusIndex is the place of s in statusLabels, which begins with the first status.
func statusIndex(s batch.Status) int32 { return int32(s - batch.Converged) }

// param writes a parameter's column, by its list if it has one.
func (p *pages) param(x []float64, place map[uint64]int32, index []int32) error {
	if place == nil {
		return p.doubles(x)
	}
	index = index[:len(x)]
	for i, v := range x {
		if i > 0 && v == x[i-1] {
			index[i] = index[i-1]
		} else {
			index[i] = place[math.Float64bits(v)]
		}
	}
	return p.indices(index)
}

// encode encodes a chunk; any number of goroutines may do so at once.
func (s *sampleWriter) encode(c *batch.Chunk) (*pages, error) {
	n := c.Batch.N
	p := s.pages(n)
	from := s.from.Get().(*scratch)
	defer s.from.Put(from)
	ints, index := from.ints[:n], from.index[:n]
	var err error
	do := func(e error) {
		if err == nil {
			err = e
		}
	}
	out := func(name string) []float64 {
		if k := batch.Column(c.Program, name); k >= 0 {
			return c.Batch.Out[k][:n]
		}
		return nil
	}
	for i := range index {
		index[i] = int32(c.Method)
	}
	do(p.indices(index))
	for k := range s.np {
		do(p.param(c.Batch.In[k][:n], s.place[k], index))
	}
	for i := range ints {
		ints[i] = (c.First + int64(i)) % s.starts
	}
	do(p.integers(ints))
	for k := range s.n {
		if !p.column().listed() {
			do(p.doubles(c.Batch.In[s.np+k][:n]))
			continue
		}
		for i, start := range ints {
			index[i] = int32(start)
		}
		do(p.indices(index))
	}
	for k := range s.n {
		do(p.doubles(out(fmt.Sprintf("x%d", k))))
	}
	for _, name := range []string{"loss", "grad_norm", "distance"} {
		do(p.doubles(out(name)))
	}
	for _, name := range []string{"iteration", "evaluations", "fallbacks"} {
		for i, v := range out(name) {
			ints[i] = int64(v)
		}
		do(p.integers(ints))
	}
	for i, v := range out("status") {
		index[i] = statusIndex(batch.Status(v))
	}
	do(p.indices(index))
	return p, s.wrap(err)
}

// pathPage is how many rows of paths.parquet are encoded at once: more than a chunk, for neighbouring paths resemble each other.
const pathPage = 16 * batch.ChunkSize

// pathWriter writes paths.parquet.
type pathWriter struct {
	*parquetFile
	place []map[uint64]int32

	// Rows that are not yet encoded, column by column.
	methods, statuses []int32
	params            [][]float64
	start, iteration  []int64
	x, y              [][]float64
	loss              []float64
	index             []int32
}

// newPaths begins paths.parquet for a sweep that is resolved.
func newPaths(dir, temp string, sw *batch.Sweep, labels []string) (*pathWriter, error) {
	p := sw.Model.Problem()
	w := &pathWriter{params: make([][]float64, len(p.Params)), x: make([][]float64, p.N()), y: make([][]float64, p.M())}
	columns := pathColumns(paramNames(sw), p.N(), p.M())
	columns[0].labels = labels
	columns[len(columns)-1].labels = statusLabels()
	w.place = listParams(columns[1:], sw)
	var err error
	w.parquetFile, err = newParquet(filepath.Join(dir, pathsFile), temp, pathsFile, columns)
	return w, err
}

// path writes one path.
func (w *pathWriter) path(method int, p *batch.Path) error {
	for k := range p.X {
		w.methods = append(w.methods, int32(method))
		for i, v := range p.Params {
			w.params[i] = append(w.params[i], v)
		}
		w.start, w.iteration = append(w.start, int64(p.Start)), append(w.iteration, int64(k))
		for i, v := range p.X[k] {
			w.x[i] = append(w.x[i], v)
		}
		for i, v := range p.Y[k] {
			w.y[i] = append(w.y[i], v)
		}
		w.statuses = append(w.statuses, statusIndex(p.Status))
	}
	w.loss = append(w.loss, p.Loss...)
	if len(w.loss) < pathPage {
		return nil
	}
	return w.flush()
}

// flush encodes the rows that are waiting.
func (w *pathWriter) flush() error {
	n := len(w.loss)
	if n == 0 {
		return nil
	}
	w.index = slices.Grow(w.index[:0], n)[:n]
	p := w.pages(n)
	var err error
	do := func(e error) {
		if err == nil {
			err = e
		}
	}
	do(p.indices(w.methods))
	for k, x := range w.params {
		do(p.param(x, w.place[k], w.index))
		w.params[k] = x[:0]
	}
	do(p.integers(w.start))
	do(p.integers(w.iteration))
	for _, cols := range [][][]float64{w.x, w.y} {
		for i, x := range cols {
			do(p.doubles(x))
			cols[i] = x[:0]
		}
	}
	do(p.doubles(w.loss))
	do(p.indices(w.statuses))
	w.methods, w.statuses, w.start, w.iteration, w.loss = w.methods[:0], w.statuses[:0], w.start[:0], w.iteration[:0], w.loss[:0]
	if err != nil {
		return w.wrap(err)
	}
	return w.add(p)
}

// finish puts the file in its place.
func (w *pathWriter) finish() error {
	if err := w.flush(); err != nil {
		w.drop()
		return err
	}
	return w.parquetFile.finish()
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
		same := func(have, want format.SchemaElement) bool {
			return have.Name == want.Name && have.Type == want.Type && have.RepetitionType == want.RepetitionType
		}
		if !slices.EqualFunc(r.pq.Metadata().Schema[1:], schema("", columns)[1:], same) {
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
