/* Gauss-Newton on expsin: y = (exp(x0) + sin(x1)/2 - 1, 2 a x1 + sin(x0)), L = |y|^2. */
#include "elementary.h"
#include "solve.h"

struct state {
  double w, w2, x0, x1; /* w is 2a, w2 is 4 w*w */
  int it, fallbacks;
  DEVICE void start(double alpha, double s0, double s1) { w = 2 * alpha, w2 = 4 * (w * w), x0 = s0, x1 = s1, it = 0, fallbacks = 0; }
  DEVICE bool step(state &next, row r) const {
    const double lr = 0.1;
    double e = exp_(x0), s0, c0, s1, c1;
    sincos_(x0, s0, c0);
    sincos_(x1, s1, c1);
    double z = fma_(2, e, s1) - 2, y0 = 0.5 * z, y1 = fma_(w, x1, s0), loss = fma_(y0, y0, y1 * y1);
    double g0 = fma_(2, c0 * y1, e * z), g1 = 0.5 * fma_(c1, z, 4 * w * y1); /* J = (e c1/2; c0 w) */
    double d0, d1;
    bool regular = solve(2 * fma_(e, e, c0 * c0), fma_(e, c1, 2 * w * c0), 0.5 * fma_(c1, c1, w2), g0, g1, d0, d1);
    next = *this;
    next.x0 = fma_(-lr, regular ? d0 : g0, x0), next.x1 = fma_(-lr, regular ? d1 : g1, x1), next.it = it + 1;
    double d2 = fma_(x0, x0, x1 * x1);
    bool converged = d2 <= TOLERANCE, still = next.x0 == x0 && next.x1 == x1, finite = loss < INFINITY;
    if (finite && !converged && it < ITERATIONS && !still) {
      next.fallbacks += !regular;
      return true;
    }
    results(r, x0, x1, loss, g0, g1, d2, it, it + 1, fallbacks, !finite ? DIVERGED : converged ? CONVERGED : it >= ITERATIONS ? LIMIT : TOO_SMALL);
    return false;
  }
};
PROGRAM(state)
