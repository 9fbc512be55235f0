"""Numbers as text, and sizes back from text."""

from __future__ import annotations

import pytest

from vista_sql.units import (
    format_bytes,
    format_count,
    format_flops,
    format_seconds,
    parse_bytes,
)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("0", 0),
        ("1000", 1000),
        ("7b", 7),
        (" 4GB ", 4 * 10**9),
        ("4gib", 4 * 2**30),
        ("1.5 KiB", 1536),
        ("2.TB", 2 * 10**12),
    ],
)
def test_sizes_are_read_as_duckdb_reads_them(text, n_bytes):
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1", "4 GB 2", "1e9", "4 GX", "½ GB", "1.5.2MB"])
def test_what_is_no_size_says_how_to_write_one(text):
    with pytest.raises(ValueError, match=r"is not a size; write one like '4GB' or '512 MiB'"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_bytes(0), "0 B"),
        (format_bytes(1023), "1023 B"),
        (format_bytes(1024), "1.0 KiB"),
        (format_bytes(5 * 2**40), "5.0 TiB"),
        (format_bytes(-(2**20)), "-1.0 MiB"),
        (format_count(0, "row"), "0 rows"),
        (format_count(1, "row"), "1 row"),
        (format_count(-3, "row"), "-3 rows"),
        (format_count(1_000_000, "image"), "1,000,000 images"),
        (format_flops(999_999), "999999 FLOP"),
        (format_flops(1e6), "1.00 MFLOP"),
        (format_flops(2.5e12), "2.50 TFLOP"),
        (format_seconds(2e-6), "2 µs"),
        (format_seconds(119), "119 s"),
        (format_seconds(7199), "120 min"),
        (format_seconds(7200), "2 h"),
    ],
)
def test_numbers_are_shown_with_a_unit_that_fits(shown, expected):
    assert shown == expected


@pytest.mark.parametrize("n_bytes", [1, 1536, 3 * 2**20, 7 * 2**30])
def test_what_is_shown_can_be_read(n_bytes):
    assert parse_bytes(format_bytes(n_bytes)) == n_bytes
