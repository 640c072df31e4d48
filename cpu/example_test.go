package cpu_test

import (
	"context"
	"fmt"

	"invar/batch"
	"invar/cpu"
	"invar/graph"
	"invar/problem"
	"invar/program"
)

// An engine runs a compiled program over a batch of samples: columns in, columns out.
func ExamplePortable() {
	p, err := problem.Load("scale")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := graph.New(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	specs, err := batch.ParseMethods("newton:lr=0.5")
	if err != nil {
		fmt.Println(err)
		return
	}
	prog, err := batch.Compile(m, specs[0], batch.Options{Limits: batch.DefaultLimits(true)})
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err := cpu.Portable{}.Compile(prog)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := prog.NewBatch(3)
	b.In[0] = []float64{1, 10, 100} // alpha
	b.In[1] = []float64{1, -2, 3}   // x0
	b.In[2] = []float64{2, 2, -1}   // x1
	if err := run.Run(context.Background(), b); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(prog.In, "->", b.Out[batch.Column(prog, "iteration")], "iterations")
	// Output:
	// [alpha x0 x1] -> [22 22 22] iterations
}

// CompileFunc evaluates one function for many points.
func ExampleCompileFunc() {
	b := program.NewBuilder("norm")
	x, y := b.Input("x", program.F64), b.Input("y", program.F64)
	f := cpu.CompileFunc(b.Finish(b.Sqrt(b.Add(b.Mul(x, x), b.Mul(y, y)))))
	out := [][]float64{make([]float64, 3)}
	f.Run(3, [][]float64{{3, 5, 8}, {4, 12, 15}}, out)
	fmt.Println(out[0])
	// Output:
	// [5 13 17]
}
