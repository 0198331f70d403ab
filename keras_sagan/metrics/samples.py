"""What all metrics take: an array of a row a sample, looked at once, and kept where it must be."""

import numpy as np

from keras_sagan.errors import InputError


def checked(features, size=None, name="features"):
    """Returns an array of a row a sample, float32 as it is and everything else as float64.

    Args:
        features: (samples, size), real numbers.
        size: What the length of a row must be, if that is known.
        name: What messages call it.

    Raises:
        InputError: It has another shape or size, or values that are not finite.
    """
    features = np.asarray(features)
    if features.ndim != 2 or not features.shape[1] or features.dtype.kind not in "fiu":
        raise InputError(
            f"the {name} must be numbers of shape (samples, size); "
            f"they are {features.dtype} of shape {features.shape}"
        )
    if size is not None and features.shape[1] != size:
        raise InputError(
            f"the {name} have size {features.shape[1]}, those to compare with {size}; "
            "both must come from one extractor"
        )
    if features.dtype != np.float32:
        features = features.astype(np.float64)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise InputError(
            f"the {name} of {np.count_nonzero(~finite)} of {len(features)} samples are not finite, "
            f"the first those of sample {finite.argmin()}"
        )
    return features


def checked_pair(features, reference, least=2):
    """Returns the features of samples and of the reference: of one size, and enough of both.

    Raises:
        InputError: As `checked`, or there are fewer than `least` of either.
    """
    reference = checked(reference, name="features of the reference")
    features = checked(features, reference.shape[1])
    enough(len(features), least)
    enough(len(reference), least, "the reference")
    return features, reference


def checked_labels(labels, samples, classes):
    """Returns the classes of samples as integers.

    Raises:
        InputError: They are not one a sample, not whole numbers, or not from 0 to below `classes`.
    """
    labels = np.asarray(labels)
    if labels.shape != (samples,) or (samples and labels.dtype.kind not in "iu"):
        raise InputError(
            f"the labels must be whole numbers of shape ({samples},), one a sample; "
            f"they are {labels.dtype} of shape {labels.shape}"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise InputError(f"label {wrong[0]} is not one of {classes} classes, 0 to {classes - 1}")
    return labels.astype(np.int64)


def enough(count, least=2, what="the samples"):
    """Raises InputError where there are fewer than `least` samples."""
    if count < least:
        raise InputError(f"{what} must be at least {least}; there are {count}")


class KeptFeatures:
    """Features that come in batches, for the metrics that need all of them at once.

    4 bytes a number in float32, and as much again while they are put together: 50,000 of 2,048 take
    0.41 GB, then 0.82.

    Args:
        size: Their length.
    """

    def __init__(self, size):
        self._size = size
        self._batches = []

    def update(self, features):
        """Keeps a copy of a batch, (samples, size)."""
        self._batches.append(np.array(checked(features, self._size)))

    def array(self):
        """Returns them all, (samples, size)."""
        if len(self._batches) != 1:
            none = np.empty((0, self._size), np.float32)
            self._batches = [np.concatenate([none, *self._batches])]
        return self._batches[0]
