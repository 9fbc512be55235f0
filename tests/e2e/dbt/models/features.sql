{{ config(materialized='table') }}

SELECT id, price, is_healthy, conv3, fc6
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['conv3', 'fc6'],
    images => '{{ ref('images') }}',
    structured => '{{ ref('foods') }}'
) AS features
