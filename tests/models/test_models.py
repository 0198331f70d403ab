import itertools

import keras
import numpy as np
import pytest

from keras_sagan.layers import SpectralNorm
from keras_sagan.models import (
    FAMILIES,
    DCGANDiscriminator,
    DCGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
    attention_layers,
    with_attention_maps,
)

SIZES = [("resnet", 32), ("dcgan", 32), ("dcgan", 64)]
LARGE = [("resnet", 64), ("resnet", 128), ("resnet", 256), ("dcgan", 128)]
SIZES += [pytest.param(*size, marks=pytest.mark.slow) for size in LARGE]
RNG = np.random.default_rng(0)


def inputs_of(model, batch=2):
    values = {}
    for name, tensor in model.input.items():
        if name == "label":
            values[name] = RNG.integers(model.num_classes, size=batch).astype("int32")
        else:
            values[name] = RNG.uniform(-1, 1, (batch, *tensor.shape[1:])).astype("float32")
    return values


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize(("family", "size"), SIZES)
def test_shapes_and_ranges(family, size, num_classes):
    generator_class, discriminator_class = FAMILIES[family]
    options = {"image_size": size, "num_classes": num_classes, "width": 8, "attention": (8,)}
    generator = generator_class(latent_dim=16, **options)
    discriminator = discriminator_class(**options)
    assert ("label" in generator.input) == ("label" in discriminator.input) == bool(num_classes)
    images = np.asarray(generator(inputs_of(generator)))
    assert images.shape == (2, size, size, 3)
    assert np.abs(images).max() <= 1
    assert images.std() > 0
    logits = np.asarray(discriminator(inputs_of(discriminator)))
    assert logits.shape == (2, 1)
    assert logits[0] != logits[1]
    assert [layer.name for layer in attention_layers(generator)] == ["attention8"]
    assert [layer.name for layer in attention_layers(discriminator)] == ["attention8"]


@pytest.mark.parametrize(("family", "size"), SIZES)
def test_both_networks_have_attention_by_default(family, size):
    for cls in FAMILIES[family]:
        assert attention_layers(cls(image_size=size, width=8))


@pytest.mark.parametrize("family", [pytest.param("resnet", marks=pytest.mark.slow), "dcgan"])
def test_the_label_matters(family):
    generator_class, discriminator_class = FAMILIES[family]
    options = {"image_size": 32, "num_classes": 4, "width": 8, "attention": (8,)}
    for model in (generator_class(latent_dim=8, **options), discriminator_class(**options)):
        for layer in model.layers:
            if "norm" in layer.name and hasattr(layer, "gain"):
                layer.gain.assign(RNG.normal(size=layer.gain.shape))
        inputs = inputs_of(model)
        first = np.asarray(model({**inputs, "label": np.array([0, 0])}))
        second = np.asarray(model({**inputs, "label": np.array([0, 3])}))
        np.testing.assert_allclose(first[0], second[0], rtol=1e-5, atol=1e-6)
        assert np.abs(first[1] - second[1]).max() > 1e-4


def official_generator_weights(width, classes, latent):
    """Trainable weights of the official generator.py, variable by variable, attention at 32."""
    total = (latent + 1) * 16 * width * 16  # g_snh0
    channels = 16 * width
    for out in (16 * width, 8 * width, 4 * width, 2 * width, width):
        total += 2 * classes * channels + 2 * classes * out  # cbn_0, cbn_1: gamma and beta
        total += (9 * channels + 1) * out  # snconv1
        total += (9 * out + 1) * out  # snconv2
        total += (channels + 1) * out  # snconv3
        channels = out
    attended = 4 * width
    total += 2 * attended * attended // 8  # theta, phi
    total += 2 * attended * attended // 2 + 1  # g, attn, sigma_ratio
    total += 2 * width  # g_bn
    return total + (9 * width + 1) * 3  # g_snconv_last


