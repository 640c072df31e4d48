// Command assemble holds the kernels against NVIDIA's own assembler: it writes the kernel of every built-in
// problem x method, has ptxas assemble each, and prints a table of registers, stack and spills.
//
// Every kernel is assembled for every architecture, random programs for the first, and with a newer assembler a covering choice:
// each problem and each method at least once, and the largest kernel. It fails if ptxas refuses a kernel or warns of one,
// and if a kernel of a problem of two inputs spills a register.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"invar/batch"
	"invar/graph"
	"invar/kernels/ptx"
	"invar/problem"
	"invar/program/progtest"
)

// kernel is one problem x method.
type kernel struct {
	problem, method string
	inputs          int // of the problem
	traced          bool
	file            string
	size            int
}

// job is a kernel for an architecture.
type job struct {
	k                              *kernel
	arch, ptxas                    string
	registers, stack, store, loads int
	err                            error
}

func main() {
	ptxas := flag.String("ptxas", "ptxas", "assembler for -archs")
	archs := flag.String("archs", "sm_70,sm_80,sm_90,sm_100,sm_120", "architectures")
	newest := flag.String("newest", "", "a newer ptxas, for -newest-archs")
	newestArchs := flag.String("newest-archs", "sm_90,sm_120", "architectures for -newest")
	table := flag.String("table", "", "file to write the table to")
	write := flag.String("write", "", "only write the kernels into this folder")
	jobs := flag.Int("j", runtime.GOMAXPROCS(0), "assemblers at a time")
	flag.Parse()
	if err := run(*ptxas, *archs, *newest, *newestArchs, *table, *write, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "assemble:", err)
		os.Exit(1)
	}
}

func run(ptxas, archs, newest, newestArchs, table, write string, n int) error {
	dir := write
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "ptx"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	kernels, err := writeKernels(dir)
	if err != nil || write != "" {
		return err
	}
	random, err := writeRandom(dir)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(archs, ",")
	var all []*job
	for _, k := range random {
		all = append(all, &job{k: k, arch: first, ptxas: ptxas})
	}
	for _, k := range kernels {
		for _, arch := range strings.Split(archs, ",") {
			all = append(all, &job{k: k, arch: arch, ptxas: ptxas})
		}
	}
	if newest != "" {
		for _, arch := range strings.Split(newestArchs, ",") {
			for _, k := range covering(kernels) {
				all = append(all, &job{k: k, arch: arch, ptxas: newest})
			}
		}
	}
	// The large ones first, so that none is left alone at the end.
	order := slices.Clone(all)
	slices.SortFunc(order, func(a, b *job) int { return cmp.Compare(b.k.size, a.k.size) })
	next := make(chan *job)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for j := range next {
				j.assemble()
			}
		})
	}
	for _, j := range order {
		next <- j
	}
	close(next)
	wg.Wait()
	return report(all, strings.Split(archs, ","), ptxas, table)
}

func writeKernels(dir string) ([]*kernel, error) {
	var all []*kernel
	for _, name := range problem.Builtins() {
		p, err := problem.Builtin(name)
		if err != nil {
			return nil, err
		}
		m, err := graph.New(p)
		if err != nil {
			return nil, err
		}
		for _, method := range batch.Methods() {
			if method.Supports(p) != nil {
				continue
			}
			prog, err := batch.Compile(m, batch.Spec{Method: method}, batch.Options{Limits: batch.DefaultLimits(len(p.Minima) > 0)})
			if err != nil {
				return nil, err
			}
			k := &kernel{problem: name, method: method.Name, inputs: p.N()}
			var trace []int
			// One method a problem with a trace, in turn.
			if (len(all))%7 == 0 {
				k.traced, trace = true, prog.Results
			}
			for _, t := range [][]int{nil, trace} {
				c, err := ptx.Compile(prog, t)
				if err != nil {
					return nil, err
				}
				if t == nil && trace != nil {
					first := *k
					first.traced = false
					all = append(all, &first)
					if err := first.write(dir, c.Text); err != nil {
						return nil, err
					}
					continue
				}
				if err := k.write(dir, c.Text); err != nil {
					return nil, err
				}
				if trace == nil {
					break
				}
			}
			all = append(all, k)
		}
	}
	return all, nil
}

