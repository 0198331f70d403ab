import keras
import numpy as np
import pytest
from derivatives import gradients_of
from layers.contract import check_layer

from keras_sagan.layers import SelfAttention2D, SpectralNorm, attention_layer, kernels

RNG = np.random.default_rng(0)
FORMS = {
    "final": {},
    "first": {
        "value_reduction": 1,
        "pool_size": 1,
        "output_projection": False,
        "use_bias": True,
        "spectral_norm": False,
    },
    "printed": {"value_reduction": 8, "pool_size": 1},
}


def kernel_and_bias(layer):
    if isinstance(layer, SpectralNorm):
        kernel, wrapped = np.asarray(layer.normalized_kernel(), np.float64), layer.layer
    else:
        kernel, wrapped = np.asarray(layer.kernel, np.float64), layer
    bias = np.asarray(wrapped.bias, np.float64) if wrapped.use_bias else 0.0
    return kernel[0, 0], bias


def reference(layer, x):
    """The layer in NumPy, float64, location by location: equations 1 and 2 of the paper."""

    def conv(name, y):
        kernel, bias = kernel_and_bias(getattr(layer, name))
        return y @ kernel + bias

    def pool(y):
        p = layer.pool_size
        height, width = -(-y.shape[0] // p), -(-y.shape[1] // p)
        return np.array(
            [
                [y[i * p : i * p + p, j * p : j * p + p].max(axis=(0, 1)) for j in range(width)]
                for i in range(height)
            ]
        )

    outputs, maps = [], []
    for image in x.astype(np.float64):
        query = conv("query", image).reshape(-1, image.shape[-1] // layer.key_reduction)
        key = pool(conv("key", image)).reshape(-1, query.shape[-1])
        value = pool(conv("value", image))
        value = value.reshape(-1, value.shape[-1])
        beta = np.empty((len(query), len(key)))
        for j in range(len(query)):
            s = np.array([query[j] @ key[i] for i in range(len(key))])
            beta[j] = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        o = (beta @ value).reshape(*image.shape[:2], -1)
        if layer.output_projection:
            o = conv("output_conv", o)
        outputs.append(float(np.asarray(layer.gamma)) * o + image)
        maps.append(beta)
    return np.stack(outputs), np.stack(maps)


@pytest.mark.parametrize("size", [(8, 8), (4, 10), (5, 7), (1, 6)])
@pytest.mark.parametrize("form", FORMS)
def test_equals_the_equations(form, size):
    x = RNG.normal(size=(2, *size, 16)).astype("float32")
    layer = SelfAttention2D(**FORMS[form])
    layer.build(x.shape)
    layer.gamma.assign(0.7)
    outputs, maps = layer(x, return_attention=True)
    expected, expected_maps = reference(layer, x)
    # float32 sums of up to 80 products against float64.
    np.testing.assert_allclose(np.asarray(outputs), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(maps), expected_maps, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(layer(x)), np.asarray(outputs))


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_the_map_sum_to_one_and_gamma_starts_at_zero(form):
    x = RNG.normal(size=(2, 6, 4, 8)).astype("float32")
    layer = SelfAttention2D(**FORMS[form])
    outputs, maps = layer(x, return_attention=True)
    assert maps.shape == (2, 24, 24 if FORMS[form] else 6)
    np.testing.assert_allclose(np.asarray(maps).sum(axis=-1), 1, rtol=1e-6)
    assert layer.gamma.shape == ()
    np.testing.assert_array_equal(np.asarray(outputs), x)


def test_gamma_starts_where_it_is_told():
    x = RNG.normal(size=(2, 4, 4, 8)).astype("float32")
    layer = SelfAttention2D(gamma_initializer=keras.initializers.Constant(0.25))
    outputs = np.asarray(layer(x))
    assert float(np.asarray(layer.gamma)) == 0.25
    np.testing.assert_allclose(outputs, reference(layer, x)[0], rtol=1e-5, atol=1e-5)
    again = SelfAttention2D.from_config(layer.get_config())
    again.build(x.shape)
    assert float(np.asarray(again.gamma)) == 0.25


def test_takes_any_size_after_it_was_built():
    layer = SelfAttention2D()
    inputs = keras.Input((None, None, 8))
    model = keras.Model(inputs, layer(inputs))
    for size in ((4, 6), (10, 2)):
        assert model.predict(np.ones((1, *size, 8)), verbose=0).shape == (1, *size, 8)


@pytest.mark.parametrize(("pool_size", "keys"), [(1, (5, 7)), (2, (3, 4)), (4, (2, 2))])
def test_the_map_lies_where_it_says(pool_size, keys):
    layer = SelfAttention2D(pool_size=pool_size)
    x = np.ones((1, 5, 7, 8), "float32")
    assert layer.map_shape(x.shape) == ((5, 7), keys)
    assert layer(x, return_attention=True)[1].shape == (1, 35, keys[0] * keys[1])


def test_channels_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="12 channels, which key_reduction=8 does not divide"):
        SelfAttention2D()(np.ones((1, 4, 4, 12), "float32"))
    with pytest.raises(ValueError, match="value_reduction=2 needs output_projection"):
        SelfAttention2D(output_projection=False)


@pytest.mark.parametrize("form", FORMS)
def test_weights_of_each_form(form):
    layer = SelfAttention2D(**FORMS[form])
    layer.build((None, 8, 8, 64))
    # Queries and keys to C/8; values to C/2, C or C/8; the projection back; gamma.
    expected = {
        "final": 64 * 8 + 64 * 8 + 64 * 32 + 32 * 64 + 1,
        "first": 2 * (64 * 8 + 8) + 64 * 64 + 64 + 1,
        "printed": 64 * 8 * 3 + 8 * 64 + 1,
    }[form]
    assert sum(int(np.prod(v.shape)) for v in layer.trainable_variables) == expected


@pytest.mark.parametrize("form", FORMS)
def test_contract(form, tmp_path):
    class Started(SelfAttention2D):
        """With a gamma that lets the attended values through."""

        def build(self, input_shape):
            super().build(input_shape)
            self.gamma.assign(1.0)

    x = RNG.normal(size=(2, 6, 6, 16)).astype("float32")
    make = keras.saving.register_keras_serializable(f"test_{form}")(Started)
    check_layer(lambda: make(**FORMS[form]), x, tmp_path, tolerance=2e-3)


# 80 queries: as blocks of themselves, of a divisor, of what does not divide, and of one.
@pytest.mark.parametrize("block", [80, 16, 33, 1, 1000])
@pytest.mark.parametrize("form", FORMS)
def test_blocks_of_queries_give_the_equations(form, block):
    x = RNG.normal(size=(2, 8, 10, 16)).astype("float32")
    layer = SelfAttention2D(query_block=block, **FORMS[form])
    layer.build(x.shape)
    layer.gamma.assign(0.7)
    expected, _ = reference(layer, x)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-5, atol=1e-5)


