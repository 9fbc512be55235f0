-- regions_found: windows slide over new pictures, a model of regions scores them, the best are left.
--
-- Question  Where in each picture is the kept model surest, and of what?
-- Tables    digit_images, and model 'parts' as regions_by_layer keeps it
-- Columns   id, x, y, width, height, predicted_label, score (the label's probability)

{{ config(materialized='table') }}
-- depends_on: {{ ref('regions_by_layer') }}

WITH windows AS (  -- proposals: every window of 5 × 5 pixels of the first pictures
    SELECT id, x, y, 5 AS width, 5 AS height
    FROM digit_images, range(0, 4) AS columns_of(x), range(0, 4) AS rows_of(y)
    WHERE id < 40
),

scored AS (
    SELECT
        id, x, y, width, height, predicted_label, probability AS score,
        row_number() OVER (ORDER BY id, y, x) AS window_number
    FROM VISTA_PREDICT(model => 'parts', images => 'digit_images', boxes => windows)
)

SELECT id, x, y, width, height, predicted_label, score
FROM VISTA_NMS(data => scored, by => 'id', key => 'window_number', threshold => 0.3)
WHERE score > 0.5
ORDER BY id, score DESC
