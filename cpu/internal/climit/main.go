// Command climit says how far native code is from the limit of one core: it runs four
// sweeps by Invar's native engine and by hand-written AVX-512 C (c/climit.c, the same
// arithmetic on interleaved vectors, built here by gcc -O3 -march=native in several
// widths, of which the best counts), in turn so that a busy machine disturbs both
// alike, and prints the medians and their ratio. The results must agree to the bit.
//
//	go run ./cpu/internal/climit [-n 200000] [-rounds 15]
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
)

//go:embed c/climit.c
var source []byte

var widths = []int{2, 4, 6}

func main() {
	n := flag.Int("n", 200000, "samples a sweep")
	rounds := flag.Int("rounds", 15, "repetitions, of which the median counts")
	set := flag.String("set", "avx512", "instruction set of the native engine: avx512 or avx2")
	flag.Parse()
	if err := run(*n, *rounds, *set); err != nil {
		fmt.Fprintln(os.Stderr, "climit:", err)
		os.Exit(1)
	}
}

func run(n, rounds int, set string) error {
	dir, err := os.MkdirTemp("", "climit")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := filepath.Join(dir, "climit.c")
	if err := os.WriteFile(c, source, 0o600); err != nil {
		return err
	}
	for _, w := range widths {
		cmd := exec.Command("gcc", "-O3", "-march=native", "-ffp-contract=off", fmt.Sprintf("-DVECS=%d", w), "-o", filepath.Join(dir, fmt.Sprint("c", w)), c, "-lm")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gcc (with AVX-512) is needed: %w\n%s", err, out)
		}
	}
	fmt.Printf("%-16s %14s %14s %8s %7s\n", "sweep", "C ns/sample", "native", "ratio", "width")
	for _, s := range []struct{ problem, method string }{{"square", "gd"}, {"square", "newton"}, {"square", "pg"}, {"exponential", "gn"}} {
		if err := compare(dir, s.problem, s.method, set, n, rounds); err != nil {
			return fmt.Errorf("%s/%s: %w", s.problem, s.method, err)
		}
	}
	return nil
}

func compare(dir, name, method, set string, n, rounds int) error {
	q, err := problem.Builtin(name)
	if err != nil {
		return err
	}
	m, err := graph.New(q)
	if err != nil {
		return err
	}
	spec, err := batch.ParseMethods(method)
	if err != nil {
		return err
	}
	p, err := batch.Compile(m, spec[0], batch.Options{Limits: batch.DefaultLimits(true)})
	if err != nil {
		return err
	}
	x, err := cpu.Native{Set: set, Threads: 1}.Compile(p)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	b := p.NewBatch(n)
	for s := range n {
		for i, d := range q.Params {
			b.In[i][s] = d.Default
		}
		for i := range q.N() {
			b.In[len(q.Params)+i][s] = q.Box[i][0] + r.Float64()*(q.Box[i][1]-q.Box[i][0])
		}
	}
	in := b.In
	if name == "exponential" { // the C program gets what Setup computes
		cos, sin := make([]float64, n), make([]float64, n)
		st := p.Stage()
		for s := range n {
			args := make([]uint64, len(b.In))
			for i := range args {
				args[i] = math.Float64bits(b.In[i][s])
			}
			state := st.Setup.Eval(args...)
			for k, slot := range st.Kept {
				switch p.Slots[slot].Name {
				case "const0":
					cos[s] = math.Float64frombits(state[k])
				case "const1":
					sin[s] = math.Float64frombits(state[k])
				}
			}
		}
		in = [][]float64{b.In[0], cos, sin, b.In[2], b.In[3]}
	}
	var raw bytes.Buffer
	for _, col := range in {
		if err := binary.Write(&raw, binary.LittleEndian, col); err != nil {
			return err
		}
	}
	inputs := filepath.Join(dir, "in")
	if err := os.WriteFile(inputs, raw.Bytes(), 0o600); err != nil {
		return err
	}
	native := make([]float64, 0, rounds)
	times := make([][]float64, len(widths))
	for range rounds {
		for i, w := range widths {
			out, err := exec.Command(filepath.Join(dir, fmt.Sprint("c", w)), name+"/"+method, fmt.Sprint(n), "3", inputs, filepath.Join(dir, fmt.Sprint("out", w))).Output()
			if err != nil {
				return err
			}
			var t []float64
			for _, f := range strings.Fields(string(out)) {
				v, err := strconv.ParseFloat(f, 64)
				if err != nil {
					return err
				}
				t = append(t, v)
			}
			slices.Sort(t)
			times[i] = append(times[i], t[len(t)/2])
		}
		var t []float64
		for range 3 {
			start := time.Now()
			if err := x.Run(context.Background(), b); err != nil {
				return err
			}
			t = append(t, float64(time.Since(start).Nanoseconds()))
		}
		slices.Sort(t)
		native = append(native, t[len(t)/2])
	}
	for _, w := range widths {
		if err := same(p, b, filepath.Join(dir, fmt.Sprint("out", w))); err != nil {
			return err
		}
	}
	best := 0
	for i := range times {
		if median(times[i]) < median(times[best]) {
			best = i
		}
	}
	c, g := median(times[best])/float64(n), median(native)/float64(n)
	fmt.Printf("%-16s %14.2f %14.2f %8.2f %7d\n", name+"/"+method, c, g, g/c, widths[best])
	return nil
}

// same compares the C program's results with the engine's.
func same(p *program.Program, b *program.Batch, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for k, col := range []string{"x0", "x1", "loss", "grad_norm", "distance", "iteration", "evaluations", "fallbacks", "status"} {
		c := batch.Column(p, col)
		for s := range b.N {
			got := math.Float64frombits(binary.LittleEndian.Uint64(raw[8*(k*b.N+s):]))
			if want := b.Out[c][s]; math.Float64bits(got) != math.Float64bits(want) && (got == got || want == want) {
				return fmt.Errorf("sample %d: C gives %s = %v, the engine %v", s, col, got, want)
			}
		}
	}
	return nil
}

func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}
