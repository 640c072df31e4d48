"""SciPy in a loop: MINPACK's Levenberg-Marquardt and BFGS on Rosenbrock to convergence, one start after the other."""

import peer


def load(work):
    import numpy as np
    import scipy
    from scipy.optimize import least_squares, minimize

    a, w = work.alpha, work.alpha**0.5

    def residual(x):
        return np.array([1 - x[0], w * (x[1] - x[0] ** 2)])

    def jacobian(x):
        return np.array([[-1.0, 0.0], [-2 * w * x[0], w]])

    def loss(x):
        u, v = 1 - x[0], x[1] - x[0] ** 2
        return u * u + a * v * v, np.array([-2 * u - 4 * a * v * x[0], 2 * a * v])

    if work.item == "lm":
        solve = lambda x: least_squares(residual, x, jacobian, method="lm").x
    elif work.item == "bfgs":
        solve = lambda x: minimize(loss, x, jac=True, method="BFGS", options={"gtol": 1e-6}).x
    else:
        raise ValueError(f"no such item: {work.item}")
    starts = np.stack([work.x0, work.x1], 1)

    def run():
        x = np.array([solve(s) for s in starts])
        return x[:, 0], x[:, 1], np.array([loss(s)[0] for s in x])

    return run, f"scipy {scipy.__version__}"


peer.serve(load)
