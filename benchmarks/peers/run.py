"""vista_sql beside the tools that users would pick instead: `python benchmarks/peers/run.py B1`.

Jobs B1 to B9, or `all`. Each peer is a script as a user of the tool would write it (`scripts/`),
run as a whole process from nothing, one at work at a time, the peers by turns in each round; the
machine's own peak is measured before and after each. What a tool keeps on the disk of networks
(compiled, or read once from a file) is warmed by a run that does not count; kept features are not.
Peers with dependencies of their own are taken from `--venvs FOLDER`, a virtual environment each
(`requirements/`); those absent are left out and named. Weights are random: cost, not quality.

Results go to standard output as Markdown and to `--json FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # the machine's peak, pictures, spread

import checked
from dirty import N_KINDS
from environments import PEERS, SCRIPTS, code_lines, python_of
from jobs import COPIES, FOODS_ROWS, JOBS, PRODUCTS_PER_PHOTO, Job, Step, link, prepare
from launched import Taken, launch
from machine import fma_peak
from prepared import CHEAP_SHARE
from rounds import spread

TIMEOUT_SECONDS = 300.0
SLOW_SECONDS = 60.0
"""Who takes longer in a round does not run in the next ones."""
WARM_IMAGES = 4
WARMED = ("vista", "torch")  # what they compile is kept on the disk
FULL_PEAK, LEAST_SHARE = 1e12, 0.125
"""Operations a second of a machine that gets all pictures; a slower one gets its share of them."""
SMOKE_VARIANTS, SMOKE_OF_EACH = 2, 1
GIGA = 1e9


@dataclass
class Run:
    """A peer's turn in a round: of each step what it took, and what came of the check."""

    peer: str
    round: int
    steps: dict[str, Taken] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    peaks: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Given:
    """What holds for every process: where data lies, which Python runs a peer."""

    data: Path
    pythons: dict[str, str]
    dtype: str
    n_variants: int
    of_each: int


def environment(given: Given, run_folder: Path, python: str) -> dict[str, str]:
    """Return a process's variables: its own store and home, no telemetry, caches that stay."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "JAVA_HOME") if name in os.environ}
    home = given.data / "home"
    (home / "intel").mkdir(parents=True, exist_ok=True)
    (home / "intel" / "openvino_telemetry").write_text("0")  # OpenVINO's own way to say no
    bin_folder = str(Path(python).parent)
    return kept | {
        "PATH": f"{bin_folder}:{kept.get('PATH', '')}",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(given.data / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(given.data / "cache" / "torchinductor"),
        "VISTA_SQL_STORE": str(run_folder / "store"),
        "PIXELTABLE_HOME": str(run_folder / "pixeltable"),
        "PYSPARK_PYTHON": python,
        "DO_NOT_TRACK": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def fastest_dtype() -> str:
    """Return bfloat16 where the processor computes in it, which is where all tools gain by it."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


def peer_of(name: str) -> str:
    """Return whose a script is: `daft-distinct` is one of Daft's."""
    return name.partition("-")[0]


def script_of(job: Job, name: str) -> Path:
    return SCRIPTS / PEERS[peer_of(name)].folder / job.scripts[name]


def execute(
    job: Job, name: str, step: Step, folder: Path, given: Given, kill_after: float | None = None
) -> Taken:
    python = given.pythons[peer_of(name)]
    return launch(
        [python, str(script_of(job, name)), given.dtype, *step.arguments],
        folder,
        environment(given, folder, python),
        timeout_seconds=TIMEOUT_SECONDS,
        limit_bytes=job.limit_bytes,
        kill_after_seconds=kill_after,
    )


