// Command compare measures Invar next to others that can do the same work, and writes what it finds to
// bench/RESULTS.md. It runs from the top of the tree.
//
// The others are other processes, a C program and Python scripts, or loops in this one over Go packages (contest.go
// lists them). Every one gets the same starts, and the same number of iterations or a task with one answer; its
// answers are checked against ours before its time counts. A competitor that is missing or wrong is
// reported, and makes the command fail (exit code 1) unless ALLOW_MISSING=1. Flags that cannot be are refused with exit code 2.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"invar/cpu"
	"invar/kernels"
)

// config is what the flags say.
type config struct {
	engine     string
	engineName string
	native     bool // the engine under test is native
	quick      bool
	samples    int
	repeats    int
	only       []string
	peers      []string
	threads    []int
	scaleTo    int
	goBench    bool
	profile    bool
	out        string
	gpu        int             // the GPU to measure, -1: none
	device     *kernels.Engine // and its engine

	commandLine string
	absent      map[string]string // competitors that could not be installed, and why
}

// The Go benchmarks that go along.
var goBenchCommand = []string{"go", "test", "-tags", "nocuda", "-run", "^$", "-bench", ".", "-benchtime", "0.3s", "-benchmem", "./bench"}

func main() {
	err := run(os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "compare:", err)
	if isUsage(err) {
		os.Exit(2)
	}
	os.Exit(1)
}

// usage is the fault of a caller: exit code 2.
type usage string

func (u usage) Error() string { return string(u) }

func isUsage(err error) bool {
	_, ok := errors.AsType[usage](err)
	return ok
}

func usagef(format string, args ...any) error { return usage(fmt.Sprintf(format, args...)) }

func run(args []string) error {
	c := &config{commandLine: "make bench"}
	f := pflag.NewFlagSet("compare", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&c.engine, "engine", "auto", "engine under test: auto, native, portable")
	f.BoolVar(&c.quick, "quick", false, "small samples, few rounds, no Go benchmarks: does everything work?")
	f.IntVar(&c.samples, "samples", 0, "samples for the fast competitors (default: those of each item; slower competitors get fewer in proportion)")
	f.IntVar(&c.repeats, "repeats", 0, "rounds (default 7, quick 3)")
	f.StringSliceVar(&c.only, "only", nil, "`ITEMS` to do (gd, newton, pg, gn, gn-rosenbrock, lm, bfgs, pendulum, scale, go: the Go benchmarks), not all")
	f.StringSliceVar(&c.peers, "peers", nil, "`NAMES` of the competitors, not all")
	f.IntSliceVar(&c.threads, "threads", nil, "numbers of threads (default one and all)")
	f.IntVar(&c.scaleTo, "scale-to", 100*million, "largest sweep when time and memory are measured from 1e4 samples up (quick: 1e5); 0 is none")
	f.BoolVar(&c.goBench, "go-bench", true, "run the Go benchmarks too")
	f.BoolVar(&c.profile, "profile", true, "profile the items that miss a target")
	f.StringVar(&c.out, "out", "bench/RESULTS.md", "`FILE` to write")
	f.IntVar(&c.gpu, "gpu", -1, "measure this GPU, next to the processor and to JAX on it, and write bench/GPU.md")
	one := f.Int("scale", 0, "run one sweep of so many samples and print its time and memory (used by the command itself)")
	if err := f.Parse(args); err != nil {
		if err == pflag.ErrHelp {
			return nil
		}
		return usage(err.Error())
	}
	if f.NArg() > 0 {
		return usagef("argument %q; only flags are taken", f.Arg(0))
	}
	if *one > 0 {
		return scale(c.engine, *one)
	}
	if len(args) > 0 {
		c.commandLine = "go run -tags nocuda ./bench/compare " + strings.Join(args, " ")
	}
	if c.gpu >= 0 {
		c.commandLine = "make bench-gpu"
		return c.gpuBenchmark(f)
	}
	return c.benchmark(f)
}

