package batch_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"invar/batch"
	"invar/cpu"
	"invar/program"
)

// direction is the search direction at the k-th iterate of a path, from its
// definition; nil where rounding makes it a matter of luck.
type direction func(path []point, k int) []float64

func newtonDirection(path []point, k int) []float64 {
	H := mat.NewSymDense(len(path[k].x), path[k].H.RawMatrix().Data)
	var e mat.EigenSym
	if !e.Factorize(H, true) {
		panic("no eigenvalues")
	}
	var V mat.Dense
	e.VectorsTo(&V)
	values := e.Values(nil)
	c := times(V.T(), path[k].g)
	smallest, largest := math.Inf(1), 0.0
	for i, v := range values {
		c[i] /= -math.Abs(v)
		smallest, largest = math.Min(smallest, math.Abs(v)), math.Max(largest, math.Abs(v))
	}
	if !(smallest > 1e-8*largest) {
		return nil
	}
	return times(&V, c)
}

// bfgsMatrix updates an approximation of the inverse Hessian, as it is written in books.
func bfgsMatrix(B *mat.Dense, s, y []float64) *mat.Dense {
	n := len(s)
	rho := 1 / floats.Dot(s, y)
	var left, next mat.Dense
	left.Outer(-rho, mat.NewVecDense(n, s), mat.NewVecDense(n, y))
	for i := range n {
		left.Set(i, i, left.At(i, i)+1)
	}
	next.Product(&left, B, left.T())
	var add mat.Dense
	add.Outer(rho, mat.NewVecDense(n, s), mat.NewVecDense(n, s))
	next.Add(&next, &add)
	return &next
}

func identity(n int, a float64) *mat.Dense {
	B := mat.NewDense(n, n, nil)
	for i := range n {
		B.Set(i, i, a)
	}
	return B
}

// quasiNewton is the direction of BFGS over the last memory pairs of steps and
// gradient differences, begun with the identity scaled by the newest or the
// oldest of them.
func quasiNewton(memory int, scaleByNewest bool) direction {
	return func(path []point, k int) []float64 {
		n := len(path[0].x)
		first := max(0, k-memory)
		pair := func(j int) (s, y []float64) { return minus(path[j+1].x, path[j].x), minus(path[j+1].g, path[j].g) }
		scale := 1.0
		if k > 0 {
			by := first
			if scaleByNewest {
				by = k - 1
			}
			s, y := pair(by)
			scale = floats.Dot(s, y) / floats.Dot(y, y)
		}
		B := identity(n, scale)
		for j := first; j < k; j++ {
			s, y := pair(j)
			B = bfgsMatrix(B, s, y)
		}
		return scaled(-1, times(B, path[k].g))
	}
}

// Every step of the line-search methods satisfies the strong Wolfe conditions,
// recomputed at its two ends with derivatives by hand, and lies along the method's
// direction. Near the minimum, where differences of the loss are rounding errors,
// the path is no longer judged.
func TestStrongWolfe(t *testing.T) {
	const c1 = 1e-4
	for _, c := range []struct {
		spec      string
		c2        float64
		direction direction
	}{
		{"newton-ls", 0.9, newtonDirection},
		{"newton-ls:c2=0.1", 0.1, newtonDirection},
		{"bfgs", 0.9, quasiNewton(1000, false)},
		{"bfgs:c2=0.1", 0.1, quasiNewton(1000, false)},
		{"lbfgs", 0.9, quasiNewton(5, true)},
		{"lbfgs:memory=1,c2=0.3", 0.3, quasiNewton(1, true)},
	} {
		steps, worst := 0, 0.0
		for _, name := range []string{"rosenbrock", "beale", "himmelblau", "powell", "exponential", "square"} {
			m, d := model(t, name), handDerived(name)
			for _, alpha := range []float64{1, 10} {
				for _, start := range startsIn(m, 6, 3) {
					p := path(t, m, c.spec, alpha, 40, start...)
					var points []point
					for _, x := range p.X {
						points = append(points, d.at(alpha, x))
					}
					for k := 0; k+1 < len(points); k++ {
						a, b := points[k], points[k+1]
						s := minus(b.x, a.x)
						if !(floats.Norm(s, 2) > 1e-5) || !(a.loss-b.loss > 1e-10*a.loss) {
							break
						}
						steps++
						slope, after := floats.Dot(a.g, s), floats.Dot(b.g, s)
						where := fmt.Sprintf("%s on %s, alpha %v, from %v, step %d", c.spec, name, alpha, start, k)
						if !(slope < 0) {
							t.Errorf("%s: the slope is %g, not downhill", where, slope)
						}
						if !(b.loss <= a.loss+c1*slope+1e-12*a.loss) {
							t.Errorf("%s: the loss falls by %g, slope %g", where, a.loss-b.loss, slope)
						}
						if !(math.Abs(after) <= c.c2*math.Abs(slope)*(1+1e-6)) {
							t.Errorf("%s: slope %g after %g", where, after, slope)
						}
						if dir := c.direction(points, k); dir != nil {
							off := floats.Distance(scaled(1/floats.Norm(s, 2), s), scaled(1/floats.Norm(dir, 2), dir), 2)
							worst = math.Max(worst, off)
							if !(off <= 1e-5) {
								t.Errorf("%s: along %v, direction %v", where, s, dir)
							}
						}
					}
				}
			}
		}
		t.Logf("%-22s %4d steps, directions within %.1e", c.spec, steps, worst)
		if steps < 500 {
			t.Errorf("%s: %d steps judged, too few to mean anything", c.spec, steps)
		}
	}
}

