SELECT k, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => $$SELECT id + 1 AS k, image FROM images WHERE id < 3 -- the first
$$, key => 'k')
-- output --
-- __vista_fa2fd32e_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_fa2fd32e_rows AS
SELECT "images =>"."k", "images =>"."k" AS __vista_fa2fd32e_key, "images =>"."image" AS __vista_fa2fd32e_image
FROM (SELECT id + 1 AS k, image FROM images WHERE id < 3) AS "images =>";

SELECT k, f6 FROM (
SELECT
  "k",
  CAST(__vista_fa2fd32e_result0.l1 AS FLOAT[84]) AS "f6",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["f6"]}', __vista_fa2fd32e_image, CAST(__vista_fa2fd32e_key AS VARCHAR)) AS __vista_fa2fd32e_result0
  FROM __vista_fa2fd32e_rows AS __vista_fa2fd32e_rows
) AS __vista_fa2fd32e_rows
) AS "transfer";
