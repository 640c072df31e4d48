package graph_test

import (
	"fmt"

	"invar/graph"
	"invar/problem"
	"invar/program"
)

// The derivatives that Gorgonia finds, as formulas.
func ExampleModel_Listing() {
	p, err := problem.Load("square")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := graph.New(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	parts, err := m.Listing(graph.Y | graph.Jac | graph.Loss | graph.Grad | graph.Hess)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, part := range parts {
		fmt.Println(part.Title)
		for _, f := range part.Formulas {
			fmt.Printf("  %s = %s\n", f.Name, f.Expr)
		}
	}
	// Output:
	// outputs and loss
	//   y0 = x0
	//   y1 = alpha*x1^2
	//   L = x0^2 + y1^2
	//   dy0/dx0 = 1
	//   dy1/dx1 = 2*alpha*x1
	//   dL/dx0 = 2*x0
	//   s1 = 2*alpha*y1
	//   dL/dx1 = 2*s1*x1
	//   d2L/dx0dx0 = 2
	//   d2L/dx1dx1 = 2*s1 + 8*x1^2*alpha^2
}

// Emit writes quantities of a problem as operations of a program; Func.EvalF64 is the
// plainest way to compute them.
func ExampleModel_Emit() {
	p, err := problem.Load("square")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := graph.New(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := program.NewBuilder("gradient")
	alpha, x := b.Input("alpha", program.F64), b.Inputs("x", p.N())
	q, err := m.Emit(b, []program.Value{alpha}, x, graph.Loss|graph.Grad)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := b.Finish(append(q.Grad, q.Loss)...)
	r := f.EvalF64(2, 3, -1) // alpha, x0, x1
	fmt.Println("dL/dx =", r[:2], "L =", r[2])
	// Output:
	// dL/dx = [6 -16] L = 13
}
