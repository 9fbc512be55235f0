SELECT id, price FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods') WHERE price < 3
-- output --
SELECT id, price FROM (
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
  CAST(error('planned away') AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT __vista_fa2fd32e_structured."id", __vista_fa2fd32e_structured."price"
  FROM (SELECT * FROM foods WHERE ("price" < 3)) AS __vista_fa2fd32e_structured
  JOIN images AS __vista_fa2fd32e_images
    ON __vista_fa2fd32e_structured."id" = __vista_fa2fd32e_images."id"
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price < 3;
