package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"invar/batch"
	"invar/results"
)

// call runs the command in this process.
func call(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), args, &out, &err)
	return code, out.String(), err.String()
}

// small is a sweep of a few samples.
var small = []string{"--alpha", "0.1:10:3", "--starts", "20", "--iterations", "40", "-m", "gd:lr=0.02", "-m", "newton", "--format", "csv"}

func with(more ...string) []string { return append(append([]string(nil), small...), more...) }

func contents(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What the flags of the result folder refuse, in one line, with exit code 2 and
// nothing written.
func TestOutputRefusals(t *testing.T) {
	tmp := t.TempDir()
	done := filepath.Join(tmp, "done")
	if code, _, stderr := call(with("--out", done)...); code != 0 {
		t.Fatal(stderr)
	}
	broken := filepath.Join(tmp, "broken.toml")
	if err := os.WriteFile(broken, []byte("format = 1\nalpha = 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	edited := func(name, old, new string) string {
		file, text := filepath.Join(tmp, name+".toml"), contents(t, done, "config.toml")
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %s", old, text)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(text, old, new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	damaged := filepath.Join(tmp, "damaged")
	if err := os.CopyFS(damaged, os.DirFS(done)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(damaged, "samples.parquet"), 100); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"setting", "plotted"} {
		if err := os.Mkdir(filepath.Join(tmp, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(tmp, "out")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--force"}, "--force is given without --out"},
		{[]string{"--shard", "1/2"}, "--shard is given without --out"},
		{with("--out", out, "--shard", "3/2"), `"3/2"`},
		{with("--out", out, "--shard", "x"), "i/k is allowed"},
		{[]string{"--out", ""}, "--out: a name is needed"},
		{[]string{"--min-converged", "0.5", "--shard", "1/2", "--out", "part"}, "a part of a sweep"},
		{[]string{"--min-converged", "1.5"}, "0 to 1 is allowed"},
		{[]string{"--min-converged", "nan"}, "0 to 1 is allowed"},
		{[]string{"--time-limit", "-1s"}, "more than 0"},
		{[]string{"--time-limit", "0s"}, "more than 0"},
		{[]string{"--time-limit", "soon"}, "time-limit"},
		{with("--out", done), "is not empty"},
		{with("--out", filepath.Join(broken, "out")), "not a directory"},
		{with("--out", out, "--engine", "nativ"), `did you mean "native"`},
		{[]string{"--config", filepath.Join(tmp, "none.toml")}, "no such file"},
		{[]string{"--config", broken}, `broken.toml:2: unknown field "alpha"`},
		{[]string{"--config", filepath.Join(done, "config.toml"), "--param", "beta=1"}, "beta"},
		{[]string{"--config", edited("setting", "lr = 0.02", "lr = -1.0")}, "setting.toml: method gd: lr=-1"},
		{[]string{"--config", edited("sampler", `"uniform"`, `"even"`)}, `sampler.toml: no sampler "even"`},
		{[]string{"--config", edited("pairs", "box = [[-3.0, 3.0], ", "box = [")}, "pairs.toml: starts.box has 1 pair;"},
		{[]string{"--config", edited("wide", "box = [[-3.0, 3.0], ", "box = [[-1.7e308, 1.7e308], ")}, "wide.toml: starts.box[0]"},
		{[]string{"--resume", damaged}, "run the sweep again: sweep --config " + filepath.Join(damaged, "config.toml") + " --out " + damaged + " --force"},
		{[]string{"--resume", filepath.Dir(edited("setting/config", "lr = 0.02", "lr = -1.0"))}, "setting/config.toml: method gd: lr=-1"},
		{[]string{"--resume", tmp}, "is not a result folder"},
		{[]string{"--resume", done, "--alpha", "1"}, "--alpha is given with --resume"},
		{[]string{"--resume", done, "--out", out}, "--out is given with --resume"},
		{[]string{"plot", filepath.Dir(edited("plotted/config", "lr = 0.02", "lrr = 1.0"))}, "plotted/config.toml: method gd has no setting"},
		{[]string{"merge"}, "no folders to merge"},
		{[]string{"merge", done}, "--out is needed"},
		{[]string{"merge", done, "--out", out}, "is not a shard"},
		{[]string{"merge", done, "--out", out, "--threads", "-1"}, "--threads -1"},
	} {
		code, stdout, stderr := call(c.args...)
		if code != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("sweep %s\nexit code %d, output %q, errors %q; want code 2 and %q in one line", strings.Join(c.args, " "), code, stdout, stderr, c.want)
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Fatalf("sweep %s: something was written", strings.Join(c.args, " "))
		}
	}
}

// The configuration of a folder repeats it to the bit without the problem's file, and flags beside it change what
// they name and nothing else.
func TestConfigRepeats(t *testing.T) {
	tmp := t.TempDir()
	file := filepath.Join(tmp, "mine.toml")
	text := "inputs = [\"x\"]\noutputs = [\"x\", \"k*x^3\"]\ntarget = [1, \"k\"]\nminima = [[1]]\nbox = [[-2, 2]]\n[params]\nk = 0.5\nq = 1\n[method.gd]\nlr = 0.05\n"
	text = strings.Replace(text, "k*x^3", "k*x^3*q", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(tmp, "first"), filepath.Join(tmp, "second")
	if code, _, stderr := call("-p", file, "--param", "k=0.1:1:4", "--starts", "30", "-m", "gd,newton", "--seed", "18446744073709551615", "--dtol", "1e-4", "--xtol", "1e-12", "--out", first); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(first, "config.toml")
	if code, _, stderr := call("--config", config, "--out", second); code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range []string{"config.toml", "summary.csv", "summary.json", "samples.parquet", "paths.parquet"} {
		if contents(t, first, name) != contents(t, second, name) {
			t.Errorf("%s differs", name)
		}
	}
	base, err := results.ReadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		args []string
		want func(*results.Config)
	}{
		{[]string{"--iterations", "7"}, func(c *results.Config) { c.Limits.Iterations = 7 }},
		{[]string{"--gtol", "0.25"}, func(c *results.Config) { c.Limits.GTol = 0.25 }},
		{[]string{"--seed", "3"}, func(c *results.Config) { c.Starts.Seed = 3 }},
		{[]string{"--starts", "5"}, func(c *results.Config) { c.Starts.Count = 5 }},
		{[]string{"--start", "1.5"}, func(c *results.Config) { c.Starts = results.Starts{Points: [][]float64{{1.5}}} }},
		{[]string{"-m", "newton"}, func(c *results.Config) { c.Methods = c.Methods[1:] }},
		{[]string{"--param", "k=2,3"}, func(c *results.Config) { c.Grid = batch.Grid{{Name: "k", Values: []float64{2, 3}}} }},
		{[]string{"--param", "q=1,2"}, func(c *results.Config) {
			c.Grid = append(c.Grid, batch.Axis{Name: "q", Values: []float64{1, 2}})
		}},
		{[]string{"--shard", "2/2"}, func(c *results.Config) { c.Shard = results.Shard{Index: 2, Count: 2} }},
		{[]string{"--engine", "gorgonia"}, func(c *results.Config) { c.Engine = results.Gorgonia }},
	} {
		want := *base
		want.Grid = append(batch.Grid(nil), base.Grid...)
		c.want(&want)
		dir := filepath.Join(tmp, "other"+string(rune('a'+i)))
		if code, _, stderr := call(append([]string{"--config", config, "--out", dir, "-q"}, c.args...)...); code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d: %s", c.args, code, stderr)
			continue
		}
		if got := contents(t, dir, "config.toml"); got != string(want.Encode()) {
			t.Errorf("%v: configuration\n%s\nwant\n%s", c.args, got, want.Encode())
		}
	}
}

// Another problem beside --config is tested for convergence in its own way: here by the gradient, for it has no
// minima to be near to.
func TestConfigOfAnotherProblem(t *testing.T) {
	tmp := t.TempDir()
	first, second := filepath.Join(tmp, "first"), filepath.Join(tmp, "second")
	if code, _, stderr := call(with("--out", first)...); code != 0 {
		t.Fatal(stderr)
	}
	config := filepath.Join(first, "config.toml")
	if code, _, stderr := call("--config", config, "-p", "linear1d", "-m", "gd", "--out", second); code != 0 {
		t.Fatal(stderr)
	}
	c, err := results.ReadConfig(filepath.Join(second, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Limits; l.DTol != 0 || l.GTol != batch.DefaultLimits(false).GTol {
		t.Errorf("limits %+v; want no dtol and the default gtol", l)
	}
	if code, _, stderr := call("--config", config, "-p", "linear1d", "-m", "gd", "--dtol", "1e-3"); code != exitUsage || !strings.Contains(stderr, "names no minima") {
		t.Errorf("--dtol: exit code %d, %s", code, stderr)
	}
}

// Shards run and merge from the command line, and give what the undivided sweep gives.
func TestShardAndMerge(t *testing.T) {
	tmp := t.TempDir()
	whole, merged := filepath.Join(tmp, "whole"), filepath.Join(tmp, "merged")
	_, table, _ := call(with("--out", whole)...)
	var dirs []string
	for _, s := range []string{"1/2", "2/2"} {
		dir := filepath.Join(tmp, "part"+s[:1])
		code, stdout, stderr := call(with("--out", dir, "--shard", s)...)
		if code != 0 || stdout != "" || !strings.Contains(stderr, "shard "+s+" is complete") {
			t.Fatalf("shard %s: exit code %d, output %q, errors %q", s, code, stdout, stderr)
		}
		dirs = append(dirs, dir)
	}
	code, stdout, stderr := call("merge", dirs[1], dirs[0], "--out", merged, "--format", "csv")
	if code != 0 {
		t.Fatal(stderr)
	}
	if a, b := withoutSeconds(table), withoutSeconds(stdout); a != b {
		t.Errorf("the merged report is\n%swant\n%s", b, a)
	}
	for _, name := range []string{"config.toml", "summary.csv", "summary.json", "samples.parquet", "paths.parquet"} {
		if contents(t, whole, name) != contents(t, merged, name) {
			t.Errorf("%s differs", name)
		}
	}
}

// withoutSeconds leaves that column out.
func withoutSeconds(csv string) string {
	var b strings.Builder
	lines := strings.Split(strings.TrimSpace(csv), "\n")
	at := slices.Index(strings.Split(lines[0], ","), "seconds")
	for _, line := range lines {
		b.WriteString(strings.Join(slices.Delete(strings.Split(line, ","), at, at+1), ",") + "\n")
	}
	return b.String()
}

// --min-converged gives exit code 3, after the report, and names the worst.
func TestMinConverged(t *testing.T) {
	code, stdout, stderr := call(with("--min-converged", "0.9")...)
	if code != exitBelow || stdout == "" || !strings.Contains(stderr, "less than --min-converged 0.9") || !strings.Contains(stderr, "gd alpha=") {
		t.Errorf("exit code %d, errors %q", code, stderr)
	}
	if code, _, stderr := call(with("--min-converged", "0.01")...); code != 0 {
		t.Errorf("exit code %d, errors %q", code, stderr)
	}
	// A folder that is complete is judged without running it again.
	dir := filepath.Join(t.TempDir(), "out")
	if code, _, _ := call(with("--min-converged", "0.9", "--out", dir)...); code != exitBelow {
		t.Errorf("with a folder: exit code %d", code)
	}
	if code, stdout, stderr := call("--resume", dir, "--min-converged", "0.9", "--format", "csv"); code != exitBelow || !strings.HasPrefix(stdout, "method,") || !strings.Contains(stderr, "nothing was run") {
		t.Errorf("resumed: exit code %d, errors %q", code, stderr)
	}
}

// --time-limit ends a sweep like an interruption, with or without a folder.
func TestTimeLimit(t *testing.T) {
	long := []string{"--problem", "himmelblau", "--starts", "200000", "--iterations", "1000000", "-m", "gd:lr=1e-9", "--time-limit", "300ms"}
	begin := time.Now()
	code, _, stderr := call(long...)
	if code != exitInterrupted || !strings.Contains(stderr, "time limit of 300ms") {
		t.Errorf("exit code %d, errors %q", code, stderr)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := call(append(long, "--out", dir)...); code != exitInterrupted || !strings.Contains(stderr, "sweep --resume "+dir) {
		t.Errorf("exit code %d, errors %q", code, stderr)
	}
	if took := time.Since(begin); !(took <= 20*time.Second) { // where other programs keep the processors busy; hours without the limit
		t.Errorf("two limits of 300 ms took %v", took)
	}
	if code, _, _ := call("--resume", dir, "--time-limit", "100ms"); code != exitInterrupted {
		t.Errorf("resumed: exit code %d", code)
	}
}

// A progress line counts the speed without what an earlier run has done.
func TestProgressLine(t *testing.T) {
	spec := batch.Spec{Method: batch.Methods()[0]}
	got := progressLine(batch.Progress{Method: spec, Done: 500, Total: 1000, Converged: 100, Loaded: 400}, 10*time.Second)
	if want := " 50%  gd          10 samples/s  50s left  converged 20.0%"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var b bytes.Buffer
	bar := newBar(&b, false)
	p := batch.Progress{Method: spec, Done: 1, Total: 2}
	bar.show(p)
	if b.Len() > 0 {
		t.Errorf("a line at once where there is no terminal: %q", b.String())
	}
	bar.last = time.Now().Add(-plainEvery)
	bar.show(p)
	bar.show(p)
	if n := strings.Count(b.String(), "\n"); n != 1 || strings.ContainsAny(b.String(), "\r\x1b") {
		t.Errorf("%d plain lines: %q", n, b.String())
	}
}

// A note takes the place of the line on a terminal, which comes again below it; --quiet hears none.
func TestNote(t *testing.T) {
	for _, c := range []struct {
		terminal, quiet bool
		want            string
	}{
		{true, false, "\r\x1b[K  0%  one\r\x1b[Ksweep: so it is\n\r\x1b[K  0%  two"},
		{false, false, "sweep: so it is\n"},
		{true, true, ""},
	} {
		var b bytes.Buffer
		line := bar{w: &b, terminal: c.terminal, quiet: c.quiet}
		line.count(0, 1, "one")
		line.say("so it is")
		line.count(0, 1, "two")
		if got := b.String(); got != c.want {
			t.Errorf("terminal %v, quiet %v: %q, want %q", c.terminal, c.quiet, got, c.want)
		}
	}
}

// No two columns of a CSV output have one name, whatever the parameters are called.
func TestColumnsDiffer(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "clash.toml"), filepath.Join(dir, "out")
	text := `inputs = ["x"]
outputs = ["x*samples*method*iteration*seconds*start*evaluations*best_loss"]
target = [1]
box = [[1, 2]]
[params]
samples = 1
method = 1
iteration = 1
seconds = 1
start = 1
evaluations = 1
best_loss = 1
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"trace", "--iterations", "1"}, "iteration,method,best_loss,evaluations,param_iteration,param_method,samples,seconds,param_start,start,x0,y0,loss\n"},
		{[]string{"--starts", "2", "-q", "--out", out}, "method,param_best_loss,evaluations,iteration,param_method,param_samples,param_seconds,start,samples,"},
	} {
		code, stdout, stderr := call(append(c.args, "--problem", file, "--method", "lm", "--format", "csv")...)
		if code != 0 || !strings.HasPrefix(stdout, c.want) {
			t.Errorf("%v: exit %d, %s\n%.200s\nwant %s", c.args, code, stderr, stdout, c.want)
		}
	}
	want := "method,param_best_loss,param_evaluations,iteration,param_method,param_samples,seconds,start,samples,"
	if got := contents(t, out, "summary.csv"); !strings.HasPrefix(got, want) {
		t.Errorf("summary.csv begins with %.200s, want %s", got, want)
	}
}
