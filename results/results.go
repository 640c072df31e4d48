// Package results keeps the results of a sweep in a folder that lasts: the
// configuration that repeats it, a summary, every sample, and the paths of a few.
//
// Writing: a resolved [Config] goes in through [Create] (or [Resume], or [Merge]), which gives a [Run]; its Do runs the sweep
// and fills the folder. Reading: [Open] gives a [Folder]. docs/formats.md describes the files.
//
// Samples go to a journal as they are done, so that a process that is killed
// loses next to nothing, and appear in samples.parquet in one fixed order. What the
// files hold depends on the configuration alone: an unbroken sweep, a
// resumed one and one that was merged from shards leave the same bytes, on any
// number of threads and any engine. Only run.json, which has times and the machine, differs.
package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"invar/batch"
)

// Folder is a result folder that is read.
type Folder struct {
	dir     string
	config  *Config
	sweep   *batch.Sweep // made when it is first needed
	summary *summary     // nil: not yet written
}

// Open opens a result folder, complete or not.
func Open(dir string) (*Folder, error) {
	c, err := ReadConfig(filepath.Join(dir, configFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("results: %s is not a result folder: it has no %s", dir, configFile)
	case err != nil:
		return nil, err
	}
	f := &Folder{dir: dir, config: c}
	data, err := os.ReadFile(filepath.Join(dir, jsonFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, fmt.Errorf("results: %w", err)
	}
	f.summary = &summary{}
	if err := json.Unmarshal(data, f.summary); err != nil {
		return nil, fmt.Errorf("results: %s: %w; %s", filepath.Join(dir, jsonFile), err, f.repeat())
	}
	return f, nil
}

// Config is the configuration.
func (f *Folder) Config() *Config { return f.config }

// Complete reports whether all samples of the sweep are in the folder.
func (f *Folder) Complete() bool { return f.summary != nil && f.summary.Complete }

// Count is the number of samples in samples.parquet and that of the whole sweep.
func (f *Folder) Count() (done, total int64) {
	if f.summary == nil {
		return 0, 0
	}
	return f.summary.Done, f.summary.Samples
}

// Sweep is the sweep, rebuilt from the configuration; it has no engine.
func (f *Folder) Sweep() (*batch.Sweep, error) {
	if f.sweep == nil {
		sw, err := f.config.Sweep()
		if err != nil {
			return nil, fmt.Errorf("results: %s: %w", filepath.Join(f.dir, configFile), err)
		}
		f.sweep = sw
	}
	sw := *f.sweep
	return &sw, nil
}

// written is an error if the folder has no results yet.
func (f *Folder) written() error {
	switch {
	case f.summary != nil:
		return nil
	case f.config.Shard != (Shard{}):
		return fmt.Errorf("results: %s holds shard %v of a sweep; join all shards with sweep merge", f.dir, f.config.Shard)
	}
	return fmt.Errorf("results: %s holds a sweep that was cut off; finish it with sweep --resume %s", f.dir, f.dir)
}

// Report is the sweep's report as far as its cells are complete, their Seconds zero.
func (f *Folder) Report() (*batch.Report, error) {
	if err := f.written(); err != nil {
		return nil, err
	}
	sw, err := f.Sweep()
	if err != nil {
		return nil, err
	}
	defaults := map[string]float64{}
	for _, q := range sw.Model.Problem().Params {
		defaults[q.Name] = q.Default
	}
	rep := &batch.Report{Params: paramNames(sw), Points: sw.Grid.Len(), Reference: sw.Grid.Reference(defaults)}
	byLabel := map[string]batch.Spec{}
	label := batch.Labels(sw.Methods)
	for _, m := range sw.Methods {
		byLabel[label(m)] = m
	}
	for i := range f.summary.Results {
		c := &f.summary.Results[i]
		spec, ok := byLabel[c.Method]
		if !ok {
			return nil, fmt.Errorf("results: %s: method %q is not one of the configuration's", filepath.Join(f.dir, jsonFile), c.Method)
		}
		cell, err := c.batch(spec, rep.Params, sw.Model.Problem().N())
		if err != nil {
			return nil, fmt.Errorf("results: %s: %w", filepath.Join(f.dir, jsonFile), err)
		}
		rep.Cells = append(rep.Cells, cell)
	}
	return rep, nil
}

// Cells are those of Report.
func (f *Folder) Cells() ([]batch.Cell, error) {
	rep, err := f.Report()
	if err != nil {
		return nil, err
	}
	return rep.Cells, nil
}

// Sample is one row of samples.parquet.
type Sample struct {
	Method   int       // index into the sweep's Methods
	Params   []float64 // all parameters, in the problem's order
	Start    int64
	X0, X    []float64
	Loss     float64
	GradNorm float64
	Distance float64 // to the nearest known minimum; NaN if none is known
	Status   batch.Status

	Iterations, Evaluations, Fallbacks int64
}

// check reports, as an error, a file of a complete folder that is missing or shorter than it was written. A Parquet file ends with
// its description, so one that can be opened has its end.
func (f *Folder) check() error {
	sw, err := f.Sweep()
	if err != nil {
		return err
	}
	for _, open := range []func(*batch.Sweep) (*parquetReader, error){f.openSamples, f.openPaths} {
		r, err := open(sw)
		if err != nil {
			return err
		}
		r.close()
	}
	path := filepath.Join(f.dir, csvFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	if n, want := bytes.Count(data, []byte("\n")), 1+len(f.summary.Results); n != want {
		return fmt.Errorf("results: %s has %d whole lines, not %d", path, n, want)
	}
	return nil
}

// openSamples opens samples.parquet of a folder that is written.
func (f *Folder) openSamples(sw *batch.Sweep) (*parquetReader, error) {
	path := filepath.Join(f.dir, samplesFile)
	p := sw.Model.Problem()
	r, err := openParquet(path, sampleColumns(paramNames(sw), p.N(), len(p.Minima) > 0))
	if err != nil {
		return nil, err
	}
	if n := r.pq.NumRows(); n != f.summary.Done {
		r.close()
		return nil, fmt.Errorf("results: %s has %d rows; %s says %d", path, n, jsonFile, f.summary.Done)
	}
	return r, nil
}

func (f *Folder) openPaths(sw *batch.Sweep) (*parquetReader, error) {
	p := sw.Model.Problem()
	return openParquet(filepath.Join(f.dir, pathsFile), pathColumns(paramNames(sw), p.N(), p.M()))
}

// readRows is how many rows are read at once.
const readRows = 4096

// Samples calls yield for each sample, in order: method by method, grid point by grid point, start by
// start. The sample is overwritten by the next. An error of yield ends it and is returned.
func (f *Folder) Samples(yield func(*Sample) error) error {
	if err := f.written(); err != nil {
		return err
	}
	sw, err := f.Sweep()
	if err != nil {
		return err
	}
	path := filepath.Join(f.dir, samplesFile)
	p := sw.Model.Problem()
	n, np := p.N(), len(p.Params)
	r, err := f.openSamples(sw)
	if err != nil {
		return err
	}
	defer r.close()
	s := &Sample{Params: make([]float64, np), X0: make([]float64, n), X: make([]float64, n)}
	label := batch.Labels(sw.Methods)
	perMethod := int64(sw.Grid.Len()) * int64(sw.Starts.Len())
	status := statuses()
	for row := int64(0); ; {
		cols, err := r.next(readRows)
		if err != nil || cols == nil {
			return err
		}
		for i := range cols[0] {
			s.Method = int(row / perMethod)
			if s.Method >= len(sw.Methods) || string(cols[0][i].ByteArray()) != label(sw.Methods[s.Method]) {
				return fmt.Errorf("results: %s: row %d is of method %s, which is not what the configuration says", path, row, cols[0][i])
			}
			row++
			c := cursor{cols: cols[1:], i: i}
			c.floats(s.Params)
			s.Start = c.integer()
			c.floats(s.X0)
			c.floats(s.X)
			s.Loss, s.GradNorm, s.Distance = c.float(), c.float(), c.float()
			s.Iterations, s.Evaluations, s.Fallbacks = c.integer(), c.integer(), c.integer()
			if s.Status, err = c.status(status); err != nil {
				return fmt.Errorf("results: %s: %w", path, err)
			}
			if err := yield(s); err != nil {
				return err
			}
		}
	}
}

// Paths are the traced samples of paths.parquet, in order.
func (f *Folder) Paths() ([]batch.Path, error) {
	if err := f.written(); err != nil {
		return nil, err
	}
	sw, err := f.Sweep()
	if err != nil {
		return nil, err
	}
	p := sw.Model.Problem()
	path := filepath.Join(f.dir, pathsFile)
	r, err := f.openPaths(sw)
	if err != nil {
		return nil, err
	}
	defer r.close()
	label := batch.Labels(sw.Methods)
	status := statuses()
	var paths []batch.Path
	method := 0
	for {
		cols, err := r.next(readRows)
		if err != nil || cols == nil {
			return paths, err
		}
		for i := range cols[0] {
			for method < len(sw.Methods) && string(cols[0][i].ByteArray()) != label(sw.Methods[method]) {
				method++
			}
			if method == len(sw.Methods) {
				return nil, fmt.Errorf("results: %s: method %s is not what the configuration says", path, cols[0][i])
			}
			c := cursor{cols: cols[1:], i: i}
			params := make([]float64, len(p.Params))
			c.floats(params)
			start, iteration := c.integer(), c.integer()
			if iteration == 0 {
				paths = append(paths, batch.Path{Method: sw.Methods[method], Params: params, Start: int(start)})
			}
			if len(paths) == 0 {
				return nil, fmt.Errorf("results: %s: the first path has no start", path)
			}
			q := &paths[len(paths)-1]
			x, y := make([]float64, p.N()), make([]float64, p.M())
			c.floats(x)
			c.floats(y)
			q.X, q.Y, q.Loss = append(q.X, x), append(q.Y, y), append(q.Loss, c.float())
			if q.Status, err = c.status(status); err != nil {
				return nil, fmt.Errorf("results: %s: %w", path, err)
			}
		}
	}
}

func statuses() map[string]batch.Status {
	m := map[string]batch.Status{}
	for _, s := range batch.Statuses() {
		m[s.String()] = s
	}
	return m
}

// cursor reads one row, column after column.
type cursor struct {
	cols [][]parquet.Value
	i    int
}

func (c *cursor) value() parquet.Value {
	v := c.cols[0][c.i]
	c.cols = c.cols[1:]
	return v
}

func (c *cursor) integer() int64 { return c.value().Int64() }

// float is a number; a null is NaN.
func (c *cursor) float() float64 {
	v := c.value()
	if v.IsNull() {
		return math.NaN()
	}
	return v.Double()
}

func (c *cursor) floats(x []float64) {
	for i := range x {
		x[i] = c.float()
	}
}

func (c *cursor) status(known map[string]batch.Status) (batch.Status, error) {
	v := c.value()
	s, ok := known[string(v.ByteArray())]
	if !ok {
		return 0, fmt.Errorf("unknown status %s", v)
	}
	return s, nil
}
