-- digits_compare: the layers of a network compared, best first; no model is kept.
--
-- Question  Which layers are worth their cost, and do plain gradients (HOG) do as well?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   feature_set, dims (columns it learns from), f1_score, f1_score_std (over five folds),
--           lift (f1_score minus that of 'structured'), seconds, is_best

{{ config(materialized='table') }}

SELECT feature_set, dims, f1_score, f1_score_std, lift, seconds, is_best
FROM VISTA_COMPARE(
    images => 'digit_images',
    structured => 'digits',
    cnn => 'lenet5',
    layers => ['conv2', 'conv3', 'fc6'],
    label => 'digit',
    baselines => ['structured', 'hog'],
    folds => 5,
    seed => 7
)
