"""Generators of channels first within, and a Keras that is set to channels first."""

import keras
import numpy as np
import pytest
from generators import trained
from keras import layers

from keras_sagan.exporting.device import device_model
from keras_sagan.exporting.saved_model import _transposed
from keras_sagan.layers import (
    ConditionalBatchNorm,
    Conv2DTranspose,
    FullAttention2D,
    SelfAttention2D,
    UpsampleConv2D,
)
from keras_sagan.sampling import generator_inputs
from keras_sagan.sampling.inference import inference_model, rebuilt

# What each way to a file makes of an inference model.
WAYS = {
    "inference": lambda model: model,
    "SavedModel": lambda model: rebuilt(model, _transposed),
    "float32": device_model,
}


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def generator_of_channels_first():
    inputs = {"latent": keras.Input((4,), name="latent")}
    inputs["label"] = keras.Input((), dtype="int32", name="label")
    first = {"data_format": "channels_first"}
    x = layers.Reshape((8, 2, 3))(layers.Dense(48)(inputs["latent"]))
    x = ConditionalBatchNorm(3, **first)(x, labels=inputs["label"])
    x = FullAttention2D(8, 3, 1, negative_slope=0.2, **first)(x)
    x = SelfAttention2D(**first)(UpsampleConv2D(8, **first)(x))
    x = Conv2DTranspose(3, 3, 1, dilation_rate=2, activation="tanh", **first)(x)
    return keras.Model(inputs, layers.Permute((2, 3, 1))(x))


@pytest.mark.parametrize("way", WAYS)
def test_layers_of_channels_first_come_out_as_they_compute(way):
    generator = generator_of_channels_first()
    rng = np.random.default_rng(0)
    generator.set_weights([rng.uniform(0.2, 0.8, w.shape) for w in generator.get_weights()])
    inputs = {"latent": rng.normal(size=(3, 4)).astype("float32"), "label": np.array([0, 2, 1])}
    expected = generator.predict(inputs, verbose=0)
    assert expected.shape == (3, 4, 6, 3) and expected.std() > 1e-2
    model = WAYS[way](inference_model(generator))
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)


@pytest.mark.slow
def test_files_are_channels_last_whatever_keras_says(channels_first):
    generator = trained(attention=(8,))
    inputs = generator_inputs(generator, range(4))
    expected = generator.predict(inputs, verbose=0)
    for way in WAYS.values():
        model = way(inference_model(generator))
        np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)
