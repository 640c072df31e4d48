//go:build amd64

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// forbidden, in the environment of TestForbiddenPages, holds the arguments of the command that it becomes.
const forbidden = "INVAR_TEST_FORBIDDEN"

// forbidExecutable has the system refuse executable pages to this process from now on, as security policies do.
func forbidExecutable() error {
	const (
		noNewPrivileges = 38 // of prctl
		seccomp         = 317
		setFilter       = 1 // of seccomp
		allThreads      = 1
		allow           = 0x7fff0000
		refuse          = 0x00050000 | uint32(syscall.EACCES)
		number, prot    = 0, 32 // offsets in what a filter sees: the call's number, its third argument
	)
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: number},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: syscall.SYS_MPROTECT, Jt: 1},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: syscall.SYS_MMAP, Jf: 3},
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: prot},
		{Code: syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K, K: syscall.PROT_EXEC, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: refuse},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: allow},
	}
	runtime.LockOSThread() // the privileges are a thread's
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("prctl: %w", errno)
	}
	if _, _, errno := syscall.RawSyscall(seccomp, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// Where the system forbids executable pages, the command says so in one line and prints the same numbers; the native
// engine, asked for by name, does not work.
func TestForbiddenPages(t *testing.T) {
	if args := os.Getenv(forbidden); args != "" {
		if err := forbidExecutable(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(99)
		}
		os.Exit(run(context.Background(), strings.Fields(args), os.Stdout, os.Stderr))
	}
	command := func(args string) (stdout, stderr string, code int) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestForbiddenPages$")
		cmd.Env = append(os.Environ(), forbidden+"="+args)
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return o.String(), e.String(), cmd.ProcessState.ExitCode()
	}
	const args = "--starts 50 -m gd,newton --format csv --device cpu"
	const why = "the system forbids executable pages: permission denied"
	var want, notes bytes.Buffer
	if code := run(context.Background(), strings.Fields(args+" --engine portable"), &want, &notes); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &notes)
	}
	got, stderr, code := command(args)
	if line := "sweep: no native code: " + why + "; using the portable engine\n"; code != exitOK || stderr != line {
		t.Errorf("exit code %d with %q, want 0 with %q", code, stderr, line)
	}
	if withoutSeconds(got) != withoutSeconds(want.String()) {
		t.Errorf("it prints\n%swant\n%s", got, &want)
	}
	_, stderr, code = command(args + " --engine native")
	if line := "sweep: --engine native does not work here: no native code: " + why + "\n"; code != exitUsage || stderr != line {
		t.Errorf("exit code %d with %q, want %d with %q", code, stderr, exitUsage, line)
	}
}
