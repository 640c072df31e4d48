package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"

	"invar/batch"
	"invar/internal/plural"
	"invar/program"
)

// dryRun prints what a sweep would do: the grid as resolved, counts, memory and
// work. It runs nothing.
func dryRun(w io.Writer, sw *batch.Sweep, c *config) error {
	p := sw.Model.Problem()
	starts, points := int64(sw.Starts.Len()), int64(sw.Grid.Len())
	var b strings.Builder
	field := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s\n", hang(fmt.Sprintf("%-12s", name), fmt.Sprintf(format, args...)))
	}
	field("problem", "%s: %s, %s", p.Name, plural.Of(p.N(), "input"), plural.Of(p.M(), "output"))
	onAxis := map[string]bool{}
	for _, a := range sw.Grid {
		onAxis[a.Name] = true
		field("  "+a.Name, "%s: %s", plural.Of(len(a.Values), "value"), listed(a.Values))
	}
	for _, q := range p.Params {
		if !onAxis[q.Name] {
			field("  "+q.Name, "%s, its default", exact(q.Default))
		}
	}
	field("grid", "%s", plural.Of(int(points), "point"))
	field("starts", "%d a point, %s", starts, describeStarts(sw, c))
	l := sw.Limits
	tests := []string{plural.Of(l.Iterations, "iteration")}
	for _, t := range []struct {
		name  string
		value float64
	}{{"dtol", l.DTol}, {"gtol", l.GTol}, {"ltol", l.LTol}, {"xtol", l.XTol}} {
		if t.value > 0 {
			tests = append(tests, t.name+" "+exact(t.value))
		}
	}
	field("limits", "%s", strings.Join(tests, ", "))
	field("numbers", "%s", batch.DTypeName(sw.DType))
	threads, _ := sw.InFlight(1)
	field("engine", "%s, %s", sw.Engine.Name(), plural.Of(threads, "thread"))

	label := batch.Labels(sw.Methods)
	t := &table{header: []string{"at most", "samples", "evaluations", "operations each", "operations"}, left: []int{0}}
	var samples, evaluations, operations float64
	var columns int
	for i, given := range sw.Methods {
		spec, err := given.Resolve(p)
		if err != nil {
			return usage(err)
		}
		field(first(i, "methods"), "%s", spec)
		prog, err := batch.Compile(sw.Model, spec, batch.Options{Limits: sw.Limits, DType: sw.DType, Split: sw.Split})
		if err != nil {
			return err
		}
		columns = max(columns, len(prog.In)+len(prog.Results))
		n := float64(starts) * float64(points)
		most := n * float64(evaluationsAtMost(prog, sw.Limits.Iterations))
		each := work(prog.Step)
		t.add(label(given), big(n), big(most), big(each), big(most*each))
		samples, evaluations, operations = samples+n, evaluations+most, operations+most*each
	}
	t.gap()
	t.add("total", big(samples), big(evaluations), "", big(operations))
	b.WriteString("\n")
	if err := t.write(&b); err != nil {
		return err
	}
	b.WriteString("\n")
	memory, bytes := memoryAtMost(sw, columns), samples*float64(8*columns)
	field("memory", "about %s", size(memory))
	field("data", "%s a sample as inputs and results, %s in all", size(float64(8*columns)), size(bytes))
	b.WriteString("\nNothing was run. Samples that converge end early: most sweeps take far less.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// describeStarts says where the starts come from.
func describeStarts(sw *batch.Sweep, c *config) string {
	s, ok := sw.Starts.(*batch.Sampled)
	switch {
	case !ok && c.startsFile != "":
		return "from " + c.startsFile
	case !ok:
		return "as given"
	}
	return fmt.Sprintf("%s, seed %d, in %s", s.Sampler.Name(), c.seed, boxText(s.Box))
}

// boxText is [-3, 3] x [0, 1], or [-3, 3]^4.
func boxText(box [][2]float64) string {
	same := true
	var parts []string
	for _, b := range box {
		same = same && b == box[0]
		parts = append(parts, fmt.Sprintf("[%s, %s]", exact(b[0]), exact(b[1])))
	}
	if same && len(parts) > 1 {
		return fmt.Sprintf("%s^%d", parts[0], len(parts))
	}
	return strings.Join(parts, " x ")
}

// listed shows up to eight values, else the ends.
func listed(v []float64) string {
	const most = 8
	var s []string
	for i, x := range v {
		if len(v) > most && i >= 3 && i < len(v)-2 {
			if i == 3 {
				s = append(s, "...")
			}
			continue
		}
		s = append(s, shortNumber(x))
	}
	return strings.Join(s, ", ")
}

// hang wraps text behind a label, its further lines under the first.
func hang(label, text string) string {
	indent := strings.Repeat(" ", len(label))
	return label + strings.TrimPrefix(wrap(text, indent, helpWidth), indent)
}

// evaluationsPerIteration is how many evaluations a method with trials may use for an iteration.
const evaluationsPerIteration = 64

// evaluationsAtMost bounds the evaluations of one sample.
func evaluationsAtMost(p *program.Program, iterations int) int {
	if oneEvaluation(p) {
		return iterations + 1
	}
	return iterations*evaluationsPerIteration + 1
}

// memoryAtMost estimates the memory of a run in bytes: samples on their way, the
// losses and distances of the grid points that are open at a time and room to sort in, and the table.
func memoryAtMost(sw *batch.Sweep, columns int) float64 {
	batches, most := sw.InFlight(columns)
	starts, points := float64(sw.Starts.Len()), float64(sw.Grid.Len())
	onTheWay := float64(batches * most * 8 * columns)
	counted := float64(batches * min(most/batch.ChunkSize, runtime.GOMAXPROCS(0))) // chunks at a time
	open := math.Min(points, counted*math.Ceil(1+batch.ChunkSize/starts)) * (3*8*starts + 8*float64(sw.Limits.Iterations+1))
	cells := float64(len(sw.Methods)) * points * (800 + 8*float64(len(sw.Model.Problem().Params)))
	given := 0.0
	if pts, ok := sw.Starts.(batch.Points); ok {
		given = float64(len(pts) * (24 + 8*sw.Model.Problem().N()))
	}
	const program = 16 << 20 // the command itself
	return program + onTheWay + open + cells + given
}

// size is a number of bytes for people.
func size(bytes float64) string {
	for _, u := range []string{"B", "kB", "MB", "GB", "TB"} {
		if bytes < 999.5 || u == "TB" {
			return fmt.Sprintf("%.3g %s", bytes, u)
		}
		bytes /= 1000
	}
	return ""
}

// big is a whole number below ten million, else three digits of it.
func big(x float64) string {
	if x < 1e7 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
