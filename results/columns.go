package results

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"invar/batch"
)

// The bytes of a Parquet file are to depend on its rows alone, so everything that
// a library may choose is chosen here. No column has a dictionary: parquet-go's code for AVX2 cuts the runs of a
// dictionary's indices at other places than its code for other processors. Compression makes up for it.
const (
	rowGroup     = 64 * batch.ChunkSize // rows; a group is closed by the first write that reaches it
	pageBytes    = 256 << 10
	createdBy    = "invar sweep (format 1)"
	parquetLevel = zstd.SpeedFastest
)

// kind is the type of a column.
type kind int

const (
	double   kind = iota // float64
	optional             // float64 or null
	integer              // int64
	label                // string
)

func (k kind) node() parquet.Node {
	switch k {
	case optional:
		return parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.Plain))
	case integer:
		return parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	case label:
		return parquet.Encoded(parquet.String(), &parquet.Plain)
	}
	return parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.Plain)
}

type column struct {
	name string
	kind kind
}

// ordered is a group whose fields stay in their order; parquet.Group sorts them by name.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

func schema(name string, columns []column) *parquet.Schema {
	g := parquet.Group{}
	for _, c := range columns {
		g[c.name] = c.kind.node()
	}
	byName := map[string]parquet.Field{}
	for _, f := range g.Fields() {
		byName[f.Name()] = f
	}
	o := ordered{Group: g}
	for _, c := range columns {
		o.fields = append(o.fields, byName[c.name])
	}
	return parquet.NewSchema(name, o)
}

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
		cols = append(cols, column{name, double})
	}
	return cols
}

func numbered(name string, n int, k kind) []column {
	var cols []column
	for i := range n {
		cols = append(cols, column{fmt.Sprintf("%s_%d", name, i), k})
	}
	return cols
}

// sampleColumns are those of samples.parquet for n inputs.
func sampleColumns(params []string, n int) []column {
	rest := []column{{"start", integer}}
	rest = append(rest, numbered("x0", n, double)...)
	rest = append(rest, numbered("x", n, double)...)
	rest = append(rest, column{"loss", double}, column{"grad_norm", double}, column{"distance", optional},
		column{"iterations", integer}, column{"evaluations", integer}, column{"fallbacks", integer}, column{"status", label})
	cols := append([]column{{"method", label}}, paramColumns(params, append([]column{{"method", label}}, rest...))...)
	return append(cols, rest...)
}

// pathColumns are those of paths.parquet for n inputs and m outputs.
func pathColumns(params []string, n, m int) []column {
	rest := []column{{"start", integer}, {"iteration", integer}}
	rest = append(rest, numbered("x", n, double)...)
	rest = append(rest, numbered("y", m, double)...)
	rest = append(rest, column{"loss", double}, column{"status", label})
	cols := append([]column{{"method", label}}, paramColumns(params, append([]column{{"method", label}}, rest...))...)
	return append(cols, rest...)
}

// parquetFile is a Parquet file being written, column by column.
type parquetFile struct {
	pending *pendingFile
	buffer  *bufio.Writer
	w       *parquet.GenericWriter[any]
	columns []*parquet.ColumnWriter
	next    int // column that the next values go to
	inGroup int // rows in the open row group
	rows    int64
	values  []parquet.Value
}

// newParquet begins a file; its temporary is in the folder temp, on the same file system.
func newParquet(path, temp string, columns []column) (*parquetFile, error) {
	pending, err := newPending(path, temp)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	f := &parquetFile{pending: pending, buffer: bufio.NewWriterSize(pending, 1<<20)}
	f.w = parquet.NewGenericWriter[any](f.buffer, schema(filepath.Base(path), columns), &parquet.WriterConfig{
		CreatedBy: createdBy, Compression: &zstd.Codec{Level: parquetLevel}, PageBufferSize: pageBytes, DataPageVersion: 1,
		DataPageStatistics: true, MaxRowsPerRowGroup: math.MaxInt64,
	})
	f.columns = f.w.ColumnWriters()
	return f, nil
}

// put writes values to the next column; every column gets as many before end.
func (f *parquetFile) put(values []parquet.Value) error {
	_, err := f.columns[f.next].WriteRowValues(values)
	f.next++
	return f.wrap(err)
}

func (f *parquetFile) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("results: %w", err)
}

// end closes n rows.
func (f *parquetFile) end(n int) error {
	f.next = 0
	f.inGroup += n
	f.rows += int64(n)
	if f.inGroup >= rowGroup {
		f.inGroup = 0
		return f.wrap(f.w.Flush())
	}
	return nil
}

// canonical makes all NaNs one, as engines differ in theirs.
func canonical(x float64) float64 {
	if x != x {
		return math.NaN()
	}
	return x
}

