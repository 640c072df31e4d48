package results

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"invar/batch"
	"invar/internal/version"
	"invar/program"
)

// The files of a result folder.
const (
	configFile  = "config.toml"
	csvFile     = "summary.csv"
	jsonFile    = "summary.json" // the last to be written: it says that the others are there
	samplesFile = "samples.parquet"
	pathsFile   = "paths.parquet"
	runFile     = "run.json"
	partialDir  = "partial"    // while the sweep is not complete: the journal and temporary files
	journalFile = "chunks.bin" // in partialDir
)

// What paths.parquet holds.
const (
	PathStarts = 16   // of the first starts
	PathPoints = 64   // at so many grid points at most, evenly spread
	PathRows   = 1000 // iterates 0..PathRows at most
)

// lastTrace is how long an interrupted sweep may trace paths.
const lastTrace = 300 * time.Millisecond

// Run is a result folder that is being filled.
type Run struct {
	dir     string
	config  *Config
	sweep   *batch.Sweep
	journal *journal
	sources []*journal // of a merge: where the samples come from
	started time.Time

	rows int64 // that an interrupted run left in samples.parquet

	created  bool // by Create or Merge
	made     bool // the folder, too
	replaced bool // results that were in it
	undone   bool
}

// Create makes a new result folder and writes config.toml. A folder that is not
// empty is refused, or, with force, the results of an earlier sweep in it are replaced: they are kept in
// partial/replaced until the new ones are complete, and are back if nothing comes of these.
func Create(dir string, c *Config, force bool) (*Run, error) { return create(dir, c, force, nil) }

func create(dir string, c *Config, force bool, sources []*journal) (_ *Run, err error) {
	text := c.Encode()
	// What runs is what the file says, not what it was made from.
	if c, err = ParseConfig(configFile, text); err != nil {
		return nil, err
	}
	sw, err := c.Sweep()
	if err != nil {
		return nil, err
	}
	r, id, err := newRun(dir, c, sw)
	if err != nil {
		return nil, err
	}
	r.sources = sources
	entries, err := os.ReadDir(dir)
	r.made = errors.Is(err, os.ErrNotExist)
	switch {
	case r.made:
	case err != nil:
		return nil, fmt.Errorf("results: %w", err)
	case len(entries) > 0 && !force:
		return nil, fmt.Errorf("results: folder %s is not empty (it holds %s); choose another, go on with an interrupted sweep by --resume, or replace its results with --force", dir, entries[0].Name())
	case len(entries) > 0:
		if err := setAside(dir); err != nil {
			return nil, err
		}
		r.replaced = true
	}
	r.created = true
	defer func() {
		if err != nil {
			err = r.undo(err)
		}
	}()
	if err := os.MkdirAll(r.path(partialDir), 0o755); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	if sources == nil {
		if r.journal, err = createJournal(r.path(partialDir, journalFile), id, r.chunks()); err != nil {
			return nil, err
		}
		if c.Shard == (Shard{}) {
			r.journal.from = r.started.Add(unsaved)
		}
	}
	if err := r.write(configFile, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		if r.journal != nil {
			r.journal.close()
		}
		return nil, err
	}
	return r, nil
}

// undo takes back what Create or Merge has written, because of err, which it returns.
func (r *Run) undo(err error) error {
	if failed := putBack(r.dir); failed != nil {
		return fmt.Errorf("%w; and what was there before is not back: %v", err, failed)
	}
	if r.made {
		os.Remove(r.dir)
	}
	r.undone = true
	return err
}

// Undone reports whether a Run of Create or Merge has come to nothing: its folder is as it was before.
func (r *Run) Undone() bool { return r.undone }

// Drop gives up, because of err, a Run that Do has not been called on. That of Create or Merge is then Undone. It returns err.
func (r *Run) Drop(err error) error {
	r.close()
	if r.created {
		return r.undo(err)
	}
	return err
}

// close closes the journals.
func (r *Run) close() error {
	var err error
	if r.journal != nil {
		err = r.journal.close()
	}
	for _, s := range r.sources {
		s.close()
	}
	return err
}

// Resume opens the folder of a sweep that was interrupted. A complete folder is
// an error that wraps ErrComplete.
func Resume(dir string) (*Run, error) {
	f, err := Open(dir)
	if err != nil {
		return nil, err
	}
	sw, err := f.Sweep()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, partialDir, journalFile)
	var damage error
	if f.Complete() {
		if damage = f.check(); damage == nil {
			// The process may have died between the last file and the end.
			if !inUse(path) {
				os.RemoveAll(filepath.Join(dir, partialDir))
			}
			return nil, fmt.Errorf("results: folder %s: %w", dir, ErrComplete)
		}
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, f.withoutJournal(damage)
	}
	r, id, err := newRun(dir, f.config, sw)
	if err != nil {
		return nil, err
	}
	if f.summary != nil && damage == nil {
		r.rows = f.summary.Done
	}
	if r.journal, err = openJournal(path, id, r.chunks(), true); err != nil {
		return nil, err
	}
	r.removeTemporaries()
	return r, nil
}

