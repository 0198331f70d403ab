import json

import keras
import numpy as np
import pytest

from keras_sagan.data import paired_shapes
from keras_sagan.errors import InputError
from keras_sagan.metrics.features import extractor, small_classifier
from keras_sagan.metrics.features.small_classifier import ClassifierExtractor

IMAGES, LABELS = paired_shapes.draw(np.random.default_rng(1), 900)


def quick(monkeypatch):
    """Trains `classifier` for an epoch; returns a list that gets an entry each time."""
    train, times = small_classifier.train, []

    def train_once(model, images, labels):
        times.append(len(images))
        return train(model, images, labels, epochs=1, verbose=0)

    monkeypatch.setattr(small_classifier, "train", train_once)
    return times


def saved(path, classes=10, width=4, image_size=32):
    keras.utils.set_random_seed(0)
    model = small_classifier.small_classifier(image_size, classes, width)
    model.set_weights([w + np.random.normal(0, 0.1, w.shape) ** 2 for w in model.get_weights()])
    small_classifier.save(model, path, 0.75)
    return model


def test_it_learns_drawings():
    model = small_classifier.small_classifier(32, 10, width=8)
    held_out = small_classifier.train(model, IMAGES, LABELS, epochs=4, batch_size=32, verbose=0)
    others, labels = paired_shapes.draw(np.random.default_rng(2), 200)
    logits = model.predict(others / np.float32(127.5) - 1, verbose=0)["logits"]
    accuracy = np.mean(logits.argmax(axis=1) == labels)
    # By chance it is 0.1, give or take 0.02 for 200 pictures.
    assert accuracy > 0.4 and held_out > 0.3


@pytest.mark.slow
def test_it_starts_alike_and_learns_alike():
    models = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)  # which is another's
        models.append(small_classifier.small_classifier(32, 10, width=4))
        small_classifier.train(models[-1], IMAGES[:140], LABELS[:140], epochs=1, verbose=0)
    for first, second in zip(*(model.get_weights() for model in models), strict=True):
        # Sums of gradients may be in another order on several cores.
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_few_pictures_are_enough_to_train_on():
    model = small_classifier.small_classifier(32, 11, width=4)  # none is of the last class
    before = model.get_weights()
    small_classifier.train(model, IMAGES[:30], LABELS[:30], epochs=1, verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_larger_pictures_are_made_smaller_first():
    for size in (64, 128):
        model = small_classifier.small_classifier(size, 3, width=4)
        assert model.output["features"].shape == (None, 16)
        assert model.get_layer("features").input.shape[1:3] == (8, 8)


def test_saved_weights_are_loaded_bit_by_bit(tmp_path):
    model = saved(tmp_path / "x.npz")
    found = ClassifierExtractor("x", tmp_path / "x.npz", 32, [*"abcdefghij"], width=4)
    for ours, theirs in zip(found._model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs.astype(np.float16).astype(np.float32))
    assert (found.size, found.accuracy, found.class_names[9]) == (16, 0.75, "j")
    features, logits = found.extract(IMAGES[:70])
    expected = model.predict(IMAGES[:70] / np.float32(127.5) - 1, verbose=0)
    assert logits.shape == (70, 10) and logits.dtype == features.dtype == np.float32
    # Weights are rounded to 11 bits.
    np.testing.assert_allclose(features, expected["features"], rtol=0.02, atol=0.02)


def test_figures_do_not_depend_on_the_precision_of_the_run(tmp_path):
    saved(tmp_path / "x.npz")
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        each = ClassifierExtractor("x", tmp_path / "x.npz", 32, [*"abcdefghij"], width=4)
        found.append(each.extract(IMAGES[:8]))
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["missing", "cut off", "other classes", "text", "no accuracy"])
def test_weights_of_something_else_are_refused(tmp_path, kind):
    path = tmp_path / "x.npz"
    if kind == "text":
        path.write_text("weights")
    elif kind == "no accuracy":
        np.savez(path, **{"000": np.zeros(3)})
    elif kind != "missing":
        saved(path, classes=3 if kind == "other classes" else 10)
    if kind == "cut off":
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="x.npz does not hold the weights of x: "):
        ClassifierExtractor("x", path, 32, [*"abcdefghij"], width=4)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(InputError, match="32x32, and these are 64x64$"):
        extractor("paired_shapes").extract(np.zeros((2, 64, 64, 3), np.uint8))


def test_that_of_paired_shapes_comes_with_the_package():
    found = extractor("paired_shapes")
    _, logits = found.extract(IMAGES[:200])
    accuracy = np.mean(logits.argmax(axis=1) == LABELS[:200])
    assert accuracy > 0.95 and found.accuracy > 0.95
    assert len(found.class_names) == len(paired_shapes.CLASS_NAMES)
    assert (found.name, found.size) == ("paired_shapes", 96)
    json.dumps(found.protocol)


def test_that_of_cifar10_comes_with_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path))
    times = quick(monkeypatch)
    source = paired_shapes.PairedShapes(length=20)
    source.class_names = small_classifier._CIFAR10
    found = extractor("classifier", source, {"name": "x"})
    assert not times and not [*tmp_path.iterdir()]
    assert found.class_names == small_classifier._CIFAR10 and found.accuracy >= 0.8
    # By its own name it judges pictures of any folder.
    by_name = extractor("cifar10_jpeg")
    assert by_name.checksum == found.checksum and by_name.name == "cifar10_jpeg"
    assert small_classifier.delivered("cifar10_jpeg").stat().st_size < 2e6


@pytest.mark.slow
def test_a_classifier_of_data_is_trained_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path))
    times = quick(monkeypatch)
    monkeypatch.setattr(small_classifier, "_MOST", (200, 1 << 30))
    source = paired_shapes.PairedShapes(length=300)
    first, second = (extractor("classifier", source, {"name": "x"}) for _ in range(2))
    assert times == [200]
    assert first.checksum == second.checksum and first.class_names == source.class_names
    assert capsys.readouterr().out.startswith("classifier: trains on 200 pictures of 10 classes\n")
    (path,) = (tmp_path / "classifiers").iterdir()
    path.write_bytes(path.read_bytes()[:-30])  # damaged: trained again
    third = extractor("classifier", source, {"name": "x"})
    assert times == [200, 200] and third.size == first.size
    assert [path.suffix for path in (tmp_path / "classifiers").iterdir()] == [".npz"]


@pytest.mark.parametrize("names", [None, ["one"]])
def test_there_is_nothing_to_tell_apart_without_classes(names):
    source = paired_shapes.PairedShapes(length=3)
    source.class_names = names
    with pytest.raises(InputError, match="^classifier: the data has no classes to tell apart"):
        extractor("classifier", source, {"name": "x"})
