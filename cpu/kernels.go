package cpu

import "math"

// The loops of the interpreter: d = operation of the operands, lane by lane. d
// may be the same column as an operand. All columns have the length of d.

func addCC(d []float64, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] + b[i]
	}
}

func addCS(d []float64, a []float64, b float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] + b
	}
}

func subCC(d []float64, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] - b[i]
	}
}

func subCS(d []float64, a []float64, b float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] - b
	}
}

func subSC(d []float64, a float64, b []float64) {
	b = b[:len(d)]
	for i := range d {
		d[i] = a - b[i]
	}
}

func mulCC(d []float64, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] * b[i]
	}
}

func mulCS(d []float64, a []float64, b float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] * b
	}
}

func divCC(d []float64, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = a[i] / b[i]
	}
}

func divCS(d []float64, a []float64, b float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] / b
	}
}

func divSC(d []float64, a float64, b []float64) {
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

func sqrtC(d []float64, a []float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = math.Sqrt(a[i])
	}
}

func negC(d []uint64, a []uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] ^ 1<<63
	}
}

func absC(d []uint64, a []uint64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = a[i] &^ (1 << 63)
	}
}

func roundC(d []float64, a []float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = math.RoundToEven(a[i])
	}
}

func floorC(d []float64, a []float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = math.Floor(a[i])
	}
}

func truncC(d []float64, a []float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = math.Trunc(a[i])
	}
}

func ltCC(d []uint8, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] < b[i])
	}
}

func ltCS(d []uint8, a []float64, b float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(a[i] < b)
	}
}

func ltSC(d []uint8, a float64, b []float64) {
	b = b[:len(d)]
	for i := range d {
		d[i] = bit(a < b[i])
	}
}

func leCC(d []uint8, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] <= b[i])
	}
}

func leCS(d []uint8, a []float64, b float64) {
	a = a[:len(d)]
	for i := range d {
		d[i] = bit(a[i] <= b)
	}
}

func leSC(d []uint8, a float64, b []float64) {
	b = b[:len(d)]
	for i := range d {
		d[i] = bit(a <= b[i])
	}
}

func eqCC(d []uint8, a []float64, b []float64) {
	a, b = a[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = bit(a[i] == b[i])
	}
}

func eqCS(d []uint8, a []float64, b float64) {
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

func selectCC(d []uint64, t []uint8, b []uint64, c []uint64) {
	t, b, c = t[:len(d)], b[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = c[i] ^ (b[i]^c[i])&-uint64(t[i])
	}
}

func selectCS(d []uint64, t []uint8, b []uint64, c uint64) {
	t, b = t[:len(d)], b[:len(d)]
	for i := range d {
		d[i] = c ^ (b[i]^c)&-uint64(t[i])
	}
}

func selectSC(d []uint64, t []uint8, b uint64, c []uint64) {
	t, c = t[:len(d)], c[:len(d)]
	for i := range d {
		d[i] = c[i] ^ (b^c[i])&-uint64(t[i])
	}
}

func selectSS(d []uint64, t []uint8, b uint64, c uint64) {
	t = t[:len(d)]
	x := b ^ c
	for i := range d {
		d[i] = c ^ x&-uint64(t[i])
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

func tableC(d []float64, a []uint64, table []float64) {
	a = a[:len(d)]
	mask := uint64(len(table) - 1)
	for i := range d {
		d[i] = table[a[i]&mask]
	}
}

func fill(d []uint64, a uint64) {
	for i := range d {
		d[i] = a
	}
}

func fillBool(d []uint8, a uint8) {
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
