SELECT id, layer, features FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods', format => 'long') WHERE price < 3
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "structured =>"."id", "structured =>"."price", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM (SELECT * FROM foods WHERE ("price" < 3)) AS "structured =>"
JOIN images AS "images =>"
  ON "structured =>"."id" = "images =>"."id";

SELECT id, layer, features FROM (
SELECT
  "id",
  "price",
  CAST(error('planned away') AS VARCHAR) AS "name",
  CAST(error('planned away') AS BOOLEAN) AS "Is Healthy",
  CAST(error('planned away') AS DATE) AS "made",
  CAST(error('planned away') AS INTEGER[]) AS "tags",
  CAST(error('planned away') AS STRUCT(a INTEGER, b VARCHAR)) AS "meta",
  CAST(error('planned away') AS VARCHAR) AS "cat",
  unnest(['conv3', 'f6']) AS "layer",
  unnest([__vista_fa2fd32e_result0.l1, __vista_fa2fd32e_result0.l2]) AS "features",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_2('{"batch_rows":256,"cnn":"lenet5","layers":["c5","f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price < 3;
