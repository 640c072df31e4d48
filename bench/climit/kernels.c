/* The limit: one step of each work item, written by hand for 8 samples, and a loop that keeps K such
   vectors in registers so that their latencies overlap.

   The work is that of a sample of the Go engines: the update, the loss, the tests whether the sample has
   diverged or stands still, and for each sample the same nine results. What a hand-written program for one
   item may know is used: all samples of a block count their steps together, the nonnegative loss is finite only
   if the point is, and expressions are simplified. A sample that ends early sends its block into a slow
   loop; on the benchmark's items none does. */
#include "climit.h"
#include "vec.h"

/* What a step sees and leaves. */
typedef struct {
  vec a, x0, x1;        /* parameter and point */
  vec n0, n1;           /* next point */
  vec loss, g0, g1;     /* at the point */
  mask fallback;        /* the step was a gradient step */
  mask far;             /* lanes whose functions need another way */
} lane8;

/* STEP defines a step for n vectors by that for one: what s holds at its point, and the next point. Not exactly: lanes that
   are far may be wrong. */
#define STEP(name)                                                                                     \
  INLINE void name##_one(lane8 *s, vec lr, int exactly);                                               \
  INLINE void name(lane8 *s, int n, vec lr, int exactly) {                                             \
    _Pragma("GCC unroll 16") for (int k = 0; k < n; k++) name##_one(&s[k], lr, exactly);               \
  }                                                                                                    \
  INLINE void name##_one(lane8 *s, vec lr, int exactly __attribute__((unused)))

/* square: y = (x0, a x1^2), L = |y|^2 */

INLINE void square(lane8 *s, vec *y1) {
  *y1 = mul(s->a, mul(s->x1, s->x1));
  s->loss = fma_(s->x0, s->x0, mul(*y1, *y1));
  s->g0 = add(s->x0, s->x0);
  s->g1 = mul(mul(mul(set(4), s->a), *y1), s->x1);
}

STEP(gd) {
  vec y1;
  square(s, &y1);
  s->n0 = fnma(lr, s->g0, s->x0);
  s->n1 = fnma(lr, s->g1, s->x1);
}

STEP(newton) {
  vec y1;
  square(s, &y1);
  vec h = mul(mul(set(12), s->a), y1); /* the Hessian is diagonal: 2 and h */
  s->fallback = _mm512_cmp_pd_mask(h, _mm512_setzero_pd(), _CMP_EQ_OQ);
  vec d0 = pick(s->fallback, s->g0, s->x0), d1 = pick(s->fallback, s->g1, quo(s->g1, h));
  s->n0 = fnma(lr, d0, s->x0);
  s->n1 = fnma(lr, d1, s->x1);
}

STEP(pg) {
  vec y1;
  square(s, &y1);
  s->n0 = fnma(lr, s->x0, s->x0);
  vec size = root(quo(fnma(lr, y1, y1), s->a)), zero = _mm512_setzero_pd();
  s->n1 = pick(lt(s->x1, zero), sub(zero, size), pick(eq(s->x1, zero), s->x1, size));
}

/* The 2x2 system of Gauss-Newton, symmetric, by elimination with pivoting, as the Go engines have it: without
   pivoting, or by Cramer's rule, it would be faster and less accurate. */
INLINE void solve(lane8 *s, vec lr, vec a, vec b, vec d) {
  mask swap = lt(mag(a), mag(b));
  vec p = pick(swap, b, a), q = pick(swap, a, b); /* the first column, pivot first */
  vec r = pick(swap, d, b), t = pick(swap, b, d); /* the second */
  vec u = pick(swap, s->g1, s->g0), v = pick(swap, s->g0, s->g1);
  vec l = quo(q, p), e = mul(r, l), w = sub(t, e);
  const vec eps = set(0x1p-49);
  mask ok = lt(mul(mag(p), eps), mag(p)) & lt(mul(eps, add(mag(w), mag(e))), mag(w));
  vec d1 = quo(fnma(l, u, v), w), d0 = quo(fnma(d1, r, u), p);
  s->fallback = (mask)~ok;
  s->n0 = fnma(lr, pick(ok, d0, s->g0), s->x0);
  s->n1 = fnma(lr, pick(ok, d1, s->g1), s->x1);
}

