package results

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/program"
)

// The number of threads changes nothing.
func TestThreads(t *testing.T) {
	want := fill(t, square(t))
	for _, threads := range []int{1, 3} {
		dir := filepath.Join(t.TempDir(), "out")
		r, err := Create(dir, square(t), false)
		must(t, err)
		r.Sweep().Threads = threads
		finish(t, r)
		same(t, "threads", dir, want)
	}
}

// A sweep that was interrupted once or often, and then resumed, leaves the files of an unbroken one;
// each time the folder is valid, and holds the first samples.
func TestResume(t *testing.T) {
	c := square(t)
	want := fill(t, c)
	all, _, _ := reference(t, c)
	for _, parts := range [][]float64{{0.2}, {0.5}, {0.9}, {0.2, 0.4, 0.8}, {0.6, 0}} {
		dir := filepath.Join(t.TempDir(), "out")
		r, err := Create(dir, c, false)
		must(t, err)
		most := int64(0)
		for i, part := range parts {
			if i > 0 {
				r, err = Resume(dir)
				must(t, err)
			}
			interrupt(t, r, part)
			f, err := Open(dir)
			must(t, err)
			if f.Complete() {
				t.Fatal("an interrupted sweep is complete")
			}
			done, total := f.Count()
			if total != int64(len(all)) || done < most || done == 0 || done == total {
				t.Errorf("%v: %d samples of %d, after %d", parts, done, total, most)
			}
			most = done
			row := 0
			must(t, f.Samples(func(s *Sample) error {
				if w := all[row]; s.Method != w.Method || s.Start != w.Start || s.Loss != w.Loss && w.Loss == w.Loss {
					t.Fatalf("row %d is %+v, want %+v", row, *s, w)
				}
				row++
				return nil
			}))
			if int64(row) != done {
				t.Errorf("%d rows, but the summary says %d", row, done)
			}
			if _, err := f.Paths(); err != nil {
				t.Error(err)
			}
		}
		r, err = Resume(dir)
		must(t, err)
		finish(t, r)
		same(t, "resumed", dir, want)
		if _, err := Resume(dir); !errors.Is(err, ErrComplete) {
			t.Errorf("resumed when complete: %v", err)
		}
		var log runLog
		data, err := os.ReadFile(filepath.Join(dir, runFile))
		must(t, err)
		must(t, json.Unmarshal(data, &log))
		last := log.Runs[len(log.Runs)-1]
		if last.Loaded+last.Run != int64(len(all)) || last.Loaded == 0 || last.Interrupted {
			t.Errorf("run.json ends with %+v", last)
		}
	}
}

// The journal of a new sweep takes nothing at first, and then whole chunks: the one in which it begins from its first sample on.
func TestJournalBegins(t *testing.T) {
	const method = 4900 // samples: two chunks and a part
	c := square(t)
	want := fill(t, c)
	for before, saved := range map[int]int64{0: method, 100: method, batch.ChunkSize: method - batch.ChunkSize, method: 0} {
		dir := filepath.Join(t.TempDir(), "out")
		r, err := Create(dir, c, false)
		must(t, err)
		if d := r.journal.from.Sub(r.started); d != unsaved {
			t.Errorf("the journal begins after %v, want %v", d, unsaved)
		}
		r.journal.from = time.Now().Add(time.Hour)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		left := before
		r.Sweep().Threads = 1
		r.Sweep().Engine = &breaking{left: &left, cancel: func() {
			r.journal.from = time.Time{}
			if before-left > method {
				cancel()
			}
		}}
		if _, err := r.Do(ctx); err != context.Canceled {
			t.Fatalf("error %v, want context.Canceled", err)
		}
		r, err = Resume(dir)
		must(t, err)
		if !r.journal.from.IsZero() || r.journal.samples != saved {
			t.Errorf("begun after %d samples: %d are saved, want %d", before, r.journal.samples, saved)
		}
		loaded := int64(0)
		r.Sweep().Progress = func(p batch.Progress) { loaded = p.Loaded }
		finish(t, r)
		if loaded != saved {
			t.Errorf("begun after %d samples: %d are loaded, want %d", before, loaded, saved)
		}
		same(t, "resumed", dir, want)
	}
	s := *c
	s.Shard = Shard{1, 2}
	r, err := Create(filepath.Join(t.TempDir(), "shard"), &s, false)
	must(t, err)
	if !r.journal.from.IsZero() {
		t.Errorf("the journal of a shard begins at %v", r.journal.from)
	}
	must(t, r.journal.close())
}

