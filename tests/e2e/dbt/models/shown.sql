{{ config(materialized='view') }}

SELECT id, conv3
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['conv3'],
    images => '{{ ref('images') }}',
    structured => '{{ ref('foods') }}'
) AS shown
WHERE id < 5
