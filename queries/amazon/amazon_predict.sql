-- amazon_predict: what the kept model takes each product for, the doubtful ones first.
--
-- Question  Which products is the model unsure of, and is it wrong there?
-- Tables    amazon, amazon_images (generated, not the paper's data), and model 'low_rank' as
--           amazon_by_layer keeps it; no layer but its best row's is computed
-- Columns   id, low_rank, predicted_label, probability (of that label)
-- Weights   random, from a seed: the model remembers its network, layer and weights

{{ config(materialized='table') }}
-- depends_on: {{ ref('amazon_by_layer') }}

SELECT id, low_rank, predicted_label, probability
FROM VISTA_PREDICT(
    model => 'low_rank',
    images => 'amazon_images',
    structured => 'amazon'
)
ORDER BY probability
LIMIT 10
