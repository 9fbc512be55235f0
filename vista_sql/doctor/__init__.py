"""What is here and whether it works: versions, machine, settings, weights, a sample inference."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

import vista_sql
from vista_sql import catalog, kernels, roster, store, weights
from vista_sql.errors import HostError, SettingError, StoreError, VistaError
from vista_sql.hosts import engines
from vista_sql.hosts.shell import binary, places
from vista_sql.kernels import Dtype, Engine
from vista_sql.machine import calibration, resources
from vista_sql.machine.calibration import Rates, network_key
from vista_sql.machine.resources import own_version, package_version
from vista_sql.planning.engines import choose
from vista_sql.settings import SETTINGS, Settings, Value
from vista_sql.units import format_bytes, format_seconds

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("duckdb", "pyarrow", "sqlglot", "numpy", "opencv-python-headless", "scikit-learn")
TENSORFLOWS = ("tensorflow", "tensorflow-cpu")
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""Instructions that make inference faster; the last two are ARM's."""

TESTED_ON = "Linux x86_64"

SAMPLE_CNN = "lenet5"  # its weights come with the package
SAMPLE_IMAGES = 512
LEAST_MEMORY_BYTES = 2 * 2**30  # TensorFlow and DuckDB alone hold about 1 GiB

LEAST_FREE_BYTES = 2 * 2**30

State = Literal["ok", "note", "broken"]


class Finding(Struct, frozen=True):
    """One thing that was looked at; what is not ok comes with what to do about it."""

    group: str
    name: str
    value: str
    state: State = "ok"
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Yield what is found, group by group, each as soon as it is known."""
    yield from _versions()
    yield from _machine()
    yield from _settings()
    yield from _disks()
    yield from _calibration()
    yield from _weights()
    yield from _hosts()
    tensorflow, findings = _tensorflow()
    yield from findings
    openvino, findings = _openvino()
    yield from findings
    if tensorflow is not None or openvino is not None:
        yield from _sample()


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "vista_sql", own_version())
    yield Finding("versions", "Python", f"{platform.python_version()} ({platform.platform()})")
    for name in LIBRARIES:
        version = package_version(name)
        if version is not None:
            yield Finding("versions", name, version)
        else:
            remedy = "install vista-sql again, with its dependencies"
            yield Finding("versions", name, "not installed", "broken", remedy)


def _machine() -> Iterator[Finding]:
    system = f"{platform.system()} {platform.machine()}"
    if system == TESTED_ON:
        yield Finding("machine", "system", system)
    else:
        remedy = "docs/operating.md says what differs; report what else does"
        yield Finding(
            "machine", "system", f"{system}; tests run on {TESTED_ON} only", "note", remedy
        )
    machine = resources.machine()
    yield Finding("machine", "cores", str(machine.cores))
    memory = f"{format_bytes(machine.memory_bytes)} ({machine.memory_source})"
    if machine.memory_bytes < LEAST_MEMORY_BYTES:
        remedy = f"give this machine or container {format_bytes(LEAST_MEMORY_BYTES)} or more"
        yield Finding("machine", "memory", memory, "note", remedy)
    else:
        yield Finding("machine", "memory", memory)
    processor = resources.processor()
    instructions = processor.instructions.split() if processor else []
    shown = " ".join(name for name in INSTRUCTIONS if name in instructions) or "unknown"
    yield Finding("machine", "CPU instructions", shown)


def _settings() -> Iterator[Finding]:
    settings = Settings()
    home: Value | None = None
    for setting in SETTINGS:
        try:
            value = settings.value(setting.name)
        except SettingError as error:
            remedy = f"correct or unset VISTA_SQL_{setting.name.upper()}"
            yield Finding("settings", setting.name, str(error), "broken", remedy)
            continue
        shown = "chosen for each query" if value.value is None else str(value.value)
        if setting.name in ("memory_limit", "store_limit") and value.value is not None:
            shown = format_bytes(value.value)
        if setting.name == "home":
            home, shown = value, value.value or "<database>.vista beside each database file"
        yield Finding("settings", setting.name, f"{shown} ({value.source})")
    names = [f"VISTA_SQL_{setting.name.upper()}" for setting in SETTINGS]
    for name in sorted(os.environ):
        if name.startswith("VISTA_SQL_") and name not in names:
            close = get_close_matches(name, names, 1)
            remedy = f"write {close[0]}" if close else "unset it"
            yield Finding("settings", name, "there is no such setting", "note", remedy)
    if home is not None and home.value is not None:
        yield from _home(Path(home.value).expanduser(), home.source)


def _home(folder: Path, source: str) -> Iterator[Finding]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = f"let {source} name a folder that can be written"
        yield Finding("settings", "home folder", f"{folder}: {error.strerror}", "broken", remedy)


def _disks() -> Iterator[Finding]:
    """Yield what the feature store and temporary files have: place, space, speed."""
    try:
        choice = store.chosen(
            Settings().value("store").value, Settings().value("store_limit").value
        )
    except (SettingError, RuntimeError):
        return  # said among the settings, or there is no home folder
    if choice.folder:
        features = store.Store(choice.folder, choice.limit_bytes)
        try:
            n_images = sum(space.images for space in features.held())
            shown = (
                f"{choice.folder}: {format_bytes(features.size_bytes())} of at most "
                f"{format_bytes(features.limit_bytes())}, "
                f"features of {n_images:,} images and layers"
            )
            yield Finding("disk", "feature store", shown)
        except StoreError as error:
            remedy = "`vista store clear`, or VISTA_SQL_STORE=<another folder>"
            yield Finding("disk", "feature store", str(error), "broken", remedy)
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    written = _write_rate(folder)
    shown = f"{folder}: {format_bytes(free)} free, written at {format_bytes(written)}/s"
    if free < LEAST_FREE_BYTES:
        remedy = "trainings and wide results spill there: free some space, or set TMPDIR"
        yield Finding("disk", "temporary files", shown, "note", remedy)
    else:
        yield Finding("disk", "temporary files", shown)


def _write_rate(folder: Path) -> float:
    """Return the bytes a second that reach a folder's disk."""
    data = os.urandom(1 << 24)
    with tempfile.TemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return len(data) / (time.perf_counter() - began)


