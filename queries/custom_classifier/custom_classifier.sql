-- custom_classifier: five classes, fifty images of each, one statement.
--
-- Question  How good does a network become that is tuned to a task of one's own with 250 images?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them; the first 50
--           digits of each class by a hash train and test
-- Columns   kind ('before' tuning, each 'epoch', 'after'), epoch, n (rows that the figures are of),
--           loss, f1_score, is_kept
-- Keeps     network and model 'custom', a version a run
-- Takes     some 15 seconds on two cores
-- Shows     that 250 images are enough: custom_predictions says what became of the other 646

{{ config(materialized='table') }}

SELECT kind, epoch, n, loss, f1_score, is_kept
FROM VISTA_FINETUNE(
    model => 'custom',
    label => 'digit',
    layer => 'fc6',
    cnn => 'lenet5',
    images => 'digit_images',
    structured => $$SELECT id, digit FROM digits
                    QUALIFY row_number() OVER (PARTITION BY digit ORDER BY hash(id)) <= 50$$,
    unfreeze => 'conv2',
    epochs => {{ var('epochs', 20) }},
    seed => 7
)
