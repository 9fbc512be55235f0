"""The worst mistakes of a model, as its record has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row that a model was not fitted to, and of which it predicts another class."""

    key: str
    expected: str
    predicted: str
    chance: float  # the predicted class's probability
    picture: str | None  # a data: URI


def mistakes(document: Mapping[str, Any], pictures: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Return the mistakes in a model's record, the most certain first."""
    classes = document["classes"]
    return tuple(
        Mistake(
            wrong["key"],
            classes[wrong["expected"]],
            classes[wrong["predicted"]],
            float(wrong["chance"]),
            pictures.get(wrong["key"]),
        )
        for wrong in document.get("mistakes", ())
    )
