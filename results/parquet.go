package results

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"invar/batch"
)

// The bytes of a Parquet file are to depend on its rows alone, so everything that parquet-go may choose is chosen here, and
// each encoding is one that it writes alike on every processor. A dictionary is not: the code for AVX2 cuts the runs of its
// indices at other places than the code for other processors. Compression makes up for it.
const (
	rowGroup = 64 * batch.ChunkSize // rows; a group is closed by the first write that reaches it
	maxRows  = parquet.MaxRowGroups * rowGroup
	// pageBytes is more than the numbers of a row group take, so that each column of one is a page: a start that comes again at
	// the next grid point is then found by the compressor.
	pageBytes = 16 * rowGroup
	createdBy = "invar sweep (format 3)"
	// encoders bounds the row groups that are encoded at a time, one on a processor, and with them the memory: of each, and of
	// the one that is being filled, the numbers are kept until it is in the file, 8 bytes each, and what they are encoded to.
	encoders = 8
)

var compression = &zstd.Codec{Level: zstd.SpeedFastest}

// kind is the type of a column.
type kind int

const (
	given    kind = iota // float64, neither NaN nor infinite
	double               // float64
	optional             // float64 or null
	integer              // int64
	label                // string, one of column.labels
)

// column describes a column.
type column struct {
	name   string
	kind   kind
	labels []string // of a label: all that there are
}

// unbounded are doubles among which NaNs may be. Bounds cannot say so, and readers leave out what is not within them: DuckDB finds no
// row with isnan(loss) in a row group whose bounds are numbers. A row group's can be left out; a page's, which can not, are infinite.
type unbounded struct{ parquet.Type }

func (u unbounded) NewColumnIndexer(limit int) parquet.ColumnIndexer {
	return noBounds{u.Type.NewColumnIndexer(limit)}
}

type noBounds struct{ parquet.ColumnIndexer }

func (n noBounds) IndexPage(values, nulls int64, _, _ parquet.Value) {
	n.ColumnIndexer.IndexPage(values, nulls, parquet.DoubleValue(math.Inf(-1)), parquet.DoubleValue(math.Inf(1)))
}

func (k kind) bounded() bool { return k != double && k != optional }

func (k kind) node() parquet.Node {
	switch k {
	case integer: // small already
		return parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	case label:
		return parquet.Compressed(parquet.Encoded(parquet.String(), &parquet.Plain), compression)
	}
	t := parquet.DoubleType
	if !k.bounded() {
		t = unbounded{t}
	}
	n := parquet.Compressed(parquet.Encoded(parquet.Leaf(t), &parquet.Plain), compression)
	if k == optional {
		n = parquet.Optional(n)
	}
	return n
}

// ordered is a group whose fields stay in their order; parquet.Group sorts them by name.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

// schema describes the columns of a file of the given name.
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

// group is a row group that is being filled or encoded.
type group struct {
	rows    int
	numbers [][]float64 // by column; of a label its index, and nothing for a column of nulls
	err     error       // why the file cannot be written
}

