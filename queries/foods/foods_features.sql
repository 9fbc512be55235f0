-- foods_features: the paper's layers of AlexNet for each food, beside its label.
--
-- Question  What does the network see in each image, layer by layer?
-- Tables    foods (id, 129 columns, plant_based), food_images (id, image), generated, not the
--           paper's data: python -m vista_sql.datasets foods FOLDER
-- Columns   id, plant_based, conv5 FLOAT[1024] (a 2 × 2 grid of maxima), fc6 and fc7 FLOAT[4096],
--           fc8 FLOAT[1000], error (NULL: the image was read)
-- Weights   random, from a seed: pretrained ones cannot be shipped. Leave the line out where you
--           have AlexNet's

{{ config(materialized='table') }}

SELECT id, plant_based, conv5, fc6, fc7, fc8, error
FROM TRANSFER(
    cnn => 'alexnet',
    layers => [-4, -3, -2, -1],
    images => 'food_images',
    structured => 'foods',
    weights => 'random', seed => 7
)
