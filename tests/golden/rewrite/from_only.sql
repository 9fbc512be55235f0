FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods')
-- output --
-- __vista_2567b015_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_2567b015_rows AS
SELECT __vista_2567b015_structured."id", __vista_2567b015_structured."price", __vista_2567b015_structured."name", __vista_2567b015_structured."Is Healthy", __vista_2567b015_structured."made", __vista_2567b015_structured."tags", __vista_2567b015_structured."meta", __vista_2567b015_structured."cat", __vista_2567b015_structured."id" AS __vista_2567b015_key, __vista_2567b015_images."image" AS __vista_2567b015_image
FROM foods AS __vista_2567b015_structured
JOIN images AS __vista_2567b015_images
  ON __vista_2567b015_structured."id" = __vista_2567b015_images."id";

FROM (
SELECT
  "id",
  "price",
  "name",
  "Is Healthy",
  "made",
  "tags",
  "meta",
  "cat",
  CAST(__vista_2567b015_result0.l1 AS FLOAT[84]) AS "f6",
  __vista_2567b015_result0.error AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_2567b015_image, CAST(__vista_2567b015_key AS VARCHAR)) AS __vista_2567b015_result0
  FROM __vista_2567b015_rows AS __vista_2567b015_rows
) AS __vista_2567b015_rows
) AS "transfer";
