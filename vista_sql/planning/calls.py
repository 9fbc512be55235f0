"""Plan → the SELECT of kernel calls over the narrow rows, as DuckDB writes it."""

from __future__ import annotations

import json
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import kernels, roster
from vista_sql.kernels import InferSpec
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.plans import Infer, Pool, Sort
from vista_sql.planning.rows import (
    Identifiers,
    filtered,
    indent,
    join,
    join_hint,
    reads_images,
    used_columns,
)
from vista_sql.planning.travel import NO_WAYS, Ways, key_type
from vista_sql.planning.workload import Tap, Workload, array_type
from vista_sql.roster import Cnn
from vista_sql.sql.quoting import text_literal

PLANNED_AWAY = "planned away"
"""Text of the error that an unused column raises should a statement use it after all."""

ASSUMED_IMAGE = "image"
"""The image column where neither the planner can see the columns nor the statement names it."""


def base_spec(workload: Workload, *, run: str, folder: str, gate: str) -> InferSpec:
    """Return what all kernel calls of a TRANSFER have in common; `layers` are each call's own."""
    is_row = workload.image_column is None  # the image arrives as a whole row of its relation
    return InferSpec(
        cnn=workload.cnn.name,
        layers=(),
        pool=workload.pool,
        weights=workload.weights,
        seed=workload.seed,
        dtype=workload.dtype,
        device=workload.device,
        engine=workload.engine.name,
        region=workload.region,
        resize=workload.resize,
        fit=workload.fit,
        on_error="raise" if workload.on_error == "raise" else "null",
        folder=folder,
        schemes=workload.schemes,
        run=run,
        store=workload.store.folder,
        store_bytes=workload.store.limit_bytes,
        store_required=workload.store.required,
        image_key="" if workload.is_image_sure and not is_row else workload.image_key,
        image_name=ASSUMED_IMAGE if is_row and workload.structured is None else "",
        gate=gate,
        **_pixels_said(workload.cnn),
    )


def _pixels_said(cnn: Cnn) -> dict[str, Any]:
    """Return what of a spec says how an `.onnx` file takes its images; other networks know it."""
    pixels, is_onnx = cnn.preprocessing, roster.kind_of_file(cnn.name) == "onnx"
    said = (pixels.mean, pixels.scale, pixels.order) if is_onnx else ((), (), "")
    return dict(zip(("mean", "scale", "channels"), said, strict=True))


class Input(Struct, frozen=True):
    """What goes into a call: a column of the rows, or a field of what a call before it added."""

    column: str
    field: str = ""  # of the column's STRUCT; "": the column itself
    is_text: bool = False  # it is cast to text

    @property
    def sql(self) -> str:
        """The value as an expression."""
        value = f"{self.column}.{self.field}" if self.field else self.column
        return f"CAST({value} AS VARCHAR)" if self.is_text else value


