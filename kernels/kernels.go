// Package kernels runs programs on NVIDIA GPUs: package ptx writes a program as PTX, the driver compiles it for each
// GPU, and this package deals batches of samples out to them and brings the results back.
//
// A Run cuts its batch into pieces. Each GPU has a few lanes, each with a stream, memory on the GPU and page-locked memory on
// the host; a lane copies a piece up, computes and copies down while the others do theirs.
//
// The results are those of the CPU engines to the bit (all NaNs being one value): a program holds only operations
// that IEEE-754 fixes. docs/gpu.md says how far this is proven.
//
// The user's machine needs NVIDIA's driver (410 or newer) and a GPU of compute capability 7.0 or newer, nothing
// else. The driver is opened when [Devices] or [New] asks for it; without one these say so in one line. Built with
// the tag nocuda, without cgo, or on another system than Linux, they always do.
package kernels

import "errors"

// ErrNone is in the chain of an error that says that there is no GPU to be used: no driver, no device, or a program built without
// CUDA. Other errors say what is wrong with one that is there.
var ErrNone = errors.New("no GPU")

// Device is a GPU.
type Device struct {
	Index        int
	Name         string
	Memory       int64 // bytes
	Major, Minor int   // compute capability
}
