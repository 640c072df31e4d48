package bigref

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// Digits from Abramowitz & Stegun, table 1.1 (and its well-known continuations).
func TestConstants(t *testing.T) {
	for _, c := range []struct {
		name   string
		got    *Number
		digits string
	}{
		{"pi", Pi(), "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"},
		{"e", Of("exp", 1), "2.71828182845904523536028747135266249775724709369995957496696762772407663035354759"},
		{"ln 2", Of("log", 2), "0.69314718055994530941723212145817656807550013436025525412068000949339362196969471"},
		{"ln 10", Of("log", 10), "2.30258509299404568401799145468436420760110148862877297603332790096757260967735248"},
		{"ln(1+1)", Of("log1p", 1), "0.69314718055994530941723212145817656807550013436025525412068000949339362196969471"},
		{"pi/4", Of("atan", 1), "0.78539816339744830961566084581987572104929234984377645524373614807695410157155224"},
		{"pi/6", Of("asin", 0.5), "0.52359877559829887307710723054658381403286156656251763682915743205130273438103483"},
		{"sqrt 2", Of("hypot", 1, 1), "1.41421356237309504880168872420969807856967187537694807317667973799073247846210703"},
		{"sqrt 2", Of("pow", 2, 0.5), "1.41421356237309504880168872420969807856967187537694807317667973799073247846210703"},
	} {
		want, _, err := big.ParseFloat(c.digits, 10, prec, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := sub(c.got, want).Float64()
		if !(math.Abs(d) <= 1e-77) {
			t.Errorf("%s = %.80g, want %s", c.name, c.got, c.digits)
		}
	}
}

// The reference obeys the addition theorems far below a double's precision.
func TestIdentities(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	small := func(what string, x float64, d *Number) {
		t.Helper()
		if d.Sign() != 0 && d.MantExp(nil) > -220 {
			t.Errorf("%s at %v: off by %.3g", what, x, d)
		}
	}
	one := float(1)
	for range 200 {
		x := r.NormFloat64() * math.Exp(8*r.NormFloat64())
		s, c := Of("sin", x), Of("cos", x)
		small("sin^2+cos^2", x, sub(add(mul(s, s), mul(c, c)), one))
		back := Of("atan", x)
		bs, bc := sinCosBig(back)
		small("tan atan", x, sub(quo(quo(bs, bc), float(x)), one))
		if x > 0 {
			small("exp log", x, sub(quo(expBig(logBig(float(x))), float(x)), one))
			small("log1p expm1", x, sub(quo(expm1Big(log1pBig(float(x))), float(x)), one))
		}
		y := math.Mod(x, 1)
		sh, ch := Of("sinh", y), Of("cosh", y)
		small("cosh^2-sinh^2", y, sub(sub(mul(ch, ch), mul(sh, sh)), one))
		small("tanh", y, sub(mul(Of("tanh", y), ch), sh))
		a := add(Of("asin", y), Of("acos", y))
		small("asin+acos", y, sub(a, shift(Pi(), -1)))
	}
}

func TestUlps(t *testing.T) {
	third := quo(float(1), float(3))
	for _, c := range []struct {
		got  float64
		want *Number
		ulps float64
	}{
		{1, float(1), 0},
		{1 + 0x1p-52, float(1), 1},
		{1 - 0x1p-53, float(1), 0.5},
		{1.0 / 3, third, 1.0 / 3},
		{0x1p-1074, shift(float(3), -1075), 0.5},
		{0, shift(float(1), -1075), 0.5},
		{math.Inf(1), shift(float(1), 1024), 0},
		{math.Inf(-1), shift(float(1), 1024), math.Inf(1)},
		{math.MaxFloat64, shift(float(1), 1024), math.Inf(1)},
		{math.NaN(), float(1), math.Inf(1)},
	} {
		if u := Ulps(c.got, c.want); !(math.Abs(u-c.ulps) <= 1e-15) && u != c.ulps {
			t.Errorf("Ulps(%v, %v) = %v, want %v", c.got, c.want, u, c.ulps)
		}
	}
	for _, c := range []struct {
		got  float32
		want *Number
		ulps float64
	}{
		{1, float(1), 0},
		{1 + 0x1p-23, float(1), 1},
		{1 - 0x1p-24, float(1), 0.5},
		{0x1p-149, shift(float(3), -150), 0.5},
		{0, shift(float(1), -150), 0.5},
		{float32(math.Inf(1)), shift(float(1), 128), 0},
		{math.MaxFloat32, shift(float(1), 128), math.Inf(1)},
		{float32(math.NaN()), float(1), math.Inf(1)},
	} {
		if u := Ulps32(c.got, c.want); u != c.ulps {
			t.Errorf("Ulps32(%v, %v) = %v, want %v", c.got, c.want, u, c.ulps)
		}
	}
}
