"""What a TRANSFER says of an `.onnx` file, checked: how it takes pixels, how layers are pooled."""

from __future__ import annotations

from math import prod

from vista_sql import kernels, roster
from vista_sql.kernels import Pool
from vista_sql.roster import Cnn, Layer
from vista_sql.sql.calls import Call

PIXELS = ("mean", "scale", "channels")
"""Arguments that say how an `.onnx` file takes its images."""


def with_pixels(call: Call, cnn: Cnn) -> Cnn:
    """Return a call's CNN with the preprocessing that the call gives an `.onnx` file.

    Raises:
        ArgumentError: it gives one to another CNN, or none where nothing else says it.
        WeightsError: it is none for the network's channels.
    """
    given = [name for name in PIXELS if call.values.get(name) is not None]
    if not _is_onnx(cnn.name):
        for name in () if any(map(_is_onnx, _names(call))) else given:
            raise call.error(
                name, f"{name} is of .onnx files: how {cnn.title} takes its images is known"
            )
        return cnn
    from vista_sql.weights import onnx_files

    mean, scale, channels = map(call.get, PIXELS)
    pixels = onnx_files.Pixels(mean or (), scale or (), channels or "")
    cnn = onnx_files.from_onnx_file(cnn.name, pixels)
    if not cnn.preprocessing.mean:
        raise call.error(
            "cnn",
            f"nothing says how {cnn.name} takes its pixels: give mean => … and scale => … (its "
            "input is (pixels - mean) × scale, of pixels from 0 to 255: of torch's mean and std, "
            "255 × mean and 1 / (255 × std)), or put the publisher's preprocessor_config.json or "
            "timm's config.json beside it",
        )
    return cnn


def _names(call: Call) -> tuple[str, ...]:
    return (call.get("cnn"), *call.beside)


def _is_onnx(name: str) -> bool:
    return roster.kind_of_file(name) == "onnx"


def check_pool(call: Call, cnn: Cnn, layer: Layer, pool: Pool) -> None:
    """Check that a layer can be pooled as the call has it.

    Raises:
        ArgumentError: it is none of tokens, or has no class token; or only its raw values are
            features.
    """
    is_onnx = _is_onnx(cnn.name)
    is_kept = len(layer.shape) == 1 and (is_onnx or cnn.name == roster.DESCRIPTOR)
    if pool in kernels.TOKEN_POOLS and layer.grid is None and not is_kept:
        raise call.error(
            "pool",
            f"pool {pool!r} is of tokens, which vision transformers have, and layer "
            f"{layer.name!r} of {cnn.title} has none: take one of {', '.join(kernels.POOLS)}",
        )
    if is_onnx and pool != "none" and not layer.can_pool:
        shape = "×".join(map(str, layer.shape))
        raise call.error(
            "layers",
            f"layer {layer.name!r} of {cnn.title} has {shape} values, which is no vector, no map "
            "and no class token before tokens in rows and columns: take pool => 'none', or another "
            "layer",
        )
    if pool == "cls" and layer.grid is not None and prod(layer.grid) == layer.shape[0]:
        rows, columns = layer.grid
        raise call.error(
            "pool",
            f"layer {layer.name!r} of {cnn.title} has no class token, but {rows} × {columns} "
            "places: take pool => 'mean' or 'grid'",
        )
