"""Density and coverage of two sets of features.

Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", equations 4 and
5, k = 5: density counts for each sample the references whose distance to their k-th nearest other
reference reaches beyond it, over k; coverage is the share of references that have a sample nearer
than that. Balls are open (less, not at most), as in the authors' code, `prdc`.
"""

from typing import NamedTuple

import numpy as np

from keras_sagan.metrics.neighbours import OfNeighbours, squared_distances, squared_radii
from keras_sagan.metrics.samples import checked_pair, enough


class DensityAndCoverage(NamedTuple):
    """Density, from 0 on, around 1 for samples like the reference; coverage, from 0 to 1."""

    density: float
    coverage: float


def density_coverage(features, reference, k=5):
    """Returns the `DensityAndCoverage` of two sets of features.

    Distances are computed in blocks: beside the features, it takes 0.1 GB.

    Args:
        features: (samples, size), of the pictures that are judged.
        reference: (samples, size), of real pictures.
        k: Which neighbour makes the radius.

    Raises:
        InputError: Features that are not finite, of different sizes, fewer than two of either, or
            fewer than k + 1 of the reference.
    """
    features, reference = checked_pair(features, reference)
    enough(len(reference), k + 1, "the reference")
    radii = squared_radii(reference, k)
    inside = 0
    covered = np.zeros(len(reference), bool)
    for _, columns, squared in squared_distances(features, reference):
        within = squared < radii[columns]
        inside += np.count_nonzero(within)
        covered[columns] |= within.any(axis=0)
    return DensityAndCoverage(inside / (k * len(features)), float(covered.mean()))


class DensityCoverage(OfNeighbours):
    """Density and coverage of features that come in batches, which are kept.

    Args:
        reference: (samples, size), features of real pictures.
        k: As for `density_coverage`.
    """

    def __init__(self, reference, k=5):
        super().__init__(density_coverage, reference, k)
