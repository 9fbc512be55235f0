SELECT k, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => $$SELECT id + 1 AS k, image FROM images WHERE id < 3 -- the first
$$, key => 'k')
-- output --
-- __vista_2567b015_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_2567b015_rows AS
SELECT __vista_2567b015_images."k", __vista_2567b015_images."k" AS __vista_2567b015_key, __vista_2567b015_images."image" AS __vista_2567b015_image
FROM (SELECT id + 1 AS k, image FROM images WHERE id < 3) AS __vista_2567b015_images;

SELECT k, f6 FROM (
SELECT
  "k",
  CAST(__vista_2567b015_result0.l1 AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_2567b015_image, CAST(__vista_2567b015_key AS VARCHAR)) AS __vista_2567b015_result0
  FROM __vista_2567b015_rows AS __vista_2567b015_rows
) AS __vista_2567b015_rows
) AS "transfer";
