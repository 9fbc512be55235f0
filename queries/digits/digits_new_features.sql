-- digits_new_features: the features of each image, of new ones only when it is run again.
--
-- Question  What does the network see in the images that came since the last run?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   id, fc6 FLOAT[84], error (NULL: the image was read)
-- Again     what the table has is never inferred again; --full-refresh makes it anew

{{ config(materialized='incremental', unique_key='id') }}

SELECT id, fc6, error
FROM TRANSFER(
    cnn => 'lenet5',
    layers => ['fc6'],
    images => 'digit_images',
    structured => $$
        SELECT id FROM digits
        {% if is_incremental() %} WHERE NOT EXISTS (SELECT 1 FROM {{ this }} AS old WHERE old.id = digits.id) {% endif %}
    $$
)
