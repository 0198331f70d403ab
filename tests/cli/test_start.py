"""What the programs set before TensorFlow is imported, and where they say that a GPU is unused."""

import os
import platform

import pytest
import tensorflow as tf
from programs import run, run_here, train_arguments

from keras_sagan.cli.quiet import start_backend
from keras_sagan.running import devices

START = "import os; from keras_sagan.cli.quiet import start_backend; start_backend(); "


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="of x86 alone")
@pytest.mark.parametrize(("setting", "expected"), [(None, "1"), ("0", "0")])
def test_onednn_is_on_unless_somebody_turns_it_off(setting, expected, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if setting is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting)
    process = run("-c", f"{START}print(os.environ['TF_ENABLE_ONEDNN_OPTS'])")
    assert (process.stdout.strip(), process.stderr) == (expected, "")


def test_a_tensorflow_that_runs_already_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    start_backend()
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ


def test_gpus_give_memory_when_it_is_needed(monkeypatch):
    growing = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *given: growing.append(given)
    )
    start_backend()
    assert growing == [("GPU:0", True), ("GPU:1", True)]


@pytest.mark.slow
def test_an_nvidia_gpu_that_tensorflow_does_not_see_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(devices.shutil, "which", {"nvidia-smi": "/usr/bin/nvidia-smi"}.get)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    process = run_here(*train_arguments(tmp_path / "run", "train.steps=1"))
    assert process.returncode == 0
    (line,) = process.stderr.splitlines()
    assert (
        line.startswith("warning: ")
        and "does not see the NVIDIA GPU" in line
        and "tensorflow[and-cuda]" in line
    )


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_somebody_hides_is_not_missed(hidden, capsys, monkeypatch):
    monkeypatch.setattr(devices.shutil, "which", {"nvidia-smi": "/usr/bin/nvidia-smi"}.get)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    devices.choose_devices()
    assert capsys.readouterr().err == ""


def test_devices_have_names(monkeypatch):
    assert devices.choose_devices().count == 1
    assert str(devices.choose_devices()).startswith("device: ")
    gpus = [tf.config.PhysicalDevice(f"GPU:{i}", "GPU") for i in range(2)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": f"NV {gpu.name}"}
    )
    assert str(devices.choose_devices("default")) == "device: NV GPU:0"
    monkeypatch.setattr(
        tf.distribute, "MirroredStrategy", lambda names: tf.distribute.get_strategy()
    )
    assert str(devices.choose_devices()) == "devices: NV GPU:0, NV GPU:1"
