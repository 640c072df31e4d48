package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/program"
)

// fakePeer makes this test's binary a peer that answers as the variable says: "right" for a peer that keeps the
// protocol and returns the starts, "error" for one that cannot load, "dies" for one that ends.
const fakePeer = "INVAR_BENCH_FAKE_PEER"

func TestMain(m *testing.M) {
	kind := os.Getenv(fakePeer)
	if kind == "" {
		os.Exit(m.Run())
	}
	in := bufio.NewScanner(os.Stdin)
	var columns [][]float64
	for in.Scan() {
		word, rest, _ := strings.Cut(in.Text(), " ")
		switch {
		case kind == "dies":
			fmt.Fprintln(os.Stderr, "out of luck")
			os.Exit(3)
		case kind == "error":
			fmt.Println("error no such library")
		case word == "load":
			f := strings.SplitN(rest, " ", 8)
			var n int
			fmt.Sscan(f[1], &n)
			columns, _ = readColumns(f[7], 3, n)
			fmt.Println("ready fake 1.0")
		case word == "time":
			fmt.Println("seconds 0.25")
		case word == "write":
			writeColumns(rest, columns)
			fmt.Println("ok")
		case word == "quit":
			os.Exit(0)
		}
	}
	os.Exit(0)
}

func testWork(t *testing.T, name string, n int) *work {
	t.Helper()
	t.Chdir("../..")
	for _, it := range items {
		if it.name == name {
			w, err := prepare(it, n, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
	}
	t.Fatalf("no item %s", name)
	return nil
}

func TestProtocol(t *testing.T) {
	w := testWork(t, "gd", 100)
	peer := func(kind string) *child {
		t.Setenv(fakePeer, kind)
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return &child{command: []string{exe}, threads: 1}
	}

	c := peer("right")
	defer c.close()
	if err := c.load(w, 10); err != nil {
		t.Fatal(err)
	}
	if c.version() != "fake 1.0" {
		t.Errorf("version %q", c.version())
	}
	if s, err := c.run(); err != nil || s != 0.25 {
		t.Errorf("seconds %v, %v, want 0.25", s, err)
	}
	got, err := c.results()
	if err != nil {
		t.Fatal(err)
	}
	// The fake returns what it was given: alpha, x0, x1.
	for i := range 10 {
		if got[0][i] != w.alpha || got[1][i] != w.x[0][i] || got[2][i] != w.x[1][i] {
			t.Fatalf("sample %d: %v %v %v, want %v %v %v", i, got[0][i], got[1][i], got[2][i], w.alpha, w.x[0][i], w.x[1][i])
		}
	}

	for kind, want := range map[string]string{"error": "no such library", "dies": "out of luck"} {
		c := peer(kind)
		err := c.load(w, 10)
		c.close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a peer that %s: %v, want %q in the error", kind, err, want)
		}
	}
}

// Every item: the engines and the Go peers agree, and a wrong answer does not pass.
func TestItems(t *testing.T) {
	t.Chdir("../..")
	for _, it := range items {
		t.Run(it.name, func(t *testing.T) {
			const n = 20
			w, err := prepare(it, n, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			reference := &ours{engine: cpu.Portable{Threads: 1}}
			if err := reference.load(w, n); err != nil {
				t.Fatal(err)
			}
			answers, _ := reference.results()

			competitors := map[string]competitor{"gorgonia": &tape{}}
			if e, err := newEngine("native", 1); err == nil {
				competitors["native"] = &ours{engine: e}
			}
			switch it.name {
			case "gd", "newton", "bfgs":
				competitors["gonum"] = &loop{threads: 2}
			}
			for name, c := range competitors {
				if err := c.load(w, n/2); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err := c.results()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				cut := make([][]float64, 3)
				for i := range cut {
					cut[i] = got[i][:n/2]
				}
				if _, err := check(w, name, cut, answers); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if _, ok := c.(*ours); ok {
					if err := checkBits(cut, answers); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}

			for c := range 2 { // either coordinate of one sample
				for _, wrong := range []float64{1e-3, math.NaN()} {
					bad := [][]float64{append([]float64(nil), answers[0]...), append([]float64(nil), answers[1]...), answers[2]}
					bad[c][7] += wrong
					if note, err := check(w, "native", bad, answers); err == nil {
						t.Errorf("coordinate %d off by %v passes: %s", c, wrong, note)
					}
				}
			}
		})
	}
}

func TestRatio(t *testing.T) {
	// The machine is three times slower in the second round, and a has half as many samples as b.
	a := &entry{samples: 50, seconds: []float64{1, 3, 1}}
	b := &entry{samples: 100, seconds: []float64{1, 3, 1}}
	if r := ratio(a, b); r != 2 {
		t.Errorf("ratio %v, want 2", r)
	}
	if ns := a.nsPerSample(); ns != 2e7 {
		t.Errorf("%v ns a sample, want 2e7", ns)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median %v, want 2.5", m)
	}
}

func TestVerdicts(t *testing.T) {
	var gd *item
	for _, it := range items {
		if it.name == "gd" {
			gd = it
		}
	}
	of := func(peer string, s float64) *entry {
		return &entry{peer: peer, threads: 1, samples: 1, seconds: []float64{s}}
	}
	o := &outcome{item: gd, entries: []*entry{of(engineUnderTest, 1), of("climit", 0.76), of("jax", 15), of("gorgonia", 99), of("gonum", 101)}}
	broken := of("jax-scalars", 1)
	broken.failed = os.ErrNotExist
	o.entries = append(o.entries, broken)
	want := map[string]bool{"climit": false, "jax": true, "gorgonia": false, "gonum": true}
	got := verdicts(o)
	if len(got) != len(want) {
		t.Errorf("%d verdicts, want %d: one that failed has none", len(got), len(want))
	}
	for _, v := range got {
		if v.met != want[v.peer] {
			t.Errorf("%s: %v %s, met: %v", v.peer, v.value, v.want(), v.met)
		}
	}
}

// A competitor may stray on an item only as far as that item's row says, and an engine of ours by no bit.
func TestStrays(t *testing.T) {
	const n = 2000
	w := testWork(t, "newton", n)
	reference := &ours{engine: cpu.Portable{}}
	if err := reference.load(w, n); err != nil {
		t.Fatal(err)
	}
	answers, _ := reference.results()
	elsewhere := func(samples int, by float64) [][]float64 {
		got := [][]float64{slices.Clone(answers[0]), slices.Clone(answers[1]), slices.Clone(answers[2])}
		for i := range samples {
			got[0][i] += by
		}
		return got
	}
	for _, c := range []struct {
		peer    string
		samples int
		ok      bool
	}{{"gonum", 2, true}, {"gonum", 3, false}, {"climit", 0, true}, {"climit", 1, false}, {"invar", 1, false}} {
		if _, err := check(w, c.peer, elsewhere(c.samples, 1), answers); (err == nil) != c.ok {
			t.Errorf("%s with %d samples elsewhere: %v", c.peer, c.samples, err)
		}
	}
	if err := checkBits(answers, answers); err != nil {
		t.Error(err)
	}
	if err := checkBits(elsewhere(1, 1e-300+math.Abs(answers[0][0])*1e-15), answers); err == nil {
		t.Error("another last bit passes as the same")
	}
	nan := elsewhere(1, math.NaN())
	if err := checkBits(nan, answers); err == nil {
		t.Error("a NaN passes for a number")
	}
	if err := checkBits(nan, elsewhere(1, -math.NaN())); err != nil {
		t.Errorf("two NaNs: %v", err)
	}
}

// nearly is an engine whose first result is wrong in its last bit.
type nearly struct{ program.Engine }

func (e nearly) Compile(p *program.Program) (program.Executable, error) {
	x, err := e.Engine.Compile(p)
	return nearlyExecutable{x}, err
}

type nearlyExecutable struct{ program.Executable }

func (x nearlyExecutable) Run(ctx context.Context, b *program.Batch) error {
	err := x.Executable.Run(ctx, b)
	b.Out[0][0] = math.Nextafter(b.Out[0][0], 2)
	return err
}

func TestEnter(t *testing.T) {
	const n = 10
	w := testWork(t, "lm", n)
	reference := &ours{engine: cpu.Portable{}}
	if err := reference.load(w, n); err != nil {
		t.Fatal(err)
	}
	answers, _ := reference.results()
	if batch.Column(reference.prog, "x0") != 0 {
		t.Fatal("the first result is not x0")
	}
	for _, c := range []struct {
		engine program.Engine
		ok     bool
	}{{cpu.Portable{}, true}, {nearly{cpu.Portable{}}, false}} {
		e := &entry{peer: engineUnderTest, threads: 1, samples: n, c: &ours{engine: c.engine}}
		if err := e.enter(w, answers); (err == nil) != c.ok {
			t.Errorf("%T enters: %v", c.engine, err)
		}
	}
}

const goOutput = `
BenchmarkCompile/heat/gd-2         60   948271 ns/op   541.0 instructions   1753 ns/instruction
BenchmarkCompileSize/terms=8-2   1047  9025195 ns/op   496.0 instructions   2000 ns/instruction
BenchmarkCompile/heat/ig-2         24  2161756 ns/op   947.0 instructions   2283 ns/instruction
BenchmarkJob/--problem_pendulum-2   1 5 ns/op 39.5 around-% 50.5 around-out-%
BenchmarkJob/--alpha_0.01:100_--starts_10000-2 1 66 ns/op 0.14 arithmetic-s 23.42 around-% 70.5 around-out-% 31.5 least-out-% 0.18 job-s
`

func TestMetrics(t *testing.T) {
	if got, want := metrics(goOutput, "BenchmarkCompile/", "ns/op"), []float64{948271, 2161756}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := metrics("FAIL", "BenchmarkCompile/", "ns/op"); len(got) != 0 {
		t.Errorf("%v found in nothing", got)
	}
	for i, want := range []float64{23.42, 70.5} {
		if got, ok := jobs[i].around(goOutput); got != want || !ok {
			t.Errorf("%s: %v %%, want %v", jobs[i].key, got, want)
		}
		if got, ok := jobs[i].around("PASS"); ok {
			t.Errorf("%s: %v %% found in nothing", jobs[i].key, got)
		}
	}
	if got, ok := ofJob(goOutput, jobs[1].least); got != 31.5 || !ok {
		t.Errorf("the least with files: %v %%, want 31.5", got)
	}
}

func TestBeside(t *testing.T) {
	for _, c := range []struct {
		x, bound float64
		want     string
	}{{1.31, 1.3, "1.31"}, {1.3001, 1.3, "1.3001"}, {1.2999, 1.3, "1.2999"}, {1.3, 1.3, "1.3"}, {14.6, 15, "14.6"}, {14.4, 15, "14"}, {15.2, 15, "15.2"}, {4632.4, 100, "4,632"}, {999.9, 1000, "999.9"}} {
		if got := beside(c.x, c.bound); got != c.want {
			t.Errorf("%v beside %v: %s, want %s", c.x, c.bound, got, c.want)
		}
	}
}

// What does not add up is refused before anything is measured.
func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"--nothing"}, {"more"}, {"--engine", "fast"}, {"--threads", "0"}, {"--repeats", "-1"}, {"--samples", "-1"},
		{"--only", "none"}, {"--peers", "nobody"}, {"--out", "nowhere/RESULTS.md"}, {"--out", "."},
	} {
		if err := run(args); !isUsage(err) {
			t.Errorf("%q: %v, want an error of usage", args, err)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than a line: %v", args, err)
		}
	}
	if err := tryFile("new.md"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("new.md"); err == nil {
		t.Error("trying a file leaves one")
	}
	if err := os.WriteFile("old.md", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tryFile("old.md"); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile("old.md"); string(text) != "old" {
		t.Errorf("trying a file leaves %q in it", text)
	}
}

func TestKinds(t *testing.T) {
	for instruction, want := range map[string]string{
		"vdivpd zmm0,zmm10,zmm0":                  "divisions",
		"vsqrtpd zmm0,zmm1":                       "square roots",
		"vfnmadd213pd zmm1,zmm2,QWORD BCST [rsi]": "additions, multiplications, multiply-adds",
		"vrndscalepd zmm1,zmm2,0x8":               "roundings and conversions",
		"vmovapd zmm0{k1},zmm4":                   "comparisons, selects, signs and masks",
		"kortestb k0,k0":                          "comparisons, selects, signs and masks",
		"vpternlogd zmm0,zmm2,zmm8,0x78":          "comparisons, selects, signs and masks",
		"vmovupd zmm10,ZMMWORD PTR [rdx+0x280]":   "loads, stores and moves",
		"vpsllq zmm2,zmm2,0x3e":                   "integers in vectors",
		"jae 0x7f861cc5f97f":                      "loops and counters",
	} {
		if got := kindOf(instruction); got != want {
			t.Errorf("%s: %s, want %s", instruction, got, want)
		}
	}
	code := map[uint64]string{}
	disassembly([]byte("code:     file format binary\n\n00007f0 <.data>:\n    7f0000000010:\tvmulpd zmm0,zmm1,zmm2\n    7f0000000016:\tret    \n"), code)
	if len(code) != 2 || code[0x7f0000000010] != "vmulpd zmm0,zmm1,zmm2" || code[0x7f0000000016] != "ret" {
		t.Errorf("disassembly %v", code)
	}
	text := shares([]uint64{0x7f0000000010, 0x7f0000000010, 0x7f0000000016, 1}, code)
	for _, want := range []string{"75.0 %  machine code", "50.0 %  additions", "25.0 %  loops", "25.0 %  elsewhere", "50.0 %  vmulpd zmm0"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// Samples of a function lie in it, where the system lets us take any.
func TestAddresses(t *testing.T) {
	at, err := addresses(func() error { spin(300 * time.Millisecond); return nil })
	if err != nil {
		if !strings.HasPrefix(err.Error(), "perf_event_open: ") {
			t.Error(err)
		}
		return
	}
	in := 0
	for _, a := range at {
		if f := runtime.FuncForPC(uintptr(a)); f != nil && strings.HasSuffix(f.Name(), ".spin") {
			in++
		}
	}
	if len(at) < 10 || in < len(at)/2 {
		t.Errorf("%d of %d samples are in the function that ran", in, len(at))
	}
}

var spun float64

//go:noinline
func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
		for range 1_000_000 {
			spun = spun*0.999 + 1
		}
	}
}

func TestByPackage(t *testing.T) {
	text := byPackage(`File: compare
Duration: 2s, Total samples = 1s (50%)
      flat  flat%   sum%        cum   cum%
     0.50s 50.00% 50.00%      0.50s 50.00%  runtime._ExternalCode
     0.20s 20.00% 70.00%      0.20s 20.00%  memeqbody
     0.10s 10.00% 80.00%      0.30s 30.00%  invar/results.(*column).values
     0.10s 10.00% 90.00%      0.10s 10.00%  invar/results.keys (inline)
     0.10s 10.00%   100%      0.10s 10.00%  github.com/klauspost/compress/zstd.(*blockEnc).encode
`)
	for _, want := range []string{"Duration: 2s", "50.0 %  machine code", "20.0 %  runtime\n", "20.0 %  invar/results\n", "10.0 %  github.com/klauspost/compress/zstd\n", "30.0 %  invar/results.(*column).values"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestCount(t *testing.T) {
	it := &item{name: "x", samples: 1000, slower: map[string]int{"scipy": 100}}
	for _, c := range []struct {
		name string
		n    int
		want int
	}{{"jax", 1000, 1000}, {"scipy", 1000, 100}, {"scipy", 600, 60}, {"scipy", 100, 50}, {"portable", 1000, 100}} {
		if got := it.count(c.name, c.n, c.n); got != c.want {
			t.Errorf("%s of %d samples: %d, want %d", c.name, c.n, got, c.want)
		}
	}
}

// The program that measures the rate of multiply-adds does as many as are counted, and ends after its steps.
func TestMultiplyAdds(t *testing.T) {
	const steps = 3
	p := fmaProgram(steps)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if n := arithmetic(p.Step); n != fmaChains*fmaTrips {
		t.Errorf("%v operations a step, want %d", n, fmaChains*fmaTrips)
	}
	exe, err := cpu.Portable{}.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	b := p.NewBatch(2)
	b.In[0][1] = 5
	if err := exe.Run(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for s, x := range b.In[0] {
		want := x
		for range steps * fmaTrips {
			want = math.FMA(want, 0.999, 0.001)
		}
		if got := b.Out[0][s]; got != want {
			t.Errorf("chain 0 from %v: %v, want %v", x, got, want)
		}
	}
}
