package main

import (
	"fmt"
	"math"
	"slices"
)

// mustConverge is the part of the samples that must have reached the minimum, of ours as of everybody's.
const mustConverge = 0.99

// check compares a competitor's answers with those of the portable engine on the same samples, and
// says in words how well they agree.
func check(w *work, peer string, got, reference [][]float64) (string, error) {
	for c := range got {
		if len(got[c]) > len(reference[c]) {
			return "", fmt.Errorf("%d answers, the reference has %d", len(got[c]), len(reference[c]))
		}
	}
	if w.fixed() {
		return checkIterates(w, w.strays[peer], got, reference)
	}
	return checkMinima(w, got)
}

// checkBits is for Invar's engines: they give the same bits, all NaNs being one value.
func checkBits(got, reference [][]float64) error {
	for c, name := range []string{"x0", "x1", "loss"} {
		for i, x := range got[c] {
			want := reference[c][i]
			if math.Float64bits(x) != math.Float64bits(want) && !(math.IsNaN(x) && math.IsNaN(want)) {
				return fmt.Errorf("sample %d: %s is %v, the portable engine's %v; the same bits are wanted", i, name, x, want)
			}
		}
	}
	return nil
}

// checkIterates is for a fixed number of iterations: everybody must be at the same point, but for a fraction of the samples that may stray.
func checkIterates(w *work, mayStray float64, got, reference [][]float64) (string, error) {
	worst, strays := 0.0, 0
samples:
	for i := range got[0] {
		for c, name := range []string{"x0", "x1", "loss"} {
			by := max(math.Abs(reference[c][i]), w.floor)
			if c == 2 {
				by = max(reference[c][i], w.floor*w.floor)
			}
			d := math.Abs(got[c][i]-reference[c][i]) / by
			if got[c][i] == reference[c][i] {
				d = 0
			}
			if !(d <= w.tolerance) {
				if strays++; float64(strays) <= mayStray*float64(len(got[0])) {
					continue samples
				}
				return "", fmt.Errorf("sample %d from (%v, %v): %s is %v, ours %v; off by %.2g, allowed is %.0e", i, w.x[0][i], w.x[1][i], name, got[c][i], reference[c][i], d, w.tolerance)
			}
			worst = max(worst, d)
		}
	}
	if strays > 0 {
		return fmt.Sprintf("%.0e; %d of %d elsewhere", worst, strays, len(got[0])), nil
	}
	return fmt.Sprintf("%.0e", worst), nil
}

// checkMinima is for runs to convergence: by its own test everybody must end at the minimum.
func checkMinima(w *work, got [][]float64) (string, error) {
	minima, err := w.model.Problem().EvalMinima(map[string]float64{"alpha": w.alpha})
	if err != nil {
		return "", err
	}
	distance := make([]float64, len(got[0]))
	near := 0
	for i := range distance {
		distance[i] = math.Inf(1)
		for _, m := range minima {
			d := math.Hypot(got[0][i]-m[0], got[1][i]-m[1])
			if d < distance[i] { // never with a NaN
				distance[i] = d
			}
		}
		if distance[i] <= w.tolerance {
			near++
		}
	}
	slices.Sort(distance)
	part := float64(near) / float64(len(distance))
	if !(part >= mustConverge) {
		return "", fmt.Errorf("%d of %d samples are within %.0e of the minimum, at least %g %% are wanted", near, len(distance), w.tolerance, 100*mustConverge)
	}
	return fmt.Sprintf("%.4g %% there, 99 %% within %.0e", 100*part, distance[len(distance)*99/100]), nil
}
