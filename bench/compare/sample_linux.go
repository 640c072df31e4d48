package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// samplePages is the room for samples, in pages (a power of two): those of profileTime take a quarter of it.
const samplePages = 64

// addresses calls f and returns where its thread was, outside the kernel, at each tick of the processor time that it took. The
// profiler of Go cannot say this: it counts all code that Go's linker does not know as one function.
func addresses(f func() error) ([]uint64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Sample: sampleRate, Sample_type: unix.PERF_SAMPLE_IP,
		Bits: unix.PerfBitFreq | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	event, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("perf_event_open: %w", err)
	}
	defer unix.Close(event)
	page := unix.Getpagesize()
	memory, err := unix.Mmap(event, 0, (1+samplePages)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("perf_event_open: mmap: %w", err)
	}
	defer unix.Munmap(memory)
	if err := f(); err != nil {
		return nil, err
	}
	if err := unix.IoctlSetInt(event, unix.PERF_EVENT_IOC_DISABLE, 0); err != nil {
		return nil, fmt.Errorf("perf_event_open: %w", err)
	}
	// Nobody has taken records out: they lie one after the other from the start, and what found no room is lost.
	records := memory[page:][:(*unix.PerfEventMmapPage)(unsafe.Pointer(&memory[0])).Data_head]
	var at []uint64
	for len(records) > 0 { // kind (32 bits), mode, size (16 bits each), then the address
		if binary.NativeEndian.Uint32(records) == unix.PERF_RECORD_SAMPLE {
			at = append(at, binary.NativeEndian.Uint64(records[8:]))
		}
		records = records[binary.NativeEndian.Uint16(records[6:]):]
	}
	return at, nil
}
