"""Is the chosen plan the best one? `python benchmarks/bench_optimizer.py [--rounds 4]`.

Twenty-six workloads: fan-out 1:1, 1:N, N:1 and N:M; filters that keep 1 to 100 % of the rows; one
to five layers of four CNNs, one of them an early one that is not pooled; both engines; prepared
images; memory limits of 1 to 16 GB; the feature store off, cold and warm, and with the maps of a
lower layer; statements of two images. Each runs under every plan and placement that fits, in
interleaved rounds in one process, and by the optimizer's own choice of the same estimates; after
two rounds, plans that are far from the best run no more. Told are the regret of the choice, and how
far estimated seconds and bytes are from measured ones. Loading the network comes before; the
machine is measured anew first. Weights are random: cost, not quality.

The smallest of ten noisy figures is smaller than each of them, though all plans be one: so the best
plan is found in one half of the rounds, and the choice compared with it in the other, and the other
way round. The regret is the median, over rounds, of the choice's seconds over the best one's of the
same round. It may come out below zero.

Estimated bytes are of a statement and what runs it, where nothing is compiled yet: the peak is of a
process with an empty cache folder, less the tables that the benchmark holds in memory.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeAlias

from photos import photos

PLANS = ("fused", "distinct", "staged", "eager", "lazy")
FAR = 1.5  # of the best plan's seconds after two rounds: nothing will make it the best


@dataclass(frozen=True)
class Workload:
    cnn: str
    layers: tuple[str, ...]
    images: int = 32
    share: str = "1:1"  # structured rows : images
    rows: int = 32  # structured rows
    keep: float = 1.0  # of the structured rows, by a filter
    memory: str = "16GB"
    store: str = "off"  # off, cold, half, warm, or a layer whose maps are there
    engine: str = ""  # "": the default one
    prepared: bool = False  # images are decoded already
    pool: str = ""  # "": the default

    @property
    def name(self) -> str:
        return (
            f"{self.cnn} ×{len(self.layers)} {self.share} {self.rows} rows, {self.images} images, "
            f"{self.keep:.0%} kept, {self.memory}, store {self.store}"
            + (f", {self.engine}" if self.engine else "")
            + (", prepared" if self.prepared else "")
            + (f", pool {self.pool}" if self.pool else "")
        )


R1 = ("avg_pool",)
R3 = ("conv4_6", "conv5_3", "avg_pool")
R5 = ("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool")
A1, A2, A4 = ("fc7",), ("fc6", "fc8"), ("conv5", "fc6", "fc7", "fc8")
M2 = ("out_relu", "avg_pool")
L1, L4 = ("f6",), ("conv2", "pool2", "conv3", "fc6")

WORKLOADS = (
    Workload("resnet50", R1),
    Workload("resnet50", R5),
    Workload("resnet50", R3, share="N:1", images=16, rows=128),
    Workload("resnet50", R5, share="1:N", images=48, rows=24),
    Workload("resnet50", R3, images=128, rows=128, keep=0.1),
    Workload("resnet50", R1, memory="2GB"),
    Workload("resnet50", R5, store="cold"),
    Workload("resnet50", R5, store="half"),
    Workload("resnet50", R3, images=128, rows=128, store="warm"),
    Workload("alexnet", A1, images=128, rows=128),
    Workload("alexnet", A4, images=128, rows=128),
    Workload("alexnet", A4, share="N:1", images=32, rows=1024),
    Workload("alexnet", A2, images=512, rows=512, keep=0.01),
    Workload("alexnet", A4, images=128, rows=128, store="warm"),
    Workload("alexnet", A2, images=128, rows=128, memory="4GB", store="cold"),
    Workload("mobilenetv2", M2, images=64, rows=64),
    Workload("mobilenetv2", M2, share="N:1", images=32, rows=512, keep=0.5),
    Workload("lenet5", L4, images=4096, rows=4096, memory="2GB"),
    Workload("lenet5", L1, share="N:1", images=256, rows=20_000),
    Workload("lenet5", L4, images=8192, rows=8192, keep=0.25, store="half"),
    Workload("resnet50", R3, engine="tensorflow"),
    Workload("alexnet", A2, share="N:M", images=64, rows=256),
    Workload("resnet50", R1, images=64, rows=64, store="conv4_6"),
    Workload("mobilenetv2", M2, images=64, rows=64, prepared=True),
    Workload("alexnet", ("conv1", "fc7"), images=32, rows=32, pool="none"),
    Workload("lenet5", L1, images=2, rows=2),
)


class Bench:
    """One workload's tables, and its statement under any plan."""

    def __init__(self, workload: Workload, rates: str) -> None:
        import pyarrow as pa

        import vista_sql

        self.workload = workload
        self.folder = Path(tempfile.mkdtemp(prefix="bench-optimizer-"))
        os.environ["VISTA_SQL_CALIBRATION"] = rates
        self.db = vista_sql.connect()
        images = photos(workload.images)
        # N:M: an id is two images', and several rows'
        ids = [i // 2 if workload.share == "N:M" else i for i in range(workload.images)]
        self.db.con.register("made", pa.table({"id": ids, "image": images}))
        self.db.con.execute("CREATE TABLE images AS FROM made")
        self.db.con.unregister("made")
        if workload.prepared:
            self.db.query(
                "CREATE OR REPLACE TABLE images AS "
                f"SELECT id, image FROM VISTA_PREPARE(cnn => '{workload.cnn}', images => 'images')"
            )
        n, m = workload.rows, len(set(ids))
        self.db.con.execute(
            f"CREATE TABLE foods AS SELECT i AS row, i % {m} AS id, "
            f"(hash(i) % 1000) / 1000 AS price FROM range({n}) r(i)"
        )
        self.runs = 0

    @property
    def weights(self) -> str:
        return "" if self.workload.cnn == "lenet5" else ", weights => 'random'"

    def statement(self, plan: str = "", placement: str = "", store: str = "") -> str:
        w = self.workload
        self.runs += 1  # other bytes: nothing is remembered from the run before
        is_new = not w.prepared and w.store in ("off", "cold")
        changing = f" || ''{self.runs}''::BLOB" if is_new else ""
        layers = ", ".join(f"'{layer}'" for layer in w.layers)
        hints = "".join(
            f", {name} => '{value}'"
            for name, value in (
                ("plan", plan),
                ("placement", placement),
                ("engine", w.engine),
                ("pool", w.pool),
            )
            if value
        )
        kept = f" WHERE price < {w.keep}" if w.keep < 1 else ""
        return (
            f"SELECT * FROM TRANSFER(cnn => '{w.cnn}', layers => [{layers}], "
            "structured => 'foods', "
            f"images => '(SELECT id, image{changing} AS image FROM images)'{self.weights}, "
            f"memory_limit => '{w.memory}', store => '{store or 'false'}'{hints}){kept}"
        )

    def store(self) -> str:
        """Return a store as the workload wants it, a folder of its own."""
        w = self.workload
        if w.store == "off":
            return ""
        folder = self.folder / "store"
        shutil.rmtree(folder, ignore_errors=True)
        if w.store != "cold":
            known = self.folder / "known"
            if not known.exists() and w.store not in ("half", "warm"):
                self.consume(
                    f"FROM VISTA_MATERIALIZE(cnn => '{w.cnn}', layer => '{w.store}', "
                    f"images => 'images'{self.weights}, store => '{known}')"
                )
            elif not known.exists():
                sql = self.statement(store=str(known))
                if w.store == "half":
                    sql += (" AND" if " WHERE " in sql else " WHERE") + " id % 2 = 0"
                self.consume(sql)
            shutil.copytree(known, folder)
        return str(folder)

    def consume(self, sql: str) -> float:
        self.forget()
        begun = time.perf_counter()
        for _ in self.db.query(sql):
            pass
        return time.perf_counter() - begun

    def forget(self) -> None:
        """Drop what the kernels remember from call to call: a run starts from nothing."""
        from vista_sql.hosts.duckdb.process import process

        runtime = process().runtime
        runtime.sharing = type(runtime.sharing)()
        runtime.decoded = type(runtime.decoded)()

    def run(self, plan: str, placement: str) -> float:
        return self.consume(self.statement(plan, placement, self.store()))

    def estimates(self) -> dict[tuple[str, str], tuple[float, bool, int]]:
        """Return (plan, placement) → estimated seconds, whether it is chosen, estimated bytes."""
        sql = self.statement(store=self.store())
        rows = self.db.query(
            "SELECT item, estimated_seconds, chosen, peak_bytes, why, detail "
            f"FROM VISTA_EXPLAIN($a${sql}$a$) WHERE topic = 'candidate'"
        ).fetchall()  # the cheapest first
        found, known = {}, set()
        for item, seconds, chosen, peak, why, stages in sorted(rows, key=lambda row: not row[2]):
            way, _, _ = item.partition(" from ")  # stored maps, where that is cheaper
            key = (
                way.removesuffix(" before the join"),
                "before" if way.endswith(" before the join") else "after",
            )
            can_be = chosen or why in (None, "infers some images again")
            if key[0] in PLANS and key not in found and can_be and (stages, key[1]) not in known:
                found[key] = (seconds, chosen, peak)
                known.add((stages, key[1]))  # another of these would be the same plan
        return found

    def close(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder, ignore_errors=True)


Way: TypeAlias = tuple[str, str]
"""A plan and a placement."""


def measured(workload: Workload, n_rounds: int, rates: str) -> dict[str, Any]:
    bench = Bench(workload, rates)
    try:
        for _ in range(3):  # the network is loaded and timed, the machine measured
            bench.run("fused", "after")
        estimates = bench.estimates()
        seconds: dict[Way, list[float]] = {key: [] for key in estimates}
        (chosen,) = (key for key, (_, is_chosen, _) in estimates.items() if is_chosen)
        for number in range(n_rounds):
            for key in contenders(seconds, chosen) if number > 1 else estimates:
                seconds[key].append(bench.run(*key))
        actual = {key: median(found) for key, found in seconds.items()}
        best = min(actual, key=lambda key: actual[key])
        errors = [estimates[key][0] / actual[key] for key in actual]
        return {
            "chosen": " ".join(chosen),
            "seconds": actual[chosen],
            "estimated": estimates[chosen][0],
            "best": " ".join(best),
            "best_seconds": actual[best],
            "regret": regret(seconds, chosen),
            "ratios": errors,
            "peak_estimated": estimates[chosen][2],
            "plans": {" ".join(key): [estimates[key][0], *seconds[key]] for key in actual},
        }
    finally:
        bench.close()


def contenders(seconds: dict[Way, list[float]], chosen: Way) -> list[Way]:
    """Return the plans that may turn out to be the best, and the chosen one."""
    middle = {key: median(found) for key, found in seconds.items()}
    most = FAR * min(middle.values())
    return [key for key, found in middle.items() if found <= most or key == chosen]


def regret(seconds: dict[Way, list[float]], chosen: Way) -> float:
    """Return by what share of the best plan's seconds the chosen one takes longer."""
    n_rounds = max(map(len, seconds.values()))
    whole = {key: found for key, found in seconds.items() if len(found) == n_rounds}
    ratios = []
    for half in (0, 1):
        best = min(whole, key=lambda key: median(whole[key][half::2]))
        others = zip(whole[chosen][1 - half :: 2], whole[best][1 - half :: 2], strict=True)
        ratios += [own / its for own, its in others]
    return median(ratios) - 1


def peak(workload: Workload, rates: str) -> int:
    """Return the most bytes, without its tables, of a process that runs the chosen plan once."""
    command = [sys.executable, __file__, "--peak", json.dumps(asdict(workload)), "--rates", rates]
    with tempfile.TemporaryDirectory() as cache:
        empty = os.environ | {"XDG_CACHE_HOME": cache}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=empty)
    return int(done.stdout.split()[-1])


