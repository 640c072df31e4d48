package disasm

import "invar/cpu/internal/amd64"

// General are the general registers.
func General() (all []amd64.Reg) {
	for r := amd64.RAX; r <= amd64.R15; r++ {
		all = append(all, r)
	}
	return all
}

// displacements are on both sides of where an encoding changes, for the units n in which EVEX counts those of one byte.
func displacements() (all []int32) {
	all = []int32{0, 1, -1, 100, 1 << 20, -1 << 20}
	for _, n := range []int32{1, 4, 8, 32, 64} {
		all = append(all, n*127, n*128, -n*128, -n*129)
	}
	return append(all, 4, 8, 32, 64)
}

// Memory is each kind of address: every base with every displacement, without an index and with every index and scale.
func Memory() (all []amd64.Arg) {
	g := General()
	for _, base := range g {
		for _, d := range displacements() {
			all = append(all, amd64.M(base, d))
			index := g[len(all)/2%len(g)]
			if index == amd64.RSP { // says that there is none
				index = amd64.RBP
			}
			all = append(all, amd64.MX(base, index, 1<<(len(all)/2%4), d))
		}
	}
	return all
}

// Every writes in with every register in each place and every kind of operand: with EVEX for size Z, else with VEX.
func Every(a *amd64.Asm, in amd64.Insn, size amd64.Size) {
	count := func(c amd64.Class) int {
		switch {
		case c == amd64.Mask:
			return 8
		case size == amd64.Z && (c == amd64.Vector || c == amd64.Xmm):
			return 32
		}
		return 16
	}
	// The factors are odd, so that each place goes through all its registers.
	register := func(c amd64.Class, i, factor, from int) uint8 { return uint8((i*factor + from) % count(c)) }
	write := func(i int, rm amd64.Arg) {
		dst, src := register(in.Dst, i, 1, 0), register(in.RM, i, 3, 1)
		switch {
		case size == amd64.Z:
			if in.Operands != amd64.DstSrcRM {
				src = 0
			}
			mask := 0 // what the emitter writes masks with
			if in.Mem == amd64.Indexed {
				mask = 1 + i%7
			} else if in.Operands == amd64.DstSrcRM && in.RM == amd64.Vector {
				mask = i / 3 % 8
			}
			a.EVEX(&in, dst, src, uint8(mask), rm)
		case in.Operands == amd64.DstSrcRMSel:
			a.VEX4(&in, dst, src, rm, register(in.RM, i, 5, 2))
		case in.Mem == amd64.Indexed:
			a.VEX(&in, size, dst, register(in.Dst, i, 1, 1), rm)
		case in.Operands == amd64.DstSrcRM:
			a.VEX(&in, size, dst, src, rm)
		default:
			a.VEX(&in, size, dst, 0, rm)
		}
	}
	stores := in.Operands == amd64.RMDst && in.Mem != amd64.Never
	if in.Mem != amd64.Indexed && !stores {
		for i := range 32 {
			write(i, amd64.V(register(in.RM, i, 7, 3)))
		}
	}
	g, i := General(), 0
	switch in.Mem {
	case amd64.Indexed: // destination, index and mask differ
		for _, base := range g {
			for _, d := range displacements() {
				write(i, amd64.MX(base, amd64.Reg(register(in.Dst, i, 1, 2)), 1<<(i/3%4), d))
				i++
			}
		}
	case amd64.Full, amd64.Whole, amd64.Number, amd64.Byte:
		for _, m := range Memory() {
			write(i, m)
			i++
		}
		if in.Mem != amd64.Full || size != amd64.Z {
			break
		}
		for _, base := range g {
			for _, d := range displacements() {
				write(i, amd64.B(base, d))
				i++
			}
		}
	}
}