// Whatever the place at which the last record is cut off, or the bit that is wrong in it, the records before it
// are loaded, and the sweep ends with the same files.
func TestTornJournal(t *testing.T) {
	c := configOf(t, "square", "0.5:2:3", 4, "gd", "newton")
	want := fill(t, c)
	dir := filepath.Join(t.TempDir(), "out")
	r, err := Create(dir, c, false)
	must(t, err)
	interrupt(t, r, 0.5)
	path := filepath.Join(dir, partialDir, journalFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	sw, err := c.Sweep()
	must(t, err)
	id, err := identify(c, sw)
	must(t, err)
	open := func() *journal {
		t.Helper()
		j, err := openJournal(path, id, chunks(sw), true)
		must(t, err)
		return j
	}
	j := open()
	if j.samples != 12 || j.size != int64(len(whole)) || j.dropped != 0 {
		t.Fatalf("%d samples in %d bytes of %d", j.samples, j.size, len(whole))
	}
	must(t, j.close())
	// A second record behind the first, cut at every byte.
	two := append(append([]byte(nil), whole...), whole[journalHeader:]...)
	for cut := len(whole); cut <= len(two); cut++ {
		must(t, os.WriteFile(path, two[:cut], 0o644))
		j := open()
		wantSize, wantDropped := int64(len(whole)), int64(cut-len(whole))
		if cut == len(two) {
			wantSize, wantDropped = int64(cut), 0
		}
		if j.size != wantSize || j.dropped != wantDropped {
			t.Fatalf("cut at %d: %d bytes kept and %d dropped, want %d and %d", cut, j.size, j.dropped, wantSize, wantDropped)
		}
		must(t, j.close())
		if info, err := os.Stat(path); err != nil || info.Size() != wantSize {
			t.Fatalf("cut at %d: the file has %v bytes, want %d", cut, info.Size(), wantSize)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		bad := append([]byte(nil), two...)
		bad[len(whole)+rnd.IntN(len(two)-len(whole))] ^= 1 << rnd.IntN(8)
		must(t, os.WriteFile(path, bad, 0o644))
		if j := open(); j.size != int64(len(whole)) {
			t.Fatalf("a wrong bit: %d bytes kept, want %d", j.size, len(whole))
		} else {
			must(t, j.close())
		}
	}
	// The whole sweep from torn journals, among them an empty one.
	for _, cut := range []int{journalHeader, journalHeader + 3, len(whole) - 1, len(whole)} {
		again := filepath.Join(t.TempDir(), "again")
		must(t, os.MkdirAll(filepath.Join(again, partialDir), 0o755))
		must(t, os.WriteFile(filepath.Join(again, configFile), c.Encode(), 0o644))
		must(t, os.WriteFile(filepath.Join(again, partialDir, journalFile), whole[:cut], 0o644))
		r, err := Resume(again)
		must(t, err)
		finish(t, r)
		same(t, "torn", again, want)
	}
	// A torn header is no journal of ours.
	must(t, os.WriteFile(path, whole[:journalHeader-1], 0o644))
	if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), "not a journal") {
		t.Errorf("a torn header: %v", err)
	}
}

// Columns of a record keep all bits, and take no more room than their numbers need.
func TestJournalColumns(t *testing.T) {
	for _, c := range []struct {
		x     []float64
		width int
	}{
		{[]float64{0, 0, 0}, 1}, {[]float64{0, 255}, 1}, {[]float64{1, 256}, 2}, {[]float64{65535, 0}, 2}, {[]float64{65536}, 4},
		{[]float64{1<<32 - 1, 7}, 4}, {[]float64{1 << 32}, 8}, {[]float64{1 << 63, 1 << 62}, 8}, {[]float64{3, -1}, 8}, {[]float64{0.5, 1}, 8},
		{[]float64{2, math.Copysign(0, -1)}, 8}, {[]float64{1, math.NaN()}, 8}, {[]float64{math.Inf(1), math.Inf(-1)}, 8}, {[]float64{-1 << 63}, 8},
		{[]float64{1e300, 5e-324}, 8},
	} {
		b := appendColumn([]byte("before"), c.x)
		if len(b) != 6+1+c.width*len(c.x) {
			t.Errorf("%v take %d bytes, want %d", c.x, len(b)-6, 1+c.width*len(c.x))
		}
		got := make([]float64, len(c.x))
		rest, ok := readColumn(append(b[6:], "after"...), got)
		if !ok || string(rest) != "after" {
			t.Errorf("%v: read %v, and %q is left", c.x, ok, rest)
		}
		for i := range got {
			if math.Float64bits(got[i]) != math.Float64bits(c.x[i]) {
				t.Errorf("%v becomes %v", c.x, got)
			}
		}
		for cut := range len(b) - 6 {
			if _, ok := readColumn(b[6:6+cut], got); ok {
				t.Errorf("%v: %d bytes of %d are taken for a column", c.x, cut, len(b)-6)
			}
		}
		b[6] = 3
		if _, ok := readColumn(b[6:], got); ok {
			t.Errorf("numbers of 3 bytes are taken")
		}
	}
}

