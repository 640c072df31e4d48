package results

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"invar/batch"
)

// The bytes of a Parquet file are to depend on its rows alone, so everything that may be chosen is chosen here. Pages are
// encoded by many goroutines, each by itself; appending them in order is all that one goroutine does.
const (
	rowGroup  = 64 * batch.ChunkSize // rows; a group is closed by the first pages that reach it
	createdBy = "invar sweep (format 2)"
	magic     = "PAR1"
	// maxListed is how many values a list may have, which every row group repeats: a quarter of its rows.
	maxListed = rowGroup / 4
)

// kind is the type of a column.
type kind int

const (
	double   kind = iota // float64
	optional             // float64 or null
	integer              // int64
	label                // string, one of column.labels
)

// column describes a column. One whose values come from a list is stored as indices.
type column struct {
	name   string
	kind   kind
	labels []string  // of a label: all that there are
	list   []float64 // of a double, if not nil: all that there are
}

// oneOf makes the column one of few different numbers, if they are few.
func (c *column) oneOf(list []float64) {
	if len(list) <= maxListed {
		c.list = list
	}
}

func (c *column) listed() bool { return c.labels != nil || c.list != nil }

// encoding is that of the column's data pages.
func (c *column) encoding() format.Encoding {
	switch {
	case c.listed():
		return format.RLEDictionary
	case c.kind == integer:
		return format.DeltaBinaryPacked
	}
	return format.Plain
}

// codec is the compression of the column's pages. Indices and differences are small already.
func (c *column) codec() format.CompressionCodec {
	if c.encoding() == format.Plain {
		return format.Zstd
	}
	return format.Uncompressed
}

var compression = &zstd.Codec{Level: zstd.SpeedFastest}

// physical is how Parquet stores the values of a kind.
func (k kind) physical() format.Type {
	switch k {
	case integer:
		return format.Int64
	case label:
		return format.ByteArray
	}
	return format.Double
}

func (k kind) repetition() format.FieldRepetitionType {
	if k == optional {
		return format.Optional
	}
	return format.Required
}

// schema describes the columns of a file of the given name.
func schema(name string, columns []column) []format.SchemaElement {
	s := []format.SchemaElement{{Name: name, NumChildren: thrift.New(int32(len(columns)))}}
	for i := range columns {
		c := &columns[i]
		e := format.SchemaElement{Name: c.name, Type: thrift.New(c.kind.physical()), RepetitionType: thrift.New(c.kind.repetition())}
		switch c.kind {
		case integer:
			e.ConvertedType = thrift.New(deprecated.Int64)
			e.LogicalType.Value = &format.IntType{BitWidth: 64, IsSigned: true}
		case label:
			e.ConvertedType = thrift.New(deprecated.UTF8)
			e.LogicalType.Value = &format.StringType{}
		}
		s = append(s, e)
	}
	return s
}

// extent is the least and the greatest of some values; null where there are none, or NaN is among them.
type extent struct {
	min, max parquet.Value
	nan      bool
}

func (e *extent) add(o extent, t parquet.Type) {
	e.nan = e.nan || o.nan
	if o.min.IsNull() {
		return
	}
	if e.min.IsNull() || t.Compare(o.min, e.min) < 0 {
		e.min = o.min
	}
	if e.max.IsNull() || t.Compare(o.max, e.max) > 0 {
		e.max = o.max
	}
}

// pages are some rows of a file, encoded: one page a column. The columns are given one after the other, in order.
type pages struct {
	columns []column
	n       int // rows
	parts   []part
	data    []byte // of all pages, with their headers

	// Kept to be used again.
	payload, packed []byte
	header          bytes.Buffer
	thrift          *thrift.Encoder
	numbers         []float64
	seen            []bool // by label
}

// part is one page.
type part struct {
	size, raw int // bytes, compressed and not, with the header
	nulls     int
	extent    extent
}

