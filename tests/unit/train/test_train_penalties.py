"""Norms with a corner: of groups, against proximal gradients; of groups of one, the absolute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_sql.train.owlqn import minimize
from vista_sql.train.penalties import Absolute, Grouped

COLUMNS, GROUPS = 3, 8


def run(loss, x, penalty, l2, max_iterations=2000, tolerance=1e-9):
    optimizer = minimize(x, penalty, l2, max_iterations, tolerance, 0.0)
    point = next(optimizer)
    while True:
        try:
            point = optimizer.send(loss(point))
        except StopIteration as stop:
            return stop.value


def quadratic(n, seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    a, b = root @ root.T + np.eye(n), 3 * rng.standard_normal(n)
    return lambda x: (float(0.5 * x @ a @ x - b @ x), a @ x - b), a


def by_proximal_gradients(loss, a, weights, n):
    """ISTA: a gradient step, then each group shrunk towards zero."""
    step, x = 1 / np.linalg.eigvalsh(a)[-1], np.zeros(n)
    for _ in range(20_000):
        z = (x - step * loss(x)[1]).reshape(-1, len(weights))
        norms = np.maximum(np.linalg.norm(z, axis=0), 1e-300)
        x = (z * np.maximum(1 - step * weights / norms, 0)).ravel()
    return x


@pytest.mark.parametrize("strength", [0.3, 2.0, 6.0])
def test_a_group_lasso_ends_where_proximal_gradients_do(strength):
    n = COLUMNS * GROUPS
    loss, a = quadratic(n, seed=1)
    weights = np.full(GROUPS, strength)
    weights[-1] = 0.0  # free, as the intercept is
    end = run(loss, np.zeros(n), Grouped(weights), np.zeros(n))
    theirs = by_proximal_gradients(loss, a, weights, n)
    np.testing.assert_allclose(end.x, theirs, atol=1e-5)
    zero = np.linalg.norm(theirs.reshape(COLUMNS, -1), axis=0) == 0
    assert (Grouped(weights).norms(end.x)[zero] == 0).all()
    assert not zero[-1]


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 5))
def test_groups_of_one_are_the_absolute(seed, strength):
    loss, _ = quadratic(6, seed)
    weights = np.full(6, strength)
    ends = [
        run(loss, np.zeros(6), penalty(weights), np.full(6, 0.1)) for penalty in (Absolute, Grouped)
    ]
    np.testing.assert_allclose(ends[0].x, ends[1].x, atol=1e-5)


def test_a_zero_group_stays_where_its_gradient_is_short():
    penalty = Grouped(np.array([1.0, 1.0]))
    x = np.zeros(4)
    short, long = [0.6, 3.0], [0.6, 4.0]  # the groups (.6, .6) and (3, 4)
    pseudo = penalty.pseudo_gradient(x, np.array([*short, *long])).reshape(2, 2)
    np.testing.assert_allclose(pseudo[:, 0], 0)
    np.testing.assert_allclose(pseudo[:, 1], np.array([3.0, 4.0]) * (1 - 1 / 5))
