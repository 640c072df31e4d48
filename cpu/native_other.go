//go:build !amd64 || !(linux || darwin || windows)

package cpu

import (
	"fmt"
	"runtime"

	"invar/program"
)

func bestSet() (string, error) {
	return "", fmt.Errorf("it is made for amd64 on linux, darwin and windows, not for %s on %s", runtime.GOARCH, runtime.GOOS)
}

func (e Native) compile(*program.Program) (program.Executable, error) {
	_, err := bestSet()
	return nil, fmt.Errorf("cpu: no native code: %w", err)
}

// StepListing fails here: there is no machine code for this processor or system.
func StepListing(*program.Program) ([]string, error) {
	_, err := bestSet()
	return nil, fmt.Errorf("cpu: no native code: %w", err)
}
