-- prepared_features: the features of images that were prepared; they are those of the originals.
--
-- Question  What does the network see in each image, nothing being decoded?
-- Tables    prepared_images (id, image, error), by the query of that name
-- Columns   id, conv3, fc6, error

{{ config(materialized='table') }}

SELECT id, conv3, fc6, error
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['conv3', 'fc6'],
    images => '{{ ref("prepared_images") }}'
)
ORDER BY id
