package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"invar/batch"
	"invar/cpu"
	"invar/kernels"
	"invar/program"
)

// A benchmark of a GPU: the same items and competitors' checks, with the GPU as the engine under test, next to this machine's
// processor, JAX on the same card, and the time that the arithmetic alone takes at the card's measured rate.

// gpuScale is how many times the samples of an item a GPU gets.
const gpuScale = 4

// gpuPeers lists who runs beside the GPU.
func gpuPeers() []peerRow {
	return []peerRow{
		{"native", "Invar's native engine on this machine's processor, all threads", nil, false,
			func(*config, int) competitor { return &ours{engine: cpu.Native{}} }},
		{"jax", "JAX jit+vmap on the GPU, a sample's x a vector of two", fixedItems, false, pythonOnGPU("vector")},
		{"jax-scalars", "JAX jit+vmap on the GPU, a sample's x written as two scalars", fixedItems, false, pythonOnGPU("scalars")},
	}
}

// gpuPython is the interpreter that GPU_PYTHON names, python3 without it, for a machine without a network cannot install one.
func gpuPython() string {
	if python := os.Getenv("GPU_PYTHON"); python != "" {
		return python
	}
	return "python3"
}

// pythonOnGPU runs the JAX peer.
func pythonOnGPU(variant string) func(*config, int) competitor {
	return func(*config, int) competitor {
		return &child{command: []string{gpuPython(), filepath.Join("bench", "peers", "jax_peer.py"), variant, "cuda"}, threads: allThreads()}
	}
}

// gpuBenchmark measures GPU number c.gpu and writes bench/GPU.md, or what --out says.
func (c *config) gpuBenchmark(f *pflag.FlagSet) error {
	e, err := kernels.New(c.gpu)
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Check(); err != nil {
		return err
	}
	if !f.Changed("out") {
		c.out = "bench/GPU.md"
	}
	c.device = e
	c.threads = []int{1} // one row a competitor
	if err := c.check(); err != nil {
		return err
	}
	r := &findings{began: load()}
	limits := map[string]limit{}
	for _, it := range items {
		if len(c.only) > 0 && !slices.Contains(c.only, it.name) {
			continue
		}
		rate, err := fmaRate(e, c.size(it))
		if err != nil {
			return err
		}
		o, err := c.hold(it, r)
		if err != nil {
			return err
		}
		if us := o.find(engineUnderTest, 1); us != nil {
			limits[it.name] = limit{rate: rate, operations: us.c.(*ours).operations}
		}
	}
	r.ended = load()
	if err := c.writeGPU(r, limits); err != nil {
		return err
	}
	c.logf("wrote %s", c.out)
	return r.complete()
}

// limit is the least that an item's arithmetic takes.
type limit struct {
	rate       float64 // FMAs a second, measured
	operations float64 // a sample
}

func (l limit) nsPerSample() float64 { return l.operations / l.rate * 1e9 }

func (c *config) writeGPU(r *findings, limits map[string]limit) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Benchmark results on a GPU\n")
	p("Written by `%s` on %s. In each of %d rounds everybody does the work once, one after the other; answers were", c.commandLine, time.Now().UTC().Format("2006-01-02"), c.repeats)
	p("checked before. Times are medians over the rounds, ratios medians of the ratios within a round. Invar's time on the GPU holds the")
	p("copies of starts and results between host and device; JAX's holds neither. Loading and compiling is in nobody's.\n")
	p("The limit is the time of the float64 arithmetic alone: the operations of a step that every sample needs (a division counting as one), times the steps that the")
	p("samples made, at the rate at which this GPU runs a program of independent fused multiply-adds through the same engine.\n")
	if c.quick || c.samples > 0 {
		p("**This was a run with small samples: it shows that everything works, and its times say nothing about a GPU.**\n")
	}
	for _, m := range r.missing {
		p("**Missing: %s**\n", m)
	}
	d := c.device.Devices()[0]
	p("| | |\n|---|---|")
	p("| GPU | %s, compute capability %d.%d, %d MiB |", d.Name, d.Major, d.Minor, d.Memory>>20)
	p("| driver | %s |", firstLine("nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"))
	for _, row := range machine(gpuPython()) {
		p("| %s | %s |", row[0], row[1])
	}
	p("| load average (1, 5, 15 minutes) | %s at the start, %s at the end |\n", r.began, r.ended)
	for _, o := range r.outcomes {
		p("## %s: %s\n", o.item.name, o.item.doc)
		p("`%s` on `%s`.\n", o.item.method, o.item.problem)
		p("| competitor | samples | ns a sample | samples/s | time / ours | answers differ by |\n|---|---|---|---|---|---|")
		us := o.find(engineUnderTest, 1)
		for _, e := range o.entries {
			if e.failed != nil {
				p("| %s | %d | missing | | | |", e.peer, e.samples)
				continue
			}
			times := ""
			if us != nil {
				times = number(ratio(e, us))
			}
			ns := e.nsPerSample()
			p("| %s | %d | %s | %.3g | %s | %s |", e.peer, e.samples, number(ns), 1e9/ns, times, e.agrees)
		}
		if l, ok := limits[o.item.name]; ok && us != nil && len(us.seconds) > 0 {
			ns := l.nsPerSample()
			p("| limit: %.0f operations at %.3g a second | | %s | %.3g | %s | |", l.operations, l.rate, number(ns), 1e9/ns, number(ns/us.nsPerSample()))
		}
		p("")
	}
	return os.WriteFile(c.out, []byte(b.String()), 0o644)
}

