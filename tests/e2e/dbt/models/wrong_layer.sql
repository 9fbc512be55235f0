{{ config(enabled=var('broken', false)) }}

SELECT id, fc9
FROM TRANSFER(cnn => 'lenet5', layers => ['fc9'], images => '{{ ref('images') }}') AS wrong_layer
