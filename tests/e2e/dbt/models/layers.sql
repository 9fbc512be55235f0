{{ config(materialized='table') }}

SELECT feature_set, n_train, n_test, f1_score
FROM VISTA_TRAIN(model => 'healthy', label => 'is_healthy', data => '{{ ref('features') }}', seed => 7)
