SELECT k, c, f FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6']) AS t(k, c, f, e)
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "images =>"."id", "images =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM images AS "images =>";

SELECT k, c, f FROM (
SELECT
  "id",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[120]) AS "conv3",
  CAST(__vista_fa2fd32e_result0.l2 AS FLOAT[84]) AS "f6",
  vista_error('{"batch_rows":256,"call":1,"cnn":"lenet5"}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS "error"
FROM (
  SELECT *, vista_infer_2('{"batch_rows":256,"cnn":"lenet5","layers":["c5","f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS t(k, c, f, e);
