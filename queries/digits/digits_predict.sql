-- digits_predict: what the kept model takes each image for, the doubtful ones first.
--
-- Question  Which images is the model unsure of, and is it wrong there?
-- Tables    digits, digit_images, and model 'digits' as digits_by_layer keeps it
-- Columns   id, digit, predicted_label, probability (of that label), path

{{ config(materialized='table') }}
-- depends_on: {{ ref('digits_by_layer') }}

SELECT id, digit, predicted_label, probability, path
FROM VISTA_PREDICT(
    model => 'digits',
    images => 'digit_images',
    structured => 'digits'
)
JOIN digit_images USING (id)
ORDER BY probability
LIMIT 10
