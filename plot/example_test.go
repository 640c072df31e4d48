package plot_test

import (
	"context"
	"fmt"
	"log"

	"invar/batch"
	"invar/cpu"
	"invar/plot"
	"invar/problem"
)

// The figures of a running sweep, without a result folder.
func Example() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	p, err := problem.Load("square")
	check(err)
	sw, err := batch.New(p, cpu.Portable{Threads: 1}, "gd", "pg:lr=0.3")
	check(err)
	sw.Grid = batch.Grid{{Name: "alpha", Values: []float64{0.1, 1, 10}}}
	var options plot.Options
	recorder, err := plot.NewRecorder(sw, options)
	check(err)
	sw.Sink = recorder.Chunk
	ctx := context.Background()
	report, err := sw.Run(ctx)
	check(err)
	paths, err := plot.Trace(ctx, sw, options)
	check(err)
	figures, err := plot.Figures(&plot.Data{Sweep: sw, Cells: report.Cells, Paths: paths, Samples: recorder.Samples()}, options)
	check(err)
	for _, f := range figures {
		fmt.Println(f.Name + ": " + f.Title) // f.WritePNG and f.WriteSVG draw it
	}
	// Output:
	// paths: square: paths of all methods from start 0, alpha = 1
	// paths-gd: square: paths of gd (lr = 0.01), alpha = 1
	// paths-pg: square: paths of pg (lr = 0.3), alpha = 1
	// landscapes: square: loss landscapes with the first update of each method from start 0
	// iterations: square: iterations and convergence against alpha
	// waterfall: square: sorted final losses, alpha = 1
	// basins: square: which minimum each start reached, alpha = 1
}