def attention_gradients(query, key, value, weights):
    """Of the sum of `weights * softmax(query key') value`, in NumPy, float64."""
    logits = query @ key.transpose(0, 2, 1)
    attention = np.exp(logits - logits.max(axis=-1, keepdims=True))
    attention /= attention.sum(axis=-1, keepdims=True)
    d_attention = weights @ value.transpose(0, 2, 1)
    mean = (d_attention * attention).sum(axis=-1, keepdims=True)
    d_logits = attention * (d_attention - mean)
    return (
        d_logits @ key,
        d_logits.transpose(0, 2, 1) @ query,
        attention.transpose(0, 2, 1) @ weights,
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 1e-5), ("bfloat16", 2e-2)],  # 8 bits of mantissa: 4e-3 a rounding
)
@pytest.mark.parametrize("block", [None, 12, 5, 1])
@pytest.mark.parametrize("training", [True, False])
def test_gradients(block, dtype, tolerance, training):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, *shape)) for shape in ((12, 3), (7, 3), (7, 5), (12, 5))]
    expected = attention_gradients(*arrays)
    tensors = [keras.ops.convert_to_tensor(a, dtype) for a in arrays]
    attend = evaluation(block, training)
    found = gradients_of(
        lambda q, k, v: keras.ops.sum(keras.ops.cast(attend(q, k, v) * tensors[3], "float32")),
        tensors[:3],
    )
    for gradient, exact in zip(found, expected, strict=True):
        assert keras.backend.standardize_dtype(gradient.dtype) == dtype
        gradient = np.asarray(keras.ops.cast(gradient, "float32"))
        assert np.abs(gradient - exact).max() < tolerance * np.abs(exact).max()


