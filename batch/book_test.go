package batch_test

import (
	"encoding/csv"
	"math"
	"os"
	"strconv"
	"testing"

	"invar/batch"
)

// The published iterates of P(x) = [x0, x1^2], L = |y|^2 from (3, 3). Those of gd, newton and pg
// were computed in float32, those of pg-numeric with an inner solver good to about 3e-6. (Thuerey et
// al., Physics-based Deep Learning, "Simple Example comparing Different
// Optimizers".)
func TestBookIterates(t *testing.T) {
	f, err := os.Open("testdata/book_iterates.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, "square")
	paths := map[string]batch.Path{}
	for _, r := range rows[1:] {
		num := func(s string) float64 {
			x, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		spec := r[0] + ":lr=" + r[1]
		p, ok := paths[spec]
		if !ok {
			p = path(t, m, spec, 1, 10, 3, 3)
			paths[spec] = p
		}
		k := int(num(r[2]))
		for i := range 2 {
			want := num(r[3+i])
			tol := 1e-5 * want
			if r[0] == "pg-numeric" {
				tol = 5e-6
			}
			if d := math.Abs(p.X[k][i] - want); !(d <= tol) {
				t.Errorf("%s iteration %d: x%d = %v, published %v", spec, k, i, p.X[k][i], want)
			}
		}
	}
	if len(paths) != 4 {
		t.Errorf("%d methods in the published table, want 4", len(paths))
	}

	analytic, numeric := paths["pg:lr=0.3"], paths["pg-numeric:lr=0.3"]
	var sum float64
	for k := range analytic.X {
		for i := range 2 {
			d := math.Abs(analytic.X[k][i] - numeric.X[k][i])
			sum += d
			if !(d <= 1e-9) {
				t.Errorf("iteration %d: pg-numeric is %g away from pg", k, d)
			}
		}
	}
	if mean := sum / 22; !(mean <= 1e-6) {
		t.Errorf("mean difference of pg and pg-numeric %g, published 1e-6", mean)
	}
	t.Logf("mean difference of pg and pg-numeric over the path: %.3g", sum/22)

	// In y, pg runs straight to the origin: every y is a multiple of the first.
	for k, y := range analytic.Y {
		if d := math.Abs(y[0]*analytic.Y[0][1] - y[1]*analytic.Y[0][0]); !(d <= 1e-14*90) {
			t.Errorf("iteration %d: y = %v is off the line to the origin by %g", k, y, d)
		}
	}

	for _, c := range []struct {
		spec               string
		distance, diagonal float64
	}{
		{"gd:lr=0.01", 2.63, 1.053930},
		{"newton:lr=0.3333333333333333", 0.925, 1.264911},
		{"pg:lr=0.3", 0.51, 1.356443},
	} {
		p := paths[c.spec]
		if d := math.Hypot(p.X[10][0], p.X[10][1]); !(math.Abs(d-c.distance) <= 0.005) {
			t.Errorf("%s: distance after ten steps %v, published %v", c.spec, d, c.distance)
		}
		u0, u1 := p.X[0][0]-p.X[1][0], p.X[0][1]-p.X[1][1]
		if d := (u0 + u1) / math.Hypot(u0, u1); !(math.Abs(d-c.diagonal) <= 1e-6) {
			t.Errorf("%s: first update, normalised, dotted with (1, 1): %v, published %v", c.spec, d, c.diagonal)
		}
	}
	start := paths["gd:lr=0.01"]
	if y := start.Y[0]; y[0] != 3 || y[1] != 9 || start.Loss[0] != 90 {
		t.Errorf("at the start y = %v, L = %v; published (3, 9), 90", y, start.Loss[0])
	}
}
