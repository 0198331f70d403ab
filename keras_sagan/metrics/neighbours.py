"""Distances of many features to many, a block at a time."""

import numpy as np

from keras_sagan.metrics.samples import KeptFeatures, checked, enough

_ROWS = 1024  # a block of distances takes 8 MB
# Squared distances below this share of the squared lengths are zero: rounding of equal features.
_ROUNDING = 1e-12


def squared_distances(first, second, upper=False):
    """Yields blocks of squared Euclidean distances, computed in float64.

    Args:
        first: (samples, size).
        second: (samples, size).
        upper: Leaves out blocks below the diagonal, for two that are the same.

    Yields:
        The slice of the rows of `first`, that of `second`, and their distances, (rows, columns).
    """
    lengths = [
        np.concatenate([np.square(rows, dtype=np.float64).sum(axis=1) for rows in _split(features)])
        for features in (first, second)
    ]
    for rows in _slices(first):
        left = first[rows].astype(np.float64)
        for columns in _slices(second):
            if upper and columns.start < rows.start:
                continue
            squared = left @ second[columns].astype(np.float64).T
            squared *= -2
            total = lengths[0][rows, None] + lengths[1][columns]
            squared += total
            total *= _ROUNDING
            squared[squared < total] = 0
            yield rows, columns, squared


def _slices(features):
    return [slice(start, start + _ROWS) for start in range(0, len(features), _ROWS)]


def _split(features):
    return [features[rows] for rows in _slices(features)]


def squared_radii(features, k):
    """Returns the squared distance of each to the k-th nearest of the others, (samples,)."""
    nearest = np.full((len(features), k), np.inf)
    for rows, columns, squared in squared_distances(features, features, upper=True):
        if rows == columns:
            np.fill_diagonal(squared, np.inf)  # none is its own neighbour
        else:
            _keep_nearest(nearest[columns], squared.T)
        _keep_nearest(nearest[rows], squared)
    return nearest.max(axis=1)


def _keep_nearest(nearest, squared):
    k = nearest.shape[1]
    if squared.shape[1] > k:
        squared = np.partition(squared, k - 1, axis=1)[:, :k]
    both = np.concatenate([nearest, squared], axis=1)
    both.partition(k - 1, axis=1)
    nearest[:] = both[:, :k]


class OfNeighbours:
    """A metric of neighbours, of features that come in batches, which are kept.

    Args:
        metric: Function of features, reference and k.
        reference: (samples, size), features of real pictures.
        k: Which neighbour makes the radius.
    """

    def __init__(self, metric, reference, k):
        self._metric = metric
        self._reference = checked(reference, name="features of the reference")
        enough(len(self._reference), max(2, k + 1), "the reference")
        self._kept = KeptFeatures(self._reference.shape[1])
        self._k = k

    def update(self, features):
        """Adds a batch, (samples, size); raises InputError as `checked` does."""
        self._kept.update(features)

    def result(self):
        """Returns what the function does for what came so far."""
        return self._metric(self._kept.array(), self._reference, self._k)
