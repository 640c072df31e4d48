//go:build !windows

package results

import (
	"os"
	"syscall"

	"github.com/google/renameio/v2"
)

// pendingFile is a file that takes its place whole, or not at all.
type pendingFile = renameio.PendingFile

// newPending begins a file; its temporary is in the folder temp, on the same file system.
func newPending(path, temp string) (*pendingFile, error) {
	return renameio.NewPendingFile(path, renameio.WithTempDir(temp), renameio.WithPermissions(0o644))
}

// lock takes f for this process, shared with other readers or alone; false if another has it. The system
// gives it back when the process ends, however it ends.
func lock(f *os.File, alone bool) bool {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	// A file system without locks is taken to be free.
	return syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB) != syscall.EWOULDBLOCK
}
