"""Distances of many features to many, a block at a time."""

import numpy as np

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
