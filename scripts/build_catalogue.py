"""Write the catalogue of CNNs: the shape and the cost of every layer, counted on the network.

Usage: python scripts/build_catalogue.py [NAME …]   (all CNNs of the roster when none is named)
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from vista_sql import roster
from vista_sql.roster.catalogue.entries import entries

FOLDER = Path(roster.__file__).parent / "catalogue"


def catalogue_text(network: roster.Network) -> str:
    """Return the text of the catalogue of a network."""
    rows = [asdict(layer) for layer in entries(network)]
    for row in rows:
        if row["can_start"]:  # as most can
            del row["can_start"]
    return '{"layers": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]}\n"


def main() -> None:
    """Write the catalogues of the CNNs named on the command line."""
    for name in sys.argv[1:] or roster.names():
        path = FOLDER / f"{name}.json"
        path.write_text(catalogue_text(roster.load(name).build()), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
