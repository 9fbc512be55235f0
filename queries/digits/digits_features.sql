-- digits_features: the features of each image at two layers, beside what the table knows of it.
--
-- Question  What does the network see in each image?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   id, digit, conv3 FLOAT[120], fc6 FLOAT[84], error (NULL: the image was read)

{{ config(materialized='table') }}

SELECT id, digit, conv3, fc6, error
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['conv3', 'fc6'],
    images => 'digit_images',
    structured => 'digits'
)
ORDER BY id
