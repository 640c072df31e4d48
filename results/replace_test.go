package results

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"invar/cpu"
	"invar/program"
)

// tree is all that is in a folder: the contents of files by their path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(data)
		return err
	}))
	return all
}

// refusing is an engine that takes no program.
type refusing struct{ cpu.Portable }

var errRefused = errors.New("refused")

func (refusing) Compile(*program.Program) (program.Executable, error) { return nil, errRefused }

// unchanged checks that a folder is as it was.
func unchanged(t *testing.T, what, dir string, before map[string]string) {
	t.Helper()
	if d := cmp.Diff(before, tree(t, dir)); d != "" {
		t.Errorf("%s: the folder has changed (-before +after)\n%.500s", what, d)
	}
}

// Results that are replaced are there until the new ones are complete, and are back if nothing was saved of these.
func TestReplace(t *testing.T) {
	c := square(t)
	dir := fill(t, c)
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o644))
	must(t, os.Mkdir(filepath.Join(dir, PicturesDir), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, PicturesDir, "paths.png"), []byte("drawn"), 0o644))
	before := tree(t, dir)
	c.Starts.Seed++
	want := fill(t, c)
	replace := func() *Run {
		t.Helper()
		r, err := Create(dir, c, true)
		must(t, err)
		return r
	}

	if err := replace().Drop(errRefused); err != errRefused {
		t.Errorf("dropped: %v", err)
	}
	unchanged(t, "dropped", dir, before)

	r := replace()
	r.Sweep().Engine = refusing{}
	if _, err := r.Do(context.Background()); !errors.Is(err, errRefused) || !r.Undone() {
		t.Errorf("error %v, undone %v", err, r.Undone())
	}
	unchanged(t, "refused by the engine", dir, before)

	// A process that died while it moved results leaves some in .replaced.
	must(t, os.Mkdir(filepath.Join(dir, movedDir), 0o755))
	must(t, os.Rename(filepath.Join(dir, configFile), filepath.Join(dir, movedDir, configFile)))
	replace().Drop(errRefused)
	unchanged(t, "died while moving", dir, before)

	// One that died later leaves a sweep that can go on, or be replaced in its turn.
	r = replace()
	must(t, r.close())
	killed := tree(t, dir)
	kept := filepath.Join(partialDir, replacedDir, samplesFile)
	if killed[kept] != before[samplesFile] {
		t.Errorf("%s is not what it was", kept)
	}
	replace().Drop(errRefused)
	unchanged(t, "killed, and then dropped", dir, killed)
	r, err := Resume(dir)
	must(t, err)
	interrupt(t, r, 0.5)
	if tree(t, dir)[kept] != before[samplesFile] {
		t.Errorf("%s is gone before the new samples are complete", kept)
	}
	r, err = Resume(dir)
	must(t, err)
	finish(t, r)
	must(t, os.Remove(filepath.Join(dir, "notes.txt"))) // still there
	same(t, "replaced", dir, want)

	// A shard keeps its journal, and nothing of what it has replaced.
	c.Shard = Shard{1, 2}
	r = replace()
	finish(t, r)
	if _, err := os.Stat(filepath.Join(dir, partialDir, replacedDir)); !os.IsNotExist(err) {
		t.Error("a complete shard keeps what it has replaced")
	}
}

// A sweep that fails when samples have been saved keeps these.
func TestReplaceFailsLate(t *testing.T) {
	c := square(t)
	dir := fill(t, c)
	r, err := Create(dir, c, true)
	must(t, err)
	r.journal.from = time.Time{}
	r.Sweep().Engine, r.Sweep().Threads = cpu.Portable{}, 1
	must(t, os.Mkdir(r.path(csvFile), 0o755)) // in the place of the file
	if _, err := r.Do(context.Background()); err == nil || r.Undone() {
		t.Fatalf("error %v, undone %v", err, r.Undone())
	}
	must(t, os.Remove(r.path(csvFile)))
	r, err = Resume(dir)
	must(t, err)
	if r.journal.samples != total(r.sweep) {
		t.Errorf("%d samples are saved of %d", r.journal.samples, total(r.sweep))
	}
	finish(t, r)
}

// A merge that replaces results and does not come to its end leaves them; one that was killed says what it is.
func TestMergeReplaces(t *testing.T) {
	c := square(t)
	want := fill(t, c)
	s := *c
	s.Shard = Shard{1, 1}
	shard := fill(t, &s)
	c.Starts.Seed++
	out := fill(t, c)
	before := tree(t, out)
	merge := func() *Run {
		t.Helper()
		r, err := Merge([]string{shard}, out, true)
		must(t, err)
		return r
	}
	interrupt(t, merge(), 0)
	unchanged(t, "interrupted", out, before)
	merge().Drop(errRefused)
	unchanged(t, "dropped", out, before)

	must(t, merge().close()) // killed
	if _, err := Resume(out); err == nil || !strings.Contains(err.Error(), "a sweep merge was cut off here") || strings.Contains(err.Error(), "\n") {
		t.Errorf("resumed: %v", err)
	}
	finish(t, merge())
	same(t, "merged", out, want)
	if _, err := os.Stat(filepath.Join(out, partialDir)); !os.IsNotExist(err) {
		t.Error("something is left of what was replaced")
	}
}

// A folder in which a file is missing or torn is not complete; where the journal is still there the files are made again.
func TestDamagedFolder(t *testing.T) {
	c := square(t)
	whole := fill(t, c)
	for _, name := range []string{samplesFile, pathsFile, csvFile, jsonFile} {
		data, err := os.ReadFile(filepath.Join(whole, name))
		must(t, err)
		data = bytes.TrimSpace(data) // without its last line feed summary.json is whole
		for _, size := range []int{-1, 0, len(data) / 2, len(data) - 1} {
			dir := filepath.Join(t.TempDir(), "out")
			must(t, os.CopyFS(dir, os.DirFS(whole)))
			path := filepath.Join(dir, name)
			if size < 0 {
				must(t, os.Remove(path))
			} else {
				must(t, os.WriteFile(path, data[:size], 0o644))
			}
			_, err := Resume(dir)
			if err == nil || errors.Is(err, ErrComplete) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "--out "+dir+" --force") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s cut at %d: %v", name, size, err)
			}
		}
	}

	dir := filepath.Join(t.TempDir(), "out")
	r, err := Create(dir, c, false)
	must(t, err)
	interrupt(t, r, 0.9)
	saved := filepath.Join(t.TempDir(), "saved")
	must(t, os.CopyFS(saved, os.DirFS(filepath.Join(dir, partialDir))))
	r, err = Resume(dir)
	must(t, err)
	finish(t, r)
	must(t, os.CopyFS(filepath.Join(dir, partialDir), os.DirFS(saved))) // as if the process had died before it removed the journal
	must(t, os.Truncate(filepath.Join(dir, samplesFile), 1000))
	r, err = Resume(dir)
	must(t, err)
	finish(t, r)
	same(t, "made again", dir, whole)
}

// A configuration that was edited into one that cannot run is named with its file.
func TestEditedConfig(t *testing.T) {
	dir := fill(t, square(t))
	path := filepath.Join(dir, configFile)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "lr = ", "lrr = ", 1)), 0o644))
	if _, err := Resume(dir); err == nil || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), `no setting "lrr"`) {
		t.Errorf("error %v", err)
	}
}
