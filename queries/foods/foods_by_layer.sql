-- foods_by_layer: the paper's workload over Foods: one model a layer, all fed by one stream.
--
-- Question  Which layer of AlexNet tells plant-based foods best, beside their nutrients?
-- Tables    foods (id, 129 columns, plant_based), food_images (id, image), generated, not the
--           paper's data: python -m vista_sql.datasets foods FOLDER
-- Columns   feature_set, dims (columns it learns from), accuracy, f1_score, roc_auc (all on the
--           fifth of the rows that training did not see), lift (f1_score minus that of
--           'structured'), is_best
-- Weights   random, from a seed: pretrained ones cannot be shipped. Random weights show cost and
--           parity, never quality. Leave the line out where you have AlexNet's
-- Keeps     model 'plant_based', a version a run on new data; `vista report plant_based` shows it
-- Source    elastic net of weight 0.01, half L1, 10 iterations: the paper's section 5

{{ config(materialized='table') }}

SELECT feature_set, dims, accuracy, f1_score, roc_auc, lift, is_best
FROM VISTA_TRAIN(
    model => 'plant_based',
    label => 'plant_based',
    cnn => 'alexnet',
    layers => [-4, -3, -2, -1],
    images => 'food_images',
    structured => 'foods',
    weights => 'random',
    by_layer => true,
    baselines => ['structured', 'tree'],
    reg => 0.01, l1_ratio => 0.5, max_iterations => 10,
    test_fraction => 0.2, seed => 7
)
