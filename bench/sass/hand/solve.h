/* The system (a b; b d) x = (u, v) by elimination with pivoting; false where it is singular but for rounding. */
#pragma once
#include "frame.h"

DEVICE bool solve(double a, double b, double d, double u, double v, double &x0, double &x1) {
  bool swap = fabs(a) < fabs(b);
  double p = swap ? b : a, q = swap ? a : b; /* the first column, the pivot first */
  double r = swap ? d : b, t = swap ? b : d; /* the second */
  double f = swap ? v : u, g = swap ? u : v;
  double l = q / p, e = r * l, w = t - e;
  x1 = fma_(-l, f, g) / w;
  x0 = fma_(-x1, r, f) / p;
  return fabs(p) * 0x1p-49 < fabs(p) && (fabs(w) + fabs(e)) * 0x1p-49 < fabs(w);
}
