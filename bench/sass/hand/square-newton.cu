/* Newton's method on square: y = (x0, a x1^2), L = |y|^2. */
#include "frame.h"

struct state {
  double a, aa, x0, x1;
  int it, fallbacks;
  DEVICE void start(double alpha, double s0, double s1) { a = alpha, aa = alpha * alpha, x0 = s0, x1 = s1, it = 0, fallbacks = 0; }
  DEVICE bool step(state &next, row r) const {
    const double lr = 0.333;
    double square = x1 * x1, y1 = a * square, loss = fma_(x0, x0, y1 * y1);
    double t = aa * square, g = x1 * t; /* the gradient is 2 x0, 4 g */
    double h = fma_(2 * aa, square, t); /* the Hessian is diagonal: 2, 4 h */
    bool regular = h * 0x1p-49 < h;
    next = *this;
    next.x0 = fma_(-lr, regular ? x0 : 2 * x0, x0), next.x1 = fma_(-lr, regular ? g / h : 4 * g, x1), next.it = it + 1;
    double d2 = fma_(x0, x0, square);
    bool converged = d2 <= TOLERANCE, still = next.x0 == x0 && next.x1 == x1, finite = loss < INFINITY;
    if (finite && !converged && it < ITERATIONS && !still) {
      next.fallbacks += !regular;
      return true;
    }
    results(r, x0, x1, loss, 2 * x0, 4 * g, d2, it, it + 1, fallbacks, !finite ? DIVERGED : converged ? CONVERGED : it >= ITERATIONS ? LIMIT : TOO_SMALL);
    return false;
  }
};
PROGRAM(state)
