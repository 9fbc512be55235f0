-- a regression on a layer, then the network's upper part tuned with it, and the network in use
CREATE TABLE labelled AS
SELECT i.id, i.id % 2 = 0 AS even, (i.id * 7 % 5)::DOUBLE AS x
FROM range(60) AS i(id);
CREATE TABLE shots AS
SELECT range::INTEGER AS id, image
FROM range(60), (SELECT id AS shown, image FROM images WHERE id IN (0, 1, 2, 3, 5, 6))
WHERE shown = [0, 1, 2, 3, 5, 6][1 + range % 6];
-- rounded: Adam's steps are as long for a gradient that is a rounding error of the processor's
SELECT run, kind, epoch, round(loss, 2) AS loss, accuracy, n, round(training_loss, 2) AS training_loss,
  array_to_string(unfrozen, ',') AS unfrozen, learning_rate, lift
FROM VISTA_FINETUNE(model => 'tuned', label => 'even', layer => 'fc6', cnn => 'lenet5',
  images => 'shots', structured => 'labelled', unfreeze => [['conv3'], ['fc6']], epochs => 1,
  seed => 7, max_iterations => 10);

SELECT id, round(fc6[1], 1) AS value
FROM TRANSFER(cnn => 'model:tuned', layers => ['fc6'], images => 'images')
WHERE id < 3 ORDER BY id;

SELECT id, predicted_label, round(probability, 1) AS probability
FROM VISTA_PREDICT(model => 'tuned', images => 'shots', structured => 'labelled')
WHERE id < 4 ORDER BY id;
