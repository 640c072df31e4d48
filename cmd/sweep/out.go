package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"invar/batch"
	"invar/problem"
	"invar/results"
)

// output says, by flags, what becomes of the results and how long a sweep may take.
type output struct {
	out          string
	force        bool
	config       string
	resume       string
	shard        string
	minConverged float64
	timeLimit    time.Duration
	quiet        bool
	pictures     pictures
}

func (o *output) flags(f *pflag.FlagSet) {
	f.StringVar(&o.out, "out", "", "write the results to a new folder `DIR`: config.toml, summary.csv, summary.json, samples.parquet, paths.parquet")
	f.BoolVar(&o.force, "force", false, "with --out: replace the results that are in the folder")
	f.StringVar(&o.config, "config", "", "repeat the sweep of a config.toml, `FILE`; other flags change it")
	f.StringVar(&o.resume, "resume", "", "go on with the interrupted sweep in folder `DIR`")
	f.StringVar(&o.shard, "shard", "", "with --out: run part `i/k` of the sweep, 1 <= i <= k; sweep merge joins the parts")
	f.Float64Var(&o.minConverged, "min-converged", 0, "exit with code 3 if a smaller `FRACTION` of all samples converges, 0 to 1")
	f.DurationVar(&o.timeLimit, "time-limit", 0, "stop after this time, such as 90s or 8h, as if interrupted")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress and no notes")
	o.pictures.flags(f)
}

// resumable are the flags that may go with --resume: they change no result.
var resumable = []string{"resume", "engine", "device", "threads", "format", "min-converged", "time-limit", "quiet", "plot"}

// check refuses flags that do not go together.
func (o *output) check(cmd *cobra.Command) error {
	f := cmd.Flags()
	if o.minConverged < 0 || o.minConverged > 1 || math.IsNaN(o.minConverged) {
		return usagef("--min-converged %v: 0 to 1 is allowed", o.minConverged)
	}
	if o.timeLimit < 0 || f.Changed("time-limit") && o.timeLimit == 0 {
		return usagef("--time-limit %v: more than 0 is allowed", o.timeLimit)
	}
	for _, name := range []string{"out", "config", "resume", "plot"} {
		switch v := f.Lookup(name).Value.String(); {
		case !f.Changed(name):
		case v == "":
			return usagef("--%s: a name is needed", name)
		case strings.HasPrefix(v, "-"): // a flag that was taken for the name
			return usagef("--%s %s: a name is needed before %s; one that begins with - is written ./%s", name, v, v, v)
		}
	}
	if o.pictures.to != "" {
		if err := writable(o.pictures.to); err != nil {
			return usagef("--plot %s: %v; a folder that can be written to is needed", o.pictures.to, short1(err))
		}
	}
	for _, name := range []string{"force", "shard"} {
		if f.Changed(name) && o.out == "" && o.resume == "" {
			return usagef("--%s is given without --out", name)
		}
	}
	if o.resume == "" {
		return nil
	}
	var err error
	f.Visit(func(g *pflag.Flag) {
		if err == nil && !slices.Contains(resumable, g.Name) {
			err = usagef("--%s is given with --resume, which goes on with the sweep as it was begun; allowed beside it are --%s", g.Name, strings.Join(resumable[1:], ", --"))
		}
	})
	return err
}

// checkShard refuses what only a whole sweep can answer.
func (o *output) checkShard(s results.Shard) error {
	switch {
	case s == results.Shard{}:
		return nil
	case o.minConverged > 0:
		return usagef("--min-converged with shard %v: a part of a sweep cannot tell; only a whole one is allowed", s)
	case o.pictures.to != "":
		return usagef("--plot with shard %v: a part of a sweep is not drawn; sweep plot draws what sweep merge has joined", s)
	}
	return nil
}

