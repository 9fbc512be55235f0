"""Write what is known of CNNs without Keras: every layer's shape and cost, and the network as data.

Usage: python scripts/build_catalogue.py [NAME …]   (all CNNs of the roster when none is named)
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from vista_sql.udfs.network import keras_data

from vista_sql import roster
from vista_sql.roster import networks
from vista_sql.roster.catalogue.entries import entries

FOLDER = Path(roster.__file__).parent


def catalogue_text(network: roster.Network) -> str:
    """Return the text of the catalogue of a network."""
    rows = [asdict(layer) for layer in entries(network)]
    for row in rows:
        if row["can_start"]:  # as most can
            del row["can_start"]
    return '{"layers": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]}\n"


def network_text(network: roster.Network, name: str) -> str:
    """Return the text of a network as data."""
    return networks.written(keras_data.network_data(network, name))


def main() -> None:
    """Write the files of the CNNs named on the command line."""
    for name in sys.argv[1:] or roster.names():
        network = roster.load(name).build()
        texts = {"catalogue": catalogue_text(network), "networks": network_text(network, name)}
        for folder, text in texts.items():
            path = FOLDER / folder / f"{name}.json"
            path.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
