-- digits_image_qa: the images that something is wrong with. Nothing is inferred.
--
-- Question  Which images cannot be read, which are there twice, and which are of another mode than
--           most (a gray one among colours, 16 bits among 8, CMYK)?
-- Tables    digit_images (id, path), and the files themselves: those that var image_files means
-- Columns   id, path, problem ('unreadable', 'duplicate', 'odd mode'), detail (the reason, the id
--           of the first of them, or the mode)

{{ config(materialized='table') }}

WITH files AS (
    SELECT id, path, md5(content) AS fingerprint, left(hex(content), 262144) AS head
    FROM read_blob('{{ var('image_files', 'vista-demo/images/*') }}') AS file
    JOIN digit_images ON parse_filename(path) = parse_filename(file.filename)
),

modes AS (  -- a PNG's and a JPEG's header say how many channels of how many bits there are
    SELECT
        id,
        path,
        CASE
            WHEN starts_with(head, '89504E47') THEN 'PNG, ' || CASE substr(head, 51, 2)
                WHEN '00' THEN 'gray' WHEN '02' THEN 'RGB' WHEN '03' THEN 'palette'
                WHEN '04' THEN 'gray with alpha' WHEN '06' THEN 'RGBA' ELSE 'unknown'
            END || ', ' || CAST('0x' || substr(head, 49, 2) AS INTEGER) || ' bits'
            WHEN starts_with(head, 'FFD8') THEN 'JPEG, ' || CASE regexp_extract(
                head, 'FFC[0-2]00(?:0B|11|14)..(?:....)(?:....)(0[1-4])', 1
            )
                WHEN '01' THEN 'gray' WHEN '03' THEN 'YCbCr' WHEN '04' THEN 'CMYK' ELSE 'unknown'
            END
            ELSE 'another format'
        END AS mode
    FROM files
),

unreadable AS (
    SELECT id, path, 'unreadable' AS problem, error AS detail
    FROM digit_images
    JOIN TRANSFER(cnn => 'lenet5', images => 'digit_images') AS read USING (id)
    WHERE error IS NOT NULL
)

SELECT id, path, problem, detail FROM unreadable
UNION ALL
SELECT id, path, 'duplicate', 'as id ' || min(id) OVER (PARTITION BY fingerprint)
FROM files
QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY id) > 1
UNION ALL
SELECT id, path, 'odd mode', mode
FROM modes
WHERE mode <> (SELECT mode(mode) FROM modes) AND id NOT IN (SELECT id FROM unreadable)
ORDER BY id, problem
