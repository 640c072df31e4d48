package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"time"

	"invar/batch"
	"invar/sampling"
)

// scaling is what a sweep of so many samples took, in a process of its own.
type scaling struct {
	Samples int
	Wall    float64 // seconds, from start to report
	Seconds float64 // processor time of the samples
	Peak    float64 // MiB, resident, at most
}

// startsPerCell is how many starts a grid point has: the report keeps two numbers for each while a
// grid point is open, so that memory does not grow with the grid but for its cells.
const startsPerCell = 10_000

// scale runs one sweep of n samples in this process and prints the result.
func scale(engine string, n int) error {
	w, err := prepare(items[0], 1, "")
	if err != nil {
		return err
	}
	e, err := newEngine(engine, 1)
	if err != nil {
		return err
	}
	sampler, err := sampling.New("uniform", 1, min(n, startsPerCell), 2)
	if err != nil {
		return err
	}
	points := max(1, n/startsPerCell)
	alphas := make([]float64, points)
	for i := range alphas {
		alphas[i] = 0.5 + 0.5*float64(i)/float64(points)
	}
	sw := &batch.Sweep{
		Model: w.model, Methods: []batch.Spec{w.spec}, Limits: w.limits, Engine: e, Threads: 1,
		Grid:   batch.Grid{{Name: "alpha", Values: alphas}},
		Starts: &batch.Sampled{Sampler: sampler, N: min(n, startsPerCell), Box: w.model.Problem().Box},
	}
	begin := time.Now()
	report, err := sw.Run(context.Background())
	if err != nil {
		return err
	}
	s := scaling{Wall: time.Since(begin).Seconds()}
	for _, c := range report.Cells {
		s.Samples += c.Samples
		s.Seconds += c.Seconds
		if c.Status[batch.IterationLimit] != c.Samples {
			return fmt.Errorf("a cell with statuses %v, want all samples at the iteration limit", c.Status)
		}
	}
	if _, err := fmt.Sscanf(procField("/proc/self/status", "VmHWM"), "%f kB", &s.Peak); err != nil {
		return fmt.Errorf("the peak of memory is unknown: %w", err)
	}
	s.Peak /= 1024
	return json.NewEncoder(os.Stdout).Encode(s)
}

// scalings measures sweeps of 1e4, 1e5, ... samples, each in a process of its own. Small ones are
// repeated, and the sizes take turns.
func (c *config) scalings() ([]scaling, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var sizes []int
	for n := 10_000; n <= c.scaleTo; n *= 10 {
		sizes = append(sizes, n)
	}
	best := make([]scaling, len(sizes))
	for round := range c.repeats {
		for i, n := range sizes {
			if round > 0 && n > 10*million {
				continue
			}
			out, err := exec.Command(exe, "--engine", c.engine, "--scale", fmt.Sprint(n)).Output()
			if err != nil {
				return nil, fmt.Errorf("a sweep of %d samples: %w", n, err)
			}
			var s scaling
			if err := json.NewDecoder(strings.NewReader(string(out))).Decode(&s); err != nil {
				return nil, fmt.Errorf("a sweep of %d samples: %w", n, err)
			}
			c.logf("scale: %d samples, %.2f ns a sample, %.0f MiB", n, s.Seconds*1e9/float64(n), s.Peak)
			if round == 0 {
				best[i] = s
				continue
			}
			best[i].Wall, best[i].Seconds = math.Min(best[i].Wall, s.Wall), math.Min(best[i].Seconds, s.Seconds)
			best[i].Peak = math.Max(best[i].Peak, s.Peak)
		}
	}
	return best, nil
}
