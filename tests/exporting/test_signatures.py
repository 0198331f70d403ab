import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from generators import check_same_pictures, tiny, trained
from programs import run

from keras_sagan import models
from keras_sagan.exporting import convert_to_tflite, write_saved_model
from keras_sagan.sampling import generator_inputs, latents, sample, to_uint8
from keras_sagan.sampling.inference import inference_model

# What runs where there is no TensorFlow: importing it is an error.
LITERT = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "keras_sagan"):
            raise ImportError(name + " is not to be had here")
sys.meta_path.insert(0, Refuse())
import numpy as np
from ai_edge_litert.interpreter import Interpreter
path, signature, inputs, out = sys.argv[1:]
interpreter = Interpreter(path)
call = interpreter.get_signature_runner(signature)
values = dict(np.load(inputs))
results = [
    call(**{name: v[i : i + 1] for name, v in values.items()})
    for i in range(len(next(iter(values.values()))))
]
np.savez(out, **{name: np.concatenate([r[name] for r in results]) for name in results[0]})
operations = {detail["op_name"] for detail in interpreter._get_ops_details()}
print(json.dumps(sorted(operations)))
"""


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory):
    """A generator, its TF Lite file and its SavedModel, loaded."""
    folder, generator = tmp_path_factory.mktemp("dcgan"), trained("dcgan")
    write_saved_model(generator, str(folder / "1"))
    return generator, convert_to_tflite(generator)[0], tf.saved_model.load(str(folder / "1"))


def run_tflite(folder, file, signature, **inputs):
    """Calls a signature of a file for each picture; returns its outputs and the operations."""
    (folder / "g.tflite").write_bytes(file)
    np.savez(folder / "inputs.npz", **inputs)
    files = (folder / "inputs.npz", folder / "outputs.npz")
    process = run("-c", LITERT, folder / "g.tflite", signature, *files)
    assert process.returncode == 0, process.stderr
    return dict(np.load(files[1])), process.stdout


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("family", ["resnet", "dcgan"])
def test_every_tflite_file_agrees_with_keras(family, num_classes, tmp_path):
    generator = trained(family, num_classes)
    check_tflite_agrees(generator, convert_to_tflite(generator)[0], tmp_path)


def test_tflite_runs_without_tensorflow_and_agrees_with_keras(dcgan, tmp_path):
    check_tflite_agrees(*dcgan[:2], tmp_path)


def check_tflite_agrees(generator, file, tmp_path):
    inputs = generator_inputs(generator, range(4))
    expected = generator.predict(inputs, verbose=0)
    outputs, operations = run_tflite(tmp_path, file, "generate", **inputs)
    assert expected.std() > 0.01
    np.testing.assert_allclose(outputs["image"], expected, atol=1e-4)
    assert "Flex" not in operations and "TRANSPOSE_CONV" not in operations


def requests(seeds, labels, truncation):
    return {
        "seed": np.array(seeds, np.int32),
        "label": np.array(labels, np.int32),
        "truncation": np.full(len(seeds), truncation, np.float32),
    }


def test_a_seed_gives_the_same_picture_everywhere(dcgan, tmp_path):
    """NumPy's latents in Keras, against the SavedModel and LiteRT, which make their own."""
    generator, file, loaded = dcgan
    seeds, labels = [0, 1, 7, 2**31 - 1], [0, 1, 2, 1]
    expected = sample(generator, seeds, labels, truncation=0.8)
    request = requests(seeds, labels, 0.8)
    outputs, _ = run_tflite(tmp_path, file, "sample", **request)
    check_same_pictures(outputs["image"], expected)
    for name in ("sample", "serving_default"):
        image = loaded.signatures[name](**{k: tf.constant(v) for k, v in request.items()})["image"]
        check_same_pictures(image.numpy(), expected)


def test_latents_and_generate_are_sample(dcgan, tmp_path):
    """The first on a device's CPU, the second on its GPU."""
    _, file, loaded = dcgan
    request = requests([0, 7, 2**31 - 1], [0, 1, 2], 0.8)
    label = request.pop("label")
    outputs, _ = run_tflite(tmp_path, file, "latents", **request)
    expected = 0.8 * latents.numpy_normal(request["seed"], 8)
    np.testing.assert_allclose(outputs["latent"], expected, atol=5e-6)
    images, _ = run_tflite(tmp_path, file, "generate", latent=outputs["latent"], label=label)
    pictures, _ = run_tflite(tmp_path, file, "sample", label=label, **request)
    np.testing.assert_array_equal(np.asarray(to_uint8(images["image"])), pictures["image"])
    served = loaded.signatures["latents"](**{k: tf.constant(v) for k, v in request.items()})
    np.testing.assert_allclose(served["latent"], expected, atol=5e-6)


def test_classes_are_those_of_the_inputs(tmp_path):
    """A generator without labels may have an attribute of that name."""
    generator = tiny()
    generator.num_classes = 3
    write_saved_model(generator, str(tmp_path / "1"))
    generate = tf.saved_model.load(str(tmp_path / "1")).signatures["generate"]
    latent = np.ones((2, 8), np.float32)
    expected = generator.predict({"latent": latent}, verbose=0)
    np.testing.assert_allclose(generate(latent=latent)["image"], expected, atol=1e-6)


WRONG = [3, -1, 2**31 - 1, -(2**31)]  # of three classes


def check_wrong_labels_are_grey(file, tmp_path):
    """A device raises nothing; -1 was class 2 everywhere."""
    for signature in ("sample", "attend"):
        request = requests([0] * 5, [*WRONG, 2], 1.0)
        *wrong, right = run_tflite(tmp_path, file, signature, **request)[0]["image"]
        assert right.std() > 1
        for image in wrong:
            assert (image == 128).all()
    latent = np.ones((5, 8), np.float32)
    label = np.array([*WRONG, 2], np.int32)
    outputs, _ = run_tflite(tmp_path, file, "generate", latent=latent, label=label)
    assert (outputs["image"][:4] == 0).all() and outputs["image"][4].std() > 0.01


