-- digits_duplicates: images that are there twice, or nearly so, in groups.
--
-- Question  Which images are the same, by their bytes, by their pixels, or nearly by what the network
--           sees? A near one on either side of a split flatters a model.
-- Tables    digit_images (id, path), as `vista demo` writes it
-- Columns   id, group_id, representative_id (the least id of the group), kind ('same bytes', 'same
--           pixels', 'near'; NULL: the representative), distance (of features, by the cosine)

{{ config(materialized='table') }}

SELECT id, group_id, representative_id, kind, distance
FROM VISTA_DUPLICATES(
    cnn => 'lenet5',
    layer => 'fc6',
    images => 'digit_images',
    threshold => 0.006
)
ORDER BY group_id, kind IS NOT NULL, id
