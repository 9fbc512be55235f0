-- preparation_seconds: what images cost before the network, from the originals and prepared.
--
-- Question  Is it worth while to prepare these images for the statements to come?
-- Tables    digit_images (id, path); prepared_images (id, image, error), by the query of that name
-- Columns   source ('originals', 'prepared'), images, fetch_seconds (reading files), prep_seconds
--           (decoding and resizing, or copying), infer_seconds (the network); seconds are summed
--           over threads
-- Note      A process that has just inferred these images has their features still in memory: ask
--           a fresh one. benchmarks/bench_preparation.py measures storage, cold and warm

{{ config(materialized='table') }}

WITH measured AS (
    SELECT 'originals' AS source, topic, item, actual_seconds, value
    FROM VISTA_EXPLAIN(
        $$SELECT conv1 FROM TRANSFER(cnn => 'lenet5', layers => ['conv1'], images => 'digit_images', store => false)$$,
        measure => true
    )
    UNION ALL
    SELECT 'prepared', topic, item, actual_seconds, value
    FROM VISTA_EXPLAIN(
        $$SELECT conv1 FROM TRANSFER(cnn => 'lenet5', layers => ['conv1'], images => '{{ ref("prepared_images") }}', store => false)$$,
        measure => true
    )
)

SELECT
    source,
    max(value) FILTER (topic = 'count' AND item = 'images') AS images,
    sum(actual_seconds) FILTER (topic = 'work' AND item = 'read') AS fetch_seconds,
    sum(actual_seconds) FILTER (topic = 'work' AND item = 'decode') AS prep_seconds,
    sum(actual_seconds) FILTER (topic = 'work' AND item = 'infer') AS infer_seconds
FROM measured
GROUP BY source
ORDER BY source