def evaluation(block, training=True):
    """The function that attends, in blocks or with all queries at once."""
    return lambda q, k, v: kernels.attention(q, k, v, block, training)


@pytest.mark.parametrize("block", [None, 5])
def test_second_derivatives(block):
    # Of the squared norm of the gradient, as in a gradient penalty, by differences in float64.
    arrays = [RNG.normal(size=(2, *shape)) for shape in ((8, 3), (6, 3), (6, 4), (8, 4))]
    attend = evaluation(block)

    def penalty(*arrays):
        return sum(np.square(g).sum() for g in attention_gradients(*arrays, arrays_weights))

    arrays_weights = arrays.pop()
    tensors = [keras.ops.convert_to_tensor(a, "float32") for a in arrays]
    weights = keras.ops.convert_to_tensor(arrays_weights, "float32")
    found = penalty_gradients(lambda q, k, v: keras.ops.sum(attend(q, k, v) * weights), tensors)
    step = 1e-5
    for i, gradient in enumerate(found):
        direction = RNG.normal(size=arrays[i].shape)
        up, down = (
            penalty(*(a + s * step * direction if j == i else a for j, a in enumerate(arrays)))
            for s in (1, -1)
        )
        expected = (up - down) / (2 * step)
        scale = np.abs(np.asarray(gradient) * direction).sum()
        assert np.sum(np.asarray(gradient) * direction) == pytest.approx(expected, abs=1e-4 * scale)


def penalty_gradients(function, tensors):
    def penalty(*tensors):
        return sum(keras.ops.sum(keras.ops.square(g)) for g in gradients_of(function, tensors))

    return gradients_of(penalty, tensors)


def test_auto_takes_blocks_where_the_map_is_large(monkeypatch):
    blocks = []
    attend = kernels.attention

    def noted(query, key, value, block, training):
        blocks.append(block)
        return attend(query, key, value, block, training)

    monkeypatch.setattr(kernels, "attention", noted)
    monkeypatch.setattr(attention_layer, "_DENSE", 64 * 16)
    monkeypatch.setattr(attention_layer, "_BLOCK", 128)
    layer = SelfAttention2D()
    layer(np.ones((1, 8, 8, 16), "float32"))  # 64 queries and 16 keys
    assert blocks == [None]
    layer(np.ones((1, 8, 10, 16), "float32"))
    assert blocks == [None, 128 // 20]
    SelfAttention2D(query_block=None)(np.ones((1, 8, 10, 16), "float32"))
    assert blocks == [None, 6]


def test_pieces_of_the_batch_give_the_equations(monkeypatch, implementation):
    if implementation != "cpu":
        pytest.skip("only the CPU implementation divides the batch")
    from keras_sagan.layers.kernels import cpu_attention

    monkeypatch.setattr(cpu_attention, "_PIECE", 2 * 64 * 16)
    x = RNG.normal(size=(5, 8, 8, 16)).astype("float32")  # two, two and one
    layer = SelfAttention2D()
    layer.build(x.shape)
    layer.gamma.assign(0.7)
    expected, _ = reference(layer, x)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block", [0, -1, 2.5, "all", True])
def test_other_blocks_are_named(block):
    with pytest.raises(ValueError, match='query_block must be "auto", None or a number from 1 on'):
        SelfAttention2D(query_block=block)
