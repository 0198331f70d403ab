import keras
import numpy as np
import pytest
import tensorflow as tf
from programs import run, train_arguments

from keras_sagan import models
from keras_sagan.exporting import convert_to_tflite, fold_spectral_norm, write_saved_model
from keras_sagan.layers import SpectralNorm
from keras_sagan.run import Run
from keras_sagan.sampling import generator_inputs

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
path, inputs, out = sys.argv[1:]
interpreter = Interpreter(path)
generate = interpreter.get_signature_runner("generate")
values = dict(np.load(inputs))
images = [
    generate(**{name: value[i : i + 1] for name, value in values.items()})["image"]
    for i in range(len(values["latent"]))
]
np.save(out, np.concatenate(images))
operations = {detail["op_name"] for detail in interpreter._get_ops_details()}
print(json.dumps(sorted(operations)))
"""


def trained(family="resnet", num_classes=3, **options):
    """A generator whose batch statistics, gammas and sigmas are not as they start."""
    generator = models.FAMILIES[family][0](
        image_size=32, num_classes=num_classes, latent_dim=8, width=8, attention=(16,), **options
    )
    rng = np.random.default_rng(0)
    for seed in range(3):
        inputs = generator_inputs(generator, range(8 * seed, 8 * seed + 8))
        generator(inputs, training=True)
    for layer in models.attention_layers(generator):
        layer.gamma.assign(0.5)
    for layer in generator._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
            mean.assign(mean + rng.normal(0, 0.1, mean.shape))
            variance.assign(variance * rng.uniform(0.5, 1.5, variance.shape))
    return generator


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("family", ["resnet", "dcgan"])
def test_tflite_runs_without_tensorflow_and_agrees_with_keras(family, num_classes, tmp_path):
    generator = trained(family, num_classes)
    inputs = generator_inputs(generator, range(4))
    expected = generator.predict(inputs, verbose=0)
    fold_spectral_norm(generator)
    (tmp_path / "g.tflite").write_bytes(convert_to_tflite(generator))
    np.savez(tmp_path / "inputs.npz", **inputs)
    files = [tmp_path / name for name in ("g.tflite", "inputs.npz", "images.npy")]
    process = run("-c", LITERT, *files)
    assert process.returncode == 0, process.stderr
    images = np.load(tmp_path / "images.npy")
    assert expected.std() > 0.01
    np.testing.assert_allclose(images, expected, atol=1e-4)
    assert "Flex" not in process.stdout and "TRANSPOSE_CONV" in process.stdout


def test_no_trace_of_spectral_norm_stays(tmp_path):
    normalized, plain = trained(), trained(spectral_norm=False)
    fold_spectral_norm(normalized)
    sizes = []
    for generator in (normalized, plain):
        (tmp_path / "g.tflite").write_bytes(convert_to_tflite(generator))
        sizes.append((tmp_path / "g.tflite").stat().st_size)
    # The same operations on the same weights; only names differ.
    assert sizes[0] == pytest.approx(sizes[1], rel=0.03)


def test_folding_changes_no_picture():
    generator = trained()
    inputs = generator_inputs(generator, range(4))
    expected = generator.predict(inputs, verbose=0)
    fold_spectral_norm(generator)
    folded = [x for x in generator._flatten_layers() if isinstance(x, SpectralNorm)]
    assert len(folded) > 10
    generator.predict_function = None
    np.testing.assert_allclose(generator.predict(inputs, verbose=0), expected, atol=1e-5)


def test_saved_model_takes_any_batch(tmp_path):
    generator = trained()
    inputs = generator_inputs(generator, range(5))
    expected = generator.predict(inputs, verbose=0)
    fold_spectral_norm(generator)
    write_saved_model(generator, str(tmp_path / "1"))
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    for name in ("generate", "serving_default"):
        signature = loaded.signatures[name]
        for count in (1, 5):
            tensors = {key: tf.constant(value[:count]) for key, value in inputs.items()}
            image = signature(**tensors)["image"]
            np.testing.assert_allclose(image, expected[:count], atol=1e-5)


def test_the_program_exports_the_averaged_generator(tmp_path):
    folder = tmp_path / "run"
    process = run(*train_arguments(folder))
    assert process.returncode == 0, process.stderr
    for _ in range(2):  # the second replaces the first
        process = run("-m", "export", folder)
        assert process.returncode == 0, process.stderr
        assert str(folder / "export" / "generator_float32.tflite") in process.stdout
        assert "from Keras in LiteRT" in process.stdout
    assert sorted(path.name for path in (folder / "export").iterdir()) == [
        "generator_float32.tflite",
        "saved_model",
    ]
    assert not list(folder.glob("export.partial"))
    generator = Run(folder).load_generator()
    inputs = generator_inputs(generator, range(2))
    loaded = tf.saved_model.load(str(folder / "export" / "saved_model" / "1"))
    image = loaded.signatures["generate"](**{k: tf.constant(v) for k, v in inputs.items()})
    np.testing.assert_allclose(image["image"], generator.predict(inputs, verbose=0), atol=1e-5)
