package results

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
	"invar/sampling"
)

// configOf resolves a sweep of a built-in problem over alpha.
func configOf(t testing.TB, name, alphas string, starts int, methods ...string) *Config {
	t.Helper()
	text, err := problem.BuiltinFile(name)
	must(t, err)
	return configFor(t, name, string(text), alphas, starts, methods...)
}

func configFor(t testing.TB, name, text, alphas string, starts int, methods ...string) *Config {
	t.Helper()
	p, err := problem.Parse(name+".toml", []byte(text))
	must(t, err)
	m, err := graph.New(p)
	must(t, err)
	sampler, err := sampling.New("uniform", 5, starts, p.N())
	must(t, err)
	sw := &batch.Sweep{Model: m, Limits: batch.DefaultLimits(len(p.Minima) > 0), Starts: &batch.Sampled{Sampler: sampler, N: starts, Box: p.Box}}
	sw.Limits.Iterations = 60
	if alphas != "" {
		v, err := batch.ParseRange(alphas)
		must(t, err)
		sw.Grid = batch.Grid{{Name: "alpha", Values: v}}
	}
	for _, s := range methods {
		more, err := batch.ParseMethods(s)
		must(t, err)
		sw.Methods = append(sw.Methods, more...)
	}
	c, err := Resolve(sw, text, 5)
	must(t, err)
	return c
}

// square is the sweep of most tests: 3 methods of 3 chunks each.
func square(t testing.TB) *Config {
	return configOf(t, "square", "0.1:10:7", 700, "gd", "newton", "pg")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// finish runs what is left.
func finish(t testing.TB, r *Run) *batch.Report {
	t.Helper()
	r.Sweep().Engine = cpu.Portable{}
	rep, err := r.Do(context.Background())
	must(t, err)
	return rep
}

// fill makes a complete folder.
func fill(t testing.TB, c *Config) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	r, err := Create(dir, c, false)
	must(t, err)
	finish(t, r)
	return dir
}

