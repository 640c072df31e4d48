// Command assemble holds the kernels against NVIDIA's own assembler: it writes the kernels of every built-in
// problem x method in float64 and in float32, has ptxas assemble each, and prints a table of registers, stack and spills.
//
// Every kernel is assembled for every architecture, random programs for the first, and with a newer assembler a covering choice:
// each problem and each method at least once in either type, and the largest kernel. It fails if ptxas refuses a kernel or warns of one,
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
	"invar/program"
	"invar/program/progtest"
)

// kernel is one problem x method in one type of numbers.
type kernel struct {
	problem, method string
	dtype           program.Type
	inputs          int // of the problem
	traced          bool
	file            string
	size            int
}

// dtypes are the types of numbers, in the order in which the table gives them.
var dtypes = []program.Type{program.F64, program.F32}

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

// writeKernels writes the kernels in the order of the table: those of both types next to each other.
func writeKernels(dir string) ([]*kernel, error) {
	models, err := graph.Builtins()
	if err != nil {
		return nil, err
	}
	var all []*kernel
	for _, m := range models {
		p := m.Problem()
		for _, method := range batch.Methods() {
			if method.Supports(p) != nil {
				continue
			}
			kinds := []bool{false}
			if len(all)%14 == 0 { // now and then with a trace as well
				kinds = append(kinds, true)
			}
			for _, traced := range kinds {
				for _, dtype := range dtypes {
					k := &kernel{problem: p.Name, method: method.Name, dtype: dtype, inputs: p.N(), traced: traced}
					o := batch.Options{Limits: batch.DefaultLimits(len(p.Minima) > 0), DType: dtype}
					prog, err := batch.Compile(m, batch.Spec{Method: method}, o)
					if err != nil {
						return nil, err
					}
					if err := k.write(dir, prog); err != nil {
						return nil, err
					}
					all = append(all, k)
				}
			}
		}
	}
	return all, nil
}

// writeRandom writes kernels that use every operation with every kind of operand, constants among them.
func writeRandom(dir string) ([]*kernel, error) {
	var all []*kernel
	for i := range uint64(40) {
		r := rand.New(rand.NewPCG(9, i))
		p := progtest.Program(r, 1+r.IntN(4), 10+r.IntN(150), dtypes...)
		k := &kernel{problem: fmt.Sprintf("random%d", i), method: "program", inputs: 1000, traced: i%2 == 1}
		if k.traced {
			p.Optimize()
		}
		if err := k.write(dir, p); err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

func (k *kernel) write(dir string, p *program.Program) error {
	name := k.problem + "-" + k.method
	if k.dtype != program.None {
		name += "-" + batch.DTypeName(k.dtype)
	}
	var trace []int
	if k.traced {
		name, trace = name+"-trace", p.Results
	}
	c, err := ptx.Compile(p, trace)
	if err != nil {
		return err
	}
	k.file, k.size = filepath.Join(dir, name+".ptx"), len(c.Text)
	return os.WriteFile(k.file, []byte(c.Text), 0o644)
}

// covering chooses kernels such that each problem and each method is there, the largest kernel, and a traced one.
func covering(all []*kernel) []*kernel {
	var out []*kernel
	seen := map[string]bool{}
	large := slices.MaxFunc(all, func(a, b *kernel) int { return cmp.Compare(a.size, b.size) })
	for _, k := range slices.Backward(all) {
		p, m, traced := fmt.Sprint("problem ", k.problem, k.dtype), fmt.Sprint("method ", k.method, k.dtype), fmt.Sprint("traced ", k.traced, k.dtype)
		if k == large || !seen[p] || !seen[m] || !seen[traced] {
			out = append(out, k)
			seen[p], seen[m], seen[traced] = true, true, true
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
	var row []*job // of a kernel in each type, and for each architecture
	for _, j := range all {
		if j.ptxas != ptxas || j.k.method == "program" {
			continue
		}
		if row = append(row, j); len(row) < len(dtypes)*len(archs) {
			continue
		}
		method := j.k.method
		if j.k.traced {
			method += " (trace)"
		}
		fmt.Fprintf(&s, "| %s | %s |", j.k.problem, method)
		for i := range archs {
			s.WriteString(pair(row, func(of []*job) string { return strconv.Itoa(of[i].registers) }))
		}
		worst := func(of []*job, what func(*job) int) string {
			return strconv.Itoa(what(slices.MaxFunc(of, func(a, b *job) int { return cmp.Compare(what(a), what(b)) })))
		}
		s.WriteString(pair(row, func(of []*job) string { return worst(of, func(j *job) int { return j.stack }) }))
		s.WriteString(pair(row, func(of []*job) string { return worst(of, func(j *job) int { return j.store }) }))
		s.WriteString(pair(row, func(of []*job) string {
			least := 1.0
			for _, j := range of {
				least = min(least, occupancy(j.arch, j.registers))
			}
			return fmt.Sprintf("%.0f %%", 100*least)
		}))
		s.WriteByte('\n')
		row = row[:0]
	}
	return os.WriteFile(file, []byte(s.String()), 0o644)
}

// pair is a cell of the table: what the jobs of each type give, once where it is the same.
func pair(row []*job, give func(of []*job) string) string {
	n := len(row) / len(dtypes)
	var all []string
	for i := range dtypes {
		all = append(all, give(row[i*n:][:n]))
	}
	return " " + strings.Join(slices.Compact(all), " / ") + " |"
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
