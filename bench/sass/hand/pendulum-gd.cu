/* Gradient descent on pendulum: y is the state after 100 leapfrog steps of 0.05, L = |y|^2/2. The Jacobian goes along. */
#include "elementary.h"

struct state {
  double k, x0, x1;
  int it, unused;
  DEVICE void start(double alpha, double s0, double s1) { k = alpha * 0.025, x0 = s0, x1 = s1, it = 0, unused = 0; }
  DEVICE bool step(state &next, row r) const {
    const double lr = 0.01, dt = 0.05;
    double c = k * -dt, q = x0, p = x1, q0 = 1, q1 = 0, p0 = 0, p1 = 1;
#pragma unroll 1
    for (int i = 0; i < 100; i++) {
      double s, cs, sn, cn;
      sincos_(q, s, cs);
      double half = fma_(-k, s, p), last = fma_(dt, half, q);
      sincos_(last, sn, cn);
      double a = fma_(c, cs, 1), d = fma_(c, cn, 1); /* of the new q by q, of the new p by the middle one */
      double b = fma_(-k, cn, -(cs * (k * d))); /* of the new p by q */
      double n0 = fma_(q0, a, dt * p0), n1 = fma_(q1, a, dt * p1);
      p0 = fma_(q0, b, p0 * d), p1 = fma_(q1, b, p1 * d), q0 = n0, q1 = n1;
      p = fma_(-k, sn, half), q = last;
    }
    double loss = 0.5 * fma_(q, q, p * p), g0 = fma_(q0, q, p0 * p), g1 = fma_(q1, q, p1 * p);
    next = *this;
    next.x0 = fma_(-lr, g0, x0), next.x1 = fma_(-lr, g1, x1), next.it = it + 1;
    double d2 = fma_(x0, x0, x1 * x1);
    bool converged = d2 <= TOLERANCE, still = next.x0 == x0 && next.x1 == x1, finite = loss < INFINITY;
    if (finite && !converged && it < ITERATIONS && !still) return true;
    results(r, x0, x1, loss, g0, g1, d2, it, it + 1, 0, !finite ? DIVERGED : converged ? CONVERGED : it >= ITERATIONS ? LIMIT : TOO_SMALL);
    return false;
  }
};
PROGRAM(state)
