package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sbinet/npyio/npy"
	"github.com/spf13/cobra"

	"invar/kernels"
)

// atEnd is run when all tests are done.
var atEnd []func()

type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	for _, f := range atEnd {
		f()
	}
	return code
}

// TestMain puts the command on the path, for scripts and for examples.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"sweep": main})
}

// TestScripts runs testdata/script. Beside testscript's own commands they have
//
//	bad CODE ARGS...    sweep ARGS exits with CODE, prints nothing to stdout, leaves no new file, and
//	                    says what is wrong in one line, caret lines apart
//	npy FILE TYPE ORDER ROWS X...   writes a NumPy file of rows of numbers; TYPE f8, f4 or i8, ORDER C or F
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bad": scriptBad,
			"npy": scriptNPY,
		},
	})
}

func scriptBad(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: bad CODE ARGS...")
	}
	before := listing(ts)
	err := ts.Exec("sweep", args[1:]...)
	code := "0"
	if e, ok := err.(*exec.ExitError); ok {
		code = fmt.Sprint(e.ExitCode())
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
	if stdout != "" {
		ts.Fatalf("something on stdout")
	}
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	for _, l := range lines[1:] {
		if !strings.HasPrefix(l, "    ") { // the formula and the caret
			ts.Fatalf("more than one line on stderr")
		}
	}
	if len(lines) > 3 || !strings.HasPrefix(lines[0], "sweep: ") || strings.Contains(lines[0], "internal error") {
		ts.Fatalf("stderr is not one line with what is wrong")
	}
	if after := listing(ts); after != before {
		ts.Fatalf("files before:\n%s\nafter:\n%s", before, after)
	}
}

// listing is all files of the script's folder with their sizes.
func listing(ts *testscript.TestScript) string {
	var b strings.Builder
	ts.Check(filepath.Walk(ts.MkAbs("."), func(path string, info os.FileInfo, err error) error {
		if err == nil && !strings.HasPrefix(path, ts.MkAbs(".tmp")) {
			fmt.Fprintln(&b, path, info.Size())
		}
		return err
	}))
	return b.String()
}