// Shape of the program that measures the rate of multiply-adds: steps of so many trips of a loop over so many chains.
const (
	fmaChains = 16
	fmaTrips  = 64
)

// fmaRate is the number of fused multiply-adds a second that e does on n samples, the best of three runs. The number of steps grows until a run
// takes long beside the copies.
func fmaRate(e program.Engine, n int) (float64, error) {
	best := 0.0
	for steps := 1; ; steps *= 4 {
		exe, err := e.Compile(fmaProgram(steps))
		if err != nil {
			return 0, err
		}
		var seconds float64
		for range 3 {
			b := fmaProgram(steps).NewBatch(n)
			begin := time.Now()
			if err := exe.Run(context.Background(), b); err != nil {
				return 0, err
			}
			seconds = time.Since(begin).Seconds()
			best = max(best, float64(n)*float64(steps)*fmaTrips*fmaChains/seconds)
		}
		if seconds > 0.2 {
			return best, nil
		}
	}
}

// fmaProgram makes so many steps of multiply-adds that depend on nothing but the last of their own chain.
func fmaProgram(steps int) *program.Program {
	p := &program.Program{Name: "multiply-adds", In: []string{"x"}, Iteration: 1, Results: []int{2}}
	p.Slots = []program.Slot{{Name: "status", Type: program.I64}, {Name: "iteration", Type: program.I64}}
	setup, step := program.NewBuilder("setup"), program.NewBuilder("step")
	x := setup.Input("x", program.F64)
	state := []program.Value{setup.I(0), setup.I(0)}
	_ = step.Input("status", program.I64)
	count := step.IAdd(step.Input("iteration", program.I64), step.I(1))
	var chains []program.Value
	for i := range fmaChains {
		name := fmt.Sprintf("c%d", i)
		p.Slots = append(p.Slots, program.Slot{Name: name, Type: program.F64})
		state = append(state, setup.Add(x, setup.F(float64(i))))
		chains = append(chains, step.Input(name, program.F64))
	}
	chains = step.Loop(program.At(0), program.At(fmaTrips), chains, func(_ program.Affine, c []program.Value) []program.Value {
		next := make([]program.Value, len(c))
		for i := range c {
			next[i] = step.FMA(c[i], step.F(0.999), step.F(0.001))
		}
		return next
	})
	done := step.Select(step.ILt(count, step.I(int64(steps))), step.I(0), step.I(1))
	p.Setup, p.Step = setup.Finish(state...), step.Finish(append([]program.Value{done, count}, chains...)...)
	return p
}

// arithmetic counts the float64 operations of a step that run on every call: not those in blocks that may be skipped.
func arithmetic(f *program.Func) float64 {
	return f.Count(false, func(op program.Op) bool {
		switch op {
		case program.OpAdd, program.OpSub, program.OpMul, program.OpDiv, program.OpSqrt, program.OpFMA,
			program.OpRound, program.OpFloor, program.OpTrunc, program.OpLt, program.OpLe, program.OpEq:
			return true
		}
		return false
	})
}

// stepsOf is how many steps the samples of a batch made, each an evaluation of the problem.
func stepsOf(p *program.Program, b *program.Batch) (sum float64) {
	for _, n := range b.Out[batch.Column(p, "evaluations")] {
		sum += n
	}
	return sum
}
