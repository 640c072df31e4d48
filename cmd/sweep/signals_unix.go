//go:build !windows

package main

import (
	"os"
	"syscall"
)

// ignored are signals that come with an error of the write that caused them, which
// is handled: output to a pipe that is closed early (head) ends the command
// quietly, and a file beyond the limit of ulimit -f is as a full disk.
var ignored = []os.Signal{syscall.SIGPIPE, syscall.SIGXFSZ}
