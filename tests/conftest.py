"""What all tests share."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from shells import Shells
    from xdist.scheduler import LoadFileScheduling

    from vista_sql import Session

os.environ["VISTA_SQL_STORE"] = "false"  # tests of the store name their own

SHOWN = ("vista-sql", "duckdb", "tensorflow-cpu", "tensorflow", "keras", "pyarrow", "sqlglot")


os.environ.setdefault("VISTA_SQL_CALIBRATION", "false")  # texts and plans as on every machine

CACHE = tempfile.mkdtemp(prefix="vista-cache-")
os.environ["XDG_CACHE_HOME"] = CACHE  # nothing is found there, or left there, but by these tests


def pytest_unconfigure() -> None:
    gc.unfreeze()
    shutil.rmtree(CACHE, ignore_errors=True)


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


def process_of(test: str) -> str:
    """Return what the tests have in common that go to one process, as `-n` makes several.

    Those of a file share what it builds; all that use Spark share its session.
    """
    file = test.partition("::")[0]
    return "spark" if "spark" in test.rpartition("/")[2] else file


@pytest.hookimpl(optionalhook=True)  # xdist's, which takes the processes in the order of the tests
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return process_of(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes long in one process: Spark, the documents."""
    first = {"spark": 0, "tests/test_docs.py": 1}
    items.sort(key=lambda item: first.get(process_of(item.nodeid), len(first)))


def pytest_collection_finish() -> None:
    """Spare collections of garbage what stays to the end, tests and modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    """Whether expected texts are written anew."""
    return bool(request.config.getoption("--accept"))


@pytest.fixture(scope="session")
def foods_db() -> Iterator[Session]:
    """A session on the foods (see foods.py), the result of foods.CALL kept as table `transfer`.

    Tests that share it leave it as it was.
    """
    import foods

    with foods.connect() as db:
        db.query(f"CREATE TABLE transfer AS SELECT * FROM {foods.CALL}")
        yield db


@pytest.fixture
def fresh_db() -> Iterator[Session]:
    """A session on the foods, this test's own."""
    import foods

    with foods.connect() as db:
        yield db


@pytest.fixture(scope="session")
def shell() -> Iterator[Shells]:
    """The stock shell with the extension and a worker, which tests share."""
    import shells

    with shells.shells() as made:
        yield made


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A Spark session with the foods as views, which tests share and leave as it was."""
    import sparks

    with sparks.session() as session:
        sparks.fill(session)
        yield session
