-- amazon_by_layer: the paper's workload over Amazon: one model a layer, all fed by one stream.
--
-- Question  Which layer of AlexNet tells best how a product sells, beside its price, its title and
--           its categories?
-- Tables    amazon (id, 201 columns, low_rank), amazon_images (id, image), generated, not the
--           paper's data: python -m vista_sql.datasets amazon FOLDER
-- Columns   feature_set, dims (columns it learns from), accuracy, f1_score, roc_auc (all on the
--           fifth of the rows that training did not see), lift (f1_score minus that of
--           'structured'), is_best
-- Weights   random, from a seed: pretrained ones cannot be shipped. Random weights show cost and
--           parity, never quality. Leave the line out where you have AlexNet's
-- Keeps     model 'low_rank', a version a run on new data; `vista report low_rank` shows it
-- Source    elastic net of weight 0.01, half L1, 10 iterations: the paper's section 5

{{ config(materialized='table') }}

SELECT feature_set, dims, accuracy, f1_score, roc_auc, lift, is_best
FROM VISTA_TRAIN(
    model => 'low_rank',
    label => 'low_rank',
    cnn => 'alexnet',
    layers => [-4, -3, -2, -1],
    images => 'amazon_images',
    structured => 'amazon',
    weights => 'random',
    by_layer => true,
    baselines => ['structured', 'tree'],
    reg => 0.01, l1_ratio => 0.5, max_iterations => 10,
    test_fraction => 0.2, seed => 7
)
