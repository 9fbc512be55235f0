"""ResNet50: facts and network."""

from __future__ import annotations

from vista_sql.roster import Cnn, Network, Preprocessing, WeightsFile


def _build() -> Network:
    import keras

    base = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(224, 224, 3))
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(base.output)
    x = keras.layers.Dense(1000, name="fc1000")(x)
    x = keras.layers.Activation("softmax", name="predictions")(x)
    return keras.Model(base.input, x, name="resnet50")


_BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}  # residual blocks per stage: the paper's table 1, 50-layer

CNN = Cnn(
    name="resnet50",
    title="ResNet50",
    paper="He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385",
    input_shape=(224, 224, 3),
    parameters=25_636_712,
    aliases={"conv1": "conv1_relu", "pool1": "pool1_pool"}
    | {
        f"conv{stage}_{block}": f"conv{stage}_block{block}_out"
        for stage, count in _BLOCKS.items()
        for block in range(1, count + 1)
    }
    | {"fc6": "fc1000"},
    feature_layers=("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool", "fc6"),
    counted_layers=("conv4_6", "conv5_1", "conv5_2", "conv5_3", "fc6"),
    preprocessing=Preprocessing(
        order="bgr",
        mean=(103.939, 116.779, 123.68),
        scale=(1.0, 1.0, 1.0),
        source="keras.applications.imagenet_utils, mode 'caffe'",
    ),
    build=_build,
    weights={
        # file name, place and hash: keras/src/applications/resnet.py
        "imagenet": WeightsFile(
            file="resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            url="https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
            "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="2cb95161c43110f7111970584f804107",
        ),
    },
)
