package results_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"invar/batch"
	"invar/cpu"
	"invar/problem"
	"invar/results"
)

// A sweep into a folder, and its samples read back.
func Example() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	name, text, err := problem.Read("square")
	check(err)
	p, err := problem.Parse(name, text)
	check(err)
	sw, err := batch.New(p, cpu.Portable{Threads: 1}, "newton", "pg")
	check(err)
	sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{0.1, 1, 10}}}

	config, err := results.Resolve(sw, string(text), 1)
	check(err)
	temp, err := os.MkdirTemp("", "example")
	check(err)
	defer os.RemoveAll(temp)
	dir := filepath.Join(temp, "sweep")
	run, err := results.Create(dir, config, false)
	check(err)
	run.Sweep().Engine = sw.Engine
	_, err = run.Do(context.Background()) // were it interrupted, results.Resume(dir) would go on
	check(err)

	folder, err := results.Open(dir)
	check(err)
	most := map[string]int64{}
	check(folder.Samples(func(s *results.Sample) error {
		method := config.Methods[s.Method].Name
		most[method] = max(most[method], s.Iterations)
		return nil
	}))
	fmt.Println("the most iterations:", most)
	// Output:
	// the most iterations: map[newton:37 pg:1]
}
