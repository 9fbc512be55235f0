-- exact neighbours, outliers and duplicates: of features that there are, and of images
CREATE TABLE vectors AS
SELECT 'k' || i AS name, [sin(i), cos(3 * i), (i % 4)::FLOAT, 1]::FLOAT[4] AS v, i % 2 AS odd
FROM range(24) AS t(i);
INSERT INTO vectors VALUES ('copy of k3', (SELECT v FROM vectors WHERE name = 'k3'), 1),
                           ('zero', [0, 0, 0, 0], 0), ('nothing', NULL, 0), (NULL, [1, 2, 3, 4], 1);

SELECT * FROM VISTA_NEIGHBORS('vectors', key => 'name', k => 2) WHERE id > 'k2' OR id IS NULL;

SELECT * FROM VISTA_NEIGHBORS(data => 'SELECT name, v FROM vectors WHERE v IS NOT NULL', k => 3,
  layer => 'V', key => 'name', metric => 'l2',
  queries => $$SELECT name, v FROM vectors WHERE odd = 1 AND name < 'k2'$$);

SELECT * FROM VISTA_OUTLIERS('vectors', key => 'name', k => 3)
WHERE rank <= 4;

SELECT * FROM VISTA_OUTLIERS($$SELECT name, v FROM vectors WHERE odd = 1$$, key => 'name', k => 1,
  reference => $$SELECT name, v FROM vectors WHERE odd = 0$$);

SELECT * FROM VISTA_DUPLICATES($$SELECT * FROM vectors WHERE name LIKE '%k%'$$, key => 'name',
  threshold => 0.02);

-- images themselves
CREATE TABLE shots AS
SELECT 10 * images.id + copy AS id, image FROM images, range(2) AS t(copy)
WHERE images.id IN (0, 1, 2, 3, 5, 6) AND (copy = 0 OR images.id IN (1, 5));

SELECT * FROM VISTA_NEIGHBORS(cnn => 'lenet5', layer => 'fc6', images => 'shots', k => 2);

SELECT * FROM VISTA_NEIGHBORS(cnn => 'lenet5', layer => 'fc6', images => 'shots', k => 1,
                              queries => '(SELECT id, image FROM shots WHERE id < 12)');

SELECT * FROM VISTA_DUPLICATES(cnn => 'lenet5', layer => 'fc6', images => 'shots');

SELECT id, score, rank, nearest_id, len(heatmap) AS height, len(heatmap[1]) AS width,
       list_max(list_transform(heatmap, lambda places: list_max(places))) AS worst
FROM VISTA_OUTLIERS(cnn => 'lenet5', layer => 'conv1', pool => 'none', images => 'shots');
