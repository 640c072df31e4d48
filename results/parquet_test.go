package results

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"invar/batch"
)

// everyKind are columns of every kind, with what is rare in them.
var everyKind = []column{
	{name: "given", kind: given}, {name: "nan", kind: double}, {name: "zero", kind: given},
	{name: "null", kind: absent}, {name: "integer", kind: integer}, {name: "label", kind: label, labels: []string{"b", "", "a", "ünused"}},
	{name: "given runs", kind: given}, {name: "integer runs", kind: integer}, {name: "label runs", kind: label, labels: []string{"ünused", "z", "a"}},
	{name: "many labels", kind: label, labels: manyLabels()}, {name: "one label", kind: label, labels: []string{"one"}},
}

// manyLabels are more than a byte tells apart.
func manyLabels() (labels []string) {
	for i := range 300 {
		labels = append(labels, fmt.Sprintf("label %d", i))
	}
	return labels
}

// writeEveryKind writes a file of random rows with so many threads, and returns the rows and the values as text, by column.
func writeEveryKind(t *testing.T, path string, threads int) (want [][]string) {
	e, err := newEncoders(threads)
	must(t, err)
	f, err := newParquet(path, filepath.Dir(path), everyKind, e)
	must(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	want = make([][]string, len(everyKind))
	for len(want[0]) < 2*rowGroup+rowGroup/8 {
		n, width := 1+rnd.IntN(2*batch.ChunkSize), 1+rnd.IntN(50)
		columns := make([]series, len(everyKind))
		for c, col := range everyKind {
			var x []float64
			if strings.HasSuffix(col.name, " runs") {
				columns[c].runs, x = randomRuns(rnd, col.kind, n)
			} else if col.name != "null" {
				x = randomNumbers(rnd, col, n, width, len(want[0]) < rowGroup)
				columns[c].numbers = x
			}
			for i := range n {
				text := "null"
				switch {
				case len(x) == 0:
				case col.kind == integer:
					text = strconv.FormatInt(int64(x[i]), 10)
				case col.kind == label:
					text = col.labels[int(x[i])]
				default:
					text = hex(canonical(x[i]))
				}
				want[c] = append(want[c], text)
			}
		}
		must(t, f.add(n, columns))
	}
	if f.rows != int64(len(want[0])) {
		t.Errorf("%d rows are counted of %d", f.rows, len(want[0]))
	}
	must(t, f.end())
	must(t, f.place())
	return want
}

// randomNumbers are n numbers of a column, integers in so many bits. The column "nan" has nothing else where onlyNaN is true.
func randomNumbers(rnd *rand.Rand, col column, n, width int, onlyNaN bool) []float64 {
	x := make([]float64, n)
	for i := range x {
		switch col.name {
		case "nan":
			if x[i] = rnd.Float64() - 0.5; rnd.IntN(3) == 0 || onlyNaN {
				x[i] = math.Float64frombits(0xfff8000000000123)
			}
		case "zero":
			x[i] = math.Copysign(0, rnd.Float64()-0.5)
		case "integer":
			x[i] = float64(rnd.IntN(1<<width) - 1000)
		case "label":
			x[i] = float64(rnd.IntN(3))
		case "many labels":
			x[i] = float64(rnd.IntN(len(col.labels)))
		case "one label":
			x[i] = 0
		default:
			x[i] = rnd.Float64() - 0.5
		}
	}
	return x
}

// randomRuns are n numbers in runs, zeros of both signs among them, and the numbers.
func randomRuns(rnd *rand.Rand, k kind, n int) (runs []run, x []float64) {
	for len(x) < n {
		r := run{first: float64(rnd.IntN(2)), n: 1 + rnd.IntN(min(n-len(x), 1000)), up: k == integer && rnd.IntN(2) == 0}
		if k == given {
			r.first = math.Copysign(r.first, rnd.Float64()-0.5)
		}
		runs = append(runs, r)
		for i := range r.n {
			v := r.first
			if r.up {
				v += float64(i)
			}
			x = append(x, v)
		}
	}
	return runs, x
}

// hex is a number with all its bits.
func hex(x float64) string { return fmt.Sprintf("%016x", math.Float64bits(x)) }

// A file of every kind of column, in more row groups than there are goroutines to encode them, has the same bytes on any
// number of threads and reads back; what its footer says of the values of each row group is true of them.
func TestParquetFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file.parquet")
	want := writeEveryKind(t, path, 1)
	one, err := os.ReadFile(path)
	must(t, err)
	for _, threads := range []int{2, 8} {
		path := filepath.Join(dir, "other", "file.parquet")
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		writeEveryKind(t, path, threads)
		other, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(other, one) {
			t.Errorf("%d threads write other bytes than one", threads)
		}
	}

	r, err := openParquet(path, everyKind)
	must(t, err)
	defer r.close()
	groups := r.pq.Metadata().RowGroups
	if len(groups) != 3 {
		t.Fatalf("%d row groups, want 3", len(groups))
	}
	row := 0
	for g := range groups {
		type bounds struct{ least, greatest parquet.Value }
		have := make([]bounds, len(everyKind))
		for left := int(groups[g].NumRows); left > 0; {
			cols, err := r.next(left)
			must(t, err)
			for c, values := range cols {
				compare := r.pq.Schema().Fields()[c].Type().Compare
				b := &have[c]
				for i, v := range values {
					text := v.String()
					if v.Kind() == parquet.Double {
						text = hex(v.Double())
					}
					if v.IsNull() {
						text = "null"
					}
					if w := want[c][row+i]; text != w {
						t.Fatalf("column %s, row %d: %s, want %s", everyKind[c].name, row+i, text, w)
					}
					if v.IsNull() || v.Kind() == parquet.Double && math.IsNaN(v.Double()) {
						continue
					}
					if b.least.IsNull() || compare(v, b.least) < 0 {
						b.least = v.Clone()
					}
					if b.greatest.IsNull() || compare(v, b.greatest) > 0 {
						b.greatest = v.Clone()
					}
				}
			}
			row += len(cols[0])
			left -= len(cols[0])
		}
		for c, b := range have {
			m := groups[g].Columns[c].MetaData
			// So do the bounds of the one page of a column.
			index, err := r.pq.RowGroups()[g].ColumnChunks()[c].ColumnIndex()
			must(t, err)
			name := everyKind[c].name
			if index.NumPages() != 1 {
				t.Errorf("row group %d, column %s: %d pages, want one", g, name, index.NumPages())
			}
			compare := r.pq.Schema().Fields()[c].Type().Compare
			if !b.least.IsNull() && (compare(index.MinValue(0), b.least) > 0 || compare(index.MaxValue(0), b.greatest) < 0) {
				t.Errorf("row group %d, column %s: a page from %v to %v with values from %v to %v", g, name, index.MinValue(0), index.MaxValue(0), b.least, b.greatest)
			}
			nulls := int64(0)
			if everyKind[c].name == "null" {
				nulls = groups[g].NumRows
			}
			if k := everyKind[c].kind; k == double || k == absent { // may have a NaN, of which bounds say nothing
				b = bounds{}
			}
			if s := m.Statistics; !bytes.Equal(s.MinValue, b.least.Bytes()) || !bytes.Equal(s.MaxValue, b.greatest.Bytes()) {
				t.Errorf("row group %d, column %s: bounds %x %x, want %x %x", g, everyKind[c].name, s.MinValue, s.MaxValue, b.least.Bytes(), b.greatest.Bytes())
			}
			if m.Statistics.NullCount != nulls || m.NumValues != groups[g].NumRows {
				t.Errorf("row group %d, column %s: %d nulls of %d values, want %d of %d", g, everyKind[c].name, m.Statistics.NullCount, m.NumValues, nulls, groups[g].NumRows)
			}
		}
	}
	if row != len(want[0]) {
		t.Errorf("%d rows read, want %d", row, len(want[0]))
	}
}

// A disk that takes no more is told to the one who fills the file while it is being filled, and leaves no file.
func TestParquetFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file.parquet")
	e, err := newEncoders(1)
	must(t, err)
	f, err := newParquet(path, dir, []column{{name: "x", kind: double}}, e)
	must(t, err)
	must(t, f.pending.Close())
	x := make([]float64, rowGroup)
	for i := range x {
		x[i] = rand.Float64() // which is not compressed to what a buffer takes
	}
	for range rowGroups {
		err = errors.Join(err, f.add(rowGroup, []series{{numbers: x}}))
	}
	if err == nil || !strings.Contains(err.Error(), "already closed") {
		t.Errorf("error %v, want that of the file", err)
	}
	if err := f.end(); err == nil {
		t.Error("a file that could not be written is finished")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v is left, error %v", entries, err)
	}
}
