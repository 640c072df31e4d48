#!/usr/bin/env python3
"""Fits the minimax polynomials of coefficients.go and prints them as Go source.

Remez exchange in 60-digit arithmetic (mpmath) on polynomials p of the stated
degree that minimise max |w(z) (g(z) - p(z))| over [lo, hi]. The coefficients
are then rounded to double; the printed error is that of the doubles.

    python3 remez.py > coefficients.go && gofmt -w coefficients.go
"""
from mpmath import mp, mpf, cos, pi, exp, sinh, cosh, asin, atan, atanh, sqrt, log, lu_solve, matrix, tan

mp.dps = 60


def fit(g, w, lo, hi, deg):
    n = deg + 1
    xs = [(lo + hi) / 2 - (hi - lo) / 2 * cos(pi * (2 * i + 1) / (2 * (n + 1))) for i in range(n + 1)]
    grid = [lo + (hi - lo) * (1 - cos(pi * mpf(i) / (60 * n))) / 2 for i in range(60 * n + 1)]
    gv = [g(z) for z in grid]
    wv = [w(z) for z in grid]
    for _ in range(25):
        A = matrix(n + 1, n + 1)
        b = matrix(n + 1, 1)
        for i, z in enumerate(xs):
            for k in range(n):
                A[i, k] = z**k
            A[i, n] = (-1)**i / w(z)
            b[i] = g(z)
        sol = lu_solve(A, b)
        c = [sol[k] for k in range(n)]
        err = []
        for z, gz, wz in zip(grid, gv, wv):
            s = mpf(0)
            for a in reversed(c):
                s = s * z + a
            err.append(wz * (gz - s))
        # one extremum of each run of one sign
        peaks = []
        for i, e in enumerate(err):
            if e == 0:
                continue
            if peaks and (err[peaks[-1]] > 0) == (e > 0):
                if abs(e) > abs(err[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > n + 1:
            if abs(err[peaks[0]]) < abs(err[peaks[-1]]):
                peaks.pop(0)
            else:
                peaks.pop()
        worst = max(abs(e) for e in err)
        if len(peaks) < n + 1:
            break
        xs = [grid[i] for i in peaks]
        if worst < abs(sol[n]) * mpf('1.01'):
            break
    return c, worst


def emit(name, doc, g, w, lo, hi, deg):
    c, best = fit(g, w, lo, hi, deg)
    fixed = [mpf(float(x)) for x in c]
    grid = [lo + (hi - lo) * mpf(i) / 3000 for i in range(3001)]
    real = max(abs(w(z) * (g(z) - sum(c * z**k for k, c in enumerate(fixed)))) for z in grid)
    print("// %s: %s.\n// Weighted error %.3g (%.3g before rounding)." % (name, doc, float(real), float(best)))
    print("var %s = []float64{" % name)
    for c in fixed:
        print("\t%s, // %s" % (float(c).hex().replace('p+', 'p'), repr(float(c))))
    print("}\n")


def at(f, limit):
    return lambda z: limit if abs(z) < mpf(10)**-25 else f(z)


print("""package elementary

// Coefficients in ascending order, as remez.py of this folder prints them.
""")
h = log(2) / 2 * mpf('1.0001')
emit("expPoly", "(exp(r)-1-r)/r^2 on |r| <= ln(2)/2, weight |r|",
     at(lambda r: (exp(r) - 1 - r) / r**2, mpf(1) / 2), lambda r: abs(r) + mpf('1e-3'), -h, h, 9)
emit("sinhPoly", "(sinh(r)-r)/r^3 in z = r^2 on |r| <= ln(2)/2, weight z",
     at(lambda z: (sinh(sqrt(z)) - sqrt(z)) / sqrt(z)**3, mpf(1) / 6), lambda z: z + mpf('1e-4'), mpf(0), h * h, 4)
emit("coshPoly", "(cosh(r)-1)/r^2 in z = r^2 on |r| <= ln(2)/2, weight z",
     at(lambda z: (cosh(sqrt(z)) - 1) / z, mpf(1) / 2), lambda z: z + mpf('1e-4'), mpf(0), h * h, 4)
emit("asinPoly", "(asin(x)-x)/x^3 in z = x^2 on z <= 1/4, weight z",
     at(lambda z: (asin(sqrt(z)) - sqrt(z)) / sqrt(z)**3, mpf(1) / 6), lambda z: z + mpf('1e-4'), mpf(0), mpf(1) / 4, 11)
a = tan(pi / 8)**2 * mpf('1.0001')
emit("atanPoly", "(atan(t)-t)/t^3 in z = t^2 on |t| <= tan(pi/8), weight z",
     at(lambda z: (atan(sqrt(z)) - sqrt(z)) / sqrt(z)**3, -mpf(1) / 3), lambda z: z + mpf('1e-4'), mpf(0), a, 9)
s = (3 - 2 * sqrt(2))**2 * mpf('1.0001')
emit("logPoly", "(2 atanh(s)/s - 2)/s^2 in z = s^2 on |s| <= 3-2 sqrt(2), weight z",
     at(lambda z: (2 * atanh(sqrt(z)) / sqrt(z) - 2) / z, mpf(2) / 3), lambda z: z + mpf('1e-4'), mpf(0), s, 6)
emit("powPoly", "(2 atanh(s)/s - 2 - 2/3 s^2)/s^4 in z = s^2 on |s| <= 3-2 sqrt(2), weight z^2",
     at(lambda z: (2 * atanh(sqrt(z)) / sqrt(z) - 2 - z * 2 / 3) / z**2, mpf(2) / 5), lambda z: z**2 + mpf('1e-7'), mpf(0), s, 6)
