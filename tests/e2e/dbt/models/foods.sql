SELECT * FROM {{ source('main', 'all_foods') }} WHERE id < {{ var('newest', 100) }}
