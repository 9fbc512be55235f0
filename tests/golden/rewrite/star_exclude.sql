SELECT * EXCLUDE (conv3, tags, meta) REPLACE (price * 2 AS price) FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods') WHERE price < 3
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "id", "price", "name", "Is Healthy", CAST("made" AS VARCHAR) AS "made", "cat", __vista_fa2fd32e_key, __vista_fa2fd32e_image
FROM (
  SELECT "structured =>"."id", "structured =>"."price", "structured =>"."name", "structured =>"."Is Healthy", "structured =>"."made", "structured =>"."cat", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
  FROM (SELECT * FROM foods WHERE ("price" < 3)) AS "structured =>"
  JOIN images AS "images =>"
    ON "structured =>"."id" = "images =>"."id"
) AS __vista_fa2fd32e_joined;

SELECT * EXCLUDE (conv3, tags, meta) REPLACE (price * 2 AS price) FROM (
SELECT
  "id",
  "price",
  "name",
  "Is Healthy",
  CAST("made" AS DATE) AS "made",
  CAST(error('planned away') AS INTEGER[]) AS "tags",
  CAST(error('planned away') AS STRUCT(a INTEGER, b VARCHAR)) AS "meta",
  "cat",
  CAST(error('planned away') AS FLOAT[120]) AS "conv3",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[84]) AS "f6",
  __vista_fa2fd32e_result0.error AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price < 3;
