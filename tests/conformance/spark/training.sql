CREATE TABLE labelled USING parquet AS
SELECT id, id % 2 = 0 AS even, CAST(id * 7 % 5 AS DOUBLE) AS x
FROM range(60);
CREATE TABLE shots USING parquet AS
SELECT CAST(r.id AS INT) AS id, image
FROM range(60) AS r JOIN images AS i ON i.id = element_at(array(0, 1, 2, 3, 5, 6), CAST(r.id % 6 AS INT) + 1);
SELECT model, feature_set, layer, n_train, n_test, n_skipped, dims, reg, iterations, converged,
       accuracy, f1_score, roc_auc, log_loss, lift, is_best
FROM VISTA_TRAIN(model => 'even', label => 'even', seed => 7, reg => 0.01, l1_ratio => 0.5,
  data => "SELECT * FROM TRANSFER(cnn => 'lenet5', layers => array('conv2', 'fc6'), images => 'shots',
                                  structured => 'labelled')",
  baselines => array('structured', 'hog'), max_iterations => 30)
ORDER BY feature_set;

SELECT id, predicted_label, probability, probabilities['true'] AS even, error
FROM VISTA_PREDICT(model => 'even/fc6', images => 'shots', structured => 'labelled')
WHERE id < 8
ORDER BY id;

SELECT n, accuracy, log_loss
FROM VISTA_EVALUATE(model => 'even/fc6',
  data => TABLE(SELECT * FROM TRANSFER(cnn => 'lenet5', layers => array('fc6'), images => 'shots',
                                       structured => 'labelled')));

SELECT * FROM VISTA_CONFUSION(model => 'even/fc6', images => 'shots', structured => 'labelled')
ORDER BY ALL;

SELECT model, feature_set, layer, label, cnn, cnn_layer, dtype, dims FROM VISTA_MODELS() ORDER BY model;

SELECT feature_set, layer, n_train, accuracy, f1_score
FROM VISTA_COMPARE(images => 'shots', structured => 'labelled', cnn => 'lenet5', layers => array(-1, -2),
                   label => 'even', max_iterations => 10)
ORDER BY feature_set;
