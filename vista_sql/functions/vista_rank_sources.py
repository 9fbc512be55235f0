"""VISTA_RANK_SOURCES: which network and layer will transfer best? Told without training."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import models, roster
from vista_sql.functions import _own_transfer, transfer, vista_compare, vista_train
from vista_sql.functions._own_transfer import Source
from vista_sql.planning import workload
from vista_sql.ranking.spec import SOURCES, Network, RankSpec
from vista_sql.roster import Cnn
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Flag, Names, RelationText
from vista_sql.sql.quoting import identifier, text_literal

TRANSFER = transfer.FUNCTION.argument

OF_CNN = ("random", "imagenet")
"""Weights that a call gives to every CNN; others are of the first."""

COLUMNS = "cnn, weights, mean, n"
"""Of the relation of sources."""


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that transfers and scores, a row per layer, best first."""
    cnns = vista_compare.cnns_of(call)
    layers = vista_compare.layers_of(call, cnns)
    training = vista_compare.training_call(call)
    feeding = planner.feeding(training)
    run = planner.new_run()
    networks: list[Network] = []
    relations: dict[str, str] = {}
    transfers: list[Call] = []
    for place, weights in enumerate(dict.fromkeys(call.get("weights") or (None,))):
        known = {(network.cnn, network.weights) for network in networks}
        others = [c for c in cnns if (c.name, _weights_of(c, cnns, weights)) not in known]
        one = _OfWeights(call, cnns, others, layers, weights, f"r{place}")
        source = Source(training, one.transfer())
        relations[one.relation] = one.with_heads(source.relation(feeding), planner)
        networks += one.networks
        transfers.append(source.own or training)
    spec = vista_train.spec_of(Source(training, transfers[0]), planner)
    hidden = [n.classifier for n in networks if n.classifier not in _columns_of(networks)]
    spec = replace(
        spec, home="", run="", provenance={},
        exclude=(*spec.exclude, *dict.fromkeys(name for name in hidden if name is not None)),
    )  # fmt: skip
    if call.get("sources") is not None:
        given = planner.relation(call.get("sources"), call, "sources")
        relations[SOURCES] = f"(SELECT {COLUMNS} FROM {given})"
    called = {cnn.name: _called(cnn, call, planner) for cnn in cnns}
    shown_networks = tuple(
        replace(n, cnn=called[n.cnn], weights=called.get(n.weights, n.weights)) for n in networks
    )
    order = RankSpec(shown_networks, spec, call.get("trained"), run)
    shown = "*" if call.get("trained") else "* EXCLUDE (f1_score, regret)"
    return _streamed(order.to_text(), relations, planner, shown)


def _called(cnn: Cnn, call: Call, planner: Planner) -> str:
    """Return what rows, and sources, call a network: a file as the call names it."""
    own = models.reference_of(planner.home, cnn.name)
    if own is not None or not roster.kind_of_file(cnn.name):
        return own or cnn.name
    names: tuple[str, ...] = call.get("cnn")
    return next(name for name in names if workload.named_cnn(call, name).name == cnn.name)


def _columns_of(networks: list[Network]) -> set[str]:
    return {column for network in networks for _, column in network.layers}


