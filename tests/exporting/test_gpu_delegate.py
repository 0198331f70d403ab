import numpy as np
import pytest
import tensorflow as tf
from generators import trained

from keras_sagan.exporting import PRECISIONS, convert_to_tflite
from keras_sagan.exporting.gpu_delegate import left_to_the_cpu

pytest.importorskip("ai_edge_quantizer")

INTEGER_ARITHMETIC = {"BITWISE_XOR", "RIGHT_SHIFT", "FLOOR_MOD"}


@pytest.mark.parametrize(
    ("family", "precision"),
    [
        pytest.param(
            *(family, precision),
            marks=[pytest.mark.slow] * ((family, precision) != ("dcgan", "float16")),
        )
        for family in ("dcgan", "resnet", "full_attention")
        for precision in PRECISIONS
    ],
)
def test_a_gpu_takes_all_of_generate(family, precision):
    _takes_all_of_generate(trained(family), precision)


@pytest.mark.slow
@pytest.mark.parametrize("mapping_layers", [0, 2])
@pytest.mark.parametrize("num_classes", [3, None])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_gpu_takes_self_modulation(precision, num_classes, mapping_layers):
    options = {"self_modulation": True, "mapping_layers": mapping_layers}
    generator = trained("dcgan", num_classes, **options)
    _takes_all_of_generate(generator, precision)


def _takes_all_of_generate(generator, precision):
    file, _ = convert_to_tflite(generator, precision)
    assert left_to_the_cpu(file, "generate") == {}
    # Of the others all but what makes the latent of a seed, and rounds to levels.
    left = left_to_the_cpu(file, "sample")
    assert left.keys() - left_to_the_cpu(file, "latents").keys() == {"ROUND", "CAST"}
    assert left.keys() > INTEGER_ARITHMETIC


def converted(function, specs, folder):
    @tf.function(input_signature=[tf.TensorSpec(*spec) for spec in specs])
    def generate(*inputs):
        return {"image": function(*inputs)}

    tf.saved_model.save(tf.Module(), folder, {"generate": generate})
    return tf.lite.TFLiteConverter.from_saved_model(folder, ["generate"]).convert()


IMAGE = ([1, 4, 6, 8], "float32")
TABLE = np.arange(24, dtype="float32").reshape(3, 8)
KERNEL = np.ones((3, 3, 8, 8), "float32")
MARGINS = [(0, 0), (1, 1), (1, 1), (0, 0)]
LABEL = ([1], "int32")
# Functions, the types of their inputs, and what the delegate's own check says of them.
CASES = {
    "arithmetic": (lambda x: tf.nn.relu(x * 2.0) - tf.tanh(x), [IMAGE], {}),
    "a class": (lambda i: tf.gather(TABLE, i), [LABEL], {}),
    "a class of integers": (lambda i: tf.gather(TABLE.astype("int32"), i), [LABEL], {"GATHER": 1}),
    "classes of a map": (lambda i: tf.gather(TABLE, i), [([2, 3], "int32")], {"GATHER": 1}),
    "a label as a number": (lambda i: tf.cast(i, "float32"), [LABEL], {}),
    "bytes": (lambda x: tf.cast(x, "uint8"), [IMAGE], {"CAST": 1}),
    "an int8": (lambda x: tf.cast(x, "float32"), [([1, 8], "int8")], {"CAST": 1}),
    "five dimensions": (
        lambda x: tf.transpose(tf.reshape(x, (1, 4, 6, 2, 4)), (0, 1, 3, 2, 4)),
        [IMAGE],
        {"RESHAPE": 1, "TRANSPOSE": 1},
    ),
    "a choice of integers": (
        lambda i: tf.where(i < 0, i + 3, i), [LABEL], {"LESS": 1, "ADD": 1, "SELECT": 1}
    ),
    "a slice": (lambda x: x[:, 1:3, 2:], [IMAGE], {}),
    "a slice of a vector": (lambda x: x[:, 2:5], [([1, 8], "float32")], {"STRIDED_SLICE": 1}),
    "a slice that drops a dimension": (lambda x: x[:, 1], [IMAGE], {"STRIDED_SLICE": 1}),
    "margins": (lambda x: tf.pad(x, MARGINS), [IMAGE], {}),
    "margins of a vector": (
        lambda x: tf.pad(x, [(0, 0), (1, 1)]), [([1, 8], "float32")], {"PAD": 1}
    ),
    "an outer product": (
        lambda x, y: x * y,
        [([1, 4, 1], "float32"), ([1, 1, 4], "float32")],
        {"MUL": 1},
    ),
    "a convolution": (lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME") + TABLE[0], [IMAGE], {}),
    "a label as a vector": (lambda i: tf.one_hot(i, 3), [LABEL], {}),
    "labels as integers": (lambda i: tf.one_hot(i, 3, dtype="int32"), [LABEL], {"ONE_HOT": 1}),
    "a mirror": (lambda x: tf.pad(x, MARGINS, "REFLECT"), [IMAGE], {}),
    "a mirror of edges": (lambda x: tf.pad(x, MARGINS, "SYMMETRIC"), [IMAGE], {"MIRROR_PAD": 1}),
    "a choice": (lambda x: tf.where(x > 0, x, 0.0), [IMAGE], {}),
    "a reshaped mask": (
        lambda x: tf.cast(tf.reshape(x > 0, (1, 24, 8)), "float32"), [IMAGE], {"RESHAPE": 1}
    ),
    "a vector added to each pixel": (lambda x, y: x + y, [IMAGE, ([1, 8], "float32")], {}),
    "a row added to each": (
        lambda x, y: x * y, [([2, 4, 6, 8], "float32"), ([4, 6, 8], "float32")], {"MUL": 1}
    ),
    "an unknown operation": (lambda x: tf.round(x), [IMAGE], {"ROUND": 1}),
    "attention": (lambda x: tf.nn.softmax(tf.matmul(x, x, transpose_b=True)), [IMAGE], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_a_gpu_refuses(name, tmp_path):
    function, specs, expected = CASES[name]
    assert left_to_the_cpu(converted(function, specs, str(tmp_path))) == expected