// run is the sweep command.
func (o *output) run(cmd *cobra.Command, c *config, stdout, stderr io.Writer) error {
	print, err := formatter(c.format)
	if err != nil {
		return usage(err)
	}
	if err := o.check(cmd); err != nil {
		return err
	}
	if o.resume != "" {
		return o.goOn(cmd, c, print, stdout, stderr)
	}
	if o.config != "" {
		if c.base, err = results.ReadConfig(o.config); err != nil {
			return usage(err)
		}
		if _, err := c.base.Sweep(); err != nil { // whatever the flags change
			return usagef("%s: %s", o.config, plain(err))
		}
	}
	sw, err := c.sweep(cmd)
	if err != nil {
		return err
	}
	if c.dryRun {
		return dryRun(stdout, sw, c)
	}
	if o.out == "" {
		if err := o.pictures.prepare(cmd, sw, c.text, c.seed); err != nil {
			return err
		}
		return o.do(cmd, c, sw, nil, print, stdout, stderr)
	}
	cfg, err := results.Resolve(sw, c.text, c.seed)
	if err != nil {
		return err
	}
	if c.base != nil {
		cfg.Shard = c.base.Shard
	}
	if o.shard != "" {
		if cfg.Shard, err = results.ParseShard(o.shard); err != nil {
			return usagef("--shard: %s", plain(err))
		}
	}
	if err := o.checkShard(cfg.Shard); err != nil {
		return err
	}
	run, err := results.Create(o.out, cfg, o.force)
	if err != nil {
		return usage(err)
	}
	run.Sweep().Threads = c.threads
	if err := c.setEngine(cmd, run.Sweep()); err != nil {
		return run.Drop(err)
	}
	return o.do(cmd, c, run.Sweep(), run, print, stdout, stderr)
}

// goOn is --resume.
func (o *output) goOn(cmd *cobra.Command, c *config, print printer, stdout, stderr io.Writer) error {
	if c.threads < 0 {
		return usagef("--threads %d: 0 or more are allowed", c.threads)
	}
	run, err := results.Resume(o.resume)
	if errors.Is(err, results.ErrComplete) {
		return o.again(cmd, print, stdout, stderr)
	}
	if err != nil {
		return usage(err)
	}
	if err := o.checkShard(run.Config().Shard); err != nil {
		return err
	}
	if run.Dropped() > 0 && !o.quiet {
		fmt.Fprintf(stderr, "sweep: the last %d bytes that were saved are not whole; their samples are run again\n", run.Dropped())
	}
	sw := run.Sweep()
	sw.Threads = c.threads
	if sw.Split != (c.engine == "gorgonia") {
		if cmd.Flags().Changed("engine") {
			return usagef("--engine %s: the sweep in %s was begun with --engine %s, which rounds differently", c.engine, o.resume, map[bool]string{true: "gorgonia", false: "auto"}[sw.Split])
		}
		c.engine = "gorgonia"
	}
	if err := c.setEngine(cmd, sw); err != nil {
		return err
	}
	return o.do(cmd, c, sw, run, print, stdout, stderr)
}

// again prints the report of a folder that is complete.
func (o *output) again(cmd *cobra.Command, print printer, stdout, stderr io.Writer) error {
	f, err := results.Open(o.resume)
	if err != nil {
		return usage(err)
	}
	sw, err := f.Sweep()
	if err != nil {
		return usage(err)
	}
	rep, err := f.Report()
	if err != nil {
		return err
	}
	if !o.quiet {
		fmt.Fprintf(stderr, "sweep: %s is complete; nothing was run\n", o.resume)
	}
	if err := print(stdout, sw, rep); err != nil {
		return err
	}
	return o.below(sw, rep)
}

type printer = func(io.Writer, *batch.Sweep, *batch.Report) error

// do runs a sweep, with a result folder or (run is nil) without, and prints its report.
func (o *output) do(cmd *cobra.Command, c *config, sw *batch.Sweep, run *results.Run, print printer, stdout, stderr io.Writer) error {
	ctx := cmd.Context()
	if o.timeLimit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeLimit)
		defer cancel()
	}
	c.bar = newBar(stderr, o.quiet)
	sw.Progress = c.bar.show
	if run == nil && os.Getenv("GOGC") == "" {
		// The heap is some megabytes, and would be collected every few milliseconds.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	var rep *batch.Report
	var err error
	if run == nil {
		rep, err = sw.Run(ctx)
	} else {
		rep, err = run.Do(ctx)
	}
	c.bar.clear()
	interrupted := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if err != nil && !interrupted {
		return o.hint(err, run)
	}
	if rep != nil && len(rep.Cells) > 0 {
		if werr := print(stdout, sw, rep); werr != nil {
			return werr
		}
	}
	if interrupted {
		return o.ending(err, run)
	}
	if run != nil && run.Config().Shard.Count > 0 {
		if !o.quiet {
			fmt.Fprintf(stderr, "sweep: shard %v is complete in %s; when all are: sweep merge DIR... --out NEW\n", run.Config().Shard, run.Dir())
		}
		return nil
	}
	dir, notes := "", stderr
	if run != nil {
		dir = run.Dir()
	}
	if o.quiet {
		notes = io.Discard
	}
	if err := o.pictures.draw(cmd.Context(), notes, sw, rep, dir); err != nil {
		return err
	}
	return o.below(sw, rep)
}

