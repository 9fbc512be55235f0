SELECT id, conv1 FROM TRANSFER(cnn => 'lenet5', layers => ['conv1'], pool => 'none')
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "images =>"."id", "images =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM images AS "images =>";

SELECT id, conv1 FROM (
SELECT
  "id",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[4704]) AS "conv1",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["c1"],"pool":"none"}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer";