def _calibration() -> Iterator[Finding]:
    try:
        path = calibration.file_of(Settings().value("calibration"))
    except SettingError:
        return
    if path is None:
        yield Finding("calibration", "rates", "off: plans are priced by defaults")
        return
    rates = calibration.load(path)
    if not rates.is_measured:
        shown = "not measured yet: the first statement that infers does"
        yield Finding("calibration", "rates", shown)
        return
    yield from _rates(rates)


def _rates(rates: Rates) -> Iterator[Finding]:
    def rate(value: float) -> str:
        return f"{format_bytes(value)}/s"

    yield Finding("calibration", "rates", rates.source)
    decode = format_seconds(rates.decode_seconds)
    yield Finding(
        "calibration", "decode", f"{decode} an image and {rate(rates.decode_bytes_per_second)}"
    )
    call, image = rates.kernel_call_seconds, rates.kernel_image_seconds
    shown = f"{format_seconds(call)} and {format_seconds(image)} an image"
    yield Finding("calibration", "a kernel's call", shown)
    for name, value in (
        ("rows out of DuckDB", rates.rows_bytes_per_second),
        ("features into DuckDB", rates.features_bytes_per_second),
        ("raw maps", rates.maps_bytes_per_second),
        ("store, read", rates.store_read_bytes_per_second),
        ("store, write", rates.store_write_bytes_per_second),
        ("training, a pass", rates.trainer_bytes_per_second),
    ):
        yield Finding("calibration", name, rate(value))
    for key, segments in sorted(rates.networks.items()):
        flops, seconds = max(segments.values())
        yield Finding("calibration", key, f"{1 / seconds:,.1f} images/s ({flops / 1e9:.2f} GFLOP)")


