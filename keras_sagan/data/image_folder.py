"""A folder of images, one sub-folder a class."""

import functools
from pathlib import Path

import numpy as np

from keras_sagan.data.folder_listing import ENDINGS, list_folder
from keras_sagan.data.images import decode
from keras_sagan.data.names import one_line
from keras_sagan.data.skipping import Skipping
from keras_sagan.errors import InputError

_TRAINING = {"train", "training"}
_OTHER_SPLITS = {"test", "testing", "val", "valid", "validation", "dev", "eval"}


class ImageFolder:
    """Images in a folder, read when asked for.

    Sub-folders are the classes, in alphabetical order, and images within them count at any
    depth. Images that stand in the folder itself have no class; then there must be no
    sub-folders with images. Hidden files and folders, and what operating systems leave behind,
    are neither.

    An image that cannot be read is skipped: the next one that can be read takes its place, and
    its path and the reason are kept in `skipped`. More than one in ten is an error. What becomes
    of colours, transparency and orientation is said in `keras_sagan.data.images.to_rgb`.

    Args:
        folder: The folder.
        image_size: Height and width that images are cropped and resized to.
        skipped_log: Path of a file that gets a line for each skipped image that it does not list
            yet, or None.

    Attributes:
        names: Names of the images relative to the folder, with "/" between, in order of index.
        paths: Paths of the images, likewise; made when it is first asked for.
        class_names: Names of the sub-folders, or None without classes.
        class_counts: How many images each class has, or None without classes.
        labels: (length,) int32, empty without classes.
        left_out: What in the folder is no image, as text: "3 .txt, 1 .heic". Mostly empty.
        skipped: Reasons by path.

    Raises:
        InputError: A folder that is missing, may not be read, holds no images, mixes images and
            sub-folders with images, or has `train` and `test` in place of classes.
    """

    def __init__(self, folder, image_size, skipped_log=None):
        self.folder = Path(folder)
        self.image_size = image_size
        where = one_line(self.folder.as_posix())  # backslashes would be escaped
        if not self.folder.is_dir():
            raise InputError(f"{where} is not a folder: give one that holds images")
        listing = list_folder(self.folder)
        loose, classes = listing.loose, listing.classes
        self.left_out = listing.said()
        if not loose and not classes:
            there = self.left_out and f"; there are {self.left_out}"
            raise InputError(f"{where} holds no images ({', '.join(ENDINGS)}){there}")
        if loose and classes:
            raise InputError(
                f"{where} holds both images ({one_line(loose[0])}, ...) and sub-folders of images "
                f"({one_line(next(iter(classes)))}, ...): move the images into sub-folders, one a "
                "class"
            )
        _check_not_splits(where, classes)
        self.class_names = list(classes) or None
        self.class_counts = [len(names) for names in classes.values()] or None
        self.names = loose or [name for names in classes.values() for name in names]
        self.labels = np.repeat(
            np.arange(len(classes), dtype=np.int32), np.array(self.class_counts or [], int)
        )
        self._skipping = Skipping(where, len(self.names), self._path, skipped_log)

    def __len__(self):
        return len(self.names)

    @functools.cached_property
    def paths(self):
        return [self._path(index) for index in range(len(self))]

    @property
    def skipped(self):
        return self._skipping.reasons

    def read(self, indices):
        """Reads images.

        Args:
            indices: (batch,) integers below the length.

        Returns:
            Images (batch, image_size, image_size, 3) uint8, and labels (batch,) int32, or None
            without classes.

        Raises:
            InputError: More than one in ten of the folder's images could not be read.
        """
        results = [self._skipping.read(index, self._decode) for index in indices]
        images = np.stack([image for image, _ in results])
        if self.class_names is None:
            return images, None
        return images, self.labels[[index for _, index in results]]

    def _path(self, index):
        return (self.folder / self.names[index]).as_posix()

    def _decode(self, index):
        return decode(self._path(index), self.image_size)


def _check_not_splits(where, classes):
    """Raises InputError for `train` and `test`, or for `train` alone with folders of its own."""
    kinds = {name: name.casefold().rstrip("0123456789-_ ") for name in classes}
    splits = [name for name, kind in kinds.items() if kind in _TRAINING | _OTHER_SPLITS]
    whole = len(classes) == 1 and any(name.count("/") > 1 for name in next(iter(classes.values())))
    if len(splits) > 1 or (splits and whole):
        best = next((name for name in splits if kinds[name] in _TRAINING), splits[0])
        raise InputError(
            f"{where} holds {' and '.join(map(one_line, splits))}, which are not classes but parts "
            f"of a data set: give the one to train on, most likely {where}/{one_line(best)} (or "
            "rename them, if they are classes)"
        )
