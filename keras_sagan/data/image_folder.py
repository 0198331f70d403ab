"""A folder of images, one sub-folder a class."""

import threading
from pathlib import Path

import numpy as np
from PIL import Image

from keras_sagan.data.images import square, to_rgb
from keras_sagan.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class ImageFolder:
    """Images in a folder, read when asked for.

    Sub-folders are the classes, in alphabetical order, and images within them count at any
    depth. Images that stand in the folder itself have no class; then there must be no
    sub-folders with images.

    An image that cannot be read is skipped: the next one that can be read takes its place, and
    its path and the reason are kept in `skipped`. More than one in ten is an error.

    Args:
        folder: The folder.
        image_size: Height and width that images are cropped and resized to.
        skipped_log: Path of a file that gets a line for each skipped image that it does not list
            yet, or None.

    Attributes:
        class_names: Names of the sub-folders, or None without classes.
        skipped: Reasons by path.

    Raises:
        InputError: A folder that is missing, holds no images, or mixes images and sub-folders
            with images.
    """

    def __init__(self, folder, image_size, skipped_log=None):
        self.folder = Path(folder)
        self.image_size = image_size
        self.skipped = {}
        self._skipped_log = skipped_log
        self._logged = set()
        self._lock = threading.Lock()
        if skipped_log is not None and skipped_log.exists():
            lines = skipped_log.read_text(encoding="utf-8").splitlines()
            self._logged = {line.partition("\t")[0] for line in lines}
        if not self.folder.is_dir():
            raise InputError(f"{folder} is not a folder: give one that holds images")
        loose = sorted(path for path in self.folder.iterdir() if _is_image(path))
        classes = {
            path.name: images
            for path in sorted(self.folder.iterdir())
            if path.is_dir() and (images := sorted(filter(_is_image, path.rglob("*"))))
        }
        if not loose and not classes:
            raise InputError(f"{folder} holds no images ({', '.join(EXTENSIONS)})")
        if loose and classes:
            raise InputError(
                f"{folder} holds both images ({loose[0].name}, ...) and sub-folders of images "
                f"({next(iter(classes))}, ...): move the images into sub-folders, one a class"
            )
        self.class_names = list(classes) or None
        self.paths = loose or [path for images in classes.values() for path in images]
        self.labels = np.repeat(
            np.arange(len(classes), dtype=np.int32), [len(images) for images in classes.values()]
        )

    def __len__(self):
        return len(self.paths)

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
        results = [self._read_one(index) for index in indices]
        images = np.stack([image for image, _ in results])
        if self.class_names is None:
            return images, None
        return images, self.labels[[index for _, index in results]]

    def _read_one(self, index):
        while True:
            path = self.paths[index]
            if path not in self.skipped:
                try:
                    with Image.open(path) as image:
                        # JPEG can be decoded smaller; twice the size leaves the filter its due.
                        image.draft("RGB", (2 * self.image_size, 2 * self.image_size))
                        return square(to_rgb(image), self.image_size), index
                except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                    self._skip(path, " ".join(str(error).split()))
            if 10 * len(self.skipped) > len(self.paths):
                raise InputError(
                    f"{len(self.skipped)} of the {len(self.paths)} images in {self.folder} cannot "
                    f"be read, more than one in ten; one is {path}"
                )
            index = (index + 1) % len(self.paths)

    def _skip(self, path, reason):
        with self._lock:
            self.skipped[path] = reason
            if self._skipped_log is not None and str(path) not in self._logged:
                self._logged.add(str(path))
                with self._skipped_log.open("a", encoding="utf-8") as log:
                    log.write(f"{path}\t{reason}\n")


def _is_image(path):
    return path.suffix.lower() in EXTENSIONS and path.is_file()
