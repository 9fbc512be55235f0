SELECT f6 FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods') AS t WHERE id NOT IN (SELECT id FROM other WHERE id IS NOT NULL) AND EXISTS (SELECT 1 FROM cats WHERE cats.cat = t.cat) ORDER BY price LIMIT 2
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT *
FROM (
  SELECT "structured =>"."id", "structured =>"."price", "structured =>"."cat", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
  FROM (SELECT * FROM foods AS __vista_row WHERE (NOT "id" IN (SELECT "other"."id" AS "id" FROM other AS "other" WHERE NOT "other"."id" IS NULL)) AND (EXISTS(SELECT 1 AS "1" FROM cats AS "cats" WHERE "cats"."cat" = __vista_row."cat"))) AS "structured =>"
  JOIN images AS "images =>"
    ON "structured =>"."id" = "images =>"."id"
) AS __vista_fa2fd32e_joined
ORDER BY "price"
LIMIT 2;

SELECT f6 FROM (
SELECT
  "id",
  "price",
  CAST(error('planned away') AS VARCHAR) AS "name",
  CAST(error('planned away') AS BOOLEAN) AS "Is Healthy",
  CAST(error('planned away') AS DATE) AS "made",
  CAST(error('planned away') AS INTEGER[]) AS "tags",
  CAST(error('planned away') AS STRUCT(a INTEGER, b VARCHAR)) AS "meta",
  "cat",
  CAST(error('planned away') AS FLOAT[120]) AS "conv3",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS t WHERE id NOT IN (SELECT id FROM other WHERE id IS NOT NULL) AND EXISTS (SELECT 1 FROM cats WHERE cats.cat = t.cat) ORDER BY price LIMIT 2;
