"""OWL-QN: limited-memory quasi-Newton for a smooth loss plus a norm (Andrew and Gao, 2007).

Written as a generator that asks for the loss and gradient at a point and is sent them, so that
one pass over the data can answer many optimizers at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import numpy as np
from msgspec import Struct

from vista_sql.train.penalties import Penalty, Vector

MEMORY = 10  # pairs kept, as in Spark MLlib's optimizers
ARMIJO = 1e-4  # sufficient decrease; Nocedal and Wright, Numerical Optimization, section 3.1
MAX_HALVINGS = 20
STALLED = 3  # iterations in a row that improve by less than the noise


class Minimum(Struct, frozen=True):
    """Where an optimizer stopped: the point, its objective, and why."""

    x: Vector
    gradient: Vector  # of the loss and the squares, without the norm
    objective: float
    iterations: int
    converged: bool


def _direction(
    pseudo: Vector, pairs: deque[tuple[Vector, Vector, float]], first_step: float
) -> Vector:
    """Return -H·pseudo by the two-loop recursion.

    H is approximated from `pairs` of steps s, changes of gradient y and 1 / s·y, the newest last.
    """
    q = pseudo.copy()
    alphas = []
    for s, y, rho in reversed(pairs):
        alpha = rho * float(s @ q)
        q -= alpha * y
        alphas.append(alpha)
    if pairs:
        _, y, rho = pairs[-1]
        q *= 1.0 / (rho * float(y @ y))
    else:
        q *= first_step
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - rho * float(y @ q)) * s
    return -q


def minimize(
    x: Vector, penalty: Penalty, l2: Vector, max_iterations: int, tolerance: float, noise: float
) -> Generator[Vector, tuple[float, Vector] | None, Minimum]:
    """Minimize loss(x) + penalty(x) + ½ Σ l2ⱼxⱼ².

    >>> from vista_sql.train.penalties import Absolute
    >>> target = np.array([3.0, 0.1])
    >>> optimizer = minimize(np.zeros(2), Absolute(np.full(2, 0.5)), np.zeros(2), 100, 1e-9, 0.0)
    >>> point = next(optimizer)
    >>> try:
    ...     while True:  # the loss is ½‖x - target‖², its gradient x - target
    ...         point = optimizer.send((0.5 * ((point - target) ** 2).sum(), point - target))
    ... except StopIteration as stop:
    ...     print(stop.value.x.round(6).tolist(), stop.value.converged)
    [2.5, 0.0] True

    Args:
        x: (n,) where to start.
        penalty: a norm with a corner at zero.
        l2: (n,) weights of x².
        max_iterations: after so many it is not converged.
        tolerance: converged is where no entry of the pseudo-gradient exceeds it.
        noise: what the arithmetic leaves uncertain in the loss, relative; converged is also where
            the objective no longer improves by more.

    Yields:
        Points (n,) at which it needs the loss and its gradient (n,); not to be changed. Sent None
            in their place it ends where it is, not converged.
    """

    def penalised(point: Vector, loss: float, slope: Vector) -> tuple[float, Vector]:
        total = loss + penalty.value(point) + 0.5 * float(l2 @ (point * point))
        return total, slope + l2 * point

    answer = yield x
    if answer is None:
        return Minimum(x, np.zeros_like(x), float("inf"), 0, False)
    objective, gradient = penalised(x, *answer)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)
    stalled = 0
    for iteration in range(max_iterations):
        pseudo = penalty.pseudo_gradient(x, gradient)
        if float(np.abs(pseudo).max(initial=0.0)) <= tolerance or stalled >= STALLED:
            return Minimum(x, gradient, objective, iteration, True)
        norm = float(np.linalg.norm(pseudo))
        step, descends = 1.0, False
        direction = penalty.descending(_direction(pseudo, pairs, 1.0 / norm), pseudo)
        for _ in range(MAX_HALVINGS):
            # a coordinate that would change its sign stops at zero; unpenalised ones may cross
            point = penalty.stopped(x + step * direction, x, pseudo)
            answer = yield point
            if answer is None:
                return Minimum(x, gradient, objective, iteration, False)
            new_objective, new_gradient = penalised(point, *answer)
            descent = float(pseudo @ (point - x))
            if new_objective <= objective + ARMIJO * descent + noise * abs(objective):
                descends = True
                break
            step *= 0.5
        if not descends:
            if pairs:  # forget the curvature and try once more along the steepest descent
                pairs.clear()
                stalled += 1
                continue
            return Minimum(x, gradient, objective, iteration, bool(np.isfinite(objective)))
        s, y = point - x, new_gradient - gradient + penalty.change(x, point)
        curvature = float(s @ y)
        if curvature > 1e-10 * float(s @ s):
            pairs.append((s, y, 1.0 / curvature))
        gained = objective - new_objective
        stalled = stalled + 1 if gained <= 10 * noise * abs(objective) else 0
        x, objective, gradient = point, new_objective, new_gradient
    pseudo = penalty.pseudo_gradient(x, gradient)
    done = float(np.abs(pseudo).max(initial=0.0)) <= tolerance or stalled >= STALLED
    return Minimum(x, gradient, objective, max_iterations, done)
