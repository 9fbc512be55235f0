"""Plan → kernel calls as data, and the SELECT over what they add: for hosts without SQL functions.

The host hands the narrow rows to the calls, one after another, and makes what comes back readable
under the name of the narrow rows: the SELECT reads it there. A call adds a column for each field of
what it returns; a raw map goes when no later call reads it.
"""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.planning.calls import PLANNED_AWAY, Calls, Input, KernelCall
from vista_sql.planning.rows import indent, reads_images
from vista_sql.planning.workload import Tap


class DataCalls(Calls):
    """The kernel calls of one plan; what the others do inside of expressions is a call, too."""

    def shape(self, rows: str) -> str:
        """Return the SELECT of what the calls make of narrow rows, NULL in place of results."""
        added = [
            f"CAST(NULL AS {'STRING' if is_text(name) else 'ARRAY<FLOAT>'}) AS {name}"
            for name in self._added()
        ]
        return f"SELECT {', '.join(['*', *added])}\nFROM (\n{indent(rows)}\n)"

    def _field(self, column: str, field: str) -> Input:
        return Input(flat(column, field))

    def _added(self) -> list[str]:
        return [
            name
            for call in self.results
            for name in columns_of(call)
            if is_text(name) or not call.makes_maps
        ]

    def _pooled(self, cnn: str, layer: str) -> str:
        call = self._pool(cnn, layer)
        self.results.append(call)
        return call.column

    def _check(self, call: int) -> str:
        """Return why an image cannot be read: what inference says, or a call that only decodes."""
        if not reads_images(self.workload):
            return "NULL"
        if not self.results:
            column = flat(self.names.result(0), "error")
            self.results.append(replace(self._check_of(call), column=column))
        first = self.results[0]
        return first.column if not first.fields else self._field(first.column, "error").sql

    def _error(self) -> str:
        return self.check

    def _called(self, source: str) -> str:
        return source  # with the calls' columns

    def _value(self, tap: Tap) -> str:
        return self._features(tap)

    def _long(self) -> list[str]:
        """Return a row for each layer: `inline` names its columns by the fields of the STRUCTs."""
        dialect, prefix = self.names.dialect, self.workload.prefix
        used = bool(self.workload.used_taps)
        structs = ", ".join(
            f"named_struct({dialect.text(prefix + 'layer')}, "
            f"{dialect.text(tap.column.removeprefix(prefix))}, "
            f"{dialect.text(prefix + 'features')}, "
            f"{self._features(tap) if used else 'CAST(NULL AS ARRAY<FLOAT>)'})"
            for tap in self.workload.taps
        )
        return [f"inline(array({structs}))"]

    def away(self, kind: str) -> str:
        """Return a column that the statement does not use; it is never evaluated."""
        del kind  # it takes part in no expression
        dialect = self.names.dialect
        return f"{dialect.raises}({dialect.text(PLANNED_AWAY)})"


def flat(column: str, field: str) -> str:
    """Return the column that a field of a call's STRUCT becomes."""
    return f"{column}_{field}"


def columns_of(call: KernelCall) -> tuple[str, ...]:
    """Return the columns that a call adds."""
    return tuple(flat(call.column, field) for field in call.fields) or (call.column,)


def is_text(column: str) -> bool:
    """Return whether a column that a call adds says why an image cannot be read."""
    return column.endswith("_error")
