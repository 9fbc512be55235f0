"""Features of whatever lies in photos/, and out of the table to features.parquet/."""

from pathlib import Path

import pixeltable as pxt
import seen  # a function has to be a module's, not the script's

table = pxt.create_table("photos", {"file": pxt.String, "image": pxt.Image})
table.add_computed_column(features=seen.features(table.image), on_error="ignore")
rows = [{"file": p.name, "image": str(p)} for p in sorted(Path("photos").iterdir())]
table.insert(rows, on_error="ignore")
columns, first = {}, 0
for name, n in seen.dims.items():
    columns[name] = table.features[first : first + n]
    first += n
query = table.select(table.file, error=table.features.errormsg, **columns)
pxt.io.export_parquet(query, Path("features.parquet"))
