package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"invar/batch"
	"invar/graph"
	"invar/internal/nearest"
	"invar/internal/plural"
	"invar/problem"
	"invar/results"
	"invar/sampling"
)

// config is what the flags say, before it is resolved.
type config struct {
	problem    string
	alpha      string
	params     []string
	starts     int
	start      []string
	startsFile string
	box        string
	seed       uint64
	sampler    string
	methods    []string
	iterations int
	dtol       float64
	gtol       float64
	ltol       float64
	xtol       float64
	dtype      string
	engine     string
	device     string
	bar        *bar // shows how the sweep gets on; from setEngine on
	threads    int
	format     string
	dryRun     bool

	base *results.Config // of --config: what no flag says
	text string          // of the problem's file, once it is read
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
	f.StringVar(&c.startsFile, "starts-file", "", "starts from a `FILE`, one a row: .csv (a header may name the inputs) or .npy")
	f.StringVar(&c.box, "box", "", "draw starts from here instead of the problem's box: `LO:HI` for all inputs, or LO:HI,LO:HI,... one each")
	f.StringVar(&c.sampler, "sampler", "uniform", "how starts are drawn: "+strings.Join(sampling.Names(), ", "))
	f.Uint64Var(&c.seed, "seed", 1, "seed of the starts")
	f.StringArrayVarP(&c.methods, "method", "m", nil, "`NAME[:setting=value,...]` (repeatable), or a comma list of bare names (see sweep methods)")
	f.IntVar(&c.iterations, "iterations", iterations, "most iterations of a sample")
	f.Float64Var(&c.dtol, "dtol", 0, "converged: distance to the nearest known minimum at most this (default 1e-6 where minima are known and no tolerance is given)")
	f.Float64Var(&c.gtol, "gtol", 0, "converged: gradient at most this, relative to its start (default 1e-6 where no minimum is known and no tolerance is given)")
	f.Float64Var(&c.ltol, "ltol", 0, "converged: loss at most this")
	f.Float64Var(&c.xtol, "xtol", 0, "stopped (step too small): step at most this, relative to x")
	f.StringVar(&c.dtype, "dtype", batch.DTypes[0], "numbers that samples compute with: "+strings.Join(batch.DTypes, ", "))
	f.StringVar(&c.engine, "engine", "auto", "what runs the samples: "+strings.Join(engineNames(), ", ")+" (see sweep version)")
	f.StringVar(&c.device, "device", "auto", "where the samples run: auto, cpu, cuda (all GPUs) or cuda:1, ... (the second GPU); auto is the GPUs if they work, else the CPU; the results are the same")
	f.IntVar(&c.threads, "threads", 0, "threads; 0 is one a processor")
}

// sweep resolves the flags; every error is the user's.
func (c *config) sweep(cmd *cobra.Command) (*batch.Sweep, error) {
	for _, name := range []string{"problem", "alpha", "starts-file", "box"} {
		if given(cmd, name) && cmd.Flags().Lookup(name).Value.String() == "" {
			return nil, usagef("--%s: the value is empty", name) // an unset variable of a script, most likely
		}
	}
	c.fromBase(cmd)
	p, err := c.read(cmd)
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
	if sw.Grid, err = c.grid(p); err != nil {
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
	if sw.DType, err = batch.ParseDType(c.dtype); err != nil {
		return nil, usagef("--%s", plain(err))
	}
	if err := sw.Check(); err != nil {
		return nil, usage(err)
	}
	if err := c.setEngine(cmd, sw); err != nil {
		return nil, err
	}
	return sw, nil
}

// tapeBatch is the number of samples that Gorgonia's tape machine evaluates at once.
const tapeBatch = 1024

func (c *config) grid(p *problem.Problem) (batch.Grid, error) {
	var g batch.Grid
	params := c.params
	if c.alpha != "" {
		params = append([]string{"alpha=" + c.alpha}, params...)
	}
	for i, s := range params {
		name, r, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("--param %s: NAME=RANGE is wanted", s)
		}
		name = strings.TrimSpace(name)
		if err := knownParam(p, name); err != nil {
			return nil, err
		}
		v, err := batch.ParseRange(r)
		if err != nil {
			flag := "param " + name
			if i == 0 && c.alpha != "" {
				flag = "alpha"
			}
			return nil, fmt.Errorf("--%s: %s", flag, plain(err))
		}
		g = append(g, batch.Axis{Name: name, Values: v})
	}
	if c.base != nil {
		return merged(c.base.Grid, g), nil
	}
	return g, nil
}

