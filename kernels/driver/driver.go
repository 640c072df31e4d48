//go:build cgo && linux && (amd64 || arm64) && !nocuda

// Package driver opens NVIDIA's driver while the program runs, so that the same program starts with a driver and without:
// a table of its functions stands in front of gorgonia.org/cu, which makes the calls. What that lacks is here: page-locked
// memory.
//
// Build with -Ikernels/driver/include in CGO_CFLAGS where no CUDA toolkit is installed, and with
// -Lkernels/driver/link in CGO_LDFLAGS (the Makefile does both).
package driver

/*
#cgo CFLAGS: -I${SRCDIR}/include
#cgo LDFLAGS: -L${SRCDIR}/link -ldl
#include <stdlib.h>
#include <cuda.h>
extern int invar_cuda_open(const char *path, char *text, size_t size);
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// Library is the name of the driver's library.
const Library = "libcuda.so.1"

// ErrNoLibrary says that the driver's library is not installed, or cannot be loaded.
var ErrNoLibrary = errors.New("no NVIDIA driver")

// Error is what the driver answered to a call, a CUresult.
type Error int

func (e Error) Error() string { return fmt.Sprintf("CUDA error %d", int(e)) }

var mu sync.Mutex

// Open opens the library (the first one opened stays) and initialises the driver. It may be called
// again, to ask whether a device has come.
func Open(library string) error {
	mu.Lock()
	defer mu.Unlock()
	path := C.CString(library)
	defer C.free(unsafe.Pointer(path))
	text := (*C.char)(C.calloc(512, 1))
	defer C.free(unsafe.Pointer(text))
	switch r := C.invar_cuda_open(path, text, 512); {
	case r < 0:
		return fmt.Errorf("%w: %s", ErrNoLibrary, C.GoString(text))
	case r > 0:
		return Error(r)
	}
	return nil
}

// HostAlloc makes page-locked memory of the calling thread's context (cuMemHostAlloc), from and to which the GPU copies by
// itself, beside the kernels that run. It is freed with cu.MemFreeHost.
func HostAlloc(bytes int64) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	if r := C.cuMemHostAlloc(&p, C.size_t(bytes), 0); r != 0 {
		return nil, Error(r)
	}
	return p, nil
}
