// Command sass counts the instructions that a GPU executes in one iteration of a sample: those of Invar's kernels, and
// those of the same programs written by hand in CUDA C (hand/) and compiled by NVIDIA's nvcc -O3. Both go through the same
// assembler; nvdisasm lists what comes out. It needs no GPU, and runs from the top of the tree.
//
// For each program and architecture the arithmetic instructions and all instructions are set side by side; Invar may
// have most times those of the program by hand, else the command fails. The programs by hand do the same work, which is
// checked: compiled for this processor, they end where Invar's do, to the bit. From the counts follows how many samples a second a
// card could do at most; that is computed, not measured. What is found is written to bench/SASS.md, or held against it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"invar/kernels/ptx"
)

// most is how many times the instructions of the program by hand ours may have.
const most = 1.1

// The architectures that are compared.
var archs = []string{"sm_80", "sm_89", "sm_90", "sm_100", "sm_120"}

// code is a program for an architecture, compiled.
type code struct {
	count
	registers string
}

// row compares a program for an architecture.
type row struct {
	it         *item
	arch       string
	ours, hand code
	err        error
}

// tools are the paths of programs.
type tools struct{ nvcc, ptxas, nvdisasm, cxx string }

func main() {
	var t tools
	flag.StringVar(&t.nvcc, "nvcc", "nvcc", "compiler of CUDA C")
	flag.StringVar(&t.ptxas, "ptxas", "ptxas", "assembler of PTX")
	flag.StringVar(&t.nvdisasm, "nvdisasm", "nvdisasm", "lists the instructions of a cubin")
	flag.StringVar(&t.cxx, "cxx", "g++", "compiler of C++ for this processor")
	out := flag.String("out", "bench/SASS.md", "file to write")
	check := flag.Bool("check", false, "hold -out against what is found instead of writing it")
	jobs := flag.Int("j", runtime.GOMAXPROCS(0), "compilers at a time")
	flag.Parse()
	if err := run(t, *out, *check, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "sass:", err)
		os.Exit(1)
	}
}

func run(t tools, out string, check bool, jobs int) error {
	dir, err := os.MkdirTemp("", "sass")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var rows []*row
	for i := range items {
		it := &items[i]
		if err := it.same(t.cxx, it.source(), dir); err != nil {
			return err
		}
		prog, _, err := it.compile(1)
		if err != nil {
			return err
		}
		k, err := ptx.Compile(prog, nil)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, it.hand+".ptx"), []byte(k.Text), 0o644); err != nil {
			return err
		}
		for _, arch := range archs {
			rows = append(rows, &row{it: it, arch: arch})
		}
	}
	next := make(chan *row)
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for r := range next {
				r.err = r.compile(t, dir)
			}
		})
	}
	for _, r := range rows {
		next <- r
	}
	close(next)
	wg.Wait()
	for _, r := range rows {
		if r.err != nil {
			return fmt.Errorf("%s for %s: %w", r.it.hand, r.arch, r.err)
		}
	}

	version, err := exec.Command(t.ptxas, "--version").Output()
	if err != nil {
		return err
	}
	text := report(rows, release(string(version)))
	if err := judge(rows); err != nil {
		return err
	}
	if !check {
		return os.WriteFile(out, []byte(text), 0o644)
	}
	old, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	if string(old) != text {
		return fmt.Errorf("%s is not what is found now: run make bench-sass", out)
	}
	return nil
}

// judge names the programs that are too long.
func judge(rows []*row) error {
	var long []string
	for _, r := range rows {
		for _, c := range []struct {
			what       string
			ours, hand int
		}{{"instructions", r.ours.total, r.hand.total}, {"arithmetic instructions", r.ours.double, r.hand.double}} {
			if float64(c.ours) > most*float64(c.hand) {
				long = append(long, fmt.Sprintf("%s for %s: %d %s, by hand %d", r.it.hand, r.arch, c.ours, c.what, c.hand))
			}
		}
	}
	if len(long) > 0 {
		return fmt.Errorf("more than %g times the program by hand:\n%s", most, strings.Join(long, "\n"))
	}
	return nil
}

// release is the version in what ptxas --version prints.
func release(s string) string {
	if m := regexp.MustCompile(`V(\d+(\.\d+)+)`).FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return "of an unknown version"
}

func (it *item) source() string { return filepath.Join("bench", "sass", "hand", it.hand+".cu") }

// compile makes both programs and counts them.
func (r *row) compile(t tools, dir string) (err error) {
	base := filepath.Join(dir, r.it.hand)
	ours, hand := base+"."+r.arch+".ours", base+"."+r.arch+".hand"
	if r.ours, err = r.disassemble(t, ours, t.ptxas, "-v", "-O3", "-arch="+r.arch, "-o", ours, base+".ptx"); err != nil {
		return fmt.Errorf("ours: %w", err)
	}
	r.hand, err = r.disassemble(t, hand, t.nvcc, "-std=c++17", "-O3", "--fmad=false", "-Xptxas=-v", "-arch="+r.arch, "-cubin", "-o", hand, r.it.source())
	if err != nil {
		return fmt.Errorf("by hand: %w", err)
	}
	return nil
}

var registers = regexp.MustCompile(`Used (\d+) registers`)

// disassemble runs a compiler that writes cubin, and counts what is in it.
func (r *row) disassemble(t tools, cubin, compiler string, args ...string) (code, error) {
	out, err := exec.Command(compiler, args...).CombinedOutput()
	if err != nil {
		return code{}, fmt.Errorf("%s: %v\n%s", filepath.Base(compiler), err, out)
	}
	listing, err := exec.Command(t.nvdisasm, "-c", cubin).Output()
	if err != nil {
		return code{}, fmt.Errorf("nvdisasm: %w", err)
	}
	m := registers.FindSubmatch(out)
	if m == nil {
		return code{}, fmt.Errorf("the assembler does not say how many registers are used:\n%s", out)
	}
	blocks, err := parse(string(listing), ptx.Entry)
	if err != nil {
		return code{}, err
	}
	c, err := iteration(blocks, r.it.trips)
	return code{c, string(m[1])}, err
}
