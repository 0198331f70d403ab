"""Feature maps with channels first, by argument or as `keras.config` says."""

import keras
import numpy as np
import pytest

from keras_sagan.layers import (
    ConditionalBatchNorm,
    Conv2D,
    Conv2DTranspose,
    DownsampleConv2D,
    FullAttention2D,
    SelfAttention2D,
    SpectralNorm,
    UpsampleConv2D,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 6, 16)).astype("float32")
LABELS = {"labels": np.array([0, 2], "int32")}
LAYERS = {
    "conv": (lambda **k: Conv2D(8, 3, 2, **k), {}),
    "transposed": (lambda **k: Conv2DTranspose(8, 4, **k), {}),
    "normalised": (lambda **k: SpectralNorm(Conv2D(8, 3, **k)), {}),
    "upsample": (lambda **k: UpsampleConv2D(8, **k), {}),
    "downsample": (lambda **k: DownsampleConv2D(8, **k), {}),
    "attention": (lambda **k: SelfAttention2D(**k), {}),
    "attention in blocks": (lambda **k: SelfAttention2D(query_block=5, **k), {}),
    "full attention": (lambda **k: FullAttention2D(8, query_block=5, **k), {}),
    "full attention, enlarging": (
        lambda **k: FullAttention2D(8, transposed=True, num_classes=3, **k),
        {**LABELS, "training": True},
    ),
    "norm": (lambda **k: ConditionalBatchNorm(3, **k), LABELS),
    "norm in training": (lambda **k: ConditionalBatchNorm(3, **k), {**LABELS, "training": True}),
}


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def filled(layer, inputs, arguments):
    """A layer with weights that are the same for both data formats."""
    layer(inputs, **arguments)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("by_argument", [True, False])
def test_channels_first_is_the_same_with_the_axes_in_another_order(
    name, by_argument, channels_first
):
    make, arguments = LAYERS[name]
    keywords = {"data_format": "channels_first"} if by_argument else {}
    if by_argument:
        keras.config.set_image_data_format("channels_last")
    x = X.transpose(0, 3, 1, 2)
    layer = filled(make(**keywords), x, arguments)
    twin = filled(make(data_format="channels_last"), X, arguments)
    outputs = np.asarray(layer(x, **arguments))
    expected = np.asarray(twin(X, **arguments)).transpose(0, 3, 1, 2)
    # Sums in another order.
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    for found, exact in zip(layer.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-6)  # statistics too

    keras.config.set_image_data_format("channels_last")
    copy = filled(type(layer).from_config(layer.get_config()), x, arguments)
    np.testing.assert_allclose(np.asarray(copy(x, **arguments)), outputs, rtol=1e-4, atol=1e-5)


def test_the_attention_map_lies_alike():
    layer = SelfAttention2D(data_format="channels_first")
    shape = (2, 16, 4, 6)
    assert layer.map_shape(shape) == ((4, 6), (2, 3))
    outputs, maps = layer(X.transpose(0, 3, 1, 2), return_attention=True)
    assert outputs.shape == shape and maps.shape == (2, 24, 6)
    layer = FullAttention2D(5, transposed=True, data_format="channels_first")
    assert layer.map_shape(shape) == ((8, 12), (8, 12))
    outputs, maps = layer(X.transpose(0, 3, 1, 2), return_attention=True)
    assert outputs.shape == (2, 5, 8, 12) and maps.shape == (2, 96, 96)


@pytest.mark.parametrize("name", ["attention", "upsample", "downsample", "norm"])
def test_another_data_format_is_named(name):
    with pytest.raises(ValueError, match="data_format must be one of .*got 'channels_middle'"):
        LAYERS[name][0](data_format="channels_middle")
