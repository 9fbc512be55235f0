-- digits_heatmaps: the images that the kept model gets wrong, and where it looked.
--
-- Question  Which places of an image spoke for the wrong digit?
-- Tables    digits, digit_images, and model 'digits' as digits_by_layer keeps it
-- Columns   id, digit, class (the predicted digit), score (its linear predictor), from_image and
--           from_columns (its two parts), heatmap (what each place of layer conv2 adds, from the
--           top left), picture (a PNG: orange adds, blue takes off)

{{ config(materialized='table') }}
-- depends_on: {{ ref('digits_by_layer') }}

SELECT id, digit, class, score, from_image, from_columns, heatmap, picture
FROM VISTA_HEATMAP(
    model => 'digits/conv2',
    images => 'digit_images',
    structured => $$
        SELECT * EXCLUDE (conv2, error) FROM VISTA_PREDICT(
            model => 'digits/conv2', images => 'digit_images', structured => 'digits'
        )
        WHERE predicted_label <> digit
    $$
)
JOIN digits USING (id)
ORDER BY id
