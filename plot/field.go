package plot

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"

	"invar/batch"
	"invar/cpu"
)

// view is a rectangle in the coordinates of the data.
type view struct{ xmin, xmax, ymin, ymax float64 }

func emptyView() view {
	return view{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)}
}

// add makes the view cover a point; what is not finite is ignored.
func (v *view) add(x, y float64) {
	if finite(x, y) {
		v.xmin, v.xmax = min(v.xmin, x), max(v.xmax, x)
		v.ymin, v.ymax = min(v.ymin, y), max(v.ymax, y)
	}
}

func (v view) contains(x, y float64) bool {
	return x >= v.xmin && x <= v.xmax && y >= v.ymin && y <= v.ymax
}

// grown is larger by a fraction of its size on every side; a view without width gets some.
func (v view) grown(by float64) view {
	grow := func(lo, hi float64) (float64, float64) {
		if !(lo <= hi) {
			return -1, 1
		}
		d := hi/2 - lo/2
		// Below this the axis could not label two different numbers.
		if least := 1e-9 * math.Max(math.Abs(lo), math.Abs(hi)); !(d > least) {
			d = math.Max(0.5*math.Abs(lo), 1e-300)
			if lo == 0 && hi == 0 {
				d = 1
			}
			return lo - d, hi + d
		}
		return max(lo-2*d*by, -math.MaxFloat64/8), min(hi+2*d*by, math.MaxFloat64/8)
	}
	v.xmin, v.xmax = grow(v.xmin, v.xmax)
	v.ymin, v.ymax = grow(v.ymin, v.ymax)
	return v
}

// frame is a view of what matters, base, and of as much of the rest as lies near it: a path that
// runs away must not shrink all others to a dot.
func frame(base view, rest [][2]float64) view {
	v := base.grown(0)
	near := v.grown(0.5)
	for _, p := range rest {
		if near.contains(p[0], p[1]) {
			v.add(p[0], p[1])
		}
	}
	return v.grown(0.04)
}

// field is the loss over a view.
type field struct {
	view
	n       int // points on each side
	z       []float64
	levels  []float64 // of z, ascending
	caption string    // which levels
}

// fieldPoints is the resolution of a field.
const fieldPoints = 121

// at is grid position (i, j) in the coordinates of the data.
func (f *field) at(i, j float64) (x, y float64) {
	s, t := i/float64(f.n-1), j/float64(f.n-1)
	return f.xmin*(1-s) + f.xmax*s, f.ymin*(1-t) + f.ymax*t
}

// newField evaluates loss at the points of a grid. Levels are spaced evenly in log L where L is
// nowhere negative, else in L.
func newField(v view, loss func(points [][2]float64) ([]float64, error)) (*field, error) {
	f := &field{view: v, n: fieldPoints}
	pts := make([][2]float64, 0, f.n*f.n)
	for j := range f.n {
		for i := range f.n {
			x, y := f.at(float64(i), float64(j))
			pts = append(pts, [2]float64{x, y})
		}
	}
	z, err := loss(pts)
	if err != nil {
		return nil, err
	}
	f.z, f.levels, f.caption = levels(z)
	return f, nil
}

// levels scales losses for contours and chooses up to about ten levels.
func levels(z []float64) (scaled, at []float64, caption string) {
	var sorted []float64
	negative := false
	for _, l := range z {
		if finite(l) {
			sorted = append(sorted, l)
			negative = negative || l < 0
		}
	}
	slices.Sort(sorted)
	if len(sorted) == 0 {
		return z, nil, "L is finite nowhere here"
	}
	scaled = make([]float64, len(z))
	top := sorted[len(sorted)-1]
	if negative {
		copy(scaled, z)
		low := sorted[0]
		step := niceStep(top/10 - low/10)
		for k := math.Ceil(low / step); k*step < top && len(at) < 20; k++ {
			at = append(at, k*step)
		}
		if len(at) < 2 {
			return scaled, at, "L is nearly constant here"
		}
		return scaled, at, fmt.Sprintf("contours of L: %s apart, %s to %s", brief(step), brief(at[0]), brief(at[len(at)-1]))
	}
	for i, l := range z {
		scaled[i] = math.Log10(l) // -Inf where L = 0: below every level
	}
	// The lowest of the levels: a few points at the bottom of a valley must not use them all up.
	low := sorted[len(sorted)/100]
	if low == 0 {
		low = top * 1e-12
	}
	if !(top > low*1.01) || !finite(math.Log10(low)) {
		return scaled, nil, "L is nearly constant here"
	}
	decades := math.Log10(top) - math.Log10(low)
	step := 0.125
	for decades/step > 10 {
		step *= 2
	}
	for k := math.Ceil(math.Log10(low) / step); k*step < math.Log10(top); k++ {
		at = append(at, k*step)
	}
	if len(at) < 2 {
		return scaled, at, "L is nearly constant here"
	}
	return scaled, at, fmt.Sprintf("contours of L: a factor %s apart, %s to %s", brief(math.Pow(10, step)), brief(math.Pow(10, at[0])), brief(math.Pow(10, at[len(at)-1])))
}

