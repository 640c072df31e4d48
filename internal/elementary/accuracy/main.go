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
	"invar/program"
)

// result is the largest error found on one range, and that of the function of float32s.
type result struct {
	bigref.Range
	points int
	ulps   float64
	at     []float64
	ulps32 float64
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
	f, f32 := elementary.Func(r.Func, program.F64), elementary.Func(r.Func, program.F32)
	r.ulps = -1
	r.Each(n, 1, func(x []float64) {
		r.points++
		if u := bigref.Ulps(f.EvalF64(x...)[0], bigref.Of(r.Func, x...)); u > r.ulps {
			r.ulps, r.at = u, x
		}
		x, ok := bigref.Round32(r.Func, x)
		if !ok {
			return
		}
		r.ulps32 = max(r.ulps32, bigref.Ulps32(float32(f32.EvalF64(x...)[0]), bigref.Of(r.Func, x...)))
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

With --dtype float32 a function is computed in float64 and rounded to float32. The last column has its largest error in
units of the last place of a float32, at the same points rounded to float32; the limit is half a unit and 2^-26.

| function | operations | limit | largest error | at | largest error in float32 |
|---|---|---|---|---|---|
`

func write(results []*result) {
	fmt.Print(preamble)
	worst, worst32 := map[string]*result{}, map[string]float64{}
	var order []string
	for _, r := range results {
		w := worst[r.Func]
		if w == nil {
			order = append(order, r.Func)
		}
		if w == nil || r.ulps > w.ulps {
			worst[r.Func] = r
		}
		worst32[r.Func] = max(worst32[r.Func], r.ulps32)
	}
	for _, f := range order {
		w := worst[f]
		fmt.Printf("| %s | %d | %g | %.3f | %s | %.8f |\n", f, elementary.Operations(elementary.Func(f, program.F64)), bigref.Limit(f), w.ulps, list(w.at), worst32[f])
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
		if !(r.ulps32 <= bigref.Limit32) {
			fmt.Fprintf(os.Stderr, "accuracy: %s on %s: %.9f ulp in float32, the limit is %.9f\n", r.Func, r.Name, r.ulps32, bigref.Limit32)
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
