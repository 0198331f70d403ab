import keras
import pytest

from keras_sagan.layers import kernels

CHOICES = ("reference", "cpu") if keras.backend.backend() == "tensorflow" else ("reference",)


@pytest.fixture(autouse=True)
def few_channels(monkeypatch):
    """Has CPUs take products of patches for so few channels that tests are quick."""
    if "cpu" in CHOICES:
        from keras_sagan.layers.kernels import cpu_convolution

        monkeypatch.setattr(cpu_convolution, "_CHANNELS", 64)


@pytest.fixture(autouse=True, params=CHOICES)
def implementation(request):
    """Every test of a layer runs over every implementation, whatever the machine would take."""
    with kernels.use(request.param):
        yield request.param
