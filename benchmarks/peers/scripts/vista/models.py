"""A model of each layer for the cheap tenth of products.parquet: `models.py DTYPE CNN LAYER…`."""

import json
import sys
from pathlib import Path

import vista_sql

dtype, cnn, *layers = sys.argv[1:]
with vista_sql.connect() as db:
    rows = db.query(f"""
        SELECT layer, f1_score
        FROM VISTA_TRAIN(model => 'sells', label => 'sells', exclude => ['product'],
                         cnn => '{cnn}', layers => {layers}, weights => 'network.weights.h5',
                         images => 'photos/', key => 'file', dtype => '{dtype}',
                         structured => $$SELECT * FROM 'products.parquet' WHERE price < 10$$,
                         reg => 0.01, l1_ratio => 0.5, max_iterations => 10)
        WHERE layer IS NOT NULL
    """).fetchall()
Path("scores.json").write_text(json.dumps(dict(rows)))
