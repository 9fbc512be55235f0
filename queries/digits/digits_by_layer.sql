-- digits_by_layer: which layer of the network helps most, and does any of them help?
--
-- Question  How well does a model tell the digits apart by the structured columns alone, and how
--           well with the features of each layer beside them?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   feature_set, dims (columns it learns from), accuracy, f1_score (both on images that
--           training did not see), lift (f1_score minus that of 'structured'), is_best
-- Keeps     model 'digits', a version a run on new data; VISTA_MODELS() lists them

{{ config(materialized='table') }}

SELECT feature_set, dims, accuracy, f1_score, lift, is_best
FROM VISTA_TRAIN(
    model => 'digits',
    label => 'digit',
    cnn => 'lenet5',
    images => 'digit_images',
    structured => 'digits',
    by_layer => true,
    baselines => ['structured'],
    seed => 7
)