/* rosenbrock: y = (1 - x0, sqrt(a)(x1 - x0^2)), L = |y|^2 */
STEP(gn_rosenbrock) {
  vec w = root(s->a), y0 = sub(set(1), s->x0), y1 = mul(w, fnma(s->x0, s->x0, s->x1));
  vec j = mul(w, mul(set(-2), s->x0)); /* J = (-1 0; j w) */
  s->loss = fma_(y0, y0, mul(y1, y1));
  vec u = add(y1, y1);
  s->g0 = fma_(j, u, mul(set(-2), y0));
  s->g1 = mul(w, u);
  vec j2 = add(j, j);
  solve(s, lr, fma_(j, j2, set(2)), mul(w, j2), mul(add(w, w), w));
}

/* expsin: y = (exp(x0) + sin(x1)/2 - 1, 2 a x1 + sin(x0)), L = |y|^2 */
STEP(gn_expsin) {
  vec e = vexp(s->x0, exactly, &s->far), s0, c0, s1, c1, w = add(s->a, s->a);
  vsincos(s->x0, &s0, &c0, exactly, &s->far);
  vsincos(s->x1, &s1, &c1, exactly, &s->far);
  vec y0 = sub(fma_(set(0.5), s1, e), set(1)), y1 = fma_(w, s->x1, s0);
  vec h = mul(set(0.5), c1); /* J = (e h; c0 w) */
  s->loss = fma_(y0, y0, mul(y1, y1));
  vec u0 = add(y0, y0), u1 = add(y1, y1), e2 = add(e, e), c2 = add(c0, c0), h2 = add(h, h);
  s->g0 = fma_(e, u0, mul(c0, u1));
  s->g1 = fma_(h, u0, mul(w, u1));
  solve(s, lr, fma_(e, e2, mul(c0, c2)), fma_(h, e2, mul(w, c2)), fma_(h, h2, mul(w, add(w, w))));
}

/* pendulum: y = the state after 100 leapfrog steps of 0.05, L = |y|^2/2; the Jacobian goes along. The vectors take each time
   step together. */
INLINE void gd_pendulum(lane8 *s, int n, vec lr, int exactly) {
  enum { MOST = 8 };
  const vec dt = set(0.05), zero = _mm512_setzero_pd(), one = set(1);
  vec k[MOST], q[MOST], p[MOST], q0[MOST], q1[MOST], p0[MOST], p1[MOST], sn[MOST], cs[MOST];
#define EACH _Pragma("GCC unroll 16") for (int v = 0; v < n; v++)
#define KICK                                                                                           \
  EACH {                                                                                               \
    vsincos(q[v], &sn[v], &cs[v], exactly, &s[v].far);                                                 \
    vec kc = mul(k[v], cs[v]);                                                                         \
    p[v] = fma_(k[v], sn[v], p[v]), p0[v] = fma_(kc, q0[v], p0[v]), p1[v] = fma_(kc, q1[v], p1[v]);    \
  }
  EACH {
    k[v] = mul(set(-0.025), s[v].a), q[v] = s[v].x0, p[v] = s[v].x1;
    q0[v] = p1[v] = one, q1[v] = p0[v] = zero;
  }
  for (int i = 0; i < 100; i++) {
    KICK
    EACH q[v] = fma_(dt, p[v], q[v]), q0[v] = fma_(dt, p0[v], q0[v]), q1[v] = fma_(dt, p1[v], q1[v]);
    KICK
  }
  EACH {
    s[v].loss = mul(set(0.5), fma_(q[v], q[v], mul(p[v], p[v])));
    s[v].g0 = fma_(q[v], q0[v], mul(p[v], p0[v]));
    s[v].g1 = fma_(q[v], q1[v], mul(p[v], p1[v]));
    s[v].n0 = fnma(lr, s[v].g0, s[v].x0);
    s[v].n1 = fnma(lr, s[v].g1, s[v].x1);
  }
}

INLINE mask goes_on(const lane8 *s) {
  return lt(s->loss, set(INFINITY)) & (mask) ~(eq(s->n0, s->x0) & eq(s->n1, s->x1));
}

enum { ITERATION_LIMIT = 3, DIVERGED = 4, TOO_SMALL = 2 };

/* Results of 8 samples after the step s evaluated their last points. */
INLINE void report(const work *w, size_t at, const lane8 *s, vec iterations, vec fallbacks, vec status) {
  vec d0 = sub(s->x0, set(w->minimum[0])), d1 = sub(s->x1, set(w->minimum[1]));
  const vec column[RESULTS] = {
      s->x0, s->x1, s->loss, root(fma_(s->g0, s->g0, mul(s->g1, s->g1))), root(fma_(d0, d0, mul(d1, d1))),
      iterations, add(iterations, set(1)), fallbacks, status};
  for (int c = 0; c < RESULTS; c++) _mm512_storeu_pd(w->out[c] + at, column[c]);
}

