package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"invar/batch"
	"invar/internal/nearest"
	"invar/internal/plural"
	"invar/results"
)

// tableFormats are what sweep, sweep trace and sweep merge print.
var tableFormats = []string{"table", "csv", "json"}

func formatError(format string, allowed []string) error {
	return fmt.Errorf("--format %s%s: %s are allowed", format, nearest.Hint(format, allowed), strings.Join(allowed, ", "))
}

// formatter finds the function that prints a report in the given format.
func formatter(format string) (func(io.Writer, *batch.Sweep, *batch.Report) error, error) {
	f, ok := map[string]func(io.Writer, *batch.Sweep, *batch.Report) error{
		"table": reportTable, "csv": reportCSV, "json": reportJSON}[format]
	if !ok {
		return nil, formatError(format, tableFormats)
	}
	return f, nil
}

var statistics = []string{"samples", "converged", "iterations_median", "iterations_p90", "loss_median", "distance_median",
	"diverged", "fallbacks", "path_deviation", "seconds"}

// row is a cell's statistics, in their order.
func row(c batch.Cell, num func(float64) string) []string {
	return []string{
		strconv.Itoa(c.Samples), strconv.Itoa(c.Status[batch.Converged]),
		num(c.IterationsMedian), num(c.IterationsP90), num(c.LossMedian), num(c.DistanceMedian),
		strconv.Itoa(c.Status[batch.Diverged]), strconv.FormatInt(c.Fallbacks, 10), num(c.PathDeviation), num(c.Seconds),
	}
}