func (c *config) points(cmd *cobra.Command, p *problem.Problem) (batch.Starts, error) {
	for _, mine := range []string{"start", "starts-file"} {
		for _, other := range []string{"starts", "starts-file", "box", "sampler"} {
			if mine != other && cmd.Flags().Changed(mine) && cmd.Flags().Changed(other) {
				return nil, fmt.Errorf("--%s and --%s are given; one of them is allowed", mine, other)
			}
		}
	}
	if c.startsFile != "" {
		return readStarts(c.startsFile, p.Inputs)
	}
	if len(c.start) > 0 {
		var pts batch.Points
		for _, s := range c.start {
			parts := strings.Split(s, ",")
			if len(parts) != p.N() {
				return nil, fmt.Errorf("--start %s has %s; problem %s has %s (%s)", s, plural.Of(len(parts), "number"), p.Name, plural.Of(p.N(), "input"), strings.Join(p.Inputs, ", "))
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
	box := p.Box
	if c.base != nil && !given(cmd, "problem") {
		if len(c.base.Starts.Points) > 0 && !given(cmd, "starts", "seed", "sampler", "box") {
			return batch.Points(c.base.Starts.Points), nil
		}
		if len(c.base.Starts.Box) > 0 {
			box = c.base.Starts.Box
		}
	}
	if c.box != "" {
		var err error
		if box, err = parseBox(c.box, p.Inputs); err != nil {
			return nil, err
		}
	}
	if c.starts < 1 {
		return nil, fmt.Errorf("--starts %d: 1 or more are allowed", c.starts)
	}
	s, err := sampling.New(c.sampler, c.seed, c.starts, p.N())
	if err != nil {
		return nil, fmt.Errorf("--sampler: %s", plain(err))
	}
	return &batch.Sampled{Sampler: s, N: c.starts, Box: box}, nil
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
	if len(c.methods) == 0 && c.base != nil {
		return c.baseMethods()
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
	given := c.base != nil // tolerances of zero among them
	for _, t := range []struct {
		name  string
		value float64
	}{{"dtol", c.dtol}, {"gtol", c.gtol}, {"ltol", c.ltol}, {"xtol", c.xtol}} {
		if !(t.value >= 0) || math.IsInf(t.value, 0) {
			return l, fmt.Errorf("--%s %v: a finite number, 0 or more, is allowed", t.name, t.value)
		}
		given = given || t.name != "xtol" && cmd.Flags().Changed(t.name)
	}
	if c.base != nil && len(p.Minima) == 0 && !cmd.Flags().Changed("dtol") {
		c.dtol = 0 // that of another problem, which has minima
		if c.gtol == 0 && c.ltol == 0 && !cmd.Flags().Changed("gtol") {
			c.gtol = l.GTol
		}
	}
	if c.dtol > 0 && len(p.Minima) == 0 {
		return l, fmt.Errorf("--dtol %v: problem %s names no minima to measure the distance to; use --gtol or --ltol", c.dtol, p.Name)
	}
	if given {
		l = batch.Limits{DTol: c.dtol, GTol: c.gtol, LTol: c.ltol}
	}
	l.XTol = c.xtol
	if c.iterations < 0 || c.iterations > results.MaxIterations {
		return l, fmt.Errorf("--iterations %d: 0 to %d are allowed", c.iterations, results.MaxIterations)
	}
	l.Iterations = c.iterations
	return l, nil
}

// knownParam refuses a name that is no parameter of the problem.
func knownParam(p *problem.Problem, name string) error {
	names := make([]string, len(p.Params))
	for i, q := range p.Params {
		names[i] = q.Name
	}
	if slices.Contains(names, name) {
		return nil
	}
	if len(names) == 0 {
		return fmt.Errorf("problem %s has no parameter %q; it has none at all", p.Name, name)
	}
	return fmt.Errorf("problem %s has no parameter %q%s; it has %s", p.Name, name, nearest.Hint(name, names), strings.Join(names, ", "))
}
