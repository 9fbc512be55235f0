"""The worst mistakes of a model and its surest hits, as its record has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field


class Neighbour(Struct, frozen=True):
    """A row whose image is like another's, by the features of the model's layer."""

    key: str
    label: str | None
    distance: float  # cosine
    picture: str | None  # a data: URI


class Reasons(Struct, frozen=True):
    """What is known of some rows beside their prediction, by their keys."""

    maps: Mapping[str, str] = field(default_factory=dict)  # data: URIs
    neighbours: Mapping[str, Sequence[Neighbour]] = field(default_factory=dict)
    lacking: str = ""  # why there is not all of it


class Example(Struct, frozen=True):
    """A row that a model was not fitted to, and what it predicts of it."""

    key: str
    expected: str
    predicted: str
    chance: float  # the predicted class's probability
    picture: str | None  # a data: URI
    map: str | None  # the same with the heat map over it
    neighbours: Sequence[Neighbour]


def keys(document: Mapping[str, Any], kind: str) -> list[str]:
    """Return the keys of a record's 'mistakes' or its 'surest' hits, the most certain first."""
    return [one["key"] for one in document.get(kind, ())]


def examples(
    document: Mapping[str, Any], kind: str, pictures: Mapping[str, str], why: Reasons
) -> tuple[Example, ...]:
    """Return the 'mistakes' in a model's record, or its 'surest' hits, the most certain first."""
    classes = document["classes"]
    return tuple(
        Example(
            one["key"],
            classes[one["expected"]],
            classes[one["predicted"]],
            float(one["chance"]),
            pictures.get(one["key"]),
            why.maps.get(one["key"]),
            why.neighbours.get(one["key"], ()),
        )
        for one in document.get(kind, ())
    )
