"""Which of variants/ is best for labels.parquet, by avg_pool: `variants.py DTYPE`."""

import json
import sys
from pathlib import Path

import vista_sql

files = sorted(map(str, Path("variants").glob("*.keras")))
layers = [f"{Path(file).stem}.resnet50/avg_pool" for file in files]
with vista_sql.connect() as db:
    rows = db.query(f"""
        SELECT layer, f1_score
        FROM VISTA_COMPARE(cnn => {files}, layers => {layers}, label => 'odd', key => 'file',
                           images => 'photos/', structured => 'labels.parquet',
                           dtype => '{sys.argv[1]}')
    """).fetchall()
Path("scores.json").write_text(
    json.dumps({layer.partition(".")[0]: score for layer, score in rows})
)
