package program_test

import (
	"fmt"

	"invar/program"
)

// A function of one sample: the larger root of x^2 + p x + q.
func ExampleBuilder() {
	b := program.NewBuilder("root")
	p, q := b.Input("p", program.F64), b.Input("q", program.F64)
	half := b.Mul(p, b.F(-0.5))
	root := b.Add(half, b.Sqrt(b.Sub(b.Mul(half, half), q)))
	f := program.Optimize(b.Finish(root), true)
	fmt.Print(f)
	fmt.Println(f.EvalF64(-3, 2)) // (x-1)(x-2)
	// Output:
	// func root(p f64, q f64)
	//   v0 = input p
	//   v1 = input q
	//   v2 = const -0.5
	//   v3 = mul v0 v2
	//   v4 = neg v1
	//   v5 = fma v3 v3 v4
	//   v6 = sqrt v5
	//   v7 = add v3 v6
	//   return v7
	// [2]
}

// A loop with a fixed number of trips carries values along: x <- (x + a/x)/2, five times.
func ExampleBuilder_Loop() {
	b := program.NewBuilder("heron")
	a := b.Input("a", program.F64)
	x := b.Loop(program.At(0), program.At(5), []program.Value{a}, func(_ program.Affine, x []program.Value) []program.Value {
		return []program.Value{b.Mul(b.F(0.5), b.Add(x[0], b.Div(a, x[0])))}
	})
	fmt.Printf("%.6f\n", b.Finish(x...).EvalF64(2)[0])
	// Output:
	// 1.414214
}
