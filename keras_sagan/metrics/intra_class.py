"""Frechet distance within each class, and its mean over the classes: intra FID.

Miyato and Koyama 2018, "cGANs with Projection Discriminator", section 4; the SAGAN paper reports
it too. All classes count alike, however many samples they have.
"""

from typing import NamedTuple

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.metrics.frechet import FrechetStatistics, untroubled_distance, warn_of_rank
from keras_sagan.metrics.samples import checked, checked_labels


class IntraClass(NamedTuple):
    """Mean of the distances over the classes, and the distance of each, a list in their order."""

    value: float
    by_class: list


class ClassStatistics:
    """`FrechetStatistics` of each class, of features that come in batches.

    Each takes a covariance: 33 MB a class for 2,048 features.

    Args:
        classes: How many there are.

    Attributes:
        classes: A list of `FrechetStatistics`.
    """

    def __init__(self, classes):
        self.classes = [FrechetStatistics() for _ in range(classes)]

    def update(self, features, labels):
        """Adds a batch, (samples, size), with a label a sample, whole numbers from 0.

        Raises:
            InputError: Another size than before, values not finite, or labels out of range.
        """
        features = checked(features)
        labels = checked_labels(labels, len(features), len(self.classes))
        for label in np.unique(labels):
            self.classes[label].update(features[labels == label])


def intra_class_distance(statistics, reference):
    """Returns the `IntraClass` of the classes of two lists of `FrechetStatistics`.

    Warns, as `frechet_distance` does, where any class has too few samples.

    Raises:
        InputError: Other classes, other sizes, or a class of fewer than two samples.
    """
    if len(statistics) != len(reference):
        raise InputError(
            f"the samples have {len(statistics)} classes, the reference has {len(reference)}"
        )
    distances, fewest = [], []
    for label, pair in enumerate(zip(statistics, reference, strict=True)):
        try:
            distances.append(untroubled_distance(*pair))
        except InputError as error:
            raise InputError(f"class {label}: {error}") from None
        fewest += [(one.count, label) for one in pair if one.count is not None]
    size = reference[0].size
    if fewest and min(fewest)[0] <= size:
        count, label = min(fewest)
        warn_of_rank(f"class {label} has {count}", size, stacklevel=3)
    return IntraClass(float(np.mean(distances)), distances)


class IntraClassDistance:
    """Intra-class Frechet distance of features that come in batches, in constant memory.

    Args:
        reference: List of `FrechetStatistics`, one a class.
    """

    def __init__(self, reference):
        self._reference = reference
        self._statistics = ClassStatistics(len(reference))

    def update(self, features, labels):
        """Adds a batch. Raises InputError as `ClassStatistics.update` does."""
        self._statistics.update(features, labels)

    def result(self):
        """Returns what `intra_class_distance` does for what came so far."""
        return intra_class_distance(self._statistics.classes, self._reference)
