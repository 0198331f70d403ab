"""A training step on the kernels that GPUs take, against those of CPUs.

The quick tests are those of the layers, which all run over both.
"""

import keras
import numpy as np
import pytest

import keras_sagan
from keras_sagan.layers import kernels

if keras.backend.backend() != "tensorflow":
    pytest.skip("elsewhere there is one implementation", allow_module_level=True)


def step(family, choice, loss):
    """The logs of two steps, the weights before them, and those that they leave."""
    keras.utils.set_random_seed(0)
    generator, discriminator = keras_sagan.models.FAMILIES[family]
    # Channels at which CPUs take products of patches for the smallest maps, as set below.
    shared = {"image_size": 32, "num_classes": 3, "width": 16, "attention": (8, 16)}
    gan = keras_sagan.GAN(generator(latent_dim=8, **shared), discriminator(**shared))
    # Small, so that rounding does not grow.
    gan.compile(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3), loss=loss, ema=0.5)
    start = gan.get_weights()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 32, 32, 3)).astype("uint8")
    labels = rng.integers(0, 3, 8).astype("int32")
    with kernels.use(choice):
        history = gan.fit(images, labels, batch_size=4, shuffle=False, verbose=0).history
    logs = {name: values for name, values in history.items() if "second" not in name}
    return logs, start, gan.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "loss"),
    [
        ("dcgan", "wasserstein"),
        ("resnet", "hinge"),
        ("full_attention", "relativistic_average_hinge"),
    ],
)
def test_every_implementation_takes_the_same_step(family, loss, monkeypatch):
    from keras_sagan.layers.kernels import cpu_convolution

    monkeypatch.setattr(cpu_convolution, "_CHANNELS", 64)
    (logs, start, weights), (expected_logs, _, expected) = (
        step(family, choice, loss) for choice in ("reference", "cpu")
    )
    for name, values in expected_logs.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for before, found, exact in zip(start, weights, expected, strict=True):
        # Relative to the update: sums in another order take some features to the other side of a
        # ReLU (1 % on a Sapphire Rapids). What is added: updates of nothing but rounding, as of a
        # bias before a batch norm.
        update = np.linalg.norm(exact - before)
        assert np.linalg.norm(found - exact) < 0.03 * update + 1e-7 * np.sqrt(exact.size)
