import keras
import numpy as np
import pytest
from derivatives import training_call
from layers.contract import check_layer

from keras_sagan.layers import Conv2D, Conv2DTranspose, kernels

RNG = np.random.default_rng(0)


def convolve(x, kernel, stride):
    """A "same" convolution in NumPy, float64."""
    size, height = kernel.shape[0], x.shape[1] // stride
    width = x.shape[2] // stride
    before = (size - stride) // 2
    padding = (before, size - stride - before)
    x = np.pad(x, ((0, 0), padding, padding, (0, 0)))
    return sum(
        x[:, i : i + stride * height : stride, j : j + stride * width : stride] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def gradients(x, kernel, stride, upstream):
    """Of the sum of `upstream * convolve(x, kernel, stride)`, in NumPy, float64."""
    size = kernel.shape[0]
    before = (size - stride) // 2
    padding = (before, size - stride - before)
    padded = np.pad(x, ((0, 0), padding, padding, (0, 0)))
    d_x, d_kernel = np.zeros_like(padded), np.zeros_like(kernel)
    height, width = upstream.shape[1:3]
    for i in range(size):
        for j in range(size):
            window = np.s_[:, i : i + stride * height : stride, j : j + stride * width : stride]
            d_x[window] += upstream @ kernel[i, j].T
            d_kernel[i, j] = np.einsum("bhwc,bhwf->cf", padded[window], upstream)
    rows, columns = (slice(before, before + side) for side in x.shape[1:3])
    return d_x[:, rows, columns], d_kernel


# Maps that are small, small for the gradient of the kernel alone, and large; kernels of
# the networks; a map that is not square.
CASES = [
    ((2, 8, 8, 64), 4, 2, 64),
    ((3, 4, 6, 64), 4, 2, 72),
    ((2, 4, 4, 64), 3, 1, 64),
    ((2, 4, 3, 64), 1, 1, 64),
    ((2, 8, 8, 8), 3, 1, 256),
    ((1, 16, 16, 8), 4, 2, 256),
    ((2, 12, 8, 3), 4, 2, 16),  # to and from pictures
    ((1, 12, 12, 8), 3, 1, 8),
    ((2, 4, 4, 64), 5, 1, 64),
    ((2, 4, 4, 64), 2, 2, 64),  # kernels that no product is made of
]


@pytest.mark.parametrize(("shape", "size", "stride", "filters"), CASES)
def test_conv_and_its_gradients(shape, size, stride, filters):
    layer = Conv2D(filters, size, stride)
    layer.build(shape)
    kernel, bias = RNG.normal(size=layer.kernel.shape), RNG.normal(size=filters)
    layer.set_weights([kernel, bias])
    x = RNG.normal(size=shape)
    expected = convolve(x, kernel, stride)
    upstream = RNG.normal(size=expected.shape)
    outputs, d_x, d_kernel = run(layer, x, upstream)
    check(outputs, expected + bias)
    for found, exact in zip((d_x, d_kernel), gradients(x, kernel, stride, upstream), strict=True):
        check(found, exact)


@pytest.mark.parametrize(("shape", "size", "stride", "filters"), [c for c in CASES if c[2] == 2])
def test_conv_transpose_and_its_gradients(shape, size, stride, filters):
    batch, height, width, channels = shape
    layer = Conv2DTranspose(channels, size)
    layer.build((batch, height // 2, width // 2, filters))
    kernel, bias = RNG.normal(size=layer.kernel.shape), RNG.normal(size=channels)
    layer.set_weights([kernel, bias])
    x = RNG.normal(size=(batch, height // 2, width // 2, filters))
    # The transposed convolution is the gradient of the convolution by its inputs.
    expected, _ = gradients(np.zeros(shape), kernel, stride, x)
    upstream = RNG.normal(size=shape)
    outputs, d_x, d_kernel = run(layer, x, upstream)
    check(outputs, expected + bias)
    check(d_x, convolve(upstream, kernel, stride))
    check(d_kernel, gradients(upstream, kernel, stride, x)[1])


@pytest.mark.parametrize(("shape", "size", "stride", "filters"), CASES)
@pytest.mark.parametrize("transposed", [False, True])
def test_batches_of_unknown_size(shape, size, stride, filters, transposed):
    """As the last batch of a data set is."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("elsewhere all sizes are known")
    import tensorflow as tf

    channels = shape[-1]
    large, small = shape[1:], (*(side // stride for side in shape[1:3]), filters)
    kernel = tf.constant(RNG.normal(size=(size, size, channels, filters)), "float32")
    conv = kernels.conv_transpose if transposed else kernels.conv
    inputs, outputs = (small, large) if transposed else (large, small)

    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            value = tf.reduce_sum(conv(x, kernel, stride, training=True) * upstream)
        return tape.gradient(value, [x, kernel])

    signature = [tf.TensorSpec((None, *shape)) for shape in (inputs, outputs)]
    values = [tf.constant(RNG.normal(size=(3, *shape)), "float32") for shape in (inputs, outputs)]
    unknown = tf.function(step, input_signature=signature)(*values)
    for found, exact in zip(unknown, step(*values), strict=True):
        check(found, np.asarray(exact))


def test_start_is_one_location_times_the_kernel():
    layer = Conv2DTranspose(5, 4, 1, "valid")
    x = RNG.normal(size=(3, 1, 1, 7))
    layer.build(x.shape)
    kernel, bias = RNG.normal(size=(4, 4, 5, 7)), RNG.normal(size=5)
    layer.set_weights([kernel, bias])
    upstream = RNG.normal(size=(3, 4, 4, 5))
    outputs, d_x, d_kernel = run(layer, x, upstream)
    check(outputs, np.einsum("byxc,hwfc->bhwf", x, kernel) + bias)
    check(d_x, np.einsum("bhwf,hwfc->bc", upstream, kernel)[:, None, None])
    check(d_kernel, np.einsum("bhwf,byxc->hwfc", upstream, x))


@pytest.mark.parametrize(("channels", "size", "stride"), [(64, 4, 2), (3, 4, 2), (64, 3, 3)])
def test_maps_that_the_stride_does_not_divide(channels, size, stride):
    """Are padded as Keras pads them."""
    x = RNG.normal(size=(2, 5, 7, channels)).astype("float32")
    layer = Conv2D(64, size, stride)
    plain = keras.layers.Conv2D(64, size, stride, "same")
    for each in (layer, plain):
        each.build(x.shape)
    plain.set_weights(layer.get_weights())
    upstream = RNG.normal(size=plain(x).shape).astype("float32")
    expected = training_call(plain, x, upstream)
    for found, exact in zip(run(layer, x, upstream), expected, strict=True):
        check(found, exact)


def check(found, exact):
    # Sums of up to 8192 products in float32.
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def run(layer, x, upstream):
    """Outputs and the gradients by the inputs and the kernel, of a training call."""
    return training_call(layer, x, upstream, training=True)


@pytest.mark.parametrize(("stride", "channels"), [(1, 64), (2, 64), (2, 3)])
def test_second_derivatives(stride, channels):
    """Of the squared norm of the gradient by the inputs, as in a gradient penalty."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has gradients of its own")
    import tensorflow as tf

    size = 2 + stride if stride == 2 else 3
    x = tf.constant(RNG.normal(size=(2, 4 * stride, 4 * stride, channels)), "float32")
    kernel = tf.constant(RNG.normal(size=(size, size, channels, 64)) / 24, "float32")
    found = []
    for conv in (
        lambda x, k: kernels.conv(x, k, stride, training=True),
        lambda x, k: tf.nn.conv2d(x, k, stride, "SAME"),
    ):
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(tf.square(conv(tf.sin(x), kernel)))
            penalty = tf.reduce_sum(tf.square(inner.gradient(value, x)))
        found.append(outer.gradient(penalty, [x, kernel]))
    for gradient, expected in zip(*found, strict=True):
        check(gradient, np.asarray(expected))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", [lambda: Conv2D(64, 3), lambda: Conv2DTranspose(64, 4)])
def test_contract(make, training, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 64)).astype("float32")

    def made():
        keras.utils.set_random_seed(0)
        return make()

    # In inference Keras's transposed convolution sums its 256 products in float16: up to 2.5e-3
    # over 40 inputs, where a sum in float32 is within 6e-4.
    check_layer(made, x, tmp_path, tolerance=4e-3, training=training)
