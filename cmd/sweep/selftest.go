package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/kernels"
	"invar/program"
)

func newSelftest(stdout, stderr io.Writer) *cobra.Command {
	device, quiet := "cuda", false
	limit := 50 * time.Second
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Hold this machine's GPU to the bits of the CPU",
		Long: `Run each operation, each built-in problem with each method, and a program with many samples on the GPU, in float64 and in float32, and
compare every result with the portable engine's, bit for bit (all NaNs counting as one value). With --device cpu it is the CPU's vector
code that is held to them.

Exit code 0: all that was run agrees. 1: something differs. 2: there is no such device.`,
		Example: `  sweep selftest
  sweep selftest --device cuda:1
  sweep selftest --device cpu`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit <= 0 {
				return usagef("--time-limit %v: more than 0s is allowed", limit)
			}
			var sw batch.Sweep
			if device == autoDevice {
				return usagef("--device auto: selftest tests one device: cpu, cuda, cuda:1, ... are allowed")
			}
			if _, err := setEngine(&sw, autoEngine, device, newBar(stderr, quiet).say); err != nil {
				return usage(err)
			}
			if _, ok := sw.Engine.(cpu.Portable); ok {
				return usagef("--device cpu: only the portable engine works here, which the others are compared with")
			}
			t := selftest{engine: sw.Engine, out: stdout, notes: stderr, quiet: quiet, limit: limit, dtypes: []program.Type{program.F64, program.F32}}
			return t.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&device, "device", device, "what is tested: cuda, cuda:1, ..., or cpu")
	f.DurationVar(&limit, "time-limit", limit, "begin no further program after this time")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	cmd.SetFlagErrorFunc(flagError)
	return cmd
}

// selftest compares an engine with the portable one.
type selftest struct {
	engine program.Engine
	out    io.Writer
	notes  io.Writer
	quiet  bool
	limit  time.Duration
	dtypes []program.Type // that the engine knows
}

// Sizes of the self-test.
const (
	selftestSamples    = 200     // of each problem x method
	selftestMany       = 300_000 // of one program in each type: threads and lanes take a sample after the other
	selftestIterations = 25
	selftestRows       = 8 // traced of every seventh program
)

// pair is a problem with a method that can serve it, in one type of numbers.
type pair struct {
	model *graph.Model
	spec  batch.Spec
	dtype program.Type
}

func (p pair) String() string {
	return p.model.Problem().Name + " x " + p.spec.Method.Name + " x " + batch.DTypeName(p.dtype)
}

// builtinPairs lists every built-in problem with every method in each type, mixed, so that any part of the list is a fair choice.
func builtinPairs(dtypes []program.Type) ([]pair, error) {
	models, err := graph.Builtins()
	if err != nil {
		return nil, err
	}
	var all []pair
	for _, m := range models {
		for _, method := range batch.Methods() {
			if method.Supports(m.Problem()) != nil {
				continue
			}
			for _, dtype := range dtypes {
				all = append(all, pair{m, batch.Spec{Method: method}, dtype})
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, nil
}

func (t *selftest) run(ctx context.Context) error {
	begin := time.Now()
	fmt.Fprintf(t.out, "engine      %s\n", describe(t.engine))
	if e, ok := t.engine.(interface{ Check() error }); ok {
		if err := e.Check(); err != nil {
			return err
		}
		fmt.Fprintln(t.out, "operations  the same bits: every operation on all pairs of special values")
	}
	pairs, err := builtinPairs(t.dtypes)
	if err != nil {
		return err
	}
	done, err := t.pairs(ctx, pairs, begin)
	if err != nil {
		return err
	}
	of := ""
	if done < len(pairs) {
		of = fmt.Sprintf(" of %d (the time limit was reached)", len(pairs))
	}
	var types []string
	for _, d := range t.dtypes {
		types = append(types, batch.DTypeName(d))
	}
	fmt.Fprintf(t.out, "programs    the same bits: %d%s built-in problem x method programs in %s, %d samples each\n", done, of, strings.Join(types, " and "), selftestSamples)
	for _, p := range pairs {
		if p.model.Problem().Name == "rosenbrock" && p.spec.Method.Name == "newton" {
			if err := p.compare(ctx, t.engine, selftestMany, 0, 3); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "refilling   the same bits: %s, %d samples\n", p, selftestMany)
		}
	}
	fmt.Fprintf(t.out, "passed in %.1f s\n", time.Since(begin).Seconds())
	return nil
}

// pairs compares the pairs on all processors, for a driver compiles a kernel on one, and says how many it reached.
func (t *selftest) pairs(ctx context.Context, pairs []pair, begin time.Time) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	line := newBar(t.notes, t.quiet)
	var show sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil && time.Since(begin) < t.limit {
				i := int(next.Add(1)) - 1
				if i >= len(pairs) {
					return
				}
				rows := 0
				if i%7 == 0 {
					rows = selftestRows
				}
				if err := pairs[i].compare(ctx, t.engine, selftestSamples, rows, uint64(i)); err != nil {
					cancel(err)
					return
				}
				show.Lock()
				line.count(int(done.Add(1)), len(pairs), pairs[i].String())
				show.Unlock()
			}
		})
	}
	wg.Wait()
	line.clear()
	return int(done.Load()), context.Cause(ctx)
}

