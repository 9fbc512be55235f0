"""A project's query files: a comparison of layers, and predictions; for `vista run` and for dbt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vista_sql import files
from vista_sql.errors import VistaError
from vista_sql.projects.labels import Labels, Pictures
from vista_sql.projects.networks import Network
from vista_sql.sql.quoting import identifier, literal

DATABASE = "pictures.duckdb"
FOLDER = "queries"
MODEL = "pictures"  # that `compare` keeps
COMPARE, PREDICT = "compare", "predict"
_MARK = "-- Written by  "

_COMPARE = """\
-- compare: which layer of the network helps most to tell {label}?
--
-- Question  How well does a model do with the features of each layer, on pictures that training
--           did not see{beside}?
-- Tables    {tables}
-- Columns   feature_set, dims (columns it learns from), n_train, n_test, {measures},
--           is_best, warning
-- Keeps     model '{model}', a version for each run on new data
{mark}{command}
-- Change what you like, then  vista run {folder} --db {database}

{{{{ config(materialized='table') }}}}

SELECT feature_set, dims, n_train, n_test, {measures}, is_best, warning
FROM VISTA_TRAIN(
{arguments}
)
"""

_PREDICT = """\
-- predict: what the kept model takes each picture for.
--
-- Question  {question}
-- Tables    {tables}, and model '{model}' as compare keeps it
-- Other pictures: put another folder into images{structured}
{mark}{command}

{{{{ config(materialized='table') }}}}
-- depends_on: {{{{ ref('{compare}') }}}}

SELECT {columns}
FROM VISTA_PREDICT(
{arguments}
)
ORDER BY {order}
"""

_PROJECT = """\
name: vista_pictures
version: "1.0"
profile: vista_pictures
model-paths: [{folder}]
flags:
  send_anonymous_usage_stats: false
"""

_PROFILES = """\
vista_pictures:
  target: local
  outputs:
    local:
      type: duckdb
      path: {database}
      threads: 1
      plugins: [{{module: vista_sql.hosts.dbt}}]
"""


def texts(
    pictures: Pictures, labels: Labels, network: Network, command: str, place: Path
) -> dict[str, str]:
    """Return a project's files by their path in it.

    Args:
        pictures: of the folder.
        labels: what is to be learned.
        network: the CNN.
        command: the command line that begins the project.
        place: the project's folder, as a user of the shell names it.
    """
    transfer = {"images": pictures.relation, "structured": labels.table, "key": labels.key}
    training = {
        "model": MODEL,
        "label": labels.label,
        "cnn": network.cnn,
        "weights": network.weights,
        "layers": list(network.layers),
        **transfer,
        "exclude": [column for column, _ in labels.left_out] or None,
        "baselines": ["structured", "hog"] if labels.features else ["hog"],
        "trainer": "linear" if labels.is_number else None,
        "missing": "mean" if labels.has_gaps else None,
        "seed": 7,
    }
    if labels.table is None:
        training["exclude"] = None
    used = transfer if labels.features or labels.table is None else transfer
    predicting = {"model": MODEL, **used}
    label = identifier(labels.label)
    columns = [identifier(labels.key), label, "predicted_label"]
    if labels.is_number:
        order = f"abs(predicted_label - {label}) DESC"
        question = "Which pictures is the model farthest off on?"
    else:
        columns.append("probability")
        order = "probability"
        question = "Which pictures is the model least sure of, and is it wrong there?"
    words = {
        "label": labels.label,
        "beside": ", beside the columns of the table" if labels.features else "",
        "tables": f"the pictures of {pictures.folder}"
        + (f"; {labels.table} ({labels.key}, {labels.label}, …)" if labels.table else ""),
        "measures": "r2, mae, rmse" if labels.is_number else "accuracy, f1_score, lift",
        "model": MODEL,
        "mark": _MARK,
        "command": command,
        "folder": place / FOLDER,
        "database": place / DATABASE,
        "compare": COMPARE,
        "question": question,
        "structured": ", and their table into structured" if labels.table else "",
        "columns": ", ".join([*columns, "error"]),
        "order": order,
    }
    words = {name: _in_comment(str(value)) for name, value in words.items()}
    return {
        f"{FOLDER}/{COMPARE}.sql": _COMPARE.format(arguments=_arguments(training), **words),
        f"{FOLDER}/{PREDICT}.sql": _PREDICT.format(arguments=_arguments(predicting), **words),
        "dbt_project.yml": _PROJECT.format(folder=FOLDER),
        "profiles.yml": _PROFILES.format(database=DATABASE),
    }


def write(place: Path, project: Mapping[str, str]) -> list[str]:
    """Write a project's files; return those that were there and differ, which stay as they are.

    Raises:
        VistaError: a query file was begun by another command.
    """
    kept = []
    for name, text in project.items():
        path = place / name
        if not path.exists():
            continue
        found = path.read_text(encoding="utf-8", errors="replace")
        if name.endswith(".sql") and _command(found) != _command(text):
            raise VistaError(
                f"{path} was not written by this command{_of(found)}: name another place with "
                "--project FOLDER, or remove that file"
            )
        if found != text:
            kept.append(name)
    for name, text in project.items():
        if not (place / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            files.write(place / name, text)
    return kept


def _of(text: str) -> str:
    command = _command(text)
    return f" but by {command!r}" if command else ""


def _command(text: str) -> str | None:
    found = re.search(rf"^{re.escape(_MARK)}(.*)$", text, re.MULTILINE)
    return found[1] if found else None


def _arguments(values: Mapping[str, object]) -> str:
    """Return arguments a line each; those that are None stay away."""
    lines = (f"    {name} => {literal(value)}" for name, value in values.items() if value is not None)
    return _raw(",\n".join(lines))


def _in_comment(text: str) -> str:
    """Return a text as one line of a comment in Jinja."""
    return _raw(" ".join(text.split()))


def _raw(text: str) -> str:
    """Return a text so that Jinja leaves it alone."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text
