package results

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// PicturesDir is the folder, within a result folder, for the pictures made of it.
const PicturesDir = "plots"

// Where results are that are being replaced.
const (
	replacedDir = "replaced"  // in partialDir, until the new ones are complete
	movedDir    = ".replaced" // in the result folder, while they are moved
)

// resultFiles are what a sweep writes, and the pictures of it. Without the first a folder is not taken for results, so that none
// are that have been moved in part.
var resultFiles = []string{configFile, jsonFile, csvFile, samplesFile, pathsFile, runFile, PicturesDir, partialDir}

// setAside moves the results in a folder to partial/replaced, unless a sweep is writing them. An unfinished replacement is moved
// with what it has set aside.
func setAside(dir string) error {
	if path := filepath.Join(dir, partialDir, journalFile); inUse(path) {
		return fmt.Errorf("results: %s: %w", path, errInUse)
	}
	if err := moveBack(dir); err != nil { // where a process died that was moving them
		return err
	}
	moved := filepath.Join(dir, movedDir)
	err := os.Mkdir(moved, 0o755)
	for _, name := range resultFiles {
		if err == nil {
			err = moveOver(dir, moved, name)
		}
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, partialDir), 0o755)
	}
	if err == nil {
		err = os.Rename(moved, filepath.Join(dir, partialDir, replacedDir))
	}
	if err != nil {
		moveBack(dir)
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// putBack removes the results in a folder. Those that they were to replace are there again.
func putBack(dir string) error {
	err := os.Rename(filepath.Join(dir, partialDir, replacedDir), filepath.Join(dir, movedDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("results: %w", err)
	}
	for _, name := range resultFiles {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	return moveBack(dir)
}

// moveBack moves what is in .replaced, if there is one, into the folder.
func moveBack(dir string) error {
	moved := filepath.Join(dir, movedDir)
	if _, err := os.Stat(moved); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, name := range resultFiles {
		if err := moveOver(moved, dir, name); err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	if err := os.Remove(moved); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// moveOver moves a file or a folder, if it is there, in the place of one of its name.
func moveOver(from, to, name string) error {
	if _, err := os.Lstat(filepath.Join(from, name)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
		return err
	}
	return os.Rename(filepath.Join(from, name), filepath.Join(to, name))
}
