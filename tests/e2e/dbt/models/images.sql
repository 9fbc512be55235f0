{{ config(materialized='table') }}
SELECT * FROM {{ source('main', 'all_images') }}
