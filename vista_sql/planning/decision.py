"""A decision of planning, and why it was made."""

from __future__ import annotations

from msgspec import Struct


class Decision(Struct, frozen=True):
    """One choice: what was chosen, and why."""

    what: str
    chosen: str
    why: str