// A journal is bound to its sweep, and to one process.
func TestJournalRefusals(t *testing.T) {
	c := square(t)
	dir := filepath.Join(t.TempDir(), "out")
	r, err := Create(dir, c, false)
	must(t, err)
	if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := Create(dir, c, true); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("forced while in use: %v", err)
	}
	interrupt(t, r, 0.3)
	path := filepath.Join(dir, configFile)
	text, err := os.ReadFile(path)
	must(t, err)
	for _, c := range [][2]string{{"seed = 5", "seed = 6"}, {"values = [0.1,", "values = [0.2,"}, {"iterations = 60", "iterations = 61"}} {
		must(t, os.WriteFile(path, []byte(strings.Replace(string(text), c[0], c[1], 1)), 0o644))
		if _, err := Resume(dir); !errors.Is(err, errForeign) {
			t.Errorf("%s: %v", c[1], err)
		}
	}
	must(t, os.WriteFile(path, text, 0o644))
	r, err = Resume(dir)
	must(t, err)
	finish(t, r)
}

// A sweep in shards, merged in any order, leaves the files of the undivided one.
func TestMerge(t *testing.T) {
	c := square(t)
	want := fill(t, c)
	for _, k := range []int{1, 2, 3, 7, 20} {
		var dirs []string
		for i := 1; i <= k; i++ {
			s := *c
			s.Shard = Shard{i, k}
			dir := filepath.Join(t.TempDir(), "shard")
			r, err := Create(dir, &s, false)
			must(t, err)
			if k == 3 && i == 2 {
				interrupt(t, r, 0.5)
				r, err = Resume(dir)
				must(t, err)
			}
			if rep := finish(t, r); len(rep.Cells) != 0 {
				t.Errorf("a shard reports %d cells", len(rep.Cells))
			}
			f, err := Open(dir)
			must(t, err)
			if _, err := f.Cells(); err == nil || !strings.Contains(err.Error(), "sweep merge") {
				t.Errorf("the cells of a shard: %v", err)
			}
			dirs = append(dirs, dir)
		}
		rand.New(rand.NewPCG(1, uint64(k))).Shuffle(k, func(i, j int) { dirs[i], dirs[j] = dirs[j], dirs[i] })
		out := filepath.Join(t.TempDir(), "merged")
		r, err := Merge(dirs, out, false)
		must(t, err)
		finish(t, r)
		same(t, "merged", out, want)
	}
}

// Shards share the chunks out evenly: each chunk is in one of them.
func TestShardsAreDisjoint(t *testing.T) {
	for _, k := range []int{1, 2, 5, 9} {
		for m := range 3 {
			for chunk := range 3 {
				owners := 0
				for i := 1; i <= k; i++ {
					if (Shard{i, k}).owns(3)(m, chunk) {
						owners++
					}
				}
				if owners != 1 {
					t.Errorf("chunk %d of method %d is in %d of %d shards", chunk, m, owners, k)
				}
			}
		}
	}
}

// All NaNs are stored as one, for engines differ in theirs.
func TestOneNaN(t *testing.T) {
	want := math.Float64bits(math.NaN())
	for _, bits := range []uint64{0xfff8000000000000, 0x7ff8000000000123, 0x7ff0000000000001} {
		if got := math.Float64bits(canonical(math.Float64frombits(bits))); got != want {
			t.Errorf("NaN %x becomes %x, want %x", bits, got, want)
		}
	}
	for _, x := range []float64{0, math.Copysign(0, -1), 1.5, math.Inf(-1)} {
		if math.Float64bits(canonical(x)) != math.Float64bits(x) {
			t.Errorf("%v becomes %v", x, canonical(x))
		}
	}
}

