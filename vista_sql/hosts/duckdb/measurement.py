"""Measure this machine: the rates that `calibration` keeps, in about a second, on made-up data.

What a network takes from layer to layer is not measured here: its first runs tell.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count

import duckdb
import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from vista_sql import catalog, kernels, roster, store, train
from vista_sql.errors import StoreError
from vista_sql.files import nearest_existing
from vista_sql.kernels import Dtype, Engine
from vista_sql.machine.calibration import DEFAULTS, Rates
from vista_sql.machine.resources import machine

ROUNDS = 4  # the quickest counts: what else the machine does is not the machine
IMAGES, IMAGE_BYTES = 512, 50_000  # what goes through the engine: 26 MB
SIDES = (160, 640)  # of the pictures that are decoded: their difference tells bytes from images
MAPS, MAP_VALUES = 32, 14 * 14 * 1024  # conv4_6 of ResNet50
NETWORK_IMAGES, NETWORK_BATCHES = 16, 6
FEATURE_ROWS, FEATURE_VALUES = 2048, 4096
KERNEL_ROWS, KERNEL_BYTES = 128, (16, 50_000)


def measure(store_folder: str = "") -> Rates:
    """Return this machine's rates; networks and the trainer's keep their defaults.

    Args:
        store_folder: of the feature store, whose disk is measured; "" where there is none.
    """
    fixed, per_byte = _decode_seconds()
    rows, sort = _rows_seconds()
    call, image, byte = _kernel_seconds()
    return replace(
        _with_store(DEFAULTS, store_folder),
        kernel_call_seconds=call,
        kernel_image_seconds=image,
        kernel_bytes_per_second=1 / byte,
        decode_seconds=fixed,
        decode_bytes_per_second=1 / per_byte,
        rows_bytes_per_second=IMAGES * IMAGE_BYTES / rows,
        sort_bytes_per_second=IMAGES * IMAGE_BYTES / max(sort - rows, rows / 10),
        maps_bytes_per_second=4 * MAPS * MAP_VALUES / _maps_seconds(),
        features_bytes_per_second=4 * FEATURE_ROWS * FEATURE_VALUES / _features_seconds(),
        hash_bytes_per_second=_hash_rate(),
        source=f"measured {datetime.now(UTC):%Y-%m-%d}",
    )


def measure_network(
    name: str, dtype: Dtype = "float32", engine: Engine = "tensorflow"
) -> dict[str, tuple[int, float]]:
    """Return a CNN's seconds from layer to layer, with random weights: they cost the same.

    Args:
        name: of the roster.
        dtype: of the arithmetic.
        engine: who runs it.

    Returns:
        As `calibration.Segments`; slow, the engine is imported and the network built.
    """
    cnn = roster.load(name)
    layers = tuple(cnn.layer(layer).name for layer in cnn.feature_layers)
    spec = kernels.InferSpec(name, layers, weights="random", dtype=dtype, engine=engine)
    network = catalog.module(kernels.PACKAGE, "passes.runtime").Runtime().network(spec)
    pixels = np.random.default_rng(0).integers(0, 256, (NETWORK_IMAGES, *cnn.input_shape), np.uint8)
    for _ in range(NETWORK_BATCHES):
        network.features(layers, "gap", pixels)
    timed: dict[str, tuple[int, float]] = network.timed
    return timed


def trainer_rate() -> float:
    """Return the bytes of features that one pass of a training reads in a second."""
    arrays = catalog.module("vista_sql.train", "arrays")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4096, 1024), dtype=np.float32)
    data = arrays.rows_of(x[:, :0], [x], (x[:, 0] > 0).astype(int))
    features = train.FeatureSet("layer", "layer", False, (0,))
    iterations = 10
    options = train.Options(2, max_iterations=iterations, memory_bytes=1 << 30)
    seconds = _seconds(
        lambda: train.load("logistic").fit(data, [train.Task(features, 0.01, 0.5)], options)
    )
    return x.nbytes * (iterations + 2) / seconds  # statistics and the first point come on top


def _seconds(work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(once() for _ in range(ROUNDS))


def _each(work: Callable[[bytes], object], items: Sequence[bytes]) -> None:
    for item in items:
        work(item)


def _decode_seconds() -> tuple[float, float]:
    """Return the seconds of an image whatever its size, and of a byte, all cores decoding."""
    import cv2

    images = catalog.module(kernels.PACKAGE, "images.decoding")
    out = np.empty(roster.load("resnet50").input_shape, np.uint8)
    rng = np.random.default_rng(0)
    taken = []
    for side in SIDES:
        noise = cv2.resize(rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8), (side, side))
        data = cv2.imencode(".jpg", noise)[1].tobytes()
        repeats = [data] * 16
        seconds = _seconds(partial(_each, lambda one: images.decode(one, "rgb", out), repeats))
        taken.append((len(data), seconds / len(repeats) / machine().cores))
    (few, quick), (many, slow) = taken
    per_byte = max(slow - quick, quick / 10) / (many - few)
    return max(quick - few * per_byte, quick / 10), per_byte


def _rows_seconds() -> tuple[float, float]:
    """Return the seconds that the engine takes to hand out rows with images, plain and sorted."""
    rng = np.random.default_rng(0)
    blobs = [rng.bytes(IMAGE_BYTES) for _ in range(IMAGES)]
    with duckdb.connect() as con:
        con.register("made", pa.table({"id": range(IMAGES), "image": blobs}))
        con.execute("CREATE TABLE images AS FROM made")

        def read(order: str) -> None:
            for _ in con.sql(f"FROM images {order}").to_arrow_reader(64):
                pass

        return _seconds(lambda: read("")), _seconds(lambda: read("ORDER BY hash(image)"))


def _kernel_seconds() -> tuple[float, float, float]:
    """Return the seconds of a kernel's call, of an image in it, and of a byte of its rows' images.

    What is given to it are no images, so that it need not have a network: nothing is decoded or
    inferred, and all else is done as it is for images whose results are there from another call.
    """
    (kernel, *_) = catalog.load(kernels.PACKAGE, "infer", "KERNELS", tuple)
    spec = kernels.InferSpec(
        "lenet5", ("f6",), weights="random", on_error="null", batch_rows=KERNEL_ROWS
    ).to_text()
    runtime = catalog.module(kernels.PACKAGE, "passes.runtime").Runtime()

    def seconds(images: Sequence[bytes]) -> float:
        n = len(images)
        columns = ([spec] * n, images, [""] * n)
        given = [pa.chunked_array([pa.array(column)]) for column in columns]
        return _seconds(lambda: kernel.function(runtime, *given))

    try:
        one = seconds([bytes(KERNEL_BYTES[0])])
        small, large = (seconds([bytes(n_bytes)] * KERNEL_ROWS) for n_bytes in KERNEL_BYTES)
        many = seconds([i.to_bytes(KERNEL_BYTES[0], "little") for i in range(KERNEL_ROWS)])
    finally:
        runtime.close()
    n_bytes = (KERNEL_BYTES[1] - KERNEL_BYTES[0]) * KERNEL_ROWS
    per_image = max(many - small, many / 10) / (KERNEL_ROWS - 1)
    return one, per_image, max(large - small, large / 10) / n_bytes


def _maps_seconds() -> float:
    """Return the seconds that raw maps take from a stage of one network call to the next."""
    values = np.random.default_rng(0).standard_normal((MAPS, MAP_VALUES), dtype=np.float32)
    with duckdb.connect() as con:
        maps = pa.table({"raw": [row.tobytes() for row in values]})

        def move() -> None:
            for batch in con.sql("SELECT raw FROM made").to_arrow_reader(MAPS):
                np.stack([np.frombuffer(raw.as_buffer(), "<f4") for raw in batch.column(0)])

        con.register("made", maps)
        return _seconds(move)


def _features_seconds() -> float:
    """Return the seconds that features take from a kernel's lists to the result's arrays."""
    values = np.zeros(FEATURE_ROWS * FEATURE_VALUES, np.float32)
    offsets = np.arange(FEATURE_ROWS + 1, dtype=np.int64) * FEATURE_VALUES
    lists = pa.LargeListArray.from_arrays(offsets, pa.array(values))
    with duckdb.connect() as con:
        con.register("made", pa.table({"f": lists}))

        def read() -> None:
            query = f"SELECT CAST(f AS FLOAT[{FEATURE_VALUES}]) AS f FROM made"
            for _ in con.sql(query).to_arrow_reader(256):
                pass

        return _seconds(read)


def _hash_rate() -> float:
    repeats = [bytes(IMAGE_BYTES)] * 64
    return IMAGE_BYTES * len(repeats) / _seconds(partial(_each, store.digest, repeats))


def _with_store(rates: Rates, folder: str) -> Rates:
    """Return rates with what the disk of a store takes, by one of its own that is removed again."""
    if not folder:
        return rates
    place = nearest_existing(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".calibration-", dir=place) as own:
            return _measured_store(rates, own)
    except (OSError, StoreError):
        return rates  # it cannot be written: nothing will be stored there


def _measured_store(rates: Rates, folder: str) -> Rates:
    space = store.space(
        roster.load("resnet50"), "none", "avg_pool", "none", "float32", device="measured"
    )
    payload = np.random.default_rng(0).bytes(128 << 10)
    numbers = count()

    def entries(n: int, data: bytes) -> Iterator[store.Entry]:
        for _ in range(n):
            yield store.Entry(space, _key(next(numbers)), 0, len(data), data)

    features = store.Store(folder, 1 << 30)
    batch, small = 64, 1024
    written = _seconds(lambda: features.keep(entries(batch, payload)))
    read = _seconds(lambda: _read(features, space, range(batch)))
    first = next(numbers)
    features.keep(entries(small, bytes(64)))
    looked_up = _seconds(lambda: _read(features, space, range(first + 1, first + small)))
    features.clear()
    return replace(
        rates,
        store_write_bytes_per_second=batch * len(payload) / written,
        store_read_bytes_per_second=batch * len(payload) / read,
        store_images_per_second=small / looked_up,
    )


def _key(number: int) -> bytes:
    return store.digest(number.to_bytes(8, "little"))


def _read(features: store.Store, space: store.Space, numbers: range) -> list[bytes]:
    with features.reading() as reading:
        packed = [reading.get(space, _key(number)) for number in numbers] if reading else []
        return [bytes(entry.payload) for entry in packed if entry is not None]
