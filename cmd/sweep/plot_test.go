package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the sweep command in this process.
func command(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), args, &out, &err)
	return code, out.String(), err.String()
}

// Pictures of a run and of its result folder: the same files, with the same figures.
func TestPlot(t *testing.T) {
	dir := t.TempDir()
	folder, direct := filepath.Join(dir, "results"), filepath.Join(dir, "direct")
	args := []string{"--problem", "rosenbrock", "--alpha", "1:100:3", "--starts", "20", "--method", "lm,bfgs", "-q"}
	if code, _, stderr := command(append(args, "--plot", direct)...); code != exitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if code, _, stderr := command(append(args, "--out", folder)...); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	code, stdout, stderr := command("plot", folder)
	if code != exitOK || !strings.Contains(stdout, "report.html") {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	files, err := os.ReadDir(direct)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2*7+1 {
		t.Errorf("%d files, want 7 figures twice and the report", len(files))
	}
	for _, f := range files {
		a, err := os.ReadFile(filepath.Join(direct, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(folder, "plots", f.Name()))
		if err != nil {
			t.Error(err)
		} else if f.Name() != "report.html" && !bytes.Equal(a, b) {
			t.Errorf("%s differs between the run and its folder", f.Name())
		}
	}
	report, err := os.ReadFile(filepath.Join(direct, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	of, err := os.ReadFile(filepath.Join(folder, "plots", "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		report  []byte
		command string
	}{
		{report, "sweep --problem rosenbrock --alpha 1:100:3 --starts 20 --method lm,bfgs"},
		{of, "sweep --config " + filepath.Join(folder, "config.toml")},
	} {
		if !bytes.Contains(c.report, []byte(`id="command">`+c.command+"<")) {
			i := bytes.Index(c.report, []byte(`id="command"`))
			t.Errorf("the report names another command than %q: %s", c.command, c.report[i:i+120])
		}
	}
}

func TestPlotErrors(t *testing.T) {
	dir := t.TempDir()
	file, results := filepath.Join(dir, "file"), filepath.Join(dir, "results")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command("--starts", "1", "--method", "pg", "--out", results); code != exitOK {
		t.Fatal(stderr)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"plot"}, "one result folder"},
		{[]string{"plot", filepath.Join(dir, "none")}, "none"},
		{[]string{"plot", dir, dir}, "2 folders"},
		{[]string{"--alpha", "1", "--plot", ""}, "--plot"},
		{[]string{"--starts", "1", "--plot", filepath.Join(file, "pictures")}, "--plot"},
		{[]string{"--starts", "1", "--plot", file}, "a folder that can be written to"},
		{[]string{"--starts", "1", "--plot", dir, "--out", filepath.Join(dir, "part"), "--shard", "1/2"}, "--plot with shard 1/2"},
		{[]string{"plot", results, "--to", file}, "a folder that can be written to"},
		{[]string{"plot", results, "--axis", "beta"}, "one grid point only"},
	} {
		code, stdout, stderr := command(c.args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit %d, %q, %q; want one line with %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

// Ctrl-C ends the drawing, and leaves whole files only.
func TestPlotInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	if code, _, stderr := command("--starts", "5", "--method", "pg", "--out", dir); code != exitOK {
		t.Fatal(stderr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"plot", dir}, &stdout, &stderr); code != exitInterrupted || stdout.Len() > 0 || stderr.String() != "sweep: interrupted\n" {
		t.Errorf("exit %d, %q, %q; want %d", code, stdout.String(), stderr.String(), exitInterrupted)
	}
	if _, err := os.Stat(filepath.Join(dir, "plots")); err == nil {
		t.Error("a folder for pictures although none was drawn")
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"a/b:c=1,2": "a/b:c=1,2", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := quoted(in); got != want {
			t.Errorf("%q is quoted as %s, want %s", in, got, want)
		}
	}
}
