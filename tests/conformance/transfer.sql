-- wide: structured columns, layers, error; rows are those of the join
SELECT id, price::DOUBLE AS price, name, "Is Healthy" AS healthy, f6[1] AS first, f6[84] AS last,
       list_sum(conv3::FLOAT[]) AS total, error
FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], structured => 'foods', join_type => 'left')
ORDER BY ALL;

-- a filter, a name of a CTE, both ways to give an argument
WITH cheap AS (FROM foods WHERE price < 5)
SELECT id, name, fc6[3] AS third
FROM TRANSFER('lenet5', layers := ['fc6'], structured := cheap)
WHERE id > 0
ORDER BY ALL;

-- long
SELECT id, layer, len(features) AS n, features[2] AS second
FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'pool2'], structured => 'foods', format => 'long')
ORDER BY ALL;

-- no structured relation: the images' own columns; layers by their number
SELECT * EXCLUDE (fc6, pool2), fc6[1] AS top, pool2[7] AS low
FROM TRANSFER(cnn => 'lenet5', layers => [-1, -3])
ORDER BY ALL;

-- joins with other tables, a sub-query, several calls in one statement
SELECT o.label, t.name, t.f6[5] AS five, h.hog[1] AS gradient
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods') AS t
JOIN other AS o ON o.id = t.id
JOIN (SELECT id, hog FROM TRANSFER(cnn => 'hog', layers => ['hog'])) AS h ON h.id = t.id
ORDER BY ALL;

-- unreadable images: skipped
SELECT count(*) AS n, count(error) AS n_errors
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], on_error => 'skip');

-- pooling, prefix, hints
SELECT id, x_conv1[1] AS a, x_conv2[2] AS b
FROM TRANSFER(cnn => 'lenet5', layers => ['conv1', 'conv2'], structured => 'foods', prefix => 'x_',
              pool => 'gap', plan => 'staged', placement => 'before', batch_rows => 3)
WHERE price > 7
ORDER BY ALL;

-- temporary tables and rows that are not committed
BEGIN;
CREATE TEMP TABLE few AS SELECT id, price FROM foods WHERE id IN (1, 2);
INSERT INTO few VALUES (9, 0.5);
SELECT id, price::DOUBLE AS price, f6[1] AS first
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'few')
ORDER BY ALL;
ROLLBACK;

-- stored: a table, a view, a prepared statement, rows inserted
CREATE TABLE kept AS
SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods') WHERE id < 3;
INSERT INTO kept SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6']) WHERE id = 7;
SELECT id, array_cosine_similarity(f6, f6) AS one, f6[2] AS second FROM kept ORDER BY ALL;
CREATE VIEW seen AS
SELECT id, name, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods');
SELECT name, f6[1] AS first FROM seen WHERE id = 7 ORDER BY ALL;
PREPARE asked AS
SELECT id, f6[1] AS first
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods') WHERE price < $1 ORDER BY ALL;
EXECUTE asked(2);

-- arguments that are variables
SET VARIABLE chosen = 'foods';
SELECT count(f6) AS n
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => getvariable('chosen'));

-- describing infers nothing
SELECT column_name, column_type FROM (
  DESCRIBE SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv2'], structured => 'foods')
);
