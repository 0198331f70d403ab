"""Images that cannot be read: others take their place, and each is listed with its reason."""

import threading

from PIL import Image, UnidentifiedImageError

from keras_sagan.data.images import FORMATS
from keras_sagan.data.names import one_line
from keras_sagan.errors import InputError


class Skipping:
    """Reads images of a source, and the next one in place of one that cannot be read.

    Args:
        where: What the images are in, as errors name it.
        length: How many there are.
        name: Function from an index to the name of the image.
        log: Path of a file that gets a line for each skipped image that it does not list yet, the
            name (as of `one_line`), a tab and the reason; or None.

    Attributes:
        reasons: Why images were skipped, by name.
    """

    def __init__(self, where, length, name, log=None):
        self.reasons = {}
        self._where, self._length, self._name, self._log = where, length, name, log
        self._logged = None  # read when it is first needed
        self._lock = threading.Lock()

    def read(self, index, decode):
        """Reads an image.

        Args:
            index: Which.
            decode: Function from an index to the image. Whatever it raises, the image is skipped.

        Returns:
            An image, and its index.

        Raises:
            InputError: More than one in ten of the images could not be read.
        """
        while True:
            name = self._name(index)
            if name not in self.reasons:
                try:
                    return decode(index), index
                except Exception as error:  # files throw what they like
                    self._skip(name, _reason(error))
            if 10 * len(self.reasons) > self._length:
                with self._lock:
                    name, reason = next(iter(self.reasons.items()))
                listed = "" if self._log is None else f" (see {self._log})"
                raise InputError(
                    f"{len(self.reasons)} of the {self._length} images in {self._where} cannot be "
                    f"read, more than one in ten; one is {one_line(name)}: {reason}{listed}"
                )
            index = (index + 1) % self._length

    def _skip(self, name, reason):
        with self._lock:
            self.reasons[name] = reason
            if self._log is None:
                return
            if self._logged is None:
                lines = self._log.read_text("utf-8").split("\n") if self._log.exists() else []
                self._logged = {line.partition("\t")[0] for line in lines}
            line = one_line(name)
            if line not in self._logged:
                self._logged.add(line)
                self._log.parent.mkdir(parents=True, exist_ok=True)
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(f"{line}\t{reason}\n")


def _reason(error):
    """Why an image could not be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or damaged where it begins"
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * Image.MAX_IMAGE_PIXELS
        return f"it has more than {most} pixels, the most that are decoded: make it smaller"
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    kind = "" if isinstance(error, OSError) and text else type(error).__name__
    return one_line(": ".join(filter(None, (kind, text))))
