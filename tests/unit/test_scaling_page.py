"""docs/scaling.md shows what the planner decides now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_scaling.py"


def built():
    spec = importlib.util.spec_from_file_location("build_scaling", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_scaling"] = module
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_planner():
    scaling = built()
    page = scaling.PAGE.read_text(encoding="utf-8")
    assert page == scaling.filled(page), "run scripts/build_scaling.py, and read the difference"
    assert page.count("\n| 1,000,000 | ") == len(scaling.NODES)


def test_more_nodes_are_faster_and_need_no_more_memory():
    scaling = built()
    for n_images in scaling.IMAGES:
        rows = [scaling.row(n_images, nodes) for nodes in scaling.NODES]
        assert [found.hours for found in rows] == sorted((f.hours for f in rows), reverse=True)
        assert len({found.worker_bytes for found in rows}) == 1
    many = scaling.row(100_000_000, 64)
    assert many.worker_bytes == scaling.row(20_000, 64).worker_bytes, "whatever their number"
