import keras
import numpy as np
import pytest
from derivatives import gradients_of
from layers.contract import check_layer

from keras_sagan.layers import FullAttention2D, SpectralNorm, attention_layer, kernels

RNG = np.random.default_rng(0)
CLASSES = {"labels": np.array([2, 0], "int32")}
# Arguments, and those of the call.
FORMS = {
    "down": ({"negative_slope": 0.3}, {}),
    "up": ({"negative_slope": 0.3, "transposed": True}, {}),
    "from one location": (
        {"strides": 1, "padding": "valid", "transposed": True, "spectral_norm_axis": "first"},
        {},
    ),
    "without norms": (
        {"kernel_size": 3, "strides": 1, "batch_norm": False, "spectral_norm": False},
        {},
    ),
    "of classes": ({"num_classes": 3, "negative_slope": 0.1, "use_bias": False}, CLASSES),
}


def inputs_of(form, channels=16):
    size = (1, 1) if form == "from one location" else (6, 4)
    return RNG.normal(size=(2, *size, channels)).astype("float32")


def filled(form, gamma=0.7, **changes):
    """A layer in which no weight is as it starts."""
    layer = FullAttention2D(6, **{**FORMS[form][0], **changes})
    layer.build(inputs_of(form).shape, (2,))
    rng = np.random.default_rng(1)
    for variable in layer.variables:
        if "gamma" not in variable.name:
            variable.assign(rng.uniform(0.2, 0.6, variable.shape) * rng.choice([-1, 1]))
        if "variance" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        if "kernel" in variable.name:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    layer.gamma.assign(gamma)
    return layer


def kernel_and_bias(layer):
    wrapped = getattr(layer, "layer", layer)
    is_normalised = isinstance(layer, SpectralNorm)
    kernel = layer.normalized_kernel() if is_normalised else wrapped.kernel
    bias = np.asarray(wrapped.bias, np.float64) if wrapped.use_bias else 0.0
    return np.asarray(kernel, np.float64), bias


