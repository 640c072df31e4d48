package results

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"invar/batch"
)

// A file of every kind of column, in more than one row group and pages of all sizes, reads back; what its footer says of the
// values of each row group is true of them.
func TestParquetFile(t *testing.T) {
	columns := []column{
		{name: "double", kind: double}, {name: "nan", kind: double}, {name: "zero", kind: double},
		{name: "optional", kind: optional}, {name: "null", kind: optional}, {name: "integer", kind: integer},
		{name: "label", kind: label, labels: []string{"b", "", "a", "ünused"}},
		{name: "list", kind: double, list: []float64{3, math.Copysign(0, -1), math.Inf(1), 1e-300}},
		{name: "long", kind: double, list: make([]float64, maxListed)},
	}
	for i := range columns[8].list {
		columns[8].list[i] = math.Sqrt(float64(i))
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "file.parquet")
	f, err := newParquet(path, dir, "file", columns)
	must(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	want := make([][]string, len(columns)) // the values of each column, as text
	add := func(n int) {
		p := f.pages(n)
		for c := range columns {
			x, ints, index := make([]float64, n), make([]int64, n), make([]int32, n)
			for i := range n {
				x[i], ints[i], index[i] = rnd.NormFloat64(), int64(rnd.Uint64()), int32(rnd.IntN(3))
				switch columns[c].name {
				case "nan":
					if rnd.IntN(n) == 0 {
						x[i] = math.Float64frombits(0xfff8000000000123)
					}
				case "zero":
					x[i] = 0
				case "long":
					index[i] = int32(rnd.IntN(maxListed))
				}
			}
			var text func(i int) string
			switch col := columns[c]; {
			case col.name == "null":
				must(t, p.doubles(nil))
				text = func(int) string { return "null" }
			case col.labels != nil:
				must(t, p.indices(index))
				text = func(i int) string { return col.labels[index[i]] }
			case col.list != nil:
				must(t, p.indices(index))
				text = func(i int) string { return hex(col.list[index[i]]) }
			case col.kind == integer:
				must(t, p.integers(ints))
				text = func(i int) string { return strconv.FormatInt(ints[i], 10) }
			default:
				must(t, p.doubles(x))
				text = func(i int) string { return hex(canonical(x[i])) }
			}
			for i := range n {
				want[c] = append(want[c], text(i))
			}
		}
		must(t, f.add(p))
	}
	for len(want[0]) < rowGroup+100 {
		add(1 + rnd.IntN(2*batch.ChunkSize))
	}
	add(1)
	must(t, f.finish())

	r, err := openParquet(path, columns)
	must(t, err)
	defer r.close()
	groups := r.pq.Metadata().RowGroups
	if len(groups) != 2 {
		t.Fatalf("%d row groups, want 2", len(groups))
	}
	row := 0
	for g := range groups {
		rows := int(groups[g].NumRows)
		bounds := make([]extent, len(columns))
		for left := rows; left > 0; {
			cols, err := r.next(left)
			must(t, err)
			for c, values := range cols {
				for i, v := range values {
					text := v.String()
					if v.Kind() == parquet.Double {
						text = hex(v.Double())
					}
					if v.IsNull() {
						text = "null"
					}
					if w := want[c][row+i]; text != w {
						t.Fatalf("column %s, row %d: %s, want %s", columns[c].name, row+i, text, w)
					}
					if v.Kind() == parquet.Double && v.Double() != v.Double() {
						bounds[c].nan = true
					} else if !v.IsNull() {
						v = v.Clone()
						bounds[c].add(extent{min: v, max: v}, valueType(columns[c].kind))
					}
				}
			}
			row += len(cols[0])
			left -= len(cols[0])
		}
		for c, b := range bounds {
			m := groups[g].Columns[c].MetaData
			least, greatest := "", ""
			if !b.nan && !b.min.IsNull() {
				least, greatest = string(b.min.Bytes()), string(b.max.Bytes())
			}
			if least != "" && columns[c].kind == double && b.min.Double() == 0 { // a zero stands for both
				least = string(parquet.DoubleValue(math.Copysign(0, -1)).Bytes())
			}
			if s := m.Statistics; string(s.MinValue) != least || string(s.MaxValue) != greatest {
				t.Errorf("row group %d, column %s: bounds %x %x, want %x %x", g, columns[c].name, s.MinValue, s.MaxValue, least, greatest)
			}
			nulls := int64(0)
			if columns[c].name == "null" {
				nulls = int64(rows)
			}
			if m.Statistics.NullCount != nulls || m.NumValues != int64(rows) {
				t.Errorf("row group %d, column %s: %d nulls of %d values, want %d of %d", g, columns[c].name, m.Statistics.NullCount, m.NumValues, nulls, rows)
			}
		}
	}
	if row != len(want[0]) || r.pq.NumRows() != int64(row) {
		t.Errorf("%d rows read, %d in the footer, want %d", row, r.pq.NumRows(), len(want[0]))
	}
}

// hex is a number with all its bits.
func hex(x float64) string { return fmt.Sprintf("%016x", math.Float64bits(x)) }

// What the footer says of sizes and places adds up to the file.
func TestParquetSizes(t *testing.T) {
	path := filepath.Join(fill(t, square(t)), samplesFile)
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	info, err := file.Stat()
	must(t, err)
	pq, err := parquet.OpenFile(file, info.Size())
	must(t, err)
	at := int64(len(magic))
	for _, g := range pq.Metadata().RowGroups {
		if g.FileOffset != at {
			t.Errorf("a row group at %d, want %d", g.FileOffset, at)
		}
		for _, c := range g.Columns {
			m := c.MetaData
			begin := m.DataPageOffset
			if m.DictionaryPageOffset != 0 {
				begin = m.DictionaryPageOffset
				if m.DataPageOffset <= begin {
					t.Errorf("column %v: data at %d, its dictionary at %d", m.PathInSchema, m.DataPageOffset, begin)
				}
			}
			if begin != at {
				t.Errorf("column %v at %d, want %d", m.PathInSchema, begin, at)
			}
			if plain := m.TotalUncompressedSize == m.TotalCompressedSize; plain != (m.Codec == format.Uncompressed) {
				t.Errorf("column %v with codec %v: %d bytes of %d", m.PathInSchema, m.Codec, m.TotalCompressedSize, m.TotalUncompressedSize)
			}
			at += m.TotalCompressedSize
		}
	}
	if at >= info.Size() {
		t.Errorf("columns end at %d in a file of %d bytes", at, info.Size())
	}
}

// A long axis has no list: every row group would repeat it.
func TestLongAxis(t *testing.T) {
	c := square(t)
	sw, err := c.Sweep()
	must(t, err)
	for _, n := range []int{maxListed, maxListed + 1} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i + 1)
		}
		sw.Grid = batch.Grid{{Name: "alpha", Values: values}}
		columns := []column{{name: "alpha", kind: double}}
		place := listParams(columns, sw)
		if listed := n == maxListed; columns[0].listed() != listed || (place[0] != nil) != listed {
			t.Errorf("an axis of %d values: listed %v", n, columns[0].listed())
		}
	}
}
