"""Write what is known of CNNs without Keras: every layer's shape and cost, and the network as data.

Usage: python scripts/build_catalogue.py [NAME …]   (all CNNs of the roster when none is named)
"""

from __future__ import annotations

import sys
from pathlib import Path

from vista_sql.udfs.network import keras_data

from vista_sql import roster
from vista_sql.roster import networks
from vista_sql.roster.catalogue.entries import entries, written

FOLDER = Path(roster.__file__).parent


def catalogue_text(network: roster.Network) -> str:
    """Return the text of the catalogue of a network."""
    return written(entries(network))


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
