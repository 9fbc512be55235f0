"""Bytes, counts and seconds as text, and bytes back from text."""

from __future__ import annotations

import re

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def parse_bytes(text: str) -> int:
    """Return the bytes that a size like '4GB', '512 MiB' or '1000' means, as DuckDB reads it.

    Raises:
        ValueError: the text is not a size.

    Example:
        >>> parse_bytes("1.5 GiB")
        1610612736
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _UNITS:
        raise ValueError(f"{text!r} is not a size; write one like '4GB' or '512 MiB'")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def format_bytes(n_bytes: float) -> str:
    """Return bytes as text with a binary unit.

    Example:
        >>> format_bytes(822083584), format_bytes(512)
        ('784.0 MiB', '512 B')
    """
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def format_count(number: int, noun: str) -> str:
    """Return how many things there are as text.

    Example:
        >>> format_count(1, "row"), format_count(2500, "row")
        ('1 row', '2,500 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_flops(flops: float) -> str:
    """Return floating-point operations as text.

    Example:
        >>> format_flops(7.716e9), format_flops(24)
        ('7.72 GFLOP', '24 FLOP')
    """
    for unit, scale in (("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)):
        if flops >= scale:
            return f"{flops / scale:.2f} {unit}"
    return f"{flops:.0f} FLOP"


def format_seconds(seconds: float) -> str:
    """Return seconds as text.

    Example:
        >>> format_seconds(0.0123), format_seconds(3.21), format_seconds(754)
        ('12.3 ms', '3.21 s', '12.6 min')
    """
    for limit, scale, unit in (
        (1e-3, 1e-6, "µs"),
        (1, 1e-3, "ms"),
        (120, 1, "s"),
        (7200, 60, "min"),
    ):
        if seconds < limit:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"
