SELECT id, layer FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods', format => 'long') WHERE price < 3
-- output --
SELECT id, layer FROM (
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
  CAST(error('planned away') AS FLOAT[]) AS "features",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT __vista_fa2fd32e_structured."id", __vista_fa2fd32e_structured."price"
  FROM (SELECT * FROM foods WHERE ("price" < 3)) AS __vista_fa2fd32e_structured
  JOIN images AS __vista_fa2fd32e_images
    ON __vista_fa2fd32e_structured."id" = __vista_fa2fd32e_images."id"
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price < 3;