class KernelCall(Struct, frozen=True):
    """A call of a kernel as data, for hosts that do not call kernels in SQL."""

    column: str  # that it adds to the rows: a STRUCT of `l1`, `l2`, … and, from images, `error`
    kernel: str
    spec: InferSpec
    inputs: tuple[Input, ...]
    base: str = ""  # the column of raw maps of the spec's base; "": there is none

    @property
    def makes_maps(self) -> bool:
        """Whether it makes raw maps, for a later call."""
        return self.kernel.startswith(("vista_maps", "vista_resume"))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the STRUCT that it returns, as far as they are used; (): no STRUCT."""
        if not self.makes_maps and not self.kernel.startswith("vista_infer"):
            return ()
        slots = [f"l{slot}" for slot, _ in enumerate(self.spec.layers, 1)]
        return tuple(slots if self.kernel.startswith("vista_resume") else [*slots, "error"])

    @property
    def sql(self) -> str:
        """The call as an expression."""
        inputs = ", ".join(value.sql for value in self.inputs)
        return f"{self.kernel}({text_literal(self.spec.to_text())}, {inputs})"


class Calls:
    """The kernel calls of one plan; `select` prints them over a relation of narrow rows."""

    def __init__(
        self,
        workload: Workload,
        plan: Plan,
        names: Identifiers,
        spec: InferSpec,
    ) -> None:
        """Write the calls, stage by stage.

        Args:
            workload: what is computed.
            plan: where inference stands to the join, its stages, micro-batch and threads.
            names: of the generated columns and relations.
            spec: what all calls have in common.
        """
        chosen = plan.chosen
        batch_rows = chosen.batch_rows if plan.infers else None
        self.spec = replace(spec, batch_rows=batch_rows, threads=plan.threads)
        self.workload, self.names = workload, names
        self.before = chosen.placement == "before" and workload.has_placements
        self.join = plan.distribution.join if plan.distribution else None
        self.passes = [s for s in chosen.stages if isinstance(s, Infer) and s.start is None]
        self.results: list[KernelCall] = []  # each may use the columns of those before it
        self.features: dict[tuple[str, str], str] = {}  # CNN, layer → expression of its features
        self.maps: dict[tuple[str, str], Input] = {}  # CNN, layer → its raw map
        for stage in chosen.stages:
            match stage:
                case Infer():
                    self._infer(stage)
                case Pool(layer, cnn):
                    self.features[cnn, layer.name] = self._pooled(cnn, layer.name)
                case Sort():
                    pass  # of the narrow rows
                case _:
                    assert_never(stage)
        self.check = self._check(len(self.results))
        self.error = self._error()

    def _error(self) -> str:
        """Return why an image could not be read, as an expression."""
        # where the statement is not known, the calls may turn out unused: the check stands alone
        if not self.results or self.workload.needs.columns is None:
            return self.check
        return self._field(self.results[0].column, "error").sql

    def _of(self, cnn: str) -> InferSpec:
        """Return the common spec for a CNN, "" for the call's own."""
        if not cnn:
            return self.spec
        own = self.workload.cnn_named(cnn)
        weights = self.workload.weights_of(own)
        return replace(self.spec, cnn=cnn, weights=weights, **_pixels_said(own))

    def _pool(self, cnn: str, layer: str) -> KernelCall:
        """Return the call that pools a layer's raw map."""
        spec = replace(self._of(cnn), layers=(layer,), gate="")
        column = self.names.result(len(self.results))
        return KernelCall(column, "vista_pool", spec, (self.maps[cnn, layer],))

    def _pooled(self, cnn: str, layer: str) -> str:
        """Return the features of a layer whose raw map is there, as an expression."""
        return self._pool(cnn, layer).sql

    def _field(self, column: str, field: str) -> Input:
        """Return a field of what a call added."""
        return Input(column, field)

    def _added(self) -> list[str]:
        """Return the columns that the calls add."""
        return [call.column for call in self.results]

    def _images(self) -> tuple[Input, ...]:
        """Return the columns of the rows that say what is seen: image, key, and box."""
        box = () if self.workload.region is None else (Input(self.names.box),)
        return Input(self.names.image), Input(self.names.key, is_text=True), *box

    def _check_of(self, call: int) -> KernelCall:
        """Return the call that decodes without inferring."""
        spec = replace(self.spec, call=call)
        column = self.names.result(len(self.results))
        return KernelCall(column, "vista_error", spec, self._images())

    def _check(self, call: int) -> str:
        """Return why an image cannot be read, as an expression."""
        return self._check_of(call).sql

    def _infer(self, stage: Infer) -> None:
        layers = tuple(layer.name for layer in stage.layers)
        column, base_maps = self.names.result(len(self.results)), ""
        spec = replace(self._of(stage.cnn), layers=layers)
        if stage.start is not None:
            spec = replace(spec, start=stage.start.name, gate="")  # images are read before
            kernel = kernels.sized_name("vista_resume", len(layers))
            inputs: tuple[Input, ...] = (self.maps[stage.cnn, stage.start.name],)
        else:
            base = "vista_infer" if stage.form == "features" else "vista_maps"
            kernel = kernels.sized_name(base, len(layers))
            inputs = self._images()
            if self.workload.base is not None and not stage.cnn:
                base_maps = self.names.map
            kept_for, taken = self._pixels(stage)
            spec = replace(
                spec,
                call=len(self.results),
                pixels_kept_for=kept_for,
                pixels_taken=taken,
                base=None if stage.base is None else stage.base.name,
                materialize=tuple(layer.name for layer in stage.materialize),
                lends=stage.lends,
                borrows=stage.borrows,
            )
        self.results.append(KernelCall(column, kernel, spec, inputs, base_maps))
        made = {(stage.cnn, n): self._field(column, f"l{slot}") for slot, n in enumerate(layers, 1)}
        if stage.form == "maps":
            self.maps |= made
        else:
            self.features |= {layer: value.sql for layer, value in made.items()}

    def _pixels(self, stage: Infer) -> tuple[int, bool]:
        """Return how many later calls need a call's pixels, and whether an earlier one has them.

        Only calls of different CNNs share them; the passes of one CNN are what its plan says.
        """
        if stage.borrows:
            return 0, False
        inputs: dict[str, tuple[object, ...]] = {}  # CNN → the kind of pixels that it takes
        passes = [other for other in self.passes if not other.borrows]
        for other in passes:
            cnn = self.workload.cnn_named(other.cnn)
            taken = self.workload.preprocessing_of(cnn)
            inputs[other.cnn] = (cnn.input_shape, taken.order, taken.framing)
        alike = [name for name, kind in inputs.items() if kind == inputs[stage.cnn]]
        if len(alike) == 1 or len(passes) > len(inputs):
            return 0, False
        return (len(alike) - 1, False) if alike[0] == stage.cnn else (0, True)

    def select(self, rows: str, ways: Ways = NO_WAYS) -> str:
        """Return the SELECT over `rows`, text that can stand after FROM; what came as text is cast.

        Args:
            rows: the narrow rows.
            ways: how they came.
        """
        source = self._called(f"{rows} AS {self.names.rows}")
        error = self.error
        if self.before:
            source = self._joined(source, ways)
            error = self.names.error
        skips = self.workload.on_error == "skip"
        shown = error
        if skips and error == self.check:  # DuckDB makes both calls, this one of fewer rows
            shown = self._check(len(self.results) + 1)
        text = f"SELECT\n{indent(self._select_list(shown, ways))}\nFROM {source}"
        return text + (f"\nWHERE {error} IS NULL" if skips else "")

    def _called(self, source: str) -> str:
        """Return rows with a column more for each call, as a relation."""
        for call in self.results:
            level = f"SELECT *, {call.sql} AS {call.column}\nFROM {source}"
            source = f"(\n{indent(level)}\n) AS {self.names.rows}"
        return source

    def _joined(self, inferred: str, ways: Ways) -> str:
        """Return the structured relation joined with the images' results, as a relation."""
        names, workload = self.names, self.workload
        assert workload.structured is not None  # noqa: S101  (self.before says so)
        error = [f"{self.error} AS {names.error}"] if reads_images(workload) else []
        columns = self._added()
        inner = f"SELECT {', '.join([names.key, *columns, *error])}\nFROM {inferred}"
        results = [*columns, names.error] if error else columns
        shown = ", ".join([f"{names.structured}.*", *(f"{names.joined}.{r}" for r in results)])
        key = f"{names.joined}.{names.key}"
        if ways.key == "as text":
            key = f"CAST({key} AS {key_type(workload, before=True)})"
        key = f"{names.structured}.{self.quoted(workload.structured_key)} = {key}"
        hint = join_hint(self.join, names.structured)
        outer = (
            f"SELECT {hint}{shown}\n"
            f"FROM {filtered(workload.structured, workload, names.structured)}\n"
            f"{join(workload)} (\n{indent(inner)}\n) AS {names.joined}\n  ON {key}"
        )
        sample = f" {workload.needs.sample}" if workload.needs.sample else ""
        return f"(\n{indent(outer)}\n) AS {names.rows}{sample}"

    def _select_list(self, error: str, ways: Ways) -> str:
        """Return the select list: the narrow columns, then those that TRANSFER adds."""
        workload = self.workload
        narrow = self._narrow(ways)
        if not workload.error_used:
            error = self.away("VARCHAR")
        added = self._long() if workload.format == "long" else self._wide()
        return ",\n".join([*narrow, *added, f"{error} AS {self.quoted(workload.error_column)}"])

    def _narrow(self, ways: Ways) -> list[str]:
        workload, names = self.workload, self.names
        if workload.narrow_columns is not None:
            kept = used_columns(workload, names) or []
            shown = []
            for column, kind in workload.narrow_columns.items():
                name = self.quoted(column)
                if name not in kept:
                    name = f"{self.away(kind)} AS {name}"
                elif ways.columns.get(column) == "as text":
                    name = f"CAST({name} AS {kind}) AS {name}"
                shown.append(name)
            return shown
        hidden = [names.image, names.key, names.error, *(call.column for call in self.results)]
        if workload.region is not None:
            hidden += [names.box, workload.box_column]
        if workload.structured is None and workload.image_column != workload.image_key:
            hidden.append(workload.image_column or ASSUMED_IMAGE)
        is_row = workload.image_column is None
        if workload.structured is None and not workload.prefix:
            hidden += [kernels.REASON] if is_row or workload.reason_column else []
        added = text_literal(json.dumps(list(workload.added_columns)))
        return [f"COLUMNS(lambda c: vista_kept(c, {added}, {text_literal(json.dumps(hidden))}))"]

    def _wide(self) -> list[str]:
        used = {tap.column for tap in self.workload.used_taps}
        return [
            f"{self._value(tap) if tap.column in used else self.away(array_type(tap.values))} "
            f"AS {self.quoted(tap.column)}"
            for tap in self.workload.taps
        ]

    def _value(self, tap: Tap) -> str:
        return f"CAST({self._features(tap)} AS {array_type(tap.values)})"

    def _features(self, tap: Tap) -> str:
        return self.features["" if tap.cnn is None else tap.cnn.name, tap.layer.name]

    def _long(self) -> list[str]:
        taps, prefix = self.workload.taps, self.workload.prefix
        layers = ", ".join(text_literal(tap.column.removeprefix(prefix)) for tap in taps)
        features = self.away("FLOAT[]")
        if self.workload.used_taps:
            features = f"unnest([{', '.join(map(self._features, taps))}])"
        return [
            f"unnest([{layers}]) AS {self.quoted(prefix + 'layer')}",
            f"{features} AS {self.quoted(prefix + 'features')}",
        ]

    def quoted(self, name: str) -> str:
        """Return a name as an identifier of the dialect."""
        return self.names.dialect.identifier(name)

    def away(self, kind: str) -> str:
        """Return a column of type `kind` that the statement does not use; it is never evaluated."""
        return f"CAST(error({text_literal(PLANNED_AWAY)}) AS {kind})"
