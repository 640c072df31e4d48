//go:build linux || darwin || windows

package cpu

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"invar/program"
	"invar/program/progtest"
)

// growing are functions of x with about n operations, of kinds that ask different things of the emitter.
var growing = []struct {
	name  string
	write func(b *program.Builder, x program.Value, n int) program.Value
}{
	{"chain", func(b *program.Builder, x program.Value, n int) program.Value { // each waits for the one before
		for range n {
			x = b.FMA(x, b.F(0.999), b.F(0.25))
		}
		return x
	}},
	{"wide", func(b *program.Builder, x program.Value, n int) program.Value { // a third of all values are alive at once
		var all []program.Value
		for k := range n / 3 {
			all = append(all, b.Sqrt(b.Add(x, b.F(float64(k)))))
		}
		y := x
		for k := range all { // the last one first
			y = b.FMA(y, b.F(0.5), all[len(all)-1-k])
		}
		return y
	}},
	{"guards", func(b *program.Builder, x program.Value, n int) program.Value {
		return guards(b, x, n/6)
	}},
	{"kept", func(b *program.Builder, x program.Value, n int) program.Value { // what is alive while guards come and go
		var all []program.Value
		for k := range n / 8 {
			all = append(all, b.Sqrt(b.Add(x, b.F(float64(k)))))
		}
		y := guards(b, x, n/8)
		for k := range all {
			y = b.FMA(y, b.F(0.5), all[len(all)-1-k])
		}
		return y
	}},
	{"loops", func(b *program.Builder, x program.Value, n int) program.Value {
		a := b.NewArray(8)
		for k := range n / 8 {
			x = b.Loop(program.At(0), program.At(8), []program.Value{x}, func(i program.Affine, c []program.Value) []program.Value {
				b.Store(a, i, c[0])
				return []program.Value{b.FMA(b.Load(a, i), b.F(0.5), b.F(float64(k)))}
			})[0]
		}
		return x
	}},
}

// guards writes n guards, one after the other.
func guards(b *program.Builder, x program.Value, n int) program.Value {
	y := x
	for k := range n {
		rare := b.Lt(y, b.F(float64(-k)))
		y = b.Add(b.Mul(y, y), b.Guard(rare, []program.Value{x}, func() []program.Value { return []program.Value{b.Div(b.Sqrt(y), x)} })[0])
	}
	return y
}

// BenchmarkNativeGrowth measures how the time to write code grows with the length of a program. TestGrowth counts what it does.
func BenchmarkNativeGrowth(b *testing.B) {
	for _, g := range growing {
		b.Run(g.name, func(b *testing.B) {
			for _, n := range growthSizes {
				b.Run(fmt.Sprint(n), func(b *testing.B) {
					w := program.NewBuilder(g.name)
					f := w.Finish(g.write(w, w.Input("x", program.F64), n))
					p := progtest.Wrap(f)
					for _, isa := range []*isa{&avx512, &avx2} {
						b.Run(isa.name, func(b *testing.B) {
							for range b.N {
								if _, err := emitProgram(p, isa, emitOptions{}); err != nil {
									b.Fatal(err)
								}
							}
							b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(f.Instrs)), "ns/operation")
						})
					}
				})
			}
		})
	}
}

var growthSizes = []int{1000, 4000, 16000}

// The work of writing code grows with the length of the program and no faster. Times depend on the machine and on what else it does:
// what is counted are the statements executed in these packages, by the instrumentation that coverage reports
// come from, and the bytes allocated, which copies of whatever grows would show in.
func TestGrowth(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "counting.exe")
	build := exec.Command("go", "test", "-c", "-tags", "nocuda", "-covermode=count", "-coverpkg=invar/program,invar/cpu,invar/cpu/internal/amd64", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, g := range growing {
		for _, isa := range []*isa{&avx512, &avx2} {
			var statements, bytes []float64
			for _, n := range growthSizes {
				profile := filepath.Join(dir, "profile")
				run := exec.Command(bin, "-test.run=^$", fmt.Sprintf("-test.bench=^BenchmarkNativeGrowth$/^%s$/^%d$/^%s$", g.name, n, isa.name),
					"-test.benchtime=1x", "-test.benchmem", "-test.coverprofile="+profile)
				run.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=1") // memory comes from pools, which collections empty, and of which each processor has its own
				out, err := run.CombinedOutput()
				m := allocated.FindSubmatch(out)
				if err != nil || m == nil {
					t.Fatalf("%v\n%s", err, out)
				}
				b, err := strconv.ParseFloat(string(m[1]), 64)
				if err != nil {
					t.Fatal(err)
				}
				statements, bytes = append(statements, executed(t, profile)), append(bytes, b)
			}
			linear := func(what string, n []float64) {
				// What does not depend on the length drops out of the differences.
				r := (n[2] - n[1]) / (n[1] - n[0])
				t.Logf("%s on %s: %.0f %s for %v operations, the last difference %.2f times the one before", g.name, isa.name, n, what, growthSizes, r)
				if !(r > 3 && r < 5) {
					t.Errorf("%s on %s: %.0f %s for %v operations, want four times as many for four times the length", g.name, isa.name, n, what, growthSizes)
				}
			}
			linear("statements", statements)
			linear("bytes", bytes)
		}
	}
}

var allocated = regexp.MustCompile(`(\d+) B/op`)

// executed is the number of statements in a coverage profile, each as often as it was executed.
func executed(t *testing.T, profile string) (sum float64) {
	t.Helper()
	file, err := os.Open(profile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan() // the mode
	for lines.Scan() {
		var where string
		var statements, count float64
		if _, err := fmt.Sscan(lines.Text(), &where, &statements, &count); err != nil {
			t.Fatal(err)
		}
		sum += statements * count
	}
	if err := lines.Err(); err != nil || sum == 0 {
		t.Fatalf("%.0f statements in %s: %v", sum, profile, err)
	}
	return sum
}
