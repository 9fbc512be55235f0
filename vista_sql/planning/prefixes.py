"""CNNs of one TRANSFER that begin alike: what they have in common is inferred once.

The first of them runs from the image and lends the raw maps of the last layer that another has in
common with it; the other starts there. What is alike is told by digests of what layers compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from msgspec.structs import replace

from vista_sql import catalog, kernels, roster, weights
from vista_sql.errors import VistaError
from vista_sql.kernels import Lending
from vista_sql.planning.plans import Infer, Stage
from vista_sql.planning.workload import Prefix, Tap, Workload
from vista_sql.roster import Cnn, Layer


def found(workload: Workload) -> tuple[Prefix, ...]:
    """Return what CNNs of a workload have in common with one that runs before them.

    Of each CNN that is the highest layer which all of its used layers can be computed from. Weights
    that have no digests yet are read for them, where the networks look alike.
    """
    prefixes: list[Prefix] = []
    before: list[_Begun] = []
    if workload.pools_boxes:  # its maps are handed on to be pooled
        return ()
    for cnn, taps in workload.passes:
        begun = _Begun(workload, cnn, taps)
        shared = [one for other in before if (one := begun.shared_with(other)) is not None]
        if shared:
            prefixes.append(max(shared, key=lambda one: one.layer.flops))
        before.append(begun)
    return tuple(prefixes)


class _Begun:
    """A CNN, and where it may be cut in two."""

    def __init__(self, workload: Workload, cnn: Cnn, taps: tuple[Tap, ...]) -> None:
        self._workload, self._taps = workload, [tap.layer for tap in taps]
        self.cnn = cnn
        self.name = "" if cnn.name == workload.cnn.name else cnn.name

    def shared_with(self, other: _Begun) -> Prefix | None:
        """Return what this CNN has in common with one that runs before it; None: nothing."""
        if not self._looks_like(other):
            return None
        for layer in reversed(self.cnn.layers):
            if not all(map(self._leading(layer), self._taps)):
                continue
            computation = self._digest(layer)
            if computation in other.lendable:
                lent = other.lendable[computation]
                return Prefix(self.name, layer, other.name, lent, computation)
        return None

    @cached_property
    def lendable(self) -> dict[str, Layer]:
        """The layers on every way to the highest used one, by what they compute."""
        highest = max(self._taps, key=lambda layer: layer.flops)
        on_way = (layer for layer in self.cnn.layers if self._leading(layer)(highest))
        return {digest: layer for layer in on_way if (digest := self._digest(layer))}

    def _looks_like(self, other: _Begun) -> bool:
        """Return whether this CNN takes another's images, and seems to begin as that does."""
        first, second = self.cnn, other.cnn
        if roster.DESCRIPTOR in (first.name, second.name):
            return False
        pixels = (self._workload.preprocessing_of(cnn) for cnn in (first, second))
        of_image = {(one.order, one.mean, one.scale, one.framing) for one in pixels}
        lowest = {
            (cnn.input_shape, cnn.layers[0].shape, cnn.layers[0].flops) for cnn in (first, second)
        }
        return len(of_image) == len(lowest) == 1

    def _leading(self, start: Layer) -> Callable[[Layer], bool]:
        """Return what says whether a layer is a start's own or can be computed from its map."""
        if not start.can_start or start.name not in self._starts:
            return lambda layer: False
        return lambda layer: layer.name == start.name or self.cnn.determines(start, layer)

    @cached_property
    def _starts(self) -> frozenset[str]:
        """The layers from whose maps bits are those of the whole network."""
        return self._workload.starts_of(self.cnn)

    def _digest(self, layer: Layer) -> str:
        return "" if self._computation is None else self._computation(layer.name)

    @cached_property
    def _computation(self) -> Callable[[str], str] | None:
        workload, cnn = self._workload, self.cnn
        if not are_here(workload, cnn):
            return None
        try:
            choice = weights.resolve(cnn, workload.weights_of(cnn), workload.seed)
            computed = catalog.module(kernels.PACKAGE, "network.computations").computations
            known = computed(cnn, choice, workload.engine.name)
        except VistaError:  # the inference itself will say so
            return None
        return None if known is None else known.of


def are_here(workload: Workload, cnn: Cnn) -> bool:
    """Return whether the weights of a CNN can be told apart without downloading them."""
    chosen = (workload.weights_of(cnn) or cnn.default_weights).lower()
    return chosen not in cnn.weights or chosen in weights.available(cnn)


def lending(
    workload: Workload, stages: tuple[Stage, ...], pays: Callable[[Prefix], bool]
) -> tuple[Stage, ...]:
    """Return a plan's stages such that CNNs which begin alike infer that once.

    Args:
        workload: with what its CNNs have in common.
        stages: each CNN's features in one pass; others stay as they are.
        pays: whether a raw map is cheaper to hand on than to compute.
    """
    prefixes = [prefix for prefix in workload.prefixes if pays(prefix)]
    passes = [stage for stage in stages if isinstance(stage, Infer)]
    whole = all(stage.start is None and stage.form == "features" for stage in passes)
    if not prefixes or not whole or len({stage.cnn for stage in passes}) < len(passes):
        return stages
    return tuple(
        _lending(stage, prefixes) if isinstance(stage, Infer) else stage for stage in stages
    )


def _lending(stage: Infer, prefixes: list[Prefix]) -> Infer:
    lends = tuple(_lent_by(stage.cnn, prefixes))
    for prefix in prefixes:
        if prefix.taker == stage.cnn:
            return replace(stage, base=prefix.layer, borrows=prefix.computation, lends=lends)
    return replace(stage, lends=lends)


def _lent_by(lender: str, prefixes: list[Prefix]) -> Iterator[Lending]:
    """Yield what a CNN lends, bottom to top."""
    own = [prefix for prefix in prefixes if prefix.lender == lender]
    for name in dict.fromkeys(one.lent.name for one in sorted(own, key=lambda x: x.lent.flops)):
        of_layer = [prefix for prefix in own if prefix.lent.name == name]
        yield Lending(name, of_layer[0].computation, len(of_layer))
