package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// findings is everything that a benchmark found.
type findings struct {
	began, ended string // load averages
	outcomes     []*outcome
	scalings     []scaling
	goBench      string
	missing      []string
	profiles     map[string]string // by item
	notes        map[string]string // by "item/peer" and by "peer"
}

// write writes RESULTS.md.
func (c *config) write(r *findings, file string) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Benchmark results\n")
	p("Written by `%s` on %s. Everything here comes from one run: all competitors for an item are loaded first, and", c.commandLine, time.Now().UTC().Format("2006-01-02"))
	p("their answers are checked; then, in %d rounds, each does the work once, one after the other, so that a disturbance of the", c.repeats)
	p("machine falls on all. Times are medians over the rounds, ratios are medians of the ratios within a round.")
	p("Loading, compilation (a JIT's as well as ours), and writing results down are not in the times.\n")
	if c.quick {
		p("**This was a quick run with small samples (`--quick`): it shows that everything works, and its times are rough.**\n")
	}
	for _, m := range r.missing {
		p("**Missing: %s**\n", m)
	}
	p("## Machine\n")
	p("| | |\n|---|---|")
	for _, row := range machine(filepath.Join(venv, "bin", "python")) {
		p("| %s | %s |", row[0], row[1])
	}
	p("| load average (1, 5, 15 minutes) | %s at the start, %s at the end |", r.began, r.ended)
	p("")
	c.peerTable(p, r)
	c.targetTable(p, r)
	for _, o := range r.outcomes {
		c.itemTable(p, o)
	}
	c.scaleTable(p, r)
	if r.goBench != "" {
		p("## Go benchmarks\n")
		p("`%s`: time to compile each built-in problem with each method (per operation), its growth with the size of the\nprogram, time per operation of long programs, time and memory of sweeps, and what of the main job is not arithmetic.\n", strings.Join(goBenchCommand, " "))
		p("```\n%s\n```\n", strings.TrimSpace(r.goBench))
	}
	p("## Commands\n")
	p("    %s", c.commandLine)
	p("    bench/venv.sh %s          # the Python peers, pinned in bench/requirements.txt", venv)
	p("    bench/climit/build.sh %s      # gcc, and a check of the machine code", climit)
	p("\nOne thread: the process is bound to one processor (JAX, optimistix, SciPy), or works with one thread (the others).")
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// metrics are the values of a unit that Go benchmarks printed whose name begins so, in their order.
func metrics(output, name, unit string) []float64 {
	var all []float64
	for line := range strings.Lines(output) {
		f := strings.Fields(line)
		for i := 1; i < len(f); i++ {
			if v, err := strconv.ParseFloat(f[i-1], 64); err == nil && f[i] == unit && strings.HasPrefix(f[0], name) {
				all = append(all, v)
			}
		}
	}
	return all
}

// job is a way to run the main job.
type job struct {
	key   string // of its notes and its profile
	work  string
	unit  string // of what BenchmarkJob reports
	keep  bool   // with a result folder
	least string // the unit of what no way to make the folder's files can go below; "" if none is known
}

var jobs = []job{
	{"main-job", "the main job, what is around its arithmetic", "around-%", false, ""},
	{"main-job-out", "the main job with --out, what is around its arithmetic", "around-out-%", true, "least-out-%"},
}

// mostAround is the part of a job's wall time in percent that may not be arithmetic.
const mostAround = 20

// around is the part of the job's wall time in percent that is not arithmetic, if the Go benchmarks printed it.
func (j job) around(output string) (part float64, ok bool) { return ofJob(output, j.unit) }

// ofJob is what BenchmarkJob reports of the main job in a unit.
func ofJob(output, unit string) (part float64, ok bool) {
	all := metrics(output, "BenchmarkJob/"+strings.ReplaceAll(mainJob, " ", "_"), unit)
	if len(all) == 0 {
		return 0, false
	}
	return all[0], true
}

type printer func(format string, args ...any)