def begin_peak_anew() -> None:
    """Give back what making the tables took, and let the peak begin at what is held now."""
    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of workloads, from 1")
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--json", type=Path, help="write everything there, too")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--rates", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        fields = json.loads(given.peak)
        bench = Bench(Workload(**fields | {"layers": tuple(fields["layers"])}), given.rates)
        tables = (
            "SELECT sum(memory_usage_bytes) FROM duckdb_memory() "
            "WHERE tag IN ('IN_MEMORY_TABLE', 'OVERFLOW_STRINGS')"
        )
        ((in_tables,),) = bench.db.con.execute(tables).fetchall()
        begin_peak_anew()
        bench.run("", "")
        bench.close()
        from vista_sql.machine.resources import peak_bytes

        print(peak_bytes() - int(in_tables))
        return
    from vista_sql.hosts.duckdb import measurement
    from vista_sql.machine import calibration

    folder = tempfile.mkdtemp(prefix="bench-optimizer-")
    rates = str(Path(folder) / "rates.json")  # statements of a few seconds would not measure
    calibration.save(Path(rates), measurement.measure(folder))
    chosen = WORKLOADS
    if given.smoke:
        chosen = (Workload("lenet5", L4, images=64, rows=64, store="half"),)
        given.rounds = 2
    elif given.only:
        chosen = tuple(WORKLOADS[number - 1] for number in given.only)
    found, peaks = [], []
    for number, workload in enumerate(chosen, 1):
        one = measured(workload, given.rounds, rates)
        found.append(one | {"workload": workload.name})
        line = (
            f"{number:2} {workload.name}\n   {one['chosen']} {one['seconds']:.2f} s (estimated "
            f"{one['estimated']:.2f}); best {one['best']} {one['best_seconds']:.2f} s; "
            f"regret {one['regret']:.1%}"
        )
        if not given.smoke:
            peaks.append(one["peak_estimated"] / peak(workload, rates))
            line += f"; bytes estimated / peak {peaks[-1]:.2f}"
        print(line, flush=True)
    regrets = [one["regret"] for one in found]
    print(f"regret: mean {mean(regrets):.1%}, worst {max(regrets):.1%}, of {len(found)} workloads")
    ratios = [ratio for one in found for ratio in one["ratios"]]
    print(
        f"estimated / measured seconds, {len(ratios)} plans: median {median(ratios):.2f}, "
        f"from {min(ratios):.2f} to {max(ratios):.2f}"
    )
    if peaks:
        print(
            f"estimated / measured bytes, chosen plans: median {median(peaks):.2f}, "
            f"from {min(peaks):.2f} to {max(peaks):.2f}"
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
