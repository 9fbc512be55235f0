"""Give the TRANSFER in a query's text one more layer, and let every SELECT above pass it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from vista_sql.errors import QueryError
from vista_sql.sql import parse
from vista_sql.sql.calls import Call
from vista_sql.sql.parse import DIALECT, Unresolved


def widened(text: str, layer: str, layers_of: Callable[[Call], Sequence[str]]) -> tuple[str, str]:
    """Return a query with one more layer in its first TRANSFER, and that layer's column.

    Args:
        text: a relation, as the user wrote it.
        layer: the layer; a call that names it already stays as it is.
        layers_of: returns the names of the layers of a call that counts them, or leaves them out.

    Raises:
        QueryError: there is no TRANSFER in the text, or its rows do not come through one by one.
    """
    cleaned = parse.clean_relation(text)
    statement = parse.parse(cleaned[1:-1])[0] if cleaned.startswith("(") else None
    calls = statement.calls if statement is not None else ()
    transfer = next((part for part in calls if part.call.function == "transfer"), None)
    if transfer is None or statement is None or statement.tree is None:
        raise QueryError("there is none")
    call = transfer.call
    if _written(call, "format") not in (None, "wide"):
        raise QueryError("its format is not 'wide'")
    layers = call.values.get("layers")
    if isinstance(layers, Unresolved):
        raise QueryError(f"its layers are {layers.sql}, not written out")
    names = call.get("layers")
    if names is None or isinstance(names[0], int):
        names = layers_of(call)
    column = f"{_written(call, 'prefix') or ''}{layer}"
    if layer not in [name.lower() for name in names]:
        _set_layers(transfer.node, [*names, layer])
    _pass_on(transfer.node, column, statement.tree)
    return statement.tree.sql(DIALECT, comments=False), column


def _written(call: Call, argument: str) -> str | None:
    """Return the value of an argument that is text, None where only the host can tell it."""
    if isinstance(call.values.get(argument), Unresolved):
        return None
    value: str | None = call.get(argument)
    return value


def _set_layers(table: exp.Table, names: Sequence[str]) -> None:
    """Give a call's argument `layers` another value."""
    value = exp.Array(expressions=[exp.Literal.string(name) for name in names])
    arguments = table.this.expressions
    for position, argument in enumerate(arguments):
        if isinstance(argument, (exp.Kwarg, exp.PropertyEQ)):
            if argument.this.name.lower() == "layers":
                argument.set("expression", value)
                return
        elif position == 1:
            argument.replace(value)
            return
    table.this.append("expressions", exp.Kwarg(this=exp.var("layers"), expression=value))


def _pass_on(table: exp.Table, column: str, tree: exp.Expr) -> None:
    """Add a column of `table` to each SELECT between it and the whole query that has no star."""
    source: exp.Expr = table
    alias = table.alias or "transfer"
    while True:
        select = source.find_ancestor(exp.Select)
        if select is None or not isinstance(source.parent, (exp.From, exp.Join)):
            raise QueryError("its rows do not come through")
        combined = select.args.get("group") or select.args.get("distinct")
        if combined or any(_aggregates(shown) for shown in select.expressions):
            raise QueryError("a SELECT above it combines its rows")
        if not any(_passes(shown, alias, column) for shown in select.expressions):
            select.append("expressions", exp.column(column, alias or None, quoted=True))
        above = select.parent
        while isinstance(above, exp.Subquery) and above.parent is not None and not above.alias:
            if isinstance(above.parent, (exp.From, exp.Join)):
                break
            above = above.parent
        if above is None or (isinstance(above, exp.Subquery) and above.parent is None):
            return
        if isinstance(above, exp.Subquery):
            source, alias = above, above.alias
        elif isinstance(above, exp.CTE):
            name = above.alias.lower()
            users = [t for t in tree.find_all(exp.Table) if t.name.lower() == name]
            if len(users) != 1:
                raise QueryError(f"{above.alias} is read {len(users)} times")
            source, alias = users[0], users[0].alias or above.alias
        else:
            raise QueryError("its rows do not come through")


def _passes(shown: exp.Expr, alias: str, column: str) -> bool:
    if isinstance(shown, exp.Star) or shown.alias_or_name.lower() == column.lower():
        return True
    return isinstance(shown, exp.Column) and (
        isinstance(shown.this, exp.Star) and shown.table.lower() in ("", alias.lower())
    )


def _aggregates(shown: exp.Expr) -> bool:
    return any(
        found.find_ancestor(exp.Window, exp.Subquery) is None
        for found in shown.find_all(exp.AggFunc)
    )
