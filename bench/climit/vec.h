/* Vectors of 8 doubles, and exp, sin and cos on them: the arithmetic of the hand-written kernels. The
   polynomials and reductions are those of internal/elementary, so that both sides do the same work. */
#ifndef VEC_H
#define VEC_H
#include <immintrin.h>
#include <math.h>

typedef __m512d vec;
typedef __mmask8 mask;

#define INLINE static inline __attribute__((always_inline))

INLINE vec set(double x) { return _mm512_set1_pd(x); }
INLINE vec add(vec a, vec b) { return _mm512_add_pd(a, b); }
INLINE vec sub(vec a, vec b) { return _mm512_sub_pd(a, b); }
INLINE vec mul(vec a, vec b) { return _mm512_mul_pd(a, b); }
INLINE vec quo(vec a, vec b) { return _mm512_div_pd(a, b); }
INLINE vec root(vec a) { return _mm512_sqrt_pd(a); }
INLINE vec fma_(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }   /* ab+c */
INLINE vec fnma(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }  /* c-ab */
INLINE vec mag(vec a) { return _mm512_abs_pd(a); }
INLINE vec pick(mask m, vec a, vec b) { return _mm512_mask_mov_pd(b, m, a); }
INLINE mask lt(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
INLINE mask eq(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
INLINE __m512i bits(vec a) { return _mm512_castpd_si512(a); }
INLINE vec from(__m512i a) { return _mm512_castsi512_pd(a); }

/* Lanes for which a fast path does not hold are noted in *far; exactly: computed one by one. The loop that must be fast
   only notes them, for a call in it, even one that is never made, leaves no vector in a register. */
static __attribute__((noinline, cold)) vec lanewise(double f(double), vec x, vec y, mask m) {
  double a[8], r[8];
  _mm512_storeu_pd(a, x);
  _mm512_storeu_pd(r, y);
  for (int i = 0; i < 8; i++)
    if (m >> i & 1) r[i] = f(a[i]);
  return _mm512_loadu_pd(r);
}

INLINE vec vexp(vec x, int exactly, mask *far) {
  const vec shift = set(0x1.8p52 + 1023);
  vec t = fma_(x, set(0x1.71547652b82fep0), shift), k = sub(t, shift);
  vec r = fma_(k, set(-5.497923018708371e-14), fma_(k, set(-0.6931471805598903), x));
  vec z = mul(r, r);
  vec odd = fma_(z, set(2.511428365426081e-08), set(2.7557228563221953e-06));
  odd = fma_(z, odd, set(0.00019841269902340068));
  odd = fma_(z, odd, set(0.008333333333314912));
  odd = fma_(z, odd, set(0.16666666666666685));
  vec even = fma_(z, set(2.762628437466983e-07), set(2.4801504568476768e-05));
  even = fma_(z, even, set(0.0013888888932256705));
  even = fma_(z, even, set(0.0416666666665741));
  even = fma_(z, even, set(0.5000000000000006));
  vec p = add(fma_(z, fma_(r, odd, even), r), set(1));
  vec y = mul(p, from(_mm512_slli_epi64(bits(t), 52)));
  mask m = lt(set(708), mag(x));
  *far |= m;
  return exactly && m ? lanewise(exp, x, y, m) : y;
}

INLINE void vsincos(vec x, vec *sine, vec *cosine, int exactly, mask *far) {
  const vec shift = set(0x1.8p52);
  vec ax = mag(x), t = fma_(ax, set(0.6366197723675814), shift), n = sub(t, shift);
  vec r1 = fma_(n, set(-1.5707963267948966), ax), r = fma_(n, set(-6.12323399538461e-17), r1);
  vec tail = fma_(n, set(-6.12323399538461e-17), sub(r1, r));
  tail = fma_(n, set(-3.5215598651832e-27), tail);
  vec z = mul(r, r);
  vec s = fma_(z, set(1.58969099521155e-10), set(-2.5050760253406863e-08));
  s = fma_(z, s, set(2.7557313707070068e-06));
  s = fma_(z, s, set(-0.0001984126982985795));
  s = fma_(z, s, set(0.00833333333332249));
  s = fma_(z, s, set(-0.16666666666666632));
  s = add(r, fma_(mul(r, z), s, tail));
  vec c = fma_(z, set(-1.1359647557788195e-11), set(2.087572321298175e-09));
  c = fma_(z, c, set(-2.7557314351390663e-07));
  c = fma_(z, c, set(2.480158728947673e-05));
  c = fma_(z, c, set(-0.001388888888887411));
  c = fma_(z, c, set(0.0416666666666666));
  c = fma_(z, c, set(-0.5));
  c = fma_(z, c, set(1));
  __m512i q = bits(t), one = _mm512_set1_epi64(1), top = _mm512_set1_epi64(1ull << 63);
  mask odd = _mm512_test_epi64_mask(q, one);
  __m512i fs = _mm512_and_si512(_mm512_xor_si512(_mm512_slli_epi64(q, 62), bits(x)), top);
  __m512i fc = _mm512_and_si512(_mm512_slli_epi64(_mm512_add_epi64(q, one), 62), top);
  *sine = from(_mm512_xor_si512(bits(pick(odd, c, s)), fs));
  *cosine = from(_mm512_xor_si512(bits(pick(odd, s, c)), fc));
  mask m = lt(set(0x1p20), ax);
  *far |= m;
  if (exactly && m) {
    *sine = lanewise(sin, x, *sine, m);
    *cosine = lanewise(cos, x, *cosine, m);
  }
}
#endif