def calibrate(cnns: Sequence[str]) -> Iterator[Finding]:
    """Measure this machine and CNNs anew and keep it; yield what was found.

    Args:
        cnns: of the roster; none: those that were met here.

    Raises:
        UnknownNameError: there is no such CNN.
        SettingError: calibration is off.
    """
    from vista_sql.hosts.duckdb import measurement

    for name in cnns:
        roster.load(name)
    path = calibration.file_of(Settings().value("calibration"))
    if path is None:
        raise SettingError("calibration is off (VISTA_SQL_CALIBRATION): nothing would be kept")
    known = calibration.load(path).networks
    choice = store.chosen(Settings().value("store").value, None)
    rates = measurement.measure(choice.folder)
    rates = replace(rates, trainer_bytes_per_second=measurement.trainer_rate())
    chosen = choose(Settings().value("engine"), engines.here()).name
    asked: list[tuple[str, Dtype, Engine]] = [(name.lower(), "float32", chosen) for name in cnns]
    met = [
        (name, dtype, engine)
        for name in roster.names()
        for dtype in get_args(Dtype)
        for engine in get_args(Engine)
        if network_key(name, dtype, "auto", engine) in known and engines.is_installed(engine)
    ]
    networks = {
        network_key(name, dtype, "auto", engine): measurement.measure_network(name, dtype, engine)
        for name, dtype, engine in asked or met
    }
    calibration.save(path, replace(rates, networks={**known, **networks}))
    yield from _rates(calibration.load(path))
    yield Finding("calibration", "kept in", str(path))


def _hosts() -> Iterator[Finding]:
    """Yield the optional programs and libraries that are here."""
    version = package_version("dbt-duckdb")
    yield Finding("hosts", "dbt-duckdb", version or "not installed (for models in dbt)")
    try:
        places.check_system()
        yield Finding("hosts", "duckdb shell", str(binary.find()))
    except HostError as error:
        yield Finding("hosts", "duckdb shell", str(error))


def _weights() -> Iterator[Finding]:
    missing = []
    for name in roster.names():
        cnn = roster.load(name)
        available = weights.available(cnn)
        shown = ", ".join(available)
        if "bundled" in available:
            try:
                shown += f" (bundled: sha256 {weights.resolve(cnn, 'bundled').identity})"
            except VistaError as error:
                yield Finding("weights", name, str(error), "broken", "install vista-sql again")
                continue
        elif cnn.default_weights in cnn.weights and cnn.default_weights not in available:
            missing.append(name)
        yield Finding("weights", name, shown)
    if missing:
        remedy = (
            "a query fetches the one it needs at first use; without a network, put it into "
            f"{weights.keras_folder()}: the query's error names file and checksum"
        )
        yield Finding("weights", "not here", f"imagenet of {', '.join(missing)}", "note", remedy)


def _tensorflow() -> tuple[Any, list[Finding]]:
    """Import TensorFlow and return it (None where it cannot be) and what it says of itself."""
    name = next((name for name in TENSORFLOWS if package_version(name)), None)
    if name is None:
        if engines.is_installed("openvino"):
            shown = "not installed (pip install 'vista-sql[cpu]': for what OpenVINO cannot run)"
            return None, [Finding("TensorFlow", "tensorflow", shown)]
        remedy = "pip install 'vista-sql[openvino]', 'vista-sql[cpu]' or 'vista-sql[gpu]'"
        shown = "not installed, nor is OpenVINO"
        return None, [Finding("TensorFlow", "tensorflow", shown, "broken", remedy)]
    began = time.perf_counter()
    try:
        tensorflow, _ = catalog.module(kernels.PACKAGE, "network.engines.tensorflow.process").load()
    except Exception as error:  # whatever a damaged installation raises
        reason = f"{package_version(name)} cannot be imported: {type(error).__name__}: {error}"
        remedy = f"pip install --force-reinstall {name}=={package_version(name)}"
        return None, [Finding("TensorFlow", name, reason, "broken", remedy)]
    seconds = time.perf_counter() - began
    gpus = [device.name for device in tensorflow.config.list_physical_devices("GPU")]
    return tensorflow, [
        Finding("TensorFlow", name, f"{package_version(name)}, imported in {seconds:.1f} s"),
        Finding("TensorFlow", "Keras", package_version("keras") or "not installed"),
        Finding("TensorFlow", "GPU", ", ".join(gpus) or "none: inference runs on the CPU"),
    ]


