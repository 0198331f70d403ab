"""The generators that come with the package, as they are shipped."""

import hashlib

import numpy as np
import pytest

import keras_sagan
from keras_sagan.metrics import class_accuracy
from keras_sagan.metrics.features import extractor
from keras_sagan.running import pretrained
from keras_sagan.running.run_folder import Run


def test_those_that_are_documented_are_there():
    assert pretrained.names() == ["cifar10"]


@pytest.mark.parametrize("name", pretrained.names())
def test_they_are_small_whole_and_have_a_card(name):
    folder = pretrained.FOLDER / name
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6e6
    (weights,) = (path for path in files if path.suffix == ".keras")
    checksum = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert checksum in weights.with_name("SHA256SUMS").read_text()
    for word in ("Data", "License", "Recipe", "Figures", "Faults"):
        assert f"## {word}" in (folder / "README.md").read_text()
    assert len(Run(folder).class_names()) == Run(folder).config().model.num_classes


def test_pictures_are_taken_for_their_classes():
    """By a classifier of real photographs, which tells 0.84 of those; of chance it is 0.1."""
    labels = np.tile(np.arange(10), 20)
    generator = keras_sagan.load_pretrained("cifar10")
    images = keras_sagan.sampling.sample(generator, np.arange(len(labels)), labels)
    assert images.shape == (200, 32, 32, 3) and images.dtype == np.uint8
    _, logits = extractor("cifar10_jpeg").extract(images)
    assert class_accuracy(logits, labels) > 0.6
