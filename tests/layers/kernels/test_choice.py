"""Which implementation is taken where."""

import pathlib
import platform
import types

import keras
import pytest

from keras_sagan.layers import Conv2D, kernels
from keras_sagan.layers.kernels import reference

if keras.backend.backend() != "tensorflow":
    pytest.skip("elsewhere there is only the reference", allow_module_level=True)

import tensorflow as tf

from keras_sagan.layers.kernels import cpu, device


def devices(*kinds):
    return lambda *_: [types.SimpleNamespace(device_type=kind) for kind in kinds]


@pytest.mark.parametrize(
    ("kinds", "system", "expected"),
    [
        (["CPU"], "Linux", cpu),
        (["CPU", "CPU"], "Windows", cpu),
        (["CPU", "GPU"], "Linux", reference),
        (["CPU", "TPU"], "Linux", reference),
        (["CPU", "XPU"], "Linux", reference),  # a plug-in's
        (["CPU", "GPU"], "Darwin", reference),
        (["CPU"], "Darwin", reference),
    ],
)
def test_only_cpus_take_the_cpu_way(kinds, system, expected, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", devices(*kinds))
    monkeypatch.setattr(platform, "system", lambda: system)
    for operation in kernels.OPERATIONS:
        assert kernels._implementation(operation) is expected


def test_a_hidden_gpu_counts(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", devices("CPU", "GPU"))
    monkeypatch.setattr(tf.config, "get_visible_devices", devices("CPU"))
    monkeypatch.setattr(tf.config, "list_logical_devices", devices("CPU"))
    assert kernels._implementation("conv") is reference


def test_a_tpu_is_known_from_the_strategy(monkeypatch):
    strategy = object.__new__(tf.distribute.TPUStrategy)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    assert kernels._implementation("conv") is reference


def test_a_choice_holds_within_its_block_and_for_what_it_names():
    with kernels.use("cpu"):
        with kernels.use("reference", "conv"):
            assert kernels._implementation("conv") is reference
            assert kernels._implementation("attention") is cpu
        assert kernels._implementation("conv") is cpu
    with pytest.raises(RuntimeError), kernels.use("reference"):
        raise RuntimeError
    assert set(kernels._chosen.values()) == {"auto"}
    with pytest.raises(ValueError, match="one of auto, reference, cpu, got 'gpu'"):
        kernels.use("gpu").__enter__()
    with pytest.raises(ValueError, match="operations are conv, .* got convolve"):
        kernels.use("cpu", "convolve").__enter__()


def operations_of(choice, training):
    """Types of the operations of a convolution of a small map."""
    layer = Conv2D(64, 3)
    layer.build((2, 4, 4, 64))
    with kernels.use(choice):
        call = tf.function(lambda x: layer(x, training=training))
        graph = call.get_concrete_function(tf.ones((2, 4, 4, 64))).graph.as_graph_def()
    return {node.op for node in graph.node} | {
        node.op for function in graph.library.function for node in function.node_def
    }


def test_the_choice_reaches_the_layers_and_leaves_inference_plain():
    assert "Conv2D" in operations_of("reference", True)
    assert "Conv2D" not in operations_of("cpu", True)  # a product of patches
    assert "Conv2D" in operations_of("cpu", False)


@pytest.mark.skipif(not pathlib.Path("/proc/cpuinfo").exists(), reason="Linux alone says")
@pytest.mark.parametrize(
    ("flags", "machine", "setting", "expected"),
    [
        ("avx2 fma", "x86_64", None, True),
        ("avx512f", "x86_64", None, True),
        ("avx512f avx512_vnni", "x86_64", None, False),
        ("avx2 avx_vnni", "x86_64", None, False),
        ("avx2 fma", "x86_64", "0", False),  # somebody's own choice
        ("avx2 fma", "x86_64", "1", False),
        ("asimd", "aarch64", None, False),
    ],
)
def test_where_tensorflow_leaves_onednn_off(flags, machine, setting, expected, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: f"flags\t\t: fpu {flags}\n")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if setting is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting)
    assert device.leaves_onednn_off() is expected
