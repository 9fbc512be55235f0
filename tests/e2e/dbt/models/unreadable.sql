{{ config(enabled=var('broken', false), materialized='table') }}

SELECT id, fc6
FROM TRANSFER(
    cnn => 'lenet5',
    images => $$SELECT 7 AS id, 'gone.png' AS image$$,
    on_error => 'raise'
) AS unreadable
