-- images that are prepared once: as a table, whose features are those of the originals to the bit
CREATE TABLE prepared AS SELECT * FROM VISTA_PREPARE(cnn => 'lenet5', images => 'images');
SELECT id, octet_length(image) AS n_bytes, error FROM prepared ORDER BY ALL;
SELECT id, f6[2] AS second, error
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'prepared') ORDER BY ALL;
SELECT count(*) AS differing FROM (
  SELECT id, f6, conv3, error FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], images => 'prepared')
  EXCEPT ALL
  SELECT id, f6, conv3, error FROM TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], images => 'images')
);
SELECT name, f6[2] AS second, error
FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'prepared', image => 'image',
              structured => 'foods', join_type => 'left') ORDER BY ALL;
SELECT id, error FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], on_error => 'skip',
  images => $$SELECT * FROM VISTA_PREPARE(cnn => 'lenet5', images => 'images')$$) ORDER BY ALL;
SELECT count(*) AS n, count(image) AS pictures
FROM VISTA_PREPARE(size => [12, 10], images => 'images', format => 'png', on_error => 'skip');

-- what is odd about images
SELECT id, format, width, height, mode, bytes > 100 AS has_bytes, round(brightness, 6) AS brightness,
       round(contrast, 6) AS contrast, round(sharpness, 6) AS sharpness, round(entropy, 6) AS entropy,
       is_dark, is_light, is_blurry, is_low_information, is_gray, odd_size, odd_aspect, error
FROM VISTA_IMAGE_ISSUES(images => 'images', dark => 0.4) ORDER BY ALL;
