"""Plan → staged SQL: the narrow rows that are needed, then the kernel calls upon them.

The rows stand apart from the calls: a host that can hand rows to the kernels in small batches runs
`rows` by itself and reads it under `rows_name`; any other host takes `whole`, one SELECT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from vista_sql import kernels, roster
from vista_sql.kernels import InferSpec
from vista_sql.planning.plans import Infer, Plan, Sort, fused
from vista_sql.planning.workload import Relation, Tap, Workload, array_type
from vista_sql.sql.joins import ROW
from vista_sql.sql.quoting import identifier, text_literal

PLANNED_AWAY = "planned away"
"""Text of the error that an unused column raises should a statement use it after all."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The staged SQL of one TRANSFER call."""

    rows: str  # SELECT of the narrow rows: structured columns, image, key
    rows_name: str
    image_name: str  # of the column of `rows` that holds the image
    calls: str  # SELECT over the relation `rows_name`
    whole: str  # the same as one SELECT


@dataclass(frozen=True, slots=True)
class _Names:
    """The generated identifiers of one call; none needs quotes."""

    image: str
    key: str
    joined: str
    rows: str
    images: str
    structured: str
    result: str
    error: str


def stage(
    workload: Workload,
    plan: Plan,
    fresh_name: Callable[[str], str],
    *,
    run: str = "",
    folder: str = "",
) -> Staged:
    """Return the staged SQL of a planned TRANSFER call.

    Args:
        workload: what is computed.
        plan: how.
        fresh_name: makes an identifier that no user's name equals, given a role.
        run: the run that the kernels count in.
        folder: what relative image paths are relative to.
    """
    verbatim: dict[str, str] = {}

    def mark(text: str) -> str:
        marker = f"\0{len(verbatim)}\0"
        verbatim[marker] = text
        return marker

    def unmark(text: str) -> str:
        return re.sub("\0\\d+\0", lambda marker: verbatim[marker[0]], text)

    workload = _with_marks(workload, mark)
    base = fresh_name("")
    names = _Names(*(f"{base}{role}" for role in _Names.__slots__))
    before = plan.placement == "before" and workload.structured is not None
    rows = _image_rows(workload, plan, names) if before else _joined_rows(workload, plan, names)
    calls = _Calls(workload, plan, names, _base_spec(workload, plan, run, folder))
    whole = calls.select(f"(\n{_indent(rows)}\n)")
    return Staged(
        unmark(rows), names.rows, names.image, unmark(calls.select(names.rows)), unmark(whole)
    )


def narrow(workload: Workload, name: str) -> Staged:
    """Return the narrow rows of a workload, to be asked about before there is a plan.

    Args:
        workload: columns known.
        name: an identifier that no user's name equals; generated ones begin with it.
    """
    simple = Plan("fused", "after", fused.stages(workload), 1, None, 0, 0)
    return stage(workload, simple, lambda _: name)


def _with_marks(workload: Workload, mark: Callable[[str], str]) -> Workload:
    """Return the workload with marks for the user's texts, which indenting must not touch."""
    structured, needs = workload.structured, workload.needs
    return replace(
        workload,
        images=replace(workload.images, text=mark(workload.images.text)),
        structured=structured and replace(structured, text=mark(structured.text)),
        needs=replace(
            needs,
            predicates=tuple(map(mark, needs.predicates)),
            semi_joins=tuple(map(mark, needs.semi_joins)),
            order=tuple(map(mark, needs.order)),
            qualify=needs.qualify and mark(needs.qualify),
        ),
    )


def _base_spec(workload: Workload, plan: Plan, run: str, folder: str) -> InferSpec:
    found = workload.image_column is None
    return InferSpec(
        cnn=workload.cnn.name,
        layers=(),
        pool=workload.pool,
        weights=workload.weights,
        seed=workload.seed,
        dtype=workload.dtype,
        device=workload.device,
        on_error="raise" if workload.on_error == "raise" else "null",
        batch_rows=plan.batch_rows if plan.stages else None,
        threads=plan.threads,
        folder=folder,
        run=run,
        store=workload.store.folder,
        store_bytes=workload.store.limit_bytes,
        store_required=workload.store.required,
        image_key=workload.image_key if found else "",
        image_name=ASSUMED_IMAGE if found and workload.structured is None else "",
    )


