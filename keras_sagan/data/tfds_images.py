"""Image sets of TensorFlow Datasets, read by index."""

import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image

from keras_sagan.data.images import decode, square, to_rgb
from keras_sagan.data.skipping import Skipping
from keras_sagan.errors import InputError


class TFDSImages:
    """A data set of TensorFlow Datasets that has an "image", and perhaps a "label".

    It is prepared as ArrayRecord files, which can be read at any index, so that shuffling is
    perfect and training can go on at any step. They stand beside TFDS's default files. Reading
    them needs no TensorFlow; TFDS needs it to prepare sets whose images it encodes itself.

    An image that cannot be read is skipped, as by `ImageFolder`.

    Args:
        name: Name of the set, such as "cifar10" or "lsun/church".
        image_size: Height and width that images are cropped and resized to.
        split: Split to use.
        data_dir: Folder of the prepared sets; None is `array_record` in TFDS's own.
        skipped_log: As of `ImageFolder`.

    Attributes:
        class_names: Names of the classes, or None without labels.
        paths: What the images are called, "SET/SPLIT[INDEX]", in order of index.
        skipped: Reasons by path.
        identity: What tells the set from others: its name with configuration and version, and the
            split.

    Raises:
        InputError: A set that TFDS does not know, that has no images, or that cannot be
            downloaded or read.
    """

    def __init__(self, name, image_size, split="train", data_dir=None, skipped_log=None):
        import tensorflow_datasets as tfds

        self.image_size = image_size
        folder_hint = "put its images in a folder, one sub-folder a class, and use --data FOLDER"
        downloads = None
        if data_dir is None:
            # A folder of their own: TFDS refuses a set that it already has in another format.
            data_dir = Path(tfds.core.constants.DATA_DIR) / "array_record"
            downloads = data_dir.parent / "downloads"
        try:
            builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        except (tfds.core.DatasetNotFoundError, ValueError) as error:
            raise InputError(
                f"data.name: {name!r} is not a data set of TensorFlow Datasets "
                f"({_first_line(error)}); {folder_hint}"
            ) from error
        if "image" not in builder.info.features:
            raise InputError(
                f"data.name: {name!r} has no images, only {list(builder.info.features)}"
            )
        try:
            builder.download_and_prepare(download_dir=downloads)
            self._source = builder.as_data_source(
                split=split, decoders={"image": tfds.decode.SkipDecoding()}
            )
        except ModuleNotFoundError as error:
            raise InputError(
                f"data.name: {name!r} cannot be prepared here ({_last_line(error)}): do it once "
                f"where TensorFlow is installed, and copy {builder.data_dir} to here"
            ) from error
        except Exception as error:  # TFDS raises whatever its downloaders and parsers raise
            raise InputError(
                f"data.name: {name!r} could not be downloaded or read "
                f"({type(error).__name__}: {_first_line(error)}); {folder_hint}"
            ) from error
        self.identity = {"set": builder.info.full_name, "split": split}
        features = builder.info.features
        self._feature = features["image"]
        names = getattr(features["label"], "names", None) if "label" in features else None
        self.class_names = list(names) if names else None
        self._name = f"{name}/{split}"
        self._skipping = Skipping(self._name, len(self._source), self._path, skipped_log)

    def __len__(self):
        return len(self._source)

    @functools.cached_property
    def paths(self):
        return [self._path(index) for index in range(len(self))]

    @property
    def skipped(self):
        return self._skipping.reasons

    def read(self, indices):
        """Reads images: see `ImageFolder.read`."""
        wanted = [int(index) for index in indices]
        examples = dict(zip(wanted, self._source.__getitems__(wanted), strict=True))

        def read_one(index):
            if index not in examples:  # in the place of one that cannot be read
                (examples[index],) = self._source.__getitems__([index])
            return self._decode(examples[index]["image"])

        results = [self._skipping.read(index, read_one) for index in wanted]
        images = np.stack([image for image, _ in results])
        if self.class_names is None:
            return images, None
        return images, np.array([examples[index]["label"] for _, index in results], np.int32)

    def _path(self, index):
        return f"{self._name}[{index}]"

    def _decode(self, image):
        if isinstance(image, bytes) and self._feature.np_dtype != np.float32:
            return decode(io.BytesIO(image), self.image_size)
        if isinstance(image, bytes):  # floats, which TFDS keeps as the four channels of a PNG
            image = self._feature.decode_example_np(image)
        if image.shape[-1] == 1:
            image = image[..., 0]
        return square(to_rgb(Image.fromarray(image)), self.image_size)


def _first_line(error):
    return next(iter(str(error).strip().splitlines()), "")


def _last_line(error):
    return next(reversed(str(error).strip().splitlines()), "")
