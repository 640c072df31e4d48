package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// firstLine is the first line that a command prints, or why there is none.
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "none (" + err.Error() + ")"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// procField is the value of a "name : value" line of a file in /proc, the first one.
func procField(file, name string) string {
	data, _ := os.ReadFile(file)
	for _, line := range strings.Split(string(data), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// load is the load average, which says how quiet the machine is.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}

// caches lists the processor's caches.
func caches() string {
	dirs, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*")
	var s []string
	for _, d := range dirs {
		read := func(f string) string {
			b, _ := os.ReadFile(filepath.Join(d, f))
			return strings.TrimSpace(string(b))
		}
		s = append(s, fmt.Sprintf("L%s %s %s", read("level"), strings.ToLower(read("type")), read("size")))
	}
	if len(s) == 0 {
		return "unknown"
	}
	return strings.Join(s, ", ")
}

// vectorFlags are the processor's flags that matter here.
func vectorFlags() string {
	var s []string
	for _, f := range strings.Fields(procField("/proc/cpuinfo", "flags")) {
		if f == "avx" || f == "avx2" || f == "fma" || strings.HasPrefix(f, "avx512") {
			s = append(s, f)
		}
	}
	return strings.Join(s, " ")
}

// machine describes where the benchmark runs, with the interpreter of the peers in Python, as rows of a table.
func machine(python string) [][2]string {
	return [][2]string{
		{"processor", procField("/proc/cpuinfo", "model name")},
		{"processors for us", fmt.Sprint(runtime.GOMAXPROCS(0))},
		{"caches", caches()},
		{"vector instructions", vectorFlags()},
		{"memory", procField("/proc/meminfo", "MemTotal")},
		{"system", firstLine("uname", "-sr")},
		{"Go", runtime.Version()},
		{"gcc", firstLine("gcc", "--version")},
		{"Python", firstLine(python, "--version")},
	}
}
