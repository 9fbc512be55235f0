-- transferability: how far up do the layers of one network serve another task?
--
-- Question  The first n convolutions come from network A, of the digits 0 to 4 (the bundled LeNet-5),
--           or from B itself, of 5 to 9; the layers above begin at random, and learn 5 to 9. Do they
--           do as well on A's layers as on B's own, frozen (AnB, BnB) and tuned as well (AnB+, BnB+)?
--           After Yosinski et al., How transferable are features in deep neural networks? (2014).
-- Tables    digits, digit_images, and network 'base_b' as base_b keeps it
-- Columns   treatment, n (layers that come from a network), f1_score (on images that training did not
--           see, mean over the seeds), f1_score_std, runs, bar
-- Keeps     models 'anb', 'anb_plus', 'bnb', 'bnb_plus': `vista report anb` plots its runs and epochs
-- Takes     one to two minutes on two cores: 24 trainings of a LeNet-5
-- Shows     0.98 to 0.99 whatever n: the tasks are alike, and A's layers do as well as B's own

{{ config(materialized='table') }}
-- depends_on: {{ ref('base_b') }}
{% set epochs = var('epochs', 20) %}
{% set seeds = var('seeds', '[1, 2]') %}

WITH tuned AS (
    SELECT 'AnB' AS treatment, *
    FROM VISTA_FINETUNE(model => 'anb', label => 'digit', layer => 'fc6', cnn => 'lenet5',
        images => 'digit_images', structured => '(SELECT id, digit FROM digits)',
        unfreeze => ['conv2', 'conv3', 'fc6'], reset => true, inner_learning_rate => 0.1, epochs => {{ epochs }},
        seed => {{ seeds }})
    UNION ALL
    SELECT 'AnB+' AS treatment, *
    FROM VISTA_FINETUNE(model => 'anb_plus', label => 'digit', layer => 'fc6', cnn => 'lenet5',
        images => 'digit_images', structured => '(SELECT id, digit FROM digits)',
        unfreeze => 'conv1', reset => ['conv2', 'conv3', 'fc6'], inner_learning_rate => 0.1, epochs => {{ epochs }},
        seed => {{ seeds }})
    UNION ALL
    SELECT 'BnB' AS treatment, *
    FROM VISTA_FINETUNE(model => 'bnb', label => 'digit', layer => 'fc6', cnn => 'model:base_b',
        images => 'digit_images', structured => '(SELECT id, digit FROM digits)',
        unfreeze => ['conv2', 'conv3', 'fc6'], reset => true, inner_learning_rate => 0.1, epochs => {{ epochs }},
        seed => {{ seeds }})
    UNION ALL
    SELECT 'BnB+' AS treatment, *
    FROM VISTA_FINETUNE(model => 'bnb_plus', label => 'digit', layer => 'fc6', cnn => 'model:base_b',
        images => 'digit_images', structured => '(SELECT id, digit FROM digits)',
        unfreeze => 'conv1', reset => ['conv2', 'conv3', 'fc6'], inner_learning_rate => 0.1, epochs => {{ epochs }},
        seed => {{ seeds }})
)
SELECT treatment, 4 - len(list_intersect(reset, ['conv2', 'c5_map', 'fc6'])) AS n, avg(f1_score) AS f1_score,
       stddev_pop(f1_score) AS f1_score_std, count(*) AS runs,
       bar(avg(f1_score), 0.8, 1, 40) AS bar
FROM tuned
WHERE kind = 'after'
GROUP BY ALL
ORDER BY treatment, n
