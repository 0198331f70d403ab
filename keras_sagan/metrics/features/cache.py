"""Where weights and statistics are kept that take long to make or to fetch."""

import os
from pathlib import Path

from keras_sagan.errors import InputError


def cache_folder(kind=""):
    """Returns a folder, which is made if it is not there.

    It is in KERAS_SAGAN_CACHE, or else in `~/.cache/keras-sagan`.

    Args:
        kind: Name of the folder within it.

    Raises:
        InputError: It cannot be made.
    """
    cache = os.environ.get("KERAS_SAGAN_CACHE") or Path.home() / ".cache" / "keras-sagan"
    folder = Path(cache) / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}: set KERAS_SAGAN_CACHE to a folder that can be written"
        ) from error
    return folder
