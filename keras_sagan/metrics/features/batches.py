"""What extractors share: what they give, and pictures a batch at a time."""

from typing import NamedTuple

import numpy as np

from keras_sagan.errors import InputError


class Features(NamedTuple):
    """What an extractor finds in n pictures.

    Attributes:
        features: float32 (n, size).
        logits: float32 (n, classes), or None of a network without classes.
    """

    features: np.ndarray
    logits: np.ndarray | None


def in_batches(compute, images, batch_size):
    """Applies a compiled function to pictures, a batch at a time.

    What is left over is padded to a power of two: for each number of pictures the function is
    compiled again, and that takes longer than some pictures more.

    Args:
        compute: A function of uint8 (m, height, width, 3) that gives arrays (m, ...) by name.
        images: uint8 (n, height, width, 3), one or more.
        batch_size: The most pictures at a time.

    Returns:
        The arrays (n, ...) by name.

    Raises:
        InputError: Other images.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise InputError(
            "features are of uint8 images (n, height, width, 3), not of "
            f"{images.dtype} {images.shape}"
        )
    if not len(images):
        raise InputError("there are no images to take features of")
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        padded = min(batch_size, 1 << (len(batch) - 1).bit_length())
        results = compute(np.resize(batch, (padded, *batch.shape[1:])))
        parts.append({name: np.asarray(array)[: len(batch)] for name, array in results.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