// hint says how to go on after a failure, if that is possible.
func (o *output) hint(err error, run *results.Run) error {
	if run == nil || run.Undone() {
		return err
	}
	if _, serr := os.Stat(run.Dir()); serr != nil {
		return err
	}
	if run.Saved() == 0 { // in the first half second of a sweep
		return fmt.Errorf("%w; run it again with: sweep --resume %s", err, run.Dir())
	}
	return fmt.Errorf("%w; what is finished is kept, go on with: sweep --resume %s", err, run.Dir())
}

// ending is the end of a sweep that was interrupted.
func (o *output) ending(err error, run *results.Run) error {
	why := "interrupted"
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("stopped after the time limit of %v", o.timeLimit)
	}
	switch {
	case run == nil:
		why += "; what was complete has been printed. Run the same command again for the rest: the same seed gives the same samples. With --out a sweep can be resumed."
	case run.Merging():
		why += "; nothing was written. Run the same command again."
	default:
		why += fmt.Sprintf("; what is finished is in %s. Go on with: sweep --resume %s", run.Dir(), run.Dir())
	}
	return &endingError{why, exitInterrupted}
}

// below is the check of --min-converged.
func (o *output) below(sw *batch.Sweep, rep *batch.Report) error {
	var converged, samples int64
	worst, at := 2.0, batch.Cell{}
	for _, c := range rep.Cells {
		n := c.Status[batch.Converged]
		converged, samples = converged+int64(n), samples+int64(c.Samples)
		if f := float64(n) / float64(c.Samples); f < worst {
			worst, at = f, c
		}
	}
	if share := float64(converged) / float64(samples); share < o.minConverged {
		var where []string
		for i, v := range at.Params {
			where = append(where, rep.Params[i]+"="+shortNumber(v))
		}
		return &endingError{fmt.Sprintf("%s of the samples converged, less than --min-converged %v; the fewest, %s, with %s", percent(share), o.minConverged, percent(worst),
			strings.Join(append([]string{batch.Labels(sw.Methods)(at.Method)}, where...), " ")), exitBelow}
	}
	return nil
}

// given reports whether one of the flags was given.
func given(cmd *cobra.Command, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return cmd.Flags().Changed(n) })
}

// fromBase gives the flags that were not given the values of --config.
func (c *config) fromBase(cmd *cobra.Command) {
	b := c.base
	if b == nil {
		return
	}
	if !given(cmd, "iterations") {
		c.iterations = b.Limits.Iterations
	}
	if !given(cmd, "dtype") {
		c.dtype = batch.DTypeName(b.DType)
	}
	if !given(cmd, "engine") && b.Engine == results.Gorgonia {
		c.engine = b.Engine
	}
	for name, v := range map[string][2]*float64{"dtol": {&c.dtol, &b.Limits.DTol}, "gtol": {&c.gtol, &b.Limits.GTol},
		"ltol": {&c.ltol, &b.Limits.LTol}, "xtol": {&c.xtol, &b.Limits.XTol}} {
		if !given(cmd, name) {
			*v[0] = *v[1]
		}
	}
	if len(b.Starts.Points) > 0 {
		return
	}
	if !given(cmd, "starts") {
		c.starts = b.Starts.Count
	}
	if !given(cmd, "seed") {
		c.seed = b.Starts.Seed
	}
	if !given(cmd, "sampler") {
		c.sampler = b.Starts.Sampler
	}
}

// read reads the problem, and keeps its text.
func (c *config) read(cmd *cobra.Command) (*problem.Problem, error) {
	if c.base != nil && !given(cmd, "problem") {
		c.text = c.base.Problem.File
		return problem.Parse(c.base.Problem.Name+".toml", []byte(c.text))
	}
	name, data, err := problem.Read(c.problem)
	if err != nil {
		return nil, err
	}
	c.text = string(data)
	return problem.Parse(name, data)
}

// baseMethods are the methods of --config.
func (c *config) baseMethods() ([]batch.Spec, error) {
	var specs []batch.Spec
	for _, m := range c.base.Methods {
		found, err := batch.Lookup(m.Name)
		if err != nil {
			return nil, err
		}
		specs = append(specs, batch.Spec{Method: found, Set: m.Settings})
	}
	return specs, nil
}

// merged is the grid of --config with the axes that flags give.
func merged(base, flags batch.Grid) batch.Grid {
	g := slices.Clone(base)
	for _, a := range flags {
		if i := slices.IndexFunc(base, func(b batch.Axis) bool { return b.Name == a.Name }); i >= 0 {
			g[i] = a
		} else {
			g = append(g, a)
		}
	}
	return g
}
