"""What holds for every kernel; a new one is found and checked without an edit here."""

from __future__ import annotations

import inspect
from functools import partial

import cv2
import duckdb
import numpy as np
import pytest

import vista_sql
from vista_sql import catalog
from vista_sql.kernels import PACKAGE, InferSpec, Kernel

FILES = catalog.names(PACKAGE)
KERNELS = {k.name: k for file in FILES for k in catalog.load(PACKAGE, file, "KERNELS", tuple)}
N_IMAGES = 5
SPEC = InferSpec("lenet5", ("f6",)).to_text()
FROM_IMAGES = {"vista_infer_1", "vista_maps_1"}
every_kernel = pytest.mark.parametrize("name", sorted(KERNELS))


@pytest.fixture(scope="module")
def attached():
    with duckdb.connect() as con:
        vista_sql.attach(con)
        pixels = np.random.default_rng(3).integers(0, 256, (N_IMAGES, 8, 8), dtype=np.uint8)
        con.execute("CREATE TABLE images (id INTEGER, image BLOB)")
        for i, image in enumerate(pixels):
            png = cv2.imencode(".png", image)[1].tobytes()
            con.execute("INSERT INTO images VALUES (?, ?)", [i, png])
        yield con


@pytest.mark.parametrize("file", FILES)
def test_files_hold_kernels_of_their_name(file):
    found = catalog.load(PACKAGE, file, "KERNELS", tuple)
    assert found
    for kernel in found:
        assert isinstance(kernel, Kernel)
        assert kernel.name.startswith(f"vista_{file}")
        assert f"vista_{file}" in catalog.module(PACKAGE, file).__doc__


@every_kernel
def test_functions_say_what_they_take_and_return(name):
    kernel = KERNELS[name]
    function = kernel.function.func if isinstance(kernel.function, partial) else kernel.function
    assert inspect.getdoc(function)
    assert function.__annotations__["return"]
    if kernel.parameters is not None:
        inspect.signature(kernel.function).bind(None, *kernel.parameters)  # the runtime comes first


@every_kernel
def test_databases_have_it_with_its_types(name, attached):
    found = attached.execute(
        "SELECT return_type FROM duckdb_functions() WHERE function_name = ?", [name]
    ).fetchall()
    declared = attached.sql(f"SELECT CAST(NULL AS {KERNELS[name].returns}) AS x").types[0]
    assert found == [(str(declared),)]


@pytest.mark.parametrize("name", sorted(FROM_IMAGES))
@pytest.mark.parametrize("n_rows", [0, 1, 2, 2049])
def test_rows_stay_where_they_are(name, n_rows, attached):
    rows = attached.execute(
        f"""
        SELECT i, {name}(?, image, i::VARCHAR) AS found
        FROM (SELECT i, i % 7 AS id FROM range(?) t(i)) LEFT JOIN images USING (id)
        ORDER BY i""",
        [SPEC, n_rows],
    ).fetchall()
    assert [i for i, _ in rows] == list(range(n_rows))
    first = {}
    for i, found in rows:
        assert found["error"] is None
        assert (found["l1"] is None) == (i % 7 >= N_IMAGES)  # NULL: no image
        assert first.setdefault(i % 7, found) == found


@pytest.mark.parametrize("name", sorted(FROM_IMAGES))
def test_an_unreadable_image_is_told_not_raised(name, attached):
    row = attached.execute(f"SELECT {name}(?, 'no image'::BLOB, 'k')", [SPEC]).fetchone()
    assert row[0]["l1"] is None
    assert "image" in row[0]["error"]
