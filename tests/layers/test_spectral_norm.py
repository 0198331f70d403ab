import keras
import numpy as np
import pytest
from derivatives import gradients_of
from keras import layers, ops
from layers.contract import check_layer

from keras_sagan.layers import (
    DownsampleConv2D,
    SelfAttention2D,
    SpectralNorm,
    UpsampleConv2D,
    kernels,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 8, 8, 6)).astype("float32")
CASES = {
    "dense": (lambda **k: layers.Dense(7, **k), RNG.normal(size=(3, 12)).astype("float32"), -1),
    "conv": (lambda **k: layers.Conv2D(5, 3, **k), IMAGES, -1),
    "transposed": (lambda **k: layers.Conv2DTranspose(5, 4, 2, **k), IMAGES, -2),
    "embedding": (lambda **k: layers.Embedding(9, 4, **k), np.array([1, 8, 3], "int32"), -1),
    "upsample": (lambda **k: UpsampleConv2D(5, **k), IMAGES, -1),
    "downsample": (lambda **k: DownsampleConv2D(5, **k), IMAGES, -1),
}


def matrix_of(kernel, axis):
    kernel = np.moveaxis(np.asarray(kernel, np.float64), axis, -1)
    return kernel.reshape(-1, kernel.shape[-1])


@pytest.fixture(autouse=True, params=["cpu", pytest.param("reference", marks=pytest.mark.slow)])
def implementation(request):
    """Of most that is normalised here there is one implementation."""
    if keras.backend.backend() != "tensorflow" and request.param == "cpu":
        pytest.skip("elsewhere there is one implementation")
    with kernels.use(request.param):
        yield request.param


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_largest_singular_value_is_one_after_convergence(case):
    make, inputs, axis = case
    layer = SpectralNorm(make(), power_iterations=5)
    for _ in range(40):  # each call goes on from the u of the one before
        layer(inputs, training=True)
    kernel = matrix_of(layer.normalized_kernel(), axis)
    assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1, abs=1e-3)


def test_computes_with_kernel_over_sigma(case):
    make, inputs, axis = case
    layer = SpectralNorm(make(), power_iterations=200)
    outputs = np.asarray(layer(inputs))
    plain = make()
    plain.build(inputs.shape)
    weights = layer.layer.get_weights()
    sigma = np.linalg.svd(matrix_of(weights[0], axis), compute_uv=False)[0]
    plain.set_weights([weights[0] / sigma, *weights[1:]])
    # float32 power iteration against a float64 SVD.
    np.testing.assert_allclose(outputs, np.asarray(plain(inputs)), rtol=1e-4, atol=1e-5)


