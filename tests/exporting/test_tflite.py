import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from generators import tiny, trained
from programs import REPOSITORY
from tensorflow.lite.python import schema_py_generated as schema

from keras_sagan.exporting import PRECISIONS, convert_to_tflite, flatbuffer
from keras_sagan.exporting.device import device_model
from keras_sagan.exporting.metadata import add_metadata
from keras_sagan.exporting.quantize import psnr, scope
from keras_sagan.exporting.signatures import SIGNATURES
from keras_sagan.exporting.tflite import converted
from keras_sagan.models import FAMILIES, DCGANGenerator
from keras_sagan.running import config
from keras_sagan.sampling import generator_inputs, sample
from keras_sagan.sampling.inference import inference_model

litert = pytest.importorskip("ai_edge_litert.interpreter")

CONFIGS = REPOSITORY / "configs"
# dB to the Keras model, which a trained one must keep too.
LEAST = {"float32": 60, "float16": 45, "dynamic_int8": 30, "int8": 28}

# Layers of the mapping network.
SELF_MODULATED = {"self-modulation": 0, "self-modulation by mapped latents": 2}


@pytest.fixture(
    scope="module",
    params=[
        "dcgan",
        *(
            pytest.param(x, marks=pytest.mark.slow)
            for x in ("resnet", "full_attention", *SELF_MODULATED)
        ),
    ],
)
def generator(request):
    if request.param in SELF_MODULATED:
        return trained("resnet", self_modulation=True, mapping_layers=SELF_MODULATED[request.param])
    return trained(request.param)


# In the quick tests the ends; of all four there are files in test_export.py too, which is slow.
@pytest.mark.parametrize(
    "precision",
    [
        pytest.param(x, marks=[pytest.mark.slow] * (x not in ("float32", "int8")))
        for x in PRECISIONS
    ],
)
def test_every_precision_is_true_to_keras(generator, precision):
    file, _ = convert_to_tflite(generator, precision)
    file = add_metadata(file, "generator", "Draws pictures.", ["a", "b", "c"])
    interpreter = litert.Interpreter(model_content=file)
    assert set(interpreter.get_signature_list()) == set(SIGNATURES)
    generate, draw, attend, _ = map(interpreter.get_signature_runner, SIGNATURES)
    for call in (generate, draw, attend):  # float and integer at the ends, in every precision
        dtypes = {**call.get_input_details(), **call.get_output_details()}
        dtypes = {name: detail["dtype"] for name, detail in dtypes.items()}
        assert dtypes.pop("label") == np.int32 and dtypes.pop("seed", np.int32) == np.int32
        assert dtypes.pop("image") == (np.float32 if call is generate else np.uint8)
        assert set(dtypes.values()) <= {np.float32}
    inputs = generator_inputs(generator, range(12))
    expected = generator.predict(inputs, verbose=0)
    levels = sample(generator, range(12))
    assert expected.std() > 0.2
    images, pictures, attended = [], [], []
    for i in range(12):
        label = inputs["label"][i : i + 1]
        images.append(generate(latent=inputs["latent"][i : i + 1], label=label)["image"])
        request = {"seed": np.array([i], np.int32), "label": label, "truncation": np.float32([1])}
        pictures.append(draw(**request)["image"])
        attended.append(attend(**request))
    assert psnr(np.concatenate(images), expected) > LEAST[precision]
    # The latent of a seed is exact in every precision, so `sample` is as true as `generate`.
    pictures = np.concatenate(pictures)
    assert psnr(pictures / 127.5 - 1, levels / 127.5 - 1) > min(LEAST[precision], 50)
    for answer, picture in zip(attended, pictures, strict=True):
        # Of one precision; int8 may round elsewhere in another signature.
        assert np.abs(answer["image"][0].astype(int) - picture).mean() < 2
        assert answer["attention16"].sum(-1) == pytest.approx(1, abs=0.05)
    if precision in ("float32", "float16"):
        difference = np.abs(pictures.astype(int) - levels)
        # Weights and biases of 11 bits: of trained networks a value in a hundred falls on the other
        # side of a rounding, of these random weights one in twenty, and some by two levels in full
        # attention, whose logits reach 50 here.
        most, equal = {"float32": (1, 0.999), "float16": (2, 0.93)}[precision]
        assert difference.max() <= most and (difference == 0).mean() >= equal


