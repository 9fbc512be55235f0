"""Norms that make weights exactly zero, as the optimizer needs them: of each weight, or of groups.

Of each weight (the lasso) the step is OWL-QN's (Andrew and Gao, 2007). Of groups (the group lasso;
Yuan and Lin, 2006) it is the same with half-spaces in place of orthants: a group whose new value
has turned away from the old one stops at zero.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Vector: TypeAlias = npt.NDArray[np.float64]


class Penalty(Protocol):
    """A norm of the weights (n,) that has a corner where they are zero."""

    def value(self, x: Vector) -> float:
        """Return the norm at a point."""

    def pseudo_gradient(self, x: Vector, gradient: Vector) -> Vector:
        """Return (n,) the steepest one-sided derivatives of loss + norm, 0 where all point up."""

    def descending(self, direction: Vector, pseudo: Vector) -> Vector:
        """Return a direction (n,) without what would lead up, against the pseudo-gradient."""

    def stopped(self, point: Vector, x: Vector, pseudo: Vector) -> Vector:
        """Return the point of a step from x, zero where the step has crossed the corner."""

    def change(self, x: Vector, point: Vector) -> Vector | float:
        """Return how the norm's own gradient changes from x to a point, where both have one."""


class Absolute(Struct, frozen=True):
    """Σ weightsⱼ·|xⱼ|."""

    weights: Vector  # (n,)

    def value(self, x: Vector) -> float:
        """Return the norm at a point."""
        return float(self.weights @ np.abs(x))

    def pseudo_gradient(self, x: Vector, gradient: Vector) -> Vector:
        """Return the steepest one-sided derivatives; see `Penalty`."""
        down, up = gradient - self.weights, gradient + self.weights
        at_zero = np.where(up < 0, up, np.where(down > 0, down, 0.0))
        return np.where(x > 0, up, np.where(x < 0, down, at_zero))

    def descending(self, direction: Vector, pseudo: Vector) -> Vector:
        """Return a direction that only descends; see `Penalty`."""
        direction[(direction * pseudo >= 0) & (self.weights > 0)] = 0.0
        return direction

    def stopped(self, point: Vector, x: Vector, pseudo: Vector) -> Vector:
        """Return the point of a step, zero beyond the corner; see `Penalty`."""
        orthant = np.where(x != 0, np.sign(x), -np.sign(pseudo))
        point[(point * orthant < 0) & (self.weights > 0)] = 0.0
        return point

    def change(self, x: Vector, point: Vector) -> float:
        """Return 0: the gradient is constant within an orthant."""
        return 0.0


class Grouped(Struct, frozen=True):
    """Σ weightsⱼ·‖xⱼ‖₂, x (columns · groups,) flattened by columns: a group is a value of each."""

    weights: Vector  # (groups,)

    def norms(self, x: Vector) -> Vector:
        """Return ‖xⱼ‖₂ (groups,)."""
        return np.asarray(np.linalg.norm(self._of_columns(x), axis=0))

    def _of_columns(self, x: Vector) -> Vector:
        return x.reshape(-1, len(self.weights))

    def _inner(self, x: Vector, y: Vector) -> Vector:
        return np.asarray((self._of_columns(x) * self._of_columns(y)).sum(axis=0))

    def _slope(self, x: Vector) -> Vector:
        """Return the gradient (columns, groups), 0 in groups that are zero."""
        norms = self.norms(x)
        factor = np.divide(self.weights, norms, out=np.zeros_like(norms), where=norms > 0)
        return self._of_columns(x) * factor

    def value(self, x: Vector) -> float:
        """Return the norm at a point."""
        return float(self.weights @ self.norms(x))

    def pseudo_gradient(self, x: Vector, gradient: Vector) -> Vector:
        """Return the steepest one-sided derivatives; see `Penalty`."""
        norms, of_gradient = self.norms(x), self.norms(gradient)
        ratio = np.divide(
            self.weights, of_gradient, out=np.ones_like(of_gradient), where=of_gradient > 0
        )
        at_zero = self._of_columns(gradient) * np.maximum(1.0 - ratio, 0.0)
        smooth = self._of_columns(gradient) + self._slope(x)
        return np.where(norms > 0, smooth, at_zero).ravel()

    def descending(self, direction: Vector, pseudo: Vector) -> Vector:
        """Return a direction that only descends; see `Penalty`."""
        up = (self._inner(direction, pseudo) >= 0) & (self.weights > 0)
        self._of_columns(direction)[:, up] = 0.0
        return direction

    def stopped(self, point: Vector, x: Vector, pseudo: Vector) -> Vector:
        """Return the point of a step, zero beyond the corner; see `Penalty`."""
        ahead = np.where(self.norms(x) > 0, self._of_columns(x), -self._of_columns(pseudo)).ravel()
        crossed = (self._inner(point, ahead) < 0) & (self.weights > 0)
        self._of_columns(point)[:, crossed] = 0.0
        return point

    def change(self, x: Vector, point: Vector) -> Vector:
        """Return the change of the slope in groups that are not zero at either end."""
        both = (self.norms(x) > 0) & (self.norms(point) > 0)
        return np.where(both, self._slope(point) - self._slope(x), 0.0).ravel()
