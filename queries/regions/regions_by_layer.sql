-- regions_by_layer: from a table of boxes to a classifier of regions.
--
-- Question  How well is a digit told by a part of its picture, and by which layer's map?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them; of your
--           own, a table of boxes: the image key, x, y, width, height in pixels, and a label
-- Columns   feature_set, layer, dims (columns it learns from), n_train, n_test (boxes; those of an
--           image stay on one side), accuracy, f1_score (both on boxes that training did not see),
--           is_best
-- Keeps     model 'parts', which regions_found applies

{{ config(materialized='table') }}

WITH labelled_boxes AS (  -- five parts of each picture of 8 × 8 pixels, labelled by its digit
    SELECT id, digit, x, y, 5 AS width, 5 AS height
    FROM digits,
        (VALUES (0, 0), (3, 0), (1.5, 1.5), (0, 3), (3, 3)) AS corners(x, y)
)

SELECT feature_set, layer, dims, n_train, n_test, accuracy, f1_score, is_best
FROM VISTA_TRAIN(
    model => 'parts',
    label => 'digit',
    cnn => 'lenet5',
    layers => ['conv1', 'conv2', 'pool2'],
    images => 'digit_images',
    boxes => labelled_boxes,
    region => 'roi_align',           -- one map of each picture; all of its boxes are read off it
    exclude => ['x', 'y', 'width', 'height'],
    seed => 7
)
