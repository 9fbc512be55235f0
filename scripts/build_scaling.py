"""Write the tables of docs/scaling.md: the planner's decisions for clusters that nobody has here.

    python scripts/build_scaling.py

Each row is planned as a statement on such executors would be; seconds are of the planner's prices
at the rates below, which were measured on two cores and are taken to grow with the cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from msgspec.structs import replace

from vista_sql.machine.calibration import Rates
from vista_sql.machine.resources import Resources
from vista_sql.planning import optimizer
from vista_sql.planning.candidates import Machine
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.engines import EngineChoice
from vista_sql.planning.executors import Executors
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.workload import Facts, Relation, Workload, bind, load_cnn
from vista_sql.settings import Value
from vista_sql.sql.calls import Call
from vista_sql.sql.dialect import SPARK
from vista_sql.units import format_bytes

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"

IMAGES = (20_000, 1_000_000, 100_000_000)
NODES = (1, 4, 16, 64)
CORES, HEAP_BYTES, BESIDE_BYTES = 8, 8 << 30, 16 << 30  # of an executor, one a node
IMAGE_BYTES, COLUMNS = 47e3, 130  # a JPEG of 500 × 375 pixels; the paper's Foods
LAYERS = ("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool")

INFERRED_PER_SECOND = 56.5 / 2
"""Images of ResNet50 on a core, float32: benchmarks/README.md, Inference (AVX-512, 2 cores)."""

DECODED_PER_SECOND = 1620 / 2
"""JPEGs of 47 KB on a core: benchmarks/README.md, Decoding."""

SPARK_SHARE = 0.95
"""Of a single process's images a second, on Spark: benchmarks/README.md, Spark."""

SHUFFLED_BYTES_PER_SECOND = 80e6
"""Images that are read from Parquet and change their partition, on a core: the same section."""

START_SECONDS, PARTITION_SECONDS = 30.0, 0.1
"""A session, its executors, a worker with its network in each; a task. Assumed, not measured."""


@dataclass(frozen=True)
class Row:
    """What a cluster does with so many images."""

    images: int
    nodes: int
    plan: Plan
    hours: float
    worker_bytes: int


def workload(n_images: int) -> Workload:
    """Return the workload of a statement over so many images and structured rows."""
    call = Call("transfer", {"cnn": "resnet50", "layers": list(LAYERS)}, {})
    images = Relation("images", {"id": "BIGINT", "image": "BLOB"})
    columns = {"id": "BIGINT"} | {f"c{place}": "FLOAT" for place in range(COLUMNS)}
    facts = Facts(
        rows=n_images,
        images=n_images,
        distinct_images=n_images,
        image_rows=n_images,
        image_bytes=IMAGE_BYTES,
    )
    bound = bind(call, load_cnn(call), images, Relation("foods", columns), seed=0, device="cpu")
    return replace(bound, facts=facts, engine=EngineChoice("openvino", "the faster one"))


def rates() -> Rates:
    """Return the rates of an executor: those of a core, times its cores."""
    flops = load_cnn(Call("transfer", {"cnn": "resnet50"}, {})).layer("avg_pool").flops
    return Rates(
        flops_per_second=CORES * INFERRED_PER_SECOND * flops,
        decode_seconds=0.0,
        decode_bytes_per_second=CORES * DECODED_PER_SECOND * IMAGE_BYTES,
        rows_bytes_per_second=CORES * SHUFFLED_BYTES_PER_SECOND,
        source="benchmarks/README.md",
    )


def row(n_images: int, nodes: int) -> Row:
    """Return the plan and the hours of a job."""
    executors = Executors(
        master="yarn",
        number=nodes,
        cores=CORES,
        task_cores=1,
        heap_bytes=HEAP_BYTES,
        python_bytes=BESIDE_BYTES,
        has_profiles=True,
    ).running(Value("cpu", None, "default"), Value("plan", None, "default"))
    task = executors.task(Resources(CORES, BESIDE_BYTES, "the executor"))
    able = Capabilities(dialect=SPARK, small_batches=True, calls_in_sql=False)
    machine = Machine(task, able, rates=rates(), executors=executors)
    plan = optimizer.choose(workload(n_images), machine)
    spread = plan.distribution
    assert spread is not None  # noqa: S101 - there are executors
    n_partitions = spread.partitions or nodes
    # whole partitions: the executor with the most of them is done last
    of_one = ceil(n_partitions / nodes)
    seconds = plan.chosen.price.seconds / SPARK_SHARE * of_one / n_partitions
    seconds += START_SECONDS + PARTITION_SECONDS * of_one
    return Row(n_images, nodes, plan, seconds / 3600, plan.chosen.peak_bytes)


def table() -> str:
    """Return the table of every job."""
    lines = [
        "| images | nodes | hours | images/s | plan | join | partitions (np) | a worker needs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for n_images in IMAGES:
        for nodes in NODES:
            found = row(n_images, nodes)
            spread = found.plan.distribution
            lines.append(
                f"| {n_images:,} | {nodes} | {found.hours:.3g} "
                f"| {n_images / found.hours / 3600:,.0f} "
                f"| {found.plan.chosen.kind}, {found.plan.chosen.placement} the join "
                f"| {spread.join} | {spread.partitions:,} | {format_bytes(found.worker_bytes)} |"
            )
    return "\n".join(lines)


def parts() -> str:
    """Return what of the hours goes to what, on one node."""
    price = row(IMAGES[1], 1).plan.chosen.price
    lines = ["| part | share of the seconds |", "|---|---|"]
    for name, seconds in sorted(price.parts.items(), key=lambda part: -part[1]):
        if seconds:
            lines.append(f"| {name} | {100 * seconds / price.seconds:.1f} % |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """Return the page with its tables made anew."""
    for name, made in (("table", table()), ("parts", parts())):
        head, begin, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        text = f"{head}{begin}{made}\n{end}{tail}"
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
