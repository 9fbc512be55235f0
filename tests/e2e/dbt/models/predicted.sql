{{ config(materialized='table') }}
-- depends_on: {{ ref('layers') }}

SELECT id, predicted_label, probability
FROM VISTA_PREDICT(model => 'healthy', data => '{{ ref('features') }}')
