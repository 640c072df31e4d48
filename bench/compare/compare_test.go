package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"invar/cpu"
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
				if _, err := check(w, cut, answers); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}

			for c := range 2 { // either coordinate of one sample
				for _, wrong := range []float64{1e-3, math.NaN()} {
					bad := [][]float64{append([]float64(nil), answers[0]...), append([]float64(nil), answers[1]...), answers[2]}
					bad[c][7] += wrong
					if note, err := check(w, bad, answers); err == nil {
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

func TestCompileTimes(t *testing.T) {
	slowest, grows := compileTimes(`
BenchmarkCompile/heat/gd-2         60   948271 ns/op   541.0 instructions   1753 ns/instruction
BenchmarkCompile/heat/ig-2         24  2161756 ns/op   947.0 instructions   2283 ns/instruction
BenchmarkCompileSize/terms=8-2   1047  9025195 ns/op   496.0 instructions   2000 ns/instruction
BenchmarkCompileSize/terms=32-2     7  9305123 ns/op   26727 instructions   6000 ns/instruction
`)
	if slowest != 2161756 || grows != 3 {
		t.Errorf("slowest %v ns, grows %v, want 2161756 and 3", slowest, grows)
	}
	if slowest, grows := compileTimes("FAIL"); slowest != 0 || grows != 0 {
		t.Errorf("of nothing: %v, %v, want zeros", slowest, grows)
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

func TestMainJob(t *testing.T) {
	out := "BenchmarkCompile/x-2 3 100 ns/op\nBenchmarkJob/--problem_p-2 1 5 ns/op 39.5 around-%\nBenchmarkJob/--alpha_0.01:100-2 1 66 ns/op 0.14 arithmetic-s 23.42 around-% 0.18 job-s\n"
	if got := mainJob(out); got != 23.42 {
		t.Errorf("%v %%, want 23.42", got)
	}
	if got := mainJob("PASS"); got != 0 {
		t.Errorf("%v %% found in nothing", got)
	}
}
