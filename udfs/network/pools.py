"""What the names of `vista_sql.kernels.POOLS` mean, as numbers that every engine computes with."""

from __future__ import annotations

GEM_POWER = 3.0  # Radenović et al., Fine-tuning CNN Image Retrieval, TPAMI 2018: p = 3
GEM_FLOOR = 1e-6  # … and their clamp, below which a power of a negative value would be undefined


def halves(side: int) -> tuple[tuple[int, int], ...]:
    """Return the cells [start, end) of one side of the 2 × 2 grid.

    Example:
        >>> halves(4), halves(7), halves(1)
        (((0, 2), (2, 4)), ((0, 4), (3, 7)), ((0, 1),))
    """
    return ((0, (side + 1) // 2), (side // 2, side)) if side > 1 else ((0, 1),)
