"""A project's files: a comparison of layers and predictions, which `vista run` and dbt run."""

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
COMPARE, PREDICT = f"{FOLDER}/compare.sql", f"{FOLDER}/predict.sql"
MODEL = "pictures"  # that the comparison keeps
_WRITTEN_BY = "-- Written by  "

_COMPARE = """\
-- compare: which layer of the network tells most about {label}?
--
-- Question  How well does a model do with the features of each layer, on pictures that training
--           did not see?
-- Columns   feature_set, dims (columns it learns from), n_train, n_test (pictures), {measures},
--           is_best, warning
-- Keeps     model '{model}', a version for each run on other data or with other arguments
{written_by}{command}
-- Change what you like, and run it again:  vista run {folder} --db {database}

{{{{ config(materialized='table') }}}}

SELECT
    feature_set, dims, n_train, n_test,
    {rounded},
    is_best, warning
FROM VISTA_TRAIN(
{arguments}
)
"""

_PREDICT = """\
-- predict: what the kept model takes each picture for.
--
-- Question  {question}
-- Needs     model '{model}', which compare keeps
-- For other pictures, put their folder into images{structured}.
{written_by}{command}

{{{{ config(materialized='table') }}}}
-- depends_on: {{{{ ref('compare') }}}}

SELECT {columns}
FROM VISTA_PREDICT(
{arguments}
) AS predicted{joined}
ORDER BY {order}
"""

_DBT_PROJECT = f"""\
name: vista_pictures
version: "1.0"
profile: vista_pictures
model-paths: [{FOLDER}]
flags:
  send_anonymous_usage_stats: false
"""

_DBT_PROFILES = f"""\
vista_pictures:
  target: local
  outputs:
    local:
      type: duckdb
      path: {DATABASE}
      threads: 1
      plugins: [{{module: vista_sql.hosts.dbt}}]
"""


def texts(
    pictures: Pictures, labels: Labels, network: Network, command: str, place: Path
) -> dict[str, str]:
    """Return the text of each file of a project, by its path in the project's folder.

    Args:
        pictures: of the folder.
        labels: what is to be learned.
        network: the CNN.
        command: the command line that begins the project.
        place: the project's folder, as the user names it.
    """
    has_columns = bool(labels.features)
    training = {
        "model": MODEL,
        "label": labels.label,
        "cnn": network.cnn,
        "weights": network.weights,
        "layers": list(network.layers),
        "images": pictures.relation,
        "structured": labels.table,
        "key": "file" if labels.table else None,
        "exclude": [column for column, _ in labels.left_out] or None,
        "baselines": ["structured", "hog"] if has_columns else ["hog"],
        "trainer": "linear" if labels.is_number else None,
        "categorical": "one_hot" if labels.has_text else None,
        "missing": "mean" if labels.has_gaps else None,
        "seed": 7,
    }
    predicting = {
        "model": MODEL,
        "images": pictures.relation,
        "structured": labels.table if has_columns else None,
    }
    label = identifier(labels.label)
    columns = ["predicted.file", f"predicted.{label}", "predicted_label", "probability"]
    joined = ""
    if labels.table and not has_columns:  # it reads pictures only, so those without a row too
        columns[1] = f"{labels.table}.{label}"
        joined = f"\nLEFT JOIN {labels.table} USING (file)"
    order = f"abs(predicted_label - {columns[1]}) DESC" if labels.is_number else "probability"
    measures = ["r2", "mae", "rmse"] if labels.is_number else ["accuracy", "f1_score"]
    if has_columns and not labels.is_number:
        measures.append("lift")
    words = {
        "label": _one_line(labels.label),
        "measures": ", ".join(measures),
        "rounded": ", ".join(f"round({name}, 3) AS {name}" for name in measures),
        "model": MODEL,
        "written_by": _WRITTEN_BY,
        "command": _one_line(command),
        "folder": _one_line(str(place / FOLDER)),
        "database": _one_line(str(place / DATABASE)),
        "question": "Which pictures is the model farthest off on?"
        if labels.is_number
        else "Which pictures is the model least sure of, and is it wrong there?",
        "structured": ", and the table of their columns into structured" if has_columns else "",
        "columns": ", ".join([*columns[: 3 if labels.is_number else 4], "predicted.error"]),
        "joined": joined,
        "order": order,
    }
    return {
        COMPARE: _COMPARE.format(arguments=_arguments(training), **words),
        PREDICT: _PREDICT.format(arguments=_arguments(predicting), **words),
        "dbt_project.yml": _DBT_PROJECT,
        "profiles.yml": _DBT_PROFILES,
    }


def write(place: Path, project: Mapping[str, str]) -> list[str]:
    """Write a project's files; return those that a user has changed, which stay as they are.

    Args:
        place: the project's folder.
        project: what `texts` returned.

    Raises:
        VistaError: a query file is there that another command began; nothing is written then.
    """
    changed, absent = [], []
    for name, text in project.items():
        path = place / name
        if not path.exists():
            absent.append(path)
            continue
        found = path.read_text(encoding="utf-8", errors="replace")
        if name.endswith(".sql") and _command(found) != _command(text):
            raise VistaError(
                f"{path} was not written by this command, but by "
                f"{_command(found) or 'something else'}: name another place with --project FOLDER, "
                "or remove the file"
            )
        if found != text:
            changed.append(name)
    for path in absent:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, project[str(path.relative_to(place))])
    return changed


def _command(text: str) -> str | None:
    found = re.search(rf"^{re.escape(_WRITTEN_BY)}(.*)$", text, re.MULTILINE)
    return found[1] if found else None


def _arguments(values: Mapping[str, object]) -> str:
    """Return a call's arguments, a line each, without those that are None."""
    given = ((name, value) for name, value in values.items() if value is not None)
    return _for_jinja(",\n".join(f"    {name} => {literal(value)}" for name, value in given))


def _one_line(text: str) -> str:
    return _for_jinja(" ".join(text.split()))


def _for_jinja(text: str) -> str:
    """Return a text so that Jinja leaves it as it is."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text
