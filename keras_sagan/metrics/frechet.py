"""Frechet distance of two sets of features: FID, with features of the 2015 Inception network.

Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", equation 6, on normal distributions of the sets' means and covariances:

    |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))

Covariances are divided by the number of samples less one (ddof 1), as in the authors' code.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from keras_sagan.errors import InputError
from keras_sagan.metrics.samples import checked, enough


class FrechetStatistics:
    """Mean and covariance of features that come in batches, in memory for one covariance.

    In float64, with the sums of each batch taken about its own mean (Chan, Golub and LeVeque 1983),
    so that features far from zero lose no digits.

    Attributes:
        count: Samples so far.
        size: Length of the features; None before the first batch.
    """

    def __init__(self):
        self.count = 0
        self.size = None

    def update(self, features):
        """Adds a batch, (samples, size).

        Raises:
            InputError: Its size is not that of the batches before, or values are not finite.
        """
        features = checked(features, self.size)
        if self.size is None:
            self.size = features.shape[1]
            self._mean = np.zeros(self.size)
            self._scatter = np.zeros((self.size, self.size))
        samples = len(features)
        if not samples:
            return
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        self._scatter += centred.T @ centred
        if self.count:
            step = mean - self._mean
            self._scatter += np.outer(step, step * (self.count * samples / (self.count + samples)))
        self.count += samples
        self._mean += (mean - self._mean) * (samples / self.count)

    @property
    def mean(self):
        """(size,), float64. Raises InputError for fewer than two samples."""
        enough(self.count)
        return self._mean

    @property
    def covariance(self):
        """(size, size), float64, ddof 1. Raises InputError for fewer than two samples."""
        enough(self.count)
        return self._scatter / (self.count - 1)


@dataclass(frozen=True)
class KnownStatistics:
    """Statistics that somebody computed, as files of `mu` and `sigma` hold them.

    Args:
        mean: (size,).
        covariance: (size, size), symmetric.
        count: Samples that they are of; None where that is not known.

    Raises:
        InputError: Shapes that do not belong together, a matrix that is no covariance, values that
            are not finite, or fewer than two samples.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None = None

    def __post_init__(self):
        mean = checked(np.reshape(self.mean, (1, -1)), name="mean")[0].astype(np.float64)
        covariance = checked(self.covariance, len(mean), "rows of the covariance")
        if len(covariance) != len(mean):
            raise InputError(
                f"the covariance has {len(covariance)} rows; the mean has size {len(mean)}"
            )
        # Files in float32 are symmetric to their rounding.
        slack = 1e-5 * np.abs(covariance).max()
        if covariance.diagonal().min() < 0 or np.abs(covariance - covariance.T).max() > slack:
            raise InputError("the covariance is not symmetric, or has negative variances")
        if self.count is not None:
            enough(self.count)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance.astype(np.float64))

    @property
    def size(self):
        """Length of the features."""
        return len(self.mean)


def frechet_distance(first, second):
    """Returns the Frechet distance of two `FrechetStatistics` or `KnownStatistics`.

    Warns where either is of so few samples that its covariance has not full rank: the distance
    then depends on their number more than on what they show.

    Raises:
        InputError: Statistics of different sizes, or of fewer than two samples.
    """
    distance = untroubled_distance(first, second)
    counts = [statistics.count for statistics in (first, second) if statistics.count is not None]
    if counts and min(counts) <= first.size:
        warn_of_rank(f"there are {min(counts)}", first.size, stacklevel=3)
    return distance


def untroubled_distance(first, second):
    """As `frechet_distance`, of however few samples."""
    first_mean, second_mean = first.mean, second.mean  # which are there from two samples on
    if first.size != second.size:
        raise InputError(
            f"the statistics are of features of sizes {first.size} and {second.size}; "
            "both must come from one extractor"
        )
    step = first_mean - second_mean
    first, second = first.covariance, second.covariance
    # C1 C2 has the eigenvalues of R' C2 R with C1 = R R', which is symmetric: they are real, and
    # below zero by rounding alone.
    root, other = _root(first, second)
    trace = np.sqrt(np.linalg.eigvalsh(root.T @ other @ root).clip(0)).sum()
    return float(step @ step + first.trace() + second.trace() - 2 * trace)


def _root(first, second):
    """Returns a root of one of two covariances, R with R R' = C, and the other covariance."""
    # Cholesky's is a fifth of the work, and keeps small eigenvalues to more digits.
    for covariance, other in ((first, second), (second, first)):
        try:
            return np.linalg.cholesky(covariance), other
        except np.linalg.LinAlgError:  # singular: of few samples, or of features that are constant
            continue
    variances, axes = np.linalg.eigh(first)
    return axes * np.sqrt(variances.clip(0)), second


def warn_of_rank(what_there_is, size, stacklevel):
    """Warns that Frechet distances of features of a size need more samples."""
    warnings.warn(
        f"the Frechet distance of {size} features needs at least {size + 1} samples on either side "
        f"for covariances of full rank; {what_there_is}",
        stacklevel=stacklevel,
    )


class FrechetDistance:
    """Frechet distance of features that come in batches, in constant memory.

    Args:
        reference: `FrechetStatistics` or `KnownStatistics` to compare with.
    """

    def __init__(self, reference):
        self._reference = reference
        self._statistics = FrechetStatistics()

    def update(self, features):
        """Adds a batch, (samples, size). Raises InputError as `FrechetStatistics.update` does."""
        self._statistics.update(checked(features, self._reference.size))

    def result(self):
        """Returns the distance of what came so far, and warns, as `frechet_distance` does."""
        return frechet_distance(self._statistics, self._reference)
