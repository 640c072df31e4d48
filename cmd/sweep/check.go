package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"invar/batch"
	"invar/graph"
	"invar/internal/plural"
	"invar/problem"
)

func newCheck(stdout, stderr io.Writer) *cobra.Command {
	var points int
	var seed uint64
	var params []string
	cmd := &cobra.Command{
		Use:   "check PROBLEM",
		Short: "Test a problem: derivatives, inverse, minima, methods",
		Long: `Test a problem file (.toml) or a built-in problem at random points of its box: the
program against the formulas, derivatives against central finite differences,
the inverse with P both ways, minima stationary and lowest. Then say which methods
can serve the problem. Exit code 1 when a comparison fails, 2 when the file is bad.`,
		Example: `  sweep init mine && sweep check mine.toml
  sweep check rosenbrock
  sweep check square --param alpha=1e-3 --points 50`,
		Args:              oneArg("PROBLEM"),
		ValidArgsFunction: completeProblem,
		RunE: func(cmd *cobra.Command, args []string) error {
			if points < 1 || points > maxCheckPoints {
				return usagef("--points %d: 1 to %d are allowed", points, maxCheckPoints)
			}
			p, err := problem.Load(args[0])
			if err != nil {
				return usage(err)
			}
			if err := batch.CheckSettings(p); err != nil {
				return usage(err)
			}
			at := p.Defaults()
			for _, s := range params {
				name, v, ok := strings.Cut(s, "=")
				x, err := strconv.ParseFloat(v, 64)
				if !ok || err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
					return usagef("--param %s: NAME=NUMBER is wanted", s)
				}
				if err := knownParam(p, name); err != nil {
					return usage(err)
				}
				at[name] = x
			}
			m, err := graph.New(p)
			if err != nil {
				return usage(err)
			}
			ck, err := newChecker(m, at, seed)
			if err != nil {
				return usage(err)
			}
			if err := ck.run(cmd.Context(), points, stderr); err != nil {
				return err
			}
			if err := ck.write(stdout); err != nil {
				return err
			}
			if n := ck.failed(); n > 0 {
				return fmt.Errorf("%s: %d of %d checks failed", args[0], n, len(ck.results))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&points, "points", 20, "random points of the box")
	f.Uint64Var(&seed, "seed", 1, "seed of the points")
	f.StringArrayVar(&params, "param", nil, "`NAME=NUMBER`: check at this value of a parameter (repeatable); else its default")
	return cmd
}

const (
	maxCheckPoints = 100_000
	checkPatience  = 10 * time.Second // then the points so far must do
)

// What counts as agreement, relative to the size of what is compared.
const (
	tolProgram    = 1e-9 // program and formulas: the same but for rounding
	tolDerivative = 1e-6 // finite differences, beyond their own error
	tolInverse    = 1e-6 // P and its inverse
	tolMinimum    = 1e-6 // gradient at a minimum, relative to gradients in the box
)

// result is one line of the report.
type result struct {
	name   string
	worst  float64 // largest error, relative to tol
	where  []float64
	tol    float64
	count  int // comparisons
	rough  int // points where finite differences say nothing: a kink, a jump, steepness
	remark string
}

func (r *result) ok() bool { return r.worst <= 1 }

// add compares; err is relative to what is allowed.
func (r *result) add(err float64, x []float64) {
	r.count++
	if math.IsNaN(err) {
		err = math.Inf(1)
	}
	if err > r.worst {
		r.worst, r.where = err, x
	}
}

// checker compares a problem with itself.
type checker struct {
	ctx     context.Context // of run
	m       *graph.Model
	p       *problem.Problem
	params  map[string]float64
	ordered []float64 // the same in the problem's order
	rnd     *rand.Rand
	code    func(in ...float64) []float64 // all quantities
	names   []string

	results                       []*result
	program, grad, jac, hess, ofY *result
	forth, back, minima           *result // nil where the problem has none

	used, infinite int
	late           bool      // patience ended before the points
	width          []float64 // of the box
	level          float64   // below this, derivatives are rounding
	gradients      []float64 // their norms
	lowest         float64   // least loss of the points
	lowestAt       []float64
}

const checked = graph.Y | graph.Loss | graph.Grad | graph.Hess | graph.Jac | graph.GradY | graph.HessY

func newChecker(m *graph.Model, params map[string]float64, seed uint64) (*checker, error) {
	p := m.Problem()
	f, err := lowered(m, checked)
	if err != nil {
		return nil, err
	}
	c := &checker{m: m, p: p, params: params, rnd: rand.New(rand.NewPCG(seed, 0)), code: f.EvalF64,
		names: checked.Names(p.N(), p.M()), lowest: math.Inf(1), level: 1e-300}
	for _, q := range p.Params {
		c.ordered = append(c.ordered, params[q.Name])
	}
	for _, b := range p.Box {
		c.width = append(c.width, b[1]-b[0])
	}
	line := func(name string, tol float64) *result {
		r := &result{name: name, tol: tol}
		c.results = append(c.results, r)
		return r
	}
	c.program = line("program = formulas", tolProgram)
	c.grad = line("gradient dL/dx", tolDerivative)
	c.jac = line("Jacobian dy/dx", tolDerivative)
	c.hess = line("Hessian d2L/dx2", tolDerivative)
	c.ofY = line("dL/dy and d2L/dy2", tolDerivative)
	if p.Inverse != nil {
		c.forth = line("P(inverse(y)) = y", tolInverse)
		c.back = line("inverse(P(x)) = x", tolInverse)
	}
	if len(p.Minima) > 0 {
		c.minima = line("minima", tolMinimum)
	}
	return c, nil
}

// at evaluates the program, by name of quantity.
func (c *checker) at(x []float64) map[string]float64 {
	c.goOn()
	v := c.code(append(append([]float64(nil), c.ordered...), x...)...)
	m := make(map[string]float64, len(v))
	for i, name := range c.names {
		m[name] = v[i]
	}
	return m
}

// formulas evaluates the formulas as they stand in the file.
func (c *checker) formulas(x []float64) (y []float64, loss float64) {
	c.goOn()
	y, loss, err := c.p.Eval(c.params, x)
	if err != nil {
		panic(err) // lengths and names are right
	}
	return y, loss
}

// goOn ends the check when its context has ended.
func (c *checker) goOn() {
	if c.ctx.Err() != nil {
		panic(errInterrupted)
	}
}

func (c *checker) point() []float64 {
	x := make([]float64, c.p.N())
	for i, b := range c.p.Box {
		x[i] = b[0] + (b[1]-b[0])*c.rnd.Float64()
	}
	return x
}

// run makes all comparisons. Its only error is that of a context that has ended.
func (c *checker) run(ctx context.Context, points int, stderr io.Writer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errInterrupted {
				panic(r)
			}
			err = ctx.Err()
		}
	}()
	c.ctx = ctx
	begin := time.Now()
	for range points {
		x := c.point()
		c.used++
		y, loss := c.formulas(x)
		if took := time.Since(begin); c.used == 1 && took > slowEvaluation {
			each := float64(c.p.N()*2*differenceSteps) * took.Seconds()
			fmt.Fprintf(stderr, "sweep: the formulas take %.1f s to evaluate once, the check about %.0f s\n", took.Seconds(), each)
		}
		if !finite(append([]float64{loss}, y...)...) {
			c.infinite++
			continue
		}
		c.comparePoint(x, y, loss)
		if time.Since(begin) > checkPatience {
			c.late = c.used < points
			break
		}
	}
	c.compareMinima()
	return nil
}

