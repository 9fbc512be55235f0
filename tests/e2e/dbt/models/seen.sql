{{ config(materialized='incremental', unique_key='id') }}

SELECT id, pool2, error
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['pool2'],
    images => '{{ ref('images') }}',
    structured => $$
        SELECT id FROM {{ ref('foods') }} AS foods
        {% if is_incremental() %} WHERE NOT EXISTS (SELECT 1 FROM {{ this }} AS old WHERE old.id = foods.id) {% endif %}
    $$
) AS seen
