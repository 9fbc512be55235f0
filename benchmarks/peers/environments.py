"""Which Python runs a peer, what it must be able to import, and how long its script is."""

from __future__ import annotations

import ast
import subprocess
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
REQUIREMENTS = HERE / "requirements"


@dataclass(frozen=True)
class Peer:
    """A tool, the folder of its scripts, and where it is installed.

    `venv` is None where it runs in the Python that runs the benchmark, as its dependencies allow.
    """

    name: str
    title: str
    folder: str
    modules: tuple[str, ...]
    venv: str | None = None


PEERS = {
    peer.name: peer
    for peer in (
        Peer("vista", "vista_sql", "vista", ("vista_sql", "openvino")),
        Peer("openvino", "OpenVINO by hand", "openvino_by_hand", ("openvino", "cv2", "sklearn")),
        Peer("daft", "Daft", "daft_frames", ("daft", "openvino", "cv2", "sklearn"), "daft"),
        Peer(
            "pixeltable",
            "Pixeltable",
            "pixeltable_tables",
            ("pixeltable", "openvino"),
            "pixeltable",
        ),
        Peer("tfdata", "tf.data, Keras", "tf_data", ("tensorflow", "keras")),
        Peer("torch", "torch.compile", "torch_compile", ("torch", "cv2", "sklearn"), "torch"),
        Peer("duckdb", "DuckDB, a Python function", "duckdb_function", ("duckdb", "openvino")),
        Peer("pyspark", "PySpark mapInArrow", "pyspark_arrow", ("pyspark", "openvino")),
        Peer("keras", "Keras, a layer at a time", "keras_layers", ("tensorflow", "keras")),
    )
}


def python_of(peer: Peer, venvs: Path | None, *, make: bool) -> tuple[str | None, str]:
    """Return the Python that runs a peer, and None with the reason where none can."""
    python = sys.executable
    if peer.venv is not None and venvs is not None:
        folder = venvs / peer.venv
        python = str(folder / "bin" / "python")
        if not Path(python).exists():
            if not make:
                return None, f"there is no {folder}; --make-venvs makes it"
            _make(folder, REQUIREMENTS / f"{peer.venv}.txt")
    wanted = " or ".join(f"find_spec({name!r}) is None" for name in peer.modules)
    code = f"from importlib.util import find_spec; raise SystemExit({wanted})"
    if subprocess.run([python, "-c", code], check=False).returncode:
        return None, f"not installed: one of {', '.join(peer.modules)}"
    return python, ""


def _make(folder: Path, requirements: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", "-r", str(requirements)]
    subprocess.run(pip, check=True)


def code_lines(script: Path) -> int:
    """Return the lines that hold code, no comments, docstrings or empty lines.

    They are the script's and those of modules beside it that it imports; but not of `network`,
    which stands for what a library would bring.
    """
    tree = ast.parse(script.read_text())
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    beside = [path for name in names if (path := script.with_name(f"{name}.py")).exists()]
    below = sum(code_lines(path) for path in beside if path.stem != "network")
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            first = node.body[0]
            told |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    silent |= {tokenize.ENCODING, tokenize.ENDMARKER}
    lines: set[int] = set()
    with script.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type not in silent:
                lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - told) + below
