"""What this machine does in a second: the rates that turn a plan's work into seconds.

Measured once and kept in the user's cache, in a file named after the machine: the machine's own
rates before the first statement that infers, a CNN's seconds from layer to layer by its first runs.
`vista doctor --calibrate` measures anew. Off, or not measured yet, the defaults stand.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from vista_sql import files
from vista_sql.machine import resources
from vista_sql.settings import Value

VERSION = 2
"""Of the file's meaning; a file of another version is not read, and the machine measured anew."""

Segments = Mapping[str, tuple[int, float]]
"""By a layer's name, from the image up to it: floating-point operations and seconds per image."""


DEFAULT_SOURCE = "defaults"


class Reached(Protocol):
    """A layer of a network, as far as its seconds depend on it."""

    @property
    def name(self) -> str:
        """The network's own name of it."""

    @property
    def flops(self) -> int:
        """Per image, from the image up to it."""


class Rates(Struct, frozen=True):
    """What a second is enough for, all threads together. The defaults are of two modest cores.

    They are those of a small cloud machine without AVX-512, rounded down (reference measurements on
    one with it are two to four times as fast); what matters for a choice is their proportion.
    """

    flops_per_second: float = 1e11  # of a CNN that was not met yet
    network_call_seconds: float = 0.004  # one micro-batch, whatever its rows
    kernel_call_seconds: float = 0.002  # one call of a kernel, whatever its rows
    kernel_image_seconds: float = 1.5e-4  # one of its images, beside decoding and inference
    kernel_bytes_per_second: float = 2e9  # its rows' images, which it tells apart
    decode_seconds: float = 1.5e-4  # one image, whatever its size
    decode_bytes_per_second: float = 6e7  # encoded bytes
    rows_bytes_per_second: float = 1.5e9  # narrow rows with their images, out of DuckDB
    sort_bytes_per_second: float = 3e8  # the same, sorted
    maps_bytes_per_second: float = 1.5e9  # raw maps from stage to stage, once out and once in
    pool_bytes_per_second: float = 1e9  # raw maps that are pooled outside the network's graph
    features_bytes_per_second: float = 2e9  # from the kernels to the statement's result
    store_images_per_second: float = 4e4  # looked up
    store_read_bytes_per_second: float = 8e8
    store_write_bytes_per_second: float = 2e8
    hash_bytes_per_second: float = 8e8  # encoded images, to find them in the store
    trainer_bytes_per_second: float = 4e9  # features, one pass of a training
    networks: Mapping[str, Segments] = field(default_factory=dict)  # see `network_key`
    source: str = DEFAULT_SOURCE

    def infer_seconds(self, key: str, layer: Reached) -> float:
        """Return the seconds of one image from the image up to a layer.

        Between measured layers, and above the last, seconds grow as floating-point operations do.
        """
        measured = self.networks.get(key)
        if not measured:
            return layer.flops / self.flops_per_second
        if layer.name in measured:
            return measured[layer.name][1]
        below, above = (0, 0.0), (0, 0.0)
        for knot in sorted(measured.values()):
            above = knot[0], max(knot[1], above[1])  # a layer above another is never sooner done
            if knot[0] > layer.flops:
                break
            below = above
        if above[0] <= layer.flops:
            return above[1] * layer.flops / max(above[0], 1)
        share = (layer.flops - below[0]) / (above[0] - below[0])
        return below[1] + share * (above[1] - below[1])

    @property
    def is_measured(self) -> bool:
        """Whether they are of this machine, whatever its networks."""
        return self.source != DEFAULT_SOURCE

    def has_met(self, key: str) -> bool:
        """Return whether a CNN's seconds were measured here."""
        return bool(self.networks.get(key))


DEFAULTS = Rates()


def network_key(cnn: str, dtype: str, device: str, engine: str) -> str:
    """Return the name under which a CNN's seconds are kept: what they depend on here."""
    return f"{cnn}/{dtype}/{device}/{engine}"


# ── the file ────────────────────────────────────────────────────────────────────────────────────


def file_of(setting: Value) -> Path | None:
    """Return the file that the setting `calibration` means; None: calibration is off."""
    if setting.value is False:
        return None
    if isinstance(setting.value, str):
        return Path(setting.value).expanduser()
    return files.user_cache() / f"calibration-{fingerprint()}.json"


@cache
def fingerprint() -> str:
    """Return what tells this machine from others: its processor and how many cores there are."""
    processor, model = resources.processor(), platform.processor()
    if processor and processor.model:  # the line of /proc/cpuinfo: files that are kept say so
        model = f"model name\t: {processor.model}"
    text = f"{platform.machine()} {model} {resources.cores()}"
    return blake2b(text.encode(), digest_size=6).hexdigest()


def load(path: Path | None) -> Rates:
    """Return the rates kept in a file; the defaults where there is none that can be read."""
    try:
        changed = path.stat().st_mtime_ns if path is not None else 0
    except OSError:
        return DEFAULTS
    return _read(path, changed) if path is not None else DEFAULTS


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Rates:
    del changed  # read again when it does
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("version") != VERSION:
            return DEFAULTS
        networks = {
            key: {
                layer: (int(flops), float(seconds)) for layer, (flops, seconds) in segments.items()
            }
            for key, segments in record.pop("networks").items()
        }
        return Rates(**record, networks=networks)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return DEFAULTS


def save(path: Path, rates: Rates) -> None:
    """Keep rates in a file; where that cannot be written, they are measured again next time."""
    try:
        files.write(path, json.dumps({"version": VERSION, **asdict(rates)}, indent=1))
    except OSError:
        return


QUICKER = 0.9
"""A run that needed less than this share of what is known was less disturbed: it is believed."""


def learn(path: Path | None, networks: Mapping[str, Segments]) -> None:
    """Add to a file what runs tell: CNNs and layers it does not know, and quicker ones."""
    if path is None:
        return
    known = load(path)
    merged = {key: dict(segments) for key, segments in known.networks.items()}
    for key, segments in networks.items():
        there = merged.setdefault(key, {})
        quicker = any(
            name in there and seconds < QUICKER * there[name][1]
            for name, (_, seconds) in segments.items()
        )
        merged[key] = {**there, **segments} if quicker else {**segments, **there}
    if merged != known.networks:
        save(path, replace(known, networks=merged))
