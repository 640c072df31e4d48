"""optimistix: Levenberg-Marquardt and BFGS on Rosenbrock to convergence, vmapped and jitted."""

import peer

# Tolerances of its own (Cauchy) test, with which it comes about as close to the minimum as we do.
TOLERANCE = 1e-6
MOST = 1000


def load(work):
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    import jax.numpy as jnp
    import optimistix as optx

    w = jnp.sqrt(work.alpha)
    residual = lambda x, _: jnp.stack([1 - x[0], w * (x[1] - x[0] ** 2)])
    loss = lambda x: jnp.sum(residual(x, None) ** 2)
    if work.item == "lm":
        solver = optx.LevenbergMarquardt(rtol=TOLERANCE, atol=TOLERANCE)
        solve = lambda x: optx.least_squares(residual, solver, x, max_steps=MOST, throw=False).value
    elif work.item == "bfgs":
        solver = optx.BFGS(rtol=TOLERANCE, atol=TOLERANCE)
        solve = lambda x: optx.minimise(lambda x, _: loss(x), solver, x, max_steps=MOST, throw=False).value
    else:
        raise ValueError(f"no such item: {work.item}")

    def sample(x0, x1):
        x = solve(jnp.stack([x0, x1]))
        return x[0], x[1], loss(x)

    compiled = jax.jit(jax.vmap(sample))
    x0, x1 = jnp.asarray(work.x0), jnp.asarray(work.x1)
    return lambda: jax.block_until_ready(compiled(x0, x1)), f"optimistix {optx.__version__}, jax {jax.__version__}"


peer.serve(load)
