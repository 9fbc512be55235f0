"""The operations of a checked `.onnx` file → a digest of each value: what computes it, no names.

A value's digest is over its operation, with its attributes, and over the digests of what it reads,
each with the number of its readers: who else reads a value can decide what is computed as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from .file import OnnxFile, graphs_of

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

DIGEST_BYTES = 16


def digests(file: OnnxFile) -> dict[str, str]:
    """Return the digest of each value by its name; left out are those that take branches or loops.

    Weights count by their numbers, wherever they lie.
    """
    model, image = file.model, file.image
    of_model = sorted(f"{one.domain} {one.version}" for one in model.opset_import)
    arrays = {array.ctypes.data: array for array in file.weights}
    found = {"": "nothing"}
    found |= {one.name: _of_weight(one, arrays) for one in model.graph.initializer}
    found[image.name] = _digest([f"image {image.layout} {image.kind} {image.sides} {of_model}"])
    readers = Counter(name for node in model.graph.node for name in node.input)
    for node in model.graph.node:
        if not any(graphs_of(node)) and all(name in found for name in node.input):
            inputs = [f"{found[name]} {readers[name]}" for name in node.input]
            for place, name in enumerate(node.output):
                found[name] = _digest([*_described(node), *inputs, f"{place}"])
    return found


def _described(node: NodeProto) -> Iterable[str]:
    yield f"{node.domain} {node.op_type}"
    for attribute in sorted(node.attribute, key=lambda one: one.name):
        yield attribute.SerializeToString(deterministic=True).hex()


def _of_weight(tensor: TensorProto, arrays: dict[int, np.ndarray]) -> str:
    """Return the digest of a weight's type, shape and numbers."""
    said = {one.key: one.value for one in tensor.external_data}
    head = f"{tensor.data_type} {list(tensor.dims)}"
    if said:
        numbers: bytes | memoryview = arrays[int(said["offset"])].data
    else:
        nameless = type(tensor)()
        nameless.CopyFrom(tensor)
        nameless.ClearField("name")
        nameless.ClearField("doc_string")
        numbers = nameless.SerializeToString(deterministic=True)
    found = blake2b(head.encode(), digest_size=DIGEST_BYTES)
    found.update(numbers)
    return found.hexdigest()


def _digest(lines: Iterable[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=DIGEST_BYTES).hexdigest()