def test_forward_pass_leaves_the_raw_kernel_alone(case):
    make, inputs, _ = case
    layer = SpectralNorm(make())
    layer.build(inputs.shape)
    before = layer.layer.get_weights()
    layer(inputs, training=True)
    layer(inputs, training=False)
    for old, new in zip(before, layer.layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_only_training_updates_u(case):
    make, inputs, _ = case
    layer = SpectralNorm(make())
    layer.build(inputs.shape)
    before = np.asarray(layer.u)
    layer(inputs)
    layer(inputs, training=False)
    np.testing.assert_array_equal(np.asarray(layer.u), before)
    layer(inputs, training=True)
    assert np.abs(np.asarray(layer.u) - before).max() > 1e-3
    assert np.linalg.norm(np.asarray(layer.u)) == pytest.approx(1, abs=1e-5)


def power_iteration(w, u):
    """One iteration in NumPy: u and v after it (algorithm 1 of the paper)."""
    v = u @ w.T
    v /= np.linalg.norm(v)
    u = v @ w
    return u / np.linalg.norm(u), v


def test_one_power_iteration_is_that_of_the_paper():
    layer = SpectralNorm(layers.Dense(4, use_bias=False))
    layer.build((None, 6))
    w = np.asarray(layer.layer.kernel, np.float64)
    u = np.asarray(layer.u, np.float64)
    u, v = power_iteration(w, u)
    sigma = (v @ w @ u.T).item()
    x = RNG.normal(size=(3, 6)).astype("float32")
    # float32 sums of 24 products.
    np.testing.assert_allclose(np.asarray(layer(x, training=True)), x @ w / sigma, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(layer.u), u, rtol=1e-5)


def test_gradient_flows_through_sigma():
    """Against central differences of W -> f(W / sigma(W)), with u and v of the first iteration."""
    layer = SpectralNorm(layers.Dense(3, use_bias=False))
    layer.build((None, 5))
    x = RNG.normal(size=(4, 5))
    target = RNG.normal(size=(4, 3))
    w0 = np.asarray(layer.layer.kernel, np.float64)
    u = np.asarray(layer.u, np.float64)
    u, v = power_iteration(w0, u)

    def loss(w):
        return np.sum(np.square(x @ w / (v @ w @ u.T).item() - target))

    expected = np.zeros_like(w0)
    for index in np.ndindex(w0.shape):
        step = np.zeros_like(w0)
        step[index] = 1e-6
        expected[index] = (loss(w0 + step) - loss(w0 - step)) / 2e-6
    gradient = gradient_of(layer, x.astype("float32"), target.astype("float32"))
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
    # Scaling W changes nothing, so the gradient is orthogonal to it (eq. 12).
    assert np.sum(gradient * w0) == pytest.approx(0, abs=1e-3)


def gradient_of(layer, x, target):
    """Gradient of the squared error with respect to the raw kernel, on the active backend."""
    target = ops.convert_to_tensor(target)
    kernel = layer.kernel_variable() if isinstance(layer, SpectralNorm) else layer.weights[0]
    state = [(v, ops.convert_to_tensor(v)) for v in layer.variables if v is not kernel]

    def loss(value):
        with keras.StatelessScope([(kernel, value), *state]):
            return ops.sum(ops.square(layer(x) - target))

    return np.asarray(gradients_of(loss, [ops.convert_to_tensor(kernel)])[0])


def test_the_plain_layer_with_the_normalized_kernel_is_the_same(case):
    make, inputs, _ = case
    layer = SpectralNorm(make())
    layer(inputs, training=True)
    before = np.asarray(layer(inputs))
    layer.layer.set_weights([layer.normalized_kernel(), *layer.layer.get_weights()[1:]])
    np.testing.assert_allclose(np.asarray(layer.layer(inputs)), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_contract(name, tmp_path):
    make, inputs, _ = CASES[name]
    # 108 products of rounded values; float16 rounds to 2^-11.
    check_layer(lambda: SpectralNorm(make()), inputs, tmp_path, tolerance=2e-3)


def test_u_and_sigma_stay_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = SpectralNorm(layers.Dense(16), power_iterations=5)
    x = RNG.normal(size=(2, 32)).astype("float32")
    for _ in range(40):
        layer(x, training=True)
    assert layer.u.dtype == "float32"
    kernel = np.asarray(layer.normalized_kernel(), np.float64)
    # bfloat16 arithmetic would be off by 4e-3.
    assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1, abs=1e-4)


def test_a_kernel_of_zeros_computes_and_learns_as_without_the_layer(case):
    make, inputs, axis = case
    layer, plain = SpectralNorm(make()), make()
    for each in (layer, plain):
        each.build(inputs.shape)
    bias = [RNG.normal(size=w.shape) for w in plain.get_weights()[1:]]
    plain.set_weights([np.zeros(plain.weights[0].shape), *bias])
    layer.layer.set_weights(plain.get_weights())
    u = np.asarray(layer.u)
    outputs = np.asarray(layer(inputs, training=True))
    np.testing.assert_array_equal(outputs, np.asarray(plain(inputs)))
    np.testing.assert_array_equal(np.asarray(layer.u), u)
    target = RNG.normal(size=outputs.shape).astype("float32")
    gradient = gradient_of(layer, inputs, target)
    np.testing.assert_allclose(gradient, gradient_of(plain, inputs, target), rtol=1e-5)
    assert np.abs(gradient).max() > 0.1

    layer.kernel_variable().assign(-0.1 * gradient)  # and from there on it is normalised
    for _ in range(100):
        layer(inputs, training=True)
    kernel = matrix_of(layer.normalized_kernel(), axis)
    assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_scale_of_the_kernel_does_not_matter(scale):
    layer = SpectralNorm(layers.Dense(4), power_iterations=50)
    layer.build((None, 6))
    kernel = np.array(layer.layer.kernel)
    expected = np.asarray(layer.normalized_kernel())
    layer.layer.kernel.assign(scale * kernel)
    np.testing.assert_allclose(np.asarray(layer.normalized_kernel()), expected, rtol=1e-4)


FREEZE = {
    "by an argument": lambda: SpectralNorm(layers.Dense(4), trainable=False),
    "in the wrapped layer": lambda: SpectralNorm(layers.Dense(4, trainable=False)),
    "before it is built": lambda: frozen(SpectralNorm(layers.Dense(4))),
    "after it is built": lambda: frozen(built(SpectralNorm(layers.Dense(4)))),
    "within attention": lambda: SelfAttention2D(trainable=False),
    "within attention, later": lambda: frozen(built(SelfAttention2D())),
}


def frozen(layer):
    layer.trainable = False
    return layer


def built(layer):
    layer.build((1, 4, 4, 8))
    return layer


@pytest.mark.parametrize("how", FREEZE)
def test_a_frozen_layer_does_not_move(how):
    x = RNG.normal(size=(1, 4, 4, 8)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    layer = FREEZE[how]()
    model = keras.Model(inputs, layer(inputs))
    before = layer.get_weights()
    model(x, training=True)
    for new, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)
    layer.trainable = False  # On TensorFlow Keras looks further where this changes alone.
    layer.trainable = True
    model(x, training=True)
    changed = [np.any(new != old) for new, old in zip(layer.get_weights(), before, strict=True)]
    assert any(changed)


def test_rejects_what_it_cannot_normalise():
    with pytest.raises(ValueError, match="ReLU has neither"):
        SpectralNorm(layers.ReLU())(IMAGES)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SpectralNorm(layers.Dense(2), power_iterations=0)


FIRST = {"transposed": -1, "embedding": 0, "conv": -1, "dense": -1}  # our axis of PyTorch's first


@pytest.mark.parametrize("name", FIRST)
def test_the_first_axis_is_that_of_pytorch(name):
    make, inputs, _ = CASES[name]
    layer = SpectralNorm(make(), power_iterations=200, axis="first")
    layer.build(inputs.shape)
    kernel = np.asarray(layer.kernel_variable(), np.float64)
    left, singular, _ = np.linalg.svd(matrix_of(kernel, FIRST[name]).T, full_matrices=False)
    # float32 power iteration against a float64 SVD.
    np.testing.assert_allclose(layer.normalized_kernel(), kernel / singular[0], rtol=1e-4)
    layer(inputs, training=True)
    assert layer.u.shape == (1, kernel.shape[FIRST[name]])
    assert abs(np.asarray(layer.u, np.float64)[0] @ left[:, 0]) == pytest.approx(1, abs=1e-5)


def test_of_transposed_convolutions_the_two_axes_give_two_sigmas():
    make, inputs, _ = CASES["transposed"]
    kernel = np.zeros((4, 4, 5, IMAGES.shape[-1]), "float32")
    # In one column of the matrix whose columns are outputs, in two of that of inputs.
    kernel[0, 0, 0, 0] = kernel[1, 1, 0, 1] = 1
    for axis, sigma in {"output": np.sqrt(2), "first": 1}.items():
        layer = SpectralNorm(make(), power_iterations=100, axis=axis)
        layer.build(inputs.shape)
        layer.kernel_variable().assign(kernel)
        np.testing.assert_allclose(layer.normalized_kernel(), kernel / sigma, rtol=1e-5)


def test_another_axis_is_named():
    with pytest.raises(ValueError, match=r"axis must be one of .*, got 'input'"):
        SpectralNorm(layers.Dense(3), axis="input")


@pytest.mark.slow
def test_a_trained_factor_scales_the_normalised_kernel(case):
    make, inputs, axis = case
    layer = SpectralNorm(make(), power_iterations=200, scale=True)
    layer.build(inputs.shape)
    layer.factor.assign(1.7)
    assert any(variable is layer.factor for variable in layer.trainable_variables)
    kernel = matrix_of(layer.normalized_kernel(), axis)
    # float32 power iteration against a float64 SVD.
    assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1.7, rel=1e-4)
    # d(factor x W / sigma) / d factor of the sum of outputs without a bias.
    if (bias := getattr(layer.layer, "bias", None)) is not None:
        bias.assign(np.zeros(bias.shape))

    def total(factor):
        with keras.StatelessScope([(layer.factor, factor)]):
            return ops.sum(layer(inputs))

    (gradient,) = gradients_of(total, [ops.convert_to_tensor(1.7)])
    expected = np.asarray(layer(inputs), np.float64).sum() / 1.7
    assert float(gradient) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_without_a_factor_there_is_no_further_weight():
    layer = SpectralNorm(layers.Dense(3))
    layer.build((None, 4))
    assert {variable.name for variable in layer.variables} == {"kernel", "bias", "u"}
