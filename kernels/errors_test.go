package kernels

import (
	"errors"
	"strings"
	"testing"
)

// Every error is one line with its name, its number and what to try.
func TestErrors(t *testing.T) {
	for code, k := range known {
		if !strings.HasPrefix(k[0], "CUDA_ERROR_") || k[1] == "" {
			t.Errorf("error %d: %q", code, k)
		}
	}
	for _, c := range []struct {
		err  Error
		want string
	}{
		{Error{Call: "cuInit", Code: 803}, "kernels: cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803); the driver was updated under a running system: restart the machine"},
		{Error{Call: "cuX", Code: 12345}, "kernels: cuX: CUDA error (12345); see CUresult in NVIDIA's documentation of the driver; or use --device cpu"},
		{Error{Call: "cuX", Code: 218, Log: "line 3;\n bad\n\x00\x00"}, "kernels: cuX: CUDA_ERROR_INVALID_PTX (218): line 3; bad; this is a fault of Invar: please report it with this line; --device cpu gives the same results"},
	} {
		if errors.Is(&c.err, ErrNone) {
			t.Errorf("%v says that there is no GPU", &c.err)
		}
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if !errors.Is(&Error{Call: "cuInit", Code: 100}, ErrNone) {
		t.Error("CUDA_ERROR_NO_DEVICE does not say that there is no GPU")
	}
}