def official_discriminator_weights(width, classes):
    """Trainable weights of the official discriminator.py, attention at 32."""
    total, channels = 0, 3
    for i, out in enumerate(width * m for m in (1, 2, 4, 8, 16, 16)):
        total += (9 * channels + 1) * out + (9 * out + 1) * out  # sn_conv1, sn_conv2
        total += (channels + 1) * out if i < 5 else 0  # sn_conv3
        channels = out
    attended = 2 * width
    total += 2 * attended * attended // 8 + 2 * attended * attended // 2 + 1
    return total + (channels + 1) + classes * channels  # d_sn_linear, d_embedding


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def test_weights_of_the_official_128x128_networks():
    generator = ResNetGenerator(image_size=128, num_classes=1000, width=64)
    assert count(generator.trainable_variables) == official_generator_weights(64, 1000, 128)
    assert count(generator.trainable_variables) == 42_078_852
    discriminator = ResNetDiscriminator(image_size=128, num_classes=1000, width=64)
    assert count(discriminator.trainable_variables) == official_discriminator_weights(64, 1000)
    assert count(discriminator.trainable_variables) == 39_463_618
    sizes = [layer.output.shape[1] for layer in generator.layers if layer.name.startswith("block")]
    assert max(sizes) == 128
    assert attention_layers(generator)[0].input.shape[1:] == (32, 32, 256)
    assert attention_layers(discriminator)[0].input.shape[1:] == (32, 32, 128)


