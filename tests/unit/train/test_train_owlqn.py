"""The optimizer on functions whose minimum is known."""

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from vista_sql.train.owlqn import minimize
from vista_sql.train.penalties import Absolute


def run(loss, x, l1, l2, max_iterations=500, tolerance=1e-8):
    optimizer = minimize(x, Absolute(l1), l2, max_iterations, tolerance, 0.0)
    point = next(optimizer)
    while True:
        try:
            point = optimizer.send(loss(point))
        except StopIteration as stop:
            return stop.value


def quadratic(n=12):
    rng = np.random.default_rng(0)
    root = rng.standard_normal((n, n))
    a, b = root @ root.T + np.eye(n), rng.standard_normal(n)
    return lambda x: (float(0.5 * x @ a @ x - b @ x), a @ x - b), a, b


def test_without_penalty_it_solves_the_equations():
    loss, a, b = quadratic()
    end = run(loss, np.zeros(12), np.zeros(12), np.zeros(12))
    assert end.converged
    np.testing.assert_allclose(end.x, np.linalg.solve(a, b), atol=1e-6)


def test_a_square_penalty_is_a_ridge():
    loss, a, b = quadratic()
    end = run(loss, np.zeros(12), np.zeros(12), np.full(12, 3.0))
    np.testing.assert_allclose(end.x, np.linalg.solve(a + 3 * np.eye(12), b), atol=1e-6)


@pytest.mark.parametrize("strength", [0.1, 0.5, 5.0])
def test_an_absolute_penalty_ends_where_scipy_does(strength):
    loss, *_ = quadratic()
    l1 = np.full(12, strength)
    end = run(loss, np.ones(12), l1, np.zeros(12))

    def split(z):  # x as a difference of two that are not negative
        value, slope = loss(z[:12] - z[12:])
        return value + strength * z.sum(), np.concatenate([slope, -slope]) + strength

    theirs = scipy_minimize(
        split, np.zeros(24), jac=True, bounds=[(0, None)] * 24, method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000},
    )  # fmt: skip
    assert end.objective == pytest.approx(theirs.fun, abs=1e-8)
    np.testing.assert_allclose(end.x, theirs.x[:12] - theirs.x[12:], atol=1e-4)
    assert (end.x == 0).sum() >= (np.abs(theirs.x[:12] - theirs.x[12:]) < 1e-9).sum()


def test_iterations_are_bounded():
    loss, *_ = quadratic()
    end = run(loss, np.ones(12), np.zeros(12), np.zeros(12), max_iterations=2)
    assert (end.iterations, end.converged) == (2, False)


def test_the_pseudo_gradient_is_0_where_the_penalty_holds():
    x, slope = np.array([0.0, 0.0, 0.0, 1.0, -1.0]), np.array([0.5, 2.0, -2.0, 0.0, 0.0])
    assert Absolute(np.ones(5)).pseudo_gradient(x, slope).tolist() == [0.0, 1.0, -1.0, 1.0, -1.0]
