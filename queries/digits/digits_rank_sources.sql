-- digits_rank_sources: networks and layers ranked by scores; nothing is trained.
--
-- Question  Which network's which layer will help, told without training?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   cnn, weights, layer, knn_accuracy, h_score, logme, leep, nce (higher is better),
--           n (rows), warning

{{ config(materialized='table') }}

SELECT cnn, weights, layer, knn_accuracy, h_score, logme, leep, nce, n, warning
FROM VISTA_RANK_SOURCES(
    images => 'digit_images',
    structured => 'digits',
    cnn => ['lenet5', 'hog'],
    weights => ['bundled', 'random'],
    label => 'digit',
    seed => 7
)
