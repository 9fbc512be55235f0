"""Features of photos/ in a table that stays; new files and layers only: `… DTYPE CNN LAYER…`."""

import sys
from pathlib import Path

import pixeltable as pxt
import seen_layers  # a function has to be a module's, not the script's

schema = {"file": pxt.Required[pxt.String], "image": pxt.Image}
table = pxt.create_table("photos", schema, if_exists="ignore")
held = [name for name in table.columns() if name.startswith("of_")]
have = {layer for name in held for layer in name.removeprefix("of_").split("__")}
missing = [layer for layer in sys.argv[3:] if layer not in have]
if missing:
    values = seen_layers.features(table.image, layers=" ".join(missing))
    table.add_computed_column(**{"of_" + "__".join(missing): values})
done = set(table.select(table.file).collect()["file"])
new = [path for path in sorted(Path("photos").iterdir()) if path.name not in done]
for first in range(0, len(new), 64):  # an insert is all or nothing: in parts, a part is safe
    table.insert([{"file": path.name, "image": str(path)} for path in new[first : first + 64]])
print(table.count(), "rows")