// withoutJournal is why a sweep that has no journal cannot go on. The damage is that of a file, if there is any.
func (f *Folder) withoutJournal(damage error) error {
	_, err := os.Stat(filepath.Join(f.dir, partialDir))
	switch {
	case damage != nil:
		return fmt.Errorf("%w; %s", damage, f.repeat())
	case err == nil && f.summary == nil && f.config.Shard == Shard{}:
		return fmt.Errorf("results: folder %s: a sweep merge was cut off here, and there is nothing to go on from; merge the shards again, with --force", f.dir)
	}
	return fmt.Errorf("results: folder %s has neither a complete %s nor %s to go on from; %s", f.dir, jsonFile, filepath.Join(partialDir, journalFile), f.repeat())
}

// repeat is what to do with a folder from which nothing can go on.
func (f *Folder) repeat() string {
	return fmt.Sprintf("run the sweep again: sweep --config %s --out %s --force", filepath.Join(f.dir, configFile), f.dir)
}

// ErrComplete says that nothing is left to be resumed.
var ErrComplete = errors.New("complete; nothing is left to be done")

// removeTemporaries removes what a process that died left beside the journal.
func (r *Run) removeTemporaries() {
	entries, _ := os.ReadDir(r.path(partialDir))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			os.Remove(r.path(partialDir, e.Name()))
		}
	}
}

func newRun(dir string, c *Config, sw *batch.Sweep) (*Run, fingerprint, error) {
	if n := total(sw); n > maxRows {
		return nil, fingerprint{}, fmt.Errorf("results: %d samples; a folder holds %d at most: use fewer starts or a smaller grid", n, int64(maxRows))
	}
	id, err := identify(c, sw)
	return &Run{dir: dir, config: c, sweep: sw, started: time.Now()}, id, err
}

// identify is a fingerprint of everything that decides the samples: the configuration, and the programs and
// starts that this version of sweep makes of it.
func identify(c *Config, sw *batch.Sweep) (id fingerprint, err error) {
	whole := *c
	whole.Version = ""
	h := sha256.New()
	h.Write(whole.Encode())
	for _, m := range sw.Methods {
		prog, err := batch.Compile(sw.Model, m, batch.Options{Limits: sw.Limits, DType: sw.DType, Split: sw.Split})
		if err != nil {
			return id, err
		}
		fmt.Fprintf(h, "%v %v\n", prog.Slots, prog.Results)
		for _, f := range []*program.Func{prog.Setup, prog.Step, prog.Update} {
			describe(h, f)
		}
	}
	n := min(64, sw.Starts.Len())
	x := make([][]float64, sw.Model.Problem().N())
	for i := range x {
		x[i] = make([]float64, n)
	}
	for _, first := range []int{0, sw.Starts.Len() - n} {
		if err := sw.Starts.Fill(first, x); err != nil {
			return id, err
		}
		for _, col := range x {
			for _, v := range col {
				fmt.Fprintf(h, "%x ", math.Float64bits(v))
			}
		}
	}
	h.Sum(id[:0])
	return id, nil
}

func describe(h hash.Hash, f *program.Func) {
	if f != nil {
		fmt.Fprintf(h, "%v %v %v %v %v %v %v\n", f.In, f.Instrs, f.Out, f.Loops, f.Affines, f.Arrays, f.Tables)
	}
}

// Saved is how many samples need not be run again when the sweep is resumed.
func (r *Run) Saved() int64 {
	if r.journal == nil {
		return 0
	}
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	return r.journal.samples
}

// Config is the sweep's configuration.
func (r *Run) Config() *Config { return r.config }

// Dir is the folder.
func (r *Run) Dir() string { return r.dir }

// Sweep is what Do runs. Engine must be set, Threads and Progress may be; leave the rest alone.
func (r *Run) Sweep() *batch.Sweep { return r.sweep }

// Dropped is the number of bytes at the end of the journal that were not whole records.
func (r *Run) Dropped() int64 {
	if r.journal == nil {
		return 0
	}
	return r.journal.dropped
}

func (r *Run) path(elem ...string) string { return filepath.Join(append([]string{r.dir}, elem...)...) }

func (r *Run) chunks() int64 { return chunks(r.sweep) }

// total is the number of samples of a sweep.
func total(sw *batch.Sweep) int64 {
	return int64(len(sw.Methods)) * int64(sw.Grid.Len()) * int64(sw.Starts.Len())
}

// chunks is the number of chunks of one method.
func chunks(sw *batch.Sweep) int64 {
	return (int64(sw.Starts.Len())*int64(sw.Grid.Len()) + batch.ChunkSize - 1) / batch.ChunkSize
}

