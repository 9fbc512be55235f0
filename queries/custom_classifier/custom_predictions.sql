-- custom_predictions: what the classifier of fifty images a class says of images that it never saw.
--
-- Question  How many of the other images of each digit does it know, and how sure is it?
-- Tables    digits, digit_images, and model 'custom' as custom_classifier keeps it
-- Columns   digit, n, known (images of which it says what they are), share, probability (mean, of what it says)

{{ config(materialized='table') }}
-- depends_on: {{ ref('custom_classifier') }}

SELECT digit, count(*) AS n, count(*) FILTER (predicted_label = digit) AS known,
       count(*) FILTER (predicted_label = digit) / count(*) AS share, avg(probability) AS probability
FROM VISTA_PREDICT(
    model => 'custom',
    images => 'digit_images',
    structured => $$SELECT id, digit FROM digits
                    QUALIFY row_number() OVER (PARTITION BY digit ORDER BY hash(id)) > 50$$
)
GROUP BY digit
ORDER BY digit