// compare runs n samples on both engines, with a trace of the first rows iterates, and says where they differ first.
func (p pair) compare(ctx context.Context, e program.Engine, n, rows int, seed uint64) error {
	limits := batch.DefaultLimits(len(p.model.Problem().Minima) > 0)
	limits.Iterations = selftestIterations
	prog, err := batch.Compile(p.model, p.spec, batch.Options{Limits: limits, DType: p.dtype})
	if err != nil {
		return err
	}
	in := p.samples(prog, n, seed)
	got, err := outcome(ctx, e, prog, in, rows)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	want, err := outcome(ctx, cpu.Portable{}, prog, in, rows)
	if err != nil {
		return err
	}
	for s := range n {
		where := func(what string, got, want float64) error {
			var at []float64
			for _, c := range in {
				at = append(at, c[s])
			}
			return fmt.Errorf("%s: %s of the sample %s = %v is %v (%#x) on %s, %v (%#x) is right: do not use this engine, and please report this",
				p, what, prog.In, at, got, math.Float64bits(got), e.Name(), want, math.Float64bits(want))
		}
		for k, slot := range prog.Results {
			if !sameBits(got.Out[k][s], want.Out[k][s]) {
				return where(prog.Slots[slot].Name, got.Out[k][s], want.Out[k][s])
			}
		}
		if rows == 0 {
			continue
		}
		if got.Trace.Len[s] != want.Trace.Len[s] {
			return where("number of traced iterates", float64(got.Trace.Len[s]), float64(want.Trace.Len[s]))
		}
		for i, w := range want.Trace.Data[s] {
			if g := got.Trace.Data[s][i]; !sameBits(g, w) {
				return where(fmt.Sprintf("traced number %d", i), g, w)
			}
		}
	}
	return nil
}

// samples are starts in the problem's box and parameters near their defaults, with some that are hard: zeros,
// infinities, numbers that overflow or are subnormal in one type or the other.
func (p pair) samples(prog *program.Program, n int, seed uint64) [][]float64 {
	hard := []float64{0, math.Copysign(0, -1), math.Inf(1), math.NaN(), 1e300, -1e-300, math.SmallestNonzeroFloat64, 3e38, 1e-42}
	r := rand.New(rand.NewPCG(3, seed))
	q := p.model.Problem()
	in := prog.NewBatch(n).In
	for s := range n {
		for i, param := range q.Params {
			in[i][s] = param.Default * math.Exp(r.NormFloat64())
		}
		for i, box := range q.Box {
			in[len(q.Params)+i][s] = box[0] + r.Float64()*(box[1]-box[0])
		}
		if s%16 == 15 {
			in[r.IntN(len(in))][s] = hard[r.IntN(len(hard))]
		}
	}
	return in
}

func outcome(ctx context.Context, e program.Engine, prog *program.Program, in [][]float64, rows int) (*program.Batch, error) {
	exe, err := e.Compile(prog)
	if err != nil {
		return nil, err
	}
	b := prog.NewBatch(len(in[0]))
	b.In = in
	if rows > 0 {
		b.Trace = program.NewTrace(b.N, rows, prog.Results)
	}
	return b, exe.Run(ctx, b)
}

// describe names an engine, and its GPUs where it has some.
func describe(e program.Engine) string {
	name := e.Name()
	if g, ok := e.(interface{ Devices() []kernels.Device }); ok {
		for i, d := range g.Devices() {
			name += fmt.Sprintf("%c %s, compute capability %d.%d", ":;"[min(i, 1)], d.Name, d.Major, d.Minor)
		}
	}
	return name
}

func sameBits(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}
