import keras
import numpy as np
import pytest
from generators import trained

from keras_sagan.exporting.device_model import DifferenceUpsampleConv2D, device_model
from keras_sagan.exporting.inference_model import inference_model
from keras_sagan.layers import UpsampleConv2D
from keras_sagan.sampling import generator_inputs

RNG = np.random.default_rng(0)


def upsampled_convolution(x, kernel, bias):
    """Nearest upsampling by 2 and a 3x3 "same" convolution, in NumPy's float64."""
    x = np.asarray(x, np.float64).repeat(2, axis=1).repeat(2, axis=2)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = x.shape[1:3]
    total = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i in range(3):
        for j in range(3):
            total += padded[:, i : i + height, j : j + width] @ np.asarray(kernel[i, j], np.float64)
    return total + bias


def test_upsampling_by_differences_is_an_upsampled_convolution():
    x = RNG.normal(size=(2, 5, 3, 4)).astype("float32")
    kernel, bias = RNG.normal(size=(3, 3, 4, 6)), RNG.normal(size=6)
    layer = DifferenceUpsampleConv2D(6)
    layer.build(x.shape)
    layer.set_weights(layer.weights_of(kernel, bias))
    expected = upsampled_convolution(x, kernel, bias)
    # Sums of up to 36 products of size 1 in float32.
    np.testing.assert_allclose(layer(x), expected, atol=2e-5)
    assert sum(np.prod(w.shape) for w in layer.weights) == 9 * 4 * 6 + 6


CONVOLUTIONS = {
    "up-convolution": lambda: UpsampleConv2D(6),
    "without bias": lambda: UpsampleConv2D(6, use_bias=False),
    "4x4 stride 2": lambda: keras.layers.Conv2DTranspose(6, 4, 2, "same", activation="tanh"),
    "2x2 stride 2": lambda: keras.layers.Conv2DTranspose(6, 2, 2, "same", use_bias=False),
    "6x6 stride 2": lambda: keras.layers.Conv2DTranspose(6, 6, 2, "same"),
    "4x4 stride 2, whole": lambda: keras.layers.Conv2DTranspose(6, 4, 2, "valid"),
    "3x3 stride 1": lambda: keras.layers.Conv2DTranspose(6, 3, 1, "same"),
    "8x8 stride 4": lambda: keras.layers.Conv2DTranspose(6, 8, 4, "same"),
    "3x3 stride 2, left as it is": lambda: keras.layers.Conv2DTranspose(6, 3, 2, "same"),
    "upsampling": lambda: keras.layers.UpSampling2D(),
    "upsampling by 3, left as it is": lambda: keras.layers.UpSampling2D(3),
}


@pytest.mark.parametrize("size", [(5, 3), (40, 36)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_layer_gives_the_same(name, size):
    inputs = keras.Input((*size, 4))
    model = keras.Model(inputs, CONVOLUTIONS[name]()(inputs))
    for variable in model.weights:
        variable.assign(RNG.normal(size=variable.shape))
    x = RNG.normal(size=(2, *size, 4)).astype("float32")
    device = device_model(model)
    np.testing.assert_allclose(device(x), model(x), atol=2e-5)
    kept = any(isinstance(x, keras.layers.Conv2DTranspose) for x in device.layers)
    assert kept == (name == "3x3 stride 2, left as it is")


def test_a_vector_that_becomes_a_map():
    inputs = keras.Input((1, 1, 7))
    model = keras.Model(inputs, keras.layers.Conv2DTranspose(6, 4)(inputs))
    model.layers[1].bias.assign(RNG.normal(size=6))
    x = RNG.normal(size=(2, 1, 1, 7)).astype("float32")
    device = device_model(model)
    np.testing.assert_allclose(device(x), model(x), atol=1e-5)
    assert not any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in device.layers)


# Steps of a channel's largest value over 32767 and 127; a picture has about a dozen norms.
@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float32", 1e-5), ("float16", 1e-3), ("dynamic_int8", 0.2), ("int8", 0.2)],
)
@pytest.mark.parametrize("family", ["resnet", "dcgan"])
def test_a_generator_gives_the_same_pictures(family, precision, tolerance):
    generator = trained(family)
    inputs = generator_inputs(generator, range(4))
    expected = generator.predict(inputs, verbose=0)
    model = device_model(inference_model(generator), precision)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=tolerance)
    slow = (keras.layers.Conv2DTranspose, keras.layers.UpSampling2D, UpsampleConv2D)
    assert not any(isinstance(layer, slow) for layer in model.layers)


def test_large_kernels_are_split_for_the_quantiser(monkeypatch):
    inputs = keras.Input((5, 3, 4))
    conv = keras.layers.Conv2D(7, 3, padding="same", use_bias=False, activation="relu")
    model = keras.Model(inputs, conv(inputs))
    x = RNG.normal(size=(2, 5, 3, 4)).astype("float32")
    monkeypatch.setattr("keras_sagan.exporting.device_model._LARGEST_KERNEL", 4 * 3 * 3 * 4 * 3)
    device = device_model(model, "int8")
    assert [w.shape[-1] for w in device.weights if len(w.shape) == 4] == [3, 2, 2]
    np.testing.assert_allclose(device(x), model(x), atol=1e-5)
