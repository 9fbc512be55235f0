"""The operations of a checked `.onnx` file and the shapes of their results → its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from vista_sql.roster import Layer, Layout

from .file import OnnxFile, graphs_of

if TYPE_CHECKING:
    from onnx import NodeProto

Shape: TypeAlias = tuple[int, ...]

MAPS = frozenset(
    {"AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace",
     "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GroupNormalization",
     "InstanceNormalization", "LRN", "LpPool", "MaxPool", "Resize", "SpaceToDepth", "Upsample"}
)  # fmt: skip
"""Operations that ONNX defines over maps whose channels stand first."""

TURNS: Mapping[tuple[int, ...], tuple[Layout, Layout]] = {
    (0, 2, 3, 1): ("channels_first", "channels_last"),
    (0, 3, 1, 2): ("channels_last", "channels_first"),
}
"""Transpositions of a map: of what layout, to what."""

PRODUCTS = frozenset({"Gemm", "MatMul"})

OF_SHAPE = frozenset({"Shape", "Size"})
"""Operations that look at no pixel."""

BEFORE_PLACES = (0, 1, 2, 5)
"""Tokens that are of no place: none; a class token; two, with that of distillation (DeiT); a class
token and four registers (DINOv2)."""


class Tensor(Struct, frozen=True):
    """What a value of the network is for a batch of images."""

    shape: Shape  # with the batch
    is_float: bool


def layers_of(
    file: OnnxFile,
    sides: tuple[int, int],
    tensors: Mapping[str, Tensor],
    other: Mapping[str, Shape],
) -> list[Layer]:
    """Return the layers of a network, in the file's order.

    A layer is a tensor of floats that depends on the image and has a row for each image.

    Args:
        file: the network.
        sides: (height, width) of its images.
        tensors: by name, for a batch of some number of images.
        other: shapes for a batch of another number, where the network takes any; else the same.
    """
    sizes = {one.name: int(prod(one.dims)) for one in file.model.graph.initializer}
    n_rows = tensors[file.image.name].shape[0]
    layouts: dict[str, Layout | None] = {file.image.name: file.image.layout}
    read: dict[str, tuple[str, ...]] = {file.image.name: ("",)}
    below: dict[str, int] = {file.image.name: 0}  # bits of the operations that cost
    costs: list[int] = []
    rows = []
    for node in file.model.graph.node:
        used = [name for name in _inputs(node) if name in below]
        if not used or node.op_type in OF_SHAPE:
            continue  # of constants alone: of a size, too
        mask = 0
        for name in used:
            mask |= below[name]
        if cost := _multiply_adds(node, tensors):
            mask |= 1 << len(costs)
            costs.append(cost // n_rows)
        inputs = tuple(dict.fromkeys(one for name in used for one in read[name]))
        layout = _layout(node, layouts, tensors)
        for name in filter(None, node.output):
            below[name], layouts[name] = mask, layout
            tensor = tensors.get(name)
            if tensor is None or not _is_layer(tensor, other.get(name), tensors, other, file):
                read[name] = inputs
                continue
            read[name] = (name,)
            rows.append(
                _layer(
                    name,
                    tensor.shape[1:] or (1,),
                    flops=2 * sum(cost for place, cost in enumerate(costs) if mask >> place & 1),
                    parameters=sum(sizes.get(one, 0) for one in node.input),
                    inputs=inputs,
                    layout=layout or file.image.layout,
                    sides=sides,
                )
            )
    return rows


def offered(file: OnnxFile, layers: list[Layer]) -> list[str]:
    """Return the layers that are asked for where none is named, bottom to top.

    The vector that the last product with weights is made of: the features below a classifier. And
    the outputs.
    """
    usable = {layer.name: layer for layer in layers if layer.can_pool}
    of_image, penultimate = {file.image.name}, []
    for node in file.model.graph.node:
        if of_image.isdisjoint(_inputs(node)):
            continue
        of_image.update(node.output)
        if node.op_type in PRODUCTS and node.input[1] not in of_image:
            below = usable.get(node.input[0])
            penultimate += [below.name] if below and len(below.shape) == 1 else []
    outputs = [one.name for one in file.model.graph.output]
    chosen = [name for name in (*penultimate[-1:], *outputs) if name in usable]
    found = dict.fromkeys(chosen or list(usable)[-1:])
    return [name for name in usable if name in found]


def _is_layer(
    tensor: Tensor,
    shape: Shape | None,
    tensors: Mapping[str, Tensor],
    other: Mapping[str, Shape],
    file: OnnxFile,
) -> bool:
    rows, others = tensors[file.image.name].shape[0], other[file.image.name][0]
    return bool(
        tensor.is_float
        and shape
        and tensor.shape[:1] == (rows,)
        and shape[0] == others
        and tensor.shape[1:] == shape[1:]
        and prod(tensor.shape)
    )


def _layer(
    name: str,
    shape: Shape,
    *,
    flops: int,
    parameters: int,
    inputs: tuple[str, ...],
    layout: Layout,
    sides: tuple[int, int],
) -> Layer:
    grid = grid_of(shape[0], sides) if len(shape) == 2 else None
    layout = layout if len(shape) == 3 else "channels_last"
    if layout == "channels_first":
        shape = (*shape[1:], shape[0])
    return Layer(name, shape, flops, parameters, inputs, False, layout, grid)


def grid_of(n_tokens: int, sides: tuple[int, int]) -> tuple[int, int] | None:
    """Return the (rows, columns) of places that tokens are of; None: these are not tokens.

    Example: ViT-B/16, Swin's last stage, DINOv2 with registers, and what is none
        >>> grid_of(197, (224, 224)), grid_of(49, (224, 224)), grid_of(261, (224, 224))
        ((14, 14), (7, 7), (16, 16))
        >>> grid_of(50, (224, 224)), grid_of(768, (224, 224))
        ((7, 7), None)
    """
    height, width = sides
    for before in BEFORE_PLACES:
        for patch in range(1, min(sides) + 1):
            rows, columns = height // patch, width // patch
            if height % patch == width % patch == 0 and rows * columns == n_tokens - before:
                return rows, columns
    return None


def _inputs(node: NodeProto) -> Iterator[str]:
    """Yield the values that an operation uses, those of its branches and loops too."""
    yield from node.input
    for graph in graphs_of(node):
        for inner in graph.node:
            yield from _inputs(inner)


def _layout(
    node: NodeProto, layouts: Mapping[str, Layout | None], tensors: Mapping[str, Tensor]
) -> Layout | None:
    """Return how an operation's maps stand; None: not known, or they are none."""
    if node.op_type in MAPS:
        return "channels_first"
    maps = [name for name in node.input if name in tensors and len(tensors[name].shape) == 4]
    known = [layout for name in maps if (layout := layouts.get(name)) is not None]
    if node.op_type == "Transpose":
        order = next((tuple(one.ints) for one in node.attribute if one.name == "perm"), ())
        before, after = TURNS.get(order, (None, None))
        return after if known[:1] == [before] else None
    if node.op_type == "Reshape":
        return None
    return known[0] if known else None


def _multiply_adds(node: NodeProto, tensors: Mapping[str, Tensor]) -> int:
    """Return the multiply-adds of a convolution or a product over a batch; 0: it is neither."""
    given = [tensors[name].shape if name in tensors else () for name in node.input]
    made = tensors[node.output[0]].shape if node.output and node.output[0] in tensors else ()
    match node.op_type:
        case "Conv" if len(given) > 1 and made:
            return prod(made) * prod(given[1][1:])
        case "ConvTranspose" if len(given) > 1 and given[0]:
            return prod(given[0]) * prod(given[1][1:])
        case "Gemm" | "MatMul" if given and given[0] and made:
            is_turned = any(one.name == "transA" and one.i for one in node.attribute)
            return prod(made) * given[0][0 if is_turned else -1]
    return 0
