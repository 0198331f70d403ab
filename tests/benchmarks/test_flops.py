"""Counted by hand and, for each layer, by XLA."""

import os
import subprocess
import sys

import keras
import pytest
from keras import layers
from programs import REPOSITORY

from benchmarks import flops
from keras_sagan.layers import (
    DownsampleConv2D,
    FullAttention2D,
    SelfAttention2D,
    SpectralNorm,
    UpsampleConv2D,
)

LAYERS = {
    "conv valid": lambda: layers.Conv2D(5, 3),
    "conv same": lambda: layers.Conv2D(5, 3, padding="same"),
    "conv strided": lambda: layers.Conv2D(5, 4, strides=2, padding="same"),
    "transposed": lambda: layers.Conv2DTranspose(5, 4, strides=2, padding="same"),
    "down": lambda: DownsampleConv2D(5),
    "up": lambda: UpsampleConv2D(5),
}


def model_of(layer, shape=(8, 8, 16)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


# The count of XLA for a batch of one, without biases.
XLA = """
import sys, jax, keras
sys.path[:0] = ["tests", "tests/benchmarks"]
from test_flops import LAYERS, model_of
for name, make in LAYERS.items():
    layer = make()
    layer.use_bias = False
    model = model_of(layer, (32, 32, 16))
    run = lambda x: model(x)
    cost = jax.jit(run).lower(jax.numpy.ones((1, 32, 32, 16))).cost_analysis()
    print(name, int(cost["flops"]), sep="=")
"""


@pytest.mark.slow
def test_layers_are_counted_as_xla_counts_them():
    process = subprocess.run(
        [sys.executable, "-c", XLA],
        cwd=REPOSITORY,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    expected = dict(line.split("=") for line in process.stdout.splitlines())
    for name, make in LAYERS.items():
        counted = sum(count for _, count in flops.forward(model_of(make(), (32, 32, 16))))
        # XLA also counts the few additions that make the kernel of a fused convolution.
        assert counted == pytest.approx(int(expected[name]), rel=0.05), name
        if name in ("conv valid", "conv same", "conv strided"):
            assert counted == int(expected[name])


def test_attention_and_dense_by_hand():
    ((_, counted),) = flops.forward(model_of(layers.Dense(7), (16,)))
    assert counted == 2 * 16 * 7
    ((_, counted),) = flops.forward(model_of(SelfAttention2D()))
    convs = 64 * 16 * (2 + 2 + 8) + 64 * 8 * 16
    assert counted == 2 * (convs + 64 * 16 * 2 + 64 * 16 * 8)
    ((_, counted),) = flops.forward(model_of(FullAttention2D(4, 1, 2)))
    assert counted == 2 * (4 * 4 * 16 * (2 + 2 + 4 + 4) + 16 * 16 * (2 + 4))
    ((_, counted),) = flops.forward(model_of(SpectralNorm(layers.Conv2D(5, 1)), (4, 4, 3)))
    assert counted == 2 * 16 * 3 * 5


def test_a_step_is_its_passes():
    latent, image = keras.Input((4,), name="latent"), keras.Input((2, 2, 3), name="image")
    x = layers.Dense(12)(layers.Dense(5)(latent))
    generator = keras.Model({"latent": latent}, layers.Reshape((2, 2, 3))(x))
    logits = layers.Dense(1)(layers.Dense(6)(layers.Flatten()(image)))
    discriminator = keras.Model({"image": image}, logits)
    g1, g2, d1, d2 = 2 * 4 * 5, 2 * 5 * 12, 2 * 12 * 6, 2 * 6
    first = (g1 + g2) + 2 * (d1 + d2) + 2 * (d1 + 2 * d2)  # weights of both, inputs of the second
    second = (g1 + g2) + (d1 + d2) + (d1 + d2) + (g1 + 2 * g2)
    assert flops.step(generator, discriminator, batch=3) == 3 * (first + second)
