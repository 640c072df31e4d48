package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/internal/nearest"
	"invar/problem"
	"invar/sampling"
)

// config is what the flags say, before it is resolved.
type config struct {
	problem    string
	alpha      string
	params     []string
	starts     int
	start      []string
	seed       uint64
	sampler    string
	methods    []string
	iterations int
	dtol       float64
	gtol       float64
	ltol       float64
	xtol       float64
	engine     string
	threads    int
	format     string
}

// defaultMethods are run without --method, those of them that the problem can
// serve.
var defaultMethods = []string{"gd", "adam", "bfgs", "newton", "lm", "gn", "ig", "pg"}

// flags adds the flags that sweep and sweep trace share.
func (c *config) flags(f *pflag.FlagSet, starts, iterations int) {
	f.SortFlags = false
	f.StringVarP(&c.problem, "problem", "p", "square", "built-in problem (see sweep problems) or a problem `FILE` (.toml)")
	f.StringVar(&c.alpha, "alpha", "", "`RANGE` of the parameter alpha; short for --param alpha=RANGE")
	f.StringArrayVar(&c.params, "param", nil, "`NAME=RANGE` of any parameter (repeatable); RANGE is lo:hi, lo:hi:count, lin:lo:hi:count, a,b,c or one number")
	f.IntVar(&c.starts, "starts", starts, "number of starts drawn from the problem's box")
	f.StringArrayVar(&c.start, "start", nil, "one start, `X,..` (repeatable), instead of --starts")
	f.Uint64Var(&c.seed, "seed", 1, "seed of the starts")
	f.StringVar(&c.sampler, "sampler", "uniform", "how starts are drawn: "+strings.Join(sampling.Names(), ", "))
	f.StringArrayVarP(&c.methods, "method", "m", nil, "`NAME[:setting=value,...]` (repeatable), or a comma list of bare names (see sweep methods)")
	f.IntVar(&c.iterations, "iterations", iterations, "most iterations of a sample")
	f.Float64Var(&c.dtol, "dtol", 0, "converged: distance to the nearest known minimum at most this (default 1e-6 where minima are known and no tolerance is given)")
	f.Float64Var(&c.gtol, "gtol", 0, "converged: gradient at most this, relative to its start (default 1e-6 where no minimum is known and no tolerance is given)")
	f.Float64Var(&c.ltol, "ltol", 0, "converged: loss at most this")
	f.Float64Var(&c.xtol, "xtol", 0, "stopped (step too small): step at most this, relative to x")
	f.StringVar(&c.engine, "engine", "auto", "what runs the samples: auto, portable, gorgonia (slow, an independent check)")
	f.IntVar(&c.threads, "threads", 0, "threads; 0 is one a processor")
}

// sweep resolves the flags; every error is the user's.
func (c *config) sweep(cmd *cobra.Command) (*batch.Sweep, error) {
	p, err := problem.Load(c.problem)
	if err != nil {
		return nil, usage(err)
	}
	model, err := graph.New(p)
	if err != nil {
		return nil, usage(err)
	}
	sw := &batch.Sweep{Model: model, Threads: c.threads}
	if c.threads < 0 {
		return nil, usagef("--threads %d: 0 or more are allowed", c.threads)
	}
	if sw.Grid, err = c.grid(); err != nil {
		return nil, usage(err)
	}
	if sw.Starts, err = c.points(cmd, p); err != nil {
		return nil, usage(err)
	}
	if sw.Methods, err = c.specs(p); err != nil {
		return nil, usage(err)
	}
	if sw.Limits, err = c.limits(cmd, p); err != nil {
		return nil, usage(err)
	}
	switch c.engine {
	case "auto", "portable":
		sw.Engine = &cpu.Portable{Threads: 1} // the driver keeps all threads busy
	case "gorgonia":
		sw.Engine, sw.Split = graph.NewTapeEngine(model, tapeBatch), true
	default:
		names := []string{"auto", "portable", "gorgonia"}
		return nil, usagef("--engine %s%s: %s are allowed", c.engine, nearest.Hint(c.engine, names), strings.Join(names, ", "))
	}
	return sw, usage(sw.Check())
}