// errInterrupted is what evaluations panic with when the context has ended.
var errInterrupted = errors.New("interrupted")

// slowEvaluation is when a check says how long it will take.
const slowEvaluation = time.Second / 4

func (c *checker) comparePoint(x, y []float64, loss float64) {
	n, m := c.p.N(), c.p.M()
	v := c.at(x)
	if loss < c.lowest {
		c.lowest, c.lowestAt = loss, x
	}
	const cancels = 1e-6 // what is left of a large y may be this much smaller, and less exact
	size := norm(y)
	for i := range y {
		c.program.add(math.Abs(v[fmt.Sprintf("y%d", i)]-y[i])/(tolProgram*(1e-300+math.Abs(y[i])+cancels*size)), x)
	}
	c.program.add(math.Abs(v["loss"]-loss)/(tolProgram*(1e-300+math.Abs(loss)+size*size)), x)

	// Gradient and Jacobian against differences of the formulas; second derivatives against
	// differences of the first, which by then are known to be right.
	first, errs := make([][]float64, n), make([][]float64, n)   // [input] of y0.., L
	second, errs2 := make([][]float64, n), make([][]float64, n) // [input] of grad0.., grady0..
	for i := range n {
		first[i], errs[i] = differences(func(t float64) []float64 {
			y, loss := c.formulas(shifted(x, i, t))
			return append(y, loss)
		}, c.width[i])
		second[i], errs2[i] = differences(func(t float64) []float64 {
			w := c.at(shifted(x, i, t))
			return append(vector(w, "grad", n), vector(w, "grady", m)...)
		}, c.width[i])
	}
	gradient, gradY := vector(v, "grad", n), vector(v, "grady", m)
	c.gradients = append(c.gradients, norm(gradient))
	jac := func(r, i int) float64 { return v[fmt.Sprintf("jac%d_%d", r, i)] }
	c.compare(c.grad, x, n, 1, func(i, _ int) (float64, float64, float64) { return gradient[i], first[i][m], errs[i][m] })
	c.compare(c.jac, x, m, n, func(r, i int) (float64, float64, float64) { return jac(r, i), first[i][r], errs[i][r] })
	c.compare(c.hess, x, n, n, func(i, k int) (float64, float64, float64) {
		return v[fmt.Sprintf("hess%d_%d", max(i, k), min(i, k))], second[i][k], errs2[i][k]
	})

	// The loss as a function of y is a formula of its own; how its gradient changes with x is its
	// Hessian times the Jacobian.
	ofY, errsY := make([]float64, m), make([]float64, m)
	for r := range m {
		d, e := differences(func(t float64) []float64 { return []float64{c.lossOf(shifted(y, r, t))} }, 1+math.Abs(y[r]))
		ofY[r], errsY[r] = d[0], e[0]
	}
	c.compare(c.ofY, x, m, 1, func(r, _ int) (float64, float64, float64) { return gradY[r], ofY[r], errsY[r] })
	c.compare(c.ofY, x, m, n, func(r, i int) (float64, float64, float64) {
		sum := 0.0
		for k := range m {
			sum += v[fmt.Sprintf("hessy%d_%d", max(r, k), min(r, k))] * jac(k, i)
		}
		return sum, second[i][n+r], errs2[i][n+r]
	})
	c.compareInverse(x, y)
}

