/* exp, sin and cos, with the polynomials and reductions of internal/elementary; for large arguments, which are
   rare, those of the library. */
#pragma once
#include "frame.h"

RARE double far_exp(double x) { return exp(x); }
RARE double far_sin(double x) { return sin(x); }
RARE double far_cos(double x) { return cos(x); }

DEVICE double exp_(double x) {
  if (fabs(x) > 708) return far_exp(x);
  const double shift = 0x1.8p52 + 1023;
  double t = fma_(x, 1.4426950408889634, shift), k = t - shift;
  double r = fma_(k, -5.497923018708371e-14, fma_(k, -0.6931471805598903, x)), z = r * r;
  double odd = fma_(z, 2.511428365426081e-08, 2.7557228563221953e-06);
  odd = fma_(z, odd, 0.00019841269902340068);
  odd = fma_(z, odd, 0.008333333333314912);
  odd = fma_(z, odd, 0.16666666666666685);
  double even = fma_(z, 2.762628437466983e-07, 2.4801504568476768e-05);
  even = fma_(z, even, 0.0013888888932256705);
  even = fma_(z, even, 0.0416666666665741);
  even = fma_(z, even, 0.5000000000000006);
  return (fma_(z, fma_(r, odd, even), r) + 1) * join(low(t) << 20, 0);
}

DEVICE void sincos_(double x, double &sine, double &cosine) {
  const double shift = 0x1.8p52;
  double ax = fabs(x);
  if (ax > 0x1p20) {
    sine = far_sin(x), cosine = far_cos(x);
    return;
  }
  double t = fma_(ax, 0.6366197723675814, shift), n = t - shift;
  double first = fma_(n, -1.5707963267948966, ax), r = fma_(n, -6.12323399538461e-17, first);
  double tail = fma_(n, -3.5215598651832e-27, fma_(n, -6.12323399538461e-17, first - r));
  double z = r * r;
  double s = fma_(z, 1.58969099521155e-10, -2.5050760253406863e-08);
  s = fma_(z, s, 2.7557313707070068e-06);
  s = fma_(z, s, -0.0001984126982985795);
  s = fma_(z, s, 0.00833333333332249);
  s = fma_(z, s, -0.16666666666666632);
  s = r + fma_(r * z, s, tail);
  double c = fma_(z, -1.1359647557788195e-11, 2.087572321298175e-09);
  c = fma_(z, c, -2.7557314351390663e-07);
  c = fma_(z, c, 2.480158728947673e-05);
  c = fma_(z, c, -0.001388888888887411);
  c = fma_(z, c, 0.0416666666666666);
  c = fma_(z, c, -0.5);
  c = fma_(z, c, 1);
  int q = low(t); /* the quadrant */
  double a = q & 1 ? c : s, b = q & 1 ? s : c;
  sine = join(high(a) ^ ((q << 30 ^ high(x)) & 0x80000000), low(a));
  cosine = join(high(b) ^ ((q + 1) << 30 & 0x80000000), low(b));
}
