package results

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"invar/batch"
)

// summary is summary.json. Numbers that JSON lacks are null, and those of them that are infinite
// are named in Infinite ("-loss_median" for -Inf), so that each column has one type and nothing is lost.
type summary struct {
	Problem   string             `json:"problem"`
	DType     string             `json:"dtype"`
	Complete  bool               `json:"complete"`
	Samples   int64              `json:"samples"`      // of the whole sweep
	Done      int64              `json:"samples_done"` // rows of samples.parquet
	Reference map[string]float64 `json:"reference"`
	Results   []cell             `json:"results"`
}

type cell struct {
	Method           string             `json:"method"`
	Settings         map[string]float64 `json:"settings"`
	Params           map[string]float64 `json:"params"`
	Samples          int                `json:"samples"`
	Converged        int                `json:"converged"`
	IterationsMedian *float64           `json:"iterations_median"`
	IterationsP90    *float64           `json:"iterations_p90"`
	LossMedian       *float64           `json:"loss_median"`
	DistanceMedian   *float64           `json:"distance_median"`
	Diverged         int                `json:"diverged"`
	Fallbacks        int64              `json:"fallbacks"`
	Evaluations      int64              `json:"evaluations"`
	PathDeviation    *float64           `json:"path_deviation"`
	Best             *batch.Best        `json:"best"`
	Infinite         []string           `json:"infinite,omitempty"`
	Status           map[string]int     `json:"status"`
}

type field struct {
	name  string
	json  **float64
	value *float64
}

func fields(c *cell, b *batch.Cell) []field {
	return []field{
		{"iterations_median", &c.IterationsMedian, &b.IterationsMedian},
		{"iterations_p90", &c.IterationsP90, &b.IterationsP90},
		{"loss_median", &c.LossMedian, &b.LossMedian},
		{"distance_median", &c.DistanceMedian, &b.DistanceMedian},
		{"path_deviation", &c.PathDeviation, &b.PathDeviation},
	}
}

func newCell(label string, params []string, b batch.Cell) cell {
	c := cell{Method: label, Settings: b.Method.Set, Params: map[string]float64{}, Samples: b.Samples, Converged: b.Status[batch.Converged],
		Diverged: b.Status[batch.Diverged], Fallbacks: b.Fallbacks, Evaluations: b.Evaluations, Best: b.Best, Status: map[string]int{}}
	for i, name := range params {
		c.Params[name] = b.Params[i]
	}
	for st, n := range b.Status {
		c.Status[st.String()] = n
	}
	for _, f := range fields(&c, &b) {
		switch {
		case math.IsInf(*f.value, 1):
			c.Infinite = append(c.Infinite, f.name)
		case math.IsInf(*f.value, -1):
			c.Infinite = append(c.Infinite, "-"+f.name)
		case !math.IsNaN(*f.value):
			*f.json = f.value
		}
	}
	return c
}

// batch is the cell as the sweep had it, of a problem with n inputs; the settings are those of spec.
func (c *cell) batch(spec batch.Spec, params []string, n int) (batch.Cell, error) {
	b := batch.Cell{Method: spec, Samples: c.Samples, Status: map[batch.Status]int{}, Best: c.Best, Fallbacks: c.Fallbacks, Evaluations: c.Evaluations}
	if c.Best != nil && len(c.Best.X) != n {
		return b, fmt.Errorf("a result whose best x has %d numbers; %d are expected", len(c.Best.X), n)
	}
	for _, name := range params {
		v, ok := c.Params[name]
		if !ok {
			return b, fmt.Errorf("a result without the parameter %s", name)
		}
		b.Params = append(b.Params, v)
	}
	left := len(c.Status)
	for _, st := range batch.Statuses() {
		if n, ok := c.Status[st.String()]; ok {
			b.Status[st] = n
			left--
		}
	}
	if left > 0 {
		return b, fmt.Errorf("a result with unknown statuses: %v", c.Status)
	}
	for _, f := range fields(c, &b) {
		switch {
		case *f.json != nil:
			*f.value = **f.json
		case slices.Contains(c.Infinite, f.name):
			*f.value = math.Inf(1)
		case slices.Contains(c.Infinite, "-"+f.name):
			*f.value = math.Inf(-1)
		default:
			*f.value = math.NaN()
		}
	}
	return b, nil
}

// writeJSON writes s with the results one a line, which keeps memory small and lines comparable.
func writeJSON(w io.Writer, s *summary, labels func(batch.Spec) string, rep *batch.Report) error {
	b := bufio.NewWriter(w)
	head := *s
	head.Results = []cell{}
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	b.Write(text[:len(text)-len("]\n}")])
	for i, c := range rep.Cells {
		line, err := json.Marshal(newCell(labels(c.Method), rep.Params, c))
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Flush()
}

var statistics = []string{"samples", "converged", "iterations_median", "iterations_p90", "loss_median", "distance_median",
	"diverged", "fallbacks", "evaluations", "path_deviation"}

// writeCSV writes the cells of a problem with n inputs.
func writeCSV(w io.Writer, labels func(batch.Spec) string, rep *batch.Report, n int) error {
	out := csv.NewWriter(w)
	others := slices.Concat(statistics, BestColumns(n))
	params := ParamColumns(rep.Params, append([]string{"method"}, others...))
	out.Write(slices.Concat([]string{"method"}, params, others))
	num := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for _, c := range rep.Cells {
		row := []string{labels(c.Method)}
		for _, v := range c.Params {
			row = append(row, num(v))
		}
		row = append(row, strconv.Itoa(c.Samples), strconv.Itoa(c.Status[batch.Converged]),
			num(c.IterationsMedian), num(c.IterationsP90), num(c.LossMedian), num(c.DistanceMedian),
			strconv.Itoa(c.Status[batch.Diverged]), strconv.FormatInt(c.Fallbacks, 10), strconv.FormatInt(c.Evaluations, 10), num(c.PathDeviation))
		out.Write(append(row, BestRow(c.Best, n)...))
	}
	out.Flush()
	return out.Error()
}
