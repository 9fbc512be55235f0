-- base_b: a network of the digits 5 to 9, trained from nothing: the base B of the study beside it.
--
-- Question  What does a LeNet-5 reach that has seen these digits alone, and no others before?
-- Tables    digits (id, digit, …), digit_images (id, path), as `vista demo` writes them
-- Columns   epoch, loss (on the rows that stop it early), training_loss, is_kept
-- Keeps     network and model 'base_b', a version a run
-- Takes     half a minute on two cores

{{ config(materialized='table') }}

SELECT epoch, loss, training_loss, is_kept
FROM VISTA_FINETUNE(
    model => 'base_b',
    label => 'digit',
    layer => 'fc6',
    cnn => 'lenet5',
    weights => 'random',
    images => 'digit_images',
    structured => '(SELECT id, digit FROM digits)',
    unfreeze => 'conv1',
    inner_learning_rate => 0.1,
    epochs => {{ var('base_epochs', 40) }},
    seed => 7
)
WHERE kind = 'epoch'
ORDER BY epoch
