"""`vista spark-conf`: the optimizer's cluster settings as flags of spark-submit."""

from __future__ import annotations

import click

from vista_sql.cli._app import Command


def _bytes(_: click.Context, __: click.Parameter, value: str) -> int:
    from vista_sql.units import parse_bytes

    try:
        return parse_bytes(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no size, like '32GB'") from None


COUNT = click.IntRange(min=1)


@click.command(
    "spark-conf",
    cls=Command,
    short_help="Show Spark's settings for a described cluster.",
    epilog="""Examples:

\b
  vista spark-conf resnet50 --layers conv5_3,avg_pool --rows 20129 --structured-columns 130
  spark-submit $(vista spark-conf vgg16 --rows 200000 --nodes 4 --memory 64GB) job.py""",
)
@click.argument("cnn", metavar="CNN")
@click.option("--layers", metavar="NAME,…", default="", help="Default: the roster's choice.")
@click.option("--rows", type=COUNT, required=True, help="Rows of images and structured table.")
@click.option(
    "--structured-columns",
    type=click.IntRange(min=0),
    default=0,
    help="Numbers in a structured row, with the label.",
)
@click.option("--image-bytes", default="14kB", callback=_bytes, help="Mean size of an image.")
@click.option("--memory", default="32GB", callback=_bytes, help="Of a node.")
@click.option("--cores", type=COUNT, default=8, help="Of a node.")
@click.option("--nodes", type=COUNT, default=8, help="Of the cluster.")
def COMMAND(
    cnn: str,
    layers: str,
    rows: int,
    structured_columns: int,
    image_bytes: int,
    memory: int,
    cores: int,
    nodes: int,
) -> None:
    """Print the executor memory, overhead, cores and off-heap memory for a cluster.

    They are what the Vista paper's optimizer decides (VISTA_OPTIMIZE shows why): flags of
    spark-submit, pyspark and spark-sql, a line each.
    """
    from vista_sql import roster, weights
    from vista_sql.planning import paper, spark_conf

    weights.facts(cnn)  # a wrong name ends here, with the names that there are
    network = roster.load(cnn)
    names = [name.strip() for name in layers.split(",") if name.strip()] or network.feature_layers
    found = {name: network.layer(name) for name in names}
    ordered = dict(sorted(found.items(), key=lambda item: network.layers.index(item[1])))
    cluster = paper.Cluster(memory, cores, nodes)
    decided = paper.apportion(cluster, network, ordered, rows, structured_columns, image_bytes)
    for flag in spark_conf.flags(decided):
        click.echo(flag)
