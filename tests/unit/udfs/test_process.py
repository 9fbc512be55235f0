"""TensorFlow is imported once, quietly, and used from one thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import run_python
from vista_sql.udfs.network.engines.tensorflow import process


def test_all_calls_share_one_thread():
    with ThreadPoolExecutor(4) as pool:
        names = pool.map(
            lambda _: process.on_thread(lambda: threading.current_thread().name), range(8)
        )
    (name,) = set(names)
    assert name != threading.current_thread().name
    nested = process.on_thread(lambda: process.on_thread(lambda: threading.current_thread().name))
    assert nested == name


def test_arguments_and_errors_pass_between_threads():
    assert process.on_thread(int, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        process.on_thread(int, "x")


def test_a_specs_threads_are_those_of_tensorflow(tmp_path):
    (threads,) = run_python(
        tmp_path / "script.py",
        """
        from vista_sql.kernels import InferSpec
        from vista_sql.udfs.network.engines.tensorflow import process
        from vista_sql.udfs.passes.runtime import Runtime
        Runtime().network(InferSpec("lenet5", (), threads=3))
        tf, _ = process.load()
        print(tf.config.threading.get_intra_op_parallelism_threads())
        """,
    )
    assert threads == "3"


def test_without_tensorflow_the_error_says_what_to_install(tmp_path):
    (text,) = run_python(
        tmp_path / "script.py",
        """
        from vista_sql.errors import HostError
        from vista_sql.udfs.network.engines.tensorflow import process
        try:
            process.load()
        except HostError as error:
            print(error)
        """,
        "tensorflow",
    )
    assert text.startswith("engine 'tensorflow' needs TensorFlow (No module named 'tensorflow')")
    assert "pip install 'vista-sql[cpu]'" in text
