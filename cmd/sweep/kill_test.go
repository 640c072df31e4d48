//go:build !windows

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"invar/results"
)

// The real command, in processes of its own.
func TestProcess(t *testing.T) {
	// Not under t.TempDir, which other users may not enter.
	dir, err := os.MkdirTemp("", "sweep-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sweep")
	if out, err := exec.Command("go", "build", "-tags", "nocuda", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := process{binary}
	t.Run("killed", p.killed)
	t.Run("interrupted", p.interrupted)
	t.Run("full disk", p.fullDisk)
	t.Run("read-only", p.readOnly)
}

// process runs the command.
type process struct{ binary string }

// start starts the command.
func (p process) start(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(p.binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &stderr
}

// wait gives the exit code; -1: ended by a signal.
func wait(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// folderSums are the hashes of the files that do not depend on how a sweep ran.
func folderSums(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"config.toml", "summary.csv", "summary.json", "samples.parquet", "paths.parquet"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", name, sha256.Sum256(data))
	}
	return b.String()
}

// journalSamples counts the samples in whole records of a journal.
func journalSamples(dir string) (n int) {
	data, err := os.ReadFile(filepath.Join(dir, "partial", "chunks.bin"))
	if err != nil || len(data) < 48 {
		return 0
	}
	for data = data[48:]; len(data) >= 28; {
		k, size := int(binary.LittleEndian.Uint32(data[4:])), int(binary.LittleEndian.Uint32(data[20:]))
		if len(data) < 28+size {
			break
		}
		n += k
		data = data[28+size:]
	}
	return n
}

// A process that is killed at any moment loses no sample that it had saved: 50
// kills at random moments, each followed by --resume, and the files are those of
// an unbroken sweep. The sweep is too short for a new one to save anything: those that go on with it do.
func (p process) killed(t *testing.T) {
	args := []string{"--problem", "himmelblau", "--starts", "50000", "--iterations", "60", "-m", "gd:lr=0.0001", "-m", "newton,bfgs", "--format", "csv"}
	whole := filepath.Join(t.TempDir(), "whole")
	begin := time.Now()
	cmd, stderr := p.start(t, append(args, "--out", whole)...)
	if code := wait(t, cmd); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	took := time.Since(begin)
	want := folderSums(t, whole)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	const most = 1000 // processes; some 100 are the rule
	runs, kills, resumed, torn, early := 0, 0, 0, 0, 0
	for kills < 50 || resumed < 20 {
		dir := filepath.Join(t.TempDir(), "out")
		run := append(args, "--out", dir)
		window := took // in which the process is killed, if it lives that long
		for saved := 0; ; {
			if runs++; runs > most {
				t.Fatalf("%d kills in %d runs, want 50; %d of them left samples to be loaded, want 20; a sweep takes %v", kills, most, resumed, took)
			}
			begin := time.Now()
			cmd, stderr := p.start(t, run...)
			timer := time.AfterFunc(time.Duration(rnd.Float64()*float64(window)), func() { cmd.Process.Kill() })
			code := wait(t, cmd)
			timer.Stop()
			if strings.Contains(stderr.String(), "not whole") {
				torn++
			}
			if code == 0 {
				if window == took { // the machine may have become faster or slower
					took = time.Since(begin)
				}
				break
			}
			if code != -1 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			kills++
			window += took / 4 // so that each sweep comes to its end, on a machine that has become slower too
			run = []string{"--resume", dir, "--format", "csv"}
			if _, err := os.Stat(filepath.Join(dir, "config.toml")); err != nil {
				early++
				run = append(append([]string(nil), args...), "--out", dir, "--force")
				continue
			}
			f, err := results.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if f.Complete() {
				continue // killed between the last file and the end
			}
			now := journalSamples(dir)
			if now < saved {
				t.Fatalf("%d samples are saved, after %d", now, saved)
			}
			if saved = now; saved > 0 {
				resumed++
			}
		}
		if got := folderSums(t, dir); got != want {
			t.Fatalf("files\n%swant\n%s", got, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "partial")); !os.IsNotExist(err) {
			t.Error("the journal is left")
		}
	}
	t.Logf("%d kills of a sweep of %v, %d before it had begun, %d that left samples, %d torn records", kills, took.Round(time.Millisecond), early, resumed, torn)
}

// Ctrl-C ends a sweep at once, with exit code 75, a valid folder and a
// word on how to go on; which then gives the files of an unbroken sweep.
func (p process) interrupted(t *testing.T) {
	args := []string{"--problem", "himmelblau", "--starts", "5000", "--iterations", "60000", "-m", "gd:lr=0.000001", "-m", "newton", "--format", "csv"}
	whole := filepath.Join(t.TempDir(), "whole")
	cmd, stderr := p.start(t, append(args, "--out", whole)...)
	if code := wait(t, cmd); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := filepath.Join(t.TempDir(), "out")
		cmd, stderr := p.start(t, append(args, "--out", dir, "--engine", "portable")...) // the slower one
		for journalSamples(dir) == 0 {
			time.Sleep(time.Millisecond)
		}
		begin := time.Now()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		code := wait(t, cmd)
		if took := time.Since(begin); !(took <= 5*time.Second) { // a fraction of a second, but where other programs keep the processors busy
			t.Errorf("%v: it took %v to stop", sig, took)
		}
		if code != 75 || !strings.Contains(stderr.String(), "sweep --resume "+dir) {
			t.Fatalf("%v: exit code %d, want 75: %s", sig, code, stderr)
		}
		f, err := results.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		if err := f.Samples(func(*results.Sample) error { rows++; return nil }); err != nil {
			t.Error(err)
		}
		if done, total := f.Count(); f.Complete() || rows != done || total != 10000 {
			t.Errorf("%v: %d rows; %d of %d are said to be done", sig, rows, done, total)
		}
		cmd, stderr = p.start(t, "--resume", dir)
		if code := wait(t, cmd); code != 0 {
			t.Fatalf("resumed: exit code %d: %s", code, stderr)
		}
		if got, want := folderSums(t, dir), folderSums(t, whole); got != want {
			t.Errorf("%v: files\n%swant\n%s", sig, got, want)
		}
	}
}

// A file that may not grow, as on a full disk: one clear line, exit code 1, no
// half-written file, and the rest can be run once there is room.
func (p process) fullDisk(t *testing.T) {
	args := []string{"--starts", "20000", "-m", "gd,newton", "--format", "csv"}
	whole := filepath.Join(t.TempDir(), "whole")
	cmd, stderr := p.start(t, append(args, "--out", whole)...)
	if code := wait(t, cmd); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	dir := filepath.Join(t.TempDir(), "out")
	limited := exec.Command("sh", append([]string{"-c", `ulimit -f 1000; exec "$0" "$@"`, p.binary}, append(args, "--out", dir)...)...)
	out, err := limited.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("error %v, want exit code 1: %s", err, out)
	}
	if text := string(out); strings.Count(text, "\n") != 1 || !strings.Contains(text, "file too large") || !strings.Contains(text, "sweep --resume "+dir) {
		t.Errorf("message %q", text)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "config.toml" && e.Name() != "partial" {
			t.Errorf("%s is left", e.Name())
		}
	}
	cmd, stderr = p.start(t, "--resume", dir)
	if code := wait(t, cmd); code != 0 {
		t.Fatalf("resumed: exit code %d: %s", code, stderr)
	}
	if got, want := folderSums(t, dir), folderSums(t, whole); got != want {
		t.Errorf("files\n%swant\n%s", got, want)
	}
}

// A folder that may not be written to: exit code 2, nothing written.
func (p process) readOnly(t *testing.T) {
	dir, err := os.MkdirTemp("", "sweep-readonly")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	cmd := exec.Command(p.binary, "--starts", "10", "--out", filepath.Join(dir, "out"))
	cmd.Dir = "/"
	if os.Getuid() == 0 { // for whom no folder is read-only
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "permission denied") {
		t.Errorf("error %v, want exit code 2 and one line: %s", err, out)
	}
}