// owns deals the chunks out to shards in turn: methods differ in their cost, neighbours do not.
func (s Shard) owns(chunks int64) func(method, chunk int) bool {
	return func(method, chunk int) bool {
		return (int64(method)*chunks+int64(chunk))%int64(s.Count) == int64(s.Index-1)
	}
}

// Do runs what is left of the sweep and writes the folder's files. When ctx ends first it keeps the samples that
// are finished, writes the files for them, and returns the cells that are complete with the context's error. A merge
// that does not come to its end, and a sweep that fails with nothing saved where it was to replace results, are Undone. The
// Report of a shard has no cells.
func (r *Run) Do(ctx context.Context) (*batch.Report, error) {
	rep, err := r.do(ctx)
	whole := r.config.Shard == (Shard{})
	if err == nil && whole && r.journal != nil {
		r.journal.forget() // all is in the files
	}
	if closing := r.close(); err == nil {
		err = closing
	}
	switch {
	case err == nil && whole:
		err = os.RemoveAll(r.path(partialDir))
	case err == nil:
		err = os.RemoveAll(r.path(partialDir, replacedDir))
	case r.Merging() || r.replaced && r.journal.samples == 0 && ctx.Err() == nil:
		err = r.undo(err)
	}
	return rep, err
}

func (r *Run) do(ctx context.Context) (*batch.Report, error) {
	sw := r.sweep
	var log runLog
	log.begin(r)
	if r.config.Shard != (Shard{}) {
		sw.Own = r.config.Shard.owns(r.chunks())
	}
	label := batch.Labels(sw.Methods)
	labels := make([]string, len(sw.Methods))
	for i, m := range sw.Methods {
		labels[i] = label(m)
	}

	var samples *sampleWriter
	if sw.Own == nil {
		e, err := newEncoders(sw.Threads)
		if err != nil {
			return nil, fmt.Errorf("results: %w", err)
		}
		if samples, err = newSamples(r.dir, r.path(partialDir), sw, labels, e); err != nil {
			return nil, err
		}
		defer samples.drop() // nothing is left to drop once it is finished
		sw.Sink = func(c *batch.Chunk) error {
			log.count(c)
			return samples.chunk(c)
		}
	} else {
		sw.Sink = func(c *batch.Chunk) error {
			log.count(c)
			return nil
		}
	}
	if r.journal != nil {
		sw.Load, sw.Save = r.journal.load, r.journal.save
		if samples != nil {
			// So that the disk has little left to do when an interrupted sweep must end at once.
			r.journal.mu.Lock()
			r.journal.also = samples.sync
			r.journal.mu.Unlock()
		}
	} else {
		sw.Load = r.fromSources
	}

	rep, err := sw.Run(ctx)
	interrupted := err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
	switch {
	case err != nil && (!interrupted || r.sources != nil):
		return rep, err
	case sw.Own != nil:
		if werr := r.finishRun(&log, rep, labels, interrupted); werr != nil {
			return rep, werr
		}
		return rep, err
	case interrupted && samples.rows < r.rows:
		// Interrupted again before it came to where it was: the files that are there hold more.
		return rep, err
	}
	if werr := r.writeAll(ctx, samples, rep, labels, &log, interrupted); werr != nil {
		return rep, werr
	}
	return rep, err
}

// fromSources is the Load of a merge.
func (r *Run) fromSources(c *batch.Chunk) (int, error) {
	k := (int64(c.Method)*r.chunks() + int64(c.Index)) % int64(len(r.sources))
	n, err := r.sources[k].load(c)
	if err == nil && n < c.Batch.N {
		err = fmt.Errorf("results: %s: chunk %d of method %d has changed while it was read", r.sources[k].path, c.Index, c.Method)
	}
	return n, err
}

func (r *Run) writeAll(ctx context.Context, samples *sampleWriter, rep *batch.Report, labels []string, log *runLog, interrupted bool) error {
	sw := r.sweep
	rows := samples.rows
	if interrupted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastTrace)
		defer cancel()
	}
	ended := make(chan error, 1)
	go func() { ended <- samples.end() }() // what is left is encoded, and goes to the disk, while paths are traced
	paths, err := r.writePaths(ctx, labels, samples.encoders, interrupted, rows)
	if paths != nil {
		defer paths.drop()
	}
	if err := cmp.Or(<-ended, err); err != nil {
		return err
	}
	for _, f := range []*parquetFile{paths, samples.parquetFile} {
		if err := f.place(); err != nil {
			return err
		}
	}
	label := batch.Labels(sw.Methods)
	if err := r.write(csvFile, func(w io.Writer) error { return writeCSV(w, label, rep, sw.Model.Problem().N()) }); err != nil {
		return err
	}
	if err := r.finishRun(log, rep, labels, interrupted); err != nil {
		return err
	}
	s := &summary{Problem: sw.Model.Problem().Name, DType: batch.DTypeName(sw.DType), Complete: !interrupted, Done: rows, Reference: map[string]float64{},
		Samples: total(sw)}
	for i, v := range sw.Grid.At(rep.Reference) {
		s.Reference[sw.Grid[i].Name] = v
	}
	if err := r.write(jsonFile, func(w io.Writer) error { return writeJSON(w, s, label, rep) }); err != nil {
		return err
	}
	return syncDir(r.dir)
}

