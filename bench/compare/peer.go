package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// competitor does the work of one item with one number of threads.
type competitor interface {
	// load makes everything ready for the first n samples: it compiles, allocates, and does the work once.
	load(w *work, n int) error
	// run does the work and returns the seconds that the computation took, without anything that load did.
	run() (seconds float64, err error)
	// results are x0, x1 and the loss of the samples after load or run.
	results() ([][]float64, error)
	// version names what was measured.
	version() string
	close()
}

// child is a competitor that is another process. They talk in lines, one answer a command:
//
//	load ITEM SAMPLES ITERATIONS LR MINIMUM0 MINIMUM1 THREADS FILE
//	                -> ready VERSION     FILE: columns alpha, x0, x1 as little-endian float64
//	time            -> seconds S         the work is done once more
//	write FILE      -> ok                columns x0, x1, loss, likewise
//	quit
//
// Any answer may be "error TEXT" instead.
type child struct {
	command []string
	threads int

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	log    *tail
	about  string
	n      int
	folder string
}

// patience is how long a child may take for one command.
const patience = 10 * time.Minute

func (c *child) start() error {
	c.cmd = exec.Command(c.command[0], c.command[1:]...)
	// Nothing of a caller's settings may change the number of threads.
	c.cmd.Env = append(os.Environ(), "XLA_FLAGS=", "JAX_PLATFORMS=cpu", "PYTHONDONTWRITEBYTECODE=1")
	c.log = &tail{}
	c.cmd.WaitDelay = 5 * time.Second
	c.cmd.Stderr = c.log
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.out = bufio.NewReader(out)
	return c.cmd.Start()
}

// ask sends a command and returns what follows the expected word of the answer.
func (c *child) ask(want, format string, args ...any) (string, error) {
	command := fmt.Sprintf(format, args...)
	timer := time.AfterFunc(patience, func() { c.cmd.Process.Kill() })
	defer timer.Stop()
	_, err := io.WriteString(c.in, command+"\n")
	var line string
	if err == nil {
		line, err = c.out.ReadString('\n')
	}
	if err != nil {
		// What it said last is whole only when it has ended.
		c.close()
		return "", fmt.Errorf("%s: %q: %w; its last words: %s", filepath.Base(c.command[0]), command, err, c.log)
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word != want {
		return "", fmt.Errorf("%s: %q: answered %q, want %s", filepath.Base(c.command[0]), command, strings.TrimSpace(line), want)
	}
	return rest, nil
}

func (c *child) load(w *work, n int) error {
	file, err := w.file(n)
	if err != nil {
		return err
	}
	if err := c.start(); err != nil {
		return err
	}
	c.n, c.folder = n, w.dir
	minimum, err := w.model.Problem().EvalMinima(nil)
	if err != nil {
		return err
	}
	c.about, err = c.ask("ready", "load %s %d %d %v %v %v %d %s", w.name, n, w.limits.Iterations, w.lr, minimum[0][0], minimum[0][1], c.threads, file)
	return err
}

func (c *child) run() (s float64, err error) {
	answer, err := c.ask("seconds", "time")
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(answer, &s); err != nil || !(s > 0) {
		return 0, fmt.Errorf("%s: %q is not a number of seconds", filepath.Base(c.command[0]), answer)
	}
	return s, nil
}

func (c *child) results() ([][]float64, error) {
	name := filepath.Join(c.folder, "results.f64")
	defer os.Remove(name)
	if _, err := c.ask("ok", "write %s", name); err != nil {
		return nil, err
	}
	return readColumns(name, 3, c.n)
}

func (c *child) version() string { return c.about }

func (c *child) close() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	io.WriteString(c.in, "quit\n")
	c.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { c.cmd.Process.Kill() })
	defer timer.Stop()
	c.cmd.Wait()
}

// tail keeps the end of what a process prints.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-500):]
	return len(p), nil
}

func (t *tail) String() string { return strings.Join(strings.Fields(string(t.text)), " ") }

func writeColumns(name string, columns [][]float64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var b [8]byte
	for _, c := range columns {
		for _, x := range c {
			binary.LittleEndian.PutUint64(b[:], math.Float64bits(x))
			w.Write(b[:])
		}
	}
	if err := w.Flush(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func readColumns(name string, columns, n int) ([][]float64, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(data) != 8*columns*n {
		return nil, fmt.Errorf("%s: %d bytes, want %d columns of %d float64", filepath.Base(name), len(data), columns, n)
	}
	c := make([][]float64, columns)
	for i := range c {
		c[i] = make([]float64, n)
		for k := range c[i] {
			c[i][k] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*(i*n+k):]))
		}
	}
	return c, nil
}
