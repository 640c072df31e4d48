package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"invar/program"
	"invar/results"
)

const (
	profileTime    = 2 * time.Second // how long an item is repeated at least
	profileJobTime = 5 * time.Second // and the main job, of which Go's profiler takes fewer samples
	sampleRate     = 2000            // a second, of an item
)

// profiled runs the engine under test on an item, on one thread, and tells where its time goes: the operations of a
// step by kind, then the shares of machine code and of functions, and the hottest instructions.
func (c *config) profiled(it *item) (string, error) {
	dir, err := os.MkdirTemp("", "invar-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	n := min(c.size(it), 100_000)
	w, err := prepare(it, n, dir)
	if err != nil {
		return "", err
	}
	e, err := newEngine(c.engine, 1)
	if err != nil {
		return "", err
	}
	o := &ours{engine: e}
	if err := o.load(w, n); err != nil {
		return "", err
	}
	head := fmt.Sprintf("%s: one step of a sample: %s\n", it.name, operations(o.prog))
	at, err := addresses(func() (err error) {
		for begin := time.Now(); err == nil && time.Since(begin) < profileTime; {
			_, err = o.run()
		}
		return err
	})
	if err != nil {
		return head + fmt.Sprintf("No profile: %v.\n", err), nil
	}
	code, err := machineCode(at, dir)
	runtime.KeepAlive(o) // and with it its pages
	if err != nil {
		return head + fmt.Sprintf("No profile: %v.\n", err), nil
	}
	return head + shares(at, code), nil
}

// machineCode disassembles the pages made at run time in which samples lie: instructions by their address.
func machineCode(at []uint64, dir string) (map[uint64]string, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	code := map[uint64]string{}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line) // from-to, permissions, offset, device, inode, file
		if len(f) != 5 || f[1] != "r-xp" {
			continue
		}
		var from, to uint64
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(at, func(a uint64) bool { return from <= a && a < to }) {
			continue
		}
		bytes := make([]byte, to-from)
		if _, err := memory.ReadAt(bytes, int64(from)); err != nil {
			return nil, err
		}
		file := filepath.Join(dir, "code")
		if err := os.WriteFile(file, bytes, 0o600); err != nil {
			return nil, err
		}
		out, err := exec.Command("objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn", fmt.Sprintf("--adjust-vma=%#x", from), file).Output()
		if err != nil {
			return nil, fmt.Errorf("objdump: %w", err)
		}
		disassembly(out, code)
	}
	return code, nil
}

// disassembly adds the instructions that objdump printed to code.
func disassembly(text []byte, code map[uint64]string) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		address, instruction, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":\t")
		if a, err := strconv.ParseUint(address, 16, 64); ok && err == nil {
			code[a] = strings.Join(strings.Fields(instruction), " ")
		}
	}
}

// kinds sorts instructions of machine code by what they are for: the first row with a prefix that fits.
var kinds = []struct {
	name     string
	prefixes []string
}{
	{"divisions", []string{"vdiv"}},
	{"square roots", []string{"vsqrt"}},
	{"additions, multiplications, multiply-adds", []string{"vadd", "vsub", "vmul", "vfmadd", "vfmsub", "vfnmadd", "vfnmsub"}},
	{"roundings and conversions", []string{"vrnd", "vround", "vcvt"}},
	{"comparisons, selects, signs and masks", []string{"vcmp", "vblend", "vpblend", "vptest", "vtest", "vand", "vor", "vxor", "vpand", "vpor", "vpxor", "vptern", "vpcmp", "vpmov", "vmovmsk", "k"}},
	{"loads, stores and moves", []string{"vmov", "vbroadcast", "vpbroadcast", "vgather", "vpgather", "vpcompress", "vcompress", "vpexpand", "vexpand"}},
	{"integers in vectors", []string{"vp"}},
	{"loops and counters", []string{""}},
}

func kindOf(instruction string) string {
	mnemonic, operands, _ := strings.Cut(instruction, " ")
	if strings.HasPrefix(mnemonic, "vmov") && strings.Contains(operands, "{k") {
		mnemonic = "vblend" // a move under a mask is a select
	}
	for _, k := range kinds {
		if slices.ContainsFunc(k.prefixes, func(p string) bool { return strings.HasPrefix(mnemonic, p) }) {
			return k.name
		}
	}
	panic("unreachable: the last row takes all")
}

// shares is a table of where samples lie: in code, by kinds of instructions, or in Go functions of this process.
func shares(at []uint64, code map[uint64]string) string {
	functions, inCode, instructions := map[string]int{}, map[string]int{}, map[uint64]int{}
	total := 0
	for _, a := range at {
		if i, ok := code[a]; ok {
			total++
			inCode[kindOf(i)]++
			instructions[a]++
			continue
		}
		name := "elsewhere"
		if f := runtime.FuncForPC(uintptr(a)); f != nil {
			name = f.Name()
		}
		functions[name]++
	}
	var s strings.Builder
	part := func(n int) float64 { return 100 * float64(n) / float64(max(1, len(at))) }
	fmt.Fprintf(&s, "%d samples of its thread, one every %v of processor time:\n", len(at), time.Second/sampleRate)
	fmt.Fprintf(&s, "%6.1f %%  machine code of the program, of that\n", part(total))
	for _, name := range most(inCode, len(kinds)) {
		fmt.Fprintf(&s, "%14.1f %%  %s\n", part(inCode[name]), name)
	}
	for _, name := range most(functions, 5) {
		fmt.Fprintf(&s, "%6.1f %%  %s\n", part(functions[name]), name)
	}
	if total > 0 {
		fmt.Fprintf(&s, "the hottest of %d instructions; a sample lies on the one that was next to complete:\n", len(instructions))
		for _, a := range most(instructions, 10) {
			fmt.Fprintf(&s, "%6.1f %%  %s\n", part(instructions[a]), code[a])
		}
	}
	return s.String()
}

