"""The paper's workload over foods.parquet and photos/: `foods.py DTYPE CNN LAYER…`."""

import json
import sys
from pathlib import Path

import vista_sql

dtype, cnn, *layers = sys.argv[1:]
with vista_sql.connect() as db:
    rows = db.query(f"""
        SELECT layer, f1_score
        FROM VISTA_TRAIN(model => 'veg', label => 'veg', cnn => '{cnn}', layers => {layers},
                         weights => '{cnn}/network.weights.h5', dtype => '{dtype}',
                         images => 'photos/', structured => 'foods.parquet', key => 'file',
                         reg => 0.01, l1_ratio => 0.5, max_iterations => 10)
        WHERE layer IS NOT NULL
    """).fetchall()
Path("scores.json").write_text(json.dumps(dict(rows)))
