"""TFRecord files: which there are, their frames, and the `tf.train.Example` in each, as columns.

The format is TensorFlow's (tensorflow.org/tutorials/load_data/tfrecord); nothing here needs it.
"""
