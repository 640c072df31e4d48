#include "textflag.h"

// func narrow8(x, scratch []uint64, lo, hi uint64) (kept, below int)
//
// A store writes eight numbers, of which those that follow the kept ones are of no account. It stays within scratch, for no more are
// kept than have been read.
TEXT ·narrow8(SB), NOSPLIT, $0-80
	MOVQ x_base+0(FP), SI
	MOVQ x_len+8(FP), CX
	MOVQ scratch_base+24(FP), DI
	MOVQ lo+48(FP), AX
	MOVQ hi+56(FP), BX
	SUBQ AX, BX
	VPBROADCASTQ AX, Z0 // lo
	VPBROADCASTQ BX, Z1 // hi - lo
	XORQ R8, R8         // kept
	XORQ R9, R9         // below
	SHRQ $3, CX

eight:
	VMOVDQU64 (SI), Z2
	VPSUBQ Z0, Z2, Z3         // wraps where a number is below lo
	VPCMPUQ $1, Z0, Z2, K1    // less than lo
	VPCMPUQ $2, Z1, Z3, K2    // at most hi - lo
	VPCOMPRESSQ Z2, K2, Z4
	VMOVDQU64 Z4, (DI)(R8*8)
	KMOVW K1, R10
	KMOVW K2, R11
	POPCNTL R10, R10
	POPCNTL R11, R11
	ADDQ R10, R9
	ADDQ R11, R8
	ADDQ $64, SI
	DECQ CX
	JNZ eight

	VZEROUPPER
	MOVQ R8, kept+64(FP)
	MOVQ R9, below+72(FP)
	RET