func (c *config) benchmark(f *pflag.FlagSet) error {
	e, err := newEngine(c.engine, 1)
	if err != nil {
		return err
	}
	c.engineName, c.native = e.Name(), isNative(e)
	if c.engine == "auto" && !c.native {
		_, why := cpu.Auto()
		c.engineName += " (" + why + ")"
	}
	if c.quick {
		if !f.Changed("scale-to") {
			c.scaleTo = 100_000
		}
		if !f.Changed("go-bench") && !slices.Contains(c.only, "go") {
			c.goBench = false
		}
	}
	if len(c.threads) == 0 {
		c.threads = []int{1}
		if n := allThreads(); n > 1 {
			c.threads = append(c.threads, n)
		}
	}
	for _, t := range c.threads {
		if t < 1 {
			return usagef("--threads %d: 1 or more are allowed", t)
		}
	}
	if err := c.check(); err != nil {
		return err
	}
	notes, err := readNotes("bench/notes.md")
	if err != nil {
		return fmt.Errorf("%w; compare runs from the top of the tree", err)
	}

	r := &findings{began: load(), notes: notes, profiles: map[string]string{}}
	c.absent = c.prepare()
	for _, it := range items {
		if len(c.only) > 0 && !slices.Contains(c.only, it.name) {
			continue
		}
		o, err := c.hold(it, r)
		if err != nil {
			return err
		}
		if c.profile && slices.ContainsFunc(verdicts(o), func(v verdict) bool { return !v.met && !v.info }) {
			if r.profiles[it.name], err = c.profiled(it); err != nil {
				return fmt.Errorf("%s: profile: %w", it.name, err)
			}
		}
	}
	if c.scaleTo > 0 && (len(c.only) == 0 || slices.Contains(c.only, "scale")) {
		if r.scalings, err = c.scalings(); err != nil {
			return err
		}
	}
	if c.goBench && (len(c.only) == 0 || slices.Contains(c.only, "go")) {
		c.logf("%s", strings.Join(goBenchCommand, " "))
		out, err := exec.Command(goBenchCommand[0], goBenchCommand[1:]...).Output()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(goBenchCommand, " "), err, out)
		}
		r.goBench = string(out)
		for _, j := range jobs {
			part, ok := j.around(r.goBench)
			if !ok {
				return fmt.Errorf("the Go benchmarks do not have %s of sweep %s", j.unit, mainJob)
			}
			if c.profile && part >= mostAround {
				if r.profiles[j.key], err = c.profiledJob(j.keep); err != nil {
					return fmt.Errorf("%s: profile: %w", j.key, err)
				}
			}
		}
	}
	r.ended = load()
	if err := c.write(r, c.out); err != nil {
		return err
	}
	c.logf("wrote %s", c.out)
	return r.complete()
}

// check refuses what no benchmark can do, before it begins, and sets the number of rounds.
func (c *config) check() error {
	if c.repeats == 0 {
		c.repeats = 7
		if c.quick {
			c.repeats = 3
		}
	}
	if c.repeats < 1 || c.samples < 0 {
		return usagef("--repeats %d, --samples %d: at least 1 and 0 are allowed", c.repeats, c.samples)
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	return tryFile(c.out)
}

// tryFile refuses a file that cannot be written, before anything is measured.
func tryFile(name string) error {
	_, err := os.Stat(name)
	isNew := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return usagef("--out: %v", err)
	}
	f.Close()
	if isNew {
		return os.Remove(name)
	}
	return nil
}

// hold holds the contest for an item and notes who is missing.
func (c *config) hold(it *item, r *findings) (*outcome, error) {
	o, err := c.contest(it)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", it.name, err)
	}
	r.outcomes = append(r.outcomes, o)
	for _, e := range o.entries {
		if e.failed != nil {
			r.missing = append(r.missing, fmt.Sprintf("%s on %s with %d threads: %v", e.peer, it.name, e.threads, e.failed))
		}
	}
	return o, nil
}

// complete is an error if somebody was missing and that is not allowed.
func (r *findings) complete() error {
	if len(r.missing) > 0 && os.Getenv("ALLOW_MISSING") != "1" {
		return fmt.Errorf("%d competitors are missing or wrong (ALLOW_MISSING=1 accepts that):\n  %s", len(r.missing), strings.Join(r.missing, "\n  "))
	}
	return nil
}

// checkNames refuses items and competitors that do not exist.
func (c *config) checkNames() error {
	known := []string{"scale", "go"}
	for _, it := range items {
		known = append(known, it.name)
	}
	for _, n := range c.only {
		if !slices.Contains(known, n) {
			return usagef("--only %s: %s are allowed", n, strings.Join(known, ", "))
		}
	}
	known = nil
	for _, p := range c.rows() {
		known = append(known, p.name)
	}
	for _, n := range c.peers {
		if !slices.Contains(known, n) {
			return usagef("--peers %s: %s are allowed", n, strings.Join(known, ", "))
		}
	}
	return nil
}

// prepare installs and compiles the competitors that are not part of this command. What cannot be is
// returned with the reason, by competitor, and shows as missing where it is due.
func (c *config) prepare() map[string]string {
	absent := map[string]string{}
	do := func(names []string, script, arg string) {
		if len(c.peers) > 0 && !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.peers, n) }) {
			return
		}
		c.logf("%s %s", script, arg)
		if out, err := exec.Command(script, arg).CombinedOutput(); err != nil {
			for _, n := range names {
				t := &tail{}
				t.Write(out)
				absent[n] = fmt.Sprintf("%s failed: %v: %s", script, err, t)
			}
		}
	}
	do([]string{"jax", "jax-scalars", "optimistix", "scipy"}, "bench/venv.sh", venv)
	do([]string{"climit"}, "bench/climit/build.sh", climit)
	return absent
}

// size is the number of samples of an item for the fast competitors.
func (c *config) size(it *item) int {
	n := it.samples
	if c.device != nil {
		n *= gpuScale
	}
	if c.quick {
		n /= 50
	}
	if c.samples > 0 {
		n = c.samples
	}
	return n
}

func (c *config) logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