class _OfWeights(Struct):
    """The networks of a call with one choice of weights: one TRANSFER brings the layers of all."""

    call: Call
    all_cnns: list[Cnn]  # of the call
    cnns: list[Cnn]  # those that have not been there with these weights
    layers: list[tuple[Cnn, str]]
    weights: str | None
    relation: str

    def column(self, cnn: Cnn, layer: str) -> str:
        return vista_compare.column_of(cnn, layer, self.all_cnns)

    def own(self, cnn: Cnn) -> list[str]:
        """Return a CNN's layers that are ranked."""
        return [name for other, name in self.layers if other.name == cnn.name]

    def transfer(self) -> Call:
        """Return the TRANSFER: the layers, and last ones that no layer among them leads to."""
        columns = [self.column(cnn, layer) for cnn in self.cnns for layer in self.own(cnn)]
        for cnn in self.cnns:
            last = _classifier(cnn)
            if last is not None and self._start(cnn, last) is None:
                columns.append(self.column(cnn, last))
        more = {} if self.weights is None else {"weights": self.weights}
        return vista_compare.transfer_of(self.call, self.cnns, columns, **more)

    def _start(self, cnn: Cnn, last: str) -> str | None:
        """Return the highest ranked layer, a vector, that the last one is computed from, or is."""
        by_height = sorted(self.own(cnn), key=lambda name: -cnn.positions[cnn.canonical(name)])
        for name in by_height:
            layer = cnn.layer(name)
            if layer.name == last or (
                len(layer.shape) == 1 and cnn.determines(layer, cnn.layer(last))
            ):
                return name
        return None

    @property
    def networks(self) -> list[Network]:
        """The networks, their classifiers named as `with_heads` does."""
        found = []
        for cnn in self.cnns:
            layers = self.own(cnn)
            pairs = tuple((name, self.column(cnn, name)) for name in layers)
            weights = _weights_of(cnn, self.all_cnns, self.weights)
            found.append(Network(cnn.name, weights, self.relation, pairs, self._head(cnn)))
        return found

    def _head(self, cnn: Cnn) -> str | None:
        """Return the column of a CNN's own classifier; None: it has none."""
        last = _classifier(cnn)
        if last is None:
            return None
        start = self._start(cnn, last)
        if start is None:
            return self.column(cnn, last)
        if cnn.canonical(start) == last:
            return self.column(cnn, start)
        return f"{self.column(cnn, start)} → {last}"

    def with_heads(self, relation: str, planner: Planner) -> str:
        """Return a relation with the last layers that are computed from layers it has."""
        heads = []
        for cnn in self.cnns:
            last = _classifier(cnn)
            start = None if last is None else self._start(cnn, last)
            if last is None or start is None or cnn.canonical(start) == last:
                continue
            values = {**self.transfer().values, "cnn": cnn.name, "layers": [last]}
            if cnn.name != self.cnns[0].name and self.weights not in OF_CNN:
                values.pop("weights", None)
            asked = _own_transfer.transfer_call(self.call, values)
            spec = replace(
                planner.asked(asked), start=cnn.canonical(start), layers=(last,), store=""
            )
            heads.append(
                f"vista_head({text_literal(spec.to_text())}, "
                f"CAST({identifier(self.column(cnn, start))} AS FLOAT[])) "
                f"AS {identifier(str(self._head(cnn)))}"
            )
        if not heads:
            return relation
        rows = identifier(planner.fresh_name("rows"))
        return f"(SELECT *, {', '.join(heads)} FROM {relation} AS {rows})"


def _classifier(cnn: Cnn) -> str | None:
    """Return a network's last layer, if it can say a class: a vector of several values."""
    last = cnn.layers[-1]
    is_network = cnn.name != roster.DESCRIPTOR
    return last.name if is_network and len(last.shape) == 1 and last.size > 1 else None


def _weights_of(cnn: Cnn, cnns: list[Cnn], weights: str | None) -> str:
    """Return the weights of a CNN, where a call asks for `weights`; see `Workload.weights_of`."""
    if weights is None or (cnn.name != cnns[0].name and weights.lower() not in OF_CNN):
        return cnn.default_weights
    return cnn.default_weights if cnn.name == roster.DESCRIPTOR else weights


def _streamed(order: str, relations: dict[str, str], planner: Planner, columns: str) -> str:
    """Return a SELECT that feeds each relation to one run; see `_fed.streamed`."""
    run, id_, row, n = (identifier(planner.fresh_name(role)) for role in ("run", "id", "row", "n"))
    parts, counts = [], []
    for name, relation in relations.items():
        fed = identifier(planner.fresh_name("fed"))
        parts.append(
            f"{fed} AS MATERIALIZED (SELECT count(vista_feed({id_}, {row}, {text_literal(name)})) "
            f"AS {n} FROM {run}, {planner.fenced(relation)} AS {row})"
        )
        counts.append(f"(SELECT {n} FROM {fed})")
    return (
        f"WITH {run} AS MATERIALIZED (SELECT vista_begin({text_literal(order)}) AS {id_}), "
        f"{', '.join(parts)} SELECT {columns} FROM (SELECT unnest(vista_finish_rank({id_}, "
        f"{' + '.join(counts)}), recursive := true) FROM {run})"
    )


OWN = (
    *(argument for argument in vista_compare.OWN if argument.name != "budget_seconds"),
    Argument(
        "sources",
        f"of P2L: a relation of {COLUMNS}, the mean features and the size of a network's own data",
        RelationText(),
    ),
    Argument("trained", "train too, and tell the regret of following each score", Flag(), False),
)

NOT_TRAINED = ("baselines", "trainer", "features", "select_fraction")
"""Arguments of VISTA_COMPARE for models that have no score here."""

FUNCTION = TableFunction(
    name="vista_rank_sources",
    arguments=(
        *(
            replace(argument, kind=Names(), meaning="as in TRANSFER; of several, each is ranked")
            if argument.name == "weights"
            else argument
            for argument in OWN
        ),
        *(argument for argument in vista_compare.TRAINING if argument.name not in NOT_TRAINED),
    ),
    expand=expand,
    meaning="which network and layer will transfer best, told by scores without training",
)
