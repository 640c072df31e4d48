package sampling_test

import (
	"fmt"

	"invar/sampling"
)

// Points 2 and 3 of a set of four are the same whether or not the others are drawn.
func ExampleNew() {
	box := [][2]float64{{-1, 1}, {0, 10}}
	for _, name := range sampling.Names() {
		s, err := sampling.New(name, 1, 4, len(box))
		if err != nil {
			fmt.Println(err)
			return
		}
		all := [][]float64{make([]float64, 4), make([]float64, 4)} // [coordinate][point]
		two := [][]float64{make([]float64, 2), make([]float64, 2)}
		if err := s.Fill(0, 4, box, all); err != nil {
			fmt.Println(err)
			return
		}
		if err := s.Fill(2, 2, box, two); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%-7s x0 %.2f, of which %.2f\n", name, all[0], two[0])
	}
	// Output:
	// uniform x0 [0.79 0.75 0.11 -0.93], of which [0.11 -0.93]
	// halton  x0 [0.23 -0.27 0.73 -0.52], of which [0.73 -0.52]
	// lhs     x0 [0.49 -0.23 0.81 -0.69], of which [0.81 -0.69]
	// grid    x0 [-0.50 0.50 -0.50 0.50], of which [-0.50 0.50]
}
