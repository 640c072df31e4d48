package program_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"invar/program"
)

// leapfrog writes ten steps with a force of x and the other carried value, made in one way at their beginning and in another at
// their end.
func leapfrog(steps int, begin, end func(b *program.Builder, k, x, y program.Value) program.Value) *program.Func {
	b := program.NewBuilder("f")
	k := b.Input("k", f64)
	return b.Finish(b.Loop(program.At(0), program.At(steps), b.Inputs("x", 3), func(i program.Affine, c []program.Value) []program.Value {
		x, v, y := c[0], c[1], c[2]
		v = b.Add(v, begin(b, k, x, y))
		y = b.Sub(y, k)
		x = b.Add(x, v)
		return []program.Value{x, b.Add(v, end(b, k, x, y)), y}
	})...)
}

// A step computes its force once, with its guard. Where what would be computed again is not quite the same, or is not worth a
// carried value, all stays.
func TestCarryOver(t *testing.T) {
	type force = func(b *program.Builder, k, x, y program.Value) program.Value
	// guarded is a force that is made by block where x is large.
	guarded := func(block func(b *program.Builder, k, s program.Value) program.Value) force {
		return func(b *program.Builder, k, x, y program.Value) program.Value {
			s := b.Sqrt(b.Abs(x))
			return b.Div(b.Guard(b.Lt(b.F(2), s), []program.Value{s}, func() []program.Value { return []program.Value{block(b, k, s)} })[0], k)
		}
	}
	plain := guarded(func(b *program.Builder, k, s program.Value) program.Value { return b.Sqrt(b.Div(k, s)) })
	pair := func(swapped bool) force {
		return func(b *program.Builder, k, x, y program.Value) program.Value {
			s := b.Sqrt(b.Abs(x))
			v := b.Guard(b.Lt(b.F(2), s), []program.Value{s, s}, func() []program.Value {
				d := b.Div(k, s)
				if swapped {
					return []program.Value{b.Sqrt(d), d}
				}
				return []program.Value{d, b.Sqrt(d)}
			})
			return b.Sub(v[0], v[1])
		}
	}
	array := func(b *program.Builder, k, x, y program.Value) program.Value {
		a := b.NewArray(1)
		b.Store(a, program.At(0), x)
		return guarded(func(b *program.Builder, k, s program.Value) program.Value { return b.Load(a, program.At(0)) })(b, k, x, y)
	}
	shared := program.Array(0)
	store := func(b *program.Builder, k, x, y program.Value) program.Value {
		b.Store(shared, program.At(0), x)
		return guarded(func(b *program.Builder, k, s program.Value) program.Value { return b.Load(shared, program.At(0)) })(b, k, x, y)
	}
	cheap := func(b *program.Builder, k, x, y program.Value) program.Value { return b.Sqrt(b.Mul(x, k)) }
	fourth := func(b *program.Builder, x program.Value) program.Value { return b.Sqrt(b.Sqrt(b.Sqrt(b.Sqrt(x)))) }
	product := func(b *program.Builder, k, x, y program.Value) program.Value { return fourth(b, b.Mul(x, y)) }
	for _, c := range []struct {
		name       string
		steps      int
		begin, end force
		once       string // what is in front of the loop and once in it, "": nothing
	}{
		{"the same", 10, plain, plain, "abs sqrt lt guard div sqrt endguard merge div"},
		{"operands the other way round", 10, product, product, "mul sqrt sqrt sqrt sqrt"},
		{"few trips", 3, plain, plain, ""},
		{"too cheap", 10, cheap, cheap, ""},
		{"a merge gains nothing", 10,
			func(b *program.Builder, k, x, y program.Value) program.Value {
				return b.Guard(b.Lt(b.F(2), x), []program.Value{x}, func() []program.Value { return []program.Value{b.Sqrt(x)} })[0]
			}, nil, ""},
		{"too cheap with a guard of its own", 10,
			func(b *program.Builder, k, x, y program.Value) program.Value {
				return b.Guard(b.Lt(k, b.F(0)), []program.Value{x}, func() []program.Value { return []program.Value{b.Sqrt(x)} })[0]
			}, nil, ""},
		{"another argument", 10, product, func(b *program.Builder, k, x, y program.Value) program.Value { return fourth(b, b.Mul(x, k)) }, ""},
		{"another block", 10, plain, guarded(func(b *program.Builder, k, s program.Value) program.Value { return b.Sqrt(b.Div(s, k)) }), ""},
		{"a longer block", 10, plain, guarded(func(b *program.Builder, k, s program.Value) program.Value {
			d := b.Sqrt(b.Div(k, s))
			return b.Select(b.Lt(d, k), d, s)
		}), ""},
		{"other values of the block", 10, pair(false), pair(true), ""},
		{"another value without the block", 10, plain, func(b *program.Builder, k, x, y program.Value) program.Value {
			s := b.Sqrt(b.Abs(x))
			return b.Div(b.Guard(b.Lt(b.F(2), s), []program.Value{y}, func() []program.Value { return []program.Value{b.Sqrt(b.Div(k, s))} })[0], k)
		}, ""},
		{"an array", 10, array, array, ""},
		{"one array", 10, func(b *program.Builder, k, x, y program.Value) program.Value {
			shared = b.NewArray(1)
			return store(b, k, x, y)
		}, store, ""},
	} {
		if c.end == nil {
			c.end = c.begin
		}
		f := leapfrog(c.steps, c.begin, c.end)
		g := program.Optimize(f, false)
		if err := g.Validate(); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, g)
		}
		got, want := opsOf(g), "loop phi phi phi "
		if c.once != "" {
			// The force at the beginning of a trip is what follows the carried values.
			want = strings.Replace(opsOf(f), want+c.once, c.once+" loop phi phi phi phi", 1) + " loopout"
		}
		if got != want && (c.once != "" || !strings.Contains(got, want) || strings.Contains(got, want+"phi")) {
			t.Errorf("%s: optimised to\n%s, want\n%s\n%s", c.name, got, want, g)
		}
		checkSame(t, rand.New(rand.NewPCG(seed, 1)), f, g, 200)
	}
}

