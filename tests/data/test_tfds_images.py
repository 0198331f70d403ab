import io
import os
import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from keras_sagan.data import ImageCache, TFDSImages
from keras_sagan.errors import InputError


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Six grey pictures of two classes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 1)),
            "label": tfds.features.ClassLabel(names=["dark", "light"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(6):
            image = np.full((10, 14, 1), 40 * i, np.uint8)
            yield f"{i}", {"image": image, "label": i // 3}


class OddPictures(tfds.core.GeneratorBasedBuilder):
    """Twenty pictures, floats or 16 bits, or JPEGs of which one is broken and one has odd EXIF."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("floats", "deep", "jpegs")]

    def _info(self):
        dtype = {"floats": np.float32, "deep": np.uint16, "jpegs": np.uint8}[
            self.builder_config.name
        ]
        channels = 3 if dtype == np.uint8 else 1
        ending = "jpeg" if dtype == np.uint8 else "png"
        image = tfds.features.Image(
            shape=(None, None, channels), dtype=dtype, encoding_format=ending
        )
        features = tfds.features.FeaturesDict(
            {"image": image, "label": tfds.features.ClassLabel(num_classes=20)}
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(20):
            grey = np.full((10, 14, 1), i / 20, np.float32)
            image = {"floats": grey, "deep": (grey * 65535).astype(np.uint16)}.get(
                self.builder_config.name
            )
            if image is None:
                file = io.BytesIO()
                # Orientation 6, and the resolution's unit as a byte.
                fields = struct.pack("<HHHIIHHII", 2, 0x0112, 3, 1, 6, 0x0128, 1, 1, 2)
                exif = b"Exif\0\0II*\0\x08\0\0\0" + fields + bytes(4)
                color = np.repeat((grey * 255).astype(np.uint8), 3, axis=-1)
                Image.fromarray(color).save(file, "jpeg", exif=exif)
                image = io.BytesIO(file.getvalue() if i != 7 else b"\xff\xd8\xff broken")
            yield f"{i:02d}", {"image": image, "label": i}


class OnlyText(tfds.core.GeneratorBasedBuilder):
    """A set without images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {}

    def _generate_examples(self):
        yield from ()


class Unreachable(TinyPictures):
    """A set whose host is not there."""

    def _split_generators(self, dl_manager):
        raise ConnectionError("no route to host")


class NeedsTensorFlow(TinyPictures):
    """A set that is prepared with TensorFlow, where there is none."""

    def _split_generators(self, dl_manager):
        raise ModuleNotFoundError("Failed to encode example\nNo module named 'tensorflow'")


def test_reads_by_index(tmp_path):
    source = TFDSImages("tiny_pictures", 8, data_dir=tmp_path)
    assert len(source) == 6 and source.class_names == ["dark", "light"]
    images, labels = source.read(np.arange(6))
    assert images.shape == (6, 8, 8, 3) and images.dtype == np.uint8
    assert sorted(zip(images[:, 0, 0, 0].tolist(), labels.tolist(), strict=True)) == [
        (40 * i, i // 3) for i in range(6)
    ]


@pytest.mark.parametrize("name", ["floats", "deep"])
def test_wide_pictures_are_what_they_show(tmp_path, name):
    source = TFDSImages(f"odd_pictures/{name}", 8, data_dir=tmp_path)
    images, labels = source.read(range(20))
    expected = np.round(labels / 20 * 255)
    np.testing.assert_allclose(images[:, 3, 3, 0], expected, atol=1)  # of 16 bits they are cut


def test_a_broken_picture_is_skipped(tmp_path):
    log = tmp_path / "skipped.txt"
    source = TFDSImages("odd_pictures/jpegs", 8, data_dir=tmp_path, skipped_log=log)
    images, labels = source.read(range(20))
    assert sorted(set(labels.tolist())) == [i for i in range(20) if i != 7]
    np.testing.assert_allclose(images[:, 3, 3, 0], labels / 20 * 255, atol=3)  # JPEG
    (name,) = set(source.paths) & set(source.skipped)
    assert log.read_text() == f"{name}\t{source.skipped[name]}\n"
    assert name.startswith("odd_pictures/jpegs/train[") and "JPEG" in source.skipped[name]


def test_a_set_is_cached_by_name_split_and_version(tmp_path):
    source = TFDSImages("tiny_pictures", 8, data_dir=tmp_path)
    assert source.identity == {"set": "tiny_pictures/1.0.0", "split": "train"}
    half = TFDSImages("tiny_pictures", 8, "train[:3]", tmp_path)
    assert half.identity != source.identity
    everything = np.arange(6)
    cache = ImageCache(source, tmp_path / "caches", source.identity, "tiny_pictures")
    cache.fill()
    for found, expected in zip(cache.read(everything), source.read(everything), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert cache.class_names == ["dark", "light"]


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(InputError, match="'no_such_set' is not a data set .* use --data FOLDER"):
        TFDSImages("no_such_set", 8, data_dir=tmp_path)
    with pytest.raises(InputError, match="'only_text' has no images"):
        TFDSImages("only_text", 8, data_dir=tmp_path)
    with pytest.raises(
        InputError, match="'unreachable' could not be downloaded .*no route.* use --data FOLDER"
    ):
        TFDSImages("unreachable", 8, data_dir=tmp_path)
    with pytest.raises(
        InputError,
        match="'needs_tensor_flow' cannot be prepared here .No module named 'tensorflow'.: .* copy "
        f"{tmp_path}/needs_tensor_flow/1.0.0",
    ):
        TFDSImages("needs_tensor_flow", 8, data_dir=tmp_path)


@pytest.mark.download
@pytest.mark.skipif(
    not os.environ.get("KERAS_SAGAN_DOWNLOAD"), reason="downloads; set KERAS_SAGAN_DOWNLOAD=1"
)
def test_a_published_set(tmp_path):
    source = TFDSImages("mnist", 32, split="test", data_dir=tmp_path)
    images, labels = source.read([0, 1])
    assert len(source) == 10_000 and images.shape == (2, 32, 32, 3) and labels.max() < 10
