"""Python in a process of its own: a statement under a cap, or code where libraries are absent."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

SCRIPT = """
import json, os, sys
from pathlib import Path
order = json.loads(sys.argv[1])
if order["group"]:
    Path(order["group"], "cgroup.procs").write_text(str(os.getpid()))
import cv2, numpy as np, pyarrow as pa
import vista_sql
from vista_sql.machine.resources import peak_bytes
rng = np.random.default_rng(0)
db = vista_sql.connect(order["database"])
few = [rng.integers(0, 255, (8, 8, 3), np.uint8) for _ in range(order["n"])]
side = order["side"]
pictures = (cv2.resize(picture, (side, side)) for picture in few)
encoded = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
images = pa.table({"id": pa.array(range(order["n"]), pa.int32()), "image": encoded})
db.query("CREATE TABLE images AS FROM images")
del images, few, pictures, encoded
before = db.con.execute("SELECT current_setting('memory_limit')").fetchone()
found = {"estimate": None, "error": None, "rows": 0}
try:
    if order["first"]:
        db.query(order["first"]).fetchall()
    if order["explain"]:
        explained = db.query("FROM VISTA_EXPLAIN($$" + order["sql"] + "$$)").arrow().to_pylist()
        found["estimate"] = next(r["peak_bytes"] for r in explained if r["chosen"])
    for batch in db.query(order["sql"]):
        found["rows"] += batch.num_rows
except vista_sql.VistaError as error:
    found["error"] = type(error).__name__ + ": " + str(error)
found["restored"] = before == db.con.execute("SELECT current_setting('memory_limit')").fetchone()
found["peak"] = peak_bytes()
print(json.dumps(found))
"""


def run(sql: str, n: int, folder: Path, cap_bytes: int | None = None, **order) -> dict:
    """Run one statement over `n` images, `images(id, image)`, in a new process.

    Args:
        sql: the statement.
        n: how many images.
        folder: for the database and what is spilled.
        cap_bytes: the kernel ends the process that takes more, where this machine allows it.
        order: `database` (a path or ":memory:"), `explain` (ask for the estimate first),
            `side` (of the images, in pixels), `first` (a statement to run before).

    Returns:
        rows, error, estimate, peak (bytes of resident memory), restored (DuckDB's own limit).
    """
    order = {"database": ":memory:", "explain": False, "side": 64, "first": "", **order}
    environment = {**os.environ, "VISTA_SQL_STORE": "false", "PYTHONWARNINGS": "ignore"}
    with group(cap_bytes) as path:
        order |= {"sql": sql, "n": n, "group": path and str(path)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(order)],
            capture_output=True, text=True, cwd=folder, env=environment, check=False,
        )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def group(cap_bytes: int | None) -> Iterator[Path | None]:
    """Make a memory control group of version 1 inside this process's own; None where it cannot be.

    It needs the right to write there, as root in a container mostly has. Elsewhere the tests
    compare what the process says it took.
    """
    path = None
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            if cap_bytes is not None and "memory" in controllers.split(","):
                path = Path(f"/sys/fs/cgroup/memory{own}/vista-test-{os.getpid()}")
                path.mkdir()
                (path / "memory.limit_in_bytes").write_text(str(cap_bytes))
    try:
        yield path if path and path.exists() else None
    finally:
        with contextlib.suppress(OSError):
            if path is not None:
                path.rmdir()


def run_python(script: Path, code: str, *blocked: str) -> list[str]:
    """Run code in a fresh Python where `blocked` cannot be imported; return its lines."""
    blocker = f"""
        import sys

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {blocked!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        sys.meta_path.insert(0, Blocker())
        """
    script.write_text(textwrap.dedent(blocker) + textwrap.dedent(code))
    command = [sys.executable, str(script)]  # with -c DuckDB would show its progress
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
