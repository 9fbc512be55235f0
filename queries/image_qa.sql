-- image_qa: the images that cannot be read, and why. Nothing is inferred.
--
-- Question  Which rows of the image table would come without features?
-- Tables    digit_images (id, path); put your own image table in its place, BLOBs do as well
-- Columns   id, path, error (what is wrong with the file)

SELECT id, path, error
FROM digit_images
JOIN TRANSFER(cnn => 'lenet5', images => 'digit_images') USING (id)
WHERE error IS NOT NULL
ORDER BY id;
