package main

import (
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

// results is everything that a benchmark found.
type results struct {
	began, ended string // load averages
	outcomes     []*outcome
	scalings     []scaling
	goBench      string
	missing      []string
	profiles     map[string]string // by item
	notes        map[string]string // by "item/peer" and by "peer"
}

// write writes RESULTS.md.
func (c *config) write(r *results, file string) error {
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
		p("`%s`: time to compile each built-in problem with each method (per operation), its growth with the size of the\nprogram, time and memory of sweeps.\n", strings.Join(goBenchCommand, " "))
		p("```\n%s\n```\n", strings.TrimSpace(r.goBench))
	}
	p("## Commands\n")
	p("    %s", c.commandLine)
	p("    bench/venv.sh %s          # the Python peers, pinned in bench/requirements.txt", venv)
	p("    bench/climit/build.sh %s      # gcc -O3 -march=native, and a check of the machine code", climit)
	p("\nOne thread: the process is bound to one processor (JAX, optimistix, SciPy), or works with one thread (the others).")
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// compileTimes finds, in the output of the Go benchmarks, the longest time to compile a built-in problem in
// ns, and how much more an instruction takes in the largest program of BenchmarkCompileSize than in
// the one that takes least. Zero: not there.
func compileTimes(output string) (slowest, grows float64) {
	least, last := math.Inf(1), 0.0
	for _, line := range strings.Split(output, "\n") {
		f := strings.Fields(line)
		for i := 1; i < len(f); i++ {
			v, err := strconv.ParseFloat(f[i-1], 64)
			switch {
			case err != nil:
			case strings.HasPrefix(f[0], "BenchmarkCompile/") && f[i] == "ns/op":
				slowest = max(slowest, v)
			case strings.HasPrefix(f[0], "BenchmarkCompileSize/") && f[i] == "ns/instruction":
				least, last = min(least, v), v
			}
		}
	}
	if last > 0 {
		grows = last / least
	}
	return slowest, grows
}

// mainJob finds, in the output of the Go benchmarks, the part of the main job's wall time in percent that is not arithmetic. Zero:
// not there.
func mainJob(output string) float64 {
	for _, line := range strings.Split(output, "\n") {
		f := strings.Fields(line)
		for i := 1; i < len(f); i++ {
			if v, err := strconv.ParseFloat(f[i-1], 64); err == nil && f[i] == "around-%" && strings.HasPrefix(f[0], "BenchmarkJob/--alpha") {
				return v
			}
		}
	}
	return 0
}

type printer func(format string, args ...any)

func (c *config) peerTable(p printer, r *results) {
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

func (c *config) targetTable(p printer, r *results) {
	p("## Targets\n")
	p("| against | work | threads | target | measured | |\n|---|---|---|---|---|---|")
	var missed []verdict
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
				want := v.want()
				if v.info {
					want, what = "", "for information"
				}
				measured := number(v.value)
				if v.limit > 0 && !v.met {
					measured += fmt.Sprintf(" (the limit, C by hand: %s)", number(v.limit))
				}
				p("| %s | %s | %d | %s | %s | %s |", v.against, v.item, v.threads, want, measured, what)
			}
		}
	}
	if least, most := spread(r.scalings); most > 0 {
		what := "met"
		if !(most <= 1.2*least) {
			what = "**missed**"
			missed = append(missed, verdict{target: target{peer: "scale"}})
		}
		p("| itself | time a sample, 1e4 to %.0e samples | 1 | within 20 %% | %.1f to %.1f ns | %s |", float64(r.scalings[len(r.scalings)-1].Samples), least, most, what)
	}
	slowest, grows := compileTimes(r.goBench)
	row := func(work, want, measured string, met bool, key string) {
		what := "met"
		if !met {
			what = "**missed**"
			missed = append(missed, verdict{target: target{peer: key}})
		}
		p("| itself | %s | 1 | %s | %s | %s |", work, want, measured, what)
	}
	if slowest > 0 {
		row("compiling a built-in problem with a method, the slowest", "less than 5 ms", number(slowest/1e6)+" ms", slowest < 5e6, "compile-time")
	}
	if grows > 0 {
		row("compiling 8 to 512 terms", "linear: time an instruction grows at most 2 x", number(grows)+" x", grows <= 2, "compile-size")
	}
	if part := mainJob(r.goBench); part > 0 {
		what := "met"
		if !(part < 20) {
			what = "**missed**"
			missed = append(missed, verdict{target: target{peer: "main-job"}})
		}
		p("| itself | the main job, what is around its arithmetic | all | less than 20 %% of the wall time | %s %% | %s |", number(part), what)
	}
	p("")
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

func (c *config) scaleTable(p printer, r *results) {
	if len(r.scalings) == 0 {
		return
	}
	p("## From 1e4 samples up\n")
	p("A sweep of %s over a grid of alpha with %d starts a point, one thread, each size in a process of its own: the best", items[0].doc, startsPerCell)
	p("time of %d (one, from 1e8 on). Time is the processor's while it ran samples; wall is all of the sweep, with compilation and", c.repeats)
	p("the report. Memory is the peak of the process; what grows in it is the report, a cell for each grid point.\n")
	p("| samples | ns a sample | wall, ns a sample | peak memory, MiB |\n|---|---|---|---|")
	for _, s := range r.scalings {
		n := float64(s.Samples)
		p("| %.0e | %.2f | %.2f | %.0f |", n, s.Seconds*1e9/n, s.Wall*1e9/n, s.Peak)
	}
	p("")
}

// spread is the least and the most time a sample.
func spread(s []scaling) (least, most float64) {
	for i, v := range s {
		t := v.Seconds * 1e9 / float64(v.Samples)
		if i == 0 {
			least, most = t, t
		}
		least, most = min(least, t), max(most, t)
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
