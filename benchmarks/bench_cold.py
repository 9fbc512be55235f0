"""Time whole processes, from their start to their end: `python benchmarks/bench_cold.py resnet50`.

Contestants, in interleaved rounds, each process from nothing: Python itself; `import vista_sql`;
the catalogue; explain; `second run` reads the features of all images from the store, and `predict`
a kept model's predictions over them; `first inference` is of one image, and `unknown machine` the
same where the machine's rates were not measured yet; `first run` infers all images and keeps their
features; `job` does without the store, as does OpenVINO by hand (left out where it is not
installed). `models` is one statement: a filter that a tenth of the images pass, a join of four rows
an image, five layers, a model of each; by hand it is a join in DuckDB, OpenVINO, and scikit-learn's
logistic regression with the same elastic net, as many passes, and the same standardized columns.
The engine is the default one, except where TensorFlow is named. Wall and CPU seconds,
all threads, and the most memory.

Weights are random values in a file of the CNN's size. A round before the first warms the disk's
cache and Python's. At the end: the milliseconds that planning takes in a process under way, the
least of some repetitions.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from operator import sub, truediv
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rounds import spread

BATCH = 32
PLANNED = ("lenet5", "resnet50", "resnet152")
REPETITIONS = 15
PASSING = 10  # prices below it pass the filter, of 0 to 99
REG, L1_RATIO, PASSES = 0.01, 0.5, 10  # the paper's regression (Vista, section 5)
ENGINES = {"tensorflow", "openvino"}


class Taken(NamedTuple):
    wall: float
    cpu: float
    peak_bytes: int


# ── the processes ───────────────────────────────────────────────────────────────────────────────


def given_of(folder: str) -> dict[str, Any]:
    given: dict[str, Any] = json.loads((Path(folder) / "given.json").read_text())
    return given


def transfer(folder: str, store: str, images: str = "images", engine: str | None = None) -> str:
    given = given_of(folder)
    asked = f", engine => '{engine}'" if engine else ""
    layers = ", ".join(f"'{layer}'" for layer in given["layers"])
    return (
        f"TRANSFER(cnn => '{given['cnn']}', layers => [{layers}], images => '{images}', "
        f"weights => '{given['weights']}', dtype => '{given['dtype']}', store => {store}{asked})"
    )


def run(folder: str, statement: str, *, infers: bool, rows: int | None = None) -> None:
    import vista_sql

    with vista_sql.connect(f"{folder}/images.duckdb", access_mode="READ_ONLY") as db:
        found = sum(batch.num_rows for batch in db.query(statement))
    assert found == (given_of(folder)["images"] if rows is None else rows), found
    assert infers == (not sys.modules.keys().isdisjoint(ENGINES)), sorted(sys.modules)


def catalogue(folder: str) -> None:
    run(folder, "SELECT cnn FROM VISTA_CNNS() LIMIT 5", infers=False, rows=5)


def explain(folder: str) -> None:
    import vista_sql

    with vista_sql.connect(f"{folder}/images.duckdb", access_mode="READ_ONLY") as db:
        assert "plan: " in db.explain(f"SELECT * FROM {transfer(folder, 'false')}")
    assert sys.modules.keys().isdisjoint(ENGINES)


def second_run(folder: str) -> None:
    run(folder, f"SELECT * FROM {transfer(folder, repr(folder + '/store'))}", infers=False)


def predict(folder: str) -> None:
    images = "SELECT id, image FROM images"
    store = repr(folder + "/store")
    statement = f"VISTA_PREDICT(model => 'kept', images => $${images}$$, store => {store})"
    run(folder, f"SELECT id, predicted_label FROM {statement}", infers=False)


def first_inference(folder: str, engine: str | None = None) -> None:
    one = transfer(folder, "false", "(SELECT * FROM images LIMIT 1)", engine)
    run(folder, f"SELECT * FROM {one}", infers=True, rows=1)


def unknown_machine(folder: str) -> None:
    os.environ["VISTA_SQL_CALIBRATION"] = f"{folder}/rates-{os.getpid()}.json"
    first_inference(folder)


def first_run(folder: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as store:
        run(folder, f"SELECT * FROM {transfer(folder, repr(store))}", infers=True)


def job(folder: str, engine: str | None = None) -> None:
    run(folder, f"SELECT * FROM {transfer(folder, 'false', engine=engine)}", infers=True)


def models(folder: str) -> None:
    given = given_of(folder)
    layers = ", ".join(f"'{layer}'" for layer in given["layers"])
    statement = (
        f"SELECT layer, f1_score FROM VISTA_COMPARE(cnn => '{given['cnn']}', layers => [{layers}], "
        f"images => '(SELECT id AS image_id, image FROM images)', key => 'image_id', label => 'y', "
        f"structured => '(SELECT * EXCLUDE (id) FROM facts WHERE price < {PASSING})', "
        f"weights => '{given['weights']}', dtype => '{given['dtype']}', store => false, "
        f"reg => {REG}, l1_ratio => {L1_RATIO}, max_iterations => {PASSES}) "
        "WHERE layer IS NOT NULL"
    )
    run(folder, statement, infers=True, rows=len(given["layers"]))


def models_by_hand(folder: str) -> None:
    import warnings

    import duckdb
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore", ConvergenceWarning)
    with duckdb.connect(f"{folder}/images.duckdb", read_only=True) as con:
        passing = f"FROM facts WHERE price < {PASSING}"
        facts = con.execute(f"SELECT image_id, price, f1, f2, f3, y {passing}").fetchnumpy()
        wanted, place = np.unique(facts["image_id"], return_inverse=True)
        found = con.execute(
            f"SELECT image FROM images WHERE id IN (SELECT image_id {passing}) ORDER BY id"
        ).fetchall()
    assert len(found) == len(wanted)
    features = inferred_by_hand(folder, [row[0] for row in found])
    columns = np.stack([facts[name] for name in ("price", "f1", "f2", "f3")], axis=1)
    tests = np.random.default_rng(0).random(len(wanted))[place] < 0.2  # no image on both sides
    scores = []
    for layer in features:
        x = np.concatenate([columns, layer.reshape(len(wanted), -1)[place]], axis=1)
        scaler = StandardScaler().fit(x[~tests])
        model = LogisticRegression(
            C=1 / (REG * (~tests).sum()), l1_ratio=L1_RATIO, solver="saga", max_iter=PASSES
        )
        model.fit(scaler.transform(x[~tests]), facts["y"][~tests])
        scores.append(f1_score(facts["y"][tests], model.predict(scaler.transform(x[tests]))))
    assert len(scores) == len(given_of(folder)["layers"])


def openvino(folder: str) -> None:
    import duckdb

    with duckdb.connect(f"{folder}/images.duckdb", read_only=True) as con:
        images = [row[0] for row in con.execute("SELECT image FROM images").fetchall()]
    inferred_by_hand(folder, images)


def inferred_by_hand(folder: str, images: list[bytes]) -> list[Any]:
    """Return the features of images by layer, float32 (images, …)."""
    from concurrent.futures import ThreadPoolExecutor

    import cv2
    import numpy as np
    import openvino as ov

    given = given_of(folder)
    height, width, channels = given["input_shape"]
    colours = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    precision = "bf16" if given["dtype"] == "bfloat16" else "f32"
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
    model = ov.Core().compile_model(f"{folder}/openvino.xml", "CPU", options)
    whole = -(-len(images) // BATCH) * BATCH  # the network takes whole batches
    pixels = np.zeros((whole, height, width, channels), np.float32)

    def decode(place: int) -> None:
        found = cv2.imdecode(np.frombuffer(images[place], np.uint8), colours)
        pixels[place] = cv2.resize(found, (width, height)).reshape(height, width, channels)

    features: dict[int, Any] = {}

    def keep(request: Any, first: int) -> None:
        features[first] = [np.array(found) for found in request.results.values()]

    queue = ov.AsyncInferQueue(model)
    queue.set_callback(keep)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(images), BATCH):
            list(pool.map(decode, range(first, min(first + BATCH, len(images)))))
            queue.start_async(pixels[first : first + BATCH], first)
    queue.wait_all()
    batches = [features[first] for first in sorted(features)]
    return [np.concatenate(parts)[: len(images)] for parts in zip(*batches, strict=True)]


PROCESSES: dict[str, Callable[[str], None] | str] = {
    "Python": "pass",
    "import vista_sql": "import vista_sql",
    "catalogue": catalogue,
    "explain": explain,
    "second run": second_run,
    "predict": predict,
    "first inference": first_inference,
    "unknown machine": unknown_machine,
    "first run": first_run,
    "job": job,
    "OpenVINO by hand": openvino,
    "models": models,
    "models by hand": models_by_hand,
    "TensorFlow's import": "import tensorflow",
    "first inference, TensorFlow": partial(first_inference, engine="tensorflow"),
    "job, TensorFlow": partial(job, engine="tensorflow"),
}


def timed(name: str, folder: str) -> Taken | None:
    """Run one process; return what it took, None where it failed."""
    what = PROCESSES[name]
    own = ["-c", what] if isinstance(what, str) else [__file__, "--process", name, folder]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"XDG_CACHE_HOME": f"{folder}/cache", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (Path(folder) / "said.txt").open("w") as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *own], env=environment, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    return Taken(wall, usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss)


# ── what they start from ────────────────────────────────────────────────────────────────────────


def prepare(folder: str, cnn: str, n_images: int, dtype: str) -> None:
    """Make images, weights, a kept model, and features in the store; done in its own process."""
    import pyarrow as pa
    from photos import photos

    import vista_sql
    from vista_sql import roster, weights

    facts = roster.load(cnn)
    network = weights.load_network(facts, weights.resolve(facts, "random"))
    network.save_weights(f"{folder}/own.weights.h5")
    given = {
        "cnn": cnn,
        "layers": facts.feature_layers[-5:],
        "images": n_images,
        "dtype": dtype,
        "weights": f"{folder}/own.weights.h5",
        "input_shape": facts.input_shape,
    }
    (Path(folder) / "given.json").write_text(json.dumps(given))
    with vista_sql.connect(f"{folder}/images.duckdb") as db:
        made = pa.table({"id": range(n_images), "image": photos(n_images)})
        db.con.register("made", made)
        db.con.execute("CREATE TABLE images AS SELECT *, id % 2 AS y FROM made")
        db.con.unregister("made")
        db.con.execute(
            "CREATE TABLE facts AS "
            "SELECT i AS id, i // 4 AS image_id, (i // 4 * 37) % 100 AS price, "
            "i % 7 AS f1, i % 11 / 3 AS f2, i % 4 AS f3, (i * 31 // 8 + i // 4) % 2 AS y "
            f"FROM range({4 * n_images}) AS r(i)"
        )
        data = f"SELECT * EXCLUDE (id) FROM {transfer(folder, repr(folder + '/store'))}"
        db.query(
            f"FROM VISTA_TRAIN(model => 'kept', label => 'y', data => $${data}$$, "
            "max_iterations => 3)"
        ).arrow()
    _convert(network, facts, f"{folder}/openvino.xml")


def _convert(network: Any, facts: Any, path: str) -> None:
    """Write the network for OpenVINO, its layers pooled to 2 × 2 as ours are, if it is here."""
    try:
        import openvino as ov
    except ModuleNotFoundError:
        return
    import keras

    outputs = [network.get_layer(facts.canonical(n)).output for n in facts.feature_layers[-5:]]
    pooled = [
        keras.layers.MaxPooling2D((x.shape[1] // 2, x.shape[2] // 2))(x) if len(x.shape) == 4 else x
        for x in outputs
    ]
    saved = f"{path}.saved"
    keras.Model(network.inputs, pooled).export(saved, verbose=False)
    ov.save_model(ov.convert_model(saved, input=[BATCH, *facts.input_shape]), path)


# ── planning ────────────────────────────────────────────────────────────────────────────────────


def planning_milliseconds() -> dict[str, float]:
    """Return what planning a statement with a join takes, the least of some repetitions."""
    import vista_sql
    from vista_sql import roster

    found = {}
    with vista_sql.connect() as db:
        db.con.execute(
            "CREATE TABLE images AS SELECT i AS id, 'a.png' AS image FROM range(12) r(i)"
        )
        db.con.execute("CREATE TABLE facts AS SELECT i AS id, i * 1.5 AS price FROM range(12) r(i)")
        for cnn in PLANNED:
            layers = ", ".join(f"'{layer}'" for layer in roster.load(cnn).feature_layers[-5:])
            statement = (
                f"SELECT * FROM TRANSFER(cnn => '{cnn}', layers => [{layers}], "
                "weights => 'random', images => 'images', structured => 'facts') WHERE price < 10"
            )
            taken = []
            for _ in range(REPETITIONS):
                begun = time.perf_counter()
                db.rewrite(statement)
                taken.append(time.perf_counter() - begun)
            found[cnn] = 1000 * min(taken)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="resnet50")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="once, on little data")
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    parser.add_argument("--process", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smoke:
        given.cnn, given.images, given.rounds = "lenet5", 64, 1
    if given.prepare:
        prepare(given.prepare, given.cnn, given.images, given.dtype)
        return
    if given.process:
        name, folder = given.process
        made = PROCESSES[name]
        assert not isinstance(made, str)
        made(folder)
        return
    folder = tempfile.mkdtemp(prefix="vista-cold-")
    try:
        command = [sys.executable, __file__, given.cnn, "--images", str(given.images)]
        command += ["--dtype", given.dtype, "--prepare", folder]
        environment = os.environ | {"XDG_CACHE_HOME": f"{folder}/cache"}
        subprocess.run(command, check=True, env=environment)
        found: dict[str, list[Taken]] = {name: [] for name in PROCESSES}
        for turn in range(given.rounds + 1):
            for name in list(found):
                taken = timed(name, folder)
                if taken is None:
                    said = (Path(folder) / "said.txt").read_text().strip().splitlines()
                    print(f"  {name}: not here: {said[-1] if said else ''}")
                    del found[name]
                elif turn or given.smoke:
                    found[name].append(taken)
        _show(found, given.cnn, given.dtype, given.images)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(found: dict[str, list[Taken]], cnn: str, dtype: str, n_images: int) -> None:
    print(f"{cnn} {dtype}, {n_images} JPEGs, whole processes")
    print(f"  {'':28}{'wall seconds':>24}{'CPU seconds':>24}{'peak MB':>9}")
    for name, taken in found.items():
        peak = max(one.peak_bytes for one in taken) / 1e6
        walls, cpus = [one.wall for one in taken], [one.cpu for one in taken]
        print(f"  {name:28}{spread(walls):>24}{spread(cpus):>24}{peak:>9.0f}")

    def by_round(one: str, other: str, of: Callable[[float, float], float]) -> float | None:
        pairs = zip(found.get(one, []), found.get(other, []), strict=False)
        values = [of(a.wall, b.wall) for a, b in pairs]
        return median(values) if values else None

    for text, value in (
        (
            "first inference by TensorFlow, seconds beyond its import",
            by_round("first inference, TensorFlow", "TensorFlow's import", sub),
        ),
        (
            "second run, × the first's speed",
            by_round("first run", "second run", truediv),
        ),
        ("job, × OpenVINO by hand", by_round("job", "OpenVINO by hand", truediv)),
        ("filter, join, models, × by hand", by_round("models", "models by hand", truediv)),
    ):
        if value is not None:
            print(f"  {text}: {value:.3g}")
    for name, milliseconds in planning_milliseconds().items():
        print(f"  planning {name}: {milliseconds:.3g} ms")


if __name__ == "__main__":
    main()
