package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// entry is a competitor in the contest for one item, and what came of it.
type entry struct {
	peer    string // row of the peers' table
	threads int
	c       competitor

	samples int
	about   string
	agrees  string    // how its answers compare
	failed  error     // it could not be run, or its answers are wrong
	seconds []float64 // of each round
}

// nsPerSample is the median time of a sample.
func (e *entry) nsPerSample() float64 { return median(e.seconds) * 1e9 / float64(e.samples) }

// outcome is an item's contest.
type outcome struct {
	item    *item
	samples int
	entries []*entry
}

// find is the entry of a peer with so many threads, nil if it has none or failed.
func (o *outcome) find(peer string, threads int) *entry {
	for _, e := range o.entries {
		if e.peer == peer && e.threads == threads && e.failed == nil {
			return e
		}
	}
	return nil
}

// ratio is the median over the rounds of a's time a sample divided by b's in the same round: what
// slows the whole machine for a while cancels.
func ratio(a, b *entry) float64 {
	var r []float64
	for i := range a.seconds {
		r = append(r, a.seconds[i]/float64(a.samples)/(b.seconds[i]/float64(b.samples)))
	}
	return median(r)
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// contest lets everybody do an item's work: load, check, then rounds in which each runs once.
func (c *config) contest(it *item) (*outcome, error) {
	n := c.size(it)
	dir, err := os.MkdirTemp("", "invar-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w, err := prepare(it, n, dir)
	if err != nil {
		return nil, err
	}
	reference := &ours{}
	if reference.engine, err = newEngine("portable", 0); err != nil {
		return nil, err
	}
	if err := reference.load(w, n); err != nil {
		return nil, err
	}
	answers, _ := reference.results()

	o := &outcome{item: it, samples: n}
	if o.entries, err = c.entries(it); err != nil {
		return nil, err
	}
	defer func() {
		for _, e := range o.entries {
			e.c.close()
		}
	}()
	for _, e := range o.entries {
		e.samples = n
		if c.device == nil {
			e.samples = it.count(e.peer, n, n)
		}
		begin := time.Now()
		if why, ok := c.absent[e.peer]; ok {
			e.failed = errors.New(why) // what an earlier installation left does not count
		} else {
			e.failed = e.enter(w, answers)
		}
		e.about = e.c.version()
		note := e.agrees
		if e.failed != nil {
			note = e.failed.Error()
			e.c.close()
		}
		c.logf("%s: %s, %d threads, %d samples, loaded in %.1f s: %s", it.name, e.peer, e.threads, e.samples, time.Since(begin).Seconds(), note)
	}
	for round := range c.repeats {
		for k := range o.entries {
			e := o.entries[(k+round)%len(o.entries)] // nobody is always after the same neighbour
			if e.failed != nil {
				continue
			}
			s, err := e.c.run()
			if err != nil {
				e.failed = err
				continue
			}
			e.seconds = append(e.seconds, s)
		}
	}
	return o, nil
}

// enter loads a competitor and checks its answers.
func (e *entry) enter(w *work, reference [][]float64) error {
	if err := e.c.load(w, e.samples); err != nil {
		return err
	}
	got, err := e.c.results()
	if err != nil {
		return err
	}
	if e.agrees, err = check(w, e.peer, got, reference); err != nil {
		return fmt.Errorf("wrong answer: %w", err)
	}
	if _, ok := e.c.(*ours); ok {
		if err := checkBits(got, reference); err != nil {
			return fmt.Errorf("wrong answer: %w", err)
		}
		e.agrees += ", the same bits"
	}
	return nil
}

// peerRow says which items a peer does and how.
type peerRow struct {
	name, doc string
	items     []string // nil: all
	parallel  bool     // it can use several threads
	make      func(c *config, threads int) competitor
}

var fixedItems = []string{"gd", "newton", "pg", "gn", "gn-rosenbrock", "pendulum"}

// peers lists everybody but the engine under test, which comes first.
var peers = []peerRow{
	{"portable", "Invar's portable engine, plain Go", nil, true,
		func(c *config, t int) competitor { e, _ := newEngine("portable", t); return &ours{engine: e} }},
	{"climit", "C by hand with AVX-512 intrinsics, several vectors interleaved, the same results and tests a sample: the limit", fixedItems, true,
		func(c *config, t int) competitor { return &child{command: []string{climit}, threads: t} }},
	{"jax", "JAX jit+vmap, a sample's x a vector of two", fixedItems, true, python("jax_peer.py", "vector")},
	{"jax-scalars", "JAX jit+vmap, a sample's x written as two scalars, which XLA fuses far better", fixedItems, true, python("jax_peer.py", "scalars")},
	{"optimistix", "optimistix under jit+vmap", []string{"lm", "bfgs"}, true, python("optimistix_peer.py")},
	{"gorgonia", "Gorgonia's tape machine, 1024 samples at a time; it has one thread", nil, false,
		func(c *config, t int) competitor { return &tape{} }},
	{"gonum", "gonum/optimize, called once a sample, with derivatives written by hand", []string{"gd", "newton", "bfgs"}, true,
		func(c *config, t int) competitor { return &loop{threads: t} }},
	{"scipy", "SciPy (MINPACK's lm, BFGS), called once a sample, with derivatives written by hand", []string{"lm", "bfgs"}, false, python("scipy_peer.py")},
}

// rows are the competitors of this benchmark.
func (c *config) rows() []peerRow {
	if c.device != nil {
		return gpuPeers()
	}
	return peers
}

// Where the helpers of the benchmark are, from the top of the tree.
const (
	venv   = "bin/bench-venv"
	climit = "bin/climit"
)

func python(script string, args ...string) func(*config, int) competitor {
	return func(c *config, threads int) competitor {
		exe, err := filepath.Abs(filepath.Join(venv, "bin", "python"))
		if err != nil {
			exe = "python3"
		}
		return &child{command: append([]string{exe, filepath.Join("bench", "peers", script)}, args...), threads: threads}
	}
}

// entries are the competitors for an item: the engine under test first.
func (c *config) entries(it *item) ([]*entry, error) {
	var all []*entry
	for _, t := range c.threads {
		if c.device != nil {
			all = append(all, &entry{peer: engineUnderTest, threads: t, c: &ours{engine: c.device}})
			continue
		}
		e, err := newEngine(c.engine, t)
		if err != nil {
			return nil, err
		}
		all = append(all, &entry{peer: engineUnderTest, threads: t, c: &ours{engine: e}})
	}
	for _, p := range c.rows() {
		if p.items != nil && !slices.Contains(p.items, it.name) || len(c.peers) > 0 && !slices.Contains(c.peers, p.name) {
			continue
		}
		if p.name == "portable" && !c.native {
			continue // it is the engine under test
		}
		for _, t := range c.threads {
			if t == 1 || p.parallel {
				all = append(all, &entry{peer: p.name, threads: t, c: p.make(c, t)})
			}
		}
	}
	return all, nil
}

// engineUnderTest is the row of the engine that --engine chose.
const engineUnderTest = "invar"
