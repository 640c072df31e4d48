/* Levenberg-Marquardt on rosenbrock: y = (1 - x0, sqrt(a) (x1 - x0^2)), L = |y|^2. A step evaluates one trial, which is
   accepted or not, and makes the next: damping scaled by the largest curvature (Moré 1978) and controlled by the ratio of
   actual to predicted decrease (Nielsen 1999), as Invar's lm has it. */
#include "frame.h"

struct state {
  double w, c;   /* sqrt(a), and 2a, the curvature in x1, which is the same everywhere */
  double t0, t1; /* the trial */
  double x0, x1; /* the iterate */
  double loss, g0, g1, a, b; /* there: loss, gradient and (a b; b c) = J^T H J */
  double scale, lambda, nu, predicted;
  int it, evaluations, rejected, unused;
  DEVICE void start(double alpha, double s0, double s1) {
    w = sqrt(alpha), c = 2 * w * w, t0 = x0 = s0, t1 = x1 = s1;
    loss = g0 = g1 = a = b = scale = predicted = 0, lambda = 1e-3, nu = 2;
    it = -1, evaluations = rejected = unused = 0;
  }
  DEVICE bool step(state &next, row r) const {
    double y0 = 1 - t0, t = fma_(-t0, t0, t1), y1 = w * t, l = fma_(y0, y0, y1 * y1), j = w * t0; /* J = (-1 0; -2j w) */
    double slope = c * t, h0 = -(t0 * slope) - y0; /* the gradient is 2 h0, slope */
    bool first = it < 0;
    double decrease = loss - l, ratio = decrease / predicted;
    bool accepted = first | ((decrease > 0) & (ratio > 0) & finite_(h0)); /* no branches: neighbours differ */

    double q = fma_(2, ratio, -1), shrink = fma_(q * q, -q, 1);
    shrink = shrink < 1.0 / 3 ? 1.0 / 3 : shrink;
    double grown = nu * (lambda > 0x1p-52 ? lambda : 0x1p-52);
    next = *this;
    next.lambda = first ? lambda : accepted ? lambda * shrink : grown;
    next.nu = accepted ? 2 : 2 * nu;
    if (accepted) {
      next.x0 = t0, next.x1 = t1, next.loss = l, next.g0 = 2 * h0, next.g1 = slope;
      next.a = fma_(8, j * j, 2), next.b = -4 * (w * j);
    }
    next.scale = next.a > scale ? next.a : scale;
    next.rejected = accepted ? 0 : rejected + 1;

    /* Cholesky of the damped matrix. */
    double damp0 = next.lambda * (next.scale > 0 ? next.scale : 1), damp1 = next.lambda * (c > 0 ? c : 1);
    double m0 = next.a + damp0, m1 = c + damp1, f = next.b / m0, z = next.g0 / m0, d = fma_(-next.b, f, m1);
    bool regular = fabs(m0) * 0x1p-49 < m0 && fabs(m1) * 0x1p-49 < d;
    double s1 = fma_(-next.b, z, next.g1) / d, s0 = fma_(-s1, f, z);
    double d0 = regular ? -s0 : 0, d1 = regular ? -s1 : 0;
    double model = 0.5 * fma_(d0, fma_(damp0, d0, -next.g0), d1 * fma_(damp1, d1, -next.g1));
    next.predicted = regular ? model : 0;
    next.t0 = next.x0 + d0, next.t1 = next.x1 + d1, next.it = it + accepted, next.evaluations = evaluations + 1;

    double e = t1 - 1, d2 = fma_(y0, y0, e * e);
    bool still = next.t0 == next.x0 && next.t1 == next.x1;
    bool converged = accepted && d2 <= TOLERANCE, diverged = accepted && !(l < INFINITY), limit = accepted && next.it >= ITERATIONS;
    bool singular = !regular && (next.rejected >= 40 || !finite_(next.a + next.b));
    bool many = next.evaluations > 64 * ITERATIONS, failed = regular && next.rejected >= 40;
    if (!converged && !diverged && !limit && !singular && !many && !failed && !(regular && still)) return true;
    e = next.x1 - 1, d2 = fma_(next.x0 - 1, next.x0 - 1, e * e);
    int status = diverged ? DIVERGED : converged ? CONVERGED : limit ? LIMIT : singular ? SINGULAR : failed ? SEARCH_FAILED : regular && still ? TOO_SMALL : LIMIT;
    results(r, next.x0, next.x1, next.loss, next.g0, next.g1, d2, next.it, next.evaluations, 0, status);
    return false;
  }
};
PROGRAM(state)
