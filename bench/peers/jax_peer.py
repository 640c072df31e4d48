"""JAX: a fixed number of iterations for one sample, vmapped and jitted, float64, on the CPU or on the platform
that the second argument names.

Derivatives are JAX's own, and 2x2 systems are solved by hand, many times faster than by linalg.solve. There are two
ways to write a sample, chosen by the argument: x as a vector of two, as the documentation of JAX does, and x as two
scalars, which XLA fuses far better; it is the fastest that we found.
"""

import sys

import peer

STEPS = 100  # of the pendulum


def vector(jax, jnp, work):
    """sample(x0, x1, alpha) with a vector of two inside."""
    lr = work.lr
    square = lambda x, a: jnp.stack([x[0], a * x[1] ** 2])
    rosenbrock = lambda x, a: jnp.stack([1 - x[0], jnp.sqrt(a) * (x[1] - x[0] ** 2)])
    expsin = lambda x, a: jnp.stack([jnp.exp(x[0]) + 0.5 * jnp.sin(x[1]) - 1, 2 * a * x[1] + jnp.sin(x[0])])

    def pendulum(x, a):
        dt = 0.05

        def leapfrog(_, s):
            half = s[1] - 0.5 * dt * a * jnp.sin(s[0])
            q = s[0] + dt * half
            return jnp.stack([q, half - 0.5 * dt * a * jnp.sin(q)])

        return jax.lax.fori_loop(0, STEPS, leapfrog, x)

    total = lambda y: jnp.sum(y * y)
    half = lambda y: 0.5 * total(y)

    def solve(h, g):
        d = h[0, 0] * h[1, 1] - h[0, 1] * h[1, 0]
        return jnp.stack([h[1, 1] * g[0] - h[0, 1] * g[1], h[0, 0] * g[1] - h[1, 0] * g[0]]) / d

    def gd(P, L):
        return jax.grad(lambda x, a: L(P(x, a)))

    def gd_forward(P, L):
        return jax.jacfwd(lambda x, a: L(P(x, a)))

    def newton(P, L):
        f = lambda x, a: L(P(x, a))
        return lambda x, a: solve(jax.hessian(f)(x, a), jax.grad(f)(x, a))

    def gn(P, L):
        def direction(x, a):
            J = jax.jacfwd(P)(x, a)
            return solve(2 * J.T @ J, J.T @ jax.grad(L)(P(x, a)))  # H_L is 2 for a sum of squares

        return direction

    def pg(P, L):
        def direction(x, a):
            y = P(x, a)
            y = y - lr * jax.grad(L)(y) / 2  # H_L is 2
            return (x - jnp.stack([y[0], jnp.sign(x[1]) * jnp.sqrt(y[1] / a)])) / lr

        return direction

    P, L, method = {
        "gd": (square, total, gd),
        "newton": (square, total, newton),
        "pg": (square, total, pg),
        "gn": (expsin, total, gn),
        "gn-rosenbrock": (rosenbrock, total, gn),
        "pendulum": (pendulum, half, gd_forward),
    }[work.item]
    direction = method(P, L)

    def sample(x0, x1, a):
        x = jax.lax.fori_loop(0, work.iterations, lambda _, x: x - lr * direction(x, a), jnp.stack([x0, x1]))
        return x[0], x[1], L(P(x, a))

    return sample


def scalars(jax, jnp, work):
    """sample(x0, x1, alpha) with two scalars."""
    lr = work.lr
    square = lambda x0, x1, a: (x0, a * x1 * x1)
    rosenbrock = lambda x0, x1, a: (1 - x0, jnp.sqrt(a) * (x1 - x0 * x0))
    expsin = lambda x0, x1, a: (jnp.exp(x0) + 0.5 * jnp.sin(x1) - 1, 2 * a * x1 + jnp.sin(x0))

    def pendulum(x0, x1, a):
        dt = 0.05

        def leapfrog(_, qp):
            q, p = qp
            half = p - 0.5 * dt * a * jnp.sin(q)
            q = q + dt * half
            return q, half - 0.5 * dt * a * jnp.sin(q)

        return jax.lax.fori_loop(0, STEPS, leapfrog, (x0, x1))

    total = lambda y: y[0] * y[0] + y[1] * y[1]
    half = lambda y: 0.5 * total(y)

    def solve(h, g):
        (h00, h01), (h10, h11) = h
        d = h00 * h11 - h01 * h10
        return (h11 * g[0] - h01 * g[1]) / d, (h00 * g[1] - h10 * g[0]) / d

    def gd(P, L):
        return jax.grad(lambda x0, x1, a: L(P(x0, x1, a)), (0, 1))

    def gd_forward(P, L):
        return jax.jacfwd(lambda x0, x1, a: L(P(x0, x1, a)), (0, 1))

    def newton(P, L):
        f = lambda x0, x1, a: L(P(x0, x1, a))
        return lambda x0, x1, a: solve(jax.hessian(f, (0, 1))(x0, x1, a), jax.grad(f, (0, 1))(x0, x1, a))

    def gn(P, L):
        def direction(x0, x1, a):
            y = P(x0, x1, a)
            (j00, j01), (j10, j11) = jax.jacfwd(P, (0, 1))(x0, x1, a)
            gy = jax.grad(L)(y)
            # H_L is 2 for a sum of squares.
            h = ((2 * (j00 * j00 + j10 * j10), 2 * (j00 * j01 + j10 * j11)),) * 2
            h = (h[0], (h[0][1], 2 * (j01 * j01 + j11 * j11)))
            return solve(h, (j00 * gy[0] + j10 * gy[1], j01 * gy[0] + j11 * gy[1]))

        return direction

    def pg(P, L):
        def direction(x0, x1, a):
            y = P(x0, x1, a)
            gy = jax.grad(L)(y)
            y0, y1 = y[0] - lr * gy[0] / 2, y[1] - lr * gy[1] / 2  # H_L is 2
            return (x0 - y0) / lr, (x1 - jnp.sign(x1) * jnp.sqrt(y1 / a)) / lr

        return direction

    P, L, method = {
        "gd": (square, total, gd),
        "newton": (square, total, newton),
        "pg": (square, total, pg),
        "gn": (expsin, total, gn),
        "gn-rosenbrock": (rosenbrock, total, gn),
        # Forward mode: no state of 100 steps is kept for a way back.
        "pendulum": (pendulum, half, gd_forward),
    }[work.item]
    direction = method(P, L)

    def sample(x0, x1, a):
        def step(_, x):
            d = direction(x[0], x[1], a)
            return x[0] - lr * d[0], x[1] - lr * d[1]

        x0, x1 = jax.lax.fori_loop(0, work.iterations, step, (x0, x1))
        return x0, x1, L(P(x0, x1, a))

    return sample


def load(work):
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", sys.argv[2] if len(sys.argv) > 2 else "cpu")
    import jax.numpy as jnp

    sample = {"vector": vector, "scalars": scalars}[sys.argv[1]](jax, jnp, work)
    compiled = jax.jit(jax.vmap(sample, (0, 0, None)))
    x0, x1, a = jnp.asarray(work.x0), jnp.asarray(work.x1), work.alpha
    return lambda: jax.block_until_ready(compiled(x0, x1, a)), f"jax {jax.__version__}"


peer.serve(load)
