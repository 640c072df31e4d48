// Accuracy measures the errors of package elementary against arbitrary precision
// and writes docs/accuracy.md to its standard output.
//
//	go run ./internal/elementary/accuracy > docs/accuracy.md
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"

	"invar/internal/elementary"
	"invar/internal/elementary/bigref"
)

// result is the largest error found on one range.
type result struct {
	bigref.Range
	points int
	ulps   float64
	at     []float64
}

func main() {
	n := flag.Int("n", 30000, "random points a range")
	only := flag.String("f", "", "only this function")
	flag.Parse()

	var results []*result
	for _, g := range bigref.Ranges() {
		if *only == "" || *only == g.Func {
			results = append(results, &result{Range: g})
		}
	}
	if len(results) == 0 {
		fmt.Fprintf(os.Stderr, "accuracy: -f %s: there is no such function\n", *only)
		os.Exit(2)
	}
	var wg sync.WaitGroup
	work := make(chan *result)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for r := range work {
				r.measure(*n)
			}
		})
	}
	for _, r := range results {
		work <- r
	}
	close(work)
	wg.Wait()
	write(results)
}

func (r *result) measure(n int) {
	f := elementary.Func(r.Func)
	r.ulps = -1
	r.Each(n, 1, func(x []float64) {
		r.points++
		if u := bigref.Ulps(f.EvalF64(x...)[0], bigref.Of(r.Func, x...)); u > r.ulps {
			r.ulps, r.at = u, x
		}
	})
}

const preamble = `# Accuracy of the elementary functions

The largest errors found, in units of the last place (ulp) of the exact result,
against an arbitrary-precision reference (math/big, 320 bits; pi to 1664 bits).
Every engine computes the same bits, so the table holds for all of them. This
page is written by

    go run ./internal/elementary/accuracy > docs/accuracy.md

A correctly rounded result has an error of at most 0.5. Random points are
uniform in intervals; "all exponents" draws the bits of the double uniformly, so
that subnormal and huge numbers have their share. These are maxima over the
points tried, not proofs.

| function | operations | limit | largest error | at |
|---|---|---|---|---|
`

func write(results []*result) {
	fmt.Print(preamble)
	worst := map[string]*result{}
	var order []string
	for _, r := range results {
		w := worst[r.Func]
		if w == nil {
			order = append(order, r.Func)
		}
		if w == nil || r.ulps > w.ulps {
			worst[r.Func] = r
		}
	}
	for _, f := range order {
		w := worst[f]
		fmt.Printf("| %s | %d | %g | %.3f | %s |\n", f, elementary.Operations(elementary.Func(f)), bigref.Limit(f), w.ulps, list(w.at))
	}
	fmt.Print("\nOperations are those of the function alone outside of guarded blocks; bit casts,\nconstants and negations count as free. In full:\n\n| function | range | points | largest error | at |\n|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Printf("| %s | %s | %d | %.3f | %s |\n", r.Func, strings.ReplaceAll(r.Name, "|", "\\|"), r.points, r.ulps, list(r.at))
	}
	for _, r := range results {
		if !(r.ulps <= bigref.Limit(r.Func)) || math.IsNaN(r.ulps) {
			fmt.Fprintf(os.Stderr, "accuracy: %s on %s: %.3f ulp at %s, the limit is %g\n", r.Func, r.Name, r.ulps, list(r.at), bigref.Limit(r.Func))
			defer os.Exit(1)
		}
	}
}

func list(x []float64) string {
	s := make([]string, len(x))
	for i, v := range x {
		s[i] = fmt.Sprintf("%x", v)
	}
	return strings.Join(s, ", ")
}