// encode writes the columns, one after the other: a column's buffers serve the next one too.
func (g *group) encode(w *parquet.ConcurrentRowGroupWriter, columns []column) error {
	values := make([]parquet.Value, batch.ChunkSize)
	for k, out := range w.ColumnWriters() {
		c := &columns[k]
		labels := make([]parquet.Value, len(c.labels))
		for i, s := range c.labels {
			labels[i] = parquet.ByteArrayValue([]byte(s))
		}
		for at := 0; at < g.rows; at += len(values) {
			v := values[:min(len(values), g.rows-at)]
			if len(g.numbers[k]) == 0 {
				clear(v) // null
			} else {
				c.values(v, g.numbers[k][at:], labels, k)
			}
			if _, err := out.WriteRowValues(v); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// values makes values of the k-th column of numbers.
func (c *column) values(v []parquet.Value, x []float64, labels []parquet.Value, k int) {
	switch c.kind {
	case given, double:
		for i := range v {
			v[i] = parquet.DoubleValue(canonical(x[i]))
		}
	case optional:
		for i := range v {
			v[i] = parquet.DoubleValue(canonical(x[i])).Level(0, 1, k)
		}
	case integer:
		for i := range v {
			v[i] = parquet.Int64Value(int64(x[i]))
		}
	case label:
		for i := range v {
			v[i] = labels[int(x[i])]
		}
	}
}

// canonical makes all NaNs one, as engines differ in theirs.
func canonical(x float64) float64 {
	if x != x {
		return math.NaN()
	}
	return x
}

// parquetFile is a Parquet file being written. One goroutine at a time fills a row group; others encode those that are
// full, and write them in their order.
type parquetFile struct {
	pending *pendingFile
	w       *parquet.GenericWriter[any]
	columns []column
	rows    int64
	group   *group      // that is being filled
	free    chan *group // that are not in use
	last    chan error  // how the last group that was begun came into the file
	encode  sync.WaitGroup
}

// newParquet begins a file, encoded by so many goroutines (0: one a processor) beside the caller's; its temporary is in
// the folder temp, on the same file system.
func newParquet(path, temp string, columns []column, threads int) (*parquetFile, error) {
	pending, err := newPending(path, temp)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	f := &parquetFile{pending: pending, columns: columns, last: make(chan error, 1)}
	f.last <- nil
	options := []parquet.WriterOption{schema(filepath.Base(path), columns), &parquet.WriterConfig{CreatedBy: createdBy},
		parquet.PageBufferSize(pageBytes), parquet.DataPageVersion(1), parquet.DataPageStatistics(false)}
	for _, c := range columns {
		if !c.kind.bounded() {
			options = append(options, parquet.SkipPageBounds(c.name))
		}
	}
	f.w = parquet.NewGenericWriter[any](pending, options...)
	n := min(encoders, cmp.Or(threads, runtime.GOMAXPROCS(0)))
	f.free = make(chan *group, n)
	for range n {
		f.free <- &group{}
	}
	f.group = &group{}
	return f, nil
}

// add appends n rows, given by columns, of which nil is nulls.
func (f *parquetFile) add(n int, columns [][]float64) error {
	g := f.group
	if g.numbers == nil {
		g.numbers = make([][]float64, len(columns))
		for k := range columns {
			g.numbers[k] = make([]float64, 0, rowGroup+batch.ChunkSize)
		}
	}
	for k, x := range columns {
		g.numbers[k] = append(g.numbers[k], x...)
	}
	g.rows += n
	f.rows += int64(n)
	if g.rows < rowGroup {
		return nil
	}
	return f.endGroup()
}

// endGroup has the open row group encoded and begins another. It waits while too many are being encoded.
func (f *parquetFile) endGroup() error {
	g, before, done := f.group, f.last, make(chan error, 1)
	f.encode.Go(func() {
		w := f.w.BeginRowGroup()
		g.err = g.encode(w, f.columns)
		g.err = cmp.Or(<-before, g.err)
		if g.err == nil {
			_, g.err = w.Commit()
		}
		done <- g.err
		g.rows = 0
		for k, x := range g.numbers {
			g.numbers[k] = x[:0]
		}
		f.free <- g
	})
	f.last = done
	f.group = <-f.free
	return f.wrap(f.group.err)
}

// finish puts the file in its place, whole and on the disk.
func (f *parquetFile) finish() error {
	var err error
	if f.group.rows > 0 {
		err = f.endGroup()
	}
	err = cmp.Or(err, f.wrap(<-f.last))
	if err == nil {
		err = f.wrap(f.w.Close())
	}
	if err == nil {
		err = f.wrap(f.pending.CloseAtomicallyReplace())
	}
	if err != nil {
		f.drop()
	}
	return err
}

func (f *parquetFile) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("results: %w", err)
}

// sync puts on the disk what has been written.
func (f *parquetFile) sync() error {
	if err := f.pending.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// drop gives the file up.
func (f *parquetFile) drop() {
	f.encode.Wait()
	f.pending.Cleanup()
}
