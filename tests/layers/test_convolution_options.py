"""Every option of a convolution, in both data formats."""

import keras
import numpy as np
import pytest
from derivatives import training_call

from keras_sagan.layers import Conv2D, Conv2DTranspose, kernels

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, params=["cpu", pytest.param("reference", marks=pytest.mark.slow)])
def implementation(request):
    """Of most that is asked for here there is one implementation."""
    if keras.backend.backend() != "tensorflow" and request.param == "cpu":
        pytest.skip("elsewhere there is one implementation")
    with kernels.use(request.param):
        yield request.param


def last(x):
    return x.transpose(0, 2, 3, 1)


def first(x):
    return x.transpose(0, 3, 1, 2)


def spread(kernel, rates):
    """The kernel without dilation that is as one with it: zeros between its values."""
    height, width = (rate * (size - 1) + 1 for rate, size in zip(rates, kernel.shape, strict=False))
    whole = np.zeros((height, width, *kernel.shape[2:]), kernel.dtype)
    whole[:: rates[0], :: rates[1]] = kernel
    return whole


def check_as_keras(layer, plain, shape):
    """Outputs and gradients of a layer are those of one of Keras's that computes channels last.

    Of channels first Keras has none on CPUs without oneDNN, nor of dilated transposed convolutions:
    these are compared with a kernel that is spread out.
    """
    is_first, rates = layer.data_format == "channels_first", layer.dilation_rate
    transposed = isinstance(layer, Conv2DTranspose)
    x = RNG.normal(size=shape).astype("float32")
    layer.build(first(x).shape if is_first else x.shape)
    plain.build(x.shape)
    kernel, *bias = (RNG.normal(size=w.shape).astype("float32") for w in layer.get_weights())
    layer.set_weights([kernel, *bias])
    plain.set_weights([spread(kernel, rates) if transposed else kernel, *bias])
    upstream = RNG.normal(size=plain.compute_output_shape(shape)).astype("float32")
    outputs, d_x, d_kernel = training_call(plain, x, upstream)
    if transposed:
        d_kernel = d_kernel[:: rates[0], :: rates[1]]
    if is_first:
        found = training_call(layer, first(x), first(upstream), training=True)
        found = last(found[0]), last(found[1]), found[2]
    else:
        found = training_call(layer, x, upstream, training=True)
    for ours, exact in zip(found, (outputs, d_x, d_kernel), strict=True):
        # Sums of up to 200 products in float32.
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())
    shape = layer.compute_output_shape(first(x).shape if is_first else x.shape)
    assert tuple(shape) == (first(outputs).shape if is_first else outputs.shape)


OPTIONS = [
    {"padding": "valid"},
    {"padding": "valid", "strides": 2},
    {"padding": "valid", "kernel_size": (4, 1), "strides": (1, 2)},
    {"strides": (2, 1)},
    {"strides": (1, 3), "kernel_size": (2, 5)},
    {"kernel_size": (3, 5)},
    {"dilation_rate": 2},
    {"dilation_rate": (1, 3), "kernel_size": (3, 2)},
    {"dilation_rate": 2, "padding": "valid", "use_bias": False},
    {"groups": 2},
    {"groups": 4, "strides": 2, "padding": "valid"},
    {"data_format": "channels_first"},
    {"data_format": "channels_first", "strides": 2, "kernel_size": 4},
    {"data_format": "channels_first", "padding": "valid", "strides": (2, 1)},
    {"data_format": "channels_first", "groups": 2, "dilation_rate": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_of_a_convolution_is_that_of_keras(options):
    options = {"padding": "same", "kernel_size": 3, **options}
    plain = keras.layers.Conv2D(8, **{**options, "data_format": "channels_last"})
    check_as_keras(Conv2D(8, **options), plain, (2, 9, 8, 4))


TRANSPOSED_OPTIONS = [
    {"padding": "valid"},
    {"padding": "valid", "strides": 1},
    {"strides": 1},
    {"strides": (1, 2)},
    {"strides": (3, 2), "padding": "valid", "kernel_size": (5, 2)},
    {"kernel_size": (3, 5)},
    {"output_padding": 1, "kernel_size": 3},
    {"output_padding": (0, 1), "kernel_size": 3, "padding": "valid"},
    {"strides": 1, "dilation_rate": 2},
    {"strides": 1, "dilation_rate": (3, 2), "kernel_size": (2, 3)},
    {"strides": 1, "dilation_rate": 2, "padding": "valid", "use_bias": False},
    {"data_format": "channels_first"},
    {"data_format": "channels_first", "strides": (2, 1), "padding": "valid"},
    {"data_format": "channels_first", "strides": 1, "dilation_rate": (1, 2)},
]


@pytest.mark.parametrize("options", TRANSPOSED_OPTIONS, ids=str)
@pytest.mark.parametrize("size", [(3, 5), pytest.param((1, 1), marks=pytest.mark.slow)])
def test_every_option_of_a_transposed_convolution_is_that_of_keras(options, size):
    options = {"padding": "same", "strides": 2, "kernel_size": 4, **options}
    layer = Conv2DTranspose(6, **options)
    rates = options.pop("dilation_rate", 1)
    sizes = zip(*(np.broadcast_to(n, 2) for n in (options["kernel_size"], rates)), strict=True)
    plain = {
        **options,
        "kernel_size": tuple(int(rate * (size - 1) + 1) for size, rate in sizes),
        "data_format": "channels_last",
    }
    check_as_keras(layer, keras.layers.Conv2DTranspose(6, **plain), (2, *size, 7))


@pytest.mark.parametrize("make", [Conv2D, Conv2DTranspose])
def test_the_activation_sees_the_data_format(make):
    x = RNG.normal(size=(2, 4, 5, 5)).astype("float32")
    layer = make(6, 3, activation="softmax", data_format="channels_first")
    outputs = np.asarray(layer(x))
    layer.activation = keras.activations.linear
    expected = np.exp(np.asarray(layer(x)))
    # Over the last axis, as in Keras, which are columns here.
    np.testing.assert_allclose(outputs, expected / expected.sum(axis=-1, keepdims=True), rtol=1e-5)
