"""Arguments of the networks that other projects' weights need."""

import keras
import numpy as np
import pytest

from keras_sagan.models import (
    DCGANDiscriminator,
    DCGANGenerator,
    FullAttentionGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from keras_sagan.sampling import generator_inputs
from keras_sagan.sampling.inference import inference_model

SMALL = {"image_size": 32, "num_classes": 3, "width": 8, "attention": (8,)}
GENERATORS = {
    "normalised tables": (ResNetGenerator, {"class_spectral_norm": True}),
    "one embedding": (ResNetGenerator, {"class_embedding_dim": 5}),
    "both": (ResNetGenerator, {"class_embedding_dim": 5, "class_spectral_norm": True}),
    "scaled": (ResNetGenerator, {"spectral_norm": "scaled"}),
    "first axis": (DCGANGenerator, {"spectral_norm_axis": "first"}),
    "self-modulation": (DCGANGenerator, {"self_modulation": True}),
    "mapping": (DCGANGenerator, {"mapping_layers": 2}),
    "mapping of full attention": (FullAttentionGenerator, {"mapping_layers": 1}),
    "mapping and self-modulation": (
        ResNetGenerator,
        {"mapping_layers": 2, "self_modulation": True},
    ),
    "one embedding and self-modulation": (
        ResNetGenerator,
        {"class_embedding_dim": 5, "self_modulation": True},
    ),
    "norms": (DCGANGenerator, {"norm_epsilon": 1e-2, "norm_momentum": 0.9}),
}


def randomised(network):
    rng = np.random.default_rng(0)
    for variable in network.variables:
        if "variance" in variable.path:
            variable.assign(rng.uniform(1.0, 2.0, variable.shape))
        else:
            variable.assign(rng.normal(scale=0.3, size=variable.shape))
    return network


# In the quick tests what the shipped configs have, and what no other quick test has.
QUICK = ("scaled", "self-modulation", "mapping")


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=[pytest.mark.slow] * (x not in QUICK)) for x in GENERATORS]
)
def test_a_generator_is_saved_and_sampled_as_it_is(name, tmp_path):
    make, arguments = GENERATORS[name]
    generator = randomised(make(latent_dim=8, **SMALL, **arguments))
    inputs = generator_inputs(generator, range(6), labels=[0, 1, 2, 0, 1, 2])
    expected = np.asarray(generator(inputs))
    assert expected.std() > 0.05
    # Rounding of float32 over a dozen layers.
    np.testing.assert_allclose(inference_model(generator)(inputs), expected, atol=5e-5)
    generator.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", safe_mode=True)
    assert {name: getattr(loaded, name) for name in arguments} == arguments
    np.testing.assert_array_equal(np.asarray(loaded(inputs)), expected)


def test_epsilon_and_momentum_reach_the_norms():
    for make in (DCGANGenerator, ResNetGenerator):
        generator = make(latent_dim=8, **SMALL, norm_epsilon=1e-2, norm_momentum=0.7)
        norms = [layer for layer in generator.layers if "norm" in layer.name]
        assert {(norm.epsilon, norm.momentum) for norm in norms} == {(1e-2, 0.7)}


def test_labels_matter_with_one_embedding():
    generator = randomised(ResNetGenerator(latent_dim=8, **SMALL, class_embedding_dim=5))
    latent = np.ones((2, 8), "float32")
    images = np.asarray(generator({"latent": latent, "label": np.array([0, 2])}))
    assert np.abs(images[0] - images[1]).mean() > 0.01


@pytest.mark.parametrize("make", [DCGANDiscriminator, ResNetDiscriminator])
def test_the_axis_of_the_classes_embedding(make):
    lengths = {
        axis: make(**SMALL, spectral_norm_axis=axis).get_layer("class_embedding").u.shape[1]
        for axis in ("output", "first")
    }
    assert lengths["first"] == 3
    assert lengths["output"] > 3


def test_shortcuts_from_activated_features():
    """What the second block gives is convolutions of ReLU(x), in NumPy-like terms of Keras."""
    plain, quirk = (
        randomised(ResNetDiscriminator(**SMALL, relu_shortcut=flag)) for flag in (False, True)
    )
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    inputs = {"image": images, "label": np.array([0, 1])}

    def output(model, name):
        return keras.Model(model.input, model.get_layer(name).output)(inputs)

    # The first block sees the picture, and has no activation before it.
    np.testing.assert_array_equal(output(plain, "block1"), output(quirk, "block1"))
    # The third keeps size and channels: its shortcut is what comes in, or the ReLU of that.
    for model, activation in ((plain, keras.ops.copy), (quirk, keras.ops.relu)):
        before = output(model, "attention8")
        rest = output(model, "block3") - model.get_layer("block3_conv2")(
            keras.ops.relu(model.get_layer("block3_conv1")(keras.ops.relu(before)))
        )
        scale = float(keras.ops.max(keras.ops.abs(before)))  # float32 sums of 144 products
        np.testing.assert_allclose(rest / scale, activation(before) / scale, atol=1e-5)
