package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// How pages show commands:
//
//	```console          a line "$ command" is run; the lines after it are its output. A line "..." stands
//	                    for any number of lines, and no output at all for any output
//	```console exit=2   the same, and the last command ends with that code
//	    bin/sweep ...   an indented line is run as well (a comment may follow), as are other programs that
//	                    "indented" below knows
//	```toml             a block whose first line is "# NAME.toml" becomes that file; likewise "sh"
//
// The commands of a page are run in order in one empty folder. bin/sweep is there, and bin is on the path.
//
// With DOCS_UPDATE set, outputs that a page shows without "..." are rewritten where they differ.

// notRun are the commands that are shown and not run here, with the reason.
var notRun = map[string]string{
	"make run":        "builds, and runs a command that is shown and run by itself",
	"make build":      "TestCommands has built it",
	"make test":       "runs this test",
	"make build-cuda": "needs cgo; make test-cuda builds and runs it",
	"go run ./internal/elementary/accuracy > docs/accuracy.md": "takes minutes; its package has tests",
	"sweep --resume DIR": "DIR stands for a folder; the tests of the command resume",
	`id=$(OUT=results sbatch --parsable --array=1-8 slurm.sh --alpha 0.01:100 --starts 1000000)`: "needs Slurm",
	`sbatch --dependency="afterok:$id" --wrap "sweep merge results/shard-* --out results/whole"`: "needs Slurm",
	"docker build -f docs/cluster/Dockerfile -t sweep:latest .":                                  "needs Docker and a network",
	"kubectl apply -f docs/cluster/k8s.yaml":                                                     "needs Kubernetes",
	"kubectl wait --for=condition=complete --timeout=24h job/sweep":                              "needs Kubernetes",
	"kubectl apply -f docs/cluster/k8s-merge.yaml":                                               "needs Kubernetes",
}

// instead are the commands that are run smaller than they are shown.
var instead = map[string]string{
	"bin/sweep --alpha 0.01:100 --starts 10000":                       "bin/sweep --alpha 0.01:100 --starts 100",
	"sweep --alpha 0.01:100 --starts 1000000 --shard 1/2 --out part1": "sweep --alpha 0.01:100 --starts 100 --shard 1/2 --out part1",
	"sweep --alpha 0.01:100 --starts 1000000 --shard 2/2 --out part2": "sweep --alpha 0.01:100 --starts 100 --shard 2/2 --out part2",
	"bin/sweep --engine gorgonia --starts 100":                        "bin/sweep --engine gorgonia --starts 5",
}

// command is one that a page shows.
type command struct {
	line   int // of the page
	text   string
	output []string // as shown; nil: none is
	exit   int
}

// file is one that a page shows.
type file struct {
	name, text string
	before     int // it is written before the commands from this line on
}

var (
	fence    = regexp.MustCompile("^```(\\S*)\\s*(.*)$")
	fileName = regexp.MustCompile(`^# ([\w.-]+\.(?:toml|sh|csv))$`)
	indented = regexp.MustCompile(`^    ((?:(?:bin/)?sweep|make|go|mkdir|sbatch|docker|kubectl|id=\S+) .*)$`)
	comment  = regexp.MustCompile(`\s{2,}#.*$`)
)

// readPage finds the commands and the files of a page.
func readPage(text string) (commands []command, files []file, err error) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if m := indented.FindStringSubmatch(lines[i]); m != nil {
			commands = append(commands, command{line: i + 1, text: strings.TrimSpace(comment.ReplaceAllString(m[1], ""))})
			continue
		}
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		begin := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i == len(lines) {
			return nil, nil, fmt.Errorf("line %d: the block does not end", begin)
		}
		block := lines[begin:i]
		if m[1] != "console" {
			if len(block) > 0 && fileName.MatchString(block[0]) {
				files = append(files, file{fileName.FindStringSubmatch(block[0])[1], strings.Join(block, "\n") + "\n", begin})
			}
			continue
		}
		exit := 0
		if m[2] != "" {
			if exit, err = strconv.Atoi(strings.TrimPrefix(m[2], "exit=")); err != nil {
				return nil, nil, fmt.Errorf("line %d: %q, exit=N is allowed", begin, m[2])
			}
		}
		for k, l := range block {
			if c, ok := strings.CutPrefix(l, "$ "); ok {
				commands = append(commands, command{line: begin + k + 1, text: c})
			} else if len(commands) == 0 || k == 0 {
				return nil, nil, fmt.Errorf("line %d: a command, as in \"$ bin/sweep\", is expected first", begin+k+1)
			} else {
				last := &commands[len(commands)-1]
				last.output = append(last.output, l)
			}
		}
		commands[len(commands)-1].exit = exit
	}
	return commands, files, nil
}

// cells are the columns of a line: between commas, or set apart by two blanks.
var cells = regexp.MustCompile(`\s{2,}|,`)

// sameLine compares lines but for widths and for the column of seconds, which the header names.
func sameLine(header, want, got string) bool {
	a, b := cells.Split(strings.TrimSpace(want), -1), cells.Split(strings.TrimSpace(got), -1)
	h := cells.Split(strings.TrimSpace(header), -1)
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		_, errA := strconv.ParseFloat(a[i], 64)
		_, errB := strconv.ParseFloat(b[i], 64)
		if !(i < len(h) && h[i] == "seconds" && errA == nil && errB == nil) {
			return false
		}
	}
	return true
}

