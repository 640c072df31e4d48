package results

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	pqzstd "github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"

	"invar/batch"
)

// The bytes of a Parquet file are to depend on its rows alone, so everything that parquet-go may choose is chosen here, and
// each encoding is one that it writes alike on every processor. The indices into a dictionary are not: the code for AVX2 cuts their
// runs at other places than the code for other processors. They are written here.
const (
	rowGroup  = 64 * batch.ChunkSize // rows; a group is closed by the first write that reaches it
	maxRows   = parquet.MaxRowGroups * rowGroup
	createdBy = "invar sweep (format 5)"
	// pageBytes is more than the numbers of a row group take, so that each column of one is a page: a start that comes again at
	// the next grid point is then found by the compressor.
	pageBytes = 16 * rowGroup
	// rowGroups bounds the row groups whose numbers are kept until they are in the file: one is being filled, the other encoded.
	rowGroups = 2
	// mostEncoders is about the columns of a row group: more goroutines than that find nothing to do.
	mostEncoders = 16
)

// encoders encode the columns of the files of a folder: what the goroutines that do it need, and memory for the numbers.
type encoders struct {
	codec codec
	idle  chan *scratch // of each goroutine that may encode a column

	mu   sync.Mutex
	free [][]float64 // each with room for the numbers of a column of a row group
}

// newEncoders makes so many (0: one a processor) encoders.
func newEncoders(threads int) (*encoders, error) {
	n := min(mostEncoders, cmp.Or(threads, runtime.GOMAXPROCS(0)))
	e := &encoders{idle: make(chan *scratch, n)}
	for range n {
		e.idle <- &scratch{}
	}
	var err error
	// parquet-go's own codec takes 8 MB for the history of each goroutine that compresses; a page needs no more than its own size. What
	// comes again is nearly all that can be taken off. Huffman codes for the rest took 3 to 5 % of a sweep's processor time (measured), for
	// about a hundredth of the bytes, a tenth in a sweep in float32.
	e.codec.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(8*rowGroup), zstd.WithLowerEncoderMem(true),
		zstd.WithNoEntropyCompression(true), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(n))
	return e, err
}

// take gives room for the numbers of a column of a row group.
func (e *encoders) take() []float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := len(e.free) - 1
	if k < 0 {
		return make([]float64, 0, rowGroup+batch.ChunkSize)
	}
	x := e.free[k]
	e.free = e.free[:k]
	return x
}

// put takes it back.
func (e *encoders) put(x []float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = append(e.free, x[:0])
}

// codec is zstd, at its fastest.
type codec struct {
	pqzstd.Codec
	encoder *zstd.Encoder
}

// Encode implements compress.Codec.
func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	dst = slices.Grow(dst[:0], len(src)+len(src)/1024+64) // what nothing can be taken off takes a little more
	return c.encoder.EncodeAll(src, dst), nil
}

// kind is the type of a column.
type kind int