@pytest.mark.slow
def test_generate_alone_is_the_smallest_file():
    generator = trained("dcgan")
    whole, _ = convert_to_tflite(generator, "dynamic_int8")
    file, _ = convert_to_tflite(generator, "dynamic_int8", signatures=("generate",))
    assert len(file) < len(whole)
    alone, among = (litert.Interpreter(model_content=x) for x in (file, whole))
    assert list(alone.get_signature_list()) == ["generate"]
    inputs = generator_inputs(generator, [5])
    images = [x.get_signature_runner("generate")(**inputs)["image"] for x in (alone, among)]
    np.testing.assert_array_equal(*images)


@pytest.mark.slow
def test_sizes_of_the_cifar10_configuration():
    generator = DCGANGenerator(image_size=32, num_classes=10, attention=(8,))
    rng = np.random.default_rng(0)
    for variable in generator.trainable_variables:  # tables of zeros would be stored once
        variable.assign(variable + rng.normal(0, 0.02, variable.shape))
    labels = [f"class {i}" for i in range(10)]
    sizes = {
        precision: len(add_metadata(convert_to_tflite(generator, precision)[0], "n", "d", labels))
        for precision in PRECISIONS
    }
    assert sizes["float16"] <= 0.51 * sizes["float32"]
    assert sizes["dynamic_int8"] <= 0.27 * sizes["float32"]
    assert sizes["int8"] <= 0.27 * sizes["float32"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_of_a_larger_batch_draws_the_same(precision):
    generator = trained("dcgan", None)
    file, _ = convert_to_tflite(generator, precision, batch_size=3)
    generate = litert.Interpreter(model_content=file).get_signature_runner("generate")
    inputs = generator_inputs(generator, range(3))
    expected = generator.predict(inputs, verbose=0)
    assert psnr(generate(**inputs)["image"], expected) > LEAST[precision]


@pytest.mark.slow
def test_int8_leaves_in_float_what_it_would_ruin():
    """A layer after which one channel, which nothing uses, is far larger than all others."""
    generator = trained("dcgan", None)
    assert convert_to_tflite(generator, "int8")[1] == []
    norm, kernel = generator.get_layer("norm8"), generator.get_layer("conv16").layer.kernel
    norm.beta.assign(np.asarray(norm.beta) + 3000.0 * (np.arange(16) == 0))
    kernel.assign(np.asarray(kernel) * (np.arange(16) != 0))
    file, left = convert_to_tflite(generator, "int8")
    assert 0 < len(left) < 8
    generate = litert.Interpreter(model_content=file).get_signature_runner("generate")
    inputs = generator_inputs(generator, range(8))
    expected = generator.predict(inputs, verbose=0)
    images = [generate(latent=latent[None])["image"] for latent in inputs["latent"]]
    assert psnr(np.concatenate(images), expected) > LEAST["int8"]


def test_names_of_layers_are_not_taken_for_each_other():
    """Keras names layers conv2d, conv2d_1, ..., TensorFlow their second use conv2d_1."""
    inputs = keras.Input((8,), name="latent")
    x = keras.layers.Reshape((1, 1, 8))(inputs)
    x = keras.layers.Conv2DTranspose(16, 8, name="start", activation="relu")(x)
    for name in ("conv2d", "conv2d_1", "conv2d_1_1"):
        x = keras.layers.Conv2D(3, 3, padding="same", name=name, activation="tanh")(x)
    generator = keras.Model({"latent": inputs}, x, name="my.generator")
    file = converted(device_model(inference_model(generator)), 1)
    tensors = litert.Interpreter(model_content=file).get_tensor_details()
    for name in ("conv2d", "conv2d_1", "conv2d_1_1"):
        inside = [
            x["name"] for x in tensors if re.search(scope("my.generator", f"{name}."), x["name"])
        ]
        assert inside and all(f"/{name}." in x for x in inside)


def test_int8_of_labels_needs_their_number():
    with pytest.raises(ValueError, match="int8 needs a generator with labels to tell its num_cl"):
        convert_to_tflite(tiny(num_classes=3), "int8")


def test_psnr():
    # A quarter of the values off by 0.1, of a range of 2: 10 log10(4 / 0.0025).
    images = np.zeros((2, 4, 4, 3))
    images[:, :2, :2] = 0.1
    assert psnr(images, np.zeros_like(images)) == pytest.approx(32.041, abs=1e-3)


def test_what_cannot_be_converted_is_named():
    generator = trained("dcgan", None)
    with pytest.raises(ValueError, match="precision must be one of float32, .*, got 'int4'"):
        convert_to_tflite(generator, "int4")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        convert_to_tflite(generator, batch_size=0)
    for signatures in (("sample",), ("generate", "draw")):
        with pytest.raises(ValueError, match="signatures must be generate and others of generate,"):
            convert_to_tflite(generator, signatures=signatures)


# In the quick tests one of them all.
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem != "cifar10"))
        for path in sorted(CONFIGS.glob("*.yaml"))
    ],
)
def test_every_configuration_converts(path):
    model = config.load(path, ["model.width=8"]).model
    options = model.model_dump(exclude={"family"}, exclude_none=True)
    options["num_classes"] = 2 if model.num_classes == "auto" else model.num_classes
    generator = FAMILIES[model.family][0](**options)
    file, _ = convert_to_tflite(generator)
    interpreter = litert.Interpreter(model_content=file)
    generate = interpreter.get_signature_runner("generate")
    shapes = generate.get_input_details()
    values = {name: np.zeros(x["shape"], x["dtype"]) for name, x in shapes.items()}
    size = model.image_size
    assert generate(**values)["image"].shape == (1, size, size, 3)
    operations = [x["op_name"] for x in interpreter._get_ops_details()]
    assert len(operations) < 500 and not any("Flex" in name for name in operations)
    assert {"WHILE", "TRANSPOSE_CONV"}.isdisjoint(operations)


