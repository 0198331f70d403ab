import os

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_sagan.data import TFDSImages
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