// Of two things that trips have in common one is not worth it, a guard alone: it stays as a whole.
func TestCarryOverPart(t *testing.T) {
	b := program.NewBuilder("f")
	rare, x, v := b.Input("rare", boo), b.Input("x", f64), b.Input("v", f64)
	kick := func(x, v program.Value) program.Value {
		v = b.Add(v, b.Guard(rare, []program.Value{x}, func() []program.Value { return []program.Value{b.Sqrt(x)} })[0])
		return b.Add(v, b.Sqrt(b.Sqrt(b.Abs(x))))
	}
	f := b.Finish(b.Loop(program.At(0), program.At(10), []program.Value{x, v}, func(_ program.Affine, c []program.Value) []program.Value {
		v := kick(c[0], c[1])
		x := b.Add(c[0], v)
		return []program.Value{x, kick(x, v)}
	})...)
	g := program.Optimize(f, false)
	guard, root := "guard sqrt endguard merge add ", "abs sqrt sqrt "
	if got, want := opsOf(g), root+"loop phi phi phi "+guard+"add add "+guard+root+"add endloop loopout loopout loopout"; got != want {
		t.Errorf("optimised to %q, want %q\n%s", got, want, g)
	}
	checkSame(t, rand.New(rand.NewPCG(seed, 1)), f, g, 200)
}

// What is handed from one carried value to the next is computed once and carried as often, and what nothing reads any more is
// not carried.
func TestCarryOverChain(t *testing.T) {
	b := program.NewBuilder("f")
	x := b.Inputs("x", 3)
	second := func(x program.Value) program.Value { return b.Sqrt(b.Sqrt(b.Abs(x))) }
	fourth := func(x program.Value) program.Value { return b.Sqrt(b.Sqrt(second(x))) }
	out := b.Loop(program.At(0), program.At(10), x, func(_ program.Affine, c []program.Value) []program.Value {
		next := b.Sub(second(c[0]), fourth(c[1]))
		return []program.Value{c[1], next, b.Add(c[2], fourth(next))}
	})
	f := b.Finish(out[1:]...)
	g := program.Optimize(f, false)
	two, four := "abs sqrt sqrt ", "abs sqrt sqrt sqrt sqrt "
	if got, want := opsOf(g), two+four+"loop phi phi phi phi phi sub "+four+"add endloop loopout loopout loopout loopout loopout"; got != want {
		t.Errorf("optimised to %q, want %q\n%s", got, want, g)
	}
	checkSame(t, rand.New(rand.NewPCG(seed, 1)), f, g, 200)
}

// Random loops whose trips begin as the ones before them end keep their bits, also in loops of the same kind.
func TestCarryOverKeepsBits(t *testing.T) {
	const loops = 400
	phis := func(f *program.Func) (n int) {
		for _, in := range f.Instrs {
			if in.Op == program.OpPhi {
				n++
			}
		}
		return n
	}
	carried := 0
	for k := range uint64(loops) {
		b := program.NewBuilder("f")
		// again is the same random expression of x and y each time.
		again := func(x, y program.Value) program.Value {
			r := rand.New(rand.NewPCG(seed, k))
			v := []program.Value{x, y, b.F(0.5)}
			last := x
			for range 2 + r.IntN(8) {
				a := v[r.IntN(len(v))]
				switch r.IntN(5) {
				case 0:
					last = b.Mul(a, last)
				case 1:
					last = b.Sub(last, a)
				case 2:
					last = b.Div(a, b.Add(last, b.F(3)))
				case 3:
					last = b.Select(b.Lt(a, last), b.Sqrt(last), b.Neg(a))
				case 4:
					old := last
					last = b.Guard(b.Lt(a, old), []program.Value{old}, func() []program.Value {
						return []program.Value{b.Mul(b.Sub(a, old), b.F(0.25))}
					})[0]
				}
				v = append(v, last)
			}
			return last
		}
		// Each trip of a loop has again at its beginning and its end, and does something in between.
		loop := func(hi program.Affine, in []program.Value, between func(i program.Affine, v []program.Value) []program.Value) []program.Value {
			return b.Loop(program.At(0), hi, in, func(i program.Affine, c []program.Value) []program.Value {
				y := b.Add(c[1], again(c[0], c[2]))
				c = between(i, []program.Value{b.Add(c[0], b.Mul(y, b.F(0.125))), y, c[2]})
				return []program.Value{c[0], b.Add(c[1], again(c[0], c[2])), c[2]}
			})
		}
		f := b.Finish(loop(program.At(9), b.Inputs("x", 3), func(i program.Affine, v []program.Value) []program.Value {
			if k%2 == 0 {
				return v
			}
			return loop(i, v, func(_ program.Affine, v []program.Value) []program.Value { return v }) // at first no trip
		})...)
		g := program.Optimize(f, false)
		if err := g.Validate(); err != nil {
			t.Fatalf("%v\n%s", err, g)
		}
		if phis(g) > phis(f) {
			carried++
		}
		checkSame(t, rand.New(rand.NewPCG(seed, k)), f, g, 8)
	}
	if carried < loops/2 {
		t.Errorf("%d of %d loops carry more than before", carried, loops)
	}
}