func (c *config) peerTable(p printer, r *findings) {
	p("## Competitors\n")
	p("| name | what | version |\n|---|---|---|")
	version := map[string]string{}
	for _, o := range r.outcomes {
		for _, e := range o.entries {
			if e.failed == nil {
				version[e.peer] = e.about
			}
		}
	}
	row := func(name, doc string) {
		if v, ok := version[name]; ok {
			p("| %s | %s | %s |", name, doc, v)
		}
	}
	row(engineUnderTest, "Invar, engine "+c.engineName)
	for _, q := range peers {
		row(q.name, q.doc)
	}
	p("")
}

func (c *config) targetTable(p printer, r *findings) {
	p("## Targets\n")
	p("| against | work | threads | target | measured | |\n|---|---|---|---|---|---|")
	var missed []verdict
	var beaten []string
	for _, t := range targets {
		for _, o := range r.outcomes {
			for _, v := range verdicts(o) {
				if v.peer != t.peer {
					continue
				}
				what := "met"
				if !v.met {
					what = "**missed**"
					missed = append(missed, v)
				}
				if v.most > 0 && v.value < 1 {
					beaten = append(beaten, fmt.Sprintf("%s (threads: %d)", v.item, v.threads))
				}
				want := v.want()
				if v.info {
					want, what = "", "for information"
				}
				measured := beside(v.value, v.bound())
				if v.limit > 0 && !v.met {
					measured += fmt.Sprintf(" (the limit, C by hand: %s)", number(v.limit))
				}
				p("| %s | %s | %d | %s | %s | %s |", v.against, v.item, v.threads, want, measured, what)
			}
		}
	}
	itself := func(key, work, threads, want, measured string, met bool) {
		what := "met"
		if !met {
			what = "**missed**"
			missed = append(missed, verdict{target: target{peer: key}, item: key})
		}
		p("| itself | %s | %s | %s | %s | %s |", work, threads, want, measured, what)
	}
	if n := len(r.scalings); n > 0 {
		least, most := spread(r.scalings)
		first, last := r.scalings[0], r.scalings[n-1]
		itself("scale", fmt.Sprintf("processor time a sample while samples run, %.0e to %.0e samples", float64(first.Samples), float64(last.Samples)),
			"1", "within 20 %", fmt.Sprintf("%.1f to %.1f ns", least, most), most <= 1.2*least)
		p("| itself | wall time a sample, with start, compilation and report, %.0e and %.0e samples | 1 | | %s and %s ns | for information |",
			float64(first.Samples), float64(last.Samples), number(first.wall()), number(last.wall()))
	}
	if all := metrics(r.goBench, "BenchmarkCompile/", "ns/op"); len(all) > 0 {
		slowest := slices.Max(all) / 1e6
		itself("compile-time", "compiling a built-in problem with a method, the slowest", "1", "less than 5 ms", beside(slowest, 5)+" ms", slowest < 5)
	}
	if all := metrics(r.goBench, "BenchmarkCompileSize/", "ns/instruction"); len(all) > 0 {
		grows := all[len(all)-1] / slices.Min(all)
		itself("compile-size", "compiling 8 to 512 terms", "1", "linear: time an instruction grows at most 2 x", beside(grows, 2)+" x", grows <= 2)
	}
	if all := metrics(r.goBench, "BenchmarkLength/", "long/short"); len(all) > 0 {
		slowest := slices.Max(all)
		itself("length", fmt.Sprintf("time per operation of a long program, the slowest of %d, next to gd on square", len(all)), "1", "at most 2 x", beside(slowest, 2)+" x", slowest <= 2)
	}
	for _, j := range jobs {
		if part, ok := j.around(r.goBench); ok {
			measured := beside(part, mostAround) + " %"
			if least, ok := ofJob(r.goBench, j.least); ok && part >= mostAround {
				measured += fmt.Sprintf(" (if its bytes were only written: %s %%)", number(least))
			}
			itself(j.key, j.work, "all", fmt.Sprintf("less than %d %% of the wall time", mostAround), measured, part < mostAround)
		}
	}
	p("")
	if len(beaten) > 0 {
		p("**Faster than the limit**: %s. %s\n", strings.Join(beaten, ", "), r.notes["climit-beaten"])
	}
	if len(missed) == 0 {
		return
	}
	p("### What was missed, and why\n")
	seen := map[string]bool{}
	for _, v := range missed {
		key := v.item + "/" + v.peer
		if _, ok := r.notes[key]; !ok {
			key = v.peer
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		if text, ok := r.notes[key]; ok {
			p("**%s**: %s\n", key, text)
		} else {
			p("**%s**: bench/notes.md gives no reason.\n", key)
		}
	}
	shown := map[string]bool{}
	for _, v := range missed {
		if text, ok := r.profiles[v.item]; ok && !shown[v.item] {
			shown[v.item] = true
			p("```\n%s```\n", text)
		}
	}
}

func (c *config) itemTable(p printer, o *outcome) {
	it := o.item
	p("## %s: %s\n", it.name, it.doc)
	p("`%s` on `%s`, %d samples unless said otherwise.\n", it.method, it.problem, o.samples)
	per, div := "ns a sample-iteration", float64(it.limits.Iterations)
	if !it.fixed() {
		per, div = "ns a sample", 1
	}
	if it.fixed() {
		p("| competitor | threads | samples | %s | slowest / fastest round | time / ours | answers differ by |\n|---|---|---|---|---|---|---|", per)
	} else {
		p("| competitor | threads | samples | %s | slowest / fastest round | time / ours | answers |\n|---|---|---|---|---|---|---|", per)
	}
	entries := slices.Clone(o.entries)
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].threads < entries[j].threads })
	for _, e := range entries {
		if e.failed != nil {
			p("| %s | %d | %d | %s | | | |", e.peer, e.threads, e.samples, strings.ReplaceAll(e.failed.Error(), "|", "/"))
			continue
		}
		times := ""
		if us := o.find(engineUnderTest, e.threads); us != nil {
			times = number(ratio(e, us))
		}
		s := slices.Sorted(slices.Values(e.seconds))
		p("| %s | %d | %d | %s | %.2f | %s | %s |", e.peer, e.threads, e.samples, number(e.nsPerSample()/div), s[len(s)-1]/s[0], times, e.agrees)
	}
	p("")
}

