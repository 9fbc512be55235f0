SELECT * FROM TRANSFER(cnn => 'lenet5')
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "images =>"."id", "images =>"."id" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM images AS "images =>";

SELECT * FROM (
SELECT
  "id",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[64]) AS "conv2",
  CAST(__vista_fa2fd32e_result0.l2 AS FLOAT[64]) AS "pool2",
  CAST(__vista_fa2fd32e_result0.l3 AS FLOAT[120]) AS "conv3",
  CAST(__vista_fa2fd32e_result0.l4 AS FLOAT[84]) AS "fc6",
  __vista_fa2fd32e_result0.error AS "error"
FROM (
  SELECT *, vista_infer_4('{"batch_rows":256,"cnn":"lenet5","layers":["c3","s4","c5","f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer";