func reportCSV(w io.Writer, sw *batch.Sweep, rep *batch.Report) error {
	c := csv.NewWriter(w)
	n := sw.Model.Problem().N()
	others := slices.Concat(statistics, results.BestColumns(n))
	params := results.ParamColumns(rep.Params, append([]string{"method"}, others...))
	if err := c.Write(slices.Concat([]string{"method"}, params, others)); err != nil {
		return err
	}
	label := batch.Labels(sw.Methods)
	for _, cell := range rep.Cells {
		r := []string{label(cell.Method)}
		for _, v := range cell.Params {
			r = append(r, exact(v))
		}
		if err := c.Write(slices.Concat(r, row(cell, exact), results.BestRow(cell.Best, n))); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func reportJSON(w io.Writer, sw *batch.Sweep, rep *batch.Report) error {
	type result struct {
		Method           string             `json:"method"`
		Settings         map[string]float64 `json:"settings"`
		Params           map[string]float64 `json:"params"`
		Samples          int                `json:"samples"`
		Converged        int                `json:"converged"`
		IterationsMedian number             `json:"iterations_median"`
		IterationsP90    number             `json:"iterations_p90"`
		LossMedian       number             `json:"loss_median"`
		DistanceMedian   number             `json:"distance_median"`
		Diverged         int                `json:"diverged"`
		Fallbacks        int64              `json:"fallbacks"`
		Evaluations      int64              `json:"evaluations"`
		PathDeviation    number             `json:"path_deviation"`
		Seconds          number             `json:"seconds"`
		Best             *batch.Best        `json:"best"`
		Status           map[string]int     `json:"status"`
	}
	out := struct {
		Problem   string             `json:"problem"`
		DType     string             `json:"dtype"`
		Reference map[string]float64 `json:"reference"`
		Results   []result           `json:"results"`
	}{Problem: sw.Model.Problem().Name, DType: batch.DTypeName(sw.DType), Reference: map[string]float64{}, Results: []result{}}
	for i, v := range sw.Grid.At(rep.Reference) {
		out.Reference[sw.Grid[i].Name] = v
	}
	label := batch.Labels(sw.Methods)
	for _, c := range rep.Cells {
		r := result{
			Method: label(c.Method), Settings: c.Method.Set, Params: named(sw, c.Params),
			Samples: c.Samples, Converged: c.Status[batch.Converged],
			IterationsMedian: number(c.IterationsMedian), IterationsP90: number(c.IterationsP90),
			LossMedian: number(c.LossMedian), DistanceMedian: number(c.DistanceMedian),
			Diverged: c.Status[batch.Diverged], Fallbacks: c.Fallbacks, Evaluations: c.Evaluations,
			PathDeviation: number(c.PathDeviation), Seconds: number(c.Seconds), Best: c.Best, Status: map[string]int{},
		}
		for st, n := range c.Status {
			r.Status[st.String()] = n
		}
		out.Results = append(out.Results, r)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// reportTable prints a row for each cell, then one for each method, then the best samples of a
// few grid points, then what became of the samples that did not converge.
func reportTable(w io.Writer, sw *batch.Sweep, rep *batch.Report) error {
	short := map[string]string{"iterations_median": "iterations", "iterations_p90": "p90", "loss_median": "loss", "distance_median": "distance",
		"path_deviation": "deviation"}
	t := &table{header: append([]string{"method"}, rep.Params...), left: []int{0}}
	for _, s := range statistics {
		if n := short[s]; n != "" {
			s = n
		}
		t.header = append(t.header, s)
	}
	label := batch.Labels(sw.Methods)
	for i, c := range rep.Cells {
		if i > 0 && rep.Points > 1 && label(c.Method) != label(rep.Cells[i-1].Method) {
			t.gap()
		}
		r := []string{label(c.Method)}
		for _, v := range c.Params {
			r = append(r, shortNumber(v))
		}
		t.add(append(r, row(c, shortNumber)...)...)
	}
	gone := t.fit(columns(w), []string{"samples", "fallbacks", "diverged", "p90", "seconds", "distance"})
	if err := t.write(w); err != nil {
		return err
	}
	if rep.Points > 1 {
		if err := overview(w, sw, rep, label); err != nil {
			return err
		}
	}
	if rep.Points <= bestPoints {
		if err := best(w, sw, rep, label); err != nil {
			return err
		}
	}
	if err := notes(w, rep); err != nil {
		return err
	}
	if len(gone) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nNot shown, for width: %s; see --format csv.\n", strings.Join(gone, ", "))
	return err
}

// overview is one row a method: the whole sweep at a glance.
func overview(w io.Writer, sw *batch.Sweep, rep *batch.Report, label func(batch.Spec) string) error {
	at := []int{0, rep.Reference, rep.Points - 1}
	t := &table{header: []string{"over the grid", "converged", "worst"}, left: []int{0}}
	for i, p := range at {
		if i > 0 && p == at[i-1] {
			continue
		}
		var name []string
		for k, v := range sw.Grid.At(p) {
			name = append(name, sw.Grid[k].Name+"="+shortNumber(v))
		}
		head := strings.Join(name, " ")
		if i == 0 {
			head = "it. " + head
		}
		t.header = append(t.header, head)
	}
	t.header = append(t.header, "deviation", "seconds")
	for first := 0; first+rep.Points <= len(rep.Cells); first += rep.Points {
		cells := rep.Cells[first : first+rep.Points]
		var converged, samples int
		worst, deviation, seconds := 1.0, 0.0, 0.0
		for _, c := range cells {
			n := c.Status[batch.Converged]
			converged, samples, seconds = converged+n, samples+c.Samples, seconds+c.Seconds
			worst = math.Min(worst, float64(n)/float64(c.Samples))
			if !(c.PathDeviation <= deviation) {
				deviation = c.PathDeviation
			}
		}
		r := []string{label(cells[0].Method), percent(float64(converged) / float64(samples)), percent(worst)}
		for i, p := range at {
			if i == 0 || p != at[i-1] {
				r = append(r, shortNumber(cells[p].IterationsMedian))
			}
		}
		t.add(append(r, shortNumber(deviation), shortNumber(seconds))...)
	}
	t.fit(columns(w), []string{"seconds", "worst", "deviation"})
	t.addSparklines(w, sw, rep)
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	return t.write(w)
}

// bestPoints is the most grid points that have their best samples below the table; of more, CSV and JSON have them.
const bestPoints = 5

// best is a line for each grid point: where its sample with the lowest loss ended, whatever the method. Losses of several grid points
// are not compared, as each has a loss of its own.
func best(w io.Writer, sw *batch.Sweep, rep *batch.Report, label func(batch.Spec) string) error {
	var points []batch.Cell // the best cell of each grid point
	for _, c := range rep.Cells {
		i := slices.IndexFunc(points, func(p batch.Cell) bool { return slices.Equal(p.Params, c.Params) })
		switch {
		case i < 0:
			points = append(points, c)
		case c.Best != nil && (points[i].Best == nil || c.Best.Loss < points[i].Best.Loss):
			points[i] = c
		}
	}
	gap := "\n"
	for _, c := range points {
		if c.Best == nil {
			continue
		}
		line := []string{"Best"}
		if rep.Points > 1 {
			line = append(line, "at")
			at := named(sw, c.Params)
			for _, a := range sw.Grid {
				line = append(line, a.Name+"="+shortNumber(at[a.Name]))
			}
		}
		line[len(line)-1] += ":"
		for i, x := range c.Best.X {
			line = append(line, sw.Model.Problem().Inputs[i]+"="+exact(x))
		}
		line[len(line)-1] += fmt.Sprintf(", loss %s (%s, start %d)", exact(c.Best.Loss), label(c.Method), c.Best.Start)
		if _, err := io.WriteString(w, gap+wrap(strings.Join(line, " "), "", min(columns(w), longLine))+"\n"); err != nil {
			return err
		}
		gap = ""
	}
	return nil
}

// notes counts the samples by status, with what can be done about each.
func notes(w io.Writer, rep *batch.Report) error {
	total := map[batch.Status]int{}
	for _, c := range rep.Cells {
		for st, n := range c.Status {
			total[st] += n
		}
	}
	gap := "\n"
	for _, st := range batch.Statuses() {
		if total[st] == 0 || st == batch.Converged {
			continue
		}
		if _, err := io.WriteString(w, gap+wrap(fmt.Sprintf("%s: %s (%s). %s.", plural.Of(total[st], "sample"), st, st.Predicate(), upperFirst(st.Remedy())), "", min(columns(w), longLine))+"\n"); err != nil {
			return err
		}
		gap = ""
	}
	return nil
}

// longLine is where text is broken that no terminal bounds: nowhere.
const longLine = 1 << 20

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func named(sw *batch.Sweep, values []float64) map[string]float64 {
	m := map[string]float64{}
	for i, q := range sw.Model.Problem().Params {
		m[q.Name] = values[i]
	}
	return m
}

// number is a float64 that JSON can carry: null for NaN and the infinities.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	x := float64(n)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, x, 'g', -1, 64), nil
}

func numbers(x []float64) []number {
	r := make([]number, len(x))
	for i := range x {
		r[i] = number(x[i])
	}
	return r
}

func numberRows(x [][]float64) [][]number {
	r := make([][]number, len(x))
	for i := range x {
		r[i] = numbers(x[i])
	}
	return r
}

// exact prints a number so that it reads back to the same bits.
func exact(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// short prints a number with up to eight digits.
func short(x float64) string { return strconv.FormatFloat(x, 'g', 8, 64) }

// shortNumber prints a number with four digits, a dash for NaN.
func shortNumber(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return strings.TrimPrefix(strconv.FormatFloat(x, 'g', 4, 64), "+")
}

func percent(x float64) string { return strconv.FormatFloat(math.Floor(1000*x)/10, 'f', 1, 64) + "%" }

// table prints rows in columns, numbers to the right.
type table struct {
	header []string
	left   []int // columns that are set to the left
	rows   [][]string
}

func (t *table) add(r ...string) { t.rows = append(t.rows, r) }

// gap adds an empty line.
func (t *table) gap() { t.rows = append(t.rows, nil) }

func (t *table) write(w io.Writer) error {
	width := make([]int, len(t.header))
	for _, r := range append([][]string{t.header}, t.rows...) {
		for i, s := range r {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	left := map[int]bool{}
	for _, i := range t.left {
		left[i] = true
	}
	var b strings.Builder
	for _, r := range append([][]string{t.header}, t.rows...) {
		var line strings.Builder
		for i, s := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			if i > 0 {
				line.WriteString("  ")
			}
			if left[i] {
				line.WriteString(s + pad)
			} else {
				line.WriteString(pad + s)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
