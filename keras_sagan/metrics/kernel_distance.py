"""Kernel distance of two sets of features: KID, with features of the 2015 Inception network.

Binkowski et al. 2018, "Demystifying MMD GANs", section 4: the unbiased estimate (Gretton et al.
2012, equation 3) of the squared maximum mean discrepancy for the kernel (x.y / size + 1)^3,
averaged over subsets. They are drawn as torch-fidelity draws them, with
`numpy.random.RandomState(seed)`: for each subset first of the samples, then of the reference,
without replacement.
"""

import warnings
from typing import NamedTuple

import numpy as np

from keras_sagan.metrics.samples import KeptFeatures, checked, checked_pair, enough


class KernelEstimate(NamedTuple):
    """What is known of a kernel distance.

    Attributes:
        value: The mean over the subsets. It is unbiased: near zero it may be below it.
        standard_error: Standard deviation of `value` over other draws of as many samples and
            references, from the spread of the kernel's means. It errs upwards for sets that are
            hardly apart.
        spread: Standard deviation over the subsets, ddof 0: what torch-fidelity prints behind the
            value. It tells of single subsets, not of `value`.
    """

    value: float
    standard_error: float
    spread: float


def kernel_distance(features, reference, subsets=100, subset_size=1000, seed=2020):
    """Returns the `KernelEstimate` of two sets of features.

    Memory beside the features: a few blocks of (subset_size, subset_size), in float64.

    Args:
        features: (samples, size), of the pictures that are judged.
        reference: (samples, size), of real pictures.
        subsets: How many are drawn.
        subset_size: Samples in each, of either set. With fewer samples than that, all of the
            smaller set are in each, and a warning says so.
        seed: Of the subsets.

    Raises:
        InputError: Features that are not finite, of different sizes, or of fewer than two samples.
    """
    features, reference = checked_pair(features, reference)
    fewest = min(len(features), len(reference))
    if fewest < subset_size:
        warnings.warn(
            f"the kernel distance over subsets of {subset_size} needs at least {subset_size} "
            f"samples on either side; there are {fewest}, so subsets have {fewest}",
            stacklevel=2,
        )
        subset_size = fewest
    draw = np.random.RandomState(seed).choice
    estimates = np.empty((subsets, 3))
    for i in range(subsets):
        subset = features[draw(len(features), subset_size, replace=False)]
        other = reference[draw(len(reference), subset_size, replace=False)]
        estimates[i] = _estimate(subset.astype(np.float64), other.astype(np.float64))
    values, *variances = estimates.T
    # Subsets have samples in common, the more the less there are: m / n of the variance of one
    # subset is that of the n samples themselves, and only the rest averages out.
    variance = 0
    for of_subset, samples in zip(variances, (features, reference), strict=True):
        common = subset_size / len(samples)
        variance += of_subset.mean() * (common + (1 - common) / subsets)
    return KernelEstimate(float(values.mean()), float(np.sqrt(variance)), float(values.std()))


def _estimate(first, second):
    """Returns the unbiased estimate, and what the draw of each set adds to its variance."""
    size = len(first)
    across = _kernel(first, second)
    estimate, variances = 0, []
    for samples, means_across in ((first, across.mean(axis=1)), (second, across.mean(axis=0))):
        within = _kernel(samples, samples)
        np.fill_diagonal(within, 0)
        influence = within.sum(axis=1) / (size - 1) - means_across
        estimate += influence.mean()
        # Hoeffding's first term of the variance, for a statistic of pairs.
        variances.append(4 * influence.var(ddof=1) / size)
    return estimate, *variances


def _kernel(first, second):
    kernel = first @ second.T
    kernel /= first.shape[1]
    kernel += 1
    return kernel * kernel * kernel


class KernelDistance:
    """Kernel distance of features that come in batches, which are kept.

    Args:
        reference: (samples, size), features of real pictures.
        subsets, subset_size, seed: As for `kernel_distance`.
    """

    def __init__(self, reference, subsets=100, subset_size=1000, seed=2020):
        self._reference = checked(reference, name="features of the reference")
        enough(len(self._reference), what="the reference")
        self._kept = KeptFeatures(self._reference.shape[1])
        self._drawn = {"subsets": subsets, "subset_size": subset_size, "seed": seed}

    def update(self, features):
        """Adds a batch, (samples, size); raises InputError as `checked` does."""
        self._kept.update(features)

    def result(self):
        """Returns what `kernel_distance` does for what came so far."""
        return kernel_distance(self._kept.array(), self._reference, **self._drawn)