// compare takes the entries of a derivative with the differences and the errors that these may have.
func (c *checker) compare(r *result, x []float64, rows, cols int, entry func(i, k int) (exact, approx, err float64)) {
	scale, rough := make([]float64, rows), make([]float64, rows) // outputs may differ by many powers of ten
	largest, smooth := 0.0, true
	for i := range rows {
		for k := range cols {
			_, d, err := entry(i, k)
			scale[i], rough[i] = math.Max(scale[i], math.Abs(d)), math.Max(rough[i], err)
		}
		largest = math.Max(largest, scale[i])
	}
	for i := range rows {
		// What is zero, or as good as zero beside the rest, has only rounding.
		small := scale[i] <= c.level || rough[i] <= tolProgram*largest
		smooth = smooth && finite(scale[i], rough[i]) && (small || rough[i] <= roughness*scale[i])
	}
	if !smooth {
		r.rough++
		return
	}
	for i := range rows {
		for k := range cols {
			v, d, err := entry(i, k)
			r.add(math.Abs(v-d)/(tolDerivative*(scale[i]+c.level)+10*err), x)
		}
	}
}

// roughness is the relative error of finite differences from which on they say nothing.
const roughness = 1e-3

// compareInverse takes x to y and back, and a reachable y near that of x to x and back.
func (c *checker) compareInverse(x, y []float64) {
	if c.forth == nil {
		return
	}
	size := norm(c.width)
	near := make([]float64, len(x))
	for i := range x {
		near[i] = x[i] + 0.05*c.width[i]*(2*c.rnd.Float64()-1)
	}
	target, _ := c.formulas(near)
	if finite(target...) {
		back, err := c.p.EvalInverse(c.params, x, target)
		if err != nil {
			panic(err) // lengths and names are right
		}
		again, _ := c.formulas(back)
		c.forth.add(separation(again, target)/(tolInverse*(norm(target)+norm(y)+1e-300)), x)
	}
	back, err := c.p.EvalInverse(c.params, x, y)
	if err != nil {
		panic(err)
	}
	c.back.add(separation(back, x)/(tolInverse*(norm(x)+size)), x)
}

