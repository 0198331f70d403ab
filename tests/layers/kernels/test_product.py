import pathlib

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's products", allow_module_level=True)

import tensorflow as tf
from layers.test_convolution import convolve, gradients
from layers.test_self_attention import attention_gradients

from keras_sagan.layers.kernels import cpu, cpu_product, device

RNG = np.random.default_rng(0)


def rounded(*shape):
    """Random numbers that bfloat16 has."""
    return tf.cast(RNG.normal(size=shape), tf.bfloat16).numpy().astype("float64")


def conv_case():
    arrays = [rounded(2, 12, 12, 8), rounded(3, 3, 8, 6)]
    upstream = rounded(2, 12, 12, 6)
    expected = convolve(*arrays, 1), *gradients(*arrays, 1, upstream)
    return lambda x, kernel: cpu.conv(x, kernel, 1), arrays, upstream, expected


def conv_transpose_case():
    arrays = [rounded(2, 4, 4, 64), rounded(4, 4, 64, 64)]
    upstream = rounded(2, 8, 8, 64)
    outputs, _ = gradients(np.zeros(upstream.shape), arrays[1], 2, arrays[0])
    d_kernel = gradients(upstream, arrays[1], 2, arrays[0])[1]
    expected = outputs, convolve(upstream, arrays[1], 2), d_kernel
    function = cpu.conv_transpose
    return lambda x, kernel: function(x, kernel, 2), arrays, upstream, expected


def attention_case(attend):
    arrays = [rounded(3, 12, 3), rounded(3, 7, 3), rounded(3, 7, 5)]
    upstream = rounded(3, 12, 5)
    weights = np.exp(arrays[0] @ arrays[1].transpose(0, 2, 1))
    outputs = weights / weights.sum(axis=-1, keepdims=True) @ arrays[2]
    return attend, arrays, upstream, (outputs, *attention_gradients(*arrays, upstream))


CASES = {
    "conv": conv_case,
    "conv_transpose": conv_transpose_case,
    "dense": lambda: attention_case(lambda *tensors: cpu.attention(*tensors, None, True)),
    "blockwise": lambda: attention_case(lambda *tensors: cpu.attention(*tensors, 5, True)),
}


@pytest.mark.parametrize("emulates", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_products_of_bfloat16(case, emulates, monkeypatch):
    monkeypatch.setattr(cpu_product, "emulates_bfloat16", lambda: emulates)
    function, arrays, upstream, expected = CASES[case]()

    @tf.function
    def step(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
        weights = tf.constant(upstream, tf.bfloat16)
        return outputs, *tape.gradient(outputs, tensors, output_gradients=weights)

    tensors = [tf.constant(a, tf.bfloat16) for a in arrays]
    # Where the CPU has no instructions for bfloat16 nobody takes its own products, which
    # TensorFlow may sum in bfloat16 then: only what they are is looked at.
    computes = emulates or not device.emulates_bfloat16.__wrapped__()
    # A rounding to 8 bits is 4e-3 at most; natively what lies between is rounded too.
    tolerance = 4e-3 if emulates else 2e-2
    for found, exact in zip(step(*tensors), expected, strict=True):
        assert found.dtype == tf.bfloat16
        error = np.abs(found.numpy().astype("float64") - exact).max()
        assert error < tolerance * np.abs(exact).max() or not computes

    graph = step.get_concrete_function(*tensors).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    products = {node.attr["T"].type for node in nodes if "MatMul" in node.op or "Conv2D" in node.op}
    dtype = tf.float32 if emulates else tf.bfloat16
    assert products == {dtype.as_datatype_enum}


def test_float32_is_left_alone(monkeypatch):
    monkeypatch.setattr(cpu_product, "emulates_bfloat16", lambda: True)
    conv = tf.function(lambda x, kernel: cpu.conv(x, kernel, 1))
    graph = conv.get_concrete_function(tf.ones((1, 12, 12, 8)), tf.ones((3, 3, 8, 8))).graph
    assert "Cast" not in {operation.type for operation in graph.get_operations()}


@pytest.mark.skipif(not pathlib.Path("/proc/cpuinfo").exists(), reason="Linux alone says")
@pytest.mark.parametrize(
    ("machine", "flags", "onednn", "emulates"),
    [
        ("x86_64", "avx2 avx512f", None, True),
        ("x86_64", "avx512f avx512_bf16", None, False),
        ("x86_64", "avx512f avx512_bf16", "1", False),
        ("x86_64", "avx512f avx512_bf16", "0", True),  # TensorFlow's own sum in bfloat16
        ("aarch64", "fphp i8mm bf16", None, False),
        ("aarch64", "fphp i8mm bf16", "0", False),
    ],
)
def test_emulation_is_read_from_the_processor(machine, flags, onednn, emulates, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: f"flags\t\t: fpu {flags}\n")
    monkeypatch.setattr(device.platform, "machine", lambda: machine)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if onednn is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    assert device.emulates_bfloat16.__wrapped__() is emulates
