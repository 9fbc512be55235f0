-- foods_predict: what the kept model takes each food for, the doubtful ones first.
--
-- Question  Which foods is the model unsure of, and is it wrong there?
-- Tables    foods, food_images (generated, not the paper's data), and model 'plant_based' as
--           foods_by_layer keeps it; no layer but its best row's is computed
-- Columns   id, plant_based, predicted_label, probability (of that label)
-- Weights   random, from a seed: the model remembers its network, layer and weights

{{ config(materialized='table') }}
-- depends_on: {{ ref('foods_by_layer') }}

SELECT id, plant_based, predicted_label, probability
FROM VISTA_PREDICT(
    model => 'plant_based',
    images => 'food_images',
    structured => 'foods'
)
ORDER BY probability
LIMIT 10
