-- digits_selected: models of a few features of all layers, beside a model per layer; none is kept.
--
-- Question  Do a few features of all layers together do better than any layer?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   feature_set, fraction (of all layers' features that is kept), dims (columns it learns
--           from), f1_score, lift (f1_score minus that of 'structured')

{{ config(materialized='table') }}

SELECT feature_set, fraction, dims, f1_score, lift
FROM VISTA_COMPARE(
    images => 'digit_images',
    structured => 'digits',
    cnn => 'lenet5',
    label => 'digit',
    select_fraction => [0.02, 0.1, 0.3],
    seed => 7
)
