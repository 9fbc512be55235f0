SELECT id, CAST(price AS DOUBLE) AS price, name, `Is Healthy` AS healthy, f6[0] AS first, f6[83] AS last,
       aggregate(conv3, 0D, (a, v) -> a + v) AS total, error
FROM TRANSFER(cnn => 'lenet5', layers => array('f6', 'conv3'), structured => 'foods', join_type => 'left')
ORDER BY ALL NULLS LAST;

WITH cheap AS (SELECT * FROM foods WHERE price < 5)
SELECT id, name, fc6[2] AS third
FROM TRANSFER('lenet5', layers => ['fc6'], structured => cheap)
WHERE id > 0
ORDER BY ALL NULLS LAST;

SELECT id, layer, size(features) AS n, features[1] AS second
FROM TRANSFER(cnn => 'lenet5', layers => array('f6', 'pool2'), structured => 'foods', format => 'long')
ORDER BY ALL NULLS LAST;

SELECT * EXCEPT (fc6, pool2), fc6[0] AS top, pool2[6] AS low
FROM TRANSFER(cnn => 'lenet5', layers => array(-1, -3))
ORDER BY ALL NULLS LAST;

SELECT o.label, t.name, t.f6[4] AS five, h.hog[0] AS gradient
FROM TRANSFER(cnn => 'lenet5', layers => array('f6'), structured => 'foods') AS t
JOIN other AS o ON o.id = t.id
JOIN (SELECT id, hog FROM TRANSFER(cnn => 'hog', layers => array('hog'))) AS h ON h.id = t.id
ORDER BY ALL NULLS LAST;

SELECT count(*) AS n, count(error) AS n_errors
FROM TRANSFER(cnn => 'lenet5', layers => array('f6'), on_error => 'skip');

SELECT id, x_conv1[0] AS a, x_conv2[1] AS b
FROM TRANSFER(cnn => 'lenet5', layers => array('conv1', 'conv2'), structured => 'foods', prefix => 'x_',
              pool => 'gap', plan => 'staged', placement => 'before', batch_rows => 3)
WHERE price > 7
ORDER BY ALL NULLS LAST;

SELECT id, CAST(price AS DOUBLE) AS price, f6[0] AS first
FROM TRANSFER(cnn => 'lenet5', layers => array('f6'), structured => TABLE(
  SELECT id, price FROM foods WHERE id IN (1, 2) UNION ALL SELECT 9, 0.5))
ORDER BY ALL NULLS LAST;
