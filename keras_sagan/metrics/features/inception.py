"""The Inception network of 2015, of whose features published FIDs and Inception Scores are.

It is not the one of `keras.applications`: average pooling leaves the padding out, the last block
pools by maxima, there are 1,008 classes, and pictures are resized as TensorFlow 1 did.
"""

from functools import partial

import keras

from keras_sagan.errors import InputError
from keras_sagan.metrics.features import inception_weights
from keras_sagan.metrics.features.batches import Features, in_batches
from keras_sagan.metrics.features.resize import resize_like_tensorflow1

RESOLUTION = 299
CLASSES = 1008
# The features that are in use, by their length: averages over what a layer gives.
LAYERS = {64: "MaxPool_1", 192: "MaxPool_2", 768: "Mixed_6e", 2048: "Mixed_7c"}
_BATCH = 32

# In the tables a convolution is (name, channels, kernel), and (name, channels, kernel, strides)
# does not pad. A word is a pooling. Branches of a block stand side by side, and so do the
# convolutions of a list within a branch.
_POOLINGS = {
    "average": partial(keras.layers.AveragePooling2D, 3, 1, "same"),  # counts no padding
    "max": partial(keras.layers.MaxPooling2D, 3, 1, "same"),
    "halve": partial(keras.layers.MaxPooling2D, 3, 2, "valid"),
}


def _block_a(pooled):
    return [
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        ["average", ("branch_pool", pooled, 1)],
    ]


def _block_c(width):
    return [
        [("branch1x1", 192, 1)],
        [
            ("branch7x7_1", width, 1),
            ("branch7x7_2", width, (1, 7)),
            ("branch7x7_3", 192, (7, 1)),
        ],
        [
            ("branch7x7dbl_1", width, 1),
            ("branch7x7dbl_2", width, (7, 1)),
            ("branch7x7dbl_3", width, (1, 7)),
            ("branch7x7dbl_4", width, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ],
        ["average", ("branch_pool", 192, 1)],
    ]


def _block_e(pooling):
    return [
        [("branch1x1", 320, 1)],
        [
            ("branch3x3_1", 384, 1),
            [("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))],
        ],
        [
            ("branch3x3dbl_1", 448, 1),
            ("branch3x3dbl_2", 384, 3),
            [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))],
        ],
        [pooling, ("branch_pool", 192, 1)],
    ]


_BLOCKS = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": [
        [("branch3x3", 384, 3, 2)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)],
        ["halve"],
    ],
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": [
        [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)],
        [
            ("branch7x7x3_1", 192, 1),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
            ("branch7x7x3_4", 192, 3, 2),
        ],
        ["halve"],
    ],
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("max"),
}


def inception_network():
    """Returns the network with fresh weights.

    Its layers are named as in the published file, with "_" for ".". Batch norms are none of them:
    each is part of the convolution before it, which computes the same in less time.

    Inputs: float32 (batch, 299, 299, 3), (pictures - 128) / 128.

    Outputs: float32 (batch, 1008), the logits without their bias. Inception Scores are of these:
    the first code for it left the bias out.

    References: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567; torch-fidelity and
    pytorch-fid, in which it is the network of FIDs.
    """
    inputs = keras.Input((RESOLUTION, RESOLUTION, 3), dtype="float32")
    x = _step(inputs, ("Conv2d_1a_3x3", 32, 3, 2))
    x = _step(x, ("Conv2d_2a_3x3", 32, 3, 1))
    x = _step(x, ("Conv2d_2b_3x3", 64, 3))
    x = _pooled(x, "halve", name="MaxPool_1")
    x = _step(x, ("Conv2d_3b_1x1", 80, 1))
    x = _step(x, ("Conv2d_4a_3x3", 192, 3, 1))
    x = _pooled(x, "halve", name="MaxPool_2")
    for name, branches in _BLOCKS.items():
        x = _side_by_side(
            [_branch(x, steps, f"{name}_") for steps in branches],
            name=name,
        )
    x = _average(x)
    outputs = keras.layers.Dense(CLASSES, use_bias=False, name="fc", dtype="float32")(x)
    return keras.Model(inputs, outputs, name="inception")


def _branch(x, steps, prefix):
    for step in steps:
        if isinstance(step, list):
            x = _side_by_side([_step(x, one, prefix) for one in step])
        else:
            x = _step(x, step, prefix)
    return x


def _step(x, step, prefix=""):
    if isinstance(step, str):
        return _pooled(x, step)
    name, channels, kernel, *strides = step
    layer = keras.layers.Conv2D(
        channels,
        kernel,
        strides[0] if strides else 1,
        "valid" if strides else "same",
        data_format="channels_last",
        activation="relu",
        name=f"{prefix}{name}",
        dtype="float32",
    )
    return layer(x)


def _pooled(x, pooling, name=None):
    layer = _POOLINGS[pooling](data_format="channels_last", name=name, dtype="float32")
    return layer(x)


def _side_by_side(tensors, name=None):
    return keras.layers.Concatenate(name=name, dtype="float32")(tensors)


def _average(x):
    return keras.layers.GlobalAveragePooling2D(data_format="channels_last", dtype="float32")(x)


class InceptionExtractor:
    """Features of the 2015 Inception network: see `extractor.py` for what extractors have.

    Args:
        weights: Path of the file `weights-inception-2015-12-05-6726825d.pth` of torch-fidelity, or
            `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid, which is the same. None looks
            in the cache folder, and downloads it there once.
        size: 2048, or 768, 192 or 64: features of an earlier layer, for few pictures. Only 2048
            come with logits, which have no bias: see `inception_network`.

    Raises:
        InputError: A file that is not it; there is none and no network; a size that is not one.
    """

    name = "inception"

    def __init__(self, weights=None, size=2048):
        if size not in LAYERS:
            raise InputError(f"features of inception are {sorted(LAYERS)} long, not {size}")
        self.size = size
        path = inception_weights.find(weights)
        network = inception_network()
        self.checksum = inception_weights.load(network, path)
        outputs = {"features": _average(network.get_layer(LAYERS[size]).output)}
        if size == 2048:
            outputs["logits"] = network.output
        self._network = keras.Model(network.input, outputs)
        self._compiled = {}

    @property
    def protocol(self):
        """What figures depend on beside the pictures and the weights, to be written beside them."""
        is_published = self.checksum == inception_weights.CHECKSUM
        return {
            "network": "Inception of 2015-12-05" if is_published else "Inception, other weights",
            "layer": LAYERS[self.size],
            "resize": f"bilinear of TensorFlow 1 to {RESOLUTION}",
            "input": "(uint8 - 128) / 128",
            "logits": "without bias",
        }

    def extract(self, images):
        """Returns the `Features` of uint8 images (n, height, width, 3) of any size."""
        results = in_batches(self._compute, images, _BATCH)
        return Features(results["features"], results.get("logits"))

    def _compute(self, images):
        size = images.shape[1:]
        if size not in self._compiled:
            inputs = keras.Input(size, dtype="uint8")
            x = resize_like_tensorflow1(keras.ops.cast(inputs, "float32"), RESOLUTION)
            self._compiled[size] = keras.Model(inputs, self._network((x - 128) / 128))
        return self._compiled[size].predict_on_batch(images)