def fresh(source: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    link(source, folder)


def take_turn(
    job: Job, name: str, number: int, source: Path, given: Given, check: Callable[..., Any]
) -> Run:
    """Run all steps of a job by one peer."""
    run = Run(name, number)
    folder = given.data / "runs" / f"{job.name}-{name}"
    fresh(source, folder)
    for step in job.steps:
        if step.before == "fresh":
            fresh(source, folder)
        elif step.before == "more photos":
            link(folder / "more", folder / "photos")
        first = run.steps.get(job.steps[0].title)
        half = first.wall_seconds / 2 if step.killed and first else None
        run.peaks.append(fma_peak(given.dtype)[0])
        taken = run.steps[step.title] = execute(job, name, step, folder, given, half)
        run.peaks.append(fma_peak(given.dtype)[0])
        if taken.outcome == "finished":
            try:
                run.checks[step.title] = check(name, step, folder, taken)
            except (OSError, ValueError, LookupError) as error:  # not written, or not as agreed
                run.checks[step.title] = {"right": False, "why": f"{type(error).__name__}: {error}"}
        elif not step.killed:
            said = taken.said.strip().splitlines()
            print(f"  {name}, {step.title}: {taken.outcome}: {said[-1] if said else ''}")
            break
    shutil.rmtree(folder, ignore_errors=True)
    return run


def checker(job: Job, source: Path, n_images: int, given: Given) -> Callable[..., Any]:
    """Return what checks a step's output; the first to be checked is the reference, ours."""
    references: dict[str, Any] = {}

    def check(name: str, step: Step, folder: Path, taken: Taken) -> dict[str, Any]:
        layers = step.arguments[1:]
        if job.check == "files":
            n = len(list((folder / "photos").iterdir()))
            found = checked.count_files(folder, taken.said)
            return {"rows": found, "right": found == n}
        if job.check == "scores":
            if name == "vista":
                references[step.title] = json.loads((folder / "scores.json").read_text())
            n_rows = n_images * (PRODUCTS_PER_PHOTO * CHEAP_SHARE if job.name == "B5" else 1)
            return checked.compare_scores(folder, references.get(step.title), n_rows)
        if job.check == "dirty":
            one = layers[:1]  # a map: a picture that is turned differs in its quadrants
            if "clean" not in references:
                references["clean"] = checked.read(_clean(job, source, given), one, None)
            return checked.compare_dirty(checked.read(folder, one, None), references["clean"])
        found = checked.read(folder, layers)
        if name == "vista":
            references["features"] = found
        if "features" not in references:
            return {"rows": len(found.files), "right": len(found.files) == n_images}
        return checked.compare_features(found, references["features"], n_images)

    return check


def _clean(job: Job, source: Path, given: Given) -> Path:
    """Compute by hand the features of what each dirty picture shows."""
    folder = given.data / "runs" / "clean"
    fresh(source, folder)
    shutil.rmtree(folder / "photos")
    (folder / "clean").rename(folder / "photos")
    by_hand = Job("clean", "", 0, 0, 1, job.steps, {"openvino": "features.py"}, {})
    taken = execute(by_hand, "openvino", job.steps[0], folder, given)
    assert taken.outcome == "finished", taken.said
    return folder


def warm(job: Job, names: list[str], source: Path, given: Given) -> None:
    """Let tools compile what they keep on the disk, on a few pictures."""
    for name in names:
        if peer_of(name) not in WARMED:
            continue
        folder = given.data / "runs" / "warm"
        fresh(source, folder)
        tables = job.check == "scores"  # they name the pictures, which all have to be there
        if not tables:
            for path in sorted((folder / "photos").iterdir())[WARM_IMAGES:]:
                path.unlink()
        for step in job.steps if tables else job.steps[:1]:
            execute(job, name, step, folder, given)
        shutil.rmtree(folder, ignore_errors=True)


def run_job(
    job: Job, names: list[str], n_images: int, n_rounds: int, given: Given
) -> tuple[list[Run], float]:
    begun = time.perf_counter()
    print(f"\n{job.name}: {n_images} images, {n_rounds} rounds", flush=True)
    source = prepare(job, n_images, given.data, given.n_variants, given.of_each)
    warm(job, names, source, given)
    check = checker(job, source, n_images, given)
    runs: list[Run] = []
    slow: set[str] = set()
    for number in range(n_rounds):
        for name in names:
            if name in slow:
                continue
            run = take_turn(job, name, number, source, given, check)
            runs.append(run)
            took = sum(taken.wall_seconds for taken in run.steps.values())
            print(f"  {name}: {took:.1f} s {[*run.checks.values()]}", flush=True)
            if took > SLOW_SECONDS or any(
                taken.outcome not in ("finished", "killed") for taken in run.steps.values()
            ):
                slow.add(name)
    shutil.rmtree(source, ignore_errors=True)
    return runs, time.perf_counter() - begun


# ── what is told ────────────────────────────────────────────────────────────────────────────────


def table(job: Job, runs: list[Run], missing: dict[str, str], dtype: str) -> str:
    """Return a job's results as Markdown."""
    steps = [step.title for step in job.steps if not step.killed]
    ours = _walls([run for run in runs if run.peer == "vista"], steps)
    head = [job.name, *(f"{step}, s" if step != "seconds" else "wall, s" for step in steps)]
    head += ["× ours", "CPU, s", "peak, MB", "lines", "right"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in job.scripts:
        own = [run for run in runs if run.peer == name]
        if not own:
            continue
        walls = _walls(own, steps)
        title = PEERS[peer_of(name)].title + name.removeprefix(peer_of(name)).replace("-", ", ")
        cells = [title]
        for step in steps:
            values = walls.get(step)
            outcomes = {run.steps[step].outcome for run in own if step in run.steps}
            cells.append(spread(values) if values else ", ".join(outcomes) or "–")
        taken = [one for run in own for one in run.steps.values()]
        cells.append(_ratio(walls, ours, steps))
        cells.append(spread([sum(t.cpu_seconds for t in run.steps.values()) for run in own]))
        cells.append(f"{max(one.peak_bytes for one in taken) / 1e6:,.0f}")
        cells.append(str(code_lines(script_of(job, name))))
        cells.append(_told(own))
        lines.append("| " + " | ".join(cells) + " |")
    peaks = [peak / GIGA for run in runs for peak in run.peaks]
    if peaks:
        lines += ["", f"{job.title}. Peak in {dtype} meanwhile: {spread(peaks)} GFLOP/s."]
    for name, why in {**missing, **job.absent}.items():
        lines.append(f"- {PEERS[name].title}: {why}.")
    return "\n".join(lines)


def _walls(runs: list[Run], steps: list[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for step in steps:
            taken = run.steps.get(step)
            if taken is not None and taken.outcome == "finished":
                found.setdefault(step, []).append(taken.wall_seconds)
    return found


def _ratio(walls: dict[str, list[float]], ours: dict[str, list[float]], steps: list[str]) -> str:
    """Return a peer's seconds over ours, of the steps that both finished, round by round."""
    shared = [step for step in steps if step in walls and step in ours]
    if not shared:
        return "–"
    n_rounds = min(len(found[step]) for found in (walls, ours) for step in shared)
    ratios = [
        sum(walls[step][i] for step in shared) / sum(ours[step][i] for step in shared)
        for i in range(n_rounds)
    ]
    return spread(ratios)


def _told(runs: list[Run]) -> str:
    checks = [one for run in runs for one in run.checks.values()]
    if not checks:
        return "–"
    if "kept" in checks[0]:
        one = checks[0]
        parts = [f"{one['kept']} of {one['pictures']} kept", f"{one['wrong']} wrong"]
        parts += [f"{one['junk']} junk", f"{one['reasons']} reasons"]
        return ", ".join(parts)
    right = "yes" if all(one.get("right", True) for one in checks) else "**no**"
    far = [one["difference"] for one in checks if "difference" in one]
    return f"{right} ({max(far):.3g})" if far else right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="+", choices=[*JOBS, "all"], metavar="JOB")
    parser.add_argument("--images", type=int, help="pictures, in place of each job's default")
    parser.add_argument("--rounds", type=int, help="in place of each job's default")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="this peer; repeat it")
    parser.add_argument("--scale", type=float, help="of B6: share of the paper's 20,129 images")
    parser.add_argument("--venvs", type=Path, help="a folder of the peers' virtual environments")
    parser.add_argument("--make-venvs", action="store_true", help="make those that are absent")
    parser.add_argument("--data", type=Path, help="keep networks there, and take them from there")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    given = parser.parse_args()
    if given.make_venvs and given.venvs is None:
        parser.error("--make-venvs needs --venvs FOLDER, where to make them")
    venvs = given.venvs.absolute() if given.venvs else None
    pythons, missing = {}, {}
    for peer in PEERS.values():
        if given.only is None or peer.name in given.only:
            python, why = python_of(peer, venvs, make=given.make_venvs)
            pythons |= {peer.name: python} if python else {}
            missing |= {} if python else {peer.name: why}
    if "openvino" not in pythons and "B3" in given.jobs:
        pythons["openvino"] = sys.executable  # the reference of its check
    data = given.data.absolute() if given.data else Path(tempfile.mkdtemp(prefix="vista-peers-"))
    data.mkdir(parents=True, exist_ok=True)
    few = {"n_variants": SMOKE_VARIANTS, "of_each": SMOKE_OF_EACH} if given.smoke else {}
    sizes = {"n_variants": COPIES, "of_each": COPIES, **few}
    setting = Given(data, pythons, fastest_dtype(), **sizes)
    share = min(1.0, max(LEAST_SHARE, fma_peak(setting.dtype)[0] / FULL_PEAK))
    told = []
    try:
        for name in JOBS if "all" in given.jobs else given.jobs:
            job = JOBS[name]
            n_images = round(given.scale * FOODS_ROWS) if name == "B6" and given.scale else 0
            n_images = given.images or n_images or round(share * job.images)
            n_images = job.smoke_images if given.smoke else n_images
            n_images = N_KINDS * setting.of_each if name == "B3" else n_images
            wanted = [
                one
                for one in job.scripts
                if peer_of(one) in pythons and (given.only is None or peer_of(one) in given.only)
            ]
            n_rounds = 1 if given.smoke else given.rounds or job.rounds
            runs, seconds = run_job(job, wanted, n_images, n_rounds, setting)
            absent = {one: why for one, why in missing.items() if one in job.scripts}
            text = table(job, runs, absent, setting.dtype)
            print(f"\n{text}\n\n{n_images} images, {seconds:.0f} s in all.", flush=True)
            told.append({"job": name, "images": n_images, "runs": [asdict(run) for run in runs]})
            if given.json:
                given.json.write_text(json.dumps(told, indent=1))
    finally:
        shutil.rmtree(data / "runs", ignore_errors=True)
        if given.data is None:
            shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
