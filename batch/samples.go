package batch

import (
	"context"
	"fmt"
	"iter"
	"math"
)

// Sample is one run from one start, and how it ended.
type Sample struct {
	Method   Spec      // with all its settings
	Params   []float64 // all parameters, in the problem's order
	Start    int       // index of the start
	X0, X    []float64 // where it started and where it ended
	Loss     float64   // at X
	GradNorm float64   // |dL/dx| at X
	Distance float64   // from X to the nearest known minimum; NaN where none is known

	Iterations  int
	Evaluations int // of the problem
	Fallbacks   int // steps that were not the method's own
	Status      Status
}

// Samples runs the sweep and gives its samples one by one, in order: method by method, grid point by
// grid point, start by start. Leaving the loop ends the sweep. An error, that of ctx
// among them, comes last, with an empty Sample. The sweep's own Sink is not called.
func (sw *Sweep) Samples(ctx context.Context) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		chunks := make(chan []Sample)
		one := *sw
		one.Sink = func(c *Chunk) error {
			samples, err := one.samples(c)
			if err != nil {
				return err
			}
			select {
			case chunks <- samples:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		var err error
		go func() {
			defer close(chunks)
			_, err = one.Run(ctx)
		}()
		// However the loop is left, nothing runs on behind it.
		defer func() {
			cancel()
			for range chunks {
			}
		}()
		for samples := range chunks {
			for _, s := range samples {
				if !yield(s, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(Sample{}, err)
		}
	}
}

// samples are the samples of a chunk, apart from its memory.
func (sw *Sweep) samples(c *Chunk) ([]Sample, error) {
	p, b := sw.Model.Problem(), c.Batch
	spec, err := sw.Methods[c.Method].Resolve(p)
	if err != nil {
		return nil, err
	}
	column := func(name string) []float64 {
		if i := Column(c.Program, name); i >= 0 {
			return b.Out[i]
		}
		return nil
	}
	loss, grad, distance := column("loss"), column("grad_norm"), column("distance")
	iteration, evaluations, fallbacks, status := column("iteration"), column("evaluations"), column("fallbacks"), column("status")
	start := b.In[len(p.Params):]
	var end [][]float64
	for i := range p.N() {
		end = append(end, column(fmt.Sprintf("x%d", i)))
	}
	row := func(columns [][]float64, k int) []float64 {
		r := make([]float64, len(columns))
		for i := range columns {
			r[i] = columns[i][k]
		}
		return r
	}
	list := make([]Sample, b.N)
	for k := range list {
		list[k] = Sample{
			Method: spec, Params: row(b.In[:len(p.Params)], k), Start: int((c.First + int64(k)) % int64(sw.Starts.Len())),
			X0: row(start, k), X: row(end, k), Loss: loss[k], GradNorm: grad[k], Distance: math.NaN(),
			Iterations: int(iteration[k]), Evaluations: int(evaluations[k]), Fallbacks: int(fallbacks[k]),
			Status: Status(status[k]),
		}
		if distance != nil {
			list[k].Distance = distance[k]
		}
	}
	return list, nil
}
