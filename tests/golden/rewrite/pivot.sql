SELECT * FROM (SELECT cat, f6[1] AS x FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods')) AS s PIVOT (count(x) FOR cat IN ('c1', 'c2'))
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "id", "price", "name", "Is Healthy", CAST("made" AS VARCHAR) AS "made", "tags", "meta", "cat", __vista_fa2fd32e_key, __vista_fa2fd32e_image
FROM (
  SELECT "structured =>"."id", "structured =>"."price", "structured =>"."name", "structured =>"."Is Healthy", "structured =>"."made", "structured =>"."tags", "structured =>"."meta", "structured =>"."cat", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
  FROM foods AS "structured =>"
  JOIN images AS "images =>"
    ON "structured =>"."id" = "images =>"."id"
) AS __vista_fa2fd32e_joined;

SELECT * FROM (SELECT cat, f6[1] AS x FROM (
SELECT
  "id",
  "price",
  "name",
  "Is Healthy",
  CAST("made" AS DATE) AS "made",
  "tags",
  "meta",
  "cat",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[120]) AS "conv3",
  CAST(__vista_fa2fd32e_result0.l2 AS FLOAT[84]) AS "f6",
  vista_error('{"batch_rows":256,"call":1,"cnn":"lenet5"}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS "error"
FROM (
  SELECT *, vista_infer_2('{"batch_rows":256,"cnn":"lenet5","layers":["c5","f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer") AS s PIVOT (count(x) FOR cat IN ('c1', 'c2'));
