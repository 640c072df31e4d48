package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"invar/program"
)

// profiled runs the engine under test on an item for two seconds under the CPU profiler and tells where its time goes:
// the operations of a step by kind, and the hottest functions (machine code that was made at
// run time has no names there).
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
	file := filepath.Join(dir, "cpu.prof")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return "", err
	}
	for begin := time.Now(); err == nil && time.Since(begin) < 2*time.Second; {
		_, err = o.run()
	}
	pprof.StopCPUProfile()
	if err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s: one step of a sample: %s\n", it.name, operations(o.prog))
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=8", exe, file).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	table := false
	for _, line := range strings.Split(string(out), "\n") {
		if table = table || strings.Contains(line, "flat%"); table {
			s.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	return s.String(), nil
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
