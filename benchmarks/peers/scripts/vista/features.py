"""Features of photos/ to features.parquet: `features.py CNN LAYER…`."""

import sys

import vista_sql

cnn, *layers = sys.argv[1:]
with vista_sql.connect() as db:
    db.query(f"""
        COPY (SELECT file, {", ".join(layers)}, error
              FROM TRANSFER(cnn => '{cnn}', layers => {layers}, weights => 'network.weights.h5',
                            images => 'photos/', dtype => 'bfloat16'))
        TO 'features.parquet'
    """)
