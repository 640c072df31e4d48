//go:build !(cgo && linux && (amd64 || arm64) && !nocuda)

package kernels

import (
	"fmt"

	"invar/program"
)

// Engine is the engine that this build does not have.
type Engine struct {
	Lost func(error) // never called
}

var errNoCUDA = fmt.Errorf("kernels: %w: this program was built without CUDA; make build-cuda builds one with it, on Linux", ErrNone)

// Devices says that there are none.
func Devices() ([]Device, error) { return nil, errNoCUDA }

// New says that there is no engine.
func New(...int) (*Engine, error) { return nil, errNoCUDA }

// Name is "cuda".
func (*Engine) Name() string { return "cuda" }

// Compile fails.
func (*Engine) Compile(*program.Program) (program.Executable, error) { return nil, errNoCUDA }

// Devices lists none.
func (*Engine) Devices() []Device { return nil }

// BatchSize is no wish.
func (*Engine) BatchSize() int { return 0 }

// Check fails.
func (*Engine) Check() error { return errNoCUDA }

// Close does nothing.
func (*Engine) Close() error { return nil }
