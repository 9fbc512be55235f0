-- degree_of_finetuning: how fast should the last layer learn, and how fast those below it?
--
-- Question  A LeNet-5 of the digits 0 to 4 is tuned to 5 to 9: what is the loss of each learning rate of
--           the head (LL) with each of the inner layers (IL)? 0 leaves them as they are.
--           After Dube et al., Improving Transferability of Deep Neural Networks (arXiv:1807.11459).
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   learning_rate, inner_learning_rate, epoch (the best), f1_score, loss (both on images that
--           training did not see), gain (f1_score over the regression's), is_kept
-- Keeps     network and model 'degree': `vista report degree` plots its runs and epochs
-- Takes     a minute on two cores: 12 trainings of a LeNet-5
-- Shows     4 points of F1 between layers that learn and layers that do not; fast for both is too fast

{{ config(materialized='table') }}

WITH tuned AS (
    SELECT *
    FROM VISTA_FINETUNE(
        model => 'degree',
        label => 'digit',
        layer => 'fc6',
        cnn => 'lenet5',
        images => 'digit_images',
        structured => '(SELECT id, digit FROM digits)',
        unfreeze => 'conv1',
        learning_rate => {{ var('rates', '[0.01, 0.1, 1]') }},
        inner_learning_rate => {{ var('inner_rates', '[0, 0.001, 0.01, 0.1]') }},
        epochs => {{ var('epochs', 20) }},
        seed => 7
    )
)
SELECT learning_rate, inner_learning_rate, epoch, f1_score, loss,
       f1_score - (SELECT any_value(f1_score) FROM tuned WHERE kind = 'before') AS gain, is_kept
FROM tuned
WHERE kind = 'after'
ORDER BY learning_rate, inner_learning_rate
