-- TFRecord files, by paths that are relative to the user's folder
SELECT n_rows FROM (
  SELECT rows AS n_rows
  FROM VISTA_WRITE_TFRECORD(data => '(SELECT id, label, price::FLOAT AS price FROM other)', file => 'o.tfrecord')
);
SELECT id, label, price::DOUBLE AS price FROM VISTA_READ_TFRECORD('o.tfrecord') ORDER BY ALL;
COPY (SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6']) WHERE id < 3) TO 'f.parquet';
SELECT id, f6[3] AS third FROM 'f.parquet' ORDER BY id;
