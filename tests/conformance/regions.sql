-- boxes on images: of two images of 20 × 20 pixels, and of one that cannot be read
CREATE TABLE boxes AS SELECT * FROM (VALUES
  (0, 'a', 0, 0, 20, 20), (0, 'b', 2.5, 3, 9, 12), (0, 'c', -4, 8, 10, 40), (1, 'd', 10, 10, 5, 5),
  (1, 'e', 21, 0, 5, 5), (1, 'f', 3, 3, 0, 5), (1, 'g', NULL, 3, 5, 5), (4, 'h', 0, 0, 5, 5),
  (6, 'i', 1, 2, 3, 4), (8, 'j', 0, 0, 5, 5), (NULL, 'k', 0, 0, 5, 5), (77, 'l', 0, 0, 5, 5)
) AS v(id, name, x, y, width, height);

-- each an image of its own
SELECT id, name, x::DOUBLE AS x, width, f6[1] AS first, list_sum(conv3::FLOAT[]) AS total, error
FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], boxes => 'boxes')
ORDER BY ALL;

-- pooled from one map an image; beside a table
SELECT id, name, f.c1[1] AS low, list_sum(f.c3::FLOAT[]) AS total, len(f.c3::FLOAT[]) AS n, error
FROM TRANSFER(cnn => 'lenet5', layers => ['c1', 'c3'], boxes => 'boxes', region => 'roi_align',
              join_type => 'left') AS f
ORDER BY ALL;

SELECT id, price::DOUBLE AS price, box, c3[2] AS second
FROM TRANSFER(cnn => 'lenet5', layers => ['c3'], region => 'roi_pool', pool => 'gmp',
              boxes => $$SELECT * EXCLUDE (name), name AS box FROM boxes$$, structured => 'foods')
WHERE price < 5 AND width > 4
ORDER BY ALL;

SELECT name, layer, features[1] AS first
FROM TRANSFER(cnn => 'lenet5', layers => ['c1', 'c3'], boxes => 'boxes', region => 'roi_pool',
              format => 'long', on_error => 'skip')
ORDER BY ALL;

SELECT count(*) AS n, count(error) AS n_errors
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], boxes => 'boxes');

-- how boxes overlap, and which of them are left
SELECT a.name, b.name AS other, round(VISTA_IOU(a, b), 6) AS iou,
       VISTA_IOU({'x': 0, 'y': 0, 'width': 10, 'height': 10}, b) AS with_struct
FROM boxes AS a JOIN boxes AS b ON a.id = b.id AND a.name < b.name
ORDER BY ALL;

SELECT id, name, score
FROM VISTA_NMS(data => $$SELECT *, width * 1.0::DOUBLE AS score FROM boxes WHERE name <> 'l'$$,
               by => 'id', threshold => 0.1, key => 'name')
ORDER BY ALL;

-- a model of regions remembers how their features are made
CREATE TABLE many AS
SELECT [0, 1, 2, 3, 5, 6][1 + i % 6] AS id, i AS box, i % 8 AS x, i % 5 AS y, 6 + i % 7 AS width,
       5 + i % 9 AS height, i % 2 = 0 AS even
FROM range(60) AS r(i);
SELECT feature_set, n_train, n_test, dims, accuracy, is_best
FROM VISTA_TRAIN(model => 'regions', label => 'even', cnn => 'lenet5', layers => ['c3'],
                 boxes => 'many', region => 'roi_align', pool => 'gap', exclude => 'box', seed => 7,
                 max_iterations => 20)
ORDER BY feature_set;
SELECT box::DOUBLE AS box, predicted_label, probability, error
FROM VISTA_PREDICT(model => 'regions/c3', images => 'images',
                   boxes => $$SELECT *, x AS box FROM boxes WHERE id = 1$$)
ORDER BY ALL;