func (c *config) scaleTable(p printer, r *findings) {
	if len(r.scalings) == 0 {
		return
	}
	p("## From 1e4 samples up\n")
	p("A sweep of %s over a grid of alpha with %d starts a point, one thread, each size in a process of its own: the best", items[0].doc, startsPerCell)
	p("time of %d (one, from 1e8 on). Time is the processor's while it ran samples; wall is all of the sweep, with compilation and", c.repeats)
	p("the report. Memory is the peak of the process; what grows in it is the report, a cell for each grid point.\n")
	p("| samples | ns a sample | wall, ns a sample | peak memory, MiB |\n|---|---|---|---|")
	for _, s := range r.scalings {
		p("| %.0e | %.2f | %.2f | %.0f |", float64(s.Samples), s.running(), s.wall(), s.Peak)
	}
	p("")
}

// running and wall are the two times of a sample, in ns.
func (s scaling) running() float64 { return s.Seconds * 1e9 / float64(s.Samples) }
func (s scaling) wall() float64    { return s.Wall * 1e9 / float64(s.Samples) }

// spread is the least and the most time a sample while samples run.
func spread(all []scaling) (least, most float64) {
	least = math.Inf(1)
	for _, s := range all {
		least, most = min(least, s.running()), max(most, s.running())
	}
	return least, most
}

// number writes x with three digits or so.
func number(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.3g", x)
	case x < 1000:
		return fmt.Sprintf("%.0f", x)
	}
	// thousands apart
	s := fmt.Sprintf("%.0f", x)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// beside is number with as many digits as it takes to see on which side of a bound x lies.
func beside(x, bound float64) string {
	s := number(x)
	for digits := 4; digits <= 17; digits++ {
		shown, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
		if err == nil && cmp.Compare(shown, bound) == cmp.Compare(x, bound) {
			break
		}
		s = strconv.FormatFloat(x, 'g', digits, 64)
	}
	return s
}

// readNotes reads a file of sections "## KEY" with text below.
func readNotes(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	notes := map[string]string{}
	for _, part := range strings.Split("\n"+string(data), "\n## ")[1:] {
		key, text, _ := strings.Cut(part, "\n")
		notes[strings.TrimSpace(key)] = strings.TrimSpace(text)
	}
	return notes, nil
}

// allThreads is the number of threads for "all".
func allThreads() int { return runtime.GOMAXPROCS(0) }
