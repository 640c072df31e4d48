package kernels

import (
	"fmt"
	"strings"

	"invar/program"
)

// Error is what the driver answered to a call: one line with its name and what to try. It wraps program.ErrDevice, and
// ErrNone where there is no device.
type Error struct {
	Device string // as in cuda:0; empty where the call is about none
	Call   string // the driver's function
	Code   int    // CUresult
	Log    string // of the compiler, if it was that
}

const codeOutOfMemory = 2

// known lists the driver's errors that a user may meet: name and what to try.
var known = map[int][2]string{
	1:               {"CUDA_ERROR_INVALID_VALUE", "this is a fault of Invar: please report it; --device cpu gives the same results"},
	codeOutOfMemory: {"CUDA_ERROR_OUT_OF_MEMORY", "close other programs on the GPU, run fewer samples at once, or use --device cpu"},
	3:               {"CUDA_ERROR_NOT_INITIALIZED", "restart the program"},
	35:              {"CUDA_ERROR_INSUFFICIENT_DRIVER", "install a newer NVIDIA driver"},
	46:              {"CUDA_ERROR_DEVICE_UNAVAILABLE", "another program holds the GPU for itself (nvidia-smi shows it)"},
	100:             {"CUDA_ERROR_NO_DEVICE", "check with nvidia-smi that the GPU is seen, and CUDA_VISIBLE_DEVICES; or use --device cpu"},
	101:             {"CUDA_ERROR_INVALID_DEVICE", "nvidia-smi -L lists the devices"},
	200:             {"CUDA_ERROR_INVALID_IMAGE", "this is a fault of Invar: please report it; --device cpu gives the same results"},
	201:             {"CUDA_ERROR_INVALID_CONTEXT", "this is a fault of Invar: please report it; --device cpu gives the same results"},
	209:             {"CUDA_ERROR_NO_BINARY_FOR_GPU", "the GPU is too old; use --device cpu"},
	214:             {"CUDA_ERROR_ECC_UNCORRECTABLE", "the GPU's memory is faulty: restart the machine, have the GPU checked"},
	218:             {"CUDA_ERROR_INVALID_PTX", "this is a fault of Invar: please report it with this line; --device cpu gives the same results"},
	221:             {"CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the driver is installed in part: libnvidia-ptxjitcompiler.so.1 is missing"},
	222:             {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "install NVIDIA driver 410 or newer"},
	304:             {"CUDA_ERROR_OPERATING_SYSTEM", "check the permissions of /dev/nvidia*"},
	400:             {"CUDA_ERROR_INVALID_HANDLE", "this is a fault of Invar: please report it; --device cpu gives the same results"},
	500:             {"CUDA_ERROR_NOT_FOUND", "install a newer NVIDIA driver"},
	700:             {"CUDA_ERROR_ILLEGAL_ADDRESS", "this is a fault of Invar: please report it; --device cpu gives the same results"},
	701:             {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "the program needs more registers than the GPU has; use --device cpu"},
	702:             {"CUDA_ERROR_LAUNCH_TIMEOUT", "the GPU also drives a display, which ends what runs for seconds; use another GPU or --device cpu"},
	716:             {"CUDA_ERROR_MISALIGNED_ADDRESS", "this is a fault of Invar: please report it; --device cpu gives the same results"},
	719:             {"CUDA_ERROR_LAUNCH_FAILED", "dmesg may say more (Xid); if it comes again, use --device cpu and report it"},
	802:             {"CUDA_ERROR_SYSTEM_NOT_READY", "start nvidia-fabricmanager, then try again"},
	803:             {"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "the driver was updated under a running system: restart the machine"},
	804:             {"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "remove the CUDA compatibility library from LD_LIBRARY_PATH"},
	999:             {"CUDA_ERROR_UNKNOWN", "the GPU may be lost: dmesg may say more (Xid); restart the machine, or use --device cpu"},
}

// Is says what kind of an error this is.
func (e *Error) Is(target error) bool {
	return target == program.ErrDevice || target == ErrNone && e.Code == 100
}

func (e *Error) Error() string {
	k, ok := known[e.Code]
	if !ok {
		k = [2]string{"CUDA error", "see CUresult in NVIDIA's documentation of the driver; or use --device cpu"}
	}
	s := "kernels: "
	if e.Device != "" {
		s += e.Device + ": "
	}
	s += fmt.Sprintf("%s: %s (%d)", e.Call, k[0], e.Code)
	if log := strings.Join(strings.Fields(strings.ReplaceAll(e.Log, "\x00", " ")), " "); log != "" {
		s += ": " + log
	}
	return s + "; " + k[1]
}