def _openvino() -> tuple[Any, list[Finding]]:
    """Load OpenVINO and return it (None where it cannot be) and what it says of itself."""
    version = package_version("openvino")
    if version is None:
        shown = "not installed (pip install 'vista-sql[openvino]': another engine on a CPU)"
        return None, [Finding("OpenVINO", "openvino", shown)]
    began = time.perf_counter()
    try:
        core = catalog.module(kernels.PACKAGE, "network.engines.openvino.process").core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        processor = core.get_property("CPU", "FULL_DEVICE_NAME")
    except Exception as error:  # whatever a damaged installation raises
        reason = f"{version} cannot be used: {type(error).__name__}: {error}"
        remedy = f"pip install --force-reinstall openvino=={version}"
        return None, [Finding("OpenVINO", "openvino", reason, "broken", remedy)]
    seconds = time.perf_counter() - began
    shown = "float32 and bfloat16" if "BF16" in able else "float32; bfloat16 is TensorFlow's only"
    return core, [
        Finding("OpenVINO", "openvino", f"{version}, loaded in {seconds:.1f} s"),
        Finding("OpenVINO", "arithmetic", f"{shown} ({processor})"),
    ]


def _sample() -> Iterator[Finding]:
    """Decode and infer images of noise, all different, through SQL as a user would."""
    try:
        with vista_sql.connect() as session:
            session.con.register("images", _noise())
            session.con.execute("CREATE TABLE sample AS SELECT * FROM images")
            transfer = f"TRANSFER(cnn => '{SAMPLE_CNN}', images => 'sample')"
            decode = _timed(session, f"SELECT count(error) FROM {transfer}")
            infer = f"SELECT count(fc6) FROM {transfer}"
            first = _timed(session, f"{infer} WHERE id = 0")
            rest = _timed(session, infer)
    except Exception as error:  # the very thing to find out
        remedy = "run `vista --debug doctor`, and report what it shows"
        reason = f"{type(error).__name__}: {error}"
        yield Finding("sample", SAMPLE_CNN, reason, "broken", remedy)
        return
    rate = f"{SAMPLE_IMAGES / decode:,.0f} images/s"
    yield Finding("sample", "read and decode", f"{SAMPLE_IMAGES} PNG in {decode:.2f} s: {rate}")
    yield Finding("sample", "load the network", f"{SAMPLE_CNN}, and one image: {first:.2f} s")
    rate = f"{SAMPLE_IMAGES / rest:,.0f} images/s"
    yield Finding("sample", "infer", f"{SAMPLE_IMAGES} images in {rest:.2f} s: {rate}")


def _timed(session: vista_sql.Session, sql: str) -> float:
    began = time.perf_counter()
    session.query(sql).arrow()
    return time.perf_counter() - began


def _noise() -> pa.Table:
    import cv2
    import numpy as np
    import pyarrow as pa

    height, width, _ = roster.load(SAMPLE_CNN).input_shape
    pixels = np.random.default_rng(0).integers(0, 256, (SAMPLE_IMAGES, height, width), np.uint8)
    images = [cv2.imencode(".png", image)[1].tobytes() for image in pixels]
    return pa.table({"id": range(SAMPLE_IMAGES), "image": images})
