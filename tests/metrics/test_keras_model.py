import keras
import numpy as np
import pytest
from keras import layers

from keras_sagan.errors import InputError
from keras_sagan.metrics.features import extractor

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3)).astype(np.uint8)


def saved(path, outputs, shape=(12, 12, 3)):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, outputs(inputs))
    model.save(path)
    return model


def test_features_are_means_of_the_maps_of_pictures_in_range(tmp_path):
    path = tmp_path / "maps.keras"
    model = saved(path, lambda x: layers.Conv2D(7, 3, data_format="channels_last")(x))
    found = extractor(str(path))
    assert (found.name, found.size, found.has_logits) == ("maps.keras", 7, False)
    features, logits = found.extract(IMAGES)
    expected = keras.ops.convert_to_numpy(model(IMAGES.astype(np.float32) / 127.5 - 1))
    assert logits is None and features.dtype == np.float32
    # A mean over 100 locations in float32.
    np.testing.assert_allclose(features, expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="uint8"):
        found.extract(IMAGES.astype(np.float32))


def test_pictures_are_resized_to_those_of_the_model(tmp_path):
    path = tmp_path / "flat.keras"
    saved(path, lambda x: layers.Flatten()(x), (6, 6, 3))
    found = extractor(path)
    assert found.size == 108 and found.protocol["resize"] == "bilinear to 6x6"
    grey = np.full((2, 12, 12, 3), [[[[200]]], [[[20]]]], np.uint8)
    expected = np.repeat([[200 / 127.5 - 1], [20 / 127.5 - 1]], 108, axis=1)
    np.testing.assert_allclose(found.extract(grey).features, expected, atol=1e-6)


def test_the_checksum_is_of_the_weights(tmp_path):
    model = saved(tmp_path / "a.keras", lambda x: layers.Dense(2)(layers.Flatten()(x)))
    model.save(tmp_path / "same.keras")
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save(tmp_path / "other.keras")
    sums = [extractor(tmp_path / f"{name}.keras").checksum for name in ("a", "same", "other")]
    assert sums[0] == sums[1] != sums[2]


def test_code_in_a_file_is_not_run(tmp_path):
    path = tmp_path / "code.keras"
    saved(path, lambda x: layers.Lambda(lambda y: y * 2)(layers.Flatten()(x)))
    with pytest.raises(
        InputError, match="code.keras is no Keras model that can be loaded"
    ) as error:
        extractor(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("outputs", "shape", "reason"),
    [
        (lambda x: layers.Flatten()(x), (12, 12, 1), "it must take pictures"),
        (lambda x: layers.Flatten()(x), (12, 3), "it must take pictures"),
        (lambda x: layers.Flatten()(x), (3, 12, 12), "it must take pictures"),
        (lambda x: {"a": x, "b": layers.Flatten()(x)}, (12, 12, 3), "it must give numbers"),
        (lambda x: [x, x], (12, 12, 3), "it must give numbers"),
    ],
)
def test_models_of_other_things_are_refused(tmp_path, outputs, shape, reason):
    saved(tmp_path / "x.keras", outputs, shape)
    with pytest.raises(InputError, match=f"x.keras [^\n]*{reason}[^\n]*$"):
        extractor(tmp_path / "x.keras")


def test_files_that_are_no_models_are_refused(tmp_path):
    (tmp_path / "text.keras").write_text("x")
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    (tmp_path / "x.npz").rename(tmp_path / "archive.keras")
    for name in ("missing.keras", "text.keras", "archive.keras"):
        with pytest.raises(InputError, match=f"{name} is no Keras model[^\n]*$"):
            extractor(tmp_path / name)


def test_networks_that_there_are_not():
    with pytest.raises(InputError, match="^keras:MobileNetV9: .*MobileNetV2[^\n]*$"):
        extractor("keras:MobileNetV9")
    with pytest.raises(InputError, match="there is no extractor 'mobilenet'"):
        extractor("mobilenet")


def test_a_network_of_applications(monkeypatch):
    made = keras.applications.MobileNetV2

    def without_weights(weights, **options):
        assert weights == "imagenet"
        return made(weights=None, alpha=0.35, **options)

    without_weights.__module__ = made.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", without_weights)
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = extractor("keras:MobileNetV2")
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert (found.name, found.size) == ("keras:MobileNetV2", 1280)
    assert found.protocol == {"resize": "bilinear to 224x224", "weights": "imagenet"}
    assert found._model.compute_dtype == "float32"
    assert found.extract(IMAGES[:1]).features.shape == (1, 1280)


def test_weights_that_cannot_be_had(monkeypatch):
    def offline(**options):
        raise Exception("URL fetch failure\non it")

    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    with pytest.raises(InputError, match="cannot be had: URL fetch failure on it$"):
        extractor("keras:MobileNetV2")
    assert keras.config.dtype_policy().name == "float32"