def test_a_device_draws_nothing_of_a_class_that_there_is_not(dcgan, tmp_path):
    check_wrong_labels_are_grey(dcgan[1], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "dynamic_int8", "int8"])
def test_so_does_every_precision(dcgan, precision, tmp_path):
    check_wrong_labels_are_grey(convert_to_tflite(dcgan[0], precision)[0], tmp_path)


@pytest.mark.parametrize("label", WRONG)
def test_a_server_refuses_a_class_that_there_is_not(dcgan, label):
    _, _, loaded = dcgan
    request = {k: tf.constant(v) for k, v in requests([0, 1], [0, label], 1.0).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match="label must be from 0 to 2"):
        loaded.signatures["sample"](**request)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label must be from 0 to 2"):
        loaded.signatures["generate"](latent=tf.ones((2, 8)), label=request["label"])


def test_attend_gives_the_picture_and_its_maps(dcgan, tmp_path):
    generator, file, _ = dcgan
    request = requests([3, 4], [0, 2], 1.0)
    inputs = generator_inputs(generator, [3, 4], [0, 2])
    expected = models.with_attention_maps(generator).predict(inputs, verbose=0)
    outputs, _ = run_tflite(tmp_path, file, "attend", **request)
    assert outputs.keys() == {"image", "attention16"}
    np.testing.assert_allclose(outputs["attention16"], expected["attention16"], atol=1e-5)
    check_same_pictures(outputs["image"], np.asarray(to_uint8(expected["output"])))


@pytest.mark.slow
def test_signatures_share_their_weights():
    generator = models.ResNetGenerator(image_size=32, latent_dim=16, width=32)
    weights = 4 * generator.count_params()
    assert 0.98 * weights < len(convert_to_tflite(generator)[0]) < 1.1 * weights


@pytest.mark.slow
def test_no_trace_of_spectral_norm_stays(tmp_path):
    normalized, plain = trained("dcgan"), trained("dcgan", spectral_norm=False)
    sizes = []
    for generator in (normalized, plain):
        (tmp_path / "g.tflite").write_bytes(convert_to_tflite(generator)[0])
        sizes.append((tmp_path / "g.tflite").stat().st_size)
    # The same operations on the same weights; only names differ.
    assert sizes[0] == pytest.approx(sizes[1], rel=0.03)


def test_saved_model_takes_any_batch(dcgan):
    generator, _, loaded = dcgan
    inputs = generator_inputs(generator, range(5))
    expected = generator.predict(inputs, verbose=0)
    for count in (1, 5):
        tensors = {key: tf.constant(value[:count]) for key, value in inputs.items()}
        image = loaded.signatures["generate"](**tensors)["image"]
        np.testing.assert_allclose(image, expected[:count], atol=1e-5)


@pytest.mark.slow
def test_each_picture_has_its_own_truncation(tmp_path):
    generator = trained(num_classes=None)
    expected = np.concatenate([sample(generator, [5], truncation=t) for t in (0.5, 1.0)])
    write_saved_model(generator, str(tmp_path / "1"))
    call = tf.saved_model.load(str(tmp_path / "1")).signatures["sample"]
    images = call(seed=tf.constant([5, 5]), truncation=tf.constant([0.5, 1.0]))["image"]
    check_same_pictures(images.numpy(), expected)


def test_no_input_is_without_dimensions(dcgan):
    """Over one LiteRT crashes on Arm."""
    interpreter = Interpreter(model_content=dcgan[1])
    for signature in interpreter.get_signature_list():
        inputs = interpreter.get_signature_runner(signature).get_input_details()
        assert all(len(about["shape"]) for about in inputs.values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": [3, -1]}, "seed must be from 0 to 2147483647"),
        ({"truncation": [1.0, float("nan")]}, "truncation must be a finite number"),
        ({"truncation": [1.0, 1.0, 1.0]}, "truncation must have one value for each seed"),
        ({"truncation": [1.0]}, "truncation must have one value for each seed"),
        ({"label": [1]}, "label must have one value for each seed"),
    ],
)
def test_a_server_names_the_input_that_cannot_be(dcgan, wrong, message):
    request = {k: tf.constant(v) for k, v in {**requests([3, 4], [0, 1], 1.0), **wrong}.items()}
    for name in ("sample", "attend"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            dcgan[2].signatures[name](**request)
    if "label" not in wrong:
        del request["label"]
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            dcgan[2].signatures["latents"](**request)


@pytest.mark.parametrize("family", [pytest.param("resnet", marks=pytest.mark.slow), "dcgan"])
@pytest.mark.slow
def test_mixed_precision_is_exported_in_float32(family, tmp_path):
    """A training in mixed precision leaves the policy behind."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = trained(family)
    model = inference_model(mixed)
    write_saved_model(mixed, str(tmp_path / "1"))
    file, _ = convert_to_tflite(mixed)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    keras.config.set_dtype_policy("float32")
    full = trained(family)
    full.set_weights(mixed.get_weights())
    inputs = generator_inputs(full, range(1))
    expected = full.predict(inputs, verbose=0)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["generate"]
    image = served(**{name: tf.constant(value) for name, value in inputs.items()})["image"]
    np.testing.assert_allclose(image, expected, atol=1e-5)
    generate = Interpreter(model_content=file).get_signature_runner("generate")
    np.testing.assert_allclose(generate(**inputs)["image"], expected, atol=1e-5)