def test_weights_of_the_compact_64x64_networks():
    """Counted from the layers of heykeetae's sagan_models.py, at its default width and latent."""
    generator = DCGANGenerator(image_size=64, latent_dim=128, width=64)
    channels = (512, 256, 128, 64)
    expected = 16 * 128 * 512 + 512 + 2 * 512
    for a, b in itertools.pairwise(channels):
        expected += 16 * a * b + b + 2 * b
    expected += 16 * 64 * 3 + 3
    expected += sum(2 * (c + 1) * (c // 8) + (c + 1) * c + 1 for c in (128, 64))
    assert count(generator.trainable_variables) == expected
    discriminator = DCGANDiscriminator(image_size=64, width=64)
    expected = sum(16 * a * b + b for a, b in ((3, 64), (64, 128), (128, 256), (256, 512)))
    expected += 16 * 512 + 1
    expected += sum(2 * (c + 1) * (c // 8) + (c + 1) * c + 1 for c in (256, 512))
    assert count(discriminator.trainable_variables) == expected
    assert [layer.name for layer in attention_layers(generator)] == ["attention16", "attention32"]
    assert [layer.name for layer in attention_layers(discriminator)] == ["attention8", "attention4"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: ResNetGenerator(image_size=48), "one of \\[32, 64, 128, 256\\], got 48"),
        (lambda: DCGANGenerator(image_size=256), "one of \\[32, 64, 128\\], got 256"),
        (
            lambda: ResNetGenerator(image_size=64, attention=(24,)),
            "attention lists 24, but the generator has feature maps of 8, 16, 32, 64",
        ),
        (
            lambda: DCGANGenerator(image_size=32, width=4, attention=(16,)),
            "width is too small for attention at 16: the generator has 4 channels",
        ),
        (
            lambda: ResNetDiscriminator(image_size=64, attention=(64,)),
            "attention lists 64, but the discriminator has feature maps of 4, 8, 16, 32",
        ),
    ],
)
def test_impossible_sizes_are_named(model, message):
    with pytest.raises(ValueError, match=message):
        model()


@pytest.mark.parametrize("self_modulation", [False, True])
@pytest.mark.parametrize(
    "family", ["dcgan", "full_attention", pytest.param("resnet", marks=pytest.mark.slow)]
)
def test_all_of_a_generator_sees_what_the_mapping_network_gives(family, self_modulation):
    """Against the network without one, which is given what NumPy makes of the latent."""
    options = {"image_size": 32, "latent_dim": 8, "width": 8, "attention": (8,)}
    generators = [
        FAMILIES[family][0](mapping_layers=count, self_modulation=self_modulation, **options)
        for count in (0, 3)
    ]
    plain, mapped = generators
    for variable in mapped.trainable_variables:
        variable.assign(RNG.normal(scale=0.3, size=variable.shape))
    kernels_and_biases = mapped.get_weights()[:6]
    plain.set_weights(mapped.get_weights()[6:])
    latent = RNG.normal(size=(4, 8))
    expected = latent.copy()
    for kernel, bias in zip(kernels_and_biases[::2], kernels_and_biases[1::2], strict=True):
        expected = expected @ kernel.astype("float64") + bias
        expected = np.where(expected < 0, 0.2 * expected, expected)
    images = np.asarray(mapped({"latent": latent.astype("float32")}))
    assert images.std() > 0.05
    # Rounding of float32 over a dozen layers.
    np.testing.assert_allclose(images, plain({"latent": expected.astype("float32")}), atol=5e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_of_a_discriminator_starts_where_it_is_told(family):
    make = FAMILIES[family][1]
    options = {"image_size": 32, "width": 8, "attention": (16, 8)}
    discriminator = make(**options, attention_gamma=0.5)
    again = make.from_config(discriminator.get_config())
    for network, gamma in ((discriminator, 0.5), (again, 0.5), (make(**options), 0)):
        for size in options["attention"]:
            assert float(np.asarray(network.get_layer(f"attention{size}").gamma)) == gamma


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hidden_layer_sees_all_of_the_last_map(family):
    """Against NumPy, from the last map on; without classes it alone makes the logits."""
    options = {"image_size": 32, "width": 8, "attention": (8,), "spectral_norm": False}
    discriminator = FAMILIES[family][1](**options, hidden_units=6)
    for variable in discriminator.trainable_variables:
        variable.assign(RNG.normal(scale=0.3, size=variable.shape))
    hidden = discriminator.get_layer("hidden")
    (last_map,) = hidden._inbound_nodes[0].input_tensors
    inputs = inputs_of(discriminator)
    features = np.asarray(keras.Model(discriminator.inputs, last_map)(inputs), "float64")
    assert features.shape == ((2, 8, 8, 16) if family == "resnet" else (2, 4, 4, 32))
    kernel = np.asarray(hidden.kernel).reshape(-1, 6)
    x = features.reshape(2, -1) @ kernel + np.asarray(hidden.bias)
    x = np.where(x < 0, 0.1 * x, x)
    last = discriminator.get_layer("dense" if family == "resnet" else "to_logits")
    expected = x @ np.asarray(last.kernel) + np.asarray(last.bias)
    # Sums of up to 1024 products in float32 against float64.
    np.testing.assert_allclose(discriminator(inputs), expected, rtol=1e-4, atol=1e-4)
    normalised = FAMILIES[family][1](**{**options, "spectral_norm": True}, hidden_units=6)
    assert type(normalised.get_layer("hidden")) is SpectralNorm


@pytest.mark.parametrize("family", [pytest.param("resnet", marks=pytest.mark.slow), "dcgan"])
def test_saving(family, tmp_path):
    for model in (
        FAMILIES[family][0](image_size=32, num_classes=3, latent_dim=8, width=8, attention=(8,)),
        FAMILIES[family][1](image_size=32, num_classes=3, width=8, attention=(8,)),
    ):
        inputs = inputs_of(model)
        model(inputs)
        path = tmp_path / f"{model.name}.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, safe_mode=True)
        assert type(loaded) is type(model)
        assert loaded.get_config() == model.get_config()
        np.testing.assert_array_equal(
            loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
        )


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_float32_under_mixed_precision(family, policy):
    keras.config.set_dtype_policy(policy)
    for cls in FAMILIES[family]:
        model = cls(image_size=32, width=8, attention=(8,))
        outputs = model(inputs_of(model))
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        assert np.isfinite(np.asarray(outputs)).all()


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_under_mixed_precision_tell_pictures_apart(family, num_classes):
    keras.config.set_dtype_policy("mixed_bfloat16")
    _, discriminator = FAMILIES[family]
    model = discriminator(image_size=32, width=8, attention=(8,), num_classes=num_classes)
    logits = np.asarray(model(inputs_of(model, 128)))
    # As bfloat16 values they were at most 115.
    assert len(np.unique(logits)) > 125


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_are_channels_last_whatever_keras_says(family):
    options = {"image_size": 32, "num_classes": 3, "width": 8, "attention": (8,)}
    for cls in FAMILIES[family]:
        keras.config.set_image_data_format("channels_first")
        try:
            model = cls(**options)
            inputs = inputs_of(model)
            outputs = np.asarray(model(inputs))
        finally:
            keras.config.set_image_data_format("channels_last")
        twin = cls(**options)
        twin.set_weights(model.get_weights())
        np.testing.assert_allclose(outputs, np.asarray(twin(inputs)), rtol=1e-5, atol=1e-6)


def test_attention_maps_come_with_the_same_output():
    generator = ResNetGenerator(image_size=32, width=8, attention=(8, 16))
    inputs = inputs_of(generator)
    outputs = with_attention_maps(generator).predict(inputs, verbose=0)
    assert outputs["attention8"].shape == (2, 64, 16)
    assert outputs["attention16"].shape == (2, 256, 64)
    np.testing.assert_allclose(outputs["attention16"].sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        outputs["output"], generator.predict(inputs, verbose=0), rtol=1e-5, atol=1e-6
    )
