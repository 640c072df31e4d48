/* Gauss-Newton on rosenbrock: y = (1 - x0, sqrt(a) (x1 - x0^2)), L = |y|^2. */
#include "solve.h"

struct state {
  double w, a, x0, x1; /* w is sqrt(a), a is w*w */
  int it, fallbacks;
  DEVICE void start(double alpha, double s0, double s1) { w = sqrt(alpha), a = w * w, x0 = s0, x1 = s1, it = 0, fallbacks = 0; }
  DEVICE bool step(state &next, row r) const {
    const double lr = 0.1;
    double y0 = 1 - x0, t = fma_(-x0, x0, x1), y1 = w * t, loss = fma_(y0, y0, y1 * y1);
    double j = w * x0; /* J = (-1 0; -2j w) */
    double u1 = a * t, u0 = fma_(-2, x0 * u1, -y0); /* half the gradient */
    double d0, d1;
    bool regular = solve(fma_(4, j * j, 1), -2 * (w * j), a, u0, u1, d0, d1);
    next = *this;
    next.x0 = fma_(-lr, regular ? d0 : 2 * u0, x0), next.x1 = fma_(-lr, regular ? d1 : 2 * u1, x1), next.it = it + 1;
    double e = x1 - 1, d2 = fma_(y0, y0, e * e);
    bool converged = d2 <= TOLERANCE, still = next.x0 == x0 && next.x1 == x1, finite = loss < INFINITY;
    if (finite && !converged && it < ITERATIONS && !still) {
      next.fallbacks += !regular;
      return true;
    }
    results(r, x0, x1, loss, 2 * u0, 2 * u1, d2, it, it + 1, fallbacks, !finite ? DIVERGED : converged ? CONVERGED : it >= ITERATIONS ? LIMIT : TOO_SMALL);
    return false;
  }
};
PROGRAM(state)
