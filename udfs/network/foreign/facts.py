"""The facts about a user's `.onnx` file, told by a process of its own: `python -m … FILE H W`.

It prints JSON: what `vista_sql.weights.onnx_files` makes a CNN of, or the `error`. Its memory is
limited by the file's size, and the network is compiled and run here first: what would take more, or
would crash, does so here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from vista_sql.errors import VistaError, WeightsError
from vista_sql.roster import Layer
from vista_sql.units import format_bytes

from ..engines.openvino import process
from .digests import digests
from .file import OnnxFile, bytes_beside, checked, parsed
from .layers import Tensor, layers_of, offered

ROWS, OTHER_ROWS = 2, 3
"""Images in the batches that tell what has a row for each."""

OF_RUNTIME = 2 << 30
"""Bytes that reading and compiling a small network may take."""
OF_FILE = 8
"""… and for each byte of a larger one."""

OTHER_VALUES, OF_LAYERS = 1 << 24, 16
"""Numbers in a tensor that is no layer of an image, and how often as many as the largest layer's:
more of them no network needs."""

PASSING = frozenset({"Identity", "Dropout"})
"""Operations that return what they are given."""

REASON_LETTERS = 300

NO_MEMORY = ("bad_alloc", "Failed to allocate")
"""What OpenVINO says where memory is at its limit."""


def facts(file: OnnxFile, sides: tuple[int, int]) -> dict[str, Any]:
    """Return what is told about a file.

    Args:
        file: as it was read.
        sides: (height, width) of its images, where the network takes any.

    Raises:
        WeightsError: it holds no network that can be used.
    """
    path, image = file.path, file.image
    height, width = (own or given for own, given in zip(image.sides, sides, strict=True))
    network = _Network(file, (height, width))
    rows = network.fixed_rows()
    other = network.tensors(rows or OTHER_ROWS)
    tensors = network.tensors(rows or ROWS)
    shapes = {name: tensor.shape for name, tensor in other.items()}
    layers = layers_of(file, (height, width), tensors, shapes)
    names = offered(file, layers)
    if not names:
        raise WeightsError(
            f"the network in {path} has no layer of an image: no tensor of floats is a vector, a "
            "map or tokens, with a row for each image of a batch"
        )
    _check_sizes(file, tensors, layers)
    if network.mixes(rows or ROWS):
        raise WeightsError(
            f"the network in {path} cannot give features of an image: it computes over the images "
            "of a batch; let it compute over axes of each image (axis 1 and above)"
        )
    computed = digests(file)
    return {
        "input": [height, width, image.channels],
        "takes_bytes": image.takes_bytes,
        "fixed_rows": rows,
        "parameters": sum(prod(one.dims) for one in file.model.graph.initializer),
        "layers": list(map(_row, layers)),
        "offered": names,
        "computations": {x.name: computed[x.name] for x in layers if x.name in computed},
        "external": list(file.beside),
    }


def _row(layer: Layer) -> dict[str, Any]:
    told = {
        "name": layer.name,
        "shape": layer.shape,
        "flops": layer.flops,
        "parameters": layer.parameters,
        "inputs": layer.inputs,
        "layout": layer.layout,
        "grid": layer.grid,
    }
    return {name: value for name, value in told.items() if value not in ("channels_last", None)}


class _Network:
    """A file's network in OpenVINO."""

    def __init__(self, file: OnnxFile, sides: tuple[int, int]) -> None:
        self._file, self._image = file, file.image
        self._of_image = (
            (file.image.channels, *sides)
            if file.image.layout == "channels_first"
            else (*sides, file.image.channels)
        )
        try:
            self._model = process.core().read_model(file.model.SerializeToString())
        except RuntimeError as error:
            raise self._error("", error) from None

    def fixed_rows(self) -> int | None:
        """Return how many images it takes in each pass; None: any number.

        One that was exported for some number may hold it in its reshapes.

        Raises:
            WeightsError: it takes none.
        """
        with suppress(RuntimeError):
            if all(self._first_sides(rows) == {rows} for rows in (ROWS, OTHER_ROWS)):
                return None
        fixed = self._image.rows or 1
        try:
            self._reshape(fixed)
        except RuntimeError as error:
            shown = "×".join(map(str, (fixed, *self._of_image)))
            raise self._error(f" with {self._image.name!r} of {shown}", error) from None
        return fixed

    def tensors(self, rows: int) -> dict[str, Tensor]:
        """Return its tensors by name, for a batch of images; left out is what has no one shape."""
        self._reshape(rows)
        found = {}
        for operation in self._model.get_ordered_ops():
            for output in operation.outputs():
                shape = output.get_partial_shape()
                if shape.is_static:
                    tensor = Tensor(tuple(shape.to_shape()), output.get_element_type().is_real())
                    found.update(dict.fromkeys(output.get_names(), tensor))
        for node in self._file.model.graph.node:
            if node.op_type in PASSING and node.input[0] in found:  # it knows one name of the two
                found.setdefault(node.output[0], found[node.input[0]])
        return found

    def mixes(self, rows: int) -> bool:
        """Return whether an image's outputs depend on the other images, or on its place. Tried.

        Raises:
            WeightsError: it cannot be run.
        """
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (rows, *self._of_image)).astype(np.uint8)
        first = images[:1].repeat(rows, axis=0)
        try:
            options = process.options_of("float32", 1)
            compiled = process.core().compile_model(self._model, "CPU", options)
            request = compiled.create_infer_request()
            beside, alike = self._outputs(request, images), self._outputs(request, first)
        except RuntimeError as error:
            raise self._error("", error) from None
        return not all(
            np.allclose(one, alone[:1], rtol=1e-3, atol=1e-5, equal_nan=True)
            for other, alone in zip(beside, alike, strict=True)
            if other.ndim and len(other) == rows
            for one in (other[:1], alone)
        )

    def _outputs(self, request: process.Request, pixels: np.ndarray) -> list[np.ndarray]:
        if not self._image.takes_bytes:
            pixels = (pixels / 255).astype(self._model.inputs[0].get_element_type().to_dtype())
        request.infer({0: pixels})
        places = range(len(self._model.outputs))
        return [request.get_output_tensor(place).data.copy() for place in places]

    def _reshape(self, rows: int) -> None:
        self._model.reshape([rows, *self._of_image])

    def _first_sides(self, rows: int) -> set[int]:
        """Return the length of the first output's first axis; more where it is not one number."""
        self._reshape(rows)
        shape = self._model.outputs[0].get_partial_shape()
        is_known = shape.rank.is_static and len(shape) and shape[0].is_static
        return {shape[0].get_length()} if is_known else set()

    def _error(self, how: str, error: RuntimeError) -> WeightsError:
        reason = process.reason_of(error)[:REASON_LETTERS]
        if any(words in str(error) for words in NO_MEMORY):
            limit = format_bytes(warranted(self._file.n_bytes))
            reason = f"it takes more than the {limit} that its size warrants"
        return WeightsError(f"OpenVINO cannot run the network in {self._file.path}{how}: {reason}")