// writeRandom writes kernels that use every operation with every kind of operand, constants among them.
func writeRandom(dir string) ([]*kernel, error) {
	var all []*kernel
	for i := range uint64(40) {
		r := rand.New(rand.NewPCG(9, i))
		p := progtest.Program(r, 1+r.IntN(4), 10+r.IntN(150))
		k := &kernel{problem: fmt.Sprintf("random%d", i), method: "program", inputs: 1000, traced: i%2 == 1}
		var trace []int
		if k.traced {
			trace = p.Results
			p.Optimize()
		}
		c, err := ptx.Compile(p, trace)
		if err != nil {
			return nil, err
		}
		if err := k.write(dir, c.Text); err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

func (k *kernel) write(dir, text string) error {
	name := k.problem + "-" + k.method
	if k.traced {
		name += "-trace"
	}
	k.file, k.size = filepath.Join(dir, name+".ptx"), len(text)
	return os.WriteFile(k.file, []byte(text), 0o644)
}

// covering chooses kernels such that each problem and each method is there, the largest kernel, and a traced one.
func covering(all []*kernel) []*kernel {
	var out []*kernel
	seen := map[string]bool{}
	large := slices.MaxFunc(all, func(a, b *kernel) int { return cmp.Compare(a.size, b.size) })
	for _, k := range slices.Backward(all) {
		traced := fmt.Sprint("traced ", k.traced)
		if k == large || !seen["p "+k.problem] || !seen["m "+k.method] || !seen[traced] {
			out = append(out, k)
			seen["p "+k.problem], seen["m "+k.method], seen[traced] = true, true, true
		}
	}
	return out
}

var (
	usage = regexp.MustCompile(`Used (\d+) registers`)
	stack = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
)

func (j *job) assemble() {
	out, err := exec.Command(j.ptxas, "-v", "--warning-as-error", "-arch="+j.arch, "-o", os.DevNull, j.k.file).CombinedOutput()
	what := fmt.Sprintf("%s for %s", strings.TrimSuffix(filepath.Base(j.k.file), ".ptx"), j.arch)
	if err != nil {
		j.err = fmt.Errorf("%s: %v\n%s", what, err, out)
		return
	}
	u, s := usage.FindSubmatch(out), stack.FindSubmatch(out)
	if u == nil || s == nil {
		j.err = fmt.Errorf("%s: ptxas says nothing of registers:\n%s", what, out)
		return
	}
	for i, to := range []*int{&j.registers, &j.stack, &j.store, &j.loads} {
		text := append([][]byte{u[1]}, s[1:]...)[i]
		*to, _ = strconv.Atoi(string(text)) // digits, by the expression
	}
	if j.k.inputs <= 2 && j.store+j.loads > 0 {
		j.err = fmt.Errorf("%s spills %d bytes, want none for a problem of two inputs", what, j.store+j.loads)
	}
}

func report(all []*job, archs []string, ptxas, file string) error {
	failed := 0
	for _, j := range all {
		if j.err != nil {
			fmt.Fprintln(os.Stderr, "assemble:", j.err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d kernels failed", failed, len(all))
	}
	byArch := map[string]int{}
	for _, j := range all {
		byArch[j.arch]++
	}
	fmt.Printf("assembled %d kernels: %v\n", len(all), byArch)
	if file == "" {
		return nil
	}
	var s strings.Builder
	s.WriteString("| problem | method |")
	for _, a := range archs {
		fmt.Fprintf(&s, " %s |", a)
	}
	s.WriteString(" stack, bytes | spilled, bytes | occupancy |\n|---|---|" + strings.Repeat("--:|", len(archs)+3) + "\n")
	var row []*job
	for _, j := range all {
		if j.ptxas != ptxas || j.k.method == "program" {
			continue
		}
		if row = append(row, j); len(row) < len(archs) {
			continue
		}
		method := j.k.method
		if j.k.traced {
			method += " (trace)"
		}
		fmt.Fprintf(&s, "| %s | %s |", j.k.problem, method)
		stack, spilled, least := 0, 0, 1.0
		for _, j := range row {
			fmt.Fprintf(&s, " %d |", j.registers)
			stack, spilled, least = max(stack, j.stack), max(spilled, j.store), min(least, occupancy(j.arch, j.registers))
		}
		fmt.Fprintf(&s, " %d | %d | %.0f %% |\n", stack, spilled, 100*least)
		row = row[:0]
	}
	return os.WriteFile(file, []byte(s.String()), 0o644)
}

// occupancy is the part of an architecture's resident warps that a kernel reaches with so many registers a thread. A
// multiprocessor has 65,536 registers, of which a warp takes 256 at a time.
//
// Source: CUDA C++ Programming Guide 12.9, table "Technical Specifications per Compute Capability".
func occupancy(arch string, registers int) float64 {
	warps, blocks := 64, 32
	if arch == "sm_120" {
		warps, blocks = 48, 24
	}
	const warpsPerBlock = ptx.Block / 32
	perWarp := (registers*32 + 255) / 256 * 256
	resident := min(65536/perWarp/warpsPerBlock, blocks, warps/warpsPerBlock) * warpsPerBlock
	return float64(resident) / float64(warps)
}
