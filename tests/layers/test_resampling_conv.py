import numpy as np
import pytest
from derivatives import training_call
from keras import layers
from layers.contract import check_layer

from keras_sagan.layers import DownsampleConv2D, UpsampleConv2D

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 8, 5)).astype("float32")
KERNEL = RNG.normal(size=(3, 3, 5, 4)).astype("float32")
BIAS = RNG.normal(size=4).astype("float32")


def unfused(cls, x, kernel):
    """The two operations one after the other, in NumPy, float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)

    def conv3x3(y):
        height, width = y.shape[1:3]
        padded = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return sum(
            padded[:, i : i + height, j : j + width] @ kernel[i, j]
            for i in range(3)
            for j in range(3)
        )

    if cls is UpsampleConv2D:
        return conv3x3(x.repeat(2, axis=1).repeat(2, axis=2)) + BIAS
    y = conv3x3(x) + BIAS
    return y.reshape(len(y), y.shape[1] // 2, 2, y.shape[2] // 2, 2, -1).mean(axis=(2, 4))


def fused(cls):
    layer = cls(4)
    layer.build(X.shape)
    layer.set_weights([KERNEL, BIAS])
    return layer


@pytest.mark.parametrize("cls", [UpsampleConv2D, DownsampleConv2D])
def test_forward_equals_the_unfused_computation(cls):
    np.testing.assert_allclose(
        np.asarray(fused(cls)(X)), unfused(cls, X, KERNEL), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("cls", [UpsampleConv2D, DownsampleConv2D])
def test_backward_equals_the_unfused_computation(cls):
    """Gradients of a linear map from its values at unit vectors, which are exact."""
    layer = fused(cls)
    weights = RNG.normal(size=tuple(layer(X).shape))
    _, d_x, d_kernel = training_call(layer, X, weights)
    base = unfused(cls, np.zeros_like(X), KERNEL)
    for index in [(0, 0, 0, 0), (1, 5, 7, 4), (0, 3, 2, 1), (1, 0, 7, 2)]:
        unit = np.zeros(X.shape)
        unit[index] = 1
        expected = np.sum(weights * (unfused(cls, unit, KERNEL) - base))
        assert d_x[index] == pytest.approx(expected, abs=1e-5 * float(np.abs(d_x).max()))
    for index in np.ndindex(3, 3, 2, 2):
        unit = np.zeros(KERNEL.shape)
        unit[index] = 1
        expected = np.sum(weights * (unfused(cls, X, unit) - BIAS))
        assert d_kernel[index] == pytest.approx(expected, abs=1e-5 * float(np.abs(d_kernel).max()))


def test_a_pointwise_convolution_commutes_with_resampling():
    """What the residual shortcuts rely on."""
    conv = layers.Conv2D(4, 1)
    for resample in (layers.UpSampling2D(2), layers.AveragePooling2D(2)):
        np.testing.assert_allclose(
            np.asarray(conv(resample(X))), np.asarray(resample(conv(X))), rtol=1e-5, atol=1e-6
        )


def test_odd_sizes_are_named():
    with pytest.raises(ValueError, match="even height and width, got 5 x 8"):
        DownsampleConv2D(4)(np.ones((1, 5, 8, 3), "float32"))


@pytest.mark.parametrize("cls", [UpsampleConv2D, DownsampleConv2D])
def test_contract(cls, tmp_path):
    check_layer(lambda: cls(4), X, tmp_path, tolerance=2e-3)
