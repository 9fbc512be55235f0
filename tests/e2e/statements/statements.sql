SELECT * FROM {T}
SELECT id, price FROM {T}
SELECT f6 FROM {T} t WHERE t.price < 3
SELECT id, -price AS price FROM {T} WHERE price < 3
SELECT id, -price AS price FROM {T} ORDER BY price, id, f6 LIMIT 4
SELECT id, -price AS p FROM {T} WHERE p < -3
SELECT id, price * 2 AS q, q + 1 AS r FROM {T} WHERE r < 8
SELECT id, price AS id2, id AS price FROM {T} WHERE price < 3
SELECT id, price AS id2, id AS price FROM {T} ORDER BY price, id2 LIMIT 4
SELECT id, price AS id2, id AS price FROM {T} ORDER BY price + 0, id2 LIMIT 4
SELECT id, name FROM {T} ORDER BY ALL LIMIT 4
SELECT id, price, name FROM {T} ORDER BY 2, 3 LIMIT 4
SELECT id, price, name FROM {T} ORDER BY 2 DESC, 3 LIMIT 4 OFFSET 2
SELECT id, price, name FROM {T} ORDER BY price NULLS FIRST, name LIMIT 3
SELECT id, price, name FROM {T} ORDER BY price DESC NULLS FIRST, name LIMIT 3
SELECT id, price, name FROM {T} ORDER BY lower(name) DESC, price LIMIT 3
SELECT id, price, name FROM {T} ORDER BY name COLLATE NOCASE, price LIMIT 3
SELECT id, price FROM {T} ORDER BY price, f6[1] LIMIT 3
SELECT id, price FROM {T} ORDER BY f6[1] NULLS LAST, price LIMIT 3
SELECT count(*) FROM {T} LIMIT 1
SELECT total(price) FROM {T} LIMIT 1
SELECT favg(price) FROM {T} LIMIT 1
SELECT list(price ORDER BY price) FROM {T} LIMIT 1
SELECT median(price), mad(price), mode(cat) FROM {T} LIMIT 1
SELECT many(tags) AS x, name FROM {T} ORDER BY price, x LIMIT 5
SELECT unnest(tags) AS x, name FROM {T} ORDER BY price, x LIMIT 5
SELECT generate_subscripts(tags, 1) AS x, name FROM {T} ORDER BY price, x LIMIT 5
SELECT DISTINCT cat FROM {T} ORDER BY cat LIMIT 2
SELECT DISTINCT ON (cat) cat, name FROM {T} ORDER BY cat, price LIMIT 2
SELECT id FROM (SELECT DISTINCT ON (cat) cat, id, f6 FROM {T} ORDER BY cat, price, id)
SELECT cat FROM (SELECT DISTINCT cat, f6 FROM {T})
SELECT count(*) FROM (SELECT DISTINCT cat, f6 FROM {T})
SELECT id FROM (SELECT id, f6 FROM {T} ORDER BY f6[1], price LIMIT 3)
SELECT id FROM (SELECT id, price, f6 FROM {T} ORDER BY price, id LIMIT 3) WHERE price > 1
SELECT id FROM (SELECT id, price, f6 FROM {T} ORDER BY price, id LIMIT 5 OFFSET 2) WHERE price > 1 ORDER BY price LIMIT 2
SELECT id, rn FROM (SELECT id, price, row_number() OVER (ORDER BY price, id, f6) AS rn FROM {T}) WHERE price > 2
SELECT id, price FROM {T} QUALIFY row_number() OVER (PARTITION BY cat ORDER BY price, name) = 1
SELECT id, price FROM {T} WHERE price > 2 QUALIFY row_number() OVER (PARTITION BY cat ORDER BY price, name) = 1 ORDER BY price LIMIT 2
SELECT id, price, count(*) OVER () AS n FROM {T} ORDER BY price, name LIMIT 2
SELECT cat, count(*), avg(f6[1]) FROM {T} GROUP BY ALL ORDER BY ALL
SELECT cat, count(*) AS n FROM {T} GROUP BY cat HAVING count(*) > 1 ORDER BY cat LIMIT 1
SELECT cat, n FROM (SELECT cat, count(*) AS n FROM {T} GROUP BY cat) WHERE cat = 'c1'
SELECT cat, n FROM (SELECT cat, max(price) AS price, count(*) AS n FROM {T} GROUP BY cat) WHERE price > 2 AND cat = 'c1'
SELECT cat FROM {T} GROUP BY cat, price ORDER BY cat, price LIMIT 2
SELECT * EXCLUDE (f6, conv3) FROM {T}
SELECT * EXCLUDE (f6) REPLACE (price * 2 AS price) FROM {T} WHERE price < 3
SELECT * EXCLUDE (conv3) RENAME (f6 AS g) FROM {T} WHERE price < 3
SELECT COLUMNS('f.*') FROM {T}
SELECT COLUMNS(lambda c: c LIKE 'p%') FROM {T}
SELECT max(COLUMNS('p.*')) FROM {T}
SELECT COLUMNS(* EXCLUDE (conv3)) FROM {T}
SELECT * LIKE 'f%' FROM {T}
SELECT id FROM {T} WHERE COLUMNS('price|id') > 1
SELECT id, price FROM {T} WHERE COLUMNS('price|id') > 1 ORDER BY price LIMIT 2
SELECT #1, #2 FROM {T}
SELECT id, price FROM {T} WHERE #2 > 1 ORDER BY price LIMIT 2
SELECT t FROM {T} t WHERE price < 3
SELECT t.* FROM {T} t WHERE t.price < 3
SELECT transfer.f6 FROM {T} WHERE transfer.price < 3
SELECT struct_pack(a := f6[1], b := price) FROM {T}
SELECT {'a': price, 'f': f6[1:2]} FROM {T}
SELECT meta.a, t.meta.b FROM {T} t WHERE t.meta.a > 3
SELECT meta['a'] FROM {T} t WHERE meta['a'] > 3
SELECT unnest(meta) FROM {T} WHERE price > 2
SELECT ID, "PRICE", F6 FROM {T} WHERE "Price" > 2
SELECT "Is Healthy", "is healthy" FROM {T} WHERE "IS HEALTHY"
SELECT id FROM {T} WHERE "Is Healthy" AND NOT (price > 3) OR name = 'ham'
SELECT id FROM {T} WHERE f6[1] > 0 AND price < 8
SELECT id FROM {T} WHERE f6[1] > 0 OR price < 3
SELECT id, price FROM {T} WHERE f6[1] IS NOT NULL ORDER BY price, name LIMIT 2
SELECT id, price FROM {T} WHERE error IS NULL ORDER BY price, name LIMIT 2
SELECT id, error FROM {T} ORDER BY price, name LIMIT 3
SELECT id, error FROM {T} WHERE error IS NOT NULL
SELECT o.label, t.price FROM other o LEFT JOIN {T} t ON t.id = o.id WHERE t.price IS NULL
SELECT o.label, t.price FROM other o LEFT JOIN {T} t ON t.id = o.id AND t.price < 3
SELECT o.label, t.price FROM other o LEFT JOIN {T} t ON t.id = o.id WHERE t.price < 3
SELECT o.label, t.price FROM other o LEFT JOIN {T} t ON t.id = o.id WHERE coalesce(t.price, 0) < 3
SELECT t.f6, o.label FROM {T} t LEFT JOIN other o ON t.id = o.id WHERE o.label IS NULL AND t.price > 2
SELECT t.price, o.label FROM {T} t LEFT JOIN other o ON t.id = o.id AND t.price < 3
SELECT t.price, o.label FROM {T} t RIGHT JOIN other o ON t.id = o.id WHERE t.price IS NULL
SELECT t.price, o.label FROM {T} t RIGHT JOIN other o ON t.id = o.id AND t.price < 3
SELECT t.price, o.label FROM other o RIGHT JOIN {T} t ON t.id = o.id AND t.price < 3
SELECT t.price, o.label FROM other o RIGHT JOIN {T} t ON t.id = o.id WHERE t.price < 3
SELECT t.price, o.label FROM {T} t FULL JOIN other o ON t.id = o.id WHERE t.price IS NULL OR o.label IS NULL
SELECT t.price, o.label FROM {T} t FULL JOIN other o ON t.id = o.id AND t.price < 3
SELECT t.price FROM {T} t SEMI JOIN other o ON t.id = o.id WHERE t.price > 2
SELECT t.price FROM {T} t ANTI JOIN other o ON t.id = o.id AND t.price > 2
SELECT t.price FROM {T} t ANTI JOIN other o ON t.id = o.id WHERE t.price > 2
SELECT o.label FROM other o SEMI JOIN {T} t ON t.id = o.id AND t.price > 2
SELECT o.label FROM other o ANTI JOIN {T} t ON t.id = o.id AND t.price > 2
SELECT o.label FROM other o SEMI JOIN {T} t USING (id)
SELECT o.label FROM other o ANTI JOIN {T} t USING (id)
SELECT id, label, t.price FROM {T} t JOIN other USING (id) WHERE id < 3
SELECT id, label, t.price FROM other LEFT JOIN {T} t USING (id) WHERE id < 3
SELECT id, label, t.price FROM {T} t FULL JOIN other USING (id) WHERE id < 3 OR id > 50
SELECT id, label, t.price FROM {T} t RIGHT JOIN other USING (id) WHERE id > 3
SELECT * FROM {T} t JOIN other o USING (id) WHERE t.price > 2
SELECT * EXCLUDE (f6) FROM {T} t JOIN other o USING (id)
SELECT title FROM {T} NATURAL JOIN cats
SELECT title, f6 FROM {T} NATURAL JOIN cats WHERE price > 2
SELECT title FROM cats NATURAL LEFT JOIN {T}
SELECT o.label, t.id FROM (SELECT * FROM other ORDER BY label) o POSITIONAL JOIN (SELECT * FROM {T} ORDER BY price, name, f6) t WHERE t.price > 2
SELECT o.label, t.id, t.price FROM (SELECT * FROM other ORDER BY label) o POSITIONAL JOIN (SELECT * FROM {T} ORDER BY price, name, f6) t
SELECT t.name, o.label FROM {T} t ASOF JOIN other o ON t.price >= o.price
SELECT t.name, o.label FROM other o ASOF LEFT JOIN {T} t ON o.price >= t.price AND o.id = t.id
SELECT t.name, o.label FROM {T} t, other o WHERE t.id = o.id AND t.price > o.price
SELECT t.name, o.label FROM {T} t CROSS JOIN other o WHERE t.price > 8
SELECT t.name, c.title, o.label FROM other o JOIN {T} t ON t.id = o.id LEFT JOIN cats c ON c.cat = t.cat WHERE t.price < 5
SELECT t.name, c.title, o.label FROM other o LEFT JOIN {T} t ON t.id = o.id JOIN cats c ON c.cat = t.cat AND t.price < 5
SELECT t.name, c.title, o.label FROM other o LEFT JOIN {T} t ON t.id = o.id LEFT JOIN cats c ON t.price < 5
SELECT o.label, t.name FROM other o LEFT JOIN ({T} t JOIN cats c ON c.cat = t.cat AND t.price < 5) ON t.id = o.id
SELECT o.label, s.name FROM other o LEFT JOIN (SELECT t.* FROM {T} t JOIN cats c ON c.cat = t.cat AND t.price < 5) s ON s.id = o.id
SELECT o.label, s.name FROM other o LEFT JOIN (SELECT * FROM {T} t WHERE price < 5) s ON s.id = o.id WHERE s.name IS NULL OR s.price < 2
SELECT o.label, (SELECT max(t.price) FROM {T} t WHERE t.id = o.id) FROM other o
SELECT o.label, (SELECT t.price FROM {T} t WHERE t.id = o.id ORDER BY t.price LIMIT 1) FROM other o
SELECT o.label FROM other o WHERE EXISTS (SELECT 1 FROM {T} t WHERE t.id = o.id AND t.price > 2)
SELECT o.label FROM other o WHERE NOT EXISTS (SELECT 1 FROM {T} t WHERE t.id = o.id AND t.price > 2)
SELECT o.label FROM other o WHERE o.id IN (SELECT id FROM {T} WHERE price > 2)
SELECT o.label FROM other o WHERE o.id NOT IN (SELECT id FROM {T} WHERE price > 2 AND id IS NOT NULL)
SELECT o.label FROM other o WHERE o.price > ALL (SELECT price FROM {T} WHERE price < 3)
SELECT t.name FROM {T} t WHERE t.price > (SELECT avg(o.price) FROM other o WHERE o.id = t.id)
SELECT t.name FROM {T} t WHERE EXISTS (SELECT 1 FROM other t WHERE t.id = 1 AND t.price > 2)
SELECT t.name, (SELECT max(t.price) FROM other t) FROM {T} t WHERE t.price > 2
SELECT t.name, (SELECT max(f6) FROM other) FROM {T} t WHERE t.price > 2
SELECT t.name, (SELECT count(*) FROM other o WHERE o.id = t.id) AS n FROM {T} t ORDER BY t.price, t.name LIMIT 3
SELECT t.name, l.label FROM {T} t, LATERAL (SELECT label FROM other o WHERE o.id = t.id AND o.price < t.price) l
SELECT o.label, l.name FROM other o, LATERAL (SELECT name FROM {T} t WHERE o.id = t.id AND t.price > 2) l
SELECT t.name, u.x FROM {T} t, UNNEST(t.tags) AS u(x) WHERE t.price > 2
SELECT t.name, u.x FROM {T} t CROSS JOIN UNNEST(t.tags) AS u(x) ORDER BY t.price, x LIMIT 3
SELECT o.f6, t.price FROM {T} t JOIN other o ON t.id = o.id
SELECT o.f6, t.f6 FROM {T} t JOIN other o ON t.id = o.id
SELECT o.* FROM {T} t JOIN other o ON t.id = o.id
SELECT label FROM {T} t JOIN other o ON t.id = o.id WHERE o.f6 = 'y' AND t.f6[1] IS NOT NULL
WITH c AS (SELECT * FROM {T}) SELECT id, f6 FROM c WHERE price < 3
WITH c AS (SELECT * FROM {T}) SELECT a.id, b.f6 FROM c a JOIN c b ON a.id = b.id WHERE a.price < 3
WITH c AS (SELECT * FROM {T} WHERE price > 2) SELECT (SELECT count(*) FROM c), f6 FROM c WHERE price < 5
WITH c AS MATERIALIZED (SELECT * FROM {T}) SELECT id FROM c WHERE price < 3
WITH c AS NOT MATERIALIZED (SELECT * FROM {T}) SELECT id, f6 FROM c WHERE price < 3
WITH c(a, b) AS (SELECT id, price FROM {T}) SELECT a FROM c WHERE b < 3
WITH c AS (SELECT * FROM {T} LIMIT 100) SELECT id FROM c WHERE price < 3
WITH a AS (SELECT id, price AS p, f6 FROM {T}), b AS (SELECT id, p AS q, f6 FROM a WHERE p < 8) SELECT f6 FROM b WHERE q > 2 ORDER BY q, id LIMIT 2
WITH foods AS (SELECT * FROM foods) SELECT t.f6, foods.price FROM {T} t JOIN foods ON t.id = foods.id WHERE t.price > 2
WITH other AS (SELECT id, label FROM other WHERE id < 3) SELECT t.f6, label FROM {T} t JOIN other ON t.id = other.id WHERE t.price > 2
WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT t.name, n FROM {T} t JOIN r ON t.id = n WHERE t.price > 2
WITH RECURSIVE r AS (SELECT id, price FROM {T} WHERE id = 0 UNION ALL SELECT r.id + 1, price FROM r WHERE r.id < 3) SELECT * FROM r
SELECT f6 FROM (SELECT * FROM (SELECT id AS k, * FROM {T}) WHERE k < 3) WHERE price > 1
SELECT id FROM (SELECT id, f6 FROM {T} UNION ALL SELECT id, NULL FROM other)
SELECT id FROM (SELECT id, f6 FROM {T} UNION SELECT id, NULL FROM other)
SELECT id, price FROM {T} UNION ALL SELECT id, price FROM other ORDER BY price, id LIMIT 3
SELECT id, price FROM {T} WHERE price > 2 UNION SELECT id, price FROM other
SELECT id, price FROM {T} EXCEPT SELECT id, price FROM other
SELECT id FROM (SELECT id, price FROM {T} EXCEPT SELECT id, price FROM other)
SELECT id FROM (SELECT id, price FROM {T} INTERSECT SELECT id, price FROM other)
SELECT id FROM (SELECT id, f6[1] AS x FROM {T} EXCEPT ALL SELECT id, 0.0 FROM other)
SELECT id, price FROM {T} UNION ALL BY NAME SELECT price, id FROM other
SELECT * FROM (SELECT id, price, f6 FROM {T} UNION ALL BY NAME SELECT price, id, f6 AS g FROM other) WHERE price > 2
(SELECT id, price FROM {T} ORDER BY price, id LIMIT 2) UNION ALL SELECT id, price FROM other
SELECT * FROM ((SELECT id, price FROM {T} ORDER BY price, id LIMIT 2) UNION ALL (SELECT id, price FROM other)) WHERE price > 2
FROM {T} WHERE price < 3
FROM {T} SELECT id, f6 WHERE price < 3
FROM (FROM {T} SELECT id, price, f6 ORDER BY price, id LIMIT 3) SELECT f6
SELECT id FROM (FROM {T}) WHERE price < 3
PIVOT (SELECT cat, price FROM {T} WHERE price > 2) ON cat USING sum(price)
SELECT * FROM (SELECT cat, price FROM {T}) PIVOT (sum(price) FOR cat IN ('c1', 'c2'))
SELECT * FROM {T} PIVOT (count(*) FOR cat IN ('c1', 'c2') GROUP BY name)
UNPIVOT (SELECT id, price, made FROM {T}) ON price INTO NAME n VALUE v
SELECT * FROM (SELECT id, price, f6[1] AS a FROM {T}) UNPIVOT (v FOR n IN (price, a))
SELECT id FROM {T} LIMIT 100
SELECT id FROM {T} LIMIT 100 OFFSET 0
SELECT id FROM {T} OFFSET 0
SELECT id FROM {T} LIMIT 0
SELECT count(*) FROM (SELECT id FROM {T} LIMIT 3)
SELECT count(*) FROM (SELECT id FROM {T} LIMIT 3 OFFSET 11)
SELECT count(*) FROM (SELECT id FROM {T} LIMIT 50%)
SELECT count(*) FROM (SELECT id FROM {T} LIMIT 50 PERCENT)
SELECT count(*) FROM (SELECT id FROM {T} LIMIT (1 + 2))
SELECT count(*) FROM (SELECT id FROM {T} LIMIT (SELECT 3))
SELECT count(*) FROM (SELECT id FROM {T} LIMIT 3) WHERE id IS NULL OR id IS NOT NULL
SELECT count(*) FROM (SELECT id FROM {T} WHERE 1 = 0 LIMIT 3)
SELECT count(*) FROM (SELECT id FROM (SELECT id, unnest([1, 2]) AS u FROM {T}) LIMIT 20)
SELECT count(*) FROM (SELECT id FROM (SELECT id, many([1, 2]) AS u FROM {T}) LIMIT 20)
SELECT count(*) FROM {T} USING SAMPLE 100%
SELECT count(*) FROM {T} TABLESAMPLE 100%
SELECT count(*) FROM {T} t TABLESAMPLE 5 ROWS
SELECT count(*) FROM {T} USING SAMPLE 5
SELECT count(*) FROM {T} t TABLESAMPLE reservoir(5 ROWS)
SELECT id, f6 FROM {T} t TABLESAMPLE 100% WHERE price < 3
SELECT id, f6 FROM {T} t WHERE price < 3 USING SAMPLE 100 PERCENT (bernoulli)
SELECT count(*) FROM (SELECT id, f6 FROM {T} USING SAMPLE 3 ROWS) WHERE id IS NULL OR id IS NOT NULL
SELECT count(*) FROM (SELECT id, f6 FROM {T} USING SAMPLE 3 ROWS) WHERE f6 IS NULL OR f6[1] < 1000
SELECT a.f6, b.conv3 FROM {T} a JOIN {T} b ON a.id = b.id WHERE a.price < 3 AND b.price > 1
SELECT a.id FROM {T} a WHERE a.id IN (SELECT b.id FROM {T} b WHERE b.price > 5)
SELECT id FROM {T} WHERE id IN (SELECT id FROM {T} WHERE price > 5)
SELECT id, list_reduce(f6, lambda a, b: a + b) FROM {T} WHERE f6 IS NOT NULL
SELECT id, list_transform(tags, lambda x: x + 1) FROM {T} WHERE list_filter(tags, lambda x: x > 2) != []
SELECT id, [x + 1 FOR x IN tags IF x > 1] FROM {T} WHERE price > 2
SELECT CASE WHEN price > 2 THEN f6[1] END FROM {T}
SELECT grouping(cat), cat, sum(price) FROM {T} GROUP BY ROLLUP (cat)
SELECT cat, sum(price) FILTER (WHERE price > 2) FROM {T} GROUP BY 1
SELECT sum(price) OVER w, name FROM {T} WINDOW w AS (PARTITION BY cat ORDER BY price, name) ORDER BY price, name LIMIT 3
SELECT arg_max(name, f6[1]) FROM {T}
SELECT k, p FROM {T} AS t(k, p)
SELECT count(*) FROM {T} t WHERE t.price < 3 AND t.id = ANY (SELECT o.id FROM other o WHERE o.id = t.id)
SELECT x.id FROM (SELECT t.id, t.price FROM {T} t LEFT JOIN other o ON t.id = o.id) x WHERE x.price > 2
SELECT x.id FROM (SELECT t.id, o.price FROM {T} t LEFT JOIN other o ON t.id = o.id) x WHERE x.price > 2
SELECT x.id FROM other o LEFT JOIN (SELECT t.id, t.price FROM {T} t) x ON x.id = o.id WHERE x.price IS NULL
SELECT x.id FROM other o FULL JOIN (SELECT t.id, t.price FROM {T} t) x ON x.id = o.id AND x.price > 2
SELECT x.id FROM (SELECT t.id, t.price FROM other o LEFT JOIN {T} t ON t.id = o.id) x WHERE x.price IS NULL
SELECT x.id FROM (SELECT t.id, t.price FROM other o LEFT JOIN {T} t ON t.id = o.id) x WHERE x.price > 2
SELECT id FROM (SELECT id, price FROM {T} WHERE price > 2 OR f6[1] > 0) WHERE price < 8 ORDER BY price, id LIMIT 3
DESCRIBE SELECT * FROM {T}
VALUES ((SELECT count(*) FROM {T})), ((SELECT max(f6[1]) FROM {T}))
SELECT rowid FROM other WHERE id IN (SELECT id FROM {T})
SELECT id, price FROM {T} ORDER BY random() * 0, price, name LIMIT 3
SELECT id, price FROM {T} WHERE price > 2 ORDER BY price DESC, name, f6 LIMIT 1
SELECT * FROM {T} t LEFT JOIN other o ON t.id = o.id AND t.f6[1] > 0 WHERE t.price > 2
SELECT id, price FROM (SELECT * FROM {T} ORDER BY price, name) LIMIT 100
SELECT * FROM (SELECT id, price FROM {T} ORDER BY f6 LIMIT 100) ORDER BY price, id LIMIT 2
SELECT min(price) FROM {T} HAVING min(price) < 0
SELECT id FROM {T} WHERE (price, id) > (2, 3)
SELECT id FROM {T} WHERE (SELECT true)
SELECT * FROM (SELECT id, price FROM {T}) AS s(price, id) WHERE price < 3
WITH c(price, id) AS (SELECT id, price FROM {T}) SELECT * FROM c WHERE price < 3
WITH c AS (SELECT id, price FROM {T}) SELECT * FROM c AS s(price, id) WHERE price < 3
SELECT * FROM (SELECT price, id AS price FROM {T}) WHERE price < 3
SELECT count(*) FROM (SELECT id FROM {T} LIMIT 10%)
SELECT o.label, t.name FROM other o LEFT JOIN ({T} t JOIN cats c ON c.cat = t.cat) ON t.id = o.id WHERE t.price IS NULL
SELECT o.label, t.name FROM other o LEFT JOIN ({T} t JOIN cats c ON c.cat = t.cat) ON t.id = o.id WHERE t.price < 3
SELECT s.name FROM (SELECT * FROM {T}) s TABLESAMPLE 100% WHERE s.price < 3
SELECT count(*) FROM {T} t TABLESAMPLE 100 ROWS WHERE t.price < 3
SELECT id FROM (SELECT DISTINCT ON (cat) cat, id, f6, conv3 FROM {T} WHERE id < 2 ORDER BY cat, id)
SELECT x FROM (SELECT cat, id AS x, max(f6[1]) OVER (PARTITION BY cat) AS m FROM {T})
SELECT x FROM (SELECT cat AS x, max(f6[1]) AS m FROM {T} GROUP BY cat)
SELECT count(*) FROM (SELECT unnest(f6) FROM {T})
SELECT id FROM (SELECT id, unnest(f6[1:2]) FROM {T})
SELECT id FROM (SELECT id, f6 FROM {T} UNION ALL SELECT id, conv3[1:84] FROM {T})
SELECT id FROM {T} GROUP BY id, f6 ORDER BY id NULLS FIRST LIMIT 2
SELECT count(*) FROM (SELECT id FROM (SELECT id, unnest(tags) AS u FROM {T} WHERE id IN (2, 3, 4)) LIMIT 1)
SELECT count(*) FROM (SELECT id FROM (SELECT id, many(tags) AS u FROM {T} WHERE id IN (2, 4)) ORDER BY id LIMIT 1)
SELECT count(*) FROM (SELECT price FROM (SELECT max(price) AS price, max(f6[1]) AS m FROM {T}) LIMIT 1)
