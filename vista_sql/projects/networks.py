"""Which CNN a project begins with, and what is to be said of its weights."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from vista_sql import roster, weights
from vista_sql.errors import WeightsError

PREFERRED = ("mobilenetv2", "resnet50", "efficientnetb0", "densenet121", "convnexttiny")
"""In this order: the first is small and quick, which suits a first comparison."""

WITHOUT_DOWNLOADS = "lenet5"  # brings its weights
IMAGENET = "imagenet"


class Network(Struct, frozen=True):
    """The CNN of a project."""

    cnn: str  # as `cnn => …` takes it
    weights: str | None  # as `weights => …` takes it; None: the CNN's default
    layers: tuple[str, ...]  # that are compared
    note: str  # which weights these are, and what figures with them mean


def choose(cnn: str | None, chosen_weights: str | None) -> Network:
    """Return the CNN that is asked for, or the first one whose ImageNet weights are here.

    Where none has them here, those of the first are downloaded; where that cannot be done, it is
    the network that brings its own.

    Args:
        cnn: a roster name or the path of a `.keras` file; None: chosen here.
        chosen_weights: 'random', another name, or a file; None: the CNN's default.

    Raises:
        UnknownNameError: there is no such CNN.
        WeightsError: a file holds no network, or no weights; or the weights of the CNN that is
            asked for are not here and cannot be downloaded.
    """
    if cnn is not None:
        facts = weights.facts(cnn)
        try:
            choice = weights.resolve(facts, chosen_weights)
        except WeightsError as error:
            raise WeightsError(f"{error} (here: --weights FILE, or --weights random)") from None
        is_file = choice.kind == "file"
        given = choice.path if is_file else chosen_weights  # absolute: queries run from anywhere
        named = str(Path(cnn).expanduser().absolute()) if roster.kind_of_file(cnn) else cnn
        note = _note(facts, str(chosen_weights) if is_file else choice.kind)
        return Network(named, given, facts.feature_layers, note)
    candidates = [roster.load(name) for name in dict.fromkeys((*PREFERRED, *roster.names()))]
    here = (facts for facts in candidates if IMAGENET in weights.available(facts))
    facts = next(here, candidates[0])
    try:
        choice = weights.resolve(facts)
    except WeightsError:
        facts = roster.load(WITHOUT_DOWNLOADS)
        choice = weights.resolve(facts)
    return Network(facts.name, None, facts.feature_layers, _note(facts, choice.kind))


def _note(facts: roster.Cnn, kind: str) -> str:
    """Return what is to be said of weights: 'imagenet', 'bundled', 'random' …, or a file's."""
    if kind == "computed":
        return f"{facts.title}, which is computed from the image without a network"
    if kind == "random":
        return (
            f"{facts.title} with random weights: a rehearsal, which shows what it costs. Its "
            "figures say nothing about what the network can do"
        )
    if kind == IMAGENET:
        return f"{facts.title} with weights trained on ImageNet, photographs of 1,000 kinds"
    if kind == "bundled":
        return (
            f"{facts.title} with the weights that it brings. It was trained on small gray pictures "
            "of digits: expect little of it elsewhere. ImageNet weights, which are for "
            "photographs, are downloaded where there is a network, or added by `vista weights add "
            f"FILE`; then: --cnn {PREFERRED[0]}"
        )
    return f"{facts.title} with the weights in {kind}"