func newPages(columns []column) *pages {
	p := &pages{columns: columns}
	for _, c := range columns {
		p.seen = slices.Grow(p.seen, len(c.labels))[:max(len(p.seen), len(c.labels))]
	}
	p.thrift = thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(&p.header))
	return p
}

// begin begins the pages of n rows.
func (p *pages) begin(n int) {
	p.n, p.parts, p.data = n, p.parts[:0], p.data[:0]
}

// column is the one that comes next.
func (p *pages) column() *column { return &p.columns[len(p.parts)] }

// doubles writes numbers to a column without a list. A nil x writes nulls.
func (p *pages) doubles(x []float64) (err error) {
	c := p.column()
	payload := p.payload[:0]
	if c.kind == optional { // the definition levels: a run of all rows
		payload = append(payload, 0, 0, 0, 0)
		payload = binary.AppendUvarint(payload, uint64(p.n)<<1)
		if x == nil {
			payload = append(payload, 0)
		} else {
			payload = append(payload, 1)
		}
		binary.LittleEndian.PutUint32(payload, uint32(len(payload)-4))
	}
	var e extent
	nulls := p.n
	if x != nil {
		nulls = 0
		least, greatest := x[0], x[0]
		for _, v := range x {
			if v < least {
				least = v
			}
			if v > greatest {
				greatest = v
			}
			if v != v {
				e.nan = true
			}
		}
		if e.nan { // engines differ in theirs
			p.numbers = append(p.numbers[:0], x...)
			x = p.numbers
			for i, v := range x {
				x[i] = canonical(v)
			}
		} else {
			e.min, e.max = zeros(least, greatest)
		}
		for _, v := range x {
			payload = binary.LittleEndian.AppendUint64(payload, math.Float64bits(v))
		}
	}
	p.payload = payload
	return p.page(payload, nulls, e)
}

// zeros are bounds as Parquet wants them: a zero stands for both zeros.
func zeros(least, greatest float64) (parquet.Value, parquet.Value) {
	if least == 0 {
		least = math.Copysign(0, -1)
	}
	if greatest == 0 {
		greatest = 0 // not -0
	}
	return parquet.DoubleValue(least), parquet.DoubleValue(greatest)
}

// canonical makes all NaNs one, as engines differ in theirs.
func canonical(x float64) float64 {
	if x != x {
		return math.NaN()
	}
	return x
}

// integers writes numbers to an integer column.
func (p *pages) integers(x []int64) (err error) {
	if p.payload, err = parquet.DeltaBinaryPacked.EncodeInt64(p.payload[:0], x); err != nil {
		return err
	}
	least, greatest := x[0], x[0]
	for _, v := range x {
		least, greatest = min(least, v), max(greatest, v)
	}
	return p.page(p.payload, 0, extent{min: parquet.Int64Value(least), max: parquet.Int64Value(greatest)})
}

// indices writes values of its list to a column.
func (p *pages) indices(index []int32) (err error) {
	c := p.column()
	if p.payload, err = parquet.RLEDictionary.EncodeInt32(p.payload[:0], index); err != nil {
		return err
	}
	var e extent
	if c.kind == label {
		clear(p.seen)
		for _, i := range index {
			p.seen[i] = true
		}
		for i, seen := range p.seen[:len(c.labels)] {
			if seen {
				v := parquet.ByteArrayValue([]byte(c.labels[i]))
				e.add(extent{min: v, max: v}, parquet.ByteArrayType)
			}
		}
	} else {
		e = c.extent(index)
	}
	return p.page(p.payload, 0, e)
}

// extent is that of numbers of the column's list.
func (c *column) extent(index []int32) (e extent) {
	least, greatest := c.list[index[0]], c.list[index[0]]
	for k, i := range index {
		if k > 0 && i == index[k-1] {
			continue
		}
		v := c.list[i]
		if v < least {
			least = v
		}
		if v > greatest {
			greatest = v
		}
		if v != v {
			e.nan = true
		}
	}
	e.min, e.max = zeros(least, greatest)
	return e
}