// compareMinima looks at the gradient at each minimum and at the loss there, which
// no point of the box may fall below.
func (c *checker) compareMinima() {
	if c.minima == nil {
		return
	}
	minima, err := c.p.EvalMinima(c.params)
	if err != nil {
		panic(err)
	}
	sort.Float64s(c.gradients)
	typical := 0.0
	if len(c.gradients) > 0 {
		typical = c.gradients[len(c.gradients)/2]
	}
	for _, x := range minima {
		v := c.at(x)
		c.minima.add(norm(vector(v, "grad", c.p.N()))/(tolMinimum*(typical+c.level)), x)
		if loss := v["loss"]; c.lowestAt != nil && !(loss <= c.lowest) && c.minima.ok() {
			c.minima.add(math.Inf(1), c.lowestAt)
			c.minima.remark = fmt.Sprintf("the loss at (%s) is %s, below the %s of a minimum", pointText(c.lowestAt), shortNumber(c.lowest), shortNumber(loss))
		}
	}
}

// lossOf is the loss formula at y.
func (c *checker) lossOf(y []float64) float64 {
	env := map[string]float64{}
	for k, v := range c.params {
		env[k] = v
	}
	for i, e := range c.p.Target {
		v, err := e.Eval(c.params)
		if err != nil {
			panic(err)
		}
		env[fmt.Sprintf("t%d", i)] = v
	}
	for i, v := range y {
		env[fmt.Sprintf("y%d", i)] = v
	}
	loss, err := c.p.Loss.Eval(env)
	if err != nil {
		panic(err)
	}
	return loss
}

// failed counts the lines that failed. That nothing could be compared is a failure too.
func (c *checker) failed() int {
	n := 0
	for _, r := range c.results {
		if !r.ok() || c.used == c.infinite {
			n++
		}
	}
	return n
}

