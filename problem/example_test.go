package problem_test

import (
	"fmt"

	"invar/problem"
)

func ExampleLoad() {
	p, err := problem.Load("square")
	if err != nil {
		fmt.Println(err)
		return
	}
	params := map[string]float64{"alpha": 2}
	x := []float64{3, -3}
	y, loss, _ := p.Eval(params, x)
	fmt.Println(p.Outputs, "at", x, "is", y, "with the loss", loss)

	// The inverse keeps to the branch of the current x.
	back, _ := p.EvalInverse(params, x, []float64{3, 8})
	fmt.Println("y = [3 8] is reached at", back)
	// Output:
	// [x0 alpha*x1^2] at [3 -3] is [3 18] with the loss 333
	// y = [3 8] is reached at [3 -2]
}

func ExampleParse() {
	_, err := problem.Parse("mine.toml", []byte(`
inputs = ["x0"]
outputs = ["x0 + 2*aplha"]
loss = "y0^2"
box = [[-1, 1]]
[params]
alpha = 1.0
`))
	fmt.Println(err)
	// Output:
	// problem: mine.toml:3: outputs[0]: the name "aplha" is not defined, did you mean "alpha"?; allowed here: x0 alpha
	//     x0 + 2*aplha
	//            ^
}
