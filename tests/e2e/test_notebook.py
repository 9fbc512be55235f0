"""What a notebook shows: one line of progress, rows and pictures, short errors."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    """
import vista_sql
from vista_sql import datasets
db = vista_sql.connect(datasets.foods("foods", rows=300))
db
""",
    """
hog = "TRANSFER(cnn => 'hog', images => 'food_images', structured => 'foods')"
with vista_sql.progress_bar("features") as progress:
    features = db.query(f"SELECT id, hog FROM {hog}", progress=progress)
    n = len(features)
""",
    "features",
    "db.query('SELECT id, image FROM food_images ORDER BY id LIMIT 3')",
    "db.query(\"FROM TRANSFER(cnn => 'hogg', images => 'food_images')\")",
    "db.query('SELECT nothing FROM foods')",
    "db.query(f\"SELECT id FROM {hog.replace('food_images', 'no_images')}\")",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of CELLS, run once by a kernel of their own."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    folder = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    client = NotebookClient(notebook, timeout=120, allow_errors=True, resources=folder)
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def test_a_session_has_a_name(outputs):
    (shown,) = outputs[0]
    assert shown.data["text/plain"] == "<vista_sql.Session on foods.duckdb>"


def test_progress_is_one_output_of_one_line(outputs):
    (shown,) = outputs[1]
    assert shown.output_type == "display_data"
    assert "\n" not in shown.data["text/plain"]
    assert "features finish  300/300" in shown.data["text/plain"]
    assert '<progress value="300" max="300"' in shown.data["text/html"]


def test_rows_are_a_table_and_images_pictures(outputs):
    (rows,), (images,) = outputs[2], outputs[3]
    assert "300 rows, the first 20 are shown" in rows.data["text/html"]
    assert re.search(r"… \d+ numbers\]", rows.data["text/html"])
    assert images.data["text/html"].count('<img src="data:image/') == 3


def said(output):
    (error,) = output
    assert error.output_type == "error"
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback)).splitlines()


@pytest.mark.parametrize(("cell", "name"), [(4, "hogg"), (6, "no_images")])
def test_our_errors_are_where_in_the_cell_and_one_sentence(outputs, cell, name):
    lines = said(outputs[cell])
    assert len(lines) < 8
    assert "line 1, in <module>" in lines[0]
    assert "^" in lines[-1]
    assert name in "\n".join(lines)
    assert not any("vista_sql/" in line for line in lines)


def test_errors_of_duckdb_are_told_once(outputs):
    lines = said(outputs[5])
    assert sum("Binder Error" in line for line in lines) == 1
    assert len(lines) < 90  # as IPython shows an error of any library
