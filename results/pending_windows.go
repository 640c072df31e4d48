package results

import (
	"errors"
	"os"
	"path/filepath"
)

// pendingFile is a file that takes its place whole, or not at all.
type pendingFile struct {
	*os.File
	path string
	done bool
}

// newPending begins a file; its temporary is in the folder temp, on the same file system.
func newPending(path, temp string) (*pendingFile, error) {
	f, err := os.CreateTemp(temp, "."+filepath.Base(path))
	return &pendingFile{File: f, path: path}, err
}

// CloseAtomicallyReplace puts the file in its place.
func (p *pendingFile) CloseAtomicallyReplace() error {
	if err := errors.Join(p.Sync(), p.Close()); err != nil {
		return err
	}
	if err := os.Rename(p.Name(), p.path); err != nil {
		return err
	}
	p.done = true
	return nil
}

// Cleanup gives the file up, unless it is in its place.
func (p *pendingFile) Cleanup() error {
	if p.done {
		return nil
	}
	p.Close()
	return os.Remove(p.Name())
}

// lock always succeeds: Windows does not let two processes replace an open file.
func lock(*os.File, bool) bool { return true }