// niceStep is 1, 2 or 5 times a power of ten, at least x.
func niceStep(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*p >= x*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// Colours of the field: from white, where the loss is low, to grey, so that coloured paths stand out.
var (
	fieldLow    = color.RGBA{255, 255, 255, 255}
	fieldHigh   = color.RGBA{190, 196, 204, 255}
	fieldNone   = color.RGBA{150, 155, 163, 255} // the loss is not finite
	contourLine = color.RGBA{140, 147, 157, 255}
)

// bands is the field as a picture: one grey between two levels.
func (f *field) bands(size int) image.Image {
	pal := color.Palette{fieldNone}
	for k := 0; k <= len(f.levels); k++ {
		t := 0.0
		if len(f.levels) > 0 {
			t = float64(k) / float64(len(f.levels))
		}
		mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-t) + float64(b)*t)) }
		pal = append(pal, color.RGBA{mix(fieldLow.R, fieldHigh.R), mix(fieldLow.G, fieldHigh.G), mix(fieldLow.B, fieldHigh.B), 255})
	}
	img := image.NewPaletted(image.Rect(0, 0, size, size), pal)
	for py := range size {
		for px := range size {
			u := (float64(px) + 0.5) / float64(size) * float64(f.n-1)
			v := (1 - (float64(py)+0.5)/float64(size)) * float64(f.n-1)
			i, j := min(int(u), f.n-2), min(int(v), f.n-2)
			s, t := u-float64(i), v-float64(j)
			z := f.bilinear(i, j, s, t)
			if math.IsNaN(z) || math.IsInf(z, 1) {
				continue
			}
			band, _ := slices.BinarySearch(f.levels, z)
			img.SetColorIndex(px, py, uint8(1+band))
		}
	}
	return img
}

// bilinear interpolates in the cell whose lower left corner is (i, j).
func (f *field) bilinear(i, j int, s, t float64) float64 {
	z := func(i, j int) float64 { return f.low(f.z[j*f.n+i]) }
	return (z(i, j)*(1-s)+z(i+1, j)*s)*(1-t) + (z(i, j+1)*(1-s)+z(i+1, j+1)*s)*t
}

// low replaces minus infinity, the logarithm of a loss of 0, by a number one step below all levels.
func (f *field) low(z float64) float64 {
	if math.IsInf(z, -1) {
		if len(f.levels) > 1 {
			return 2*f.levels[0] - f.levels[1]
		}
		return -320
	}
	return z
}

// contours are the polylines of all levels, by marching squares (Lorensen, Cline, SIGGRAPH 1987, in
// two dimensions). A cell with a corner that is not finite has none.
func (f *field) contours() [][][2]float64 {
	var all [][][2]float64
	for _, level := range f.levels {
		all = append(all, f.contour(level)...)
	}
	return all
}

