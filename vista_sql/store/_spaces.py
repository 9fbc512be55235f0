"""What stored values depend on: the image's bytes, and all else, which is a space."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

from vista_sql import catalog, kernels
from vista_sql.kernels import Engine
from vista_sql.machine.resources import own_version, package_version, processor
from vista_sql.roster import DESCRIPTOR, Cnn, kind_of_file

VERSION = 3
"""Of decoding, preprocessing, lowering and pooling: raised when a change alters a bit of features
within one version of the package."""

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Space:
    """All that an image's stored values depend on, but the image.

    Spaces are equal where the values are: networks that compute a layer alike share its space,
    whatever they and it are called. The names are those of who wrote to it first.
    """

    cnn: str = field(compare=False)
    weights: str = field(compare=False)  # sha256 of the file, 'random:<seed>' or 'computed:<…>'
    layer: str = field(compare=False)
    computation: str  # from a network's input to the layer; "": images that can be decoded
    pool: str  # 'none': raw maps, and vectors, which no pooling changes
    dtype: str  # the arithmetic's
    preprocessing: str
    made_by: str  # versions and processor

    @property
    def key(self) -> bytes:
        """The beginning of the keys of its entries."""
        return _space_key(self)


def digest(data: Any) -> bytes:
    """Return what identifies an image: a digest of its encoded bytes (any buffer)."""
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def space(
    cnn: Cnn,
    weights: str,
    layer: str,
    pool: str = "none",
    dtype: str = "float32",
    *,
    device: str,
    engine: Engine = "tensorflow",
    computation: str = "",
) -> Space:
    """Return the space of a layer's features.

    Args:
        cnn: the CNN.
        weights: `WeightsChoice.identity` of its weights.
        layer: the network's own name; "" for the images that can be decoded.
        pool: one of vista_sql.kernels.POOLS; 'none' for raw maps.
        dtype: 'float32' or 'bfloat16'.
        device: what `device_class` returned.
        engine: who runs the network: features of two engines never mix.
        computation: equal ones compute equal values; "": it is not known, and told by the names
            of the network and the layer, and the weights.
    """
    pre = cnn.preprocessing
    size = "x".join(map(str, cnn.input_shape))
    framed = pre.framing.words
    if not layer:  # decoding knows of the network only this
        return Space("", "", "", "", "", "", f"{pre.order} {size} {framed}", _decoder())
    arithmetic = "" if cnn.name == DESCRIPTOR else _arithmetic(engine)  # HOG needs none
    shape = next((known.shape for known in cnn.layers if known.name == layer), None)
    name = cnn.title if kind_of_file(cnn.name) else cnn.name
    return Space(
        cnn=name,
        weights=weights,
        layer=layer,
        computation=computation or f"{name} {weights} {layer}",
        pool="none" if shape is not None and len(shape) == 1 else pool,
        dtype=dtype,
        preprocessing=f"{pre.order} {size} {framed} -{list(pre.mean)} *{list(pre.scale)}",
        made_by=", ".join(filter(None, (_decoder(), arithmetic, device, cnn.revision))),
    )


@cache
def device_class(device: str, engine: Engine = "tensorflow") -> str:
    """Return what kind of processor a device setting ('auto', 'cpu', 'gpu') will mean here.

    Said without TensorFlow: from the driver's own files, and the package that is installed.
    """
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == "-1"
    for_gpus = package_version("tensorflow-cpu") is None
    if device.lower() != "cpu" and _entry(engine).has_gpu and gpus and for_gpus and not hidden:
        lines = gpus[0].read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
        return f"gpu {models[0] if models else 'NVIDIA'}"
    return f"cpu {_processor()}"


@cache
def _processor() -> str:
    """Return the processor's model and what instructions it has: kernels are chosen by these."""
    described = processor()
    if described is None:
        return platform.processor() or platform.machine()
    return f"{described.model or platform.machine()} {crc32(described.instructions.encode()):08x}"


@cache
def _decoder() -> str:
    opencv = next(
        (v for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python")
         if (v := package_version(name))), "?",
    )  # fmt: skip
    return f"vista-sql {own_version()}.{VERSION}, opencv {opencv}"


def _arithmetic(engine: Engine) -> str:
    """Return the identity of an engine that runs networks."""
    identity: str = _entry(engine).identity()
    return identity


def _entry(engine: Engine) -> Any:
    return catalog.module(kernels.PACKAGE, f"network.engines.{engine}").ENGINE


@lru_cache(maxsize=4096)
def _space_key(space: Space) -> bytes:
    deciding = [getattr(space, one.name) for one in fields(space) if one.compare]
    return blake2b(json.dumps(deciding).encode(), digest_size=8).digest()
