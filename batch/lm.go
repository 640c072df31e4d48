package batch

import (
	"fmt"

	"invar/graph"
	"invar/internal/linalg"
)

// Levenberg-Marquardt with a damping of its own for each sample, scaled by the
// largest curvature seen in each coordinate, which makes it independent of the
// units of x.
var lm = Method{
	Name: "lm",
	Doc:  "(J^T H_L J + lambda D) dx = -J^T dL/dy, D the largest diagonal seen so far; lambda follows the ratio of actual to predicted decrease",
	Source: "Moré, The Levenberg-Marquardt algorithm: implementation and theory, 1978 (scaling D); Nielsen, Damping parameter in Marquardt's method, 1999 " +
		"(lambda); Madsen, Nielsen, Tingleff, Methods for non-linear least squares problems, 2004",
	Settings: []Setting{
		{Name: "lambda", Default: 1e-3, Min: 0, Max: 1e300, Doc: "damping at the start"},
	},
	Want: graph.Jac | graph.HessY,
	Step: func(s *Step) {
		n := s.N
		zero, one := s.F(0), s.F(1)
		lambda, nu := s.State("lambda", s.Number("lambda")), s.State("nu", 2)
		loss := s.State("loss", 0)
		predicted := s.State("predicted", 0)
		grad := s.StateVec("gradient", n, 0)
		scale := s.StateVec("scale", n, 0)
		rejected := s.State("rejected", 0)
		kept := make([][]*Var, n) // J^T H_L J at the iterate, row by row up to the diagonal
		for i := range kept {
			kept[i] = s.StateVec(fmt.Sprintf("A%d.", i), i+1, 0)
		}

		// Is the trial better than the iterate?
		decrease := s.Sub(loss.Get(), s.Loss)
		ratio := s.Div(decrease, predicted.Get())
		accepted := s.Accept(s.And(s.Gt(decrease, zero), s.Gt(ratio, zero), s.AllFinite(s.Grad...)))

		// Nielsen's rule: lambda falls smoothly with the ratio, and grows ever faster while trials fail.
		t := s.Sub(s.Mul(s.F(2), ratio), one)
		shrink := s.Max(s.F(1.0/3), s.Sub(one, s.Mul(t, s.Mul(t, t))))
		// Damping below rounding is none; growth from there would waste trials.
		grown := s.Mul(s.Max(lambda.Get(), s.F(s.Eps())), nu.Get())
		newLambda := s.Select(s.First, lambda.Get(), s.Select(accepted, s.Mul(lambda.Get(), shrink), grown))
		newNu := s.Select(accepted, s.F(2), s.Mul(s.F(2), nu.Get()))

		// The model at the iterate, which is X where X was accepted.
		A := linalg.GramW(s.Builder, s.Jac, s.HessY)
		g := s.selects(accepted, s.Grad, Get(grad))
		M := make([][]Value, n)
		for i := range M {
			M[i] = make([]Value, n)
		}
		damp := make([]Value, n)
		finite := s.B(true)
		for i := 0; i < n; i++ {
			for j := 0; j <= i; j++ {
				a := s.Select(accepted, A[i][j], kept[i][j].Get())
				kept[i][j].Set(a)
				M[i][j], M[j][i] = a, a
				finite = s.And(finite, s.IsFinite(a))
			}
			d := s.Max(M[i][i], scale[i].Get())
			scale[i].Set(d)
			// A coordinate without any curvature yet is damped as if it had curvature one.
			damp[i] = s.Mul(newLambda, s.Select(s.Gt(d, zero), d, one))
		}
		for i := range M {
			M[i] = append([]Value(nil), M[i]...)
			M[i][i] = s.Add(M[i][i], damp[i])
		}
		d, bad := linalg.SolveCholesky(s.Builder, M, g)
		dx := s.selects(bad, repeated(n, zero), linalg.Neg(s.Builder, d))

		// Decrease of the model: 1/2 dx.(lambda D dx - g).
		model := s.Mul(s.F(0.5), s.dot(dx, s.minus(mulEach(s, damp, dx), g)))
		from := s.selects(accepted, s.X, s.Last)
		next := s.plus(from, dx)
		unmoved := s.B(true)
		for i := range next {
			unmoved = s.And(unmoved, s.Eq(next[i], from[i]))
		}
		tries := s.Select(accepted, zero, s.Add(rejected.Get(), one))
		// A matrix that is not positive definite (a loss that is not convex in y) is a
		// rejected trial with more damping, unless no damping can help; a step that no
		// longer moves x ends the sample.
		s.Fail(s.And(s.Not(accepted), unmoved, s.Not(bad)), StepTooSmall)
		s.Fail(s.And(s.Not(accepted), s.Not(bad), s.Ge(tries, s.F(maxTrials))), LineSearchFailed)
		s.Fail(s.And(bad, s.Or(s.Not(finite), s.Ge(tries, s.F(maxTrials)))), Singular)

		lambda.Set(newLambda)
		nu.Set(newNu)
		rejected.Set(tries)
		loss.Set(s.Select(accepted, s.Loss, loss.Get()))
		predicted.Set(s.Select(bad, zero, model))
		Set(grad, g)
		s.MoveTo(next)
		s.Hold(bad)
	},
}

// repeated is a vector of n times v.
func repeated(n int, v Value) []Value {
	x := make([]Value, n)
	for i := range x {
		x[i] = v
	}
	return x
}

// mulEach is the vector of x_i y_i.
func mulEach(s *Step, x, y []Value) []Value {
	r := make([]Value, len(x))
	for i := range r {
		r[i] = s.Mul(x[i], y[i])
	}
	return r
}
