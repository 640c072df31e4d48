/* The inverse simulator on square: y = (x0, a x1^2), L = |y|^2; P^-1(y; x) = (y0, sign(x1) sqrt(y1/a)). */
#include "frame.h"

struct state {
  double a, x0, x1;
  int it, unused;
  DEVICE void start(double alpha, double s0, double s1) { a = alpha, x0 = s0, x1 = s1, it = 0, unused = 0; }
  DEVICE bool step(state &next, row r) const {
    const double lr = 0.333;
    double square = x1 * x1, y1 = a * square, loss = fma_(x0, x0, y1 * y1);
    double root = sqrt(fma_(-lr * a, square, y1) / a);
    next = *this;
    next.x0 = fma_(-lr, x0, x0), next.x1 = x1 > 0 ? root : x1 < 0 ? -root : x1 * root, next.it = it + 1;
    double d2 = fma_(x0, x0, square);
    bool converged = d2 <= TOLERANCE, still = next.x0 == x0 && next.x1 == x1, finite = loss < INFINITY;
    if (finite && !converged && it < ITERATIONS && !still) return true;
    results(r, x0, x1, loss, 2 * x0, 4 * (x1 * (a * a * square)), d2, it, it + 1, 0, !finite ? DIVERGED : converged ? CONVERGED : it >= ITERATIONS ? LIMIT : TOO_SMALL);
    return false;
  }
};
PROGRAM(state)
