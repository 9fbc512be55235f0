SELECT count(*) AS n FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6'], structured => 'foods') WHERE price < 3
-- output --
SELECT count(*) AS n FROM (
SELECT
  CAST(error('planned away') AS INTEGER) AS "id",
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
  SELECT "structured =>"."price"
  FROM (SELECT * FROM foods WHERE ("price" < 3)) AS "structured =>"
  JOIN images AS "images =>"
    ON "structured =>"."id" = "images =>"."id"
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price < 3;
