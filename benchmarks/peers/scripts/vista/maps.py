"""Whole maps of photos/, not pooled, to features.parquet, in 2 GB: `maps.py DTYPE CNN LAYER…`."""

import sys

import vista_sql

dtype, cnn, *layers = sys.argv[1:]
with vista_sql.connect() as db:
    db.query(f"""
        COPY (SELECT file, {", ".join(layers)}
              FROM TRANSFER(cnn => '{cnn}', layers => {layers}, weights => 'network.weights.h5',
                            images => 'photos/', dtype => '{dtype}', pool => 'none'))
        TO 'features.parquet'
    """)
