// The table in front of the driver: every driver function of symbols.h is defined here and jumps to
// where its pointer says. The pointers are filled when the driver is opened; until then, and where there
// is no driver, they lead to a function that answers "no device". So the program starts anywhere.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, NO_DEVICE = 100, NOT_FOUND = 500 };

static int absent(void) { return NO_DEVICE; }  // no driver
static int missing(void) { return NOT_FOUND; } // a driver without this function

// A jump leaves the arguments and the return address as they are, whatever the function's type.
#if defined(__x86_64__)
#define JUMP(n) "jmp *invar_to_" #n "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(n) "adrp x16, invar_to_" #n "\n ldr x16, [x16, :lo12:invar_to_" #n "]\n br x16\n"
#else
#error "the driver table is written for amd64 and arm64; build with -tags nocuda"
#endif

#define X(n)                                             \
	__attribute__((visibility("hidden"))) void *invar_to_##n = (void *)absent; \
	__asm__(".text\n .globl " #n "\n .type " #n ", %function\n" #n ":\n" JUMP(n) " .size " #n ", .-" #n "\n");
#include "symbols.h"
#undef X

// cuInit always succeeds: gorgonia.org/cu calls it when the program starts and ends the program if it fails.
// invar_cuda_open makes the real call.
int cuInit(unsigned flags) {
	(void)flags;
	return SUCCESS;
}

static void *library;

// invar_cuda_open opens the driver library once and initialises the driver; it returns the driver's error, or -1 with
// a text when there is no library.
int invar_cuda_open(const char *path, char *text, size_t size) {
	if (!library) {
		library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!library) {
			const char *e = dlerror();
			snprintf(text, size, "%s", e ? e : "");
			return -1;
		}
#define X(n)                                       \
	invar_to_##n = dlsym(library, #n);             \
	if (!invar_to_##n) invar_to_##n = (void *)missing;
#include "symbols.h"
#undef X
	}
	int (*init)(unsigned) = (int (*)(unsigned))dlsym(library, "cuInit");
	return init ? init(0) : NOT_FOUND;
}
