WITH cheap AS (SELECT id, price FROM foods WHERE price < 5) SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'cheap')
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
WITH cheap AS (SELECT id, price FROM foods WHERE price < 5) SELECT "structured =>"."id", "structured =>"."price", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM cheap AS "structured =>"
JOIN images AS "images =>"
  ON "structured =>"."id" = "images =>"."id";

WITH cheap AS (SELECT id, price FROM foods WHERE price < 5) SELECT * FROM (
SELECT
  "id",
  "price",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[84]) AS "f6",
  __vista_fa2fd32e_result0.error AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer";
