SELECT cnn, parameters, default_weights FROM VISTA_CNNS() WHERE cnn IN ('vgg16', 'lenet5') ORDER BY cnn;

SELECT layer, alias, index_from_top, dims, pooled_dims, bytes_per_image, gflops_cumulative
FROM VISTA_LAYERS('resnet50')
WHERE alias IN ('conv5_3', 'fc6') OR index_from_top = -1;

SELECT DISTINCT topic
FROM VISTA_EXPLAIN("SELECT id, fc6 FROM TRANSFER(cnn => 'lenet5', layers => array('fc6'))")
WHERE topic IN ('candidate', 'sql')
ORDER BY topic;