const (
	given   kind = iota // float64, neither NaN nor infinite
	double              // float64
	absent              // float64, null in every row
	integer             // int64
	label               // string, one of column.labels
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

func (k kind) bounded() bool { return k != double && k != absent }

// base is parquet-go's type for the numbers.
func (k kind) base() parquet.Type {
	switch k {
	case integer:
		return parquet.Int(64).Type()
	case label:
		return parquet.String().Type()
	}
	return parquet.DoubleType
}

// node describes column k, which is written from row groups.
func (c *column) node(k int, groups []*group) parquet.Node {
	var t parquet.Type = inMemory{c.kind.base(), k, groups, c.labels}
	if !c.kind.bounded() {
		t = unbounded{t}
	}
	n := parquet.Leaf(t)
	switch c.kind {
	case integer: // small already
		return parquet.Compressed(parquet.Encoded(n, &parquet.DeltaBinaryPacked), &parquet.Uncompressed)
	case label:
		return parquet.Encoded(n, &parquet.RLEDictionary)
	case absent:
		return parquet.Optional(parquet.Encoded(n, &parquet.Plain))
	}
	return parquet.Encoded(n, &parquet.Plain)
}

// ordered is a group whose fields stay in their order; parquet.Group sorts them by name.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

// schema describes the columns of a file of the given name that is written from row groups; it is the same without them.
func schema(name string, columns []column, groups []*group) *parquet.Schema {
	g := parquet.Group{}
	for k := range columns {
		g[columns[k].name] = columns[k].node(k, groups)
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
	w      *parquet.ConcurrentRowGroupWriter
	rows   int
	data   []series        // by column
	pages  []parquet.Page  // by column: what is to be encoded
	tokens []parquet.Value // see inMemory
	err    error           // why the file cannot be written
}

// series are the values of a column: numbers, of a label its index, or runs of such numbers, or neither, which is nulls.
type series struct {
	numbers []float64
	runs    []run
}

// run is n times a number, or n numbers that count up from it.
type run struct {
	first float64
	n     int
	up    bool
}

// add appends values.
func (s *series) add(t series) {
	if t.numbers != nil {
		s.numbers = append(s.numbers, t.numbers...)
	}
	for _, r := range t.runs {
		if k := len(s.runs) - 1; k >= 0 && !s.runs[k].up && !r.up && math.Float64bits(s.runs[k].first) == math.Float64bits(r.first) {
			s.runs[k].n += r.n
		} else {
			s.runs = append(s.runs, r)
		}
	}
}

// inMemory is a type whose pages are the numbers of a row group as they lie in memory. For parquet-go each number is a
// parquet.Value of 24 bytes that a column buffer takes apart again, which takes about as long as the rest of the encoding. So what is
// written to a column here is not its values but tokens, one a row, each of which is the index of the row group that has them.
type inMemory struct {
	parquet.Type
	column int
	groups []*group
	labels []string
}

func (m inMemory) NewColumnBuffer(index, _ int) parquet.ColumnBuffer {
	return &tokenBuffer{ColumnBuffer: m.Type.NewColumnBuffer(index, 0), from: m}
}

// NewDictionary makes the dictionary of a column of labels.
func (m inMemory) NewDictionary(index, _ int, values encoding.Values) parquet.Dictionary {
	d := m.Type.NewDictionary(index, 0, values)
	for _, l := range m.labels {
		d.Insert(make([]int32, 1), []parquet.Value{parquet.ByteArrayValue([]byte(l))})
	}
	return dictionary{d, m}
}

// dictionary has all labels of a column, whichever of them a row group uses.
type dictionary struct {
	parquet.Dictionary
	of inMemory
}

func (d dictionary) Type() parquet.Type { return d.of }

func (d dictionary) Reset() {}

// tokenBuffer is the column buffer of inMemory; that within it stays empty.
type tokenBuffer struct {
	parquet.ColumnBuffer
	from  inMemory
	group int
	rows  int
}

func (b *tokenBuffer) WriteValues(tokens []parquet.Value) (int, error) {
	b.group = int(tokens[0].Int64())
	b.rows += len(tokens)
	return len(tokens), nil
}

func (b *tokenBuffer) Len() int { return b.rows }

func (b *tokenBuffer) Size() int64 { return 8 * int64(b.rows) }

func (b *tokenBuffer) Page() parquet.Page {
	if b.rows == 0 { // all are null
		return b.ColumnBuffer.Page()
	}
	return b.from.groups[b.group].pages[b.from.column]
}

func (b *tokenBuffer) Reset() { b.rows = 0 }

// scratch is what a goroutine needs to make pages.
type scratch struct {
	numbers  []float64
	integers []int64
	indices  []byte
}

// expand gives the numbers of a column.
func (s *scratch) expand(values series) []float64 {
	if values.runs == nil {
		return values.numbers
	}
	x := slices.Grow(s.numbers[:0], rowGroup+batch.ChunkSize)
	for _, r := range values.runs {
		for i := range r.n {
			if r.up {
				x = append(x, r.first+float64(i))
			} else {
				x = append(x, r.first) // with its sign if it is zero
			}
		}
	}
	s.numbers = x
	return x
}

// page makes the page of column k of a row group.
func (s *scratch) page(c *column, k int, values series, rows int) parquet.Page {
	t := c.kind.base()
	if c.kind == label {
		return s.labels(c, t.NewPage(k, 0, encoding.ByteArrayValues(nil, []uint32{0})), values, rows)
	}
	x := s.expand(values)
	if c.kind == integer {
		s.integers = slices.Grow(s.integers[:0], len(x))[:len(x)]
		for i, v := range x {
			s.integers[i] = int64(v)
		}
		return t.NewPage(k, len(x), encoding.Int64Values(s.integers))
	}
	if c.kind != given {
		for i, v := range x {
			if v != v {
				x[i] = canonical(v)
			}
		}
	}
	return t.NewPage(k, len(x), encoding.DoubleValues(x))
}

// labels makes a page of labels.
func (s *scratch) labels(c *column, empty parquet.Page, values series, rows int) labelPage {
	width := bits.Len(uint(len(c.labels) - 1)) // of an index
	s.indices = append(s.indices[:0], byte(width))
	used := make([]bool, len(c.labels))
	add := func(index float64, n int) { // as a run; ones that are short are what zstd is for
		used[int(index)] = true
		s.indices = binary.AppendUvarint(s.indices, uint64(n)<<1)
		for rest := width; rest > 0; rest -= 8 {
			s.indices = append(s.indices, byte(int(index)>>(width-rest)))
		}
	}
	for _, r := range values.runs {
		add(r.first, r.n)
	}
	for x := values.numbers; len(x) > 0; {
		n := 1
		for n < len(x) && x[n] == x[0] {
			n++
		}
		add(x[0], n)
		x = x[n:]
	}
	var found []string
	for i, l := range c.labels {
		if used[i] {
			found = append(found, l)
		}
	}
	return labelPage{empty, rows, s.indices, slices.Min(found), slices.Max(found)}
}

// labelPage is a page of indices into the dictionary of a column of labels, run-length encoded.
type labelPage struct {
	parquet.Page    // an empty one
	rows            int
	indices         []byte
	least, greatest string
}

func (p labelPage) NumRows() int64 { return int64(p.rows) }

func (p labelPage) NumValues() int64 { return int64(p.rows) }

func (p labelPage) Bounds() (least, greatest parquet.Value, ok bool) {
	return parquet.ByteArrayValue([]byte(p.least)), parquet.ByteArrayValue([]byte(p.greatest)), true
}

func (p labelPage) Type() parquet.Type { return encoded{p.Page.Type(), p.indices} }

// encoded is the type of a page that is encoded already.
type encoded struct {
	parquet.Type
	page []byte
}

func (e encoded) Encode(dst []byte, _ encoding.Values, _ encoding.Encoding) ([]byte, error) {
	return append(dst, e.page...), nil
}

// canonical makes all NaNs one, as engines differ in theirs.
func canonical(x float64) float64 {
	if x != x {
		return math.NaN()
	}
	return x
}

// parquetFile is a Parquet file being written. One goroutine at a time fills a row group; others encode the columns of those that are
// full, which come into the file in their order.
type parquetFile struct {
	pending  *pendingFile
	w        *parquet.GenericWriter[any]
	columns  []column
	rows     int64
	group    *group      // that is being filled
	idle     chan *group // that are not in use
	last     chan error  // how the last group that was begun came into the file
	encode   sync.WaitGroup
	encoders *encoders
}

// newParquet begins a file; its temporary is in the folder temp, on the same file system.
func newParquet(path, temp string, columns []column, e *encoders) (*parquetFile, error) {
	pending, err := newPending(path, temp)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	f := &parquetFile{pending: pending, columns: columns, encoders: e, idle: make(chan *group, rowGroups), last: make(chan error, 1)}
	f.last <- nil
	groups := make([]*group, rowGroups)
	for i := range groups {
		groups[i] = &group{data: make([]series, len(columns)), pages: make([]parquet.Page, len(columns))}
		groups[i].tokens = slices.Repeat([]parquet.Value{parquet.Int64Value(int64(i)).Level(0, 1, 0)}, batch.ChunkSize)
		f.idle <- groups[i]
	}
	f.group = <-f.idle
	options := []parquet.WriterOption{schema(filepath.Base(path), columns, groups), &parquet.WriterConfig{CreatedBy: createdBy},
		parquet.Compression(&e.codec), parquet.PageBufferSize(pageBytes), parquet.DataPageVersion(1), parquet.DataPageStatistics(false)}
	for _, c := range columns {
		if !c.kind.bounded() {
			options = append(options, parquet.SkipPageBounds(c.name))
		}
	}
	f.w = parquet.NewGenericWriter[any](pending, options...)
	return f, nil
}

// add appends n rows, given by columns.
func (f *parquetFile) add(n int, columns []series) error {
	g := f.group
	for k, values := range columns {
		if values.numbers != nil && g.data[k].numbers == nil {
			g.data[k].numbers = f.encoders.take()
		}
		g.data[k].add(values)
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
	if g.w == nil {
		g.w = f.w.BeginRowGroup()
	}
	f.encode.Go(func() {
		g.err = f.encodeGroup(g)
		g.err = cmp.Or(<-before, g.err)
		if g.err == nil {
			_, g.err = g.w.Commit()
		}
		done <- g.err
		g.rows = 0
		for k, d := range g.data {
			if d.numbers != nil {
				f.encoders.put(d.numbers)
			}
			g.data[k] = series{runs: d.runs[:0]}
		}
		f.idle <- g
	})
	f.last = done
	f.group = <-f.idle
	return f.wrap(f.group.err)
}

// encodeGroup encodes the columns of a row group, as many at a time as there are goroutines for it.
func (f *parquetFile) encodeGroup(g *group) error {
	var columns sync.WaitGroup
	errs := make([]error, len(f.columns))
	for k, out := range g.w.ColumnWriters() {
		s := <-f.encoders.idle
		columns.Go(func() {
			errs[k] = g.encode(out, &f.columns[k], k, s)
			f.encoders.idle <- s
		})
	}
	columns.Wait()
	return cmp.Or(errs...)
}

// nulls are the tokens of a column of nulls.
var nulls [batch.ChunkSize]parquet.Value

// encode encodes column k.
func (g *group) encode(out *parquet.ColumnWriter, c *column, k int, s *scratch) error {
	tokens := nulls[:]
	if c.kind != absent {
		tokens = g.tokens
		g.pages[k] = s.page(c, k, g.data[k], g.rows)
	}
	for left := g.rows; left > 0; left -= len(tokens) {
		if _, err := out.WriteRowValues(tokens[:min(left, len(tokens))]); err != nil {
			return err
		}
	}
	return out.Flush()
}

// end writes what is left of the file, which has yet to be put in its place, and has it on the disk.
func (f *parquetFile) end() error {
	var err error
	if f.group.rows > 0 {
		err = f.endGroup()
	}
	err = cmp.Or(err, f.wrap(<-f.last))
	if err == nil {
		err = f.wrap(f.w.Close())
	}
	if err == nil {
		err = f.wrap(f.sync())
	}
	if err != nil {
		f.drop()
	}
	return err
}

// place puts a file that has ended in its place.
func (f *parquetFile) place() error {
	err := f.wrap(f.pending.CloseAtomicallyReplace())
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
