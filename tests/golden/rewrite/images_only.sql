SELECT id, f6, error FROM TRANSFER(cnn => 'lenet5', layers => ['conv3', 'f6']) WHERE id > 3
-- output --
-- __vista_2567b015_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_2567b015_rows AS
SELECT __vista_2567b015_images."id", __vista_2567b015_images."id" AS __vista_2567b015_key, __vista_2567b015_images."image" AS __vista_2567b015_image
FROM (SELECT * FROM images WHERE ("id" > 3)) AS __vista_2567b015_images;

SELECT id, f6, error FROM (
SELECT
  "id",
  CAST(error('planned away') AS FLOAT[120]) AS "conv3",
  CAST(__vista_2567b015_result0.l1 AS FLOAT[84]) AS "f6",
  __vista_2567b015_result0.error AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_2567b015_image, CAST(__vista_2567b015_key AS VARCHAR)) AS __vista_2567b015_result0
  FROM __vista_2567b015_rows AS __vista_2567b015_rows
) AS __vista_2567b015_rows
) AS "transfer" WHERE id > 3;