ASSUMED_IMAGE = "image"
"""The image column where neither the planner can see the columns nor the statement names it."""


# ── the narrow rows ─────────────────────────────────────────────────────────────────────────────


def _image_rows(workload: Workload, plan: Plan, names: _Names) -> str:
    """Return the image relation's rows: key and image."""
    key = identifier(workload.image_key)
    text = (
        f"SELECT {names.images}.{key} AS {names.key}{_image_value(workload, names)}\n"
        f"FROM {workload.images.text} AS {names.images}"
    )
    return _sorted(text, plan, names)


def _image_value(workload: Workload, names: _Names) -> str:
    """Return the image (or, where its column is not known, the whole row) as a column."""
    if not reads_images(workload):
        return ""
    if workload.image_column is None:
        return f", {names.images} AS {names.image}"
    return f", {names.images}.{identifier(workload.image_column)} AS {names.image}"


def reads_images(workload: Workload) -> bool:
    """Return whether a call needs its images at all."""
    return bool(workload.used_taps) or workload.error_used or workload.on_error == "skip"


def _joined_rows(workload: Workload, plan: Plan, names: _Names) -> str:
    needs = workload.needs
    if workload.structured is None:
        source = _filtered(workload.images, workload, names.images)
        kept, key = names.images, identifier(workload.image_key)
    else:
        left = _filtered(workload.structured, workload, names.structured)
        join = "LEFT JOIN" if workload.join_type == "left" else "JOIN"
        kept, key = names.structured, identifier(workload.structured_key)
        source = (
            f"{left}\n{join} {workload.images.text} AS {names.images}\n"
            f"  ON {names.structured}.{key} = {names.images}.{identifier(workload.image_key)}"
        )
    columns = _kept_columns(workload)
    shown = f"{kept}.*" if columns is None else ", ".join(f"{kept}.{c}" for c in columns)
    parts = [part for part in (shown,) if part]
    if reads_images(workload):
        parts.append(f"{kept}.{key} AS {names.key}{_image_value(workload, names)}")
    text = f"SELECT {', '.join(parts) or '1 AS ' + names.key}\nFROM {source}"
    if needs.qualify:
        text = f"SELECT *\nFROM (\n{_indent(text)}\n) AS {names.joined}\nQUALIFY {needs.qualify}"
    if needs.sample:
        text = f"SELECT *\nFROM (\n{_indent(text)}\n) AS {names.joined} {needs.sample}"
    if needs.limit is not None:
        order = f"\nORDER BY {', '.join(needs.order)}" if needs.order else ""
        text = (
            f"SELECT *\nFROM (\n{_indent(text)}\n) AS {names.joined}{order}\nLIMIT {needs.limit}"
            if order
            else f"{text}\nLIMIT {needs.limit}"
        )
    return _sorted(text, plan, names)


def _sorted(text: str, plan: Plan, names: _Names) -> str:
    if not any(isinstance(stage, Sort) for stage in plan.stages):
        return text
    return f"SELECT *\nFROM (\n{_indent(text)}\n) AS {names.joined}\nORDER BY hash({names.image})"


def _filtered(relation: Relation, workload: Workload, alias: str) -> str:
    needs = workload.needs
    if not needs.conditions:
        return f"{relation.text} AS {alias}"
    conditions = " AND ".join(f"({condition})" for condition in needs.conditions)
    rows = f"{relation.text} AS {ROW}" if needs.semi_joins else relation.text
    return f"(SELECT * FROM {rows} WHERE {conditions}) AS {alias}"


def _kept_columns(workload: Workload) -> list[str] | None:
    """Return the narrow columns that the statement uses, quoted; None where unknown."""
    if workload.narrow_columns is None:
        return None
    used = workload.needs.columns
    return [
        identifier(name) for name in workload.narrow_columns if used is None or name.lower() in used
    ]


