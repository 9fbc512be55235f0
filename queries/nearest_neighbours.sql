-- nearest_neighbours: the three images that the network finds most like each of the first five.
--
-- Question  Which images look alike, by the cosine between their features?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   id, digit, neighbour (its id), neighbour_digit, similarity (1: the same direction)

WITH features AS MATERIALIZED (
    SELECT id, digit, fc6
    FROM TRANSFER(
        cnn => 'lenet5',
        layers => ['fc6'],
        images => 'digit_images',
        structured => 'digits'
    )
    WHERE fc6 IS NOT NULL
)

SELECT
    one.id,
    one.digit,
    other.id AS neighbour,
    other.digit AS neighbour_digit,
    array_cosine_similarity(one.fc6, other.fc6) AS similarity
FROM features AS one
JOIN features AS other ON one.id <> other.id
WHERE one.id < 5
QUALIFY row_number() OVER (PARTITION BY one.id ORDER BY similarity DESC, other.id) <= 3
ORDER BY one.id, similarity DESC;
