package cpu

import (
	"math"
	"unsafe"

	"invar/program"
)

// number is the type of a column of numbers, word that of the same column as bits.
type number interface{ float32 | float64 }
type word interface{ uint32 | uint64 }

// toNumber is the number with the given bits.
func toNumber[T number](bits uint64) (x T) {
	if unsafe.Sizeof(x) == 4 {
		return T(math.Float32frombits(uint32(bits)))
	}
	return T(math.Float64frombits(bits))
}

// The loops of the interpreter: d = operation of the operands, lane by lane. d
// may be the same column as an operand. All columns have the length of d.

func addCC[T number](d []T, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

func addCS[T number](d []T, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] + b
	}
}

func subCC[T number](d []T, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

func subCS[T number](d []T, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] - b
	}
}

func subSC[T number](d []T, a T, b []T) {
	b = b[:len(d)]
	for i := range d {
		d[i] = a - b[i]
	}
}

func mulCC[T number](d []T, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] * b[i]
	}
}

func mulCS[T number](d []T, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] * b
	}
}

func divCC[T number](d []T, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] / b[i]
	}
}

func divCS[T number](d []T, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] / b
	}
}

func divSC[T number](d []T, a T, b []T) {
	b = b[:len(d)]
	for i := range d {
		d[i] = a / b[i]
	}
}

func fmaCCC(d []float64, a []float64, b []float64, c []float64) {
	a, b, c = a[:len(d)], b[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = math.FMA(a[i], b[i], c[i])
	}
}

func fmaCCS(d []float64, a []float64, b []float64, c float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = math.FMA(a[i], b[i], c)
	}
}

func fmaCSC(d []float64, a []float64, b float64, c []float64) {
	a, c = a[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = math.FMA(a[i], b, c[i])
	}
}

func fmaCSS(d []float64, a []float64, b float64, c float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = math.FMA(a[i], b, c)
	}
}

// fma32 is program.FMA32. Rounding the sum twice goes wrong only where the first rounding ends in the middle between two
// float32s, whose last 28 bits are zeros.
func fma32(d []float32, a []float32, b []float32, c []float32) {
	a, b, c = a[:len(d)], b[:len(d)], c[:len(d)]
	for i := range d {
		s := float64(a[i])*float64(b[i]) + float64(c[i]) // the product is exact
		if math.Float64bits(s)<<36 != 0 {
			d[i] = float32(s)
		} else {
			d[i] = program.FMA32(a[i], b[i], c[i])
		}
	}
}

func sqrtC[T number](d []T, a []T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = T(math.Sqrt(float64(a[i])))
	}
}

func negC[W word](d []W, a []W, sign W) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] ^ sign
	}
}

func absC[W word](d []W, a []W, sign W) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] &^ sign
	}
}

func roundC[T number](d []T, a []T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = T(math.RoundToEven(float64(a[i])))
	}
}

func floorC[T number](d []T, a []T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = T(math.Floor(float64(a[i])))
	}
}

func truncC[T number](d []T, a []T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = T(math.Trunc(float64(a[i])))
	}
}

func ltCC[T number](d []uint8, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] < b[i])
	}
}

func ltCS[T number](d []uint8, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(a[i] < b)
	}
}

func ltSC[T number](d []uint8, a T, b []T) {
	b = b[:len(d)]
	for i := range d {
		d[i] = bit(a < b[i])
	}
}

func leCC[T number](d []uint8, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] <= b[i])
	}
}

func leCS[T number](d []uint8, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(a[i] <= b)
	}
}

func leSC[T number](d []uint8, a T, b []T) {
	b = b[:len(d)]
	for i := range d {
		d[i] = bit(a <= b[i])
	}
}

func eqCC[T number](d []uint8, a []T, b []T) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] == b[i])
	}
}

func eqCS[T number](d []uint8, a []T, b T) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(a[i] == b)
	}
}

func andC(d []uint8, a []uint8, b []uint8) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] & b[i]
	}
}

func orC(d []uint8, a []uint8, b []uint8) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] | b[i]
	}
}

func notC(d []uint8, a []uint8) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] ^ 1
	}
}

func selectCC[W word](d []W, t []uint8, b []W, c []W) {
	t, b, c = t[:len(d)], b[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = c[i] ^ (b[i]^c[i])&-W(t[i])
	}
}

func selectCS[W word](d []W, t []uint8, b []W, c W) {
	t, b = t[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = c ^ (b[i]^c)&-W(t[i])
	}
}

func selectSC[W word](d []W, t []uint8, b W, c []W) {
	t, c = t[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = c[i] ^ (b^c[i])&-W(t[i])
	}
}

func selectSS[W word](d []W, t []uint8, b W, c W) {
	t = t[:len(d)]
	x := b ^ c
	for i := range d {
		d[i] = c ^ x&-W(t[i])
	}
}

func selectBool(d []uint8, t []uint8, b []uint8, c []uint8) {
	t, b, c = t[:len(d)], b[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = c[i] ^ (b[i]^c[i])&t[i]
	}
}

func iaddCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

func iaddCS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] + b
	}
}

func isubCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

func isubSC(d []uint64, a uint64, b []uint64) {
	b = b[:len(d)]
	for i := range d {
		d[i] = a - b[i]
	}
}

func mulu32CC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = (a[i] & 0xffffffff) * (b[i] & 0xffffffff)
	}
}

func mulu32CS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = (a[i] & 0xffffffff) * (b & 0xffffffff)
	}
}

func iandCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] & b[i]
	}
}

func iandCS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] & b
	}
}

func iorCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] | b[i]
	}
}

func iorCS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] | b
	}
}

func ixorCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
}

func ixorCS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] ^ b
	}
}

func shlCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] << b[i]
	}
}

func shlCS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] << b
	}
}

func shrCC(d []uint64, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] >> b[i]
	}
}

func shrCS(d []uint64, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] >> b
	}
}

func iltCC(d []uint8, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(int64(a[i]) < int64(b[i]))
	}
}

func iltCS(d []uint8, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(int64(a[i]) < int64(b))
	}
}

func iltSC(d []uint8, a uint64, b []uint64) {
	b = b[:len(d)]
	for i := range d {
		d[i] = bit(int64(a) < int64(b[i]))
	}
}

func ieqCC(d []uint8, a []uint64, b []uint64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] == b[i])
	}
}

func ieqCS(d []uint8, a []uint64, b uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(a[i] == b)
	}
}

func tableC[T number](d []T, a []uint64, table []float64) {
	a = a[:len(d)]
	mask := uint64(len(table) - 1)
	for i := range d {
		d[i] = T(table[a[i]&mask])
	}
}

func widenC(d []float64, a []float32) {
	a = a[:len(d)]
	for i := range d {
		d[i] = float64(a[i])
	}
}

func narrowC(d []float32, a []float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = float32(a[i])
	}
}

func bitsC(d []uint64, a []uint32) {
	a = a[:len(d)]
	for i := range d {
		d[i] = uint64(a[i])
	}
}

func fromBitsC(d []uint32, a []uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = uint32(a[i])
	}
}

func fill[W word | uint8](d []W, a W) {
	for i := range d {
		d[i] = a
	}
}

// anyTrue reports whether a Bool column holds a true.
func anyTrue(a []uint8) bool {
	var x uint8
	for _, v := range a {
		x |= v
	}
	return x != 0
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