// page ends a column's page.
func (p *pages) page(payload []byte, nulls int, e extent) (err error) {
	c := p.column()
	h := format.PageHeader{Type: format.DataPage, UncompressedPageSize: int32(len(payload)), DataPageHeader: thrift.New(format.DataPageHeader{
		NumValues: int32(p.n), Encoding: c.encoding(), DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
	})}
	raw := len(payload)
	if c.codec() == format.Zstd {
		if p.packed, err = compression.Encode(p.packed[:0], payload); err != nil {
			return err
		}
		payload = p.packed
	}
	size, err := p.append(&h, payload)
	if err != nil {
		return err
	}
	p.parts = append(p.parts, part{size: size, raw: raw + size - len(payload), nulls: nulls, extent: e})
	return nil
}

// append appends a page of any kind and returns its size.
func (p *pages) append(h *format.PageHeader, payload []byte) (int, error) {
	h.CompressedPageSize = int32(len(payload))
	h.CRC = int32(crc32.ChecksumIEEE(payload))
	p.header.Reset()
	if err := p.thrift.Encode(h); err != nil {
		return 0, err
	}
	p.data = append(append(p.data, p.header.Bytes()...), payload...)
	return p.header.Len() + len(payload), nil
}

// listPage is the dictionary page of a column with a list.
func (p *pages) listPage(c *column) ([]byte, error) {
	p.payload = p.payload[:0]
	n := len(c.labels) + len(c.list)
	for _, s := range c.labels {
		p.payload = append(binary.LittleEndian.AppendUint32(p.payload, uint32(len(s))), s...)
	}
	for _, v := range c.list {
		p.payload = binary.LittleEndian.AppendUint64(p.payload, math.Float64bits(v))
	}
	h := format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: int32(len(p.payload)),
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(n), Encoding: format.Plain})}
	p.data = p.data[:0]
	_, err := p.append(&h, p.payload)
	return slices.Clone(p.data), err
}

// parquetFile is a Parquet file being written.
type parquetFile struct {
	pending *pendingFile
	name    string
	columns []column
	idle    sync.Pool // of *pages

	// What follows belongs to one goroutine at a time.
	offset int64
	rows   int64
	group  group
	groups []format.RowGroup
}

// group is the row group that is being filled: pages of each column.
type group struct {
	rows    int
	columns []groupColumn
}

type groupColumn struct {
	list   []byte // dictionary page, if there is one
	data   []byte
	raw    int // bytes of data before compression
	pages  int
	nulls  int
	extent extent
}