// Across a kink no step satisfies the curvature condition: the search then takes
// the best step it found, the loss never rises, and where nothing is gained any
// more the sample ends.
func TestKink(t *testing.T) {
	m := parsed(t, `
name = "kink"
inputs = ["x0", "x1"]
outputs = ["x0 - 0.3*x1", "x1"]
loss = "abs(y0 - alpha) + 0.1*y0^2 + (y1 - 1)^2"
box = [[-3, 3], [-3, 3]]
params = {alpha = 0.1}`)
	stopped := map[batch.Status]int{}
	for _, spec := range []string{"newton-ls", "bfgs", "lbfgs"} {
		for _, start := range startsIn(m, 20, 29) {
			p := path(t, m, spec, 0.1, 30, start...)
			for k := 1; k < len(p.X); k++ {
				if !(p.Loss[k] <= p.Loss[k-1]) {
					t.Errorf("%s from %v: the loss goes from %v to %v in step %d", spec, start, p.Loss[k-1], p.Loss[k], k)
				}
			}
			if y := p.Y[len(p.Y)-1]; !(math.Abs(y[0]-0.1) <= 1e-6) {
				t.Errorf("%s from %v: ends at y = %v, %v, not at the kink", spec, start, y, p.Status)
			}
			stopped[p.Status]++
		}
	}
	if n := stopped[batch.IterationLimit]; n > 0 {
		t.Errorf("%d samples went on without progress: %v", n, stopped)
	}
}

// quadratic is L = 1/2 |A x - b|^2 with a fixed well-conditioned matrix A.
func quadratic(t testing.TB, n int) (text string, H *mat.Dense) {
	A := mat.NewDense(n, n, nil)
	var in, out, target, box []string
	for i := range n {
		row := make([]string, n)
		for j := range n {
			v := float64((3*i+7*j*j+i*j)%11)/11 - 0.5
			if i == j {
				v += 3 + float64(i)
			}
			A.Set(i, j, v)
			row[j] = fmt.Sprintf("(%v)*x%d", v, j)
		}
		in, target, box = append(in, fmt.Sprintf(`"x%d"`, i)), append(target, fmt.Sprint(i%3)), append(box, "[-3, 3]")
		out = append(out, `"`+strings.Join(row, " + ")+`"`)
	}
	return fmt.Sprintf("name = \"quadratic\"\ninputs = [%s]\noutputs = [%s]\ntarget = [%s]\nbox = [%s]\n",
		strings.Join(in, ", "), strings.Join(out, ", "), strings.Join(target, ", "), strings.Join(box, ", ")), gram(A, 1)
}

// With nearly exact line searches, BFGS and L-BFGS of n pairs or more are conjugate
// gradients on a quadratic: they end after n steps, and the matrix is the inverse
// Hessian (Nocedal & Wright, theorem 6.4).
func TestQuadraticTermination(t *testing.T) {
	for _, n := range []int{2, 5, 8} {
		text, H := quadratic(t, n)
		m := parsed(t, text)
		for _, spec := range []string{"bfgs:c2=1e-6", "lbfgs:c2=1e-6,memory=10"} {
			for s, o := range outcomes(t, m, spec, batch.Limits{Iterations: 60, GTol: 1e-7}, nil, startsIn(m, 5, 2)) {
				if o.status != batch.Converged || o.iterations > n+1 {
					t.Errorf("n=%d %s start %d: %v after %d iterations, want n", n, spec, s, o.status, o.iterations)
				}
			}
		}

		prog, err := batch.Compile(m, specs(t, "bfgs:c2=1e-6")[0], batch.Options{Limits: batch.Limits{Iterations: n}})
		if err != nil {
			t.Fatal(err)
		}
		exe, err := (&cpu.Portable{}).Compile(prog)
		if err != nil {
			t.Fatal(err)
		}
		var slots []int
		for i := range n * (n + 1) / 2 {
			slots = append(slots, prog.Slot(fmt.Sprintf("method.B%d", i)))
		}
		b := prog.NewBatch(1)
		for i := range b.In {
			b.In[i][0] = float64(i%3) - 1.5
		}
		b.Trace = program.NewTrace(1, n+1, slots)
		if err := exe.Run(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if b.Trace.Len[0] != n+1 {
			t.Fatalf("n=%d: %d iterates, want %d", n, b.Trace.Len[0], n+1)
		}
		B := mat.NewDense(n, n, nil)
		last := b.Trace.Data[0][n*len(slots):]
		for i := range n {
			for j := range i + 1 {
				B.Set(i, j, last[i*(i+1)/2+j])
				B.Set(j, i, last[i*(i+1)/2+j])
			}
		}
		var BH mat.Dense
		BH.Mul(B, H)
		BH.Sub(&BH, identity(n, 1))
		t.Logf("n=%d: |B H - 1| = %.1e after n steps", n, mat.Norm(&BH, 2))
		if d := mat.Norm(&BH, 2); !(d <= 1e-12) {
			t.Errorf("n=%d: |B H - 1| = %g after n steps", n, d)
		}
	}
}
