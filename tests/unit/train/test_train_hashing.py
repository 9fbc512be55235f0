"""Hashes of values and rows: stable, spread, and the same in every process."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.train import hashing

EXPECTED_TEXTS = [
    0xE220A8397B1DCDAF,
    0x2CC9A9A0DA604DEB,
    0x01447167FB2A2E25,
    0xA0761D6478BD642F,
    0x02C65D70331DD032,
]
EXPECTED_NUMBERS = [
    0xE220A8397B1DCDAF,
    0x910A2DEC89025CC1,
    0xE4D971771B652C20,
    0xA0761D6478BD642F,
]
EXPECTED_UNITS = [0.314537168, 0.206219034, 0.503702038, 0.785019896]


def test_hashes_never_change():
    # a split must be the same tomorrow, on any platform: these are kept models' test sides
    texts = hashing.hash_column(pa.array(["", "a", "bread", None, "straße"]))
    assert texts.tolist() == EXPECTED_TEXTS
    numbers = hashing.hash_column(pa.array([0, 1, -1, None]))
    assert numbers.tolist() == EXPECTED_NUMBERS
    assert hashing.unit(numbers, 7).round(9).tolist() == EXPECTED_UNITS


def test_hashes_agree_across_types_and_layouts():
    def hashed(values, kind):
        return hashing.hash_column(pa.array(values, kind)).tolist()

    assert hashed([1, None, 3], pa.int8()) == hashed([1, None, 3], pa.int64())
    assert hashed([True, False], pa.bool_()) == hashed([1, 0], pa.int32())
    assert hashed([0.0], pa.float64()) == hashed([-0.0], pa.float32())
    texts = ["b", "", None, "abc"]
    assert hashed(texts, pa.string()) == hashed(texts, pa.large_string())
    assert hashed(texts, pa.string()) == hashed(texts, pa.dictionary(pa.int8(), pa.string()))
    whole = hashing.hash_column(pa.array(["x", *texts, "y"]))
    assert hashing.hash_column(pa.array(["x", *texts, "y"]).slice(1, 4)).tolist() == hashed(
        texts, pa.string()
    )
    assert len(set(whole.tolist())) == 6
    assert len(set(hashed(["2020-01-01", "2020-01-02"], pa.string()))) == 2


def test_hashes_do_not_depend_on_the_process():
    code = (
        "import pyarrow as pa; from vista_sql.train.hashing import hash_column; "
        "print(hash_column(pa.array(['k1', 'k2'])).tolist())"
    )
    here = hashing.hash_column(pa.array(["k1", "k2"])).tolist()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(here)


def test_split_places_are_uniform():
    places = hashing.unit(hashing.hash_column(pa.array(np.arange(100_000))), 0)
    counts, _ = np.histogram(places, bins=10, range=(0, 1))
    assert np.abs(counts - 10_000).max() < 400  # four standard deviations
    other = hashing.unit(hashing.hash_column(pa.array(np.arange(100_000))), 1)
    assert abs(np.corrcoef(places, other)[0, 1]) < 0.02


@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_rows_that_differ_in_one_value_hash_apart(width):
    x = np.zeros((2 * width + 1, width), np.float32)
    for i in range(width):
        x[2 * i, i], x[2 * i + 1, i] = 1.0, 2.0
    hashes = hashing.hash_matrix(x)
    assert len(set(hashes.tolist())) == len(x)
    np.testing.assert_array_equal(hashing.hash_matrix(x[::-1]), hashes[::-1])


def test_round_numbers_hash_apart():
    # few bits differ between rows of zeros and ones
    bits = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    for kind in (np.float32, np.float64):
        assert len(set(hashing.hash_matrix(bits.astype(kind)).tolist())) == 4096
