package plot

import (
	"context"
	"errors"
	"io/fs"

	"invar/results"
)

// FromFolder reads what the figures need of a result folder, in bounded memory: its cells, some of its
// samples, and the paths of its first starts. A folder that is not complete gives what it has. When the context
// ends, so does reading, with the context's error.
func FromFolder(ctx context.Context, f *results.Folder, o Options) (*Data, error) {
	sw, err := f.Sweep()
	if err != nil {
		return nil, err
	}
	d := &Data{Sweep: sw, Config: string(f.Config().Encode())}
	if d.Cells, err = f.Cells(); err != nil && !missing(f, err) {
		return nil, err
	}
	r, err := NewRecorder(sw, o)
	if err != nil {
		return nil, err
	}
	err = f.Samples(func(s *results.Sample) error {
		r.Add(Sample{Method: s.Method, Params: s.Params, Start: int(s.Start), X0: s.X0, X: s.X, Loss: s.Loss, Distance: s.Distance,
			Iterations: s.Iterations, Evaluations: s.Evaluations, Status: s.Status})
		return ctx.Err()
	})
	if err != nil && !missing(f, err) {
		return nil, err
	}
	d.Samples = r.Samples()
	all, err := f.Paths()
	if err != nil && !missing(f, err) {
		return nil, err
	}
	for _, p := range all {
		if p.Start < pathStarts {
			d.Paths = append(d.Paths, p)
		}
	}
	return d, nil
}

// missing reports whether a file is not there because the sweep has not come so far.
func missing(f *results.Folder, err error) bool {
	return !f.Complete() && errors.Is(err, fs.ErrNotExist)
}
