"""Improved precision and recall of two sets of features.

Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models",
equations 1 and 2, k = 3: precision is the share of samples that lie within the distance of a
reference to its k-th nearest other reference; recall that of references within the distance of a
sample to its k-th nearest other sample. Balls are closed (at most, not less), as in the equation.
"""

from typing import NamedTuple

import numpy as np

from keras_sagan.metrics.neighbours import OfNeighbours, squared_distances, squared_radii
from keras_sagan.metrics.samples import checked_pair


class PrecisionAndRecall(NamedTuple):
    """Shares from 0 to 1."""

    precision: float
    recall: float


def precision_recall(features, reference, k=3):
    """Returns the `PrecisionAndRecall` of two sets of features.

    Distances are computed in blocks: beside the features, it takes 0.1 GB.

    Args:
        features: (samples, size), of the pictures that are judged.
        reference: (samples, size), of real pictures; as many as of the others, for figures to
            compare.
        k: Which neighbour makes the radius.

    Raises:
        InputError: Features that are not finite, of different sizes, fewer than two or fewer than
            k + 1 of either.
    """
    features, reference = checked_pair(features, reference, max(2, k + 1))
    sample_radii, reference_radii = squared_radii(features, k), squared_radii(reference, k)
    precise = np.zeros(len(features), bool)
    recalled = np.zeros(len(reference), bool)
    for rows, columns, squared in squared_distances(features, reference):
        precise[rows] |= (squared <= reference_radii[columns]).any(axis=1)
        recalled[columns] |= (squared <= sample_radii[rows, None]).any(axis=0)
    return PrecisionAndRecall(float(precise.mean()), float(recalled.mean()))


class PrecisionRecall(OfNeighbours):
    """Precision and recall of features that come in batches, which are kept.

    Args:
        reference: (samples, size), features of real pictures.
        k: As for `precision_recall`.
    """

    def __init__(self, reference, k=3):
        super().__init__(precision_recall, reference, k)
