SELECT id, price, part, c3 FROM TRANSFER(cnn => 'lenet5', layers => ['c3'], structured => 'foods', join_type => 'left',
  boxes => $$SELECT id, 'p' || i AS part, 2 * i AS x, i AS y, 5 AS width, 4 AS height FROM other, range(3) AS r(i)$$)
WHERE price < 3 AND part <> 'p1'
-- output --
-- __vista_2567b015_rows: read 256 rows at a time
CREATE TEMP VIEW __vista_2567b015_rows AS
SELECT __vista_2567b015_joined.*, __vista_2567b015_image
FROM (
  SELECT unnest(__vista_2567b015_boxes) AS __vista_2567b015_joined, "images =>"."image" AS __vista_2567b015_image
  FROM (
    SELECT __vista_2567b015_key, list("structured =>") AS __vista_2567b015_boxes
    FROM (
      SELECT "structured =>"."id", "structured =>"."price", "structured =>"."part", "structured =>"."id" AS __vista_2567b015_key, "structured =>".__vista_fa2fd32e_box AS __vista_2567b015_box
      FROM (SELECT * FROM (SELECT "structured =>".*, "boxes =>"."part", "boxes =>"."x", "boxes =>"."y", "boxes =>"."width", "boxes =>"."height", {'x': CAST("boxes =>"."x" AS DOUBLE), 'y': CAST("boxes =>"."y" AS DOUBLE), 'width': CAST("boxes =>"."width" AS DOUBLE), 'height': CAST("boxes =>"."height" AS DOUBLE)} AS __vista_fa2fd32e_box FROM foods AS "structured =>" JOIN (SELECT id, 'p' || i AS part, 2 * i AS x, i AS y, 5 AS width, 4 AS height FROM other, RANGE(0, 3) AS r(i)) AS "boxes =>" ON "structured =>"."id" = "boxes =>"."id") WHERE ("price" < 3) AND ("part" <> 'p1')) AS "structured =>"
    ) AS "structured =>"
    GROUP BY __vista_2567b015_key
  ) AS "structured =>"
  LEFT JOIN images AS "images =>"
    ON "structured =>".__vista_2567b015_key = "images =>"."id"
);

SELECT id, price, part, c3 FROM (
SELECT
  "id",
  "price",
  CAST(error('planned away') AS VARCHAR) AS "name",
  CAST(error('planned away') AS BOOLEAN) AS "Is Healthy",
  CAST(error('planned away') AS DATE) AS "made",
  CAST(error('planned away') AS INTEGER[]) AS "tags",
  CAST(error('planned away') AS STRUCT(a INTEGER, b VARCHAR)) AS "meta",
  CAST(error('planned away') AS VARCHAR) AS "cat",
  "part",
  CAST(error('planned away') AS BIGINT) AS "x",
  CAST(error('planned away') AS BIGINT) AS "y",
  CAST(error('planned away') AS INTEGER) AS "width",
  CAST(error('planned away') AS INTEGER) AS "height",
  CAST(__vista_2567b015_result0.l1 AS FLOAT[64]) AS "c3",
  CAST(error('planned away') AS VARCHAR) AS "error"
FROM (
  SELECT *, vista_infer_1('{"batch_rows":256,"cnn":"lenet5","layers":["c3"],"region":"crop"}', __vista_2567b015_image, CAST(__vista_2567b015_key AS VARCHAR), __vista_2567b015_box) AS __vista_2567b015_result0
  FROM __vista_2567b015_rows AS __vista_2567b015_rows
) AS __vista_2567b015_rows
) AS "transfer"
WHERE price < 3 AND part <> 'p1';
