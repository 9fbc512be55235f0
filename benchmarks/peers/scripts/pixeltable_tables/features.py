"""Features of photos/ in a table of Pixeltable, and out of it to features.parquet/."""

from pathlib import Path

import pixeltable as pxt
import seen  # a function has to be a module's, not the script's

table = pxt.create_table("photos", {"file": pxt.String, "image": pxt.Image})
table.add_computed_column(features=seen.features(table.image))
table.insert([{"file": p.name, "image": str(p)} for p in sorted(Path("photos").iterdir())])
columns, first = {}, 0
for name, n in seen.dims.items():
    columns[name] = table.features[first : first + n]
    first += n
pxt.io.export_parquet(table.select(table.file, **columns), Path("features.parquet"))