// What is not all shards of one sweep is refused, and nothing is written.
func TestMergeRefusals(t *testing.T) {
	c := square(t)
	shard := func(c *Config, i, k int) string {
		s := *c
		s.Shard = Shard{i, k}
		return fill(t, &s)
	}
	other := square(t)
	other.Limits.Iterations = 61
	a, b := shard(c, 1, 3), shard(c, 2, 3)
	half := func() string {
		s := *c
		s.Shard = Shard{3, 3}
		dir := filepath.Join(t.TempDir(), "half")
		r, err := Create(dir, &s, false)
		must(t, err)
		interrupt(t, r, 0.4)
		return dir
	}()
	for _, k := range []struct {
		what string
		dirs []string
		want string
	}{
		{"nothing", nil, "no folders"},
		{"missing", []string{a, b}, "missing shards: 3/3"},
		{"twice", []string{a, b, b}, "both shard 2/3"},
		{"foreign", []string{a, b, shard(other, 3, 3)}, `"iterations = 60" against "iterations = 61"`},
		{"other division", []string{a, b, shard(c, 3, 4)}, "one of 4"},
		{"not a shard", []string{a, b, fill(t, c)}, "is not a shard"},
		{"not complete", []string{a, b, half}, "sweep --resume"},
		{"not a folder", []string{a, b, filepath.Join(a, "no")}, "not a result folder"},
	} {
		out := filepath.Join(t.TempDir(), "merged")
		if _, err := Merge(k.dirs, out, false); err == nil || !strings.Contains(err.Error(), k.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q in one line", k.what, err, k.want)
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%s: something was written", k.what)
		}
	}
	if _, err := Merge([]string{a, b}, b, true); err == nil || !strings.Contains(err.Error(), "another folder") {
		t.Errorf("merged into a shard: %v", err)
	}
	if _, err := Open(b); err != nil {
		t.Errorf("the shard is gone: %v", err)
	}
}

// A merge that is interrupted leaves nothing.
func TestMergeInterrupted(t *testing.T) {
	s := *square(t)
	s.Shard = Shard{1, 1}
	out := filepath.Join(t.TempDir(), "merged")
	r, err := Merge([]string{fill(t, &s)}, out, false)
	must(t, err)
	interrupt(t, r, 0)
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Error("something was left")
	}
}

// tracing is an engine that interrupts the sweep when paths are to be traced for their file.
type tracing struct {
	cpu.Portable
	cancel func()
}

func (e tracing) Compile(p *program.Program) (program.Executable, error) {
	if p.Slot("y0") >= 0 {
		e.cancel()
	}
	return e.Portable.Compile(p)
}

// Interrupted while paths are traced, a merge leaves nothing and a sweep what it had before, from which it can go on.
func TestTracingInterrupted(t *testing.T) {
	do := func(r *Run) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r.Sweep().Engine = tracing{cancel: cancel}
		if _, err := r.Do(ctx); err != context.Canceled {
			t.Fatalf("error %v, want context.Canceled", err)
		}
	}
	c := square(t)
	want := fill(t, c)
	s := *c
	s.Shard = Shard{1, 1}
	merged := filepath.Join(t.TempDir(), "merged")
	m, err := Merge([]string{fill(t, &s)}, merged, false)
	must(t, err)
	do(m)
	if _, err := os.Stat(merged); !os.IsNotExist(err) {
		t.Error("the merge left something")
	}

	dir := filepath.Join(t.TempDir(), "out")
	r, err := Create(dir, c, false)
	must(t, err)
	interrupt(t, r, 0.3)
	files := func() (all []string) {
		for _, name := range []string{samplesFile, pathsFile, csvFile, jsonFile} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			must(t, err)
			all = append(all, string(data))
		}
		return all
	}
	before := files()
	r, err = Resume(dir)
	must(t, err)
	do(r)
	if !slices.Equal(before, files()) {
		t.Error("a sweep that was not finished has changed its files")
	}
	r, err = Resume(dir)
	must(t, err)
	finish(t, r)
	same(t, "resumed", dir, want)
}

