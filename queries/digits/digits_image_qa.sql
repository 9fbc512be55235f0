-- digits_image_qa: the images that something is wrong with. Nothing is inferred.
--
-- Question  Which images cannot be read, which are there twice, and which are of another mode than
--           most (a gray one among colours, gray of 16 bits among 8, CMYK)?
-- Tables    digit_images (id, path), and the files themselves: those that var image_files means
-- Columns   id, path, problem ('unreadable', 'duplicate', 'odd mode'), detail (the reason, the id
--           of the first of them, or format and mode)

{{ config(materialized='table') }}

WITH files AS (
    SELECT id, path, md5(content) AS fingerprint
    FROM read_blob('{{ var('image_files', 'vista-demo/images/*') }}') AS file
    JOIN digit_images ON parse_filename(path) = parse_filename(file.filename)
),

issues AS (
    SELECT id, path, issues.error, issues.format || ', ' || issues.mode AS mode
    FROM digit_images
    JOIN VISTA_IMAGE_ISSUES(images => 'digit_images') AS issues USING (id)
)

SELECT id, path, 'unreadable' AS problem, error AS detail FROM issues WHERE error IS NOT NULL
UNION ALL
SELECT id, path, 'duplicate', 'as id ' || min(id) OVER (PARTITION BY fingerprint)
FROM files
QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY id) > 1
UNION ALL
SELECT id, path, 'odd mode', mode
FROM issues
WHERE error IS NULL AND mode <> (SELECT mode(mode) FROM issues WHERE error IS NULL)
ORDER BY id, problem