def _check_sizes(file: OnnxFile, tensors: Mapping[str, Tensor], layers: list[Layer]) -> None:
    """Check that nothing is far larger than the file and the network's own maps.

    Raises:
        WeightsError: a tensor is: a few bytes may say that zeros are repeated without end.
    """
    most = max(OTHER_VALUES, file.n_bytes, OF_LAYERS * max(layer.size for layer in layers))
    for name, tensor in tensors.items():
        if prod(tensor.shape) > most:
            raise WeightsError(
                f"the network in {file.path} makes {name!r} of {'×'.join(map(str, tensor.shape))} "
                "numbers, far more than its weights and its layers have"
            )


def warranted(n_bytes: int) -> int:
    """Return the bytes that a network may take which is read, compiled and run for two images.

    Args:
        n_bytes: of its files.
    """
    return OF_RUNTIME + OF_FILE * n_bytes


def limit_memory(n_bytes: int) -> None:
    """Let this process take so many bytes more than it has; not on systems that cannot say so."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (taken + n_bytes, hard))


def main(path: str, height: str, width: str) -> None:
    """Print what is told about a file, or why nothing is."""
    try:
        size = Path(path).stat().st_size
        limit_memory(warranted(size))
        model = parsed(path)
        limit_memory(warranted(size + bytes_beside(path, model)))
        told = facts(checked(path, model), (int(height), int(width)))
    except VistaError as error:
        told = {"error": str(error)}
    except MemoryError:
        told = {"error": f"{path} takes more memory than its size warrants"}
    except OSError as error:
        told = {"error": f"{path} cannot be read: {error}"}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
