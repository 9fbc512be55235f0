"""A decision of planning, and why it was made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice: what was chosen, and why."""

    what: str
    chosen: str
    why: str
