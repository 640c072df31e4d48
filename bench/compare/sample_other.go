//go:build !linux

package main

import (
	"errors"
	"runtime"
)

// addresses is for Linux only.
func addresses(func() error) ([]uint64, error) {
	return nil, errors.New("perf_event_open: there is none on " + runtime.GOOS)
}