// newParquet begins a file; its temporary is in the folder temp, on the same file system.
func newParquet(path, temp string, name string, columns []column) (*parquetFile, error) {
	f := &parquetFile{name: name, columns: columns, group: group{columns: make([]groupColumn, len(columns))}}
	f.idle.New = func() any { return newPages(columns) }
	p := newPages(columns)
	for i := range columns {
		if columns[i].listed() {
			var err error
			if f.group.columns[i].list, err = p.listPage(&columns[i]); err != nil {
				return nil, fmt.Errorf("results: %w", err)
			}
		}
	}
	var err error
	if f.pending, err = newPending(path, temp); err == nil {
		if err = f.write([]byte(magic)); err != nil {
			f.drop()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return f, nil
}

func (f *parquetFile) write(b []byte) error {
	n, err := f.pending.Write(b)
	f.offset += int64(n)
	return err
}

// pages are to be filled with n rows and then added; several goroutines may do so at once.
func (f *parquetFile) pages(n int) *pages {
	p := f.idle.Get().(*pages)
	p.begin(n)
	return p
}

// add appends rows; p is used up.
func (f *parquetFile) add(p *pages) error {
	at := 0
	for i, part := range p.parts {
		c := &f.group.columns[i]
		c.data = append(c.data, p.data[at:at+part.size]...)
		at += part.size
		c.raw += part.raw
		c.pages++
		c.nulls += part.nulls
		c.extent.add(part.extent, valueType(f.columns[i].kind))
	}
	f.group.rows += p.n
	f.rows += int64(p.n)
	f.idle.Put(p)
	if f.group.rows >= rowGroup {
		return f.endGroup()
	}
	return nil
}

// valueType knows the order of a kind's values.
func valueType(k kind) parquet.Type {
	switch k {
	case integer:
		return parquet.Int64Type
	case label:
		return parquet.ByteArrayType
	}
	return parquet.DoubleType
}

// endGroup writes the open row group.
func (f *parquetFile) endGroup() error {
	g := &f.group
	if g.rows == 0 {
		return nil
	}
	if len(f.groups) == parquet.MaxRowGroups {
		return fmt.Errorf("results: %s: more than %d rows; a Parquet file holds no more row groups: use fewer starts or a smaller grid", f.name, f.rows)
	}
	out := format.RowGroup{NumRows: int64(g.rows), FileOffset: f.offset, Ordinal: int16(len(f.groups))}
	for i := range g.columns {
		c, col := &g.columns[i], &f.columns[i]
		enc := col.encoding()
		m := format.ColumnMetaData{
			Type: col.kind.physical(), PathInSchema: []string{col.name}, Codec: col.codec(), NumValues: int64(g.rows),
			TotalUncompressedSize: int64(len(c.list) + c.raw), TotalCompressedSize: int64(len(c.list) + len(c.data)),
			Encoding:       []format.Encoding{enc},
			EncodingStats:  []format.PageEncodingStats{{PageType: format.DataPage, Encoding: enc, Count: int32(c.pages)}},
			DataPageOffset: f.offset + int64(len(c.list)),
			Statistics:     format.Statistics{NullCount: int64(c.nulls)},
		}
		if col.kind == optional {
			m.Encoding = append(m.Encoding, format.RLE)
		}
		if col.listed() {
			m.DictionaryPageOffset = f.offset
			m.Encoding = append(m.Encoding, format.Plain)
			m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
		}
		if !c.extent.nan && !c.extent.min.IsNull() { // which readers could take for the bounds of the NaNs too
			m.Statistics.MinValue, m.Statistics.MaxValue = c.extent.min.Bytes(), c.extent.max.Bytes()
		}
		out.Columns = append(out.Columns, format.ColumnChunk{MetaData: m})
		out.TotalByteSize += m.TotalUncompressedSize
		out.TotalCompressedSize += m.TotalCompressedSize
		for _, b := range [][]byte{c.list, c.data} {
			if err := f.write(b); err != nil {
				return f.wrap(err)
			}
		}
		*c = groupColumn{list: c.list, data: c.data[:0]}
	}
	f.groups = append(f.groups, out)
	g.rows = 0
	return nil
}

// finish puts the file in its place, whole and on the disk.
func (f *parquetFile) finish() error {
	err := f.endGroup()
	if err == nil {
		err = f.wrap(f.footer())
	}
	if err == nil {
		err = f.wrap(f.pending.CloseAtomicallyReplace())
	}
	if err != nil {
		f.drop()
	}
	return err
}

func (f *parquetFile) footer() error {
	m := format.FileMetaData{Version: 2, Schema: schema(f.name, f.columns), NumRows: f.rows, RowGroups: f.groups, CreatedBy: createdBy}
	for range f.columns { // without which readers may not look at the least and the greatest values
		m.ColumnOrders = append(m.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	text, err := thrift.Marshal(new(thrift.CompactProtocol), &m)
	if err != nil {
		return err
	}
	text = append(binary.LittleEndian.AppendUint32(text, uint32(len(text))), magic...)
	return f.write(text)
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
func (f *parquetFile) drop() { f.pending.Cleanup() }
