SELECT g.code, g.good, g.since, g.note, count(f.id) AS n_foods
FROM {{ ref('grades') }} AS g LEFT JOIN {{ source('given', 'foods') }} AS f ON f.id % 10 = g.grade
WHERE g.grade > {{ var('lowest') }}
GROUP BY ALL
