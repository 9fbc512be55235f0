"""Features of whatever lies in photos/, and out of the table to features.parquet."""

from pathlib import Path

import pixeltable as pxt
import pyarrow as pa
import pyarrow.parquet as pq
import seen  # a function has to be a module's, not the script's

table = pxt.create_table("photos", {"file": pxt.String, "image": pxt.Image})
table.add_computed_column(features=seen.features(table.image), on_error="ignore")
rows = [{"file": p.name, "image": str(p)} for p in sorted(Path("photos").iterdir())]
table.insert(rows, on_error="ignore")
found = table.select(table.file, table.features, why=table.features.errormsg).collect()
columns = {"file": found["file"], "error": found["why"]}  # export_parquet takes no NULL arrays
first = 0
for name, n in seen.dims.items():
    values = [None if one is None else one[first : first + n] for one in found["features"]]
    columns[name] = pa.array(values, pa.list_(pa.float32()))
    first += n
pq.write_table(pa.table(columns), "features.parquet")