func (f *field) contour(level float64) [][][2]float64 {
	n := f.n
	// An edge of the grid that the contour crosses has a number, and with it a place.
	place := map[int][2]float64{}
	crossing := func(i, j, side int) int { // side 0: from (i, j) to (i+1, j); 1: to (i, j+1)
		id := 2*(j*n+i) + side
		if _, ok := place[id]; !ok {
			a, b := f.low(f.z[j*n+i]), 0.0
			if side == 0 {
				b = f.low(f.z[j*n+i+1])
			} else {
				b = f.low(f.z[(j+1)*n+i])
			}
			t := (level - a) / (b - a)
			u, v := float64(i), float64(j)
			if side == 0 {
				u += t
			} else {
				v += t
			}
			x, y := f.at(u, v)
			place[id] = [2]float64{x, y}
		}
		return id
	}
	next := map[int][]int{} // neighbours along the contour
	var order []int
	join := func(a, b int) {
		for _, p := range [][2]int{{a, b}, {b, a}} {
			if len(next[p[0]]) == 0 {
				order = append(order, p[0])
			}
			next[p[0]] = append(next[p[0]], p[1])
		}
	}
	for j := 0; j+1 < n; j++ {
		for i := 0; i+1 < n; i++ {
			corner := [4]float64{f.low(f.z[j*n+i]), f.low(f.z[j*n+i+1]), f.low(f.z[(j+1)*n+i+1]), f.low(f.z[(j+1)*n+i])}
			if !finite(corner[:]...) {
				continue
			}
			edge := [4]func() int{
				func() int { return crossing(i, j, 0) }, func() int { return crossing(i+1, j, 1) },
				func() int { return crossing(i, j+1, 0) }, func() int { return crossing(i, j, 1) }}
			var cut []int
			for k := range 4 {
				if (corner[k] > level) != (corner[(k+1)%4] > level) {
					cut = append(cut, k)
				}
			}
			switch len(cut) {
			case 2:
				join(edge[cut[0]](), edge[cut[1]]())
			case 4: // a saddle: the mean says which corners belong together
				high := (corner[0]+corner[1]+corner[2]+corner[3])/4 > level
				if high == (corner[0] > level) {
					join(edge[0](), edge[1]())
					join(edge[2](), edge[3]())
				} else {
					join(edge[3](), edge[0]())
					join(edge[1](), edge[2]())
				}
			}
		}
	}
	var lines [][][2]float64
	seen := map[int]bool{}
	follow := func(from int) {
		line := [][2]float64{place[from]}
		seen[from] = true
		at, closed := from, false
		for {
			step := -1
			for _, k := range next[at] {
				if !seen[k] {
					step = k
					break
				}
				closed = closed || k == from && len(line) > 2
			}
			if step < 0 {
				break
			}
			seen[step] = true
			line = append(line, place[step])
			at = step
		}
		if closed {
			line = append(line, place[from])
		}
		lines = append(lines, line)
	}
	for _, k := range order { // open lines, from an end
		if len(next[k]) == 1 && !seen[k] {
			follow(k)
		}
	}
	for _, k := range order { // then the loops
		if !seen[k] {
			follow(k)
		}
	}
	return lines
}

// lossAt computes the loss at many points x, by the program that the methods use, one evaluation each.
func (s *study) lossAt(point int, xs [][]float64) ([]float64, error) {
	gd, err := batch.Lookup("gd")
	if err != nil {
		return nil, err
	}
	var grid batch.Grid
	for i, q := range s.Sweep.Model.Problem().Params {
		grid = append(grid, batch.Axis{Name: q.Name, Values: []float64{s.params[point][i]}})
	}
	loss := make([]float64, len(xs))
	sw := &batch.Sweep{Model: s.Sweep.Model, Grid: grid, Starts: batch.Points(xs), Methods: []batch.Spec{{Method: gd}}, Engine: &cpu.Portable{},
		Sink: func(c *batch.Chunk) error {
			copy(loss[c.First:], c.Batch.Out[batch.Column(c.Program, "loss")])
			return nil
		}}
	_, err = sw.Run(context.Background())
	return loss, err
}

// lossX is L(P(x)) over the first two inputs, the others as in rest.
func (s *study) lossX(point int, rest []float64) func([][2]float64) ([]float64, error) {
	return func(pts [][2]float64) ([]float64, error) {
		xs := make([][]float64, len(pts))
		for k, p := range pts {
			xs[k] = append([]float64(nil), rest...)
			copy(xs[k], p[:])
		}
		return s.lossAt(point, xs)
	}
}

// lossY is L over the first two outputs, the others as in rest.
func (s *study) lossY(point int, rest []float64) func([][2]float64) ([]float64, error) {
	return func(pts [][2]float64) ([]float64, error) {
		p := s.Sweep.Model.Problem()
		env := s.byName(point)
		for i, t := range p.Target {
			v, err := t.Eval(s.byName(point))
			if err != nil {
				return nil, err
			}
			env[fmt.Sprintf("t%d", i)] = v
		}
		for i, y := range rest {
			env[fmt.Sprintf("y%d", i)] = y
		}
		loss := make([]float64, len(pts))
		for k, pt := range pts {
			for i := range min(2, len(rest)) {
				env[fmt.Sprintf("y%d", i)] = pt[i]
			}
			var err error
			if loss[k], err = p.Loss.Eval(env); err != nil {
				return nil, err
			}
		}
		return loss, nil
	}
}

// brief prints a number with two digits, or three below a thousand.
func brief(x float64) string {
	switch a := math.Abs(x); {
	case a >= 1000 && a < 1e5:
		return strconv.FormatFloat(math.Round(x/10)*10, 'f', 0, 64)
	case a >= 0.001 && a < 1000:
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return tidyExponent(strconv.FormatFloat(x, 'g', 2, 64))
}