/* RUN defines the loop over samples from..to-1 (a multiple of 8K) for one step. */
#define RUN(name, K, step)                                                                             \
  static void run_##name(const work *w, size_t from, size_t to) {                                     \
    const vec lr = set(w->lr);                                                                         \
    for (size_t at = from; at < to; at += 8 * K) {                                                     \
      lane8 s[K];                                                                                      \
      vec fallbacks[K];                                                                                \
      _Pragma("GCC unroll 16") for (int k = 0; k < K; k++) {                                           \
        s[k].a = _mm512_loadu_pd(w->in[0] + at + 8 * k);                                               \
        s[k].x0 = _mm512_loadu_pd(w->in[1] + at + 8 * k);                                              \
        s[k].x1 = _mm512_loadu_pd(w->in[2] + at + 8 * k);                                              \
        s[k].fallback = s[k].far = 0;                                                                  \
        fallbacks[k] = _mm512_setzero_pd();                                                            \
      }                                                                                                \
      int it = 0;                                                                                      \
      for (; it < w->iterations; it++) {                                                               \
        mask all = 0xff;                                                                               \
        step(s, K, lr, 0);                                                                             \
        _Pragma("GCC unroll 16") for (int k = 0; k < K; k++) all &= goes_on(&s[k]) & (mask)~s[k].far;  \
        if (__builtin_expect(all != 0xff, 0)) break;                                                   \
        _Pragma("GCC unroll 16") for (int k = 0; k < K; k++) {                                         \
          s[k].x0 = s[k].n0, s[k].x1 = s[k].n1;                                                        \
          fallbacks[k] = _mm512_mask_add_pd(fallbacks[k], s[k].fallback, fallbacks[k], set(1));        \
        }                                                                                              \
      }                                                                                                \
      for (int k = 0; k < K; k++) {                                                                    \
        vec n = set(it), status = set(ITERATION_LIMIT);                                                \
        mask on = 0xff;                                                                                \
        for (int i = it;; i++) {                                                                       \
          step(&s[k], 1, lr, 1);                                                                          \
          mask finite = lt(s[k].loss, set(INFINITY)), go = goes_on(&s[k]);                             \
          status = pick(on & (mask)~go, pick(finite, set(i < w->iterations ? TOO_SMALL : ITERATION_LIMIT), set(DIVERGED)), status); \
          on &= go;                                                                                    \
          if (i >= w->iterations || !on) break;                                                        \
          s[k].x0 = pick(on, s[k].n0, s[k].x0), s[k].x1 = pick(on, s[k].n1, s[k].x1);              \
          n = pick(on, set(i + 1), n);                                                               \
          fallbacks[k] = _mm512_mask_add_pd(fallbacks[k], on & s[k].fallback, fallbacks[k], set(1));   \
        }                                                                                              \
        report(w, at + 8 * k, &s[k], n, fallbacks[k], status);                                         \
      }                                                                                                \
    }                                                                                                  \
  }

/* K is what was fastest among 1, 2, 3, 4, 6, 8. */
#ifndef K_GD
#define K_GD 4
#define K_NEWTON 6
#define K_PG 8
#define K_ROSENBROCK 8
#define K_EXPSIN 6
#define K_PENDULUM 6
#endif
/* All others are faster with instructions of several vectors mixed by the compiler (build.sh), this one as it is written. */
static void run_pg(const work *, size_t, size_t) __attribute__((optimize("no-schedule-insns")));
RUN(gd, K_GD, gd)
RUN(newton, K_NEWTON, newton)
RUN(pg, K_PG, pg)
RUN(gn_rosenbrock, K_ROSENBROCK, gn_rosenbrock)
RUN(gn_expsin, K_EXPSIN, gn_expsin)
RUN(gd_pendulum, K_PENDULUM, gd_pendulum)

const kernel kernels[] = {
    {"gd", run_gd},
    {"newton", run_newton},
    {"pg", run_pg},
    {"gn-rosenbrock", run_gn_rosenbrock},
    {"gn", run_gn_expsin},
    {"pendulum", run_gd_pendulum},
    {0, 0},
};