# ── the calls ───────────────────────────────────────────────────────────────────────────────────


class _Calls:
    """Prints the kernel calls of one plan over its narrow rows."""

    def __init__(self, workload: Workload, plan: Plan, names: _Names, spec: InferSpec) -> None:
        self.workload, self.names, self.spec = workload, names, spec
        self.before = plan.placement == "before" and workload.structured is not None
        self.stages = plan.stages
        self.results: dict[str, str] = {}  # column → call; each may use the columns before it
        self.features: dict[tuple[str, str], str] = {}  # CNN, layer → expression of its features
        self.maps: dict[tuple[str, str], str] = {}  # CNN, layer → expression of its raw map
        for stage in plan.stages:
            if isinstance(stage, Infer):
                self._infer(stage)
        for (cnn, name), raw in self.maps.items():
            self.features[cnn, name] = f"vista_pool({self._spec(cnn, layers=(name,))}, {raw})"
        self.check = self._check(len(self.results))
        first = next(iter(self.results), None)
        # where the statement is not known, the calls may turn out unused: the check stands alone
        self.error = (
            self.check if first is None or workload.needs.columns is None else f"{first}.error"
        )

    def _spec(self, cnn: str = "", **changes: object) -> str:
        if cnn:
            changes |= {"cnn": cnn, "weights": self.workload.weights_of(roster.load(cnn))}
        return text_literal(replace(self.spec, **changes).to_text())  # type: ignore[arg-type]

    def _key(self) -> str:
        return f"CAST({self.names.key} AS VARCHAR)"

    def _check(self, call: int) -> str:
        return f"vista_error({self._spec(call=call)}, {self.names.image}, {self._key()})"

    def _infer(self, stage: Infer) -> None:
        layers = tuple(layer.name for layer in stage.layers)
        column = f"{self.names.result}{len(self.results)}"
        if stage.start is not None:
            spec = self._spec(stage.cnn, layers=layers, start=stage.start.name)
            name = kernels.sized_name("vista_resume", len(layers))
            call = f"{name}({spec}, {self.maps[stage.cnn, stage.start.name]})"
        else:
            base = "vista_infer" if stage.form == "features" else "vista_maps"
            name = kernels.sized_name(base, len(layers))
            pixels_kept_for, pixels_taken = self._pixels(stage)
            spec = self._spec(
                stage.cnn,
                layers=layers,
                call=len(self.results),
                pixels_kept_for=pixels_kept_for,
                pixels_taken=pixels_taken,
                base=None if stage.base is None else stage.base.name,
                materialize=tuple(layer.name for layer in stage.keep),
            )
            call = f"{name}({spec}, {self.names.image}, {self._key()})"
        self.results[column] = call
        values = self.features if stage.form == "features" else self.maps
        values |= {(stage.cnn, n): f"{column}.l{slot}" for slot, n in enumerate(layers, 1)}

    def _pixels(self, stage: Infer) -> tuple[int, bool]:
        """Return how many later calls need a call's pixels, and whether an earlier one has them.

        Only calls of different CNNs share them; the passes of one CNN are what its plan says.
        """
        first: dict[str, tuple[object, ...]] = {}
        for other in self.stages:
            if isinstance(other, Infer) and other.start is None and other.cnn not in first:
                cnn = roster.load(other.cnn) if other.cnn else self.workload.cnn
                first[other.cnn] = (cnn.input_shape, cnn.preprocessing.order)
        alike = [name for name, shape in first.items() if shape == first[stage.cnn]]
        passes = [s for s in self.stages if isinstance(s, Infer) and s.start is None]
        if len(alike) == 1 or len(passes) > len(first):
            return 0, False
        return (len(alike) - 1, False) if alike[0] == stage.cnn else (0, True)

    def select(self, rows: str) -> str:
        """Return the SELECT over `rows`, text that can stand after FROM."""
        source = f"{rows} AS {self.names.rows}"
        for column, call in self.results.items():
            level = f"SELECT *, {call} AS {column}\nFROM {source}"
            source = f"(\n{_indent(level)}\n) AS {self.names.rows}"
        error = self.error
        if self.before:
            source = self._joined(source)
            error = self.names.error
        skips = self.workload.on_error == "skip"
        shown = error
        if skips and error == self.check:  # DuckDB makes both calls, this one of fewer rows
            shown = self._check(len(self.results) + 1)
        text = f"SELECT\n{_indent(self._select_list(shown))}\nFROM {source}"
        return text + (f"\nWHERE {error} IS NULL" if skips else "")

    def _joined(self, inferred: str) -> str:
        """Return the structured relation joined with the images' results, as a relation."""
        names, workload = self.names, self.workload
        assert workload.structured is not None  # noqa: S101  (self.before says so)
        error = [f"{self.error} AS {names.error}"] if reads_images(workload) else []
        inner = f"SELECT {', '.join([names.key, *self.results, *error])}\nFROM {inferred}"
        results = [*self.results, names.error] if error else [*self.results]
        shown = ", ".join([f"{names.structured}.*", *(f"{names.joined}.{r}" for r in results)])
        join = "LEFT JOIN" if workload.join_type == "left" else "JOIN"
        key = (
            f"{names.structured}.{identifier(workload.structured_key)} = {names.joined}.{names.key}"
        )
        outer = (
            f"SELECT {shown}\nFROM {_filtered(workload.structured, workload, names.structured)}\n"
            f"{join} (\n{_indent(inner)}\n) AS {names.joined}\n  ON {key}"
        )
        sample = f" {workload.needs.sample}" if workload.needs.sample else ""
        return f"(\n{_indent(outer)}\n) AS {names.rows}{sample}"

    def _select_list(self, error: str) -> str:
        """Return the select list: the narrow columns, then those that TRANSFER adds."""
        workload = self.workload
        narrow = self._narrow()
        if not workload.error_used:
            error = _away("VARCHAR")
        added = self._long() if workload.format == "long" else self._wide()
        return ",\n".join([*narrow, *added, f"{error} AS {identifier(workload.error_column)}"])

    def _narrow(self) -> list[str]:
        workload, names = self.workload, self.names
        if workload.narrow_columns is not None:
            kept = _kept_columns(workload) or []
            return [
                name if (name := identifier(column)) in kept else f"{_away(kind)} AS {name}"
                for column, kind in workload.narrow_columns.items()
            ]
        hidden = [names.image, names.key, names.error, *self.results]
        if workload.structured is None:
            hidden.append(workload.image_column or ASSUMED_IMAGE)
        added = text_literal(json.dumps(list(workload.added_columns)))
        return [f"COLUMNS(lambda c: vista_kept(c, {added}, {text_literal(json.dumps(hidden))}))"]

    def _wide(self) -> list[str]:
        used = {tap.column for tap in self.workload.used_taps}
        return [
            f"{self._value(tap) if tap.column in used else _away(array_type(tap.values))} "
            f"AS {identifier(tap.column)}"
            for tap in self.workload.taps
        ]

    def _value(self, tap: Tap) -> str:
        return f"CAST({self._features(tap)} AS {array_type(tap.values)})"

    def _features(self, tap: Tap) -> str:
        return self.features["" if tap.cnn is None else tap.cnn.name, tap.layer.name]

    def _long(self) -> list[str]:
        taps, prefix = self.workload.taps, self.workload.prefix
        layers = ", ".join(text_literal(tap.column.removeprefix(prefix)) for tap in taps)
        features = _away("FLOAT[]")
        if self.workload.used_taps:
            features = f"unnest([{', '.join(map(self._features, taps))}])"
        return [
            f"unnest([{layers}]) AS {identifier(prefix + 'layer')}",
            f"{features} AS {identifier(prefix + 'features')}",
        ]


def _away(kind: str) -> str:
    """Return a column of type `kind` that the statement does not use; it is never evaluated."""
    return f"CAST(error({text_literal(PLANNED_AWAY)}) AS {kind})"


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
