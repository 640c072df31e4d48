package cpu

import (
	"fmt"
	"math"
	"sync"

	"invar/program"
)

// Func evaluates one function over columns. It is safe for concurrent use.
type Func struct {
	f    *program.Func
	out  []program.Type
	code *code
	mu   sync.Mutex
	idle []*machine
}

// CompileFunc prepares f. It panics with a *program.Error if f is not valid (see
// program.Func.Validate).
func CompileFunc(f *program.Func) *Func {
	one, err := compile(f, 1, nil)
	if err != nil {
		panic(err)
	}
	code, err := compile(f, blockFor(one), nil)
	if err != nil {
		panic(err)
	}
	return &Func{f: f, out: f.OutTypes(), code: code}
}

// Run evaluates a function of F64s for n points: in[i][k] is input i of point k,
// out[j][k] output j. It panics if the columns do not fit or f has other types.
func (f *Func) Run(n int, in, out [][]float64) {
	for i, t := range f.f.In {
		f.wantF64("input", i, t)
	}
	for i, t := range f.out {
		f.wantF64("output", i, t)
	}
	f.fits(n, len(in), len(out))
	f.blocks(n, func(m *machine, first, n int) {
		for i, p := range f.code.in {
			copy(m.f[p.at:][:n], in[i][first:][:n])
		}
		f.code.run(m, n, nil)
		for i, p := range f.code.out {
			o := out[i][first:][:n]
			if p.scalar {
				for k := range o {
					o[k] = math.Float64frombits(m.s[p.at])
				}
			} else {
				copy(o, m.f[p.at:][:n])
			}
		}
	})
}

// RunBits is Run for inputs and outputs of any types, as bits; a Bool is 0 or 1, an F32 its 32 bits.
func (f *Func) RunBits(n int, in, out [][]uint64) {
	f.fits(n, len(in), len(out))
	f.blocks(n, func(m *machine, first, n int) {
		for i, p := range f.code.in {
			x := in[i][first:][:n]
			switch fileOf(p.typ) {
			case bools:
				for k := range x {
					m.t[p.at+k] = bit(x[k] != 0)
				}
			case singles:
				fromBitsC(m.w[p.at:][:n], x)
			default:
				copy(m.u[p.at:][:n], x)
			}
		}
		f.code.run(m, n, nil)
		for i, p := range f.code.out {
			o := out[i][first:][:n]
			switch {
			case p.scalar:
				fill(o, m.s[p.at])
			case fileOf(p.typ) == bools:
				for k := range o {
					o[k] = uint64(m.t[p.at+k])
				}
			case fileOf(p.typ) == singles:
				bitsC(o, m.w[p.at:][:n])
			default:
				copy(o, m.u[p.at:][:n])
			}
		}
	})
}

func (f *Func) wantF64(what string, i int, t program.Type) {
	if t != program.F64 {
		panic(fmt.Sprintf("cpu: %s: %s %d is %s, want f64: use RunBits", f.f.Name, what, i, t))
	}
}

func (f *Func) fits(n, in, out int) {
	if n < 0 || in != len(f.f.In) || out != len(f.out) {
		panic(fmt.Sprintf("cpu: %s: %d points with %d input and %d output columns, want %d and %d", f.f.Name, n, in, out, len(f.f.In), len(f.out)))
	}
}

func (f *Func) blocks(n int, run func(m *machine, first, n int)) {
	f.mu.Lock()
	var m *machine
	if k := len(f.idle); k > 0 {
		m, f.idle = f.idle[k-1], f.idle[:k-1]
	}
	f.mu.Unlock()
	if m == nil {
		m = f.code.newMachine()
	}
	for first := 0; first < n; first += f.code.stride {
		run(m, first, min(f.code.stride, n-first))
	}
	f.mu.Lock()
	f.idle = append(f.idle, m)
	f.mu.Unlock()
}
