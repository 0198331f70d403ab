"""Pictures of a run, of a file and of a folder."""

import hashlib
import shutil

import keras
import numpy as np
import pytest
from extractors import Projection, statistics
from generators import tiny
from PIL import Image

from keras_sagan.errors import InputError
from keras_sagan.evaluating import pictures
from keras_sagan.metrics import evaluation
from keras_sagan.metrics.features.reference import Reference
from keras_sagan.running.run_folder import Run
from keras_sagan.sampling import Sampler

pytestmark = pytest.mark.filterwarnings("ignore:.* needs at least")  # more pictures than here

RNG = np.random.default_rng(0)


def gathered(judged):
    """All images and labels of pictures."""
    images, labels = zip(*judged.batches(), strict=True)
    return np.concatenate(images), None if labels[0] is None else np.concatenate(labels)


def test_pictures_of_a_run(trained_run):
    run = Run(trained_run[0])
    judged, size = pictures.of_run(run, 70, seed=3, truncation=0.5)
    images, labels = gathered(judged)
    generator = run.load_generator()
    seeds = np.arange(3, 73)
    np.testing.assert_array_equal(images, Sampler(generator).sample(seeds, seeds % 10, 0.5))
    np.testing.assert_array_equal(labels, seeds % 10)
    file = run.checkpoint(6) / "generator.keras"
    assert judged.protocol == {
        **{"samples": 70, "seeds": [3, 72], "truncation": 0.5, "run": str(run.path)},
        **{"checkpoint": "00000006", "ema": run.config().train.ema},
        "generator_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    assert (size, judged.count, judged.num_classes) == (32, 70, 10)


def test_pictures_of_the_best_checkpoint(trained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained_run[0], folder)
    run = Run(folder)
    with pytest.raises(InputError, match="no best checkpoint"):
        pictures.of_run(run, 4, best=True)
    run.checkpoint(3).rename(run.checkpoints / "best-00000003")
    judged, _ = pictures.of_run(run, 4, best=True)
    generator = run.load_generator(folder=run.checkpoints / "best-00000003")
    np.testing.assert_array_equal(gathered(judged)[0], Sampler(generator).sample(range(4)))
    assert judged.protocol["checkpoint"] == "best-00000003"


@pytest.fixture
def folder(tmp_path):
    """Six pictures in each of three classes, and all of them."""
    images = RNG.integers(0, 256, (18, 8, 8, 3)).astype(np.uint8)
    for i, image in enumerate(images):
        path = tmp_path / "pictures" / "abc"[i // 6] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "pictures", images


def test_pictures_of_a_folder(folder):
    path, images = folder
    judged = pictures.of_folder(path, 1000, 8)
    found, labels = gathered(judged)
    np.testing.assert_array_equal(found, images)
    assert labels.tolist() == [i // 6 for i in range(18)]
    assert (judged.count, judged.num_classes) == (18, 3)
    assert judged.protocol["samples"] == 18 and judged.protocol["folder"] == str(path)


def test_some_of_a_folder_are_of_all_classes(folder):
    judged = pictures.of_folder(folder[0], 6, 8)
    found, labels = gathered(judged)
    assert judged.count == len(found) == 6
    assert np.bincount(labels).tolist() == [2, 2, 2]
    assert len({image.tobytes() for image in found}) == 6
    assert judged.fewest == 2 and pictures.of_folder(folder[0], 4, 8).fewest == 1


def test_pictures_of_a_folder_without_classes(folder):
    path, images = folder
    judged = pictures.of_folder(path / "b", 1000, 8)
    found, labels = gathered(judged)
    np.testing.assert_array_equal(found, images[6:12])
    assert labels is judged.num_classes is judged.fewest is None


def test_one_picture_is_not_enough(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="holds one picture: figures need at least two$"):
        pictures.of_folder(tmp_path, 1000, 8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A generator of three classes, and a file of it."""
    pytest.importorskip("ai_edge_litert")
    from keras_sagan.exporting import convert_to_tflite
    from keras_sagan.exporting.metadata import add_metadata

    keras.utils.set_random_seed(0)
    generator = tiny(3)
    generator.num_classes = 3
    file, _ = convert_to_tflite(generator, "float32")
    path = tmp_path_factory.mktemp("exported") / "x.tflite"
    path.write_bytes(add_metadata(file, "generator", "Draws pictures.", ["a", "b", "c"], {}))
    return path, generator


def test_pictures_of_an_exported_file(exported):
    path, generator = exported
    judged, size = pictures.of_tflite(path, 70, seed=3, truncation=0.5)
    images, labels = gathered(judged)
    seeds = np.arange(3, 73)
    np.testing.assert_array_equal(labels, seeds % 3)
    expected = Sampler(generator).sample(seeds, seeds % 3, 0.5)
    # One level, where the rounding of two systems falls on either side.
    assert np.abs(images.astype(int) - expected).max() <= 1
    assert (size, judged.count, judged.num_classes) == (2, 70, 3)
    assert judged.protocol == {
        **{"samples": 70, "seeds": [3, 72], "truncation": 0.5, "file": "x.tflite"},
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


class Enlarging(Projection):
    """As it is, of pictures that have fewer pixels than it looks at."""

    def extract(self, images):
        return super().extract(images.repeat(2, axis=1).repeat(2, axis=2))


def test_equal_pictures_have_equal_figures_from_wherever_they_are(exported, tmp_path):
    path, _ = exported
    judged, _ = pictures.of_tflite(path, 90)
    for i, (image, label) in enumerate(zip(*gathered(judged), strict=True)):
        file = tmp_path / "pictures" / "abc"[label] / f"{i:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    real = Projection(3).extract(RNG.integers(0, 256, (90, 4, 4, 3)).astype(np.uint8)).features
    whole = statistics(real)
    by_class = [statistics(real[i::3]) for i in range(3)]
    found = [
        evaluation.evaluate(each, Enlarging(3), Reference(whole, by_class, real, {}))
        for each in (judged, pictures.of_folder(tmp_path / "pictures", 90, 2))
    ]
    figures = [each["metrics"] for each in found]
    assert set(figures[0]) == set(figures[1]) and len(figures[0]) == 9
    # What is split or drawn by number goes by the order of pictures, which is that of files here.
    for name in ("fid", "intra_fid", "precision", "recall", "density", "coverage"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-9)
    assert figures[0]["class_accuracy"] == figures[1]["class_accuracy"]
    assert found[0]["protocol"]["extractor"] == found[1]["protocol"]["extractor"]