// write puts one file in its place, whole.
func (r *Run) write(name string, fill func(io.Writer) error) error {
	f, err := newPending(r.path(name), r.path(partialDir))
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	defer f.Cleanup()
	if err = fill(f); err == nil {
		err = f.CloseAtomicallyReplace()
	}
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// syncDir makes the names in a folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// pathPoints are the grid points whose paths are kept.
func pathPoints(g batch.Grid, reference int) []int {
	n := g.Len()
	keep := []int{reference}
	for i := range min(n, PathPoints-1) {
		if n < PathPoints {
			keep = append(keep, i)
		} else {
			keep = append(keep, int(int64(i)*int64(n-1)/(PathPoints-2)))
		}
	}
	slices.Sort(keep)
	return slices.Compact(keep)
}

// writePaths writes paths.parquet, which has yet to be put in its place or dropped, unless it is nil. An interrupted sweep keeps
// what it can trace, of samples that are finished.
func (r *Run) writePaths(ctx context.Context, labels []string, e *encoders, interrupted bool, done int64) (*parquetFile, error) {
	sw := r.sweep
	p := sw.Model.Problem()
	f, err := newPaths(r.dir, r.path(partialDir), sw, labels, e)
	if err != nil {
		return nil, err
	}
	reference := map[string]float64{}
	for _, q := range p.Params {
		reference[q.Name] = q.Default
	}
	traced := *sw
	if perMethod := int64(sw.Grid.Len()) * int64(sw.Starts.Len()); interrupted {
		traced.Methods = sw.Methods[:min(int64(len(sw.Methods)), done/perMethod)]
	}
	if len(traced.Methods) > 0 {
		err = traced.TracePart(ctx, pathPoints(sw.Grid, sw.Grid.Reference(reference)), PathStarts, PathRows+1, f.path)
	}
	if err == nil || interrupted && errors.Is(err, context.DeadlineExceeded) {
		err = f.end()
	}
	return f.parquetFile, err
}

// runLog is run.json: how the samples were made. It is the one file that another run of the same configuration does not reproduce.
type runLog struct {
	Runs []runEntry `json:"runs"`
}

type runEntry struct {
	Version     string             `json:"version"`
	Go          string             `json:"go"`
	Platform    string             `json:"platform"`
	Host        string             `json:"host"`
	Processors  int                `json:"processors"`
	Engine      string             `json:"engine"`
	Threads     int                `json:"threads"` // 0: one a processor
	Started     time.Time          `json:"started"`
	Seconds     float64            `json:"seconds"`
	Interrupted bool               `json:"interrupted"`
	Run         int64              `json:"samples_run"`
	Loaded      int64              `json:"samples_loaded"`
	CPUSeconds  map[string]float64 `json:"processor_seconds"` // by method
	byMethod    []float64
}

// begin takes over the entries of earlier runs.
func (l *runLog) begin(r *Run) {
	if data, err := os.ReadFile(r.path(runFile)); err == nil {
		if json.Unmarshal(data, l) != nil {
			l.Runs = nil // information only, and not worth a failed sweep
		}
	}
	host, _ := os.Hostname()
	l.Runs = append(l.Runs, runEntry{Version: version.String(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Host: host, Processors: runtime.NumCPU(), Engine: r.sweep.Engine.Name(), Threads: r.sweep.Threads, Started: r.started.UTC().Truncate(time.Second),
		CPUSeconds: map[string]float64{}, byMethod: make([]float64, len(r.sweep.Methods))})
}

func (l *runLog) count(c *batch.Chunk) {
	e := &l.Runs[len(l.Runs)-1]
	e.Loaded += int64(c.Loaded)
	e.Run += int64(c.Batch.N - c.Loaded)
	e.byMethod[c.Method] += c.Seconds
}

func (r *Run) finishRun(l *runLog, rep *batch.Report, labels []string, interrupted bool) error {
	e := &l.Runs[len(l.Runs)-1]
	e.Engine = r.sweep.Engine.Name() // which may have changed
	e.Interrupted = interrupted
	e.Seconds = time.Since(r.started).Seconds()
	for i, s := range e.byMethod {
		e.CPUSeconds[labels[i]] += s
	}
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return r.write(runFile, func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(append(text, '\n'))); return err })
}
