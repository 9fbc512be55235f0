"""Which layer of a network cannot be written in ONNX, told without writing it."""

from __future__ import annotations

from ..graph import Graph
from ..steps import Foreign, Step
from .activations import NAMES


def unwritable(graph: Graph) -> str | None:
    """Return the first layer that cannot be written, and why; None: all can.

    Example:
        >>> from ..steps import Image
        >>> steps = [
        ...     Step("image", Image(), (), (5, 5, 1)),
        ...     Step("up", Foreign("Conv2DTranspose"), ("image",), (7, 7, 1)),
        ... ]
        >>> unwritable(Graph("tiny", steps, "up"))
        "layer 'up' (Conv2DTranspose)"
    """
    return next(filter(None, map(_reason, graph.steps.values())), None)


def _reason(step: Step) -> str | None:
    layer = f"layer {step.name!r}"
    if step.shape is None or None in step.shape:
        return f"{layer}, which does not return one tensor of floats of known size"
    if isinstance(step.operation, Foreign):
        return f"{layer} ({step.operation.kind})" if step.operation.kind else layer
    activation = getattr(step.operation, "activation", "linear")
    return None if activation in NAMES else f"layer {step.name!r} and its activation"
