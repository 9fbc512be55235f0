SELECT id, error FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods')
-- output --
SELECT id, error FROM (
SELECT
  "id",
  CAST(error('planned away') AS DECIMAL(3,1)) AS "price",
  CAST(error('planned away') AS VARCHAR) AS "name",
  CAST(error('planned away') AS BOOLEAN) AS "Is Healthy",
  CAST(error('planned away') AS DATE) AS "made",
  CAST(error('planned away') AS INTEGER[]) AS "tags",
  CAST(error('planned away') AS STRUCT(a INTEGER, b VARCHAR)) AS "meta",
  CAST(error('planned away') AS VARCHAR) AS "cat",
  CAST(error('planned away') AS FLOAT[120]) AS "conv3",
  CAST(error('planned away') AS FLOAT[84]) AS "f6",
  vista_error('{"cnn":"lenet5"}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS "error"
FROM (
  SELECT "structured =>"."id", "structured =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
  FROM foods AS "structured =>"
  JOIN images AS "images =>"
    ON "structured =>"."id" = "images =>"."id"
) AS __vista_fa2fd32e_rows
) AS "transfer";
