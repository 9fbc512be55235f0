-- digits_neighbours: the three images that the network finds most like each of the first five.
--
-- Question  Which images look alike, by the cosine between their features?
-- Tables    digits_features, whose column of features is used again: nothing is inferred
-- Columns   id, digit, neighbour (its id), neighbour_digit, similarity (1: the same direction)

{{ config(materialized='table') }}

SELECT
    one.id,
    one.digit,
    other.id AS neighbour,
    other.digit AS neighbour_digit,
    array_cosine_similarity(one.fc6, other.fc6) AS similarity
FROM {{ ref('digits_features') }} AS one
JOIN {{ ref('digits_features') }} AS other ON one.id <> other.id
WHERE one.id < 5 AND one.fc6 IS NOT NULL AND other.fc6 IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY one.id ORDER BY similarity DESC, other.id) <= 3
ORDER BY one.id, similarity DESC