func (f *parquetFile) floats(x []float64) error {
	v := f.values[:0]
	for _, x := range x {
		v = append(v, parquet.DoubleValue(canonical(x)))
	}
	f.values = v
	return f.put(v)
}

// maybe writes numbers to an optional column: nulls where x is nil.
func (f *parquetFile) maybe(x []float64, n int) error {
	v := f.values[:0]
	for i := range n {
		if x == nil {
			v = append(v, parquet.NullValue().Level(0, 0, f.next))
		} else {
			v = append(v, parquet.DoubleValue(canonical(x[i])).Level(0, 1, f.next))
		}
	}
	f.values = v
	return f.put(v)
}

func (f *parquetFile) integers(n int, at func(i int) int64) error {
	v := f.values[:0]
	for i := range n {
		v = append(v, parquet.Int64Value(at(i)))
	}
	f.values = v
	return f.put(v)
}

func (f *parquetFile) strings(n int, at func(i int) string) error {
	v := f.values[:0]
	for i := range n {
		v = append(v, parquet.ValueOf(at(i)))
	}
	f.values = v
	return f.put(v)
}

// finish puts the file in its place, whole and on the disk.
func (f *parquetFile) finish() error {
	err := f.w.Close()
	if err == nil {
		err = f.buffer.Flush()
	}
	if err == nil {
		err = f.pending.CloseAtomicallyReplace()
	}
	if err != nil {
		f.drop()
	}
	return f.wrap(err)
}

// sync puts on the disk what has been written.
func (f *parquetFile) sync() error {
	if err := f.pending.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// drop gives the file up.
func (f *parquetFile) drop() { f.pending.Cleanup() }

// sampleWriter writes samples.parquet.
type sampleWriter struct {
	*parquetFile
	labels []string // by method
	starts int64
	n, np  int // inputs, parameters
}

// newSamples begins samples.parquet for a sweep that is resolved.
func newSamples(dir, temp string, sw *batch.Sweep, labels []string) (*sampleWriter, error) {
	p := sw.Model.Problem()
	f, err := newParquet(filepath.Join(dir, samplesFile), temp, sampleColumns(paramNames(sw), p.N()))
	if err != nil {
		return nil, err
	}
	return &sampleWriter{parquetFile: f, labels: labels, starts: int64(sw.Starts.Len()), n: p.N(), np: len(p.Params)}, nil
}

func paramNames(sw *batch.Sweep) []string {
	var names []string
	for _, q := range sw.Model.Problem().Params {
		names = append(names, q.Name)
	}
	return names
}

// add writes a chunk.
func (s *sampleWriter) add(c *batch.Chunk) error {
	n := c.Batch.N
	method := parquet.ValueOf(s.labels[c.Method])
	v := s.values[:0]
	for range n {
		v = append(v, method)
	}
	s.values = v
	if err := s.put(v); err != nil {
		return err
	}
	out := func(name string) []float64 {
		if k := batch.Column(c.Program, name); k >= 0 {
			return c.Batch.Out[k][:n]
		}
		return nil
	}
	whole := func(name string) error {
		col := out(name)
		return s.integers(n, func(i int) int64 { return int64(col[i]) })
	}
	for k := range s.np {
		if err := s.floats(c.Batch.In[k][:n]); err != nil {
			return err
		}
	}
	if err := s.integers(n, func(i int) int64 { return (c.First + int64(i)) % s.starts }); err != nil {
		return err
	}
	for k := range s.n {
		if err := s.floats(c.Batch.In[s.np+k][:n]); err != nil {
			return err
		}
	}
	for k := range s.n {
		if err := s.floats(out(fmt.Sprintf("x%d", k))); err != nil {
			return err
		}
	}
	for _, name := range []string{"loss", "grad_norm"} {
		if err := s.floats(out(name)); err != nil {
			return err
		}
	}
	if err := s.maybe(out("distance"), n); err != nil {
		return err
	}
	for _, name := range []string{"iteration", "evaluations", "fallbacks"} {
		if err := whole(name); err != nil {
			return err
		}
	}
	status := out("status")
	if err := s.strings(n, func(i int) string { return batch.Status(status[i]).String() }); err != nil {
		return err
	}
	return s.end(n)
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
		have := r.pq.Schema().Fields()
		want := schema("", columns).Fields()
		for i := range max(len(have), len(want)) {
			if i >= len(have) || i >= len(want) || have[i].Name() != want[i].Name() || !have[i].Leaf() ||
				have[i].Type().Kind() != want[i].Type().Kind() || have[i].Optional() != want[i].Optional() || have[i].Repeated() {
				err = fmt.Errorf("the columns are not those of this sweep: %v", r.pq.Schema())
				break
			}
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
