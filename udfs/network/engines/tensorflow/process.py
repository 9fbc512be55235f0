"""The only place that imports TensorFlow: environment first, then the import, then its threads.

oneDNN stays on. `TF_ONEDNN_ASSUME_FROZEN_WEIGHTS` is left alone: it would freeze the weights of
every convolution of the process, a user's own training included; `ops` marks ours as constant.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeAlias, TypeVar

from vista_sql.errors import HostError
from vista_sql.machine.resources import cores, package_version

T = TypeVar("T")
P = ParamSpec("P")

Tensor: TypeAlias = Any
"""A tf.Tensor, eager or symbolic."""
Module: TypeAlias = Any
"""The module `tensorflow` or `keras`; their types are not spelled out, they import too slowly."""

_NOISE = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:|"
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] )"
)
_lock = threading.Lock()
_loaded: list[tuple[int, Module, Module]] = []  # at most one: the process, TensorFlow, Keras

_THREAD = "vista-tensorflow"
_executor = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)  # its thread starts at the first use


def load(threads: int | None = None) -> tuple[Module, Module]:
    """Import TensorFlow and Keras once and return (tensorflow, keras); prints nothing.

    Args:
        threads: threads of one operation; only the first call in a process can set them, and none
            can where the host program itself used TensorFlow before. None: one per core.
    """
    with _lock:
        if not _loaded:
            _loaded.append((os.getpid(), *_import(threads)))
        return _loaded[0][1:]


def is_here() -> bool:
    """Return whether Keras is imported over TensorFlow, by `load` or by the host program."""
    backend = getattr(sys.modules.get("keras"), "backend", None)  # None while it is imported
    return "tensorflow" in sys.modules and backend is not None and backend.backend() == "tensorflow"


def on_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Run a function in the one thread of this process that uses TensorFlow; return its result.

    An engine calls kernels from threads that are not Python's: their thread states end with each
    call, while TensorFlow's bindings keep the state that they met first. Used from there directly,
    it crashed in about one run of four.
    """
    if _loaded and _loaded[0][0] != os.getpid():
        raise HostError(
            "TensorFlow was loaded before this process was forked, and cannot be used in it: start "
            "processes with multiprocessing.get_context('spawn'), or infer in the first one"
        )
    if threading.current_thread().name.startswith(_THREAD):
        return function(*arguments, **options)
    return _executor.submit(function, *arguments, **options).result()


def _import(threads: int | None) -> tuple[Module, Module]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import keras
            import tensorflow as tf
        except ModuleNotFoundError as error:
            other = "or engine => 'openvino', which is installed"
            if package_version("openvino") is None:
                other = "or 'vista-sql[openvino]' to do without"
            raise HostError(
                f"engine 'tensorflow' needs TensorFlow ({error}): pip install 'vista-sql[cpu]', "
                f"'vista-sql[gpu]' for an NVIDIA GPU, {other}"
            ) from error

        try:
            tf.config.threading.set_inter_op_parallelism_threads(1)
            tf.config.threading.set_intra_op_parallelism_threads(threads or cores())
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
            tf.config.list_logical_devices()  # starts the runtime, which logs, in here
        except (RuntimeError, ValueError):
            pass  # the host program started TensorFlow before; its threads stay as they are
    return tf, keras


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what native code writes to stderr; pass on afterwards all but TensorFlow's chatter.

    TensorFlow's start-up lines ignore its own log level, hence the detour at the descriptor.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no stderr at all
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held.read().decode("utf-8", "replace").splitlines(keepends=True):
                if not _NOISE.match(line):
                    sys.stderr.write(line)
