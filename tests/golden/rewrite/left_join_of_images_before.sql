SELECT id, f6, error FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods', join_type => 'left', placement => 'before') WHERE price > 3
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "images =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM images AS "images =>";

SELECT id, f6, error FROM (
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
  __vista_fa2fd32e_error AS "error"
FROM (
  SELECT "structured =>".*, __vista_fa2fd32e_joined.__vista_fa2fd32e_result0, __vista_fa2fd32e_joined.__vista_fa2fd32e_error
  FROM (SELECT * FROM foods WHERE ("price" > 3)) AS "structured =>"
  LEFT JOIN (
    SELECT __vista_fa2fd32e_key, __vista_fa2fd32e_result0, __vista_fa2fd32e_result0.error AS __vista_fa2fd32e_error
    FROM (
      SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
      FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
    ) AS __vista_fa2fd32e_rows
  ) AS __vista_fa2fd32e_joined
    ON "structured =>"."id" = __vista_fa2fd32e_joined.__vista_fa2fd32e_key
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price > 3;