def convolved(image, layer, transposed, stride, padding):
    """Of (height, width, channels), tap by tap; "same" pads the smaller half before."""
    kernel, bias = kernel_and_bias(layer)
    size = kernel.shape[0]
    height, width, _ = image.shape
    if transposed:
        spatial = [(n - 1) * stride + size for n in (height, width)]
        whole = np.zeros((*spatial, kernel.shape[2]))
        for (y, x), (i, j) in pairs((height, width), (size, size)):
            whole[y * stride + i, x * stride + j] += kernel[i, j] @ image[y, x]
        before = (size - stride) // 2 if padding == "same" else 0
        rows, columns = (n * stride if padding == "same" else None for n in (height, width))
        return whole[before:, before:][:rows, :columns] + bias
    rest = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in (height, width)]
    image = np.pad(image, [(n // 2, n - n // 2) for n in rest] + [(0, 0)])
    outputs = np.zeros((-(-height // stride), -(-width // stride), kernel.shape[-1]))
    for (y, x), (i, j) in pairs(outputs.shape[:2], (size, size)):
        outputs[y, x] += image[y * stride + i, x * stride + j] @ kernel[i, j]
    return outputs + bias


def pairs(locations, taps):
    return [(place, tap) for place in np.ndindex(*locations) for tap in np.ndindex(*taps)]


def normalised(layer, x, label):
    """Batch norm by the moving statistics, with the gain and bias of a class."""
    if not layer.batch_norm:
        return x
    norm = layer.norm.norm if layer.num_classes else layer.norm
    x = (x - np.asarray(norm.moving_mean)) / np.sqrt(np.asarray(norm.moving_variance) + 1e-5)
    if not layer.num_classes:
        return x * np.asarray(norm.gamma) + np.asarray(norm.beta)
    gain, bias = (np.asarray(table)[label] for table in (layer.norm.gain, layer.norm.bias))
    return x * (1 + gain) + bias


def reference(layer, images, labels=(None, None)):
    """The layer in NumPy, float64, location by location."""
    slope = 1.0 if layer.negative_slope is None else layer.negative_slope
    gamma = float(np.asarray(layer.gamma))
    geometry = (layer.transposed, layer.strides, layer.padding)
    outputs, maps = [], []
    for image, label in zip(images.astype(np.float64), labels, strict=True):
        query, key, value, other = (
            convolved(image, part, *geometry)
            for part in (layer.query, layer.key, layer.value, layer.conv)
        )
        shape = value.shape
        query, key, value = (x.reshape(-1, x.shape[-1]) for x in (query, key, value))
        beta = np.empty((len(query), len(key)))
        for j in range(len(query)):
            s = np.array([query[j] @ key[i] for i in range(len(key))])
            beta[j] = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        attended, other = (
            np.where(x > 0, x, slope * x)
            for x in ((beta @ value).reshape(shape), normalised(layer, other, label))
        )
        outputs.append(gamma * attended + (1 - gamma) * other)
        maps.append(beta)
    return np.stack(outputs), np.stack(maps)


@pytest.mark.parametrize("form", FORMS)
def test_equals_the_definition(form):
    x, arguments = inputs_of(form), FORMS[form][1]
    layer = filled(form)
    outputs, maps = layer(x, return_attention=True, **arguments)
    expected, expected_maps = reference(layer, x, *arguments.values())
    # float32 sums of up to 256 products against float64.
    np.testing.assert_allclose(np.asarray(outputs), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(maps), expected_maps, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.asarray(maps).sum(-1), 1, rtol=1e-5)
    assert np.asarray(maps).std() > 1e-3
    # The attended values matter as much as the convolution.
    assert np.abs(np.asarray(layer(x, **arguments)) - expected).max() < 1e-4
    layer.gamma.assign(0.0)
    assert np.abs(np.asarray(layer(x, **arguments)) - expected).max() > 0.1


@pytest.mark.parametrize("form", FORMS)
def test_the_map_lies_on_the_output(form):
    layer, x = FullAttention2D(6, **FORMS[form][0]), inputs_of(form)
    (queries, keys) = layer.map_shape(x.shape)
    outputs, maps = layer(x, return_attention=True, **FORMS[form][1])
    assert queries == keys == outputs.shape[1:3]
    assert maps.shape == (2, np.prod(queries), np.prod(keys))


@pytest.mark.parametrize("form", FORMS)
def test_gamma_starts_at_zero_and_the_layer_as_its_convolution(form):
    x, arguments = inputs_of(form), FORMS[form][1]
    layer = filled(form, gamma=0.0)
    fresh = FullAttention2D(6, **FORMS[form][0])
    fresh(x, **arguments)
    assert fresh.gamma.shape == () and float(np.asarray(fresh.gamma)) == 0.0
    assert fresh.gamma.path.endswith("/gamma")
    before = np.asarray(layer(x, **arguments))
    layer.value.kernel.assign(np.ones(layer.value.kernel.shape))
    np.testing.assert_array_equal(np.asarray(layer(x, **arguments)), before)


def test_weights():
    layer = FullAttention2D(256, transposed=True)
    layer.build((None, 4, 4, 512))
    # Queries and keys to 512 / 8; value and convolution with biases; gain, bias; gamma.
    expected = 2 * (16 * 512 * 64 + 64) + 2 * (16 * 512 * 256 + 256) + 2 * 256 + 1
    assert sum(int(np.prod(v.shape)) for v in layer.trainable_variables) == expected
    assert isinstance(layer.conv, SpectralNorm)
    assert not any(isinstance(x, SpectralNorm) for x in (layer.query, layer.key, layer.value))


@pytest.mark.parametrize(("axis", "length"), [("output", 6), ("first", 16)])
def test_how_the_convolution_is_spectrally_normalised(axis, length):
    layer = filled("up", spectral_norm="scaled", spectral_norm_axis=axis)
    assert layer.conv.u.shape == (1, length)
    assert layer.conv.factor.shape == ()


def test_training_moves_what_it_normalises_by():
    layer, x = filled("up"), inputs_of("up")
    u, mean = np.array(layer.conv.u), np.array(layer.norm.moving_mean)
    layer(x, training=False)
    np.testing.assert_array_equal(np.asarray(layer.conv.u), u)
    np.testing.assert_array_equal(np.asarray(layer.norm.moving_mean), mean)
    layer(x, training=True)
    assert np.abs(np.asarray(layer.conv.u) - u).max() > 1e-3
    assert np.abs(np.asarray(layer.norm.moving_mean) - mean).max() > 1e-3


def test_a_frozen_layer_does_not_move():
    layer, x = FullAttention2D(6, trainable=False), inputs_of("down")
    layer(x)
    before = layer.get_weights()
    layer(x, training=True)
    for new, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


# 24 locations: as blocks of themselves, of a divisor, of what does not divide, and of one.
@pytest.mark.parametrize("block", [24, 8, 7, 1])
def test_blocks_of_queries_and_their_gradients_are_those_of_all_at_once(block):
    x = keras.ops.convert_to_tensor(RNG.normal(size=(2, 3, 2, 16)), "float32")
    upstream = keras.ops.convert_to_tensor(RNG.normal(size=(2, 6, 4, 6)), "float32")
    whole, blocks = (filled("up", query_block=size) for size in (None, block))

    def product(layer):
        def of(x, *values):
            state = list(zip(layer.trainable_variables, values, strict=True))
            others = [(v, keras.ops.convert_to_tensor(v)) for v in layer.non_trainable_variables]
            with keras.StatelessScope(state + others):
                return keras.ops.sum(layer(x, training=True) * upstream)

        values = [keras.ops.convert_to_tensor(v) for v in layer.trainable_variables]
        return gradients_of(of, [x, *values])

    np.testing.assert_allclose(np.asarray(blocks(x)), np.asarray(whole(x)), rtol=1e-5, atol=1e-5)
    for found, expected in zip(product(blocks), product(whole), strict=True):
        found, expected = (np.asarray(keras.ops.convert_to_numpy(g)) for g in (found, expected))
        assert np.abs(expected).max() > 0
        # Sums in another order.
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max() + 1e-5


def test_a_large_map_goes_in_blocks_within_the_bound_of_memory(monkeypatch):
    """128 x 128 locations, whose map of a picture would have 2^28 entries."""
    sizes = []

    def noted(query, key, value, block, training):
        sizes.append((query.shape[1], block * key.shape[1]))
        return value

    monkeypatch.setattr(kernels, "attention", noted)
    layer = FullAttention2D(2, key_reduction=1, strides=1, kernel_size=1)
    layer(np.ones((1, 128, 128, 1), "float32"))
    ((queries, entries),) = sizes
    assert queries == 16_384 and entries <= attention_layer._BLOCK == 1 << 20


def test_contract(tmp_path):
    x = RNG.normal(size=(2, 6, 4, 16)).astype("float32")

    @keras.saving.register_keras_serializable("test_full")
    class Started(FullAttention2D):
        """With a gamma that lets the attended values through."""

        def build(self, inputs_shape, labels_shape=None):
            super().build(inputs_shape, labels_shape)
            self.gamma.assign(0.5)

    # Sums of 256 products, of values and of logits, where a convolution has one of them.
    make = {"negative_slope": 0.3, "transposed": True, "num_classes": 3}
    check_layer(lambda: Started(6, **make), x, tmp_path, tolerance=4e-3, **CLASSES)


def test_what_does_not_divide_is_named():
    with pytest.raises(ValueError, match="12 channels, which key_reduction=8 does not divide"):
        FullAttention2D(8)(np.ones((1, 4, 4, 12), "float32"))
    with pytest.raises(ValueError, match='query_block must be "auto", None or a number from 1 on'):
        FullAttention2D(8, query_block=0)
