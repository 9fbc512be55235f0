-- models of the structured columns and of each layer; the rows of the paper's workload
CREATE TABLE labelled AS
SELECT i.id, i.id % 2 = 0 AS even, (i.id * 7 % 5)::DOUBLE AS x
FROM range(60) AS i(id);
CREATE TABLE shots AS
SELECT range::INTEGER AS id, image
FROM range(60), (SELECT id AS shown, image FROM images WHERE id IN (0, 1, 2, 3, 5, 6))
WHERE shown = [0, 1, 2, 3, 5, 6][1 + range % 6];
SELECT model, feature_set, layer, n_train, n_test, n_skipped, dims, reg, iterations, converged,
       accuracy, f1_score, roc_auc, log_loss, lift, is_best
FROM VISTA_TRAIN(model => 'even', label => 'even', seed => 7, reg => 0.01, l1_ratio => 0.5,
  data => $$SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['conv2', 'fc6'], images => 'shots',
                                   structured => 'labelled')$$,
  baselines => ['structured', 'hog'], max_iterations => 30)
ORDER BY feature_set;

-- TRANSFER's arguments in place of data: the same rows, so the model that there is
SELECT model, feature_set, layer, n_train, n_test, n_skipped, dims, accuracy, f1_score, is_best
FROM VISTA_TRAIN(model => 'even', label => 'even', cnn => 'lenet5', layers => ['conv2', 'fc6'],
  images => 'shots', structured => 'labelled', key => 'id', seed => 7, reg => 0.01, l1_ratio => 0.5,
  baselines => ['structured', 'hog'], max_iterations => 30)
ORDER BY feature_set;

SELECT id, predicted_label, probability, probabilities['true'] AS even, error
FROM VISTA_PREDICT(model => 'even/fc6', images => 'shots', structured => 'labelled')
WHERE id < 8
ORDER BY id;

SELECT id, class, round(score, 2) AS score, abs(score - from_image - from_columns) < 1e-9 AS adds_up,
       abs(from_image - list_sum(flatten(heatmap)))
         <= 1e-5 * list_sum(list_transform(flatten(heatmap), lambda v: abs(v))) AS is_exact,
       round(heatmap[2][3], 1) AS place, len(heatmap) AS height, octet_length(picture) > 100 AS is_drawn,
       error
FROM VISTA_HEATMAP(model => 'even/conv2', images => 'shots', structured => 'labelled', class => true)
WHERE id < 4
ORDER BY id;

SELECT id, class, round(score, 2) AS score, round(heatmap[2][3], 2) AS place, len(heatmap) AS height,
       error
FROM VISTA_HEATMAP(model => 'even/fc6', images => 'shots', structured => 'labelled',
                   method => 'occlusion')
WHERE id < 2
ORDER BY id;

SELECT n, accuracy, log_loss
FROM VISTA_EVALUATE(model => 'even/fc6',
  data => $$SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'], images => 'shots',
                                   structured => 'labelled')$$);

SELECT n, accuracy, log_loss
FROM VISTA_EVALUATE(model => 'even/fc6', images => 'shots', structured => 'labelled',
                    cnn => 'lenet5', on_error => 'skip');

SELECT * FROM VISTA_CONFUSION(model => 'even/fc6', images => 'shots', structured => 'labelled')
ORDER BY ALL;

SELECT model, feature_set, layer, label, cnn, cnn_layer, dtype, dims FROM VISTA_MODELS() ORDER BY model;

SELECT macro, sql LIKE 'CREATE OR REPLACE MACRO even_fc6_1(%' AS is_a_macro
FROM VISTA_MODEL_SQL(model => 'even/fc6');

SELECT feature_set, layer, n_train, accuracy, f1_score
FROM VISTA_COMPARE(images => 'shots', structured => 'labelled', cnn => 'lenet5', layers => [-1, -2],
                   label => 'even', max_iterations => 10)
ORDER BY feature_set;

-- a fraction of all layers' features, ranked and trained anew; and what its model predicts
SELECT model, feature_set, layer, fraction, n_train, dims, accuracy, f1_score,
  round(log_loss, 2) AS log_loss, lift -- by as many iterations as the processor's rounding lets it take
FROM VISTA_TRAIN(model => 'chosen', label => 'even', cnn => 'lenet5', images => 'shots',
  structured => 'labelled', seed => 7, select_fraction => [0.02, 0.1])
ORDER BY feature_set, fraction;

SELECT id, predicted_label, round(probability, 1) AS probability
FROM VISTA_PREDICT(model => 'chosen/selected', images => 'shots', structured => 'labelled')
WHERE id < 8
ORDER BY id;

-- networks and layers ranked without training, and beside it
SELECT cnn, weights, layer, knn_accuracy, h_score, logme, leep, nce, p2l, n, warning
FROM VISTA_RANK_SOURCES(cnn => ['lenet5', 'hog'], weights => ['bundled', 'random'],
  images => 'shots', structured => 'labelled', key => 'id', label => 'even', seed => 3,
  sources => $$SELECT 'lenet5' AS cnn, w AS weights, [x / 84 FOR x IN range(84)] AS mean, n
               FROM (VALUES ('bundled', 901), ('random', 1)) AS sources(w, n)$$)
ORDER BY cnn, weights, layer;

SELECT layer, knn_accuracy, f1_score, regret['knn_accuracy'] AS by_knn, regret['leep'] AS by_leep
FROM VISTA_RANK_SOURCES(cnn => 'lenet5', layers => ['conv2', 'fc6'], images => 'shots',
  structured => 'labelled', label => 'even', trained => true, max_iterations => 10)
ORDER BY layer;