// A folder with something in it is refused, and with force loses what a sweep wrote, and that alone.
func TestCreateRefusals(t *testing.T) {
	c := square(t)
	dir := fill(t, c)
	before := sums(t, dir)
	if _, err := Create(dir, c, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("error %v, want one that names --force", err)
	}
	if after := sums(t, dir); len(after) != len(before) || after[samplesFile] != before[samplesFile] {
		t.Error("a refused folder was touched")
	}
	notes := filepath.Join(dir, "notes.txt")
	must(t, os.WriteFile(notes, []byte("mine"), 0o644))
	c.Starts.Seed++
	r, err := Create(dir, c, true)
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, samplesFile)); !os.IsNotExist(err) {
		t.Error("samples of another configuration stay beside the new one")
	}
	finish(t, r)
	if data, err := os.ReadFile(notes); err != nil || string(data) != "mine" {
		t.Error("force took a file that no sweep wrote")
	}
	// Folders that cannot be made.
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{file, filepath.Join(file, "out"), filepath.Join(t.TempDir(), strings.Repeat("a", 300))} {
		if _, err := Create(dir, c, false); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: error %v, want one of one line", dir, err)
		}
	}
	// A configuration that is wrong, or has more samples than a file can hold, writes nothing.
	c.Methods[0].Name = "gdd"
	out := filepath.Join(t.TempDir(), "out")
	if _, err := Create(out, c, false); err == nil {
		t.Error("an unknown method is taken")
	}
	many := configOf(t, "square", "0.01:100:5", 1_000_000_000, "gd")
	if _, err := Create(out, many, false); err == nil || !strings.Contains(err.Error(), "5000000000 samples; a folder holds") {
		t.Errorf("error %v, want one that says how many samples a folder holds", err)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Error("something was written")
	}
}

// A write that fails ends the sweep with its error, leaves no half-written file, and what was saved can be gone on from.
func TestWriteFails(t *testing.T) {
	c := square(t)
	want := fill(t, c)
	dir := filepath.Join(t.TempDir(), "out")
	r, err := Create(dir, c, false)
	must(t, err)
	r.journal.from = time.Time{}
	sw := r.Sweep()
	sw.Engine, sw.Threads = cpu.Portable{}, 1
	writes := 0
	sw.Progress = func(batch.Progress) {
		if writes++; writes == 1 {
			r.journal.f.Close() // every write from now on fails
		}
	}
	if _, err = r.Do(context.Background()); err == nil || !strings.Contains(err.Error(), journalFile) {
		t.Errorf("error %v, want one that names the file", err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if e.Name() != configFile && e.Name() != partialDir {
			t.Errorf("%s is left", e.Name())
		}
	}
	r, err = Resume(dir)
	must(t, err)
	if r.journal.samples == 0 {
		t.Error("nothing was saved")
	}
	finish(t, r)
	same(t, "after failed writes", dir, want)
}

// Readers say what is wrong with a folder.
func TestReadRefusals(t *testing.T) {
	c := square(t)
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a result folder") {
		t.Errorf("an empty folder: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	_, err := Create(dir, c, false)
	must(t, err)
	f, err := Open(dir)
	must(t, err)
	if err := f.Samples(func(*Sample) error { return nil }); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a sweep that was cut off: %v", err)
	}
	dir = fill(t, c)
	f, err = Open(dir)
	must(t, err)
	if err := f.Samples(func(*Sample) error { return io.ErrClosedPipe }); err != io.ErrClosedPipe {
		t.Errorf("error %v, want that of yield", err)
	}
	for _, name := range []string{samplesFile, pathsFile} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		must(t, err)
		for _, spoiled := range [][]byte{nil, whole[:100], whole[:len(whole)-1]} {
			must(t, os.WriteFile(path, spoiled, 0o644))
			_, perr := f.Paths()
			serr := f.Samples(func(*Sample) error { return nil })
			if err := errors.Join(perr, serr); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s cut at %d: error %v, want one that names it", name, len(spoiled), err)
			}
		}
		must(t, os.WriteFile(path, whole, 0o644))
	}
	for want, other := range map[string]*Config{"columns": configOf(t, "heat", "", 10, "gd"), "10 rows": configOf(t, "rosenbrock", "", 10, "gd")} {
		data, err := os.ReadFile(filepath.Join(fill(t, other), samplesFile))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, samplesFile), data, 0o644))
		if err := f.Samples(func(*Sample) error { return nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("samples of another problem: error %v, want %q", err, want)
		}
	}
}
