{{ config(materialized='incremental', unique_key='id') }}

SELECT id, pool2, error
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['pool2'],
    images => '{{ ref('images') }}',
    structured => $$
        SELECT id FROM {{ ref('foods') }}
        {% if is_incremental() %} WHERE id NOT IN (SELECT id FROM {{ this }}) {% endif %}
    $$
) AS seen
