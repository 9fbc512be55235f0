"""A Spark cluster of real executors in a process of its own, and what is done to it.

    python tests/clusters_at_fault.py MASTER [SETTING=VALUE …] SCENARIO …

prints a line of JSON for each scenario. A process of its own, for the session that other tests
share is not to be killed, and PYSPARK_PYTHON counts when a session starts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import foods
import pyarrow as pa
import sparks

import vista_sql
from vista_sql import VistaError

N_IMAGES, N_PARTITIONS = 240, 12


def family() -> tuple[dict[int, str], dict[int, int]]:
    """Return the command lines of this process and all below it, and each one's parent."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: commands[pid] for pid in found if pid in commands}, parents


def executors() -> list[int]:
    return [pid for pid, line in family()[0].items() if "CoarseGrainedExecutorBackend" in line]


def workers() -> list[int]:
    """Return the Python workers: children of a daemon that are no daemons' parents."""
    commands, parents = family()
    daemons = {pid for pid, line in commands.items() if "pyspark.daemon" in line}
    return [pid for pid in daemons if parents.get(pid) in daemons]


def answer(frame: Any) -> dict[str, Any]:
    """Return a DataFrame's rows as one digest, or what it raises."""
    try:
        rows = sorted(sparks.rows(frame), key=repr)
    except VistaError as error:
        return {"kind": type(error).__name__, "error": str(error)}
    except Exception as error:
        return {"kind": "other", "error": str(error)}
    return {"n": len(rows), "keys": len({row[0] for row in rows}), "rows": repr(rows)}


class Cluster:
    """A session with images in it, and the faults that befall it."""

    def __init__(self, spark: Any) -> None:
        self.spark, self.db = spark, vista_sql.spark(spark)
        pictures = [foods.picture(i % 16) for i in range(N_IMAGES)]
        table = pa.table({"id": range(N_IMAGES), "image": pictures})
        sparks.view(spark, "images", table)

    def features(self, more: str = f", np => {N_PARTITIONS}") -> Any:
        return self.db.query(f"SELECT id, f6, error FROM TRANSFER('lenet5', 'f6'{more})")

    def during(self, fault: Callable[[], bool], frame: Any) -> dict[str, Any]:
        """Run a DataFrame, and when two of its tasks are done a fault, until that says stop."""
        found: list[dict[str, Any]] = []
        running = threading.Thread(target=lambda: found.append(answer(frame)))
        tracker = self.spark.sparkContext.statusTracker()
        running.start()
        struck = False
        while running.is_alive():
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            if struck or any(s and 2 <= s.numCompletedTasks < s.numTasks for s in stages):
                struck = True
                if not fault():
                    break
            time.sleep(0.02)
        running.join()
        return found[0] | {"struck": struck}

    # ── scenarios ───────────────────────────────────────────────────────────────────────────────

    def undisturbed(self) -> dict[str, Any]:
        return answer(self.features())

    def executor_killed(self) -> dict[str, Any]:
        def strike() -> bool:
            os.kill(executors()[0], signal.SIGKILL)
            return False

        return self.during(strike, self.features())

    def worker_killed(self) -> dict[str, Any]:
        """One worker is killed, once; where none is at work yet, as soon as one is."""

        def strike() -> bool:
            for pid in workers()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return False
            return True

        return self.during(strike, self.features())

    def workers_killed_always(self) -> dict[str, Any]:
        return self.during(all_workers_killed, self.features())

    def writing_killed_always(self) -> dict[str, Any]:
        """The same through a DataFrame's writer."""
        frame = self.features()

        class Written:  # what `answer` runs
            def toArrow(self) -> None:
                frame.write.format("noop").mode("overwrite").save()

        return self.during(all_workers_killed, Written())

    def memory(self) -> dict[str, Any]:
        """A worker that finds no memory: its network cannot be held."""
        frame = self.db.query(
            "SELECT id, fc2 FROM TRANSFER('vgg16', 'fc2', weights => 'random', np => 1) LIMIT 4"
        )
        return answer(frame)

    def skewed(self) -> dict[str, Any]:
        """Nine rows of ten have one key and one image."""
        n = 400
        rows = pa.table({"id": [7 if i % 10 else i for i in range(n)], "n": range(n)})
        sparks.view(self.spark, "skewed", rows)
        call = "TRANSFER('lenet5', 'f6', structured => 'skewed'{})"
        frame = self.db.query(f"SELECT n, id, f6 FROM {call.format('')}")
        sizes = [len(list(part)) for part in frame.rdd.glom().collect()]
        hints = ", join => 'shuffle', plan => 'distinct'"
        shuffled = self.db.query(f"SELECT n, id, f6 FROM {call.format(hints)}")
        return {"sizes": sizes, **answer(frame), "same": answer(frame) == answer(shuffled)}

    def broken(self) -> dict[str, Any]:
        """Images of every kind of fault, as BINARY, beside sound ones."""
        with duckdb.connect() as con:
            foods.fill(con)
            sparks.view(self.spark, "shown", con.sql("FROM images").to_arrow_table())
        frame = self.db.query(
            "SELECT id, size(f6) AS n, error FROM TRANSFER('lenet5', 'f6', images => 'shown')"
        )
        return {"rows": sorted(map(repr, sparks.rows(frame)))}

    def paths(self) -> dict[str, Any]:
        """A path that this process can open, and the executors, whose folder is another, cannot."""
        Path("a.png").write_bytes(foods.picture(1))
        here = "/proc/self/cwd/a.png"  # that of the process which opens it
        assert Path(here).read_bytes()
        table = pa.table({"id": [1, 2, 3], "image": [here, "a.png", str(Path("a.png").absolute())]})
        sparks.view(self.spark, "named", table)
        frame = self.db.query(
            "SELECT id, size(f6) AS n, error FROM TRANSFER('lenet5', 'f6', images => 'named')"
        )
        return {"rows": sorted(sparks.rows(frame))}


def all_workers_killed() -> bool:
    for pid in workers():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


def main() -> None:
    master, *words = sys.argv[1:]
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    scenarios = [word for word in words if "=" not in word]
    with sparks.session(master, **settings) as spark:
        cluster = Cluster(spark)
        for name in scenarios:
            try:
                told = getattr(cluster, name)()
            except VistaError as error:  # before anything runs
                told = {"kind": type(error).__name__, "error": str(error)}
            print(json.dumps({"scenario": name, **told}), flush=True)


if __name__ == "__main__":
    main()
