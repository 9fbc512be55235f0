SELECT a.f6, b.conv3 FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods') AS a JOIN TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6']) AS b ON a.id = b.id WHERE a.price < 3 AND b.id > 0
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "structured =>"."id", "structured =>"."price", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM (SELECT * FROM foods AS __vista_row WHERE ("price" < 3) AND ("id" IN (SELECT "b"."id" AS "k0" FROM images AS "b" WHERE "b"."id" > 0))) AS "structured =>"
JOIN images AS "images =>"
  ON "structured =>"."id" = "images =>"."id";

-- __vista_2567b015_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_2567b015_rows AS
SELECT "images =>"."id", "images =>"."id" AS __vista_2567b015_key, "images =>"."image" AS __vista_2567b015_image
FROM (SELECT * FROM images AS __vista_row WHERE ("id" > 0) AND ("id" IN (SELECT "a"."id" AS "k0" FROM foods AS "a" WHERE "a"."price" < 3))) AS "images =>";

SELECT a.f6, b.conv3 FROM (
SELECT
  "id",
  "price",
  CAST(error('planned away') AS VARCHAR) AS "name",
  CAST(error('planned away') AS BOOLEAN) AS "Is Healthy",
  CAST(error('planned away') AS DATE) AS "made",
  CAST(error('planned away') AS INTEGER[]) AS "tags",
  CAST(error('planned away') AS STRUCT(a INTEGER, b VARCHAR)) AS "meta",
  CAST(error('planned away') AS VARCHAR) AS "cat",
  CAST(error('planned away') AS FLOAT[120]) AS "conv3",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS a JOIN (
SELECT
  "id",
  CAST(__vista_2567b015_result0.l1 AS FLOAT[120]) AS "conv3",
  CAST(error('planned away') AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["c5"]}', __vista_2567b015_image, CAST(__vista_2567b015_key AS VARCHAR)) AS __vista_2567b015_result0
  FROM __vista_2567b015_rows AS __vista_2567b015_rows
) AS __vista_2567b015_rows
) AS b ON a.id = b.id WHERE a.price < 3 AND b.id > 0;