func scriptNPY(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: npy FILE TYPE ORDER ROWS X...")
	}
	var rows int
	_, err := fmt.Sscan(args[3], &rows)
	ts.Check(err)
	cols := (len(args) - 4) / max(rows, 1)
	order, data := "False", make([]float64, 0, len(args))
	for _, s := range args[4:] {
		var x float64
		_, err := fmt.Sscan(s, &x)
		ts.Check(err)
		data = append(data, x)
	}
	if args[2] == "F" {
		order = "True"
		t := make([]float64, len(data))
		for r := range rows {
			for c := range cols {
				t[c*rows+r] = data[r*cols+c]
			}
		}
		data = t
	}
	header := fmt.Sprintf("{'descr': '<%s', 'fortran_order': %s, 'shape': (%d, %d), }", args[1], order, rows, cols)
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
	b = append(b, header...)
	for _, x := range data {
		switch args[1] {
		case "f8":
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		case "f4":
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		default:
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

// visit calls f for every command that a user sees.
func visit(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, s := range c.Commands() {
		if s.IsAvailableCommand() {
			visit(s, f)
		}
	}
}

// exampleSetup is run in the folder in which a command's examples run.
var exampleSetup = map[string]string{}

// examplesOnGPU are the examples that need a GPU, and the index of it. Elsewhere they say that it is not there.
var examplesOnGPU = map[string]int{"sweep selftest": 0, "sweep selftest --device cuda:1": 1}

// Every command has one line of what it does, three examples that run as they stand, and help that
// fits 80 columns.
func TestHelpAndExamples(t *testing.T) {
	visit(newRoot(nil, nil), func(c *cobra.Command) {
		t.Run(c.CommandPath(), func(t *testing.T) {
			t.Parallel()
			if c.Short == "" || strings.ContainsAny(c.Short, "\n") || strings.HasSuffix(c.Short, ".") {
				t.Errorf("the line is %q", c.Short)
			}
			examples := strings.Split(c.Example, "\n")
			if len(examples) != 3 {
				t.Errorf("%d examples, want 3", len(examples))
			}
			var help strings.Builder
			writeHelp(&help, c)
			for _, l := range strings.Split(help.String(), "\n") {
				if len(l) > 80 {
					t.Errorf("a line of %d columns in the help: %s", len(l), l)
				}
			}
			dir := t.TempDir()
			shell := func(line string) {
				cmd := exec.Command("sh", "-e", "-c", line)
				cmd.Dir = dir
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if gpu, ok := examplesOnGPU[line]; ok {
					if d, _ := kernels.Devices(); gpu >= len(d) {
						if cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(stderr.String(), "--device cuda") {
							t.Errorf("%s without that GPU: exit code %d: %s", line, cmd.ProcessState.ExitCode(), stderr.String())
						}
						return
					}
				}
				if err != nil {
					t.Errorf("%s: %v\n%s%s", line, err, out, stderr.String())
				}
			}
			if s := exampleSetup[c.CommandPath()]; s != "" {
				shell(s)
			}
			for _, e := range examples {
				shell(strings.TrimSpace(e))
			}
		})
	})
}

// No flag is left without a heading of the help, and no heading names a flag that does not exist.
// On a narrow terminal a line of progress is cut, not broken.
func TestOneLine(t *testing.T) {
	for _, c := range []struct {
		columns int
		want    string
	}{{1, ""}, {5, " 50%"}, {7, " 50%  "}, {8, " 50%  l"}, {9, " 50%  lm"}, {80, " 50%  lm"}, {math.MaxInt, " 50%  lm"}} {
		if got := oneLine(" 50%  lm", c.columns); got != c.want {
			t.Errorf("%d columns: %q, want %q", c.columns, got, c.want)
		}
	}
}

func TestFlagGroups(t *testing.T) {
	listed := map[string]bool{"help": true}
	known := map[string]bool{}
	for _, g := range flagGroups {
		for _, n := range g.names {
			listed[n] = true
		}
	}
	root := newRoot(nil, nil)
	for _, n := range flagNames(root) {
		if !listed[n] {
			t.Errorf("--%s is in no group", n)
		}
	}
	visit(root, func(c *cobra.Command) {
		for _, n := range flagNames(c) {
			known[n] = true
		}
	})
	for n := range listed {
		if n != "help" && !known[n] {
			t.Errorf("the groups name --%s, and no command has it", n)
		}
	}
}

// A NumPy file that npyio wrote is read, and one that is cut off is not.
func TestStartsFromNPY(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.npy")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := npy.Write(f, []float64{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	points, err := readStarts(file, []string{"x0"})
	if err != nil || fmt.Sprint(points) != "[[1] [2] [3]]" {
		t.Fatalf("got %v, %v", points, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) {
		if _, err := parseNPY(data[:n], []string{"x0"}); err == nil {
			t.Fatalf("%d bytes of %d are read without an error", n, len(data))
		}
	}
}

// No input makes the readers of starts panic.
func FuzzStarts(f *testing.F) {
	for _, s := range []string{"1,2\n3,4\n", "x0,x1\r\n1,2\r\n", "\ufeff1,2", "\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}\n", "\x93NUMPY\x02\x00\x01\x00\x00\x00\n"} {
		f.Add([]byte(s))
	}
	inputs := []string{"x0", "x1"}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parse := range []func([]byte, []string) ([][]float64, error){
			func(b []byte, in []string) ([][]float64, error) { return parseCSV(b, in) },
			func(b []byte, in []string) ([][]float64, error) { return parseNPY(b, in) },
		} {
			points, err := parse(data, inputs)
			for _, p := range points {
				if err != nil || len(p) != 2 || !finite(p...) {
					t.Fatalf("%v, %v", points, err)
				}
			}
		}
	})
}