@pytest.mark.slow
def test_float16_weights_have_float16_biases():
    """XNNPACK in LiteRT 1.1 to 1.3 takes them for that, whatever they are."""
    tree = flatbuffer.read(convert_to_tflite(trained("dcgan"), "float16")[0])
    names = flatbuffer.operator_names(tree)
    drawing = 0
    for subgraph in tree.subgraphs:
        operators = [(names[x.opcodeIndex], x) for x in subgraph.operators]
        sources = {x.outputs[0]: x.inputs[0] for name, x in operators if name == "DEQUANTIZE"}
        biases = [x.inputs[2] for name, x in operators if name == "CONV_2D"]
        drawing += len(biases) > 5
        for bias in biases:
            stored = subgraph.tensors[sources[bias]]
            assert stored.type == schema.TensorType.FLOAT16
            assert len(tree.buffers[stored.buffer].data) == 2 * stored.shape[0]
    assert drawing == 3  # all signatures but `latents`


@pytest.mark.slow
def test_dense_layers_of_dynamic_int8_have_one_step():
    """TensorFlow Lite 2.15 and older takes steps of channels for one: 23 dB, without an error."""
    tree = flatbuffer.read(convert_to_tflite(trained("resnet"), "dynamic_int8")[0])
    names = flatbuffer.operator_names(tree)
    steps = {name: set() for name in ("FULLY_CONNECTED", "CONV_2D")}
    for subgraph in tree.subgraphs:
        for operator in subgraph.operators:
            if names[operator.opcodeIndex] in steps:
                weights = subgraph.tensors[operator.inputs[1]]
                assert weights.type == schema.TensorType.INT8
                steps[names[operator.opcodeIndex]].add(len(weights.quantization.scale))
    assert steps["FULLY_CONNECTED"] == {1} and min(steps["CONV_2D"]) > 1


def test_integers_of_others_stay_integers():
    """A layer whose table of int8 is looked up and used as int32."""
    table = np.arange(-3, 3, dtype="int8").reshape(3, 2)

    class Lookup(keras.layers.Layer):
        def call(self, label):
            return keras.ops.cast(tf.cast(tf.gather(table, label), "int32") * 3, "float32")

        def compute_output_shape(self, shape):
            return (*shape, 2)

    inputs = {"latent": keras.Input((2,), name="latent")}
    inputs["label"] = keras.Input((), dtype="int32", name="label")
    x = keras.layers.Add()([inputs["latent"], Lookup()(inputs["label"])])
    generator = keras.Model(inputs, keras.layers.Reshape((1, 1, 2))(x))
    file, _ = convert_to_tflite(generator)
    generate = litert.Interpreter(model_content=file).get_signature_runner("generate")
    image = generate(latent=np.float32([[0.5, 0.25]]), label=np.int32([1]))["image"]
    np.testing.assert_array_equal(image.ravel(), [0.5 - 3, 0.25 + 0])