// tapeBatch is the number of samples that Gorgonia's tape machine evaluates at once.
const tapeBatch = 1024

func (c *config) grid() (batch.Grid, error) {
	var g batch.Grid
	params := c.params
	if c.alpha != "" {
		params = append([]string{"alpha=" + c.alpha}, params...)
	}
	for _, s := range params {
		name, r, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("--param %s: NAME=RANGE is wanted", s)
		}
		v, err := batch.ParseRange(r)
		if err != nil {
			return nil, fmt.Errorf("--param %s: %s", name, plain(err))
		}
		g = append(g, batch.Axis{Name: strings.TrimSpace(name), Values: v})
	}
	return g, nil
}

func (c *config) points(cmd *cobra.Command, p *problem.Problem) (batch.Starts, error) {
	if len(c.start) > 0 {
		if cmd.Flags().Changed("starts") {
			return nil, fmt.Errorf("--starts and --start are given; one of them is allowed")
		}
		var pts batch.Points
		for _, s := range c.start {
			parts := strings.Split(s, ",")
			if len(parts) != p.N() {
				return nil, fmt.Errorf("--start %s has %d numbers; problem %s has %d inputs (%s)", s, len(parts), p.Name, p.N(), strings.Join(p.Inputs, ", "))
			}
			x := make([]float64, len(parts))
			for i, t := range parts {
				v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
				if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
					return nil, fmt.Errorf("--start %s: %q is not a finite number", s, t)
				}
				x[i] = v
			}
			pts = append(pts, x)
		}
		return pts, nil
	}
	if c.starts < 1 {
		return nil, fmt.Errorf("--starts %d: 1 or more are allowed", c.starts)
	}
	s, err := sampling.New(c.sampler, c.seed, c.starts, p.N())
	if err != nil {
		return nil, fmt.Errorf("--sampler: %s", plain(err))
	}
	return &batch.Sampled{Sampler: s, N: c.starts, Box: p.Box}, nil
}

func (c *config) specs(p *problem.Problem) ([]batch.Spec, error) {
	var specs []batch.Spec
	for _, s := range c.methods {
		more, err := batch.ParseMethods(s)
		if err != nil {
			return nil, err
		}
		specs = append(specs, more...)
	}
	if len(c.methods) == 0 {
		for _, name := range defaultMethods {
			m, err := batch.Lookup(name)
			if err != nil {
				return nil, err
			}
			if m.Inverse && m.Supports(p) != nil {
				if m, err = batch.Lookup("pg-numeric"); err != nil {
					return nil, err
				}
			}
			specs = append(specs, batch.Spec{Method: m})
		}
	}
	return specs, nil
}

func (c *config) limits(cmd *cobra.Command, p *problem.Problem) (batch.Limits, error) {
	l := batch.DefaultLimits(len(p.Minima) > 0)
	given := false
	for _, t := range []struct {
		name  string
		value float64
	}{{"dtol", c.dtol}, {"gtol", c.gtol}, {"ltol", c.ltol}, {"xtol", c.xtol}} {
		if !(t.value >= 0) || math.IsInf(t.value, 0) {
			return l, fmt.Errorf("--%s %v: a finite number, 0 or more, is allowed", t.name, t.value)
		}
		given = given || t.name != "xtol" && cmd.Flags().Changed(t.name)
	}
	if c.dtol > 0 && len(p.Minima) == 0 {
		return l, fmt.Errorf("--dtol %v: problem %s names no minima to measure the distance to; use --gtol or --ltol", c.dtol, p.Name)
	}
	if given {
		l = batch.Limits{DTol: c.dtol, GTol: c.gtol, LTol: c.ltol}
	}
	l.XTol = c.xtol
	if c.iterations < 0 || c.iterations > maxIterations {
		return l, fmt.Errorf("--iterations %d: 0 to %d are allowed", c.iterations, maxIterations)
	}
	l.Iterations = c.iterations
	return l, nil
}

const maxIterations = 10_000_000
