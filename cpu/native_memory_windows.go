//go:build amd64 && windows

package cpu

import (
	"fmt"
	"syscall"
	"unsafe"
)

var (
	kernel32       = syscall.NewLazyDLL("kernel32.dll")
	virtualAlloc   = kernel32.NewProc("VirtualAlloc")
	virtualProtect = kernel32.NewProc("VirtualProtect")
	virtualFree    = kernel32.NewProc("VirtualFree")
)

const (
	memCommit       = 0x1000
	memReserve      = 0x2000
	memRelease      = 0x8000
	pageReadWrite   = 0x04
	pageExecuteRead = 0x20
)

// executablePages puts code on pages of its own: written first, then made
// executable, never both at once.
func executablePages(code []byte) (pages []byte, err error) {
	at, _, err := virtualAlloc.Call(0, uintptr(len(code)), memCommit|memReserve, pageReadWrite)
	if at == 0 {
		return nil, fmt.Errorf("no memory for code: %w", err)
	}
	pages = unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), len(code)) // memory that the collector does not know
	copy(pages, code)
	var old uint32
	if ok, _, err := virtualProtect.Call(at, uintptr(len(code)), pageExecuteRead, uintptr(unsafe.Pointer(&old))); ok == 0 {
		freePages(pages)
		return nil, fmt.Errorf("the system forbids executable pages: %w", err)
	}
	return pages, nil
}

func freePages(pages []byte) { virtualFree.Call(uintptr(unsafe.Pointer(&pages[0])), 0, memRelease) }
