"""What all tests share."""

from __future__ import annotations

import importlib.metadata
import platform

import pytest

SHOWN = ("vista-sql", "duckdb", "tensorflow-cpu", "tensorflow", "keras", "pyarrow", "sqlglot")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept",
        action="store_true",
        help="write what golden files and documents show instead of comparing; read the difference",
    )


def pytest_report_header(config: pytest.Config) -> str:
    found = [f"python {platform.python_version()}"]
    for name in (*SHOWN, "numpy", "scikit-learn"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "versions: " + ", ".join(found)


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    """Whether expected texts are written anew."""
    return bool(request.config.getoption("--accept"))
