import itertools

import keras
import numpy as np
import pytest
from programs import REPOSITORY

from keras_sagan.layers import FullAttention2D, SpectralNorm
from keras_sagan.models import (
    DCGANDiscriminator,
    DCGANGenerator,
    FullAttentionDiscriminator,
    FullAttentionGenerator,
    attention_layers,
    with_attention_maps,
)
from keras_sagan.running import config

RNG = np.random.default_rng(0)
SMALL = {"image_size": 32, "width": 8}


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def convolution(inputs, outputs, kernel=16):
    return (kernel * inputs + 1) * outputs


def full(inputs, outputs, keys, batch_norm=True):
    """Trainable weights of full attention: query, key, value, convolution, norm, gamma."""
    convolutions = 2 * convolution(inputs, keys) + 2 * convolution(inputs, outputs)
    return convolutions + 2 * outputs * batch_norm + 1


def attention(channels):
    """Of the first version: queries and keys to C/8, values to C, gamma."""
    return 2 * convolution(channels, channels // 8, 1) + convolution(channels, channels, 1) + 1


def test_weights_of_the_published_64x64_networks():
    """Counted from fagan's configs/fagan_1, layer by layer."""
    generator = full(128, 512, 16) + full(512, 256, 64)
    generator += convolution(256, 128) + 2 * 128 + attention(128)
    generator += convolution(128, 64) + 2 * 64 + attention(64) + convolution(64, 3)
    assert count(FullAttentionGenerator()) == generator == 8_093_655
    discriminator = full(3, 64, 3, batch_norm=False) + convolution(64, 128)
    discriminator += full(128, 256, 16) + attention(256)
    discriminator += convolution(256, 512) + attention(512) + convolution(512, 1)
    assert count(FullAttentionDiscriminator()) == discriminator == 3_769_355


def told(model):
    """Of each full attention: slope, key reduction, spectral norm, batch norm."""
    return {
        layer.name: (
            layer.negative_slope,
            layer.key_reduction,
            isinstance(layer.conv, SpectralNorm),
            layer.batch_norm,
        )
        for layer in model.layers
        if isinstance(layer, FullAttention2D)
    }


def names(model):
    return [layer.name for layer in attention_layers(model)]


def test_the_published_configuration_is_the_default():
    generator, discriminator = FullAttentionGenerator(width=8), FullAttentionDiscriminator(width=8)
    normalised = (0.3, 8, True, True)
    assert told(generator) == {"full4": normalised, "full8": normalised}
    assert told(discriminator) == {"full32": (0.1, 1, True, False), "full8": normalised}
    assert names(generator) == ["full4", "full8", "attention16", "attention32"]
    assert names(discriminator) == ["full32", "full8", "attention8", "attention4"]
    model = config.load(REPOSITORY / "configs" / "fagan64.yaml", ["model.width=8"]).model
    for found, default in zip(model.networks(), (generator, discriminator), strict=True):
        assert found.get_config() == default.get_config()


@pytest.mark.parametrize("norms", [False, True])
def test_configurations_2_and_3_of_attn_gan_pytorch(norms):
    options = {
        "width": 8,
        "full_attention": (8,),
        "full_spectral_norm": norms,
        "full_batch_norm": norms,
    }
    for network in (FullAttentionGenerator, FullAttentionDiscriminator):
        model = network(**options)
        assert told(model) == {"full8": (0.3, 8, norms, norms)}
        others = [layer for layer in model.layers if layer.name.startswith("conv")]
        assert len(others) == 3 and all(isinstance(layer, SpectralNorm) for layer in others)


@pytest.mark.parametrize(
    ("full_class", "plain_class"),
    [
        (FullAttentionGenerator, DCGANGenerator),
        (FullAttentionDiscriminator, DCGANDiscriminator),
    ],
)
def test_without_full_attention_it_is_dcgan(full_class, plain_class):
    full, plain = full_class(**SMALL, full_attention=()), plain_class(**SMALL)
    paths = [[v.path for v in model.variables] for model in (full, plain)]
    assert paths[0] == paths[1]
    name, tensor = next(iter(full.input.items()))
    inputs = {name: RNG.normal(size=(2, *tensor.shape[1:])).astype("float32")}
    full.set_weights(plain.get_weights())
    np.testing.assert_array_equal(np.asarray(full(inputs)), np.asarray(plain(inputs)))


@pytest.mark.parametrize(
    ("size", "num_classes"),
    [
        pytest.param(size, classes, marks=[pytest.mark.slow] * ((size, classes) != (32, 3)))
        for size, classes in itertools.product((32, 64, 128), (None, 3))
    ],
)
def test_the_picture_comes_with_its_maps(size, num_classes):
    options = {"image_size": size, "width": 8, "num_classes": num_classes}
    label = {"label": np.array([0, 2], "int32")} if num_classes else {}
    generator = FullAttentionGenerator(latent_dim=8, **options)
    for layer in attention_layers(generator):
        layer.gamma.assign(0.5)
    inputs = {"latent": RNG.normal(size=(2, 8)).astype("float32"), **label}
    outputs = with_attention_maps(generator).predict(inputs, verbose=0)
    image = outputs.pop("output")
    assert image.shape == (2, size, size, 3) and image.std() > 0 and np.abs(image).max() <= 1
    np.testing.assert_allclose(image, generator.predict(inputs, verbose=0), rtol=1e-4, atol=1e-6)
    assert outputs["full4"].shape == (2, 16, 16) and outputs["full8"].shape == (2, 64, 64)
    for maps in outputs.values():
        np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    discriminator = FullAttentionDiscriminator(**options)
    logits = discriminator.predict({"image": image, **label}, verbose=0)
    assert logits.shape == (2, 1) and logits[0] != logits[1]


def test_classes_go_into_full_attention():
    generator = FullAttentionGenerator(num_classes=3, latent_dim=8, **SMALL)
    gain = generator.get_layer("full8").norm.gain
    gain.assign(RNG.normal(size=gain.shape))
    latent = np.ones((2, 8), "float32")
    first, second = generator.predict(
        {"latent": latent, "label": np.array([0, 2], "int32")}, verbose=0
    )
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: FullAttentionGenerator(full_attention=(64,)),
            "full_attention lists 64, but the generator has feature maps of 4, 8, 16, 32",
        ),
        (
            lambda: FullAttentionDiscriminator(full_attention=(64,)),
            "full_attention lists 64, but the discriminator has feature maps of 4, 8, 16, 32",
        ),
        (
            lambda: FullAttentionGenerator(latent_dim=100),
            "latent_dim does not suit full attention at 4: the generator has 100 channels",
        ),
        (
            lambda: FullAttentionDiscriminator(width=4, full_attention=(16,), attention=()),
            "width does not suit full attention at 16: the discriminator has 4 channels",
        ),
    ],
)
def test_impossible_sizes_are_named(model, message):
    with pytest.raises(ValueError, match=message):
        model()


def test_saving(tmp_path):
    generator = FullAttentionGenerator(num_classes=3, latent_dim=8, full_attention=(8,), **SMALL)
    discriminator = FullAttentionDiscriminator(**SMALL)
    for model in (generator, discriminator):
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        assert loaded.get_config() == model.get_config()
        for found, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)
