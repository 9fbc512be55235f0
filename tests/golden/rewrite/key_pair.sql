SELECT n, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => '(SELECT id AS n, price FROM foods)', key => ['n', 'id']) WHERE price < 3
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "structured =>"."n", "structured =>"."price", "structured =>"."n" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM (SELECT * FROM (SELECT id AS n, price FROM foods) WHERE ("price" < 3)) AS "structured =>"
JOIN images AS "images =>"
  ON "structured =>"."n" = "images =>"."id";

SELECT n, f6 FROM (
SELECT
  "n",
  "price",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer" WHERE price < 3;