// interrupt runs a sweep, whose journal takes samples from the first on, until about the given part of what is left of it is done;
// 0: not even begun.
func interrupt(t testing.TB, r *Run, part float64) {
	t.Helper()
	if r.journal != nil {
		r.journal.from = time.Time{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if part == 0 {
		cancel()
	}
	sw := r.Sweep()
	total := float64(len(sw.Methods) * sw.Grid.Len() * sw.Starts.Len())
	if r.config.Shard.Count > 0 {
		total /= float64(r.config.Shard.Count)
	}
	total -= float64(r.Saved())
	left := int(part * total)
	sw.Engine, sw.Threads = &breaking{left: &left, cancel: cancel}, 1
	if _, err := r.Do(ctx); err != context.Canceled {
		t.Fatalf("error %v, want context.Canceled", err)
	}
}

// breaking is an engine that cancels the sweep when it has run so many samples; those whose paths are traced are not counted.
type breaking struct {
	cpu.Portable
	program.Executable
	left   *int
	cancel func()
}

func (b *breaking) Compile(p *program.Program) (program.Executable, error) {
	e, err := b.Portable.Compile(p)
	return &breaking{Executable: e, left: b.left, cancel: b.cancel}, err
}

func (b *breaking) Run(ctx context.Context, batch *program.Batch) error {
	if batch.Trace == nil {
		if *b.left -= batch.N; *b.left < 0 {
			b.cancel()
		}
	}
	return b.Executable.Run(ctx, batch)
}

// sums are the hashes of the files that do not depend on how they were made.
func sums(t testing.TB, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if e.Name() == runFile {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		m[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return m
}

func same(t testing.TB, what string, got, want string) {
	t.Helper()
	w := sums(t, want)
	if len(w) != 5 {
		t.Fatalf("%d files in a complete folder, want 5: %v", len(w), w)
	}
	if d := cmp.Diff(w, sums(t, got)); d != "" {
		t.Errorf("%s: other files (-want +got):\n%s", what, d)
	}
}

// reference runs the sweep of a Config in memory and returns its samples and report.
func reference(t testing.TB, c *Config) ([]Sample, *batch.Report, []batch.Path) {
	t.Helper()
	sw, err := c.Sweep()
	must(t, err)
	sw.Engine = cpu.Portable{}
	var all []Sample
	sw.Sink = func(k *batch.Chunk) error {
		n := sw.Model.Problem().N()
		np := len(k.Batch.In) - n
		out := func(name string, i int) float64 {
			if c := batch.Column(k.Program, name); c >= 0 {
				return k.Batch.Out[c][i]
			}
			return math.NaN()
		}
		for i := range k.Batch.N {
			s := Sample{Method: k.Method, Params: []float64{}, Start: (k.First + int64(i)) % int64(sw.Starts.Len()), Loss: out("loss", i), GradNorm: out("grad_norm", i),
				Distance: out("distance", i), Status: batch.Status(out("status", i)), Iterations: int64(out("iteration", i)),
				Evaluations: int64(out("evaluations", i)), Fallbacks: int64(out("fallbacks", i))}
			for j := range np {
				s.Params = append(s.Params, k.Batch.In[j][i])
			}
			for j := range n {
				s.X0 = append(s.X0, k.Batch.In[np+j][i])
				s.X = append(s.X, out(fmt.Sprintf("x%d", j), i))
			}
			all = append(all, s)
		}
		return nil
	}
	rep, err := sw.Run(context.Background())
	must(t, err)
	sw.Starts = first(t, sw)
	paths, err := sw.Trace(context.Background())
	must(t, err)
	return all, rep, paths
}

// first are the starts whose paths are kept.
func first(t testing.TB, sw *batch.Sweep) batch.Points {
	t.Helper()
	n := sw.Model.Problem().N()
	x := make([][]float64, n)
	for i := range x {
		x[i] = make([]float64, min(PathStarts, sw.Starts.Len()))
	}
	must(t, sw.Starts.Fill(0, x))
	pts := make(batch.Points, len(x[0]))
	for k := range pts {
		for i := range n {
			pts[k] = append(pts[k], x[i][k])
		}
	}
	return pts
}

// What goes in comes out: samples, cells and paths, for problems with and without
// parameters and known minima, and methods that come twice.
func TestRoundTrip(t *testing.T) {
	plain := `inputs = ["x"]
outputs = ["x", "log(x)"]
target = [1, 0.5]
box = [[-1, 3]]
`
	for what, c := range map[string]*Config{
		"square":        square(t),
		"one start":     configOf(t, "square", "", 1, "gd"),
		"same method":   configOf(t, "square", "0.1:10:3", 40, "gd:lr=0.1", "gd:lr=0.3", "newton"),
		"no minima":     configFor(t, "plain", plain, "", 90, "gd", "gn"),
		"name clashes":  configFor(t, "clash", "inputs = [\"x0\"]\noutputs = [\"x0*loss + start*param_loss\"]\ntarget = [1]\nbox=[[-1,1]]\n[params]\nloss = 2\nstart = 3\nparam_loss = 4\n", "", 9, "gd"),
		"many channels": configOf(t, "heat", "", 20, "lm"),
	} {
		t.Run(what, func(t *testing.T) {
			samples, rep, paths := reference(t, c)
			f, err := Open(fill(t, c))
			must(t, err)
			if !f.Complete() {
				t.Error("not complete")
			}
			var got []Sample
			must(t, f.Samples(func(s *Sample) error {
				k := *s
				k.Params, k.X0, k.X = append([]float64{}, s.Params...), append([]float64(nil), s.X0...), append([]float64(nil), s.X...)
				got = append(got, k)
				return nil
			}))
			if len(got) != len(samples) {
				t.Fatalf("%d samples, want %d", len(got), len(samples))
			}
			for i := range got {
				if g, w := fmt.Sprintf("%x", got[i]), fmt.Sprintf("%x", samples[i]); g != w {
					t.Fatalf("sample %d: %s, want %s", i, g, w)
				}
			}
			bare := cmp.Options{cmpopts.EquateNaNs(), cmpopts.IgnoreFields(batch.Cell{}, "Seconds"), cmpopts.EquateEmpty(),
				cmp.Comparer(func(a, b batch.Spec) bool { return a.String() == b.String() })}
			again, err := f.Report()
			must(t, err)
			if d := cmp.Diff(rep, again, bare); d != "" {
				t.Errorf("report (-run +folder):\n%.2000s", d)
			}
			starts := len(got) / len(again.Cells)
			for i, c := range again.Cells {
				var best *batch.Best
				for _, s := range got[i*starts : (i+1)*starts] {
					if s.Status != batch.Diverged && (best == nil || s.Loss < best.Loss) {
						best = &batch.Best{Start: int(s.Start), Loss: s.Loss, X: s.X}
					}
				}
				if d := cmp.Diff(best, c.Best); d != "" {
					t.Errorf("cell %d: the best sample (-samples +report):\n%s", i, d)
				}
			}
			gotPaths, err := f.Paths()
			must(t, err)
			if d := cmp.Diff(paths, gotPaths, bare); d != "" {
				t.Errorf("paths (-run +folder):\n%.2000s", d)
			}
		})
	}
}

// A summary whose best point is not one of the problem's is refused, and one without is read.
func TestBestIsRead(t *testing.T) {
	dir := fill(t, configOf(t, "square", "", 20, "gd"))
	file := filepath.Join(dir, jsonFile)
	data, err := os.ReadFile(file)
	must(t, err)
	best := regexp.MustCompile(`"best":\{.*?\}`)
	for to, says := range map[string]string{`"best":null`: "", `"best":{"start":1,"loss":2,"x":[3]}`: "best x has 1 numbers; 2 are expected"} {
		if !best.Match(data) {
			t.Fatalf("no best sample in %s", data)
		}
		must(t, os.WriteFile(file, best.ReplaceAll(data, []byte(to)), 0o644))
		f, err := Open(dir)
		must(t, err)
		rep, err := f.Report()
		switch {
		case says != "":
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: error %v, want one that says %q", to, err, says)
			}
		case err != nil || rep.Cells[0].Best != nil:
			t.Errorf("%s: error %v, best %+v", to, err, rep.Cells[0].Best)
		}
	}
}

// The names of the columns, in their order, and param_ before a parameter that takes another column's.
func TestColumns(t *testing.T) {
	names := func(cols []column) string {
		var s []string
		for _, f := range schema("", cols, nil).Fields() {
			s = append(s, f.Name())
		}
		return strings.Join(s, " ")
	}
	for _, c := range []struct{ got, want string }{
		{names(sampleColumns([]string{"alpha", "b"}, 2, true)),
			"method alpha b start x0_0 x0_1 x_0 x_1 loss grad_norm distance iterations evaluations fallbacks status"},
		{names(sampleColumns([]string{"loss", "param_loss", "start"}, 1, false)),
			"method param_param_loss param_loss param_start start x0_0 x_0 loss grad_norm distance iterations evaluations fallbacks status"},
		{names(pathColumns([]string{"alpha"}, 1, 2)), "method alpha start iteration x_0 y_0 y_1 loss status"},
	} {
		if c.got != c.want {
			t.Errorf("columns\n%s, want\n%s", c.got, c.want)
		}
	}
}

// In float32 the parameters of samples are those of the other files, not what they are rounded to.
func TestParamsFloat32(t *testing.T) {
	c := configOf(t, "square", "0.1,0.3", 5, "newton")
	c.DType = program.F32
	f, err := Open(fill(t, c))
	must(t, err)
	have := map[float64]int{}
	must(t, f.Samples(func(s *Sample) error {
		have[s.Params[0]]++
		return nil
	}))
	if want := map[float64]int{0.1: 5, 0.3: 5}; !maps.Equal(have, want) {
		t.Errorf("samples by alpha: %v, want %v", have, want)
	}
}

// A configuration reads back to itself and makes the same sweep, whatever the text of the problem.
func TestConfigRoundTrip(t *testing.T) {
	p := "name = \"q\"\r\n# '''\x7f quotes \" and \\ \u00e9\r\ninputs = [\"x0\"]\r\noutputs = [\"x0\"]\r\ntarget = [0]\r\nbox = [[-1, 2]]\r\n"
	points := square(t)
	points.Starts = Starts{Points: [][]float64{{1, -2.5}, {math.SmallestNonzeroFloat64, math.MaxFloat64}}}
	huge := square(t)
	huge.Starts.Seed = math.MaxUint64
	huge.Shard = Shard{2, 7}
	for what, c := range map[string]*Config{
		"square": square(t), "strange text": configFor(t, "q", strings.ReplaceAll(p, "\x7f", ""), "", 3, "gd:lr=1e-300"),
		"points": points, "largest seed, shard": huge, "gorgonia": func() *Config { c := square(t); c.Engine = Gorgonia; return c }(),
		"float32": func() *Config { c := square(t); c.DType = program.F32; return c }(),
	} {
		text := c.Encode()
		got, err := ParseConfig("c.toml", text)
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, text)
			continue
		}
		if d := cmp.Diff(c, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
		sw, err := got.Sweep()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		again, err := Resolve(sw, got.Problem.File, got.Starts.Seed)
		must(t, err)
		again.Shard = got.Shard
		if d := cmp.Diff(string(text), string(again.Encode())); d != "" {
			t.Errorf("%s: resolved again:\n%s", what, d)
		}
	}
}

// A configuration that is not one is refused, with the place.
func TestConfigErrors(t *testing.T) {
	text := string(square(t).Encode())
	for _, c := range []struct{ old, new, want string }{
		{"iterations =", "iteration =", `unknown field "limits.iteration"`},
		{"format = 1", "format = 2", "reads format 1"},
		{"count = 700", "count = 0", "starts.count = 0"},
		{"count = 700", "", "starts.count = 0"},
		{"seed = 5", "seed = -5", "starts.seed = -5"},
		{"seed = 5", "seed = 5.5", "an integer is needed"},
		{"dtol = 1e-06", "dtol = nan", "finite"},
		{"dtol = 1e-06", "dtol = -1", "0 or more"},
		{"dtol = 1e-06", "", "limits.dtol is needed"},
		{`engine = "any"`, `engine = "cuda"`, `"gorgonia" are allowed`},
		{`dtype = "float64"`, `dtype = "f64"`, "float64 and float32 are allowed"},
		{"iterations = 60", "iterations = 1000000000000", "0 to 10000000"},
		{"[[grid]]", "[[grids]]", "unknown field"},
		{"values = [", "values = [nan, ", "finite"},
		{"format = 1", "format = 1\npoints = 3", "unknown field \"points\""},
		{"format = 1", "format = ", "c.toml:3:"},
	} {
		if !strings.Contains(text, c.old) {
			t.Errorf("%q is not in the text", c.old)
		}
		_, err := ParseConfig("c.toml", []byte(strings.Replace(text, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "c.toml") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want c.toml and %q in one line", c.new, err, c.want)
		}
	}
	whole := strings.Replace(text, "dtol = 1e-06", "dtol = 0", 1)
	if c, err := ParseConfig("c.toml", []byte(whole)); err != nil || c.Limits.DTol != 0 {
		t.Errorf("dtol = 0, without a point: %v", err)
	}
	old := strings.Replace(text, "dtype = \"float64\"", "", 1)
	if c, err := ParseConfig("c.toml", []byte(old)); err != nil || c.DType != program.F64 {
		t.Errorf("without a dtype: %v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`name = "newton"`, `name = "newtom"`, "newton"},
		{"engine = \"any\" # \"any\": all engines but gorgonia give the same bits\ndtype = \"float64\"", "engine = \"gorgonia\"\ndtype = \"float32\"", "float64 only"},
		{`parameter = "alpha"`, `parameter = "beta"`, "alpha"},
		{"\nlr =", "\nrate =", "rate"},
		{"box = [[", "box = [[1.0, 2.0], [", "inputs"},
		{`sampler = "uniform"`, `sampler = "unform"`, "uniform"},
		{"outputs", "output", "output"},
	} {
		cfg, err := ParseConfig("c.toml", []byte(strings.Replace(text, c.old, c.new, 1)))
		if err == nil {
			_, err = cfg.Sweep()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.new, err, c.want)
		}
	}
}

// A shard is i/k.
func TestParseShard(t *testing.T) {
	if s, err := ParseShard("3/7"); err != nil || s != (Shard{3, 7}) {
		t.Errorf("3/7: %v, %v", s, err)
	}
	for _, bad := range []string{"", "3", "0/7", "8/7", "-1/2", "1/0", "a/b", "1/2/3", "1/100001", " 1/2"} {
		if _, err := ParseShard(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
