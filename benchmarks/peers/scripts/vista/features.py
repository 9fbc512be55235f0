"""Features of photos/ to features.parquet: `features.py DTYPE CNN LAYER…`."""

import sys

import vista_sql

dtype, cnn, *layers = sys.argv[1:]
with vista_sql.connect() as db:
    db.query(f"""
        COPY (SELECT file, {", ".join(layers)}, error
              FROM TRANSFER(cnn => '{cnn}', layers => {layers}, weights => 'network.weights.h5',
                            images => 'photos/', dtype => '{dtype}'))
        TO 'features.parquet'
    """)
