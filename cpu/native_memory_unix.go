//go:build amd64 && (linux || darwin)

package cpu

import (
	"fmt"
	"syscall"
)

// executablePages puts code on pages of its own: written first, then made
// executable, never both at once.
func executablePages(code []byte) (pages []byte, err error) {
	pages, err = syscall.Mmap(-1, 0, len(code), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("no memory for code: %w", err)
	}
	copy(pages, code)
	if err := syscall.Mprotect(pages, syscall.PROT_READ|syscall.PROT_EXEC); err != nil {
		syscall.Munmap(pages)
		return nil, fmt.Errorf("the system forbids executable pages: %w", err)
	}
	return pages, nil
}

func freePages(pages []byte) { syscall.Munmap(pages) }
