-- prepared_images: each image decoded and brought to the network's size, once.
--
-- Question  What does the network take each image as?
-- Tables    digit_images (id, path)
-- Columns   id, image (a raw prepared image: a head, then pixels), error (why there is none)

{{ config(materialized='table') }}

SELECT id, image, error
FROM VISTA_PREPARE(cnn => 'lenet5', images => 'digit_images')
