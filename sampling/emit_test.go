package sampling

import (
	"math"
	"math/rand/v2"
	"testing"

	"invar/program"
)

// emitted writes the sampler's points as a function of their number, as an engine gets it; nil if it cannot be written.
func emitted(s Sampler, box [][2]float64) *program.Func {
	b := program.NewBuilder("point")
	x := s.Emit(b, b.ToInt(b.Input("i", program.F64)), box)
	if x == nil {
		return nil
	}
	return program.Optimize(b.Finish(x...), false)
}

// TestEmit: the operations that a program has in place of a sampler give the sampler's bits, whatever the
// seed, the number of the point, the dimensions and the box.
func TestEmit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	zero := math.Copysign(0, -1)
	boxes := [][2]float64{{0, 1}, {-1, 1}, {-3, 3}, {0, 0}, {zero, 0}, {0, zero}, {zero, zero}, {1, 1}, {-1e308, 7e307}, {-1, 0}, {-1, zero}, {5e-324, 1e-323},
		{1 - 0x1p-53, 1}, {1e16, 1e16 + 2}, {-0x1p-1074, 0x1p-1074}, {0.1, 0.3}, {-1e-300, 1e300}}
	const total = 1 << 51
	written := map[string]bool{}
	for _, name := range Names() {
		for range 300 {
			dims := 1 + r.IntN(16)
			seed := r.Uint64() >> (r.IntN(65))
			box := make([][2]float64, dims)
			for d := range box {
				box[d] = boxes[r.IntN(len(boxes))]
			}
			s, err := New(name, seed, total, dims)
			if err != nil {
				t.Fatal(err)
			}
			f := emitted(s, box)
			if f == nil {
				break
			}
			written[name] = true
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
			out := columns(dims, 1)
			for range 30 {
				i := int(r.Uint64() % total >> r.IntN(52))
				if r.IntN(9) == 0 {
					i = []int{0, 1, 1<<32 - 1, 1 << 32, total - 1}[r.IntN(5)]
				}
				if err := s.Fill(i, 1, box, out); err != nil {
					t.Fatal(err)
				}
				for d, x := range f.EvalF64(float64(i)) {
					if math.Float64bits(x) != math.Float64bits(out[d][0]) {
						t.Fatalf("%s, seed %d: coordinate %d of point %d in %v is %v, want %v", name, seed, d, i, box[d], x, out[d][0])
					}
				}
			}
		}
	}
	if !written["uniform"] {
		t.Error("uniform, the default, is not written as a program")
	}
}

// TestEmitUnit: at the ends and in between the two halves make the number that unit makes of them.
func TestEmitUnit(t *testing.T) {
	b := program.NewBuilder("unit")
	f := b.Finish(emitUnit(b, b.Input("low", program.I64), b.Input("high", program.I64)))
	r := rand.New(rand.NewPCG(5, 6))
	for k := range 10000 {
		x := r.Uint64()
		if k < 64 {
			x = 1 << k
		} else if k < 128 {
			x = math.MaxUint64 << (k - 64)
		} else if k < 192 {
			x = math.MaxUint64 >> (k - 128)
		}
		garbage := r.Uint64() << 32
		got := math.Float64frombits(f.Eval(x&0xffffffff|garbage, x>>32|garbage)[0])
		if want := unit(x); got != want {
			t.Fatalf("%#x gives %v, want %v", x, got, want)
		}
	}
}