func (c *checker) write(w io.Writer) error {
	var b strings.Builder
	var at []string
	for i, q := range c.p.Params {
		at = append(at, q.Name+" = "+exact(c.ordered[i]))
	}
	fmt.Fprintf(&b, "%s: %s, %s", c.p.Name, plural.Of(c.p.N(), "input"), plural.Of(c.p.M(), "output"))
	if len(at) > 0 {
		b.WriteString("; at " + strings.Join(at, ", "))
	}
	fmt.Fprintf(&b, "\n%s in %s", plural.Of(c.used, "random point"), boxText(c.p.Box))
	if c.infinite > 0 {
		fmt.Fprintf(&b, "; y or L is not finite at %d of them", c.infinite)
	}
	if c.late {
		fmt.Fprintf(&b, " (fewer than asked for: they take long)")
	}
	b.WriteString("\n\n")
	for _, r := range c.results {
		state, note := "ok    ", r.remark
		switch {
		case c.used == c.infinite:
			state, note = "FAILED", "no point where y and L are finite: look at the box and the formulas"
		case !r.ok():
			state = "FAILED"
			if note == "" {
				note = fmt.Sprintf("off by %.2g times what is allowed at x = (%s)", r.worst, pointText(r.where))
			}
		case r.count == 0:
			state, note = "?     ", "finite differences say nothing at any point: kinks, or very steep"
		case r.rough > 0:
			note = fmt.Sprintf("but at %s, where finite differences say nothing", plural.Of(r.rough, "point"))
		}
		b.WriteString(strings.TrimRight(hang(fmt.Sprintf("%s  %-20s", state, r.name), note), " ") + "\n")
	}
	if c.p.Inverse == nil {
		b.WriteString("-       inverse             none in the file\n")
	}
	if len(c.p.Minima) == 0 {
		b.WriteString("-       minima              none in the file: samples converge by the gradient\n")
	}
	b.WriteString("\nMethods\n")
	var serves []string
	var not strings.Builder
	for _, m := range batch.Methods() {
		err := m.Supports(c.p)
		if err == nil {
			_, err = batch.Compile(c.m, batch.Spec{Method: m}, batch.Options{Limits: batch.DefaultLimits(len(c.p.Minima) > 0)})
		}
		if err == nil {
			serves = append(serves, m.Name)
		} else {
			not.WriteString(hang(fmt.Sprintf("  no   %-12s", m.Name), plain(err)) + "\n")
		}
	}
	b.WriteString(hang("  yes  ", strings.Join(serves, ", ")) + "\n" + not.String())
	_, err := io.WriteString(w, b.String())
	return err
}

func pointText(x []float64) string {
	s := make([]string, len(x))
	for i, v := range x {
		s[i] = shortNumber(v)
	}
	return strings.Join(s, ", ")
}

// differenceSteps is how many steps are tried, with two evaluations each.
const differenceSteps = 10

// differences is the derivative of f at 0 with an estimate of its error: central differences,
// extrapolated to step 0 (C. J. F. Ridders, Adv. Eng. Software 4 (1982) 75). The steps begin at
// a fiftieth of width.
func differences(f func(float64) []float64, width float64) (d, err []float64) {
	const shrink = 1.6
	var last [][]float64 // [order][component] of the row before
	h := width / 50
	for i := range differenceSteps {
		up, down := f(h), f(-h)
		row := [][]float64{make([]float64, len(up))}
		if i == 0 {
			d, err = make([]float64, len(up)), make([]float64, len(up))
			for k := range err {
				err[k] = math.Inf(1)
			}
		}
		for k := range up {
			row[0][k] = (up[k] - down[k]) / (2 * h)
			// A constant has no error at all, and rounding has a size.
			if i == 0 {
				d[k] = row[0][k]
			}
		}
		factor := shrink * shrink
		for j := 1; j <= i; j++ {
			row = append(row, make([]float64, len(up)))
			for k := range up {
				row[j][k] = row[j-1][k] + (row[j-1][k]-last[j-1][k])/(factor-1)
				e := math.Max(math.Abs(row[j][k]-row[j-1][k]), math.Abs(row[j][k]-last[j-1][k]))
				e += 0x1p-52 * (math.Abs(up[k]) + math.Abs(down[k])) / h
				if e < err[k] {
					d[k], err[k] = row[j][k], e
				}
			}
			factor *= shrink * shrink
		}
		last = row
		h /= shrink
	}
	return d, err
}

// shifted is x with t added to entry i.
func shifted(x []float64, i int, t float64) []float64 {
	s := append([]float64(nil), x...)
	s[i] += t
	return s
}

// vector picks name0..name(n-1).
func vector(v map[string]float64, name string, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = v[name+strconv.Itoa(i)]
	}
	return x
}

func norm(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum = math.Hypot(sum, v)
	}
	return sum
}

func separation(a, b []float64) float64 {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return norm(d)
}

func finite(x ...float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
