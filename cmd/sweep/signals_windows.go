package main

import (
	"os"
	"syscall"
)

// ignored are signals that come with an error of the write that caused them, which
// is handled.
var ignored = []os.Signal{syscall.SIGPIPE}