// sameOutput compares what a page shows with what a command printed, where "..." stands for any lines.
func sameOutput(want, got []string) error {
	header := ""
	at := 0
	for i, w := range want {
		if strings.TrimSpace(w) == "..." {
			if i == len(want)-1 {
				return nil
			}
			for at < len(got) && !sameLine(header, want[i+1], got[at]) {
				if slices.Contains(cells.Split(strings.TrimSpace(got[at]), -1), "seconds") {
					header = got[at]
				}
				at++
			}
			continue
		}
		if at == len(got) {
			return fmt.Errorf("the output ends before the line\n%s", w)
		}
		if !sameLine(header, w, got[at]) {
			return fmt.Errorf("shown is\n%s\nprinted was\n%s", w, got[at])
		}
		if slices.Contains(cells.Split(strings.TrimSpace(w), -1), "seconds") {
			header = w
		}
		at++
	}
	if at < len(got) {
		return fmt.Errorf("the output goes on with\n%s", got[at])
	}
	return nil
}

// lines without blank ones at the ends.
func outputLines(s string) []string {
	s = strings.TrimRight(s, " \n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// Every command that a page shows works and prints what the page shows.
func TestCommands(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatalf("the commands of the pages are those of a shell: %v", err)
	}
	sweep := filepath.Join(t.TempDir(), "sweep")
	if runtime.GOOS == "windows" {
		sweep += ".exe"
	}
	build := exec.Command("go", "build", "-tags", "nocuda", "-o", sweep, "invar/cmd/sweep")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		name := filepath.Base(page)
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		commands, files, err := readPage(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "bin"), 0o777); err != nil {
				t.Fatal(err)
			}
			// A link: a copy could still be open in a process that another page has just forked, and could not be run.
			if err := os.Link(sweep, filepath.Join(dir, "bin", filepath.Base(sweep))); err != nil {
				t.Fatal(err)
			}
			var changed []command // with the new output as text
			for _, c := range commands {
				for len(files) > 0 && files[0].before < c.line {
					if err := os.WriteFile(filepath.Join(dir, files[0].name), []byte(files[0].text), 0o777); err != nil {
						t.Fatal(err)
					}
					files = files[1:]
				}
				if notRun[c.text] != "" {
					continue
				}
				run := c.text
				if smaller, ok := instead[run]; ok {
					if run = smaller; run == "" {
						continue
					}
				}
				cmd := exec.Command(sh, "-c", run)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "NO_COLOR=1", "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
				out, err := cmd.CombinedOutput()
				if got := cmd.ProcessState.ExitCode(); got != c.exit {
					t.Errorf("%s:%d: %s\nexit code %d (%v), want %d\n%s", name, c.line, run, got, err, c.exit, out)
					continue
				}
				if want := outputLines(strings.Join(c.output, "\n")); want != nil {
					got := outputLines(string(out))
					err := sameOutput(want, got)
					if err != nil && os.Getenv("DOCS_UPDATE") != "" && !slices.Contains(c.output, "...") {
						changed = append(changed, command{line: c.line, text: strings.Join(got, "\n"), output: c.output})
					} else if err != nil {
						t.Errorf("%s:%d: %s\n%v", name, c.line, run, err)
					}
				}
			}
			lines := strings.Split(string(text), "\n")
			for _, c := range slices.Backward(changed) {
				lines = slices.Replace(lines, c.line, c.line+len(c.output), strings.Split(c.text, "\n")...)
			}
			if len(changed) > 0 {
				if err := os.WriteFile(page, []byte(strings.Join(lines, "\n")), 0o666); err != nil {
					t.Fatal(err)
				}
				t.Errorf("%s: %d outputs are rewritten; look at them", name, len(changed))
			}
		})
	}
}

// The tables above name commands that are really shown.
func TestTablesAreUsed(t *testing.T) {
	all, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, page := range all {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		commands, _, err := readPage(string(text))
		if err != nil {
			t.Errorf("%s: %v", page, err)
		}
		for _, c := range commands {
			shown[c.text] = true
		}
	}
	for _, table := range []map[string]string{notRun, instead} {
		for c := range table {
			if !shown[c] {
				t.Errorf("no page shows %q", c)
			}
		}
	}
}

func TestReadPage(t *testing.T) {
	page := "a\n\n    bin/sweep problems   # list\n\n```toml\n# a.toml\nx = 1\n```\n\n```console exit=2\n$ one\nout\n$ two\n```\n"
	commands, files, err := readPage(page)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(commands, files)
	if want := "[{3 bin/sweep problems [] 0} {11 one [out] 0} {13 two [] 2}] [{a.toml # a.toml\nx = 1\n 5}]"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	for _, bad := range []string{"```console\n$ a\n", "```console\nout\n```", "```console exit=x\n$ a\n```"} {
		if _, _, err := readPage(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestSameOutput(t *testing.T) {
	got := []string{"method  seconds  it.", "gd          0.5    1", "", "end"}
	for _, c := range []struct {
		want string
		same bool
	}{
		{"method  seconds  it.\ngd          0.7    1\n\nend", true},
		{"method  seconds  it.\ngd          0.7    2\n\nend", false},
		{"method  seconds  it.\ngd            x    1\n\nend", false},
		{"method  seconds  it.\ngd          0.7    1", false},
		{"method  seconds  it.\ngd          0.7    1\n\nend\nmore", false},
		{"...\nend", true},
		{"...\nend\n...", true},
		{"method  seconds  it.\n...", true},
		{"...\ngd          0.7    1\n...", true},
		{"...\nbfgs", false},
	} {
		if err := sameOutput(strings.Split(c.want, "\n"), got); (err == nil) != c.same {
			t.Errorf("%q: %v, want same %v", c.want, err, c.same)
		}
	}
}
