//go:build linux || darwin || windows

#include "textflag.h"

// func enter(code uintptr, f *frame)
//
// The code keeps the stack and frame pointers, needs 8 bytes of stack (its return address), and clears
// the upper halves of the vector registers before it returns.
TEXT ·enter(SB), NOSPLIT, $8-16
	MOVQ code+0(FP), AX
	MOVQ f+8(FP), DI
	CALL AX
	RET

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

// func xgetbv() uint32
TEXT ·xgetbv(SB), NOSPLIT, $0-4
	MOVL $0, CX
	XGETBV
	MOVL AX, ret+0(FP)
	RET