// most lists the keys of the n largest counts, largest first.
func most[K cmp.Ordered, N int | float64](count map[K]N, n int) []K {
	keys := slices.SortedFunc(maps.Keys(count), func(a, b K) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	return keys[:min(n, len(keys))]
}

// operations counts what a running sample computes in a step, constants left out, guarded blocks apart.
func operations(p *program.Program) string {
	count, guarded, depth := map[string]int{}, 0, 0
	for _, in := range p.Stage().Step.Instrs {
		switch in.Op {
		case program.OpGuard:
			depth++
			continue
		case program.OpEndGuard:
			depth--
			continue
		case program.OpConst, program.OpInput:
			continue
		}
		if depth > 0 {
			guarded++
			continue
		}
		count[in.Op.String()]++
	}
	var s []string
	for name, n := range count {
		s = append(s, fmt.Sprintf("%d %s", n, name))
	}
	slices.SortFunc(s, func(a, b string) int {
		var x, y int
		fmt.Sscan(a, &x)
		fmt.Sscan(b, &y)
		if x != y {
			return y - x
		}
		return strings.Compare(a, b)
	})
	if guarded > 0 {
		s = append(s, fmt.Sprintf("%d in guarded blocks", guarded))
	}
	return strings.Join(s, ", ")
}

// mainJob is the command whose time is a target. BenchmarkJob measures it.
const mainJob = "--alpha 0.01:100 --starts 10000"

// profiledJob repeats the main job in this process under Go's profiler, with a result folder or without, and tells where
// its processor time goes.
func (c *config) profiledJob(keep bool) (string, error) {
	dir, err := os.MkdirTemp("", "invar-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	folder := filepath.Join(dir, "job")
	sweep := append([]string{"run", "-tags", "nocuda", "./cmd/sweep", "--quiet", "--out", folder}, strings.Fields(mainJob)...)
	if out, err := exec.Command("go", sweep...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(sweep, " "), err, out)
	}
	job, err := results.ReadConfig(filepath.Join(folder, "config.toml"))
	if err != nil {
		return "", err
	}
	e, err := newEngine(c.engine, 1) // the driver keeps all threads busy
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "cpu.prof")
	file, err := os.Create(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if err := pprof.StartCPUProfile(file); err != nil {
		return "", err
	}
	for begin := time.Now(); err == nil && time.Since(begin) < profileJobTime; {
		err = runJob(job, e, folder, keep)
	}
	pprof.StopCPUProfile()
	if err != nil {
		return "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=0", "-nodefraction=0", exe, name).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	with := "without a result folder"
	if keep {
		with = "with --out"
	}
	return fmt.Sprintf("sweep %s, %s, again and again:\n", mainJob, with) + byPackage(string(out)), nil
}

// externalCode is where Go's profiler counts machine code that was made at run time. It has no callers there.
const externalCode = "runtime._ExternalCode"

// byPackage makes a table of what "go tool pprof -top" printed: processor time by package, and the functions of Invar by their
// time with all that they call.
func byPackage(top string) string {
	var s strings.Builder
	packages, functions := map[string]float64{}, map[string]float64{}
	for line := range strings.Lines(top) {
		if strings.HasPrefix(line, "Duration:") {
			s.WriteString(line)
		}
		f := strings.Fields(line) // flat flat% sum% cum cum% function
		if len(f) < 6 || !strings.HasSuffix(f[4], "%") {
			continue
		}
		flat, err1 := strconv.ParseFloat(strings.TrimSuffix(f[1], "%"), 64)
		cum, err2 := strconv.ParseFloat(strings.TrimSuffix(f[4], "%"), 64)
		if err1 != nil || err2 != nil {
			continue
		}
		name := f[5]
		folder := strings.LastIndex(name, "/") + 1
		in, _, named := strings.Cut(name[folder:], ".")
		switch in = name[:folder] + in; {
		case name == externalCode:
			in = "machine code of programs"
		case !named: // assembly of the runtime: memeqbody
			in = "runtime"
		}
		packages[in] += flat
		if strings.HasPrefix(name, "invar/") {
			functions[name] = cum
		}
	}
	for _, name := range most(packages, 10) {
		fmt.Fprintf(&s, "%6.1f %%  %s\n", packages[name], name)
	}
	s.WriteString("functions with all that they call, but for machine code:\n")
	for _, name := range most(functions, 15) {
		fmt.Fprintf(&s, "%6.1f %%  %s\n", functions[name], name)
	}
	return s.String()
}

// runJob runs a sweep, into a folder whose results it replaces if it shall keep them.
func runJob(job *results.Config, e program.Engine, folder string, keep bool) error {
	if !keep {
		sw, err := job.Sweep()
		if err != nil {
			return err
		}
		sw.Engine = e
		_, err = sw.Run(context.Background())
		return err
	}
	run, err := results.Create(folder, job, true)
	if err != nil {
		return err
	}
	run.Sweep().Engine = e
	_, err = run.Do(context.Background())
	return err
}
