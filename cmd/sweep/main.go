// Command sweep optimises an inverse problem from thousands of starts, over a
// grid of parameters, with many methods, and reports how each of them fares.
//
// Results go to standard output; progress, notes and errors to standard error. Exit codes: 0 done, 1
// internal error or failed output, 2 wrong use, 3 below --min-converged, 75
// interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"invar/program"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitBelow       = 3
	exitInterrupted = 75 // EX_TEMPFAIL: it can be tried again
)

func main() {
	// Output to a pipe that is closed early (head) ends the command quietly.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "sweep: internal error: %v\nThis is a defect of sweep; please report it with the command that you ran.\n", r)
			if os.Getenv("SWEEP_DEBUG") != "" {
				stderr.Write(debug.Stack())
			}
			code = exitFailure
		}
	}()
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(execute(ctx, root), stderr)
}

// exitCode says what went wrong, and returns the exit code for it.
func exitCode(err error, stderr io.Writer) int {
	var usage *usageError
	var ending *endingError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, syscall.EPIPE):
		return exitOK
	case errors.As(err, &ending):
		fmt.Fprintln(stderr, "sweep: "+ending.message)
		return ending.code
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "sweep: interrupted")
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "sweep: "+plain(usage.err))
		return exitUsage
	case errors.Is(err, program.ErrUnfit): // --engine auto would have run it
		fmt.Fprintln(stderr, "sweep: "+plain(err)+"; --engine auto runs it on another engine")
		return exitUsage
	default:
		fmt.Fprintln(stderr, "sweep: "+plain(err))
		return exitFailure
	}
}

// usageError marks an error as the user's to mend: exit code 2.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

// endingError is an end that is neither a success nor a failure: a message and an exit code.
type endingError struct {
	message string
	code    int
}

func (e *endingError) Error() string { return e.message }

// usage marks err, unless it is nil.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// plain takes the packages' names off a message, also behind the name of a file.
func plain(err error) string {
	s := err.Error()
	for _, p := range []string{"batch: ", "problem: ", "formula: ", "graph: ", "program: ", "sampling: ", "results: ", "kernels: ", "cpu: "} {
		s = strings.ReplaceAll(strings.TrimPrefix(s, p), ".toml: "+p, ".toml: ")
	}
	return s
}
