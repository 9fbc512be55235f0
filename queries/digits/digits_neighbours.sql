-- digits_neighbours: the three images that the network finds most like each of the first five.
--
-- Question  Which images look alike, by the cosine between their features?
-- Tables    digits_features, whose column of features is used again: nothing is inferred
-- Columns   id, digit, neighbour (its id), neighbour_digit, similarity (1: the same direction)

{{ config(materialized='table') }}

SELECT
    near.id,
    one.digit,
    near.neighbor_id AS neighbour,
    other.digit AS neighbour_digit,
    1 - near.distance AS similarity
FROM VISTA_NEIGHBORS(
    data => '{{ ref('digits_features') }}',
    layer => 'fc6',
    k => 3
) AS near
JOIN digits AS one ON one.id = near.id
JOIN digits AS other ON other.id = near.neighbor_id
WHERE near.id < 5
ORDER BY near.id, near.rank
